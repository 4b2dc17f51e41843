"""Random access to shards, one worker, against the other ways to keep the same samples. A script prints a table.

A sample is image, depth, base, detail, normal and mask at 256 x 256 px: a person over an eighth of a noisy image,
0 elsewhere. Each way gives writable arrays of its own; each opens its files once and keeps them. Ways take turns,
the median round counts. A tar file can only be read from front to back, which is what it is given.

A round is cold when its files are in no page cache; whether they left it is asked, not assumed.
"""

import importlib.util
import io
import json
import os
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.export import export_dataset
from pipeline.shards import ShardReader, pack_capture

Row = dict[str, Any]
Sample = dict[str, NDArray[Any]]

FIELDS = ("image", "depth_m", "base_m", "detail_m", "normal", "mask")
SIZE_PX, COUNT = 256, 96
WARM, COLD = "warm cache", "cold cache"


def rows(*, rounds: int = 15) -> list[Row]:
    """All rows of the benchmark `loader`, in samples/s, and the size of the files."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        files = _write_all(place)
        found = {WARM: _warm(place, rounds), COLD: _cold(place, files, min(rounds, 3))}
        size = {name: sum(path.stat().st_size for path in paths) for name, paths in files.items()}
    loader, verified = "random access, one worker", "random access, one worker, rows verified"
    return [
        _row(f"{loader}, {WARM}", found[WARM], "shards", "memmap", 0.6),
        _row(f"{loader}, {COLD}", found[COLD], "shards", "memmap", 1.0),
        _row(f"{loader}, {WARM}", found[WARM], "shards", "webdataset", 2.0),
        _row(f"{loader}, {WARM}", found[WARM], "shards", "tar of npy", 2.0),
        _row(f"{loader}, {WARM}", found[WARM], "shards", "npz per sample", 3.0),
        _row(f"{loader}, {COLD}", found[COLD], "shards", "npz per sample", 3.0),
        _row(f"{verified}, {WARM}", found[WARM], "verified", "shards", None),
        _size_row(size["shards"] / size["memmap"]),
    ]


def _warm(place: Path, rounds: int) -> dict[str, float | None]:
    order = np.random.default_rng(0).permutation(COUNT)
    ways = _ways(place)
    for way in ways.values():
        _consume(way(order))
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(_rate(way, order))
    return {name: statistics.median(found) for name, found in rates.items()}


def _cold(place: Path, files: dict[str, list[Path]], rounds: int) -> dict[str, float | None]:
    order = np.random.default_rng(1).permutation(COUNT)
    rates: dict[str, list[float | None]] = {name: [] for name in files}
    for _ in range(rounds):
        for name, paths in files.items():
            # Opened anew in every round: pages that are mapped stay in the cache.
            rates[name].append(_rate(_ways(place)[name], order) if _dropped(paths) else None)
    return {
        name: None if None in found else statistics.median(rate for rate in found if rate is not None)
        for name, found in rates.items()
    }


def _rate(way: Callable[[NDArray[Any]], Iterator[Sample]], order: NDArray[Any]) -> float:
    start = time.perf_counter()
    _consume(way(order))
    return len(order) / (time.perf_counter() - start)


def _consume(samples: Iterator[Sample]) -> None:
    for sample in samples:
        if any(name not in sample for name in FIELDS):
            raise ValueError(f"bench loader: a sample must hold {FIELDS}, holds {list(sample)}")


def _ways(place: Path) -> dict[str, Callable[[NDArray[Any]], Iterator[Sample]]]:
    """How each way gives samples in an order."""
    reader = ShardReader(place, split="train", fields=FIELDS)
    verified = ShardReader(place, split="train", fields=FIELDS, verify_rows=True)
    records = np.memmap(place / "records.bin", _record(), mode="r")
    ways = {
        "shards": lambda order: (reader[index] for index in order),
        "verified": lambda order: (verified[index] for index in order),
        "memmap": lambda order: (
            {name: np.array(records[index][name]) for name in FIELDS} for index in order
        ),
        "tar of npy": lambda order: _from_tar(sorted(place.glob("tar/train/*"))),
        "npz per sample": lambda order: _from_npz(place, order),
    }
    if importlib.util.find_spec("webdataset"):
        ways["webdataset"] = lambda order: _from_webdataset(sorted(place.glob("tar/train/*")))
    return ways


def _from_npz(place: Path, order: NDArray[Any]) -> Iterator[Sample]:
    for index in order:
        with np.load(place / "npz" / "train" / f"train-00000-{index:06d}.npz", allow_pickle=False) as file:
            yield {name: file[name] for name in FIELDS}


def _from_tar(paths: list[Path]) -> Iterator[Sample]:
    for path in paths:
        sample: Sample = {}
        with tarfile.open(path, "r|") as tar:
            for member in tar:
                name = member.name.split(".")[1]
                if name == "json":  # the last of a sample
                    yield sample
                    sample = {}
                elif name in FIELDS:
                    content = tar.extractfile(member)
                    assert content is not None
                    sample[name] = np.lib.format.read_array(io.BytesIO(content.read()))


def _from_webdataset(paths: list[Path]) -> Iterator[Sample]:
    import webdataset

    samples = webdataset.WebDataset([str(path) for path in paths], shardshuffle=False).decode()
    return ({name: sample[f"{name}.npy"] for name in FIELDS} for sample in samples)


def _write_all(place: Path) -> dict[str, list[Path]]:
    """The same samples in every form; the files of each."""
    (place / "shards").mkdir()
    samples = [_sample(index) for index in range(COUNT)]
    entries = pack_capture(
        samples, place / "shards", names=iter(["train-00000.h5"]), shard_bytes=10**10, fingerprint="bench"
    )
    index = {
        "schema": "1.1",
        "fields": dict.fromkeys(FIELDS, {}),
        "splits": {"train": {"samples": COUNT}},
        "shards": [{**entry, "split": "train", "captures": ["bench"]} for entry in entries],
    }
    (place / "dataset.json").write_text(json.dumps(index))
    records = np.zeros(COUNT, _record())
    for number, sample in enumerate(samples):
        for name in FIELDS:
            records[number][name] = sample[name]
    records.tofile(place / "records.bin")
    export_dataset(place, place / "tar", format="tar", filter="none")
    export_dataset(place, place / "npz", format="npz", filter="none")
    return {
        "shards": [place / entry["path"] for entry in entries],
        "memmap": [place / "records.bin"],
        "npz per sample": sorted(place.glob("npz/train/*")),
    }


def _record() -> np.dtype[Any]:
    return np.dtype([(name, array.dtype, array.shape) for name, array in _sample(0).items()])


def _sample(index: int) -> Sample:
    """A wrinkled ellipsoid, its values as irregular in the last bits as measured ones."""
    rng = np.random.default_rng(index)
    v, u = np.indices((SIZE_PX, SIZE_PX)) - (SIZE_PX - 1) / 2
    square = ((u - rng.uniform(-30, 30)) / 32) ** 2 + (v / 84) ** 2
    mask = square < 1
    base_m = np.where(mask, -0.2 * np.sqrt(np.maximum(1 - square, 0)), 0)
    detail_m = np.where(
        mask, 0.008 * np.sin(u / 4 + np.sin(v / 9 + index)) + rng.normal(0, 1e-4, mask.shape), 0
    )
    normal = np.stack([square * u / 32, square * v / 84, -np.ones_like(u)], axis=-1) + detail_m[..., None]
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = 90 + 0.3 * u[..., None] + 60 * normal * mask[..., None] + rng.normal(0, 2, (SIZE_PX, SIZE_PX, 3))
    return {
        "image": np.clip(light, 0, 255).astype(np.uint8),
        "depth_m": np.where(mask, 2 + base_m + detail_m, 0).astype(np.float32),
        "base_m": base_m.astype(np.float32),
        "detail_m": detail_m.astype(np.float32),
        "normal": np.where(mask[..., None], normal, 0).astype(np.float32),
        "mask": mask,
    }


def _dropped(paths: list[Path]) -> bool:
    """Put files out of the page cache; False where they stay."""
    if sys.platform != "linux":
        return False
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            if _is_cached(handle, os.fstat(handle).st_size):
                return False
        finally:
            os.close(handle)
    return True


def _is_cached(handle: int, size: int) -> bool:
    for offset in np.linspace(0, size - 1, 9).astype(int).tolist():
        try:
            if os.preadv(handle, [bytearray(1)], offset, os.RWF_NOWAIT):
                return True
        except BlockingIOError:  # it would have to wait for the disk
            continue
        except OSError:  # a file system that cannot tell
            return True
    return False


def _row(name: str, rates: dict[str, float | None], ours: str, peer: str, least: float | None) -> Row:
    """Samples/s beside a peer's; ratio = ours / peer's. What was not measured is null."""
    value, peer_value = rates.get(ours), rates.get(peer)
    ratio = None if value is None or peer_value is None else value / peer_value
    return {
        "name": f"{name} / {peer}",
        "value": value,
        "unit": "samples/s",
        "peer": peer,
        "peer_value": peer_value,
        "ratio": ratio,
        "target": None if least is None else f"ratio >= {least:g}",
        "holds": None if ratio is None or least is None else ratio >= least,
    }


def _size_row(share: float) -> Row:
    return {
        "name": "size of shards / uncompressed",
        "value": share,
        "unit": "1",
        "peer": "memmap",
        "peer_value": 1.0,
        "ratio": share,
        "target": "<= 0.5",
        "holds": share <= 0.5,
    }


def table(found: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [f"{'':76} {'ours':>8} {'peer':>8} {'unit':9} {'ratio':>6}  target / holds"]
    for row in found:
        figures = ["-" if row[key] is None else f"{row[key]:.4g}" for key in ("value", "peer_value", "ratio")]
        text = f"{figures[0]:>8} {figures[1]:>8} {row['unit']:9} {figures[2]:>6}"
        lines.append(f"{row['name']:76} {text}  {row['target']} / {row['holds']}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table(rows()) + "\n")
