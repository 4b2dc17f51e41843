"""PGM, PPM and .npy files give back what was written, by another writer than the reader, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captures.netpbm import netpbm_size, read_pgm_raw, read_pnm_color, read_pnm_mask
from pipeline.captures.npy_depth import npy_size, read_npy_depth
from pipeline.errors import InputError


def reason_of(act: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        act()
    return caught.value.reason


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 99))
def test_what_opencv_writes_is_read_back(tmp_path_factory, height, width, seed) -> None:
    folder = tmp_path_factory.mktemp("netpbm")
    rng = np.random.default_rng(seed)
    depth = rng.integers(0, 65536, (height, width)).astype(np.uint16)
    depth[0, 0] = 256  # 1 in the wrong byte order
    color = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    assert cv2.imwrite(str(folder / "a.pgm"), depth) and cv2.imwrite(str(folder / "a.ppm"), color[..., ::-1])
    assert cv2.imwrite(str(folder / "grey.pgm"), color[..., 0])
    read = read_pgm_raw(folder / "a.pgm")
    assert read.dtype == np.uint16 and read.dtype.isnative and read.flags.writeable
    np.testing.assert_array_equal(read, depth)
    np.testing.assert_array_equal(read_pnm_color(folder / "a.ppm"), color)
    np.testing.assert_array_equal(read_pnm_color(folder / "grey.pgm"), color[..., :1].repeat(3, 2))
    np.testing.assert_array_equal(read_pnm_mask(folder / "a.pgm"), depth > 0)
    assert netpbm_size(folder / "a.pgm") == netpbm_size(folder / "a.ppm") == (height, width)


def test_the_high_byte_comes_first_and_comments_are_skipped(tmp_path) -> None:
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 # by hand\n#\n2\t1\r\n# most: 2047\n2047\n" + bytes([0x01, 0x02, 0x07, 0xFF]))
    assert read_pgm_raw(path).tolist() == [[0x0102, 0x07FF]]
    assert netpbm_size(path) == (1, 2)


HEAD = b"P5\n2 2\n65535\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "unreadable-depth"),
        (HEAD + bytes(7), "unreadable-depth"),
        (HEAD + bytes(9), "unreadable-depth"),  # a longer file has another size than it states
        (b"P5\n99999 99999\n65535\n" + bytes(8), "unreadable-depth"),
        (b"P5\n0 2\n65535\n", "unreadable-depth"),
        (b"P5\n2 2\n65536\n" + bytes(8), "unreadable-depth"),
        (b"P5\n2 2\n2047\n" + b"\xff\x07" * 4, "unreadable-depth"),  # 2047 in the wrong byte order
        (b"P2\n2 2\n65535\n1 2 3 4\n", "unreadable-depth"),
        (b"P5\n2 2\n255\n" + bytes(4), "depth-type"),
        (b"P6\n2 2\n65535\n" + bytes(24), "depth-type"),
    ],
)
def test_what_is_no_whole_16_bit_pgm_is_refused(data, reason, tmp_path) -> None:
    (tmp_path / "a.pgm").write_bytes(data)
    assert reason_of(lambda: read_pgm_raw(tmp_path / "a.pgm")) == reason


def test_missing_and_16_bit_colour_are_refused(tmp_path) -> None:
    assert reason_of(lambda: read_pgm_raw(tmp_path / "a.pgm")) == "depth-missing"
    assert reason_of(lambda: read_pnm_color(tmp_path / "a.ppm")) == "color-missing"
    assert reason_of(lambda: read_pnm_color(tmp_path)) == "unreadable-color"
    assert reason_of(lambda: read_npy_depth(tmp_path / "a.npy")) == "depth-missing"
    assert netpbm_size(tmp_path / "a.pgm") is npy_size(tmp_path / "a.npy") is None
    (tmp_path / "a.ppm").write_bytes(b"P6\n2 2\n65535\n" + bytes(24))
    assert reason_of(lambda: read_pnm_color(tmp_path / "a.ppm")) == "unreadable-color"


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_numpy_saves_is_read_back(dtype, order, tmp_path) -> None:
    depth = np.random.default_rng(3).uniform(0.1, 9, (5, 7)).astype(dtype)
    np.save(tmp_path / "a.npy", np.asarray(depth, order=order))
    np.testing.assert_array_equal(read_npy_depth(tmp_path / "a.npy"), depth.astype(np.float64))
    assert npy_size(tmp_path / "a.npy") == (5, 7)


def test_every_float_that_is_no_depth_becomes_zero(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.array([[np.nan, np.inf], [-np.inf, -1.0], [0.0, 2.0]], np.float32))
    assert read_npy_depth(tmp_path / "a.npy").tolist() == [[0, 0], [0, 0], [0, 2]]


@pytest.mark.parametrize(
    "array",
    [
        np.ones((2, 2), np.uint16),
        np.ones((2, 2, 1), np.float32),
        np.ones((0, 2), np.float32),
        np.array([[{}]], dtype=object),
    ],
)
def test_arrays_of_another_kind_are_refused(array, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    assert reason_of(lambda: read_npy_depth(tmp_path / "a.npy")) == "unreadable-depth"
