"""A sample's bytes straight from the file, where a chunk is one sample, plain or through the lz4 filter.

HDF5 decodes into a buffer of its own and copies from there; for a sample of a person that is over half of the time.
So a regular chunk is read here, by the table of places that HDF5 gives, and decoded into the array itself. Whatever
is not regular is left to HDF5, which has the last word on every value and every error.

The lz4 filter's format: size of the sample (8 bytes, big-endian) and of a block (4), then blocks, each after its own
size (4); a block that could not be compressed stands there as it is.
"""

import ctypes
import os
import struct
import threading
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.lz4_library import COPYING, lz4_function

LZ4 = 32004
HEADER = struct.Struct(">QII")  # with the first block's size
Decode = Callable[[int, int, int, int], int]
_of_thread = threading.local()


class Chunks:
    """The chunks of one dataset whose every sample is a chunk."""

    def __init__(self, dataset: h5py.Dataset, file_number: int, decode: Decode | None) -> None:
        self._file_number, self._decode = file_number, decode
        self._shape, self._dtype = dataset.shape[1:], dataset.dtype
        self._nbytes = int(np.prod(self._shape)) * self._dtype.itemsize
        self._places: dict[int, tuple[int, int]] = {}
        dataset.id.chunk_iter(self._note)

    def read(self, row: int) -> NDArray[Any] | None:
        """One sample, or None where HDF5 must say what it is."""
        if row not in self._places:
            return None
        offset, size = self._places[row]
        out = np.empty(self._shape, self._dtype)  # noqa: TID251  all of it is written, or it is not returned
        if self._decode is None:
            return out if os.preadv(self._file_number, [out.data], offset) == size == self._nbytes else None
        content, address = _scratch(size)
        if os.preadv(self._file_number, [content], offset) != size:
            return None
        nbytes, block_nbytes, stored_nbytes = HEADER.unpack_from(content)
        if not (nbytes == self._nbytes <= block_nbytes and stored_nbytes == size - HEADER.size):
            return None
        if stored_nbytes == nbytes:
            out.data.cast("B")[:] = content[HEADER.size :]
            return out
        decoded = self._decode(address + HEADER.size, out.ctypes.data, stored_nbytes, self._nbytes)
        return out if decoded == nbytes else None

    def stored(self, row: int) -> bytes | None:
        """One sample's bytes as the lz4 filter left them; None where it did not, or HDF5 must say what they are."""
        if self._decode is None or row not in self._places:
            return None
        offset, size = self._places[row]
        content = os.pread(self._file_number, size, offset)
        return content if len(content) == size else None

    def _note(self, chunk: Any) -> None:
        if chunk.filter_mask == 0:
            self._places[chunk.chunk_offset[0]] = chunk.byte_offset, chunk.size


def chunks_of(dataset: h5py.Dataset, file_number: int) -> Chunks | None:
    """A reader of the dataset's chunks, or None where they are not of the regular kind.

    Args:
        file_number: descriptor of the open file, for positioned reads.
    """
    regular = dataset.ndim > 1 and dataset.chunks == (1, *dataset.shape[1:]) and dataset.dtype.kind in "biuf"
    pipeline = dataset.id.get_create_plist()
    filters = [pipeline.get_filter(number)[0] for number in range(pipeline.get_nfilters())]
    if not regular or not dataset.dtype.isnative or filters not in ([], [LZ4]):
        return None
    decode = lz4_function("LZ4_decompress_safe", COPYING) if filters else None
    if filters and decode is None:
        return None
    return Chunks(dataset, file_number, decode)


def _scratch(size: int) -> tuple[memoryview, int]:
    """Room for `size` bytes, and its address; the same for all reads of a thread, since making room costs most."""
    if getattr(_of_thread, "size", 0) < size:
        _of_thread.size = 2 * size
        _of_thread.room = (ctypes.c_char * _of_thread.size)()
        _of_thread.view = memoryview(_of_thread.room).cast("B")
        _of_thread.address = ctypes.addressof(_of_thread.room)
    return _of_thread.view[:size], _of_thread.address
