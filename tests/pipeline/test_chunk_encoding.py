"""Chunks made beside HDF5 are those that its lz4 filter makes, and so is the file around them."""

import h5py
import hdf5plugin
import numpy as np
import pytest

import pipeline.lz4_library
import pipeline.store
from pipeline.chunk_encoding import lz4_encoder
from pipeline.lz4_library import lz4_function
from pipeline.store import FrameReader, FrameWriter

SIZE = 70
RNG = np.random.default_rng(0)
SAMPLES = {
    "smooth": np.linspace(0, 1, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE).round(2),
    "random": RNG.random((SIZE, SIZE, 3), dtype=np.float32),
    "empty": np.zeros((SIZE, SIZE), np.float32),
    "mask": RNG.random((SIZE, SIZE)) < 0.02,
    "bytes": RNG.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8),
    "doubles": RNG.integers(0, 9, (SIZE, SIZE)).astype(np.float64),
    "turned": np.moveaxis(RNG.integers(0, 9, (3, SIZE, SIZE), dtype=np.uint8), 0, -1),
    "one byte": np.ones((1, 1), np.uint8),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_chunk_is_the_filters_own_byte_for_byte(tmp_path, kind):
    sample = SAMPLES[kind]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        chunks = (1, *sample.shape)
        dataset = file.create_dataset("a", chunks, sample.dtype, chunks=chunks, **hdf5plugin.LZ4())
        dataset[0] = sample
        dataset.flush()
        _, wanted = dataset.id.read_direct_chunk((0,) * dataset.ndim)
    assert bytes(lz4_encoder().chunk(sample)) == wanted


def test_one_encoder_serves_samples_of_all_sizes_in_any_order():
    encoder = lz4_encoder()
    for kind in ["smooth", "random", "one byte", "bytes", "random"]:
        assert bytes(encoder.chunk(SAMPLES[kind])) == bytes(lz4_encoder().chunk(SAMPLES[kind]))


def test_what_the_filter_would_cut_into_blocks_is_left_to_it(monkeypatch):
    monkeypatch.setattr(pipeline.chunk_encoding, "MAX_BYTES", SAMPLES["smooth"].nbytes - 1)
    assert lz4_encoder().chunk(SAMPLES["smooth"]) is None


def samples():
    for frame in range(1500):  # small fields begin their second chunk, in the middle of the file
        depth_m = np.full((40, 40), frame, np.float32) + RNG.random((40, 40), dtype=np.float32).round(1)
        yield {"frame": np.int32(frame), "capture": "p01", "depth_m": depth_m, "K": np.eye(3) * frame}


def test_a_file_is_the_same_whoever_encodes(tmp_path, monkeypatch):
    kept = list(samples())
    for name in ("beside.h5", "by_hdf5.h5"):
        with FrameWriter(tmp_path / name, {"capture": "p01"}) as writer:
            for sample in kept:
                writer.append(sample)
        monkeypatch.setattr(pipeline.store, "lz4_encoder", lambda: None)
    assert (tmp_path / "beside.h5").read_bytes() == (tmp_path / "by_hdf5.h5").read_bytes()
    with FrameReader(tmp_path / "beside.h5") as reader:
        np.testing.assert_array_equal(reader.row(1400, ["depth_m"])["depth_m"], kept[1400]["depth_m"])


def test_a_writer_without_the_library_is_no_other(monkeypatch):
    monkeypatch.setattr(pipeline.lz4_library.ctypes, "CDLL", lambda _: object())
    lz4_function.cache_clear()
    assert lz4_encoder() is None
    monkeypatch.undo()
    lz4_function.cache_clear()
    assert lz4_encoder() is not None
