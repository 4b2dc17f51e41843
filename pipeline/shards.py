"""Shards: samples packed into HDF5 files by split, and their index `dataset.json`, written last."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.checksums import describe_file
from pipeline.errors import DamagedError, InputError
from pipeline.prepared import Prepared
from pipeline.store import SCHEMA, FrameReader, FrameWriter
from pipeline.subsets import Subset, passing_rows

INDEX = "dataset.json"
OPEN_SHARDS = 128  # of a dataset of thousands; a process may often hold no more than 1,024 files


def pack_capture(
    samples: Iterable[Mapping[str, Any] | Prepared],
    folder: Path,
    *,
    names: Iterator[str],
    shard_bytes: int,
    fingerprint: str,
) -> list[dict[str, Any]]:
    """Write one capture's samples into as many shards as they need; a shard never holds two captures.

    So a capture that changes or joins moves no other capture's bytes.

    Args:
        samples: as they are, or prepared with their checksums.
        folder: where the shards go.
        names: gives the next shard's file name, such as `test-00003.h5`.
        shard_bytes: a shard is closed once its datasets hold this much on disk.
        fingerprint: of everything that the capture's samples depend on.

    Returns:
        One index entry a shard: path, bytes, sha256, samples, fingerprint.
    """
    entries: list[dict[str, Any]] = []
    writer: FrameWriter | None = None
    path = folder
    for sample in samples:
        if writer is None:
            path = folder / next(names)
            part = f"{fingerprint}-{len(entries)}"
            attributes = {"fingerprint": part, "generator": generator()}
            writer = FrameWriter(path, attributes, row_checksums=True)
        writer.append(sample)
        if writer.stored_bytes() >= shard_bytes:
            entries.append(_close(writer, path, f"{fingerprint}-{len(entries)}"))
            writer = None
    if writer is not None:
        entries.append(_close(writer, path, f"{fingerprint}-{len(entries)}"))
    return entries


def link_capture(
    before: Sequence[Mapping[str, Any]], version: Path, folder: Path, names: Iterator[str]
) -> list[dict[str, Any]] | None:
    """Hard-link one capture's unchanged shards from an earlier version; None if a byte of them differs."""
    sources = [version / entry["path"] for entry in before]
    for source, entry in zip(sources, before, strict=True):
        if not source.is_file() or describe_file(source, sync=False)["sha256"] != entry["sha256"]:
            return None
    entries = []
    for source, entry in zip(sources, before, strict=True):
        path = folder / next(names)
        try:
            os.link(source, path)
        except OSError:  # a file system without links, or with too many of them
            shutil.copy2(source, path)
        entries.append({**entry, "path": f"shards/{path.name}"})
    return entries


