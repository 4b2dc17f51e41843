"""Frames on disk: one HDF5 file, one dataset per field of the table, leading axis N, one chunk per sample."""

import contextlib
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.chunk_encoding import Lz4Encoder, lz4_encoder
from pipeline.chunks import Chunks, chunks_of
from pipeline.errors import DamagedError, StageError
from pipeline.fields import FIELDS, check_fields

SCHEMA = "1.1"  # major: rebuild all data; minor: a field was added
ROW_CHECKSUMS = "row_crc32"
LARGE_BYTES = 4096  # samples below this are stored plainly: a filter would cost more than it saves


Filter = Literal["lz4", "gzip", "none"]


class FrameWriter:
    """Appends samples to one HDF5 file; every sample is checked against the field table.

    Bytes depend on the samples alone: no time, no host, no order of keyword arguments.

    Args:
        path: must not exist yet.
        attributes: texts and numbers for the file's root.
        row_checksums: whether each sample carries the checksums of its fields, as field `row_crc32`.
        filter: of the large fields; "lz4" needs hdf5plugin to read, the others come with HDF5.
    """

    def __init__(
        self,
        path: Path,
        attributes: Mapping[str, str | int | float],
        *,
        row_checksums: bool = False,
        filter: Filter = "lz4",
    ) -> None:
        self._path, self._row_checksums, self._filter = path, row_checksums, filter
        self._disk = _Disk(path, "x+")
        self._file = h5py.File(self._disk, "w")
        self._file.attrs["schema"] = SCHEMA
        for name in sorted(attributes):
            self._file.attrs[name] = attributes[name]
        self._shapes: dict[str, tuple[int, ...]] = {}  # of one sample
        self._encoders: dict[str, Lz4Encoder | None] = {}
        self.samples = 0

    def append(self, sample: Mapping[str, Any]) -> None:
        """Add one sample {field: value without the leading axis}; all samples hold the same fields."""
        arrays = {name: _with_leading_axis(name, sample[name]) for name in sorted(sample)}
        if self._row_checksums:
            sums = [row_crc32(name, array[0]) for name, array in arrays.items()]
            arrays[ROW_CHECKSUMS] = np.array([sums], np.uint32)
        check_fields(arrays, where=f"{self._path}, sample {self.samples}")
        if self.samples == 0:
            for name, array in arrays.items():
                self._create(name, array)
            if self._row_checksums:
                self._file[ROW_CHECKSUMS].attrs["columns"] = ",".join(list(arrays)[:-1])
        elif set(arrays) != set(self._shapes):
            raise ValueError(
                f"{self._path}: samples must hold {sorted(self._shapes)}, one holds {sorted(arrays)}"
            )
        for name, array in arrays.items():  # all are checked before the first is written
            shape = self._shapes[name]
            if shape != array.shape[1:]:
                raise ValueError(
                    f"{self._path}: {name} must be {shape} in every sample, is {array.shape[1:]}"
                )
        try:
            for name, array in arrays.items():
                self._write(name, array)
        finally:
            self._disk.check()  # what HDF5 says of bytes that were never written is no help
        self.samples += 1

    def stored_bytes(self) -> int:
        """Bytes on disk so far, without the file's own bookkeeping."""
        self._file.flush()
        self._disk.check()
        return sum(int(dataset.id.get_storage_size()) for dataset in self._file.values())

    def close(self) -> None:
        """Close and check the row counts; a failed write (disk full) surfaces here at the latest."""
        self._file.attrs["samples"] = self.samples
        self._file.close()
        self._disk.close()
        self._disk.check()
        with h5py.File(self._path, "r") as file:
            for name, dataset in file.items():
                if len(dataset) != self.samples:
                    raise StageError(
                        f"{self._path}: {name} must have {self.samples} rows, "
                        f"has {len(dataset)}. Build again."
                    )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            with contextlib.suppress(OSError, RuntimeError):  # the first error is the one to show
                self._file.close()
                self._disk.close()

    def _write(self, name: str, array: NDArray[Any]) -> None:
        # h5py's own look-up and resize take longer than the bytes of a small field.
        dataset = h5py.h5d.open(self._file.id, name.encode())
        dataset.set_extent((self.samples + 1, *array.shape[1:]))
        encoder = self._encoders[name]
        chunk = None if encoder is None else encoder.chunk(array)
        if chunk is None:
            h5py.Dataset(dataset)[self.samples] = array[0]
        else:
            dataset.write_direct_chunk((self.samples, *(0 for _ in array.shape[1:])), chunk)

    def _create(self, name: str, array: NDArray[Any]) -> None:
        field = FIELDS[name]
        dtype = h5py.string_dtype() if field.dtype == "str" else array.dtype
        large = field.dtype != "str" and array.nbytes >= LARGE_BYTES
        dataset = self._file.create_dataset(
            name,
            shape=(0, *array.shape[1:]),
            maxshape=(None, *array.shape[1:]),
            chunks=array.shape if large else (1024, *array.shape[1:]),
            dtype=dtype,
            **(_filter_settings(self._filter) if large else {}),
        )
        for key, text in (("unit", field.unit), ("frame", field.frame), ("invalid", field.invalid)):
            dataset.attrs[key] = text
        dataset.attrs["doc"] = field.doc
        self._shapes[name] = array.shape[1:]
        self._encoders[name] = lz4_encoder() if large and self._filter == "lz4" else None


