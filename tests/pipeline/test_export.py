"""What is exported is what was built, to the last bit, in every format."""

import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import DamagedError, InputError
from pipeline.export import export_dataset
from pipeline.shards import ShardReader, pack_capture

ROOT = Path(__file__).resolve().parents[2]
COUNTS = {"train": 4, "test": 2}
SIZE = 48


def stored(split: str, row: int) -> dict:
    rng = np.random.default_rng([len(split), row])
    mask = rng.random((SIZE, SIZE)) < 0.5
    return {
        "capture": f"zoë.{split}",
        "subject": "zoë",
        "frame": np.int32(10 * row),
        "timestamp_s": np.float64(row / 3),
        "depth_median_m": np.float32(rng.random()),
        "K": rng.random((3, 3)),
        "mask": mask,
        "depth_m": np.where(mask, rng.random((SIZE, SIZE), dtype=np.float32), 0),
        "image": rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8),
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Two splits, several shards."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "shards").mkdir()
    (folder / "CARD.md").write_text("# a card\n")
    entries = []
    for split, count in COUNTS.items():
        packed = pack_capture(
            (stored(split, row) for row in range(count)),
            folder / "shards",
            names=iter(f"{split}-{number:05d}.h5" for number in range(9)),
            shard_bytes=40_000,
            fingerprint="abc",
        )
        entries += [{**entry, "split": split, "captures": [split]} for entry in packed]
    assert len(entries) > 2
    index = {
        "schema": "1.1",
        "name": "small",
        "fingerprint": "0123456789abcdef",
        "fields": {name: {} for name in [*stored("train", 0), "row_crc32"]},
        "splits": {split: {"samples": count, "shards": []} for split, count in COUNTS.items()},
        "shards": entries,
    }
    (folder / "dataset.json").write_text(json.dumps(index))
    return folder


def assert_stored(found: dict, split: str, row: int) -> None:
    expected = stored(split, row)
    assert set(found) == set(expected)
    for name, value in expected.items():
        if isinstance(value, str):
            assert str(found[name]) == value
            continue
        assert (np.shape(found[name]), np.asarray(found[name]).dtype) == (np.shape(value), value.dtype), name
        np.testing.assert_array_equal(found[name], value)


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("filter", ["gzip", "none"])
@pytest.mark.parametrize("format", ["shards", "tar", "npz"])
def test_same_dataset_gives_the_same_bytes_and_an_index_of_them(dataset, tmp_path, format, filter):
    index = export_dataset(dataset, tmp_path / "one", format=format, filter=filter)
    export_dataset(dataset / "dataset.json", tmp_path / "deep" / "two", format=format, filter=filter)
    found = digests(tmp_path / "one")
    assert found == digests(tmp_path / "deep" / "two")
    name = "dataset.json" if format == "shards" else "export.json"
    assert json.loads((tmp_path / "one" / name).read_text()) == index
    assert {entry["path"]: entry["sha256"] for entry in index["shards"]} == {
        path: digest for path, digest in found.items() if path not in (name, "CARD.md")
    }
    assert index["fingerprint"] == "0123456789abcdef" and "CARD.md" in found
    for split, count in COUNTS.items():
        mine = [entry for entry in index["shards"] if entry["split"] == split]
        assert sum(entry["samples"] for entry in mine) == count
        assert index["splits"][split]["shards"] == [entry["path"] for entry in mine]


@pytest.mark.parametrize("filter", ["gzip", "none"])
def test_exported_shards_hold_the_same_samples_through_a_plain_filter(dataset, tmp_path, filter):
    export_dataset(dataset, tmp_path / "out", format="shards", filter=filter)
    for split, count in COUNTS.items():
        reader = ShardReader(tmp_path / "out", split=split, fields=list(stored(split, 0)), verify_rows=True)
        assert len(reader) == count
        for row in range(count):
            assert_stored(reader[row], split, row)
    with h5py.File(next((tmp_path / "out" / "shards").iterdir()), locking=False) as file:
        assert file["image"].compression == (None if filter == "none" else "gzip")
        assert not file["image"].is_virtual and file.attrs["fingerprint"].startswith("abc")


WITHOUT_PLUGIN = """
import sys
sys.modules["hdf5plugin"] = None
from pathlib import Path
from pipeline.shards import ShardReader
reader = ShardReader(Path({out!r}), split="train", fields=["image"])
print(int(reader[3]["image"].sum()))
"""


