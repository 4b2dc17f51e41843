"""A take: the frames, the truth beside them, and that both are of one world."""

from functools import partial

import numpy as np
import pytest

from pipeline.cameras import invert_rigid, project, transform
from pipeline.captures.distortion import distorted_points
from pipeline.captures.kinect2 import open_kinect2
from pipeline.captures.truth import read_truth
from pipeline.seeds import stream
from pipeline.simulation.casting import Script, draw_take
from pipeline.simulation.dressing import dressed
from pipeline.simulation.filming import film_take, vertex_rgb
from pipeline.simulation.kinect_writer import TRUTH_FOLDER, write_kinect2_capture

STILL = {"capture": "c", "subject": "ann", "outfit": "first", "pose": "standing", "motion": None,
         "camera": "orbit", "cameras": 1, "count": 2, "distance_m": 2.2}  # fmt: skip


def draw(seed: int, capture: str, purpose: str, frame: int | None) -> np.random.Generator:
    return stream(seed, purpose, capture, frame)


def take_of(**changes):
    return draw_take(5, Script(**{**STILL, **changes}))


@pytest.fixture(scope="module")
def take():
    return take_of()


@pytest.fixture(scope="module")
def frames(take):
    return list(film_take(take, partial(draw, 5, "c"), threads=1))


def test_frames_are_raw_streams_of_a_kinect_at_its_times(take, frames):
    first, second = frames
    assert first.image.shape == (1080, 1920, 3) and first.depth_raw_mm.shape == (424, 512)
    assert first.depth_raw_mm.dtype == np.uint16 and first.mask.dtype == np.bool_
    assert second.depth_s - first.depth_s == pytest.approx(10.0, abs=0.02)  # half of a walk of 20 s
    assert abs(first.color_s - first.depth_s) < 0.02


def test_depth_is_the_truth_with_the_sensors_noise(frames):
    for frame in frames:
        seen = frame.depth_raw_mm > 0
        error_mm = frame.depth_raw_mm[seen] - 1e3 * frame.true.depth_m[seen]
        assert abs(np.median(error_mm)) < 0.3
        assert 0.5 < np.median(np.abs(error_mm)) < 4
        assert np.mean(np.abs(error_mm) > 50) < 0.02  # mixed pixels


def test_mask_is_where_the_true_surface_is_seen(frames):
    for frame in frames:
        points_cam = transform(invert_rigid(frame.true.world_from_depth), frame.true.vertices_m.astype(float))
        height_px = 365 * np.ptp(points_cam[:, 1]) / np.median(points_cam[:, 2])
        rows = np.flatnonzero(frame.mask.any(axis=1))
        assert np.ptp(rows) == pytest.approx(height_px, rel=0.1)
        depth_m = frame.true.depth_m[frame.mask]
        assert points_cam[:, 2].min() - 0.01 < depth_m.min() and depth_m.max() < points_cam[:, 2].max() + 0.01
        assert 0.02 < frame.mask.mean() < 0.25


def test_person_stands_on_the_floor(frames):
    lowest_m = frames[0].true.vertices_m[:, 1].min()
    assert abs(lowest_m) < 1e-4
    np.testing.assert_array_equal(frames[0].true.vertices_m, frames[1].true.vertices_m)


def test_colour_shows_the_person_where_the_truth_says(take, frames):
    """The person's outline in the image is where the true mesh projects through the colour lens."""
    frame = frames[0]
    points_cam = transform(invert_rigid(frame.true.world_from_color), frame.true.vertices_m.astype(float))
    pixels = np.rint(distorted_points(points_cam, take.calibration.color)).astype(int)
    hit = np.zeros(frame.image.shape[:2], bool)
    hit[pixels[:, 1], pixels[:, 0]] = True
    inside = frame.image[hit].astype(float).mean(axis=0)
    ring = np.zeros_like(hit)
    ring[np.clip(pixels[:, 1], 0, 1079), np.clip(pixels[:, 0] + 300, 0, 1919)] = True
    assert np.abs(inside - frame.image[ring & ~hit].astype(float).mean(axis=0)).max() > 8


