"""Frames on disk: one HDF5 file, one dataset per field of the table, leading axis N, one chunk per sample."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from pipeline.chunk_encoding import lz4_encoder
from pipeline.chunks import Chunks, chunks_of
from pipeline.disk import Disk
from pipeline.errors import DamagedError, StageError
from pipeline.fields import FIELDS
from pipeline.prepared import ROW_CHECKSUMS, Prepared, is_large, prepare, row_crc32

__all__ = ["ROW_CHECKSUMS", "SCHEMA", "FrameReader", "FrameWriter", "row_crc32"]

SCHEMA = "1.1"  # major: rebuild all data; minor: a field was added
SMALL_ROWS = 1024  # samples of a small field that share a chunk


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
        self._disk = Disk(path, "x+")
        self._file = h5py.File(self._disk, "w")
        self._file.attrs["schema"] = SCHEMA
        for name in sorted(attributes):
            self._file.attrs[name] = attributes[name]
        self._encoder = lz4_encoder() if filter == "lz4" else None
        self._datasets: dict[str, h5py.Dataset] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}  # of one sample
        self._small: dict[str, list[NDArray[Any]]] = {}  # rows that are still to be written, by field
        self._chunk_bytes = 0  # of all large fields so far
        self._row_bytes = 0  # of all small fields, a sample
        self.samples = 0

    def prepare(self, sample: Mapping[str, Any], chunks: Mapping[str, bytes] | None = None) -> Prepared:
        """Check and encode one sample {field: value without the leading axis}; any thread may, at any time.

        Args:
            chunks: those of the large fields that are at hand already, as `FrameReader.chunks` gave them.

        Raises:
            ValueError: for what is not as the field table says.
        """
        return prepare(
            sample,
            encoder=self._encoder,
            row_checksums=self._row_checksums,
            chunks=chunks or {},
            where=f"{self._path}, sample {self.samples}",
        )

    def append(self, sample: Mapping[str, Any] | Prepared) -> None:
        """Add one sample, as it is or prepared; all samples hold the same fields."""
        prepared = sample if isinstance(sample, Prepared) else self.prepare(sample)
        arrays = prepared.arrays
        if self.samples == 0:
            for name, array in arrays.items():
                self._create(name, array)
            if self._row_checksums:
                self._datasets[ROW_CHECKSUMS].attrs["columns"] = ",".join(list(arrays)[:-1])
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
                if name in self._small:
                    self._small[name].append(array)
                else:
                    self._write_large(name, array, prepared.chunks.get(name))
            self.samples += 1
            if self.samples % SMALL_ROWS == 0:
                self._write_small()
        finally:
            self._disk.check()  # what HDF5 says of bytes that were never written is no help

    def stored_bytes(self) -> int:
        """Bytes that the datasets take on disk, with a whole chunk's room for each begun one of a small field."""
        begun = -(-self.samples // SMALL_ROWS) * SMALL_ROWS
        return self._chunk_bytes + begun * self._row_bytes

    def close(self) -> None:
        """Close and check the row counts; a failed write (disk full) surfaces here at the latest."""
        self._write_small()
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

    def _write_large(self, name: str, array: NDArray[Any], chunk: bytes | None) -> None:
        dataset = self._datasets[name]
        dataset.id.set_extent((self.samples + 1, *array.shape[1:]))
        if chunk is None:
            dataset[self.samples] = array[0]
            dataset.flush()  # chunks lie in the file in the order of samples and fields, whoever encodes
            self._chunk_bytes += dataset.id.get_chunk_info(self.samples).size
        else:
            dataset.id.write_direct_chunk((self.samples, *(0 for _ in array.shape[1:])), chunk)
            self._chunk_bytes += len(chunk)

    def _write_small(self) -> None:
        """Write the rows that wait: one by one, HDF5's look-ups would take longer than their bytes."""
        for name, rows in self._small.items():
            if rows:
                dataset = self._datasets[name]
                dataset.resize(self.samples, axis=0)
                dataset[self.samples - len(rows) :] = np.concatenate(rows)
                rows.clear()

    def _create(self, name: str, array: NDArray[Any]) -> None:
        field, large = FIELDS[name], is_large(name, array)
        dataset = self._file.create_dataset(
            name,
            shape=(0, *array.shape[1:]),
            maxshape=(None, *array.shape[1:]),
            chunks=array.shape if large else (SMALL_ROWS, *array.shape[1:]),
            dtype=h5py.string_dtype() if field.dtype == "str" else array.dtype,
            **(_filter_settings(self._filter) if large else {}),
        )
        for key, text in (("unit", field.unit), ("frame", field.frame), ("invalid", field.invalid)):
            dataset.attrs[key] = text
        dataset.attrs["doc"] = field.doc
        self._datasets[name], self._shapes[name] = dataset, array.shape[1:]
        if not large:
            self._small[name] = []
            self._row_bytes += 16 if field.dtype == "str" else array.nbytes  # a text's length and place


def _filter_settings(filter: Filter) -> dict[str, Any]:
    if filter == "lz4":
        import hdf5plugin

        return dict(hdf5plugin.LZ4())
    return {"compression": "gzip", "compression_opts": 1} if filter == "gzip" else {}


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

    def chunks(self, index: int, names: Sequence[str]) -> dict[str, bytes]:
        """The encoded bytes of those of the fields that `FrameWriter.prepare` can take as they are."""
        found = {
            name: chunks.stored(index) for name in names if (chunks := self._chunks_of(name)) is not None
        }
        return {name: chunk for name, chunk in found.items() if chunk is not None}

    def is_small(self, name: str) -> bool:
        """Whether many samples of a field share a chunk, so that `column` reads them at once."""
        return bool(self._dataset(name).chunks[0] > 1)

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

    def _chunks_of(self, name: str) -> Chunks | None:
        if name not in self._chunks:
            self._chunks[name] = chunks_of(self._dataset(name), self._file.id.get_vfd_handle())
        return self._chunks[name]

    def _value(self, name: str, index: int) -> Any:
        dataset, chunks = self._dataset(name), self._chunks_of(name)
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
