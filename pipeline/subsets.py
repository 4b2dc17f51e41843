"""Part of a split: by person, by capture, and by what was measured of each sample."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.fields import FIELDS
from pipeline.store import FrameReader


@dataclass(frozen=True, kw_only=True, slots=True)
class Subset:
    """What a sample must be; by default anything will do.

    Attributes:
        subjects: ids of people, None for all.
        captures: ids of captures, None for all.
        quality: lowest and highest value of fields that are one number a sample, such as `fused_residual_m`; a
            sample whose value is invalid never passes.
    """

    subjects: Collection[str] | None = None
    captures: Collection[str] | None = None
    quality: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.quality:
            row = FIELDS.get(name)
            if row is None or row.shape or row.dtype == "str" or not row.shard:
                raise InputError(
                    "subset-field",
                    f"subset: quality must name fields of one number a sample, names {name!r}.",
                )

    @property
    def is_all(self) -> bool:
        return self.subjects is None and self.captures is None and not self.quality


def passing_rows(reader: FrameReader, subset: Subset) -> NDArray[np.int64]:
    """Numbers of the rows of one file that the subset lets through."""
    passes = np.ones(len(reader), bool)
    for name, wanted in (("subject", subset.subjects), ("capture", subset.captures)):
        if wanted is not None:
            passes &= np.isin(reader.column(name).astype(str), list(wanted))
    for name, (lowest, highest) in subset.quality.items():
        values = reader.column(name)
        passes &= (values >= lowest) & (values <= highest)
        if FIELDS[name].invalid != "-":
            passes &= values != float(FIELDS[name].invalid)
    return np.flatnonzero(passes)