def test_written_capture_reads_back_and_its_depth_lies_on_the_true_surface(take, frames, tmp_path):
    write_kinect2_capture(
        tmp_path / "c",
        frames,
        take.calibration,
        faces=take.wardrobe.faces,
        vertex_rgb=vertex_rgb(take.wardrobe),
    )
    capture, known = open_kinect2(tmp_path / "c"), read_truth(tmp_path / "c" / TRUTH_FOLDER)
    frame = capture.read(0)
    assert frame.mask is not None and frame.mask.any()
    points_cam = transform(invert_rigid(frame.world_from_cam), known.vertices_m(0).astype(float))
    pixels = np.rint(project(points_cam, frame.K)).astype(int)
    front = np.full(frame.depth_m.shape, np.inf)
    np.minimum.at(front, (pixels[:, 1], pixels[:, 0]), points_cam[:, 2])
    both = np.isfinite(front) & frame.mask & (frame.depth_m > 0)
    # A vertex hidden behind the surface may be the only one of its pixel: the median does not mind.
    assert abs(np.median(front[both] - frame.depth_m[both])) < 0.004
    np.testing.assert_allclose(known.betas[0], take.wardrobe.identity.betas)


@pytest.mark.slow
def test_same_seed_same_frames(frames):
    again = next(film_take(take_of(), partial(draw, 5, "c"), threads=2))
    np.testing.assert_array_equal(again.depth_raw_mm, frames[0].depth_raw_mm)
    np.testing.assert_array_equal(again.image, frames[0].image)


def test_person_and_clothes_are_the_subjects_pose_and_cameras_the_captures(take):
    other = take_of(capture="d", pose="waving")
    np.testing.assert_array_equal(other.wardrobe.identity.betas, take.wardrobe.identity.betas)
    np.testing.assert_array_equal(vertex_rgb(other.wardrobe), vertex_rgb(take.wardrobe))
    assert not np.allclose(other.action(0)[0], take.action(0)[0])
    assert not np.allclose(other.paths[0].at(np.zeros(1)), take.paths[0].at(np.zeros(1)))
    assert len(vertex_rgb(take_of(outfit="second").wardrobe)) != len(vertex_rgb(take.wardrobe))
    assert not np.array_equal(take_of(subject="bob").wardrobe.identity.betas, take.wardrobe.identity.betas)


def test_moving_person_moves_before_a_camera_that_does_not():
    take = take_of(motion="walk", camera="still", count=30)
    poses = np.array([take.action(time_s)[0] for time_s in take.times.depth_s])
    places = np.array([take.action(time_s)[1] for time_s in take.times.depth_s])
    assert np.degrees(np.ptp(poses, axis=0).max()) > 15
    assert (
        np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 0.06
    )  # 1.5 m/s at 30 Hz, some frames 40 ms apart
    path = take.paths[0].at(np.array([0.0, 0.7]))
    np.testing.assert_array_equal(path[0], path[1])
    # Between two rows of the motion the pose goes on evenly.
    middle = take.times.depth_s[3]
    steps = np.array([take.action(middle + share / 240)[1] for share in (0, 0.5, 1.0)])
    np.testing.assert_allclose(steps[1], (steps[0] + steps[2]) / 2, atol=2e-4)


def test_several_cameras_see_the_same_moments():
    take = take_of(cameras=3, count=6)
    assert len(take.paths) == 3 and len(take.times.depth_s) == 2
    azimuth = [np.arctan2(*path.at(np.zeros(1))[0, [0, 2], 3]) for path in take.paths]
    np.testing.assert_allclose(np.diff(azimuth) % (2 * np.pi), 2 * np.pi / 3, atol=0.3)


def test_sitting_person_has_a_stool_as_high_as_the_seat():
    take = take_of(pose="sitting")
    assert 0.3 < take.seat_m < 0.6
    body = dressed(take.wardrobe, *take.action(0))
    assert body.joints_m[0, 1] > take.seat_m
