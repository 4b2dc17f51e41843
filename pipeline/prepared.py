"""One sample on its way to a file: held against the field table, with its checksums, its large fields encoded."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.chunk_encoding import Lz4Encoder
from pipeline.fields import FIELDS, check_fields

ROW_CHECKSUMS = "row_crc32"
LARGE_BYTES = 4096  # samples below this are stored plainly: a filter would cost more than it saves


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """One sample: arrays (1 ...) by field, and the chunks of those that are encoded beside HDF5."""

    arrays: dict[str, NDArray[Any]]
    chunks: dict[str, bytes]


def prepare(
    sample: Mapping[str, Any],
    *,
    encoder: Lz4Encoder | None,
    row_checksums: bool,
    chunks: Mapping[str, bytes],
    where: str,
) -> Prepared:
    """Check and encode one sample {field: value without the leading axis}.

    Args:
        encoder: of large fields; None leaves them to HDF5.
        row_checksums: whether the checksums of all fields become one more.
        chunks: of large fields that are encoded already, by the same filter.
        where: file and sample that a message starts with.

    Raises:
        ValueError: for what is not as the field table says.
    """
    arrays = {name: _with_leading_axis(name, sample[name]) for name in sorted(sample)}
    if row_checksums:
        sums = [row_crc32(name, array[0]) for name, array in arrays.items()]
        arrays[ROW_CHECKSUMS] = np.array([sums], np.uint32)
    check_fields(arrays, where=where)
    encoded: dict[str, bytes] = {}
    for name, array in arrays.items():
        if encoder is not None and is_large(name, array):
            chunk = chunks.get(name) or encoder.chunk(array)
            if chunk is not None:
                encoded[name] = chunk
    return Prepared(arrays=arrays, chunks=encoded)


def is_large(name: str, array: NDArray[Any]) -> bool:
    """Whether a sample (1 ...) of a field has a chunk of its own."""
    return FIELDS[name].dtype != "str" and array.nbytes >= LARGE_BYTES


def row_crc32(name: str, value: Any) -> int:
    """Checksum of one field of one sample, whatever filter it is stored through."""
    if FIELDS[name].dtype == "str":
        return zlib.crc32(str(value).encode())
    little = np.asarray(value).astype(np.dtype(FIELDS[name].dtype).newbyteorder("<"), order="C", copy=False)
    return zlib.crc32(little.data)


def _with_leading_axis(name: str, value: Any) -> NDArray[Any]:
    field = FIELDS.get(name)
    if field is not None and field.dtype == "str":
        return np.array([value], dtype=object)
    return np.asarray(value)[None]
