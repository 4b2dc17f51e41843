"""A sample's chunk as the lz4 filter of HDF5 would make it, byte for byte, made beside HDF5.

HDF5 keeps every other thread of the interpreter waiting while it encodes; here they go on. `pipeline.chunks` tells the
format.
"""

import threading
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
    """Makes chunks, in one buffer a thread that grows to the largest."""

    def __init__(self, encode: Encode, bound: Bound) -> None:
        self._encode, self._bound = encode, bound
        self._of_thread = threading.local()

    def chunk(self, sample: NDArray[Any]) -> bytes | None:
        """The bytes of one sample's chunk; None where HDF5 must make them. Threads may call it at once.

        Args:
            sample: of the dataset's own dtype, of at least one byte.
        """
        if sample.nbytes > MAX_BYTES:
            return None
        sample = np.ascontiguousarray(sample)
        most = HEADER.size + self._bound(sample.nbytes)
        room: NDArray[np.uint8] | None = getattr(self._of_thread, "room", None)
        if room is None or room.size < most:
            room = self._of_thread.room = np.zeros(most, np.uint8)
        content = room[HEADER.size :]
        size = self._encode(sample.ctypes.data, content.ctypes.data, sample.nbytes, content.size)
        if size >= sample.nbytes:  # then it stands there as it is
            size = sample.nbytes
            content[:size] = sample.reshape(-1).view(np.uint8)
        HEADER.pack_into(room.data, 0, sample.nbytes, sample.nbytes, size)
        return room.data[: HEADER.size + size].tobytes() if size > 0 else None


def lz4_encoder() -> Lz4Encoder | None:
    """An encoder by the very library that HDF5 encodes with; None where it is not to be had."""
    encode, bound = lz4_function("LZ4_compress_default", COPYING), lz4_function("LZ4_compressBound", SIZING)
    return None if encode is None or bound is None else Lz4Encoder(encode, bound)
