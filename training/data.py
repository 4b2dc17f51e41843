"""Shards as PyTorch datasets: stored fields, and the targets that are made from them."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from pipeline.errors import InputError, ManifestError
from pipeline.seeds import stream
from pipeline.shards import EVERYTHING, ShardReader, read_index
from pipeline.subsets import Subset
from training.augment import KINDS, UNSCALED, Augmentation, augment
from training.made_targets import made_from, stored_fields, with_targets

# A sample's arrays as a network takes them, from its fields and targets; drawn from the generator, plain without.
View = Callable[[Mapping[str, Any], np.random.Generator | None], dict[str, Any]]


class ShardDataset(Dataset[dict[str, Any]]):
    """Samples of one split, only the asked-for fields, as tensors of the stored dtype and layout.

    Files are opened on first use in each worker process, so it survives fork and spawn. Texts stay texts.

    Args:
        dataset: the built dataset's folder or its dataset.json.
        fields: what a sample holds: stored fields, and targets of `training.made_targets`. What those are made
            from is read as well and given only where it is asked for.
        subset, verify_rows: as of `ShardReader`.

    Attributes:
        stored_names: the fields that are read.

    Raises:
        InputError: without an index, for an unknown split, when a field, or what a target is made from, is not in
            the shards, or when the subset leaves no sample.
    """

    def __init__(
        self,
        dataset: Path,
        *,
        split: str,
        fields: Sequence[str],
        subset: Subset = EVERYTHING,
        verify_rows: bool = False,
    ) -> None:
        self._names = tuple(fields)
        self.stored_names = stored_fields(self._names, read_index(dataset)["fields"], where=str(dataset))
        self._reader = ShardReader(
            dataset, split=split, fields=self.stored_names, subset=subset, verify_rows=verify_rows
        )

    def __len__(self) -> int:
        return len(self._reader)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: _tensor(value) for name, value in self.given(self.stored(index)).items()}

    def stored(self, index: int) -> dict[str, Any]:
        """The stored fields of one sample, as arrays."""
        try:
            return self._reader[index]
        except InputError as error:  # a capture lacks a field that others bring
            raise InputError(error.reason, f"{error} {made_from(self._names)}".rstrip()) from error

    def given(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """What is asked for, from the stored fields of one sample, augmented or not."""
        return with_targets(sample, self._names)


class TrainingSamples(Dataset[dict[str, Any]]):
    """Samples of several datasets one after the other, as `training.order.epoch_order` numbers them, augmented.

    Keys are (epoch, sample number), since the same sample is augmented otherwise in every epoch.

    Args:
        parts: all with the same fields.
        augmentation: of what is stored, before targets are made; None leaves it as it is.
        seed: of the augmentation.
        view: what the network sees of a sample with its targets; drawn anew for each epoch where there is an
            augmentation, else plain.

    Raises:
        ManifestError: when the augmentation cannot be had of a field.
    """

    def __init__(
        self,
        parts: Sequence[ShardDataset],
        *,
        augmentation: Augmentation | None,
        seed: int,
        view: View | None = None,
    ) -> None:
        for part in parts:
            _check_augmentation(augmentation, part.stored_names)
        self._parts, self._augmentation, self._seed, self._view = list(parts), augmentation, seed, view
        self.sizes = [len(part) for part in parts]
        self._ends = list(accumulate(self.sizes))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        part, row = self.place(index)
        sample = self._parts[part].stored(row)
        if self._augmentation is not None:
            sample = augment(sample, self._augmentation, seed=self._seed, epoch=epoch, index=index)
        given = self._parts[part].given(sample)
        if self._view is not None:
            drawn = stream(self._seed, "view", str(epoch), index) if self._augmentation is not None else None
            given = self._view(given, drawn)
        return {name: _tensor(value) for name, value in given.items()}

    def place(self, index: int) -> tuple[int, int]:
        """Dataset and row of a sample number."""
        if not 0 <= index < len(self):
            raise IndexError(f"TrainingSamples: sample must be below {len(self)}, is {index}")
        part = bisect_right(self._ends, index)
        return part, index - self._ends[part] + self.sizes[part]


def _check_augmentation(augmentation: Augmentation | None, fields: Sequence[str]) -> None:
    """Refuse at once what would fail at the first sample that it meets."""
    if augmentation is None:
        return
    fixed = [name for name in fields if KINDS.get(name) in UNSCALED]
    if fixed and tuple(augmentation.scale) != (1, 1):
        raise ManifestError(
            f"augmentation: scale must be [1, 1] where {fixed[0]} is read, which belongs to the crop as it is, "
            f"is {list(augmentation.scale)}. Leave it out."
        )
    foreign = [name for name in fields if KINDS.get(name) == "foreign"]
    if foreign and augmentation.flip:
        raise ManifestError(
            f"augmentation: flip must be 0 where {foreign[0]} is read, whose mirror image is not known, "
            f"is {augmentation.flip}. Leave it out."
        )


def _tensor(value: Any) -> Any:
    # Not ascontiguousarray: it would make a scalar a vector of one.
    return value if isinstance(value, str) else torch.from_numpy(np.asarray(value, order="C"))
