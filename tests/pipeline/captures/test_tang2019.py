import cv2
import numpy as np
import pytest

from pipeline.captures.tang2019 import Tang2019, nearest_resized, shifted
from pipeline.errors import InputError


@pytest.fixture
def folder(tmp_path):
    depth_m = np.zeros((224, 224), np.float32)
    depth_m[40:200, 80:140] = 2.2
    depth_m[100, 100] = 5e-4  # a stray value of the background
    for frame in (3, 12):
        np.save(tmp_path / f"{frame:04d}_depth.npy", depth_m)
        cv2.imwrite(str(tmp_path / f"{frame:04d}_img_resize.jpg"), np.full((256, 256, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "0044_img_resize.jpg"), np.zeros((256, 256, 3), np.uint8))  # has no depth
    return tmp_path


def test_frames_are_those_with_depth_and_come_at_the_image_size(folder):
    capture = Tang2019(folder)
    assert capture.frames == [3, 12]
    frame = capture.read(12)
    assert frame.image.shape == (256, 256, 3) and frame.depth_m.shape == (256, 256)
    assert set(np.unique(frame.depth_m)) == {np.float32(0), np.float32(2.2)}
    assert frame.depth_m[int(100.5 * 256 / 224), int(100.5 * 256 / 224)] == 0
    assert frame.K[0, 0] == 277.0 and frame.K[0, 2] == 127.5
    assert capture.files([3]) == [folder / "0003_depth.npy", folder / "0003_img_resize.jpg"]


def test_nearest_resize_keeps_corners_and_mixes_nothing():
    small = np.arange(49, dtype=np.float32).reshape(7, 7)
    large = nearest_resized(small, 16)
    assert set(np.unique(large)) <= set(np.unique(small))
    assert large[0, 0] == 0 and large[-1, -1] == 48
    np.testing.assert_array_equal(nearest_resized(small, 7), small)


@pytest.mark.parametrize("shift_px", [3, -2, 0, 300])
def test_shift_moves_whole_pixels_and_brings_in_nothing(shift_px):
    depth_m = np.ones((4, 10), np.float32) * np.arange(1, 11, dtype=np.float32)
    moved = shifted(depth_m, shift_px)
    for u in range(10):
        source = u - shift_px
        expected = depth_m[:, source] if 0 <= source < 10 else np.zeros(4)
        np.testing.assert_array_equal(moved[:, u], expected)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda folder: (folder / "0003_depth.npy").unlink(), "depth-missing"),
        (lambda folder: (folder / "0003_depth.npy").write_bytes(b"\x93NUMPY\x01"), "unreadable-depth"),
        (lambda folder: np.save(folder / "0003_depth.npy", np.zeros((224, 224))), "depth-type"),
        (lambda folder: np.save(folder / "0003_depth.npy", np.ones((224, 200), np.float32)), "depth-size"),
        (lambda folder: np.save(folder / "0003_depth.npy", np.zeros((224, 224), np.float32)), "empty-depth"),
        (lambda folder: (folder / "0003_img_resize.jpg").unlink(), "color-missing"),
        (
            lambda folder: cv2.imwrite(str(folder / "0003_img_resize.jpg"), np.zeros((99, 99, 3), np.uint8)),
            "color-size",
        ),
    ],
)
def test_each_break_has_its_reason(folder, harm, reason):
    capture = Tang2019(folder)
    harm(folder)
    with pytest.raises(InputError) as error:
        capture.read(3)
    assert error.value.reason == reason and "0003_" in str(error.value)
    capture.read(12)


def test_folder_without_maps_is_refused(tmp_path):
    for path, reason in ((tmp_path, "no-frames"), (tmp_path / "nowhere", "capture-missing")):
        with pytest.raises(InputError) as error:
            Tang2019(path)
        assert error.value.reason == reason


@pytest.mark.real_data
def test_released_maps_have_the_known_facts(data_root):
    capture = Tang2019(data_root / "tang2019")
    assert len(capture.frames) == 34
    shares, medians = [], []
    for number in capture.frames:
        depth_m = capture.read(number).depth_m
        shares.append((depth_m > 0).mean())
        medians.append(np.median(depth_m[depth_m > 0]))
    assert min(shares) > 0.10 and max(shares) < 0.19  # the person's share of the crop
    assert min(medians) > 1.8 and max(medians) < 2.8