def test_exported_shards_are_read_without_the_lz4_plugin(dataset, tmp_path):
    export_dataset(dataset, tmp_path / "out", format="shards", filter="gzip")
    code = WITHOUT_PLUGIN.format(out=str(tmp_path / "out"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == [str(int(stored("train", 3)["image"].sum()))], done.stderr


@pytest.mark.parametrize("filter", ["gzip", "none"])
def test_tar_files_are_in_webdatasets_layout(dataset, tmp_path, filter):
    index = export_dataset(dataset, tmp_path / "out", format="tar", filter=filter)
    rows = dict.fromkeys(COUNTS, 0)
    for entry in index["shards"]:
        samples: dict[str, dict] = {}
        if filter == "gzip":  # neither flags nor time in the header
            assert (tmp_path / "out" / entry["path"]).read_bytes()[:8] == b"\x1f\x8b\x08" + bytes(5)
        with tarfile.open(tmp_path / "out" / entry["path"], "r|*") as tar:
            for member in tar:
                assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
                # WebDataset: the key ends at the first dot, samples stand one after the other.
                key, _, extension = member.name.partition(".")
                assert list({**samples, key: 0})[-1] == key, "members of a sample are not adjacent"
                sample = samples.setdefault(key, {})
                if extension == "json":
                    sample |= json.load(tar.extractfile(member))
                else:
                    name, _, kind = extension.partition(".")
                    assert kind == "npy"
                    (tmp_path / "member.npy").write_bytes(tar.extractfile(member).read())
                    sample[name] = np.load(tmp_path / "member.npy", allow_pickle=False)
        assert len(samples) == entry["samples"]
        for sample in samples.values():
            split = entry["split"]
            # JSON has no dtypes; the value is exact all the same.
            typed = {name: np.asarray(value).dtype.type for name, value in stored(split, 0).items()}
            small = {
                name: value if isinstance(value, str) or np.ndim(value) else typed[name](value)
                for name, value in sample.items()
            }
            assert_stored(small, split, rows[split])
            rows[split] += 1
    assert rows == COUNTS


@pytest.mark.parametrize("filter", ["gzip", "none"])
def test_npz_files_hold_one_sample_each(dataset, tmp_path, filter):
    export_dataset(dataset, tmp_path / "out", format="npz", filter=filter)
    for split, count in COUNTS.items():
        paths = sorted((tmp_path / "out" / split).iterdir())
        assert len(paths) == count
        for row, path in enumerate(paths):
            with np.load(path, allow_pickle=False) as file:
                assert_stored(dict(file), split, row)


def damaged(dataset: Path, folder: Path, change) -> Path:
    (folder / "shards").mkdir(parents=True)
    for path in ["dataset.json", *(f"shards/{path.name}" for path in (dataset / "shards").iterdir())]:
        (folder / path).write_bytes((dataset / path).read_bytes())
    last = sorted((folder / "shards").iterdir())[-1]
    change(last)
    return folder


def flip_a_bit(path: Path) -> None:
    with h5py.File(path) as file:
        place = file["image"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[place.byte_offset + place.size // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [(flip_a_bit, "image, row 0 must have crc32"), (Path.unlink, "bytes, is missing")],
)
@pytest.mark.parametrize("format", ["shards", "tar", "npz"])
def test_damaged_dataset_is_not_exported(dataset, tmp_path, change, message, format):
    source = damaged(dataset, tmp_path / "source", change)
    with pytest.raises(DamagedError, match=message):
        export_dataset(source, tmp_path / "out", format=format, filter="none")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_what_stands_there_is_not_written_over(dataset, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="must not exist, does"):
        export_dataset(dataset, tmp_path / "out", format="npz", filter="none")
    with pytest.raises(InputError, match="is not there"):
        export_dataset(tmp_path / "out", tmp_path / "other", format="npz", filter="none")


def test_remains_of_a_killed_export_are_no_hindrance(dataset, tmp_path):
    (tmp_path / ".part-out" / "train").mkdir(parents=True)
    (tmp_path / ".part-out" / "train" / "old.npz").write_text("half")
    export_dataset(dataset, tmp_path / "out", format="npz", filter="none")
    assert not (tmp_path / "out" / "train" / "old.npz").exists()
    assert not (tmp_path / ".part-out").exists()
