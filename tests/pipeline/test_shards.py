import json
import os
import pickle  # noqa: TID251  a spawned loader worker gets its reader this way

import h5py
import numpy as np
import pytest

import pipeline.shards
from pipeline.errors import DamagedError, InputError
from pipeline.shards import ShardReader, link_capture, pack_capture, read_index
from pipeline.subsets import Subset


def samples(count, size=64):
    rng = np.random.default_rng(0)
    for frame in range(count):
        yield {
            "frame": np.int32(frame),
            "capture": f"c{frame % 2}",
            "subject": "zoë" if frame > 2 else "ann",
            "fused_residual_m": np.float32([0.001, 0.004, -1, 0.002, 0.003][frame % 5]),
            "depth_m": rng.random((size, size), dtype=np.float32),
        }


def dataset(folder, count=5, shard_bytes=40_000):
    (folder / "shards").mkdir(parents=True)
    names = iter(f"test-{number:05d}.h5" for number in range(99))
    entries = pack_capture(
        samples(count), folder / "shards", names=names, shard_bytes=shard_bytes, fingerprint="abc"
    )
    index = {
        "schema": "1.0",
        "fields": {"frame": {}, "depth_m": {}},
        "splits": {"test": {"samples": count}},
        "shards": [{**entry, "split": "test", "captures": ["a"]} for entry in entries],
    }
    (folder / "dataset.json").write_text(json.dumps(index))
    return entries


def test_every_sample_is_read_from_its_shard(tmp_path):
    entries = dataset(tmp_path)
    assert len(entries) > 1 and sum(entry["samples"] for entry in entries) == 5
    reader = ShardReader(tmp_path, split="test", fields=["frame", "depth_m"])
    for index, expected in enumerate(samples(5)):
        assert reader[index]["frame"] == index
        np.testing.assert_array_equal(reader[index]["depth_m"], expected["depth_m"])
    assert len(reader) == 5 and set(reader[0]) == {"frame", "depth_m"}


def test_shard_sizes_follow_the_bound(tmp_path):
    assert len(dataset(tmp_path, shard_bytes=10**9)) == 1


