"""Foreign recorders' folders of a Kinect v2 are held against closed form."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.cameras import pixel_rays
from pipeline.captures.distortion import distorted_points, distorted_rays
from pipeline.captures.kinect2 import Kinect2Folder, open_kinect2
from pipeline.captures.kinect2_calibration import calibration_text, mirrored
from pipeline.captures.kinect2_files import Kinect2Files
from pipeline.errors import InputError


def check_depth(
    capture: Kinect2Folder, depth_m: np.ndarray, plane: tuple[np.ndarray, float], atol_m: float
) -> None:
    """Depth of the plane in the view, by closed form."""
    normal, plane_m = plane
    way = capture.calibration.color_from_depth
    rays = pixel_rays(capture.cameras.K, *capture.cameras.shape_hw) @ way[:3, :3]
    origin = -way[:3, :3].T @ way[:3, 3]
    expected_m = (plane_m - origin @ normal) / (rays @ normal)
    seen = depth_m > 0
    assert seen.mean() > 0.6
    np.testing.assert_allclose(depth_m[seen], expected_m[seen], atol=atol_m)


def check_color(capture: Kinect2Folder, image: np.ndarray, *, grey: bool = False) -> None:
    """Each pixel of the view shows the raw pixel that its ray meets."""
    rays = pixel_rays(capture.cameras.K, *capture.cameras.shape_hw)
    raw_px = distorted_points(rays, capture.calibration.color)
    inside = ((raw_px > 4) & (raw_px < [1915, 1075])).all(axis=-1)
    channels = (0,) if grey else (0, 1)
    for channel, step in zip(channels, (10, 6), strict=False):
        error = image[..., channel] - (20 + raw_px[..., channel] / step)
        # A JPEG with halved colours, or YUV, is some levels off; a mirrored image is 100 off.
        assert np.abs(error[inside]).max() < 6 and abs(error[inside].mean()) < 1.0


def check_mask(capture: Kinect2Folder, mask: np.ndarray, depth_m: np.ndarray) -> None:
    way = capture.calibration.color_from_depth
    points = pixel_rays(capture.cameras.K, *capture.cameras.shape_hw) * depth_m[..., None]
    seen = depth_m > 0
    in_depth = (points - way[:3, 3]) @ way[:3, :3]
    u = distorted_points(in_depth[seen], capture.calibration.depth)[:, 0]
    found = mask[seen]
    assert found[u > 301].all() and not found[u < 300].any()


def test_iai_kinect2_is_read_with_its_four_files_and_its_shift(iai, device, plane) -> None:
    capture = open_kinect2(iai, Kinect2Files(layout="iai_kinect2"))
    assert capture.frames == [0, 3]
    names = [path.relative_to(iai).as_posix() for path in capture.files([3])]
    assert names == [
        "calib_color.yaml", "calib_ir.yaml", "calib_pose.yaml", "calib_depth.yaml", "0003_sync_depth.png",
        "0003_sync_color.png",
    ]  # fmt: skip
    frame = capture.read(3)
    check_depth(capture, frame.depth_m, plane, 0.51e-3)  # whole millimetres
    check_color(capture, frame.image, grey=True)
    assert frame.mask is None and frame.world_from_cam is None
    assert frame.timestamp_s == frame.color_timestamp_s == -1
    np.testing.assert_allclose(capture.calibration.color_from_depth, device.color_from_depth, atol=1e-15)
    assert capture.calibration.color == device.color and capture.calibration.depth == device.depth


def test_the_sdk_is_read_upright_through_what_its_mapper_said(sdk, device, plane) -> None:
    capture = open_kinect2(sdk, Kinect2Files(layout="kinect-sdk", times="ticks.txt"))
    assert capture.calibration.largest_fit_px < 1e-3
    frame = capture.read(5)
    check_depth(capture, frame.depth_m, plane, 0.51e-3)
    check_color(capture, frame.image)
    check_mask(capture, frame.mask, frame.depth_m)
    # the fit found the device itself, up to turns that its principal point may do as well
    np.testing.assert_allclose(capture.calibration.color_from_depth, device.color_from_depth, atol=1e-4)
    assert frame.color_timestamp_s - frame.timestamp_s == pytest.approx(0.01, abs=1e-5)  # float64 of 6e10 s
    with pytest.raises(InputError, match="none was recorded"):
        capture.read(6)


def test_libfreenect2_is_read_upright_with_its_polynomial_as_a_camera(libfreenect2, factory, plane) -> None:
    capture = open_kinect2(libfreenect2, Kinect2Files(layout="libfreenect2"))
    frame = capture.read(7)
    # float32 millimetres of up to 5 m: 0.25 um; the registration's own 3 um
    check_depth(capture, frame.depth_m, plane, 3.3e-6)
    check_color(capture, frame.image)
    ir, rgb = factory
    # The polynomial, read off its definition, at one pixel and depth of the mirrored image.
    u, v, z_mm = 300.0, 150.0, 1700.0
    x, y = 0.01 * (u - ir["cx"]), 0.01 * (v - ir["cy"])
    wx, wy = (
        sum(rgb[f"{axis}_x{i}y{j}"] * x**i * y**j for i in range(4) for j in range(4 - i))
        for axis in ("mx", "my")
    )
    shown = (
        (wx / (1081.37207 * 0.002199) - 52 / 863 + 52 / z_mm) * 1081.37207 + 959.5, wy / 0.002199 + 539.5,
    )  # fmt: skip
    calibration = mirrored(capture.calibration)
    point_m = np.array([(u - ir["cx"]) / ir["fx"], (v - ir["cy"]) / ir["fy"], 1.0]) * z_mm / 1000
    way = calibration.color_from_depth
    there = distorted_points(way[:3, :3] @ point_m + way[:3, 3], calibration.color)
    assert np.abs(there - shown).max() < 0.5
    assert 0.1 < calibration.largest_fit_px < 1.0  # a third-degree polynomial is no lens
    assert 0.050 < way[0, 3] < 0.055 and np.abs(way[1:3, 3]).max() < 0.002  # the housing's 52 mm
    assert -0.055 < capture.calibration.color_from_depth[0, 3] < -0.050


def test_mirroring_twice_changes_nothing_and_once_turns_the_image_with_the_rays(device) -> None:
    color, way = device.color, device.color_from_depth
    device = replace(device, depth=replace(device.depth, distortion=(0.09, -0.2, 0.001, 0.003, 0.09)))
    once = mirrored(device)
    rays, turned = distorted_rays(device.depth), distorted_rays(once.depth)[:, ::-1]
    np.testing.assert_allclose(turned * [-1, 1, 1], rays, atol=1e-9)
    point_m = np.array([0.3, -0.2, 1.7])
    (u, v), (turned_u, turned_v) = (
        distorted_points(calibration.color_from_depth[:3] @ np.append(point, 1.0), calibration.color)
        for calibration, point in ((device, point_m), (once, point_m * [-1, 1, 1]))
    )
    assert (turned_u, turned_v) == pytest.approx((1919 - u, v), abs=1e-9)
    twice = mirrored(once)
    assert twice.depth == device.depth and twice.color.cx_px == pytest.approx(color.cx_px, abs=1e-10)
    np.testing.assert_array_equal(twice.color_from_depth, way)


def test_mirrored_images_with_a_calibration_of_upright_ones_keep_its_principal_point(
    sdk, tmp_path, device, plane, calibrate_by_iai
) -> None:
    folder = tmp_path / "capture"
    folder.mkdir()
    (folder / "depth").symlink_to(sdk / "depth")
    (folder / "color").symlink_to(sdk / "color")
    calibrate_by_iai(folder, device)
    (folder / "calib_depth.yaml").unlink()
    options = Kinect2Files(layout="kinect-sdk", calibration_format="iai_kinect2")
    capture = open_kinect2(folder, options)
    assert capture.calibration.depth.cx_px == device.depth.cx_px
    frame = capture.read(5)
    check_depth(capture, frame.depth_m, plane, 0.51e-3)
    check_color(capture, frame.image)


def test_streams_are_paired_by_the_time_in_their_names(tmp_path, device, depth_mm, image) -> None:
    (tmp_path / "calibration.json").write_text(calibration_text(device))
    depth = np.rint(depth_mm).astype(np.uint16)
    for tick in (10_000_000, 10_333_333, 10_666_667):
        cv2.imwrite(str(tmp_path / f"d{tick}.png"), depth)
    for tick in (10_020_000, 10_700_000):
        cv2.imwrite(str(tmp_path / f"c{tick}.png"), image[..., ::-1])
    options = Kinect2Files(depth="d{time}.png", color="c{time}.png", time_unit_s=1e-7)
    capture = open_kinect2(tmp_path, options)
    assert capture.frames == [0, 1, 2]
    frame = capture.read(2)
    assert (frame.timestamp_s, frame.color_timestamp_s) == pytest.approx((1.0666667, 1.07))
    check_color(capture, frame.image)
    with pytest.raises(InputError) as caught:
        capture.read(1)
    assert caught.value.reason == "color-missing"
    blind = open_kinect2(tmp_path, Kinect2Files(depth="d{time}.png", color="none", time_unit_s=1e-7))
    assert blind.read(1).image is None and blind.read(1).color_timestamp_s == -1


@pytest.mark.parametrize("coding", ["bgra", "rgba", "yuy2"])
def test_colour_buffers_give_the_colours_that_were_put_in(coding, tmp_path, device, depth_mm, image) -> None:
    (tmp_path / "calibration.json").write_text(calibration_text(device))
    cv2.imwrite(str(tmp_path / "1.png"), np.rint(depth_mm).astype(np.uint16))
    if coding == "yuy2":
        raw = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_YUY2)
    else:
        raw = np.full((1080, 1920, 4), 9, np.uint8)
        raw[..., :3] = image[..., ::-1] if coding == "bgra" else image
    (tmp_path / "1.raw").write_bytes(raw.tobytes())
    (tmp_path / "times.txt").write_text("1 12.5\n")
    capture = open_kinect2(
        tmp_path,
        Kinect2Files(depth="{frame}.png", color="{frame}.raw", color_coding=coding, times="times.txt"),
    )
    frame = capture.read(1)
    check_color(capture, frame.image)
    assert np.abs(frame.image[20:-20, 20:-20, 2].astype(int) - 128).max() <= 4
    assert (frame.timestamp_s, frame.color_timestamp_s) == (12.5, -1.0)
