"""A sample's chunk as the lz4 filter of HDF5 would make it, byte for byte, made beside HDF5.

HDF5 keeps every other thread of the interpreter waiting while it encodes; here they go on. `pipeline.chunks` tells the
format.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.chunks import HEADER
from pipeline.lz4_library import COPYING, SIZING, lz4_function

MAX_BYTES = 1 << 30  # the filter's block; it cuts what is larger into several
Encode = Callable[[int, int, int, int], int]
Bound = Callable[[int], int]


class Lz4Encoder:
    """Makes chunks, one after the other, in one buffer that grows to the largest."""

    def __init__(self, encode: Encode, bound: Bound) -> None:
        self._encode, self._bound = encode, bound
        self._room: NDArray[np.uint8] = np.zeros(0, np.uint8)

    def chunk(self, sample: NDArray[Any]) -> memoryview | None:
        """The bytes of one sample's chunk, good until the next call; None where HDF5 must make them.

        Args:
            sample: of the dataset's own dtype, of at least one byte.
        """
        if sample.nbytes > MAX_BYTES:
            return None
        sample = np.ascontiguousarray(sample)
        most = HEADER.size + self._bound(sample.nbytes)
        if self._room.size < most:
            self._room = np.zeros(most, np.uint8)
        content = self._room[HEADER.size :]
        size = self._encode(sample.ctypes.data, content.ctypes.data, sample.nbytes, content.size)
        if size >= sample.nbytes:  # then it stands there as it is
            size = sample.nbytes
            content[:size] = sample.reshape(-1).view(np.uint8)
        HEADER.pack_into(self._room.data, 0, sample.nbytes, sample.nbytes, size)
        return self._room.data[: HEADER.size + size] if size > 0 else None


def lz4_encoder() -> Lz4Encoder | None:
    """An encoder by the very library that HDF5 encodes with; None where it is not to be had."""
    encode, bound = lz4_function("LZ4_compress_default", COPYING), lz4_function("LZ4_compressBound", SIZING)
    return None if encode is None or bound is None else Lz4Encoder(encode, bound)