def test_reader_survives_a_fork_and_being_sent_to_another_process(tmp_path):
    dataset(tmp_path)
    reader = ShardReader(tmp_path, split="test", fields=["frame"])
    assert reader[4]["frame"] == 4
    copy = pickle.loads(pickle.dumps(reader))
    assert copy[3]["frame"] == 3
    child = os.fork()
    if child == 0:
        os._exit(0 if reader[2]["frame"] == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_reader_keeps_its_version_when_the_link_moves_on(tmp_path):
    for version, count in (("one", 5), ("two", 3)):
        dataset(tmp_path / "versions" / version, count)
    (tmp_path / "current").symlink_to("versions/one")
    (tmp_path / "dataset.json").symlink_to("current/dataset.json")
    reader = ShardReader(tmp_path / "dataset.json", split="test", fields=["frame"])
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("versions/two")
    assert len(reader) == 5 and reader[4]["frame"] == 4
    assert len(ShardReader(tmp_path / "dataset.json", split="test", fields=["frame"])) == 3


def test_missing_or_cut_shard_is_named_at_first_read(tmp_path):
    entries = dataset(tmp_path)
    path = tmp_path / entries[0]["path"]
    path.write_bytes(path.read_bytes()[:-100])
    reader = ShardReader(tmp_path, split="test", fields=["frame"])
    with pytest.raises(DamagedError, match=f"must have {entries[0]['bytes']} bytes"):
        reader[0]
    path.unlink()
    with pytest.raises(DamagedError, match="is missing"):
        reader[0]


def test_flipped_bit_is_found_where_rows_are_verified(tmp_path):
    entries = dataset(tmp_path, shard_bytes=10**9)
    path = tmp_path / entries[0]["path"]
    with h5py.File(path) as file:
        chunk = file["depth_m"].id.get_chunk_info(3)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 4
    path.write_bytes(content)
    reader = ShardReader(tmp_path, split="test", fields=["frame", "depth_m"], verify_rows=True)
    assert [int(reader[index]["frame"]) for index in (0, 1, 2, 4)] == [0, 1, 2, 4]
    with pytest.raises(
        DamagedError, match=r"test-00000\.h5: depth_m, row 3 must have crc32 [0-9a-f]{8}, has"
    ):
        reader[3]
    # Nothing of the damage is read here, and nothing is verified there.
    assert ShardReader(tmp_path, split="test", fields=["frame"], verify_rows=True)[3]["frame"] == 3
    assert ShardReader(tmp_path, split="test", fields=["depth_m"])[3]["depth_m"].shape == (64, 64)


@pytest.mark.parametrize(
    ("subset", "frames"),
    [
        (Subset(), [0, 1, 2, 3, 4]),
        (Subset(subjects=["zoë"]), [3, 4]),
        (Subset(captures=["c1"]), [1, 3]),
        (Subset(subjects=["ann", "zoë"], captures=["c0", "nobody"]), [0, 2, 4]),
        (Subset(quality={"fused_residual_m": (0, 0.0035)}), [0, 3, 4]),
        (Subset(quality={"fused_residual_m": (-9, 9)}), [0, 1, 3, 4]),  # -1: there is no residual
        (Subset(quality={"fused_residual_m": (0, 0.0035), "frame": (1, 3)}), [3]),
    ],
)
def test_subset_leaves_the_samples_that_pass_all_of_it(tmp_path, subset, frames):
    dataset(tmp_path)
    reader = ShardReader(tmp_path, split="test", fields=["frame", "depth_m"], subset=subset)
    everything = list(samples(5))
    assert len(reader) == len(frames)
    for index, frame in enumerate(frames):
        assert reader[index]["frame"] == frame
        np.testing.assert_array_equal(reader[index]["depth_m"], everything[frame]["depth_m"])


def test_subset_of_nothing_or_by_no_number_is_refused(tmp_path):
    dataset(tmp_path)
    with pytest.raises(
        InputError, match=r"subjects=\['bob'\].* must leave samples of split 'test', leaves none"
    ):
        ShardReader(tmp_path, split="test", fields=["frame"], subset=Subset(subjects=["bob"]))
    for name in ("depth_m", "subject", "beauty", "truth_depth_error_m"):
        with pytest.raises(InputError, match=f"one number a sample, names '{name}'"):
            Subset(quality={name: (0, 1)})


def test_no_more_shards_are_open_than_allowed(tmp_path, monkeypatch):
    entries = dataset(tmp_path)
    assert len(entries) > 2
    monkeypatch.setattr(pipeline.shards, "OPEN_SHARDS", 2)
    reader = ShardReader(tmp_path, split="test", fields=["frame"])
    before = len(os.listdir("/proc/self/fd"))
    for index in [0, 4, 2, 1, 0, 3, 4]:
        assert reader[index]["frame"] == index
        assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_wrong_questions_name_what_there_is(tmp_path):
    dataset(tmp_path)
    with pytest.raises(InputError, match="split must be one of test, is 'train'"):
        ShardReader(tmp_path, split="train", fields=["frame"])
    with pytest.raises(InputError, match="normal are not. They hold frame, depth_m"):
        ShardReader(tmp_path, split="test", fields=["normal"])
    with pytest.raises(InputError, match="is not there"):
        read_index(tmp_path / "nowhere")


def test_another_schema_major_is_refused(tmp_path):
    dataset(tmp_path)
    index = json.loads((tmp_path / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps({**index, "schema": "2.0"}))
    with pytest.raises(InputError, match=r"schema must be 1\.1, is 2\.0"):
        read_index(tmp_path)


def test_unchanged_shards_are_linked_and_changed_ones_are_not(tmp_path):
    entries = dataset(tmp_path / "one")
    (tmp_path / "two").mkdir()
    linked = link_capture(entries, tmp_path / "one", tmp_path / "two", iter(f"val-{n}.h5" for n in range(9)))
    assert [entry["path"] for entry in linked] == [f"shards/val-{n}.h5" for n in range(len(entries))]
    assert (tmp_path / "two" / "val-0.h5").samefile(tmp_path / "one" / entries[0]["path"])
    path = tmp_path / "one" / entries[1]["path"]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (tmp_path / "three").mkdir()
    assert link_capture(entries, tmp_path / "one", tmp_path / "three", iter("abcdefgh")) is None
    assert not list((tmp_path / "three").iterdir())
