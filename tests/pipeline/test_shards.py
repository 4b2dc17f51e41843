import json
import os
import pickle  # noqa: TID251  a spawned loader worker gets its reader this way

import numpy as np
import pytest

from pipeline.errors import DamagedError, InputError
from pipeline.shards import ShardReader, link_capture, pack_capture, read_index


def samples(count, size=64):
    rng = np.random.default_rng(0)
    for frame in range(count):
        yield {"frame": np.int32(frame), "depth_m": rng.random((size, size), dtype=np.float32)}


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
    with pytest.raises(InputError, match=r"schema must be 1\.0, is 2\.0"):
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
