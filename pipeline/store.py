"""Frames on disk: one HDF5 file, one dataset per field of the table, leading axis N, one chunk per sample."""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DamagedError, StageError
from pipeline.fields import FIELDS, check_fields

SCHEMA = "1.0"  # major: rebuild all data; minor: a field was added
LARGE_BYTES = 4096  # samples below this are stored plainly: a filter would cost more than it saves


class FrameWriter:
    """Appends samples to one HDF5 file; every sample is checked against the field table.

    Bytes depend on the samples alone: no time, no host, no order of keyword arguments.

    Args:
        path: must not exist yet.
        attributes: texts and numbers for the file's root.
    """

    def __init__(self, path: Path, attributes: Mapping[str, str | int | float]) -> None:
        self._path = path
        self._disk = _Disk(path, "x+")
        self._file = h5py.File(self._disk, "w")
        self._file.attrs["schema"] = SCHEMA
        for name in sorted(attributes):
            self._file.attrs[name] = attributes[name]
        self.samples = 0

    def append(self, sample: Mapping[str, Any]) -> None:
        """Add one sample {field: value without the leading axis}; all samples hold the same fields."""
        arrays = {name: _with_leading_axis(name, sample[name]) for name in sorted(sample)}
        check_fields(arrays, where=f"{self._path}, sample {self.samples}")
        if self.samples == 0:
            for name, array in arrays.items():
                self._create(name, array)
        elif set(arrays) != set(self._file):
            raise ValueError(
                f"{self._path}: samples must hold {sorted(self._file)}, one holds {sorted(arrays)}"
            )
        for name, array in arrays.items():  # all are checked before the first is written
            shape = self._file[name].shape[1:]
            if shape != array.shape[1:]:
                raise ValueError(
                    f"{self._path}: {name} must be {shape} in every sample, is {array.shape[1:]}"
                )
        try:
            for name, array in arrays.items():
                self._file[name].resize(self.samples + 1, axis=0)
                self._file[name][self.samples] = array[0]
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

    def _create(self, name: str, array: NDArray[Any]) -> None:
        import hdf5plugin

        field = FIELDS[name]
        dtype = h5py.string_dtype() if field.dtype == "str" else array.dtype
        large = field.dtype != "str" and array.nbytes >= LARGE_BYTES
        dataset = self._file.create_dataset(
            name,
            shape=(0, *array.shape[1:]),
            maxshape=(None, *array.shape[1:]),
            chunks=array.shape if large else (1024, *array.shape[1:]),
            dtype=dtype,
            **(hdf5plugin.LZ4() if large else {}),
        )
        for key, text in (("unit", field.unit), ("frame", field.frame), ("invalid", field.invalid)):
            dataset.attrs[key] = text
        dataset.attrs["doc"] = field.doc


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
        self._file = h5py.File(path, "r", locking=False)
        if str(self._file.attrs.get("schema", "")).split(".")[0] != SCHEMA.split(".")[0]:
            found = self._file.attrs.get("schema", "none")
            raise ValueError(f"{path}: schema must be {SCHEMA}, is {found}. Build it again.")
        self._datasets = {name: self._file[name] for name in self._file}

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

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        for index in range(len(self)):
            yield self.row(index, names)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _dataset(self, name: str) -> h5py.Dataset:
        if name not in self._datasets:
            raise KeyError(f"{self._path} lacks {name!r}; it holds {', '.join(self.fields)}.")
        return self._datasets[name]

    def _value(self, name: str, index: int) -> Any:
        dataset = self._dataset(name)
        try:
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
