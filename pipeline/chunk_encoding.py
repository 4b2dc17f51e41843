"""A sample's chunk as the lz4 filter of HDF5 would make it, byte for byte, made beside HDF5.

HDF5 keeps every other thread of the interpreter waiting while it encodes; here they go on. `pipeline.chunks` tells the
format.
"""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.chunks import HEADER

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
    functions = _lz4_functions()
    return None if functions is None else Lz4Encoder(*functions)


@cache
def _lz4_functions() -> tuple[Encode, Bound] | None:
    try:
        import hdf5plugin

        library = ctypes.CDLL(os.path.join(hdf5plugin.PLUGINS_PATH, "libh5lz4.so"))
        encode, bound = library.LZ4_compress_default, library.LZ4_compressBound
    except (ImportError, OSError, AttributeError):
        return None
    encode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    bound.argtypes = [ctypes.c_int]
    encode.restype = bound.restype = ctypes.c_int
    return encode, bound
