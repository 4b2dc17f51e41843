"""Light falls as Lambert says, stays put in the world, and a written capture reads back as it was recorded."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline.cameras import backproject
from pipeline.captures.opening import open_capture
from pipeline.simulation.colors import linear_from_srgb
from pipeline.simulation.orbit import orbit_cameras
from pipeline.simulation.record import record_frame
from pipeline.simulation.shading import Scene, draw_scene, shade
from pipeline.simulation.writer import SIMULATED_FILES, SimulatedFrame, write_rgbd_capture

HEIGHT, WIDTH = 30, 40
K = np.array([[35.0, 0, 19.5], [0, 35.0, 14.5], [0, 0, 1]])


def ball(radius_m: float = 0.5, distance_m: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Depth and radial normals of a ball on the optical axis."""
    rays = backproject(np.ones((HEIGHT, WIDTH)), K)
    a, b, c = (rays**2).sum(-1), rays[..., 2] * distance_m, distance_m**2 - radius_m**2
    inside = b**2 - a * c
    depth_m = np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, 0.0).astype(np.float32)
    normal = (backproject(depth_m, K) - [0, 0, distance_m]) / radius_m
    return depth_m, np.where(depth_m[..., None] > 0, normal, 0).astype(np.float32)


@pytest.fixture
def scene() -> Scene:
    return draw_scene(np.random.default_rng(4))


def test_brightness_is_lamp_by_cosine_plus_sky_by_height(scene) -> None:
    depth_m, normal = ball()
    hit = depth_m > 0
    albedo = np.full((HEIGHT, WIDTH, 3), 180, np.uint8)
    image = shade(albedo, normal, hit, scene, K=K, world_from_cam=np.eye(4))
    for v, u in np.argwhere(hit)[::17]:
        cosine = max(0.0, float(normal[v, u] @ scene.lamp_world))
        light = cosine * scene.lamp + (0.75 + 0.25 * normal[v, u, 1]) * scene.sky
        expected = linear_from_srgb(np.array([180], np.uint8)) * light
        seen = linear_from_srgb(image[v, u])
        # half a code of 255 in sRGB is at most 0.5 % of full scale in linear light
        np.testing.assert_allclose(seen, np.minimum(expected, 1), atol=0.005)


def test_light_and_backdrop_stay_put_when_the_camera_turns(scene) -> None:
    pose = orbit_cameras(np.random.default_rng(0), 2)[0]
    normal_world = np.array([0.6, 0.64, 0.48])
    hit = np.zeros((HEIGHT, WIDTH), bool)
    hit[5:20, 5:20] = True
    albedo = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    rows = []
    for world_from_cam in (np.eye(4), pose):
        normal = np.broadcast_to(normal_world @ world_from_cam[:3, :3], (HEIGHT, WIDTH, 3))
        rows.append(shade(albedo, normal, hit, scene, K=K, world_from_cam=world_from_cam))
    np.testing.assert_array_equal(rows[0][hit], rows[1][hit])
    # a camera moved without turning sees the backdrop at infinity unmoved; a turned one does not
    moved = np.eye(4)
    moved[:3, 3] = [1.0, 2.0, 3.0]
    still = shade(albedo, 0 * albedo.astype(float), 0 * hit > 0, scene, K=K, world_from_cam=moved)
    np.testing.assert_array_equal(still[~hit], rows[0][~hit])
    assert (rows[0][~hit] != rows[1][~hit]).any()


def test_shading_reads_nothing_outside_the_person(scene) -> None:
    depth_m, normal = ball()
    hit = depth_m > 0
    albedo = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    before = shade(albedo, normal, hit, scene, K=K, world_from_cam=np.eye(4))
    albedo[~hit], normal[~hit] = 255, np.nan
    np.testing.assert_array_equal(before, shade(albedo, normal, hit, scene, K=K, world_from_cam=np.eye(4)))


def recorded(person, scene, count: int = 3) -> list[SimulatedFrame]:
    depth_m, normal = ball()
    return [
        record_frame(
            frame,
            person,
            scene,
            depth_m=depth_m,
            normal_cam=normal,
            K=K,
            world_from_cam=pose,
            rng=np.random.default_rng(frame),
        )
        for frame, pose in enumerate(orbit_cameras(np.random.default_rng(1), count))
    ]


def test_colours_stick_to_the_person_when_the_camera_moves(person, scene) -> None:
    depth_m = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    normal = np.broadcast_to(np.float32([0, 0, -1]), (HEIGHT, WIDTH, 3))
    images = []
    for pixels in (0, 3):
        pose = np.diag([1.0, -1.0, -1.0, 1.0])
        pose[:3, 3] = [pixels * 2.0 / 35.0, 0.9, 2.0]  # a pixel is 2 m / 35 px at this depth
        frame = record_frame(
            0,
            person,
            scene,
            depth_m=depth_m,
            normal_cam=normal,
            K=K,
            world_from_cam=pose,
            rng=np.random.default_rng(0),
        )
        images.append(frame.image)
        assert frame.mask.all() and np.abs(frame.depth_raw_mm.astype(int) - 2000).max() < 15
    assert len(np.unique(images[0].reshape(-1, 3), axis=0)) > 20
    np.testing.assert_array_equal(images[0][:, 3:], images[1][:, :-3])


def test_a_written_capture_reads_back_within_half_a_millimetre(person, scene, tmp_path: Path) -> None:
    depth_m, _ = ball()
    truth = [
        dataclasses.replace(frame, depth_raw_mm=np.rint(1000 * depth_m).astype(np.uint16))
        for frame in recorded(person, scene)
    ]
    write_rgbd_capture(tmp_path / "raw", iter(truth), K)
    capture = open_capture(tmp_path / "raw", "rgbd-folder", SIMULATED_FILES)
    assert capture.frames == [0, 1, 2]
    for written in truth:
        read = capture.read(written.frame)
        # whole millimetres: half of one, and float32's rounding at 2 m
        assert np.abs(read.depth_m - depth_m).max() <= 0.5e-3 + 3e-7
        np.testing.assert_array_equal(read.mask, written.mask)
        np.testing.assert_array_equal(read.world_from_cam, written.world_from_cam)
        np.testing.assert_array_equal(read.K, K)
        # JPEG of quality 95 halves the colour resolution: exact in the mean, a few codes off at edges
        difference = read.image.astype(float) - written.image
        assert abs(difference.mean()) < 0.5 and np.abs(difference).mean() < 6


def test_the_same_frames_give_the_same_bytes(person, scene, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_rgbd_capture(tmp_path / name, recorded(person, scene), K)
    first = {path.relative_to(tmp_path / "a"): path.read_bytes() for path in (tmp_path / "a").rglob("*.*")}
    second = {path.relative_to(tmp_path / "b"): path.read_bytes() for path in (tmp_path / "b").rglob("*.*")}
    assert len(first) == 3 * 4 + 1 and first == second


def test_a_folder_with_a_capture_in_it_no_frame_or_mixed_sizes_are_refused(person, scene, tmp_path) -> None:
    frames = recorded(person, scene)
    write_rgbd_capture(tmp_path / "a", frames, K)
    with pytest.raises(FileExistsError):
        write_rgbd_capture(tmp_path / "a", frames, K)
    with pytest.raises(ValueError, match="must have a frame"):
        write_rgbd_capture(tmp_path / "b", [], K)
    half = dataclasses.replace(frames[1], depth_raw_mm=frames[1].depth_raw_mm[:, ::2])
    with pytest.raises(ValueError, match="frame 1 is"):
        write_rgbd_capture(tmp_path / "c", [frames[0], half], K)
