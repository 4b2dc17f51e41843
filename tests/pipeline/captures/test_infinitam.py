"""InfiniTAM recordings: the calibration's grammar, both depth codes, and two cameras made one."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.cameras import backproject, pixel_rays, project, transform
from pipeline.captures.infinitam import (
    affine_depth_m,
    disparity_depth_m,
    open_infinitam,
    read_infinitam_calibration,
)
from pipeline.errors import InputError

WIDTH, HEIGHT = 64, 48
K_DEPTH = np.array([[57.3, 0, 33.6], [0, 57.4, 24.9], [0, 0, 1]])
K_COLOR = np.array([[50.4, 0, 35.2], [0, 50.3, 27.2], [0, 0, 1]])
DEPTH_FROM_COLOR = np.eye(4)
DEPTH_FROM_COLOR[:3, :3] = Rotation.from_rotvec([0.02, -0.05, 0.01]).as_matrix()
DEPTH_FROM_COLOR[:3, 3] = [0.025, -0.01, 0.015]
NORMAL, OFFSET_M = np.array([0.2, -0.1, 1.0]), 1.5  # of a wall in the depth camera's frame


def calibration_text(
    *,
    K_color: np.ndarray,
    depth_from_color: np.ndarray,
    code: str,
    color_wh: tuple[int, int] = (WIDTH, HEIGHT),
) -> str:
    """As InfiniTAM writes it: six digits, an empty line between the blocks."""
    blocks = []
    for K, (width, height) in ((K_color, color_wh), (K_DEPTH, (WIDTH, HEIGHT))):
        blocks.append(f"{width} {height}\n{K[0, 0]:g} {K[1, 1]:g}\n{K[0, 2]:g} {K[1, 2]:g}\n")
    blocks.append("\n".join(" ".join(f"{x:.6g}" for x in row) for row in depth_from_color[:3]) + "\n")
    return "\n".join([*blocks, code + "\n"])


TWO = {"K_color": K_COLOR, "depth_from_color": DEPTH_FROM_COLOR}
ONE = {"K_color": K_DEPTH, "depth_from_color": np.eye(4)}


def wall_m() -> np.ndarray:
    return OFFSET_M / (pixel_rays(K_DEPTH, HEIGHT, WIDTH) @ NORMAL)


def write_recording(folder: Path, calibration: str, codes: np.ndarray, color: np.ndarray | None) -> None:
    frames = folder / "Frames"
    frames.mkdir(parents=True)
    (folder / "calib.txt").write_text(calibration)
    for number in (0, 1, 3):  # 2 was dropped
        assert cv2.imwrite(str(frames / f"{number:04d}.pgm"), codes)
        if color is not None:
            assert cv2.imwrite(str(frames / f"{number:04d}.ppm"), color[..., ::-1])


@pytest.fixture
def color() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def millimetres() -> np.ndarray:
    return np.rint(wall_m() * 1000).astype(np.uint16)


@pytest.mark.parametrize("code", ["affine 0.001 0.0", "0 0", "kinect 0 0", "affine 0 0"])
def test_one_camera_is_read_as_it_is(code, color, tmp_path) -> None:
    codes = millimetres()
    codes[0, :3] = 0, 32768, 65535  # none, and what is negative as signed 16 bit
    write_recording(tmp_path, calibration_text(**ONE, code=code), codes, color)
    capture = open_infinitam(tmp_path)
    assert capture.frames == [0, 1, 3]
    frame = capture.read(3)
    np.testing.assert_array_equal(frame.image, color)
    np.testing.assert_array_equal(frame.depth_m[0, :3], 0)
    np.testing.assert_allclose(frame.depth_m.ravel()[3:], codes.ravel()[3:] * 1e-3, rtol=1e-6)
    np.testing.assert_allclose(frame.K, K_DEPTH)
    assert frame.world_from_cam is None and frame.mask is None
    assert [path.name for path in capture.files([3])] == ["calib.txt", "0003.pgm", "0003.ppm"]


def test_without_colour_the_depth_camera_s_own_frame_is_read(tmp_path) -> None:
    write_recording(tmp_path, calibration_text(**TWO, code="affine 0.001 0"), millimetres(), None)
    frame = open_infinitam(tmp_path).read(1)
    assert frame.image is None
    np.testing.assert_allclose(frame.K, K_DEPTH)
    np.testing.assert_allclose(frame.depth_m, millimetres() * 1e-3, rtol=1e-6)


def test_two_cameras_become_the_colour_camera_s_view(color, tmp_path) -> None:
    write_recording(tmp_path, calibration_text(**TWO, code="affine 0.001 0"), millimetres(), color)
    world_from_depth = np.eye(4)
    world_from_depth[:3, :3] = Rotation.from_rotvec([0.3, 1.2, -0.4]).as_matrix()
    world_from_depth[:3, 3] = [1, 2, 3]
    for number in (0, 1, 3):
        np.savetxt(tmp_path / f"Frames/{number:04d}.txt", world_from_depth)
    frame = open_infinitam(tmp_path).read(0)
    np.testing.assert_array_equal(frame.image, color)  # no lens, same pixels
    np.testing.assert_allclose(frame.K, K_COLOR)
    # closed form: along a colour ray, NORMAL . (R z r + t) = OFFSET_M
    rays = pixel_rays(K_COLOR, HEIGHT, WIDTH) @ DEPTH_FROM_COLOR[:3, :3].T
    expected_m = (OFFSET_M - NORMAL @ DEPTH_FROM_COLOR[:3, 3]) / (rays @ NORMAL)
    seen = frame.depth_m > 0
    # what the depth camera's pixel centres span is seen, half a depth pixel for rounding, and nothing else
    pixels = project(transform(DEPTH_FROM_COLOR, backproject(expected_m, K_COLOR)), K_DEPTH)
    beyond_px = np.maximum(-pixels, pixels - [WIDTH - 1, HEIGHT - 1]).max(axis=-1)
    assert seen[beyond_px < -0.5].all() and not seen[beyond_px > 0.5].any() and seen.mean() > 0.7
    # half a millimetre of rounding on disk, along rays up to 1.3 long against the wall
    assert np.abs(frame.depth_m - expected_m)[seen].max() < 1e-3
    np.testing.assert_allclose(frame.world_from_cam, world_from_depth @ DEPTH_FROM_COLOR, atol=1e-5)


def test_colour_of_another_size_is_registered_too(tmp_path) -> None:
    K_large = np.array([[100.8, 0, 70.9], [0, 100.6, 54.9], [0, 0, 1]])
    text = calibration_text(
        K_color=K_large, depth_from_color=DEPTH_FROM_COLOR, code="affine 0.001 0", color_wh=(128, 96)
    )
    write_recording(tmp_path, text, millimetres(), np.full((96, 128, 3), 90, np.uint8))
    frame = open_infinitam(tmp_path).read(0)
    assert frame.image.shape == (96, 128, 3) and frame.depth_m.shape == (96, 128)
    assert (frame.depth_m > 0).mean() > 0.7


def test_disparity_codes_are_depth_within_half_a_step(tmp_path, color) -> None:
    a, b = 1135.09, 0.0819141  # InfiniTAM's sample of a Kinect v1, whose focal length is 573.71 px
    codes = np.rint(a - 8 * b * 573.71 / wall_m()).astype(np.uint16)
    codes[0, 0], codes[0, 1] = 2047, 0  # a Kinect's code for no measurement lies beyond infinity
    depth_m = disparity_depth_m(codes, a=a, b=b, fx_px=573.71)
    assert (depth_m[0, 0], depth_m[0, 1]) == (0, 0)
    half_step_m = 0.5 * wall_m() ** 2 / (8 * b * 573.71)
    assert (np.abs(depth_m - wall_m()) < 1.01 * half_step_m).ravel()[2:].all()
    for word in ("", "kinect "):
        (tmp_path / "calib.txt").write_text(calibration_text(**TWO, code=f"{word}{a} {b}"))
        metres = read_infinitam_calibration(tmp_path / "calib.txt").metres
        np.testing.assert_array_equal(metres(codes), disparity_depth_m(codes, a=a, b=b, fx_px=57.3))


def test_an_affine_code_has_scale_and_offset() -> None:
    found = affine_depth_m(np.array([[0, 100, 2000]], np.uint16), a=0.001, b=-0.2)
    np.testing.assert_allclose(found, [[0, 0, 1.8]])


def test_images_beside_the_calibration_are_found(color, tmp_path) -> None:
    write_recording(tmp_path, calibration_text(**ONE, code="0 0"), millimetres(), color)
    for path in (tmp_path / "Frames").iterdir():
        path.rename(tmp_path / path.name)
    (tmp_path / "Frames").rmdir()
    capture = open_infinitam(tmp_path)
    assert capture.frames == [0, 1, 3] and capture.read(0).world_from_cam is None


GOOD = calibration_text(**TWO, code="affine 0.001 0")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "calibration-malformed"),
        (GOOD.replace("affine", "cubic"), "calibration-malformed"),
        (GOOD + "7", "calibration-malformed"),
        (GOOD.replace("57.3 ", "nan "), "calibration-malformed"),
        (GOOD.replace("64 48", "64.5 48", 1), "calibration-malformed"),
        (GOOD.replace("64 48", "-64 48", 1), "calibration-malformed"),
        (GOOD.replace("0.025", "25"), "calibration-malformed"),  # millimetres
        (GOOD.replace("affine 0.001", "affine -0.001"), "calibration-malformed"),
        (GOOD.replace("57.3 ", "5.73 "), "intrinsics-mismatch"),
        (GOOD.replace("50.4 ", "5040 "), "intrinsics-mismatch"),
        (GOOD.replace("64 48\n57.3", "128 96\n57.3"), "intrinsics-mismatch"),  # the images are 64x48 px
        (None, "calibration-missing"),
    ],
)
def test_what_is_no_calibration_has_its_reason(text, reason, color, tmp_path) -> None:
    assert text != GOOD
    write_recording(tmp_path, text or "", millimetres(), color)
    if text is None:
        (tmp_path / "calib.txt").unlink()
    with pytest.raises(InputError) as caught:
        open_infinitam(tmp_path)
    assert caught.value.reason == reason


def test_infinitam_s_own_sample_has_two_cameras(tmp_path) -> None:
    numbers = "640 480 504.261 503.905 352.457 272.202 640 480 573.71 574.394 346.471 249.031"
    rows = "0.999749 0.00518867 0.0217975 0.0243073 -0.0051649 0.999986 -0.0011465 -0.000166518 -0.0218031 0.00103363"
    (tmp_path / "calib.txt").write_text(f"{numbers} {rows} 0.999762 0.0151706 1135.09 0.0819141")
    calibration = read_infinitam_calibration(tmp_path / "calib.txt")
    assert not calibration.has_one_camera and calibration.depth.fx_px == 573.71
    # a Kinect v1's colour camera sits 25 mm from its depth camera
    assert np.linalg.norm(calibration.color_from_depth[:3, 3]) == pytest.approx(0.0287, abs=5e-5)
    assert calibration.metres(np.array([[800]], np.uint16))[0, 0] == pytest.approx(1.122, abs=1e-3)
