"""A sample that was prepared elsewhere, or whose chunks were made by another file, gives the very same file."""

import h5py
import numpy as np
import pytest

from pipeline.chunk_encoding import Lz4Encoder
from pipeline.in_order import in_order
from pipeline.store import FrameReader, FrameWriter

RNG = np.random.default_rng(0)
SAMPLES = [
    {
        "frame": np.int32(frame),
        "capture": "p01",
        "K": np.eye(3) * (frame + 1),
        "depth_m": (RNG.random((48, 48)) * 9).round().astype(np.float32),
        "mask": RNG.random((48, 48)) < 0.5,
        "image": np.full((48, 48, 3), frame, np.uint8),
    }
    for frame in range(6)
]


def written(path, samples):
    with FrameWriter(path, {"capture": "p01"}, row_checksums=True) as writer:
        for sample in samples(writer):
            writer.append(sample)
    return path.read_bytes()


def test_samples_prepared_by_threads_give_the_same_file(tmp_path):
    one = written(tmp_path / "one.h5", lambda _: SAMPLES)
    many = written(tmp_path / "many.h5", lambda writer: in_order(writer.prepare, SAMPLES, threads=3))
    assert one == many


def test_chunks_of_another_file_are_taken_as_they_are(tmp_path, monkeypatch):
    one = written(tmp_path / "one.h5", lambda _: SAMPLES)
    encode, encoded = Lz4Encoder.chunk, []

    def noted(self, sample):
        encoded.append(sample)
        return encode(self, sample)

    with FrameReader(tmp_path / "one.h5") as reader:
        names = ["depth_m", "image", "K", "capture"]
        held = [reader.chunks(row, names) for row in range(len(SAMPLES))]
    monkeypatch.setattr(Lz4Encoder, "chunk", noted)
    two = written(tmp_path / "two.h5", lambda writer: map(writer.prepare, SAMPLES, held))
    assert [sorted(chunks) for chunks in held] == [["depth_m", "image"]] * len(SAMPLES)
    assert one == two
    assert encoded == []


@pytest.mark.parametrize("filter", ["gzip", "none"])
def test_chunks_of_one_filter_never_enter_a_file_of_another(tmp_path, filter):
    written(tmp_path / "lz4.h5", lambda _: SAMPLES)
    with (
        FrameReader(tmp_path / "lz4.h5") as reader,
        FrameWriter(tmp_path / "other.h5", {}, filter=filter) as writer,
    ):
        for row, sample in enumerate(SAMPLES):
            writer.append(writer.prepare(sample, reader.chunks(row, ["depth_m", "image"])))
    with FrameReader(tmp_path / "other.h5") as other:
        for row, sample in enumerate(SAMPLES):
            np.testing.assert_array_equal(other.row(row, ["depth_m"])["depth_m"], sample["depth_m"])
        assert other.chunks(0, ["depth_m"]) == {}


def test_bytes_on_disk_are_what_hdf5_counts(tmp_path):
    for filter in ("lz4", "gzip", "none"):
        with FrameWriter(tmp_path / f"{filter}.h5", {}, row_checksums=True, filter=filter) as writer:
            for sample in SAMPLES:
                writer.append(sample)
            counted = writer.stored_bytes()
        with h5py.File(tmp_path / f"{filter}.h5", "r") as file:
            assert counted == sum(dataset.id.get_storage_size() for dataset in file.values())


def test_a_prepared_sample_is_checked(tmp_path):
    with FrameWriter(tmp_path / "a.h5", {}) as writer:
        with pytest.raises(ValueError, match="finite"):
            writer.prepare({**SAMPLES[0], "depth_m": np.full((48, 48), np.nan, np.float32)})
        writer.append(SAMPLES[0])
