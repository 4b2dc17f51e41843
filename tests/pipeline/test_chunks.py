"""Chunks read past HDF5 are what HDF5 gives, and whatever is irregular is left to it."""

from concurrent.futures import ThreadPoolExecutor

import h5py
import hdf5plugin
import numpy as np
import pytest

import pipeline.chunks
from pipeline.chunks import chunks_of
from pipeline.errors import DamagedError
from pipeline.store import FrameReader, FrameWriter

COUNT, SIZE = 5, 70
RNG = np.random.default_rng(0)
KINDS = {
    "smooth": np.broadcast_to(np.linspace(0, 1, SIZE, dtype=np.float32), (COUNT, SIZE, SIZE)),
    "random": RNG.random((COUNT, SIZE, SIZE, 3), dtype=np.float32),
    "empty": np.zeros((COUNT, SIZE, SIZE), np.float32),
    "mask": RNG.random((COUNT, SIZE, SIZE)) < 0.02,
    "bytes": RNG.integers(0, 256, (COUNT, SIZE, SIZE, 3), dtype=np.uint8),
    "line": np.arange(COUNT * 9000, dtype=np.int64).reshape(COUNT, 9000),
    "doubles": RNG.integers(0, 9, (COUNT, SIZE, SIZE)).astype(np.float64),
}
FILTERS = {"lz4": hdf5plugin.LZ4(), "none": {}}


def write(path, values, chunks=None, **more):
    """One dataset `a`, a chunk a sample unless told otherwise."""
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=values, chunks=chunks or (1, *values.shape[1:]), **more)
    return path


def opened(path):
    file = h5py.File(path, "r")
    return file, chunks_of(file["a"], file.id.get_vfd_handle())


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_sample_is_the_one_that_hdf5_reads(tmp_path, kind, filter):
    values = KINDS[kind]
    file, chunks = opened(write(tmp_path / "a.h5", values, **FILTERS[filter]))
    with file:
        for row in [3, 0, 4, 2, 1]:
            sample, twin = chunks.read(row), file["a"][row]
            assert sample is not None, "the fast path must be taken"
            assert (sample.dtype, sample.shape) == (twin.dtype, twin.shape)
            np.testing.assert_array_equal(sample, twin)
            np.testing.assert_array_equal(sample, values[row])
            assert sample.flags.owndata and sample.flags.writeable


@pytest.mark.parametrize(
    ("values", "more"),
    [
        (KINDS["smooth"], {"compression": "gzip"}),
        (KINDS["smooth"], {"shuffle": True, **hdf5plugin.LZ4()}),
        (KINDS["smooth"], {"fletcher32": True}),
        (KINDS["smooth"], {"chunks": (2, SIZE, SIZE)}),
        (KINDS["smooth"], {"chunks": (1, SIZE, SIZE // 2)}),
        (KINDS["smooth"].astype(">f4"), {}),
        (np.arange(COUNT, dtype=np.float64), {"chunks": (1,)}),
    ],
)
def test_other_filters_layouts_and_types_are_left_to_hdf5(tmp_path, values, more):
    file, chunks = opened(write(tmp_path / "a.h5", values, **more))
    with file:
        assert chunks is None


def test_chunk_of_several_blocks_is_left_to_hdf5(tmp_path):
    file, chunks = opened(write(tmp_path / "a.h5", KINDS["random"], **hdf5plugin.LZ4(nbytes=4096)))
    with file:
        assert chunks.read(2) is None
        np.testing.assert_array_equal(file["a"][2], KINDS["random"][2])


def test_chunk_that_went_past_its_filter_is_left_to_hdf5(tmp_path):
    values = KINDS["bytes"]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("a", values.shape, "u1", chunks=(1, SIZE, SIZE, 3), **hdf5plugin.LZ4())
        for row in range(3):  # and rows 3 and 4 are never written
            dataset.id.write_direct_chunk((row, 0, 0, 0), values[row].tobytes(), filter_mask=1)
    file, chunks = opened(tmp_path / "a.h5")
    with file:
        assert [chunks.read(row) for row in range(COUNT)] == [None] * COUNT
        np.testing.assert_array_equal(file["a"][1], values[1])
        assert not file["a"][4].any()


@pytest.mark.parametrize(
    ("place", "damage"),
    [*((place, None) for place in (0, 7, 8, 11, 12, 15, 16, 20)), (8, bytes([0, 0, 0, 16])), (0, bytes(8))],
)
def test_damaged_chunk_never_gives_a_value_that_hdf5_would_not(tmp_path, place, damage):
    path = write(tmp_path / "a.h5", KINDS["smooth"], **hdf5plugin.LZ4())
    with h5py.File(path) as file:
        offset = file["a"].id.get_chunk_info(1).byte_offset
    content = bytearray(path.read_bytes())
    damage = damage or bytes([content[offset + place] ^ 0x55])
    content[offset + place : offset + place + len(damage)] = damage
    path.write_bytes(content)
    file, chunks = opened(path)
    with file:
        sample = chunks.read(1)
        try:
            twin = file["a"][1]
        except OSError:
            twin = None
        assert sample is None or np.array_equal(sample, twin)
        np.testing.assert_array_equal(chunks.read(2), KINDS["smooth"][2])


def frames(path):
    with FrameWriter(path, {}, row_checksums=True) as writer:
        for row in range(COUNT):
            writer.append(
                {"frame": np.int32(row), "image": KINDS["bytes"][row], "normal": KINDS["random"][row]}
            )
    return path


def test_file_that_ends_too_early_is_damaged(tmp_path):
    path = frames(tmp_path / "a.h5")
    with FrameReader(path) as reader:
        reader.row(0, ["image"])
        content = path.read_bytes()
        path.write_bytes(content[:1000])
        with pytest.raises(DamagedError, match="image, row 4 must be readable"):
            reader.row(4, ["image"])


def test_threads_may_share_a_reader(tmp_path):
    rows = [row % COUNT for row in range(200)]
    with FrameReader(frames(tmp_path / "a.h5")) as reader, ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda row: reader.row(row, ["image", "normal"]), rows)
        for row, sample in zip(rows, found, strict=True):
            reader.check_row(row, sample)


def test_without_the_decoder_hdf5_reads_all(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline.chunks, "lz4_function", lambda name, arguments: None)
    with FrameReader(frames(tmp_path / "a.h5")) as reader:
        for row in range(COUNT):
            sample = reader.row(row, ["image", "normal", "frame"])
            reader.check_row(row, sample)
            np.testing.assert_array_equal(sample["image"], KINDS["bytes"][row])


def test_values_read_are_in_no_ones_way(tmp_path):
    with FrameReader(frames(tmp_path / "a.h5")) as reader:
        first, second = reader.row(0, ["image"])["image"], reader.row(1, ["image"])["image"]
        second[:] = 0
        np.testing.assert_array_equal(first, KINDS["bytes"][0])
        np.testing.assert_array_equal(reader.row(1, ["image"])["image"], KINDS["bytes"][1])