def row_crc32(name: str, value: Any) -> int:
    """Checksum of one field of one sample, whatever filter it is stored through."""
    if FIELDS[name].dtype == "str":
        return zlib.crc32(str(value).encode())
    little = np.asarray(value).astype(np.dtype(FIELDS[name].dtype).newbyteorder("<"), order="C", copy=False)
    return zlib.crc32(little.data)


def _filter_settings(filter: Filter) -> dict[str, Any]:
    if filter == "lz4":
        import hdf5plugin

        return dict(hdf5plugin.LZ4())
    return {"compression": "gzip", "compression_opts": 1} if filter == "gzip" else {}


class _Disk(io.FileIO):
    """The file below HDF5, which never learns of a failed write: it would complain again at every close.

    After the first failure nothing more is written, and `check` raises it.
    """

    _error: OSError | None = None

    def write(self, data: Any) -> int:
        """Take all bytes; keep what went wrong for `check`."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and self._error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            if self._error is None:
                super().truncate(size)
        except OSError as error:
            self._error = error
        return size or 0

    def check(self) -> None:
        """Raise the first failure, with the file's name."""
        if self._error is not None:
            raise OSError(self._error.errno, self._error.strerror, str(self.name)) from self._error


class FrameReader:
    """Rows of one frames file, read on demand."""

    def __init__(self, path: Path) -> None:
        with contextlib.suppress(ImportError):
            import hdf5plugin  # noqa: F401  registers the filters; plain shards are read without it
        self._path = path
        # Sealed files never change: no lock is needed, and network file systems often refuse one.
        # A sample is read once an epoch, so a cache of chunks would only copy it once more.
        self._file = h5py.File(path, "r", locking=False, rdcc_nbytes=0)
        if str(self._file.attrs.get("schema", "")).split(".")[0] != SCHEMA.split(".")[0]:
            found = self._file.attrs.get("schema", "none")
            raise ValueError(f"{path}: schema must be {SCHEMA}, is {found}. Build it again.")
        self._datasets = {name: self._file[name] for name in self._file}
        self._chunks: dict[str, Chunks | None] = {}
        self._sums: dict[str, NDArray[np.uint32]] | None = None

    def __len__(self) -> int:
        return int(self._file.attrs["samples"])

    @property
    def fields(self) -> list[str]:
        return sorted(self._datasets)

    @property
    def attributes(self) -> dict[str, Any]:
        return {name: value for name, value in self._file.attrs.items()}

    def column(self, name: str) -> NDArray[Any]:
        """All rows of one field; use it for small fields only."""
        dataset = self._dataset(name)
        return np.asarray(dataset.asstr()[:] if FIELDS[name].dtype == "str" else dataset[:])

    def row(self, index: int, names: Sequence[str]) -> dict[str, Any]:
        """One sample of the named fields."""
        return {name: self._value(name, index) for name in names}

    def check_row(self, index: int, values: Mapping[str, Any]) -> None:
        """Hold fields of one sample, as `row` gave them, against their checksums.

        Raises:
            DamagedError: with file, row and field, when a value is not the one that was written.
            StageError: when the file was written without checksums.
        """
        if self._sums is None:
            self._sums = self._checksums()
        for name, value in values.items():
            if name in self._sums and row_crc32(name, value) != self._sums[name][index]:
                raise DamagedError(
                    f"{self._path}: {name}, row {index} must have crc32 {self._sums[name][index]:08x}, has "
                    f"{row_crc32(name, value):08x}: the file is damaged. Run `bodytruth verify`, then build again."
                )

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        for index in range(len(self)):
            yield self.row(index, names)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _checksums(self) -> dict[str, NDArray[np.uint32]]:
        if ROW_CHECKSUMS not in self._datasets:
            raise StageError(
                f"{self._path}: must hold {ROW_CHECKSUMS} for its rows to be verified, does not. Build it again."
            )
        columns = str(self._datasets[ROW_CHECKSUMS].attrs["columns"]).split(",")
        return dict(zip(columns, self.column(ROW_CHECKSUMS).T, strict=True))

    def _dataset(self, name: str) -> h5py.Dataset:
        if name not in self._datasets:
            raise KeyError(f"{self._path} lacks {name!r}; it holds {', '.join(self.fields)}.")
        return self._datasets[name]

    def _value(self, name: str, index: int) -> Any:
        dataset = self._dataset(name)
        if name not in self._chunks:
            self._chunks[name] = chunks_of(dataset, self._file.id.get_vfd_handle())
        chunks = self._chunks[name]
        try:
            sample = None if chunks is None else chunks.read(index)
            if sample is not None:
                return sample
            return dataset.asstr()[index] if FIELDS[name].dtype == "str" else dataset[index]
        except OSError as error:
            raise DamagedError(
                f"{self._path}: {name}, row {index} must be readable, is not ({error}). "
                "Install hdf5plugin if its lz4 filter is missing; else the file is damaged: run "
                "`bodytruth verify`, then build again."
            ) from error


def _with_leading_axis(name: str, value: Any) -> NDArray[Any]:
    field = FIELDS.get(name)
    if field is not None and field.dtype == "str":
        return np.array([value], dtype=object)
    return np.asarray(value)[None]
