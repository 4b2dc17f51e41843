"""A sphere before a wall, seen by a Kinect v2 of half its pixels: written, read back, held against closed form."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion
from scipy.spatial.transform import Rotation

from pipeline.cameras import pixel_rays
from pipeline.captures.distortion import LensCamera, distorted_rays
from pipeline.captures.kinect2 import Kinect2Folder, open_kinect2
from pipeline.captures.kinect2_calibration import Kinect2Calibration
from pipeline.errors import InputError
from pipeline.simulation.kinect import (
    COLOR_CAMERA,
    DEPTH_CAMERA,
    amplitude,
    cosine_to_ray,
    measure_depth,
    noise_sigma_m,
    virtual_kinect,
)
from pipeline.simulation.kinect_writer import KinectFrame, write_kinect2_capture
from pipeline.simulation.truth_writer import TrueFrame

CENTRE, RADIUS_M = np.array([0.1, 0.05, 1.9]), 0.35  # world
WALL_NORMAL, WALL_M = np.array([0.24, -0.1, 0.9656]), 2.8
REFLECTANCE = 0.5


def half(camera: LensCamera) -> LensCamera:
    return LensCamera(
        width=camera.width // 2,
        height=camera.height // 2,
        fx_px=camera.fx_px / 2,
        fy_px=camera.fy_px / 2,
        cx_px=(camera.cx_px + 0.5) / 2 - 0.5,
        cy_px=(camera.cy_px + 0.5) / 2 - 0.5,
        distortion=camera.distortion,
    )


DEVICE = Kinect2Calibration(
    device="virtual Kinect v2",
    serial="half",
    depth=half(DEPTH_CAMERA),
    color=half(COLOR_CAMERA),
    color_from_depth=virtual_kinect().color_from_depth,
)


def pose_of(frame: int) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec([0.02 * frame, -0.05 * frame, 0.03]).as_matrix()
    pose[:3, 3] = [0.1 * frame, 0.03, -0.1]
    return pose


def scene(rays: np.ndarray, world_from_cam: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True z (H W), unit normals in the camera (H W 3) and whether it is the sphere, for rays with z = 1."""
    rays_world, origin = rays @ world_from_cam[:3, :3].T, world_from_cam[:3, 3]
    a, b = np.sum(rays_world**2, -1), rays_world @ (origin - CENTRE)
    inside = b**2 - a * (np.sum((origin - CENTRE) ** 2) - RADIUS_M**2)
    sphere_m = np.where(inside > 0, (-b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)
    wall_m = (WALL_M - origin @ WALL_NORMAL) / (rays_world @ WALL_NORMAL)
    depth_m, on_sphere = np.minimum(sphere_m, wall_m), sphere_m < wall_m
    radial = (origin + rays_world * depth_m[..., None] - CENTRE) / RADIUS_M
    normal = np.where(on_sphere[..., None], radial, -WALL_NORMAL / np.linalg.norm(WALL_NORMAL))
    return depth_m, normal @ world_from_cam[:3, :3], on_sphere


def record(frame: int, color_rays: np.ndarray) -> KinectFrame:
    world_from_depth = pose_of(frame)
    world_from_color = world_from_depth @ np.linalg.inv(DEVICE.color_from_depth)
    depth_m, normal, on_sphere = scene(distorted_rays(DEVICE.depth), world_from_depth)
    reflectance = np.full(depth_m.shape, REFLECTANCE)
    rng = np.random.default_rng(frame)
    painted = scene(color_rays, world_from_color)[2][..., None]
    return KinectFrame(
        frame=frame,
        depth_s=7.0 + frame / 30,
        color_s=7.004 + frame / 30,
        depth_raw_mm=measure_depth(depth_m, normal, reflectance, DEVICE.depth, rng),
        image=np.where(painted, [200, 60, 60], [60, 60, 60]).astype(np.uint8),
        mask=on_sphere,
        true=TrueFrame(
            world_from_depth=world_from_depth,
            world_from_color=world_from_color,
            depth_m=depth_m.astype(np.float32),
            vertices_m=np.eye(3, dtype=np.float32),
            pose_rad=np.zeros((24, 3)),
            betas=np.zeros(10),
            transl_m=np.zeros(3),
        ),
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinect2") / "capture"
    color_rays = distorted_rays(DEVICE.color)
    frames = (record(frame, color_rays) for frame in (0, 1, 4))
    write_kinect2_capture(
        folder, frames, DEVICE, faces=np.array([[0, 1, 2]], np.int32), vertex_rgb=np.zeros((3, 3), np.uint8)
    )
    return folder


@pytest.fixture
def damaged(written: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(written, tmp_path / "capture"))


def true_depth(capture: Kinect2Folder, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Closed-form depth of the registered frame, and whether it is the sphere."""
    height, width = capture.cameras.shape_hw
    world_from_color = pose_of(frame) @ np.linalg.inv(DEVICE.color_from_depth)
    depth_m, _, on_sphere = scene(pixel_rays(capture.cameras.K, height, width), world_from_color)
    return depth_m, on_sphere


def test_frames_come_at_the_reduced_colour_camera_with_exact_pose_and_time(written) -> None:
    capture = open_kinect2(written)
    assert capture.frames == [0, 1, 4]
    frame = capture.read(4)
    assert frame.image.shape == (243, 432, 3) and frame.depth_m.shape == (243, 432)
    assert frame.depth_m.dtype == np.float32 and frame.mask.dtype == np.bool_
    assert frame.timestamp_s == pytest.approx(7.0 + 4 / 30, abs=1e-6)  # written in microseconds
    expected = pose_of(4) @ np.linalg.inv(DEVICE.color_from_depth)
    np.testing.assert_allclose(frame.world_from_cam, expected, atol=1e-14)
    # 0.45 of f; a centre at edge coordinate c + 0.5 stays there
    scaled = 0.45 * DEVICE.color.K
    scaled[:2, 2] = 0.45 * (DEVICE.color.K[:2, 2] + 0.5) - 0.5
    scaled[2, 2] = 1
    np.testing.assert_allclose(frame.K, scaled, atol=1e-12)


@pytest.mark.parametrize("number", [0, 4])
def test_registered_depth_errs_by_the_noise_of_the_sensor_and_by_nothing_else(written, number) -> None:
    capture = open_kinect2(written)
    frame = capture.read(number)
    expected_m, on_sphere = true_depth(capture, number)
    height, width = capture.cameras.shape_hw
    normal = scene(pixel_rays(capture.cameras.K, height, width), frame.world_from_cam)[1]
    plain = LensCamera(
        width=width, height=height, fx_px=frame.K[0, 0], fy_px=frame.K[1, 1], cx_px=frame.K[0, 2],
        cy_px=frame.K[1, 2], distortion=(0, 0, 0, 0, 0),
    )  # fmt: skip
    cosine = cosine_to_ray(normal, expected_m > 0, plain)
    # away from the outline, whose pixels mix, and from slants that are joined no more
    away = binary_erosion(on_sphere, iterations=5) | ~binary_dilation(on_sphere, iterations=5)
    fair = (frame.depth_m > 0) & away & (cosine > 0.5)
    assert fair.sum() > 0.6 * fair.size
    error_m = (frame.depth_m - expected_m)[fair]
    sigma_m = noise_sigma_m(amplitude(expected_m[fair], cosine[fair], REFLECTANCE))
    raw_sigma_m = np.hypot(sigma_m, 1e-3 / np.sqrt(12))
    # Interpolating between two corners, with t and 1 - t of them, and that twice, averages their noise: the mean
    # of t^2 + (1 - t)^2 is 2/3, its square 4/9. About 20,000 independent corners are used: 5 standard errors of
    # a variance are 5 %.
    ratio = np.mean((error_m / raw_sigma_m) ** 2)
    assert abs(ratio - 4 / 9) < 0.05 * 4 / 9 + 0.01  # and a little for chords of the sphere
    assert abs(error_m.mean()) < 0.1e-3
    for part in (on_sphere[fair], ~on_sphere[fair]):
        # chords of the sphere lie behind it: h = 1.6 m / 183 px sags h^2 / 6r = 0.04 mm in the mean
        assert abs(error_m[part].mean()) < 0.15e-3


def test_image_and_mask_lie_on_the_depth(written) -> None:
    capture = open_kinect2(written)
    frame = capture.read(1)
    _, on_sphere = true_depth(capture, 1)
    red = frame.image[..., 0].astype(int) - frame.image[..., 1] > 70
    # the JPEG halves its colours, and 9/20 of the size averages: one pixel either way
    assert not (red & ~binary_dilation(on_sphere)).any() and red[binary_erosion(on_sphere)].all()
    # the mask ends with the depth, half a raw pixel and a mixed one inside the outline, or a mixed one outside
    assert not (frame.mask & ~binary_dilation(on_sphere, iterations=3)).any()
    inner = binary_erosion(on_sphere, iterations=6)
    assert frame.mask[inner & (frame.depth_m > 0)].all() and frame.mask.sum() > 0.8 * on_sphere.sum()
    assert not frame.mask[frame.depth_m == 0].any()


def test_files_are_those_that_reading_touches(written, damaged) -> None:
    capture = open_kinect2(written)
    names = [path.relative_to(written).as_posix() for path in capture.files([4])]
    assert names == [
        "calibration.json", "timestamps.csv", "depth/000004.png", "color/000004.jpg", "mask/000004.png",
        "pose/000004.txt",
    ]  # fmt: skip
    shutil.rmtree(damaged / "mask")
    shutil.rmtree(damaged / "truth")
    bare = open_kinect2(damaged)
    assert bare.read(4).mask is None and len(bare.files([0, 4])) == 2 + 6
    shutil.rmtree(damaged / "pose")
    lost = open_kinect2(damaged)
    assert lost.read(4).world_from_cam is None and len(lost.files([0, 4])) == 2 + 4


def test_each_stream_keeps_its_own_time_however_far_apart_they_are(damaged) -> None:
    rewrite(damaged / "timestamps.csv", "7.037333", "7.970667")
    frame = open_kinect2(damaged).read(1)
    assert (frame.timestamp_s, frame.color_timestamp_s) == (7.033333, 7.970667)


def test_reading_twice_gives_the_same_bytes(written) -> None:
    first, second = open_kinect2(written).read(0), open_kinect2(written).read(0)
    for name in ("image", "depth_m", "mask", "world_from_cam", "K"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def reason_of(act: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        act()
    message = str(caught.value)
    # place, expectation, finding, next step
    assert message.endswith(".") and ". " in message and "array(" not in message, message
    return caught.value.reason


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def save(path: Path, image: np.ndarray) -> None:
    assert cv2.imwrite(str(path), image)


PER_FRAME = {
    "cut depth": ("unreadable-depth", lambda d: cut(d / "depth/000001.png")),
    "cut jpeg": ("unreadable-color", lambda d: cut(d / "color/000001.jpg")),
    "cut mask": ("unreadable-mask", lambda d: cut(d / "mask/000001.png")),
    "8-bit depth": ("depth-type", lambda d: save(d / "depth/000001.png", np.full((212, 256), 9, np.uint8))),
    "turned depth": ("depth-size", lambda d: save(d / "depth/000001.png", np.ones((256, 212), np.uint16))),
    "small colour": ("color-size", lambda d: save(d / "color/000001.jpg", np.ones((243, 432, 3), np.uint8))),
    "registered mask": ("mask-size", lambda d: save(d / "mask/000001.png", np.ones((243, 432), np.uint8))),
    "no depth at all": ("empty-depth", lambda d: save(d / "depth/000001.png", np.zeros((212, 256), np.uint16))),
    "no depth file": ("depth-missing", lambda d: (d / "depth/000001.png").unlink()),
    "no colour file": ("color-missing", lambda d: (d / "color/000001.jpg").unlink()),
    "no mask file": ("mask-missing", lambda d: (d / "mask/000001.png").unlink()),
    "no pose file": ("pose-missing", lambda d: (d / "pose/000001.txt").unlink()),
    "sheared pose": ("pose-not-rigid", lambda d: np.savetxt(d / "pose/000001.txt", np.diag([1, 1, 1.01, 1]))),
    "no row": ("timestamps-missing", lambda d: rewrite(d / "timestamps.csv", "\n1,7.033333,7.037333", "")),
    "dropped colour": ("color-missing", lambda d: rewrite(d / "timestamps.csv", "7.037333", "")),
}  # fmt: skip


@pytest.mark.parametrize("damage", sorted(PER_FRAME))
def test_each_damage_to_a_frame_has_its_reason_and_spoils_no_other(damage, damaged) -> None:
    reason, act = PER_FRAME[damage]
    act(damaged)
    capture = open_kinect2(damaged)
    assert capture.frames == [0, 1, 4]
    assert reason_of(lambda: capture.read(1)) == reason
    assert capture.read(4).frame == 4


def test_a_frame_that_is_not_there_is_refused(written) -> None:
    assert reason_of(lambda: open_kinect2(written).read(2)) == "depth-missing"


CALIBRATION = "calibration-malformed"
OPENING = {
    "no folder": ("capture-missing", lambda d: shutil.rmtree(d)),
    "no calibration": ("calibration-missing", lambda d: (d / "calibration.json").unlink()),
    "no json": (CALIBRATION, lambda d: (d / "calibration.json").write_text("{")),
    "a list": (CALIBRATION, lambda d: (d / "calibration.json").write_text("[]")),
    "no k3": (CALIBRATION, lambda d: rewrite(d / "calibration.json", '"k3"', '"k_3"')),
    "no colour": (CALIBRATION, lambda d: rewrite(d / "calibration.json", '"color"', '"rgb"')),
    "no way": (CALIBRATION, lambda d: rewrite(d / "calibration.json", "color_from_depth", "T")),
    "no serial": (CALIBRATION, lambda d: rewrite(d / "calibration.json", '"serial"', '"number"')),
    "infinite lens": (CALIBRATION, lambda d: rewrite(d / "calibration.json", "0.091", "Infinity")),
    "folded lens": (CALIBRATION, lambda d: rewrite(d / "calibration.json", "0.091", "-3.0")),
    "millimetres": (CALIBRATION, lambda d: rewrite(d / "calibration.json", "-0.052", "-52.0")),
    "half a pixel wide": (CALIBRATION, lambda d: rewrite(d / "calibration.json", "256", "256.5")),
    "wrong size": ("intrinsics-mismatch", lambda d: rewrite(d / "calibration.json", '"width": 256', '"width": 96')),
    "no times": ("timestamps-missing", lambda d: (d / "timestamps.csv").unlink()),
    "no head": ("timestamps-malformed", lambda d: rewrite(d / "timestamps.csv", "frame,", "number,")),
    "no number": ("timestamps-malformed", lambda d: rewrite(d / "timestamps.csv", "7.033333", "soon")),
    "short row": ("timestamps-malformed", lambda d: rewrite(d / "timestamps.csv", ",7.037333", "")),
    "endless time": ("timestamps-malformed", lambda d: rewrite(d / "timestamps.csv", "7.033333", "inf")),
    "row twice": ("duplicate-frame", lambda d: rewrite(d / "timestamps.csv", "\n4,", "\n1,7.1,7.1\n4,")),
    "no images": ("no-frames", lambda d: [shutil.rmtree(d / "depth"), shutil.rmtree(d / "color")]),
}  # fmt: skip


@pytest.mark.parametrize("damage", sorted(OPENING))
def test_each_damage_to_a_capture_has_its_reason(damage, damaged) -> None:
    reason, act = OPENING[damage]
    act(damaged)
    assert reason_of(lambda: open_kinect2(damaged)) == reason
