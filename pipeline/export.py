"""A built dataset in other clothes: shards that any HDF5 reads, WebDataset's tar files, or one npz a sample."""

import gzip
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.checksums import describe_file
from pipeline.errors import InputError
from pipeline.shards import INDEX, open_shard, read_index
from pipeline.store import ROW_CHECKSUMS, FrameReader, FrameWriter

Format = Literal["shards", "tar", "npz"]
PlainFilter = Literal["gzip", "none"]
EXPORT_INDEX = "export.json"  # not dataset.json: what it lists are no shards
BESIDE = ("CARD.md", "quarantine.csv")


def export_dataset(dataset: Path, out: Path, *, format: Format, filter: PlainFilter) -> dict[str, Any]:
    """Write all splits of a dataset anew; the same dataset gives the same bytes.

    "shards" gives a dataset as before, but without the lz4 filter, so that nothing beyond HDF5 is needed. "tar"
    gives a tar file a shard in WebDataset's layout: arrays as KEY.FIELD.npy, numbers and texts in KEY.json. "npz"
    gives SPLIT/KEY.npz. Every value is held against its checksum on the way.

    Args:
        dataset: folder of a dataset version, or its dataset.json.
        out: the folder to make; it must not exist, and appears only when all is written.
        filter: "gzip" compresses large fields of shards, whole tar files, members of npz files.

    Returns:
        The index that stands in `out`: as dataset.json, with the files that were written for shards.

    Raises:
        InputError: without an index, or when `out` exists.
        DamagedError: when a shard is missing or damaged.
    """
    folder = (dataset / INDEX if dataset.is_dir() else dataset).resolve().parent
    index = read_index(folder)
    if out.exists():
        raise InputError("out-exists", f"{out}: must not exist, does. Name another folder or move it away.")
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".part-{out.name}")
    shutil.rmtree(part, ignore_errors=True)  # of an export that was killed
    try:
        part.mkdir()
        written = _written(folder, index, part, format, filter)
        for name in BESIDE:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, part / name)
        name = INDEX if format == "shards" else EXPORT_INDEX
        (part / name).write_text(json.dumps(written, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(part, out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return written


def _written(
    folder: Path, index: Mapping[str, Any], part: Path, format: Format, filter: PlainFilter
) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    fields = [name for name in index["fields"] if format == "shards" or name != ROW_CHECKSUMS]
    for entry in index["shards"]:
        with open_shard(folder, entry) as reader:
            if format == "shards":
                paths = [_write_shard(reader, part / entry["path"], filter)]
            elif format == "tar":
                paths = [_write_tar(reader, part / entry["split"], Path(entry["path"]).stem, filter)]
            else:
                paths = _write_npz(reader, part / entry["split"], Path(entry["path"]).stem, filter)
        entries += [
            {**entry, **_described(path, part), "samples": entry["samples"] // len(paths)} for path in paths
        ]
    splits: dict[str, Any] = {split: dict(facts) for split, facts in index["splits"].items()}
    for split, facts in splits.items():
        facts["shards"] = [entry["path"] for entry in entries if entry["split"] == split]
    return {
        **index,
        "export": {"format": format, "filter": filter},
        "fields": {name: index["fields"][name] for name in fields},
        "splits": splits,
        "shards": entries,
    }


def _described(path: Path, part: Path) -> dict[str, Any]:
    described = describe_file(path)
    return {
        "path": path.relative_to(part).as_posix(),
        "bytes": described["bytes"],
        "sha256": described["sha256"],
    }


def _samples(reader: FrameReader) -> Iterator[dict[str, Any]]:
    names = [name for name in reader.fields if name != ROW_CHECKSUMS]
    for row, sample in enumerate(reader.rows(names)):
        if ROW_CHECKSUMS in reader.fields:
            reader.check_row(row, sample)
        yield sample


def _write_shard(reader: FrameReader, path: Path, filter: PlainFilter) -> Path:
    path.parent.mkdir(exist_ok=True)
    attributes = {key: reader.attributes[key] for key in ("fingerprint", "generator")}
    with FrameWriter(path, attributes, row_checksums=True, filter=filter) as writer:
        for sample in _samples(reader):
            writer.append(sample)
    return path


def _write_npz(reader: FrameReader, folder: Path, stem: str, filter: PlainFilter) -> list[Path]:
    folder.mkdir(exist_ok=True)
    save = np.savez_compressed if filter == "gzip" else np.savez
    paths = []
    for row, sample in enumerate(_samples(reader)):
        paths.append(folder / f"{stem}-{row:06d}.npz")
        save(paths[-1], **{name: np.asarray(value) for name, value in sample.items()})
    return paths


def _write_tar(reader: FrameReader, folder: Path, stem: str, filter: PlainFilter) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{stem}.tar{'.gz' if filter == 'gzip' else ''}"
    with path.open("wb") as file:
        if filter == "none":
            _fill_tar(reader, file, stem)
        else:
            # Neither time nor name in the header, so that equal content is equal bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=1) as packed:
                _fill_tar(reader, packed, stem)
    return path


def _fill_tar(reader: FrameReader, file: IO[bytes] | gzip.GzipFile, stem: str) -> None:
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        for row, sample in enumerate(_samples(reader)):
            key = f"{stem}-{row:06d}"
            small = {
                name: value for name, value in sample.items() if isinstance(value, str) or not value.ndim
            }
            for name in sorted(sample.keys() - small.keys()):
                _add(tar, f"{key}.{name}.npy", _npy(sample[name]))
            plain = {name: value if isinstance(value, str) else value.item() for name, value in small.items()}
            _add(tar, f"{key}.json", json.dumps(plain, sort_keys=True, allow_nan=False).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # of no owner, at time 0
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