def generator() -> str:
    """This software's name and version, as it stands in every shard."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"bodytruth {version('bodytruth')}"
    except PackageNotFoundError:  # a bare source tree
        import tomllib

        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
        return f"bodytruth {project['version']}"


def read_index(path: Path) -> dict[str, Any]:
    """Read a dataset.json, given itself or the folder that holds it.

    Raises:
        InputError: when it is missing, unreadable or of another schema major.
    """
    file = path / INDEX if path.is_dir() else path
    try:
        index: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        raise InputError(
            "index-missing", f"{file}: must be a dataset's index, is not there. Build the dataset first."
        ) from None
    except ValueError as error:
        raise InputError(
            "index-malformed", f"{file}: must be JSON, is not ({error}). Build the dataset again."
        ) from error
    if str(index.get("schema", "")).split(".")[0] != SCHEMA.split(".")[0]:
        raise InputError(
            "index-schema",
            f"{file}: schema must be {SCHEMA}, is {index.get('schema')}. Build it again with this version.",
        )
    return index


def open_shard(folder: Path, entry: Mapping[str, Any]) -> FrameReader:
    """Open one shard of a dataset version by its index entry.

    Raises:
        DamagedError: when it is missing or has another size.
    """
    path = folder / entry["path"]
    size = path.stat().st_size if path.is_file() else None
    if size != entry["bytes"]:
        found = "is missing" if size is None else f"has {size}"
        raise DamagedError(
            f"{path}: must have {entry['bytes']} bytes, {found}. Run `bodytruth verify`, then build again."
        )
    return FrameReader(path)


EVERYTHING = Subset()


class ShardReader:
    """Random access to one split's samples; files are opened on first use, once per process.

    Args:
        dataset: folder of a dataset version, or its dataset.json.
        fields: only these are read.
        subset: which of the split's samples there are; unless it is all of them, every shard is opened now.
        verify_rows: hold every value that is read against its checksum, which costs 0.3 ms for a
            sample of 2 MB.

    Raises:
        InputError: without an index, for an unknown split, when a field is not in the shards, or when the subset
            leaves no sample.
        DamagedError: at the first read of a shard that is missing or has another size than its index entry, or of
            a row that is not what was written.
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
        # A reader keeps its version, so the links are followed once: `current` may be switched at any time.
        self._folder = (dataset / INDEX if dataset.is_dir() else dataset).resolve().parent
        index = read_index(self._folder)
        if split not in index["splits"]:
            raise InputError(
                "split-missing",
                f"{dataset}: split must be one of {', '.join(index['splits'])}, is {split!r}.",
            )
        lacking = sorted(set(fields) - set(index["fields"]))
        if lacking:
            raise InputError(
                "field-missing",
                f"{dataset}: fields must be in the shards, {', '.join(lacking)} are not. "
                f"They hold {', '.join(index['fields'])}.",
            )
        self.fields = list(fields)
        self._verify_rows = verify_rows
        self._shards = [entry for entry in index["shards"] if entry["split"] == split]
        self._open: dict[int, FrameReader] = {}
        self._process = os.getpid()
        self._places = [
            (shard, row)
            for shard, entry in enumerate(self._shards)
            for row in (range(entry["samples"]) if subset.is_all else self._passing(shard, subset))
        ]
        if not self._places and not subset.is_all:
            raise InputError(
                "subset-empty",
                f"{dataset}: {subset} must leave samples of split {split!r}, leaves none. Widen it.",
            )

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        shard, row = self._places[index]
        reader = self._reader(shard)
        sample = reader.row(row, self.fields)
        if self._verify_rows:
            reader.check_row(row, sample)
        return sample

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}

    def _passing(self, shard: int, subset: Subset) -> list[int]:
        # Not by `_reader`: what the subset leaves out need not bring the fields asked for.
        with open_shard(self._folder, self._shards[shard]) as reader:
            rows: list[int] = passing_rows(reader, subset).tolist()
        return rows

    def _reader(self, shard: int) -> FrameReader:
        if self._process != os.getpid():  # forked: handles of the parent are not ours
            self._open, self._process = {}, os.getpid()
        if shard not in self._open:
            if len(self._open) >= OPEN_SHARDS:
                self._open.pop(next(iter(self._open))).close()
            self._open[shard] = self._opened(self._shards[shard])
        return self._open[shard]

    def _opened(self, entry: Mapping[str, Any]) -> FrameReader:
        reader = open_shard(self._folder, entry)
        lacking = sorted(set(self.fields) - set(reader.fields))
        if lacking:  # captures differ in what they bring: depth without colour, a picture without depth
            reader.close()
            raise InputError(
                "field-missing",
                f"{self._folder}: every sample must bring the fields asked for, {', '.join(lacking)} of "
                f"{', '.join(entry['captures'])} are not there. Leave the capture out by a subset.",
            )
        return reader


def _close(writer: FrameWriter, path: Path, fingerprint: str) -> dict[str, Any]:
    writer.close()
    described = describe_file(path)
    return {
        "path": f"shards/{path.name}",
        "bytes": described["bytes"],
        "sha256": described["sha256"],
        "samples": writer.samples,
        "fingerprint": fingerprint,
    }
