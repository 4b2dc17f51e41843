"""The virtual camera walks once around, sees the whole person from every place, and never jumps."""

import numpy as np
import pytest

from pipeline.cameras import invert_rigid, project, rigid_error, transform
from pipeline.simulation.orbit import HEIGHT_PX, K_DEPTH, WIDTH_PX, orbit_cameras

SEEDS = range(40)


@pytest.fixture(scope="module")
def walks() -> list[np.ndarray]:
    return [orbit_cameras(np.random.default_rng(seed), 60) for seed in SEEDS]


def test_poses_are_rigid_and_upright(walks) -> None:
    for pose in np.concatenate(walks):
        assert rigid_error(pose) < 1e-12
        # OpenCV: the image's down is the world's down, within the roll and the pitch
        assert pose[1, 1] < -0.8 and abs(pose[1, 0]) < 0.2


def test_the_whole_person_stays_in_the_image(walks) -> None:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    # ground, spread hands and crown of the largest person
    rings = ((0.0, 0.35), (0.75, 0.6), (1.9, 0.12))
    person = np.concatenate(
        [np.stack([r * np.sin(angle), np.full(24, y), r * np.cos(angle)], axis=1) for y, r in rings]
    )
    for pose in np.concatenate(walks):
        points = transform(invert_rigid(pose), person)
        pixels = project(points, K_DEPTH)
        assert points[:, 2].min() > 1.0
        assert pixels.min() > 0 and pixels[:, 0].max() < WIDTH_PX - 1 and pixels[:, 1].max() < HEIGHT_PX - 1


def test_the_walk_is_one_closed_turn_without_jumps(walks) -> None:
    for poses in walks:
        closed = np.concatenate([poses, poses[:1]])
        azimuth = np.unwrap(np.arctan2(closed[:, 0, 3], closed[:, 2, 3]))
        assert abs(azimuth[-1] - azimuth[0]) == pytest.approx(2 * np.pi)
        steps = np.linalg.norm(np.diff(closed[:, :3, 3], axis=0), axis=1)
        # 2.2 m times 2 pi over 60 frames is 23 cm
        assert steps.min() > 0.10 and steps.max() < 0.40
        turns = np.einsum("nij,nij->n", closed[1:, :3, :3], closed[:-1, :3, :3])
        assert np.degrees(np.arccos((turns - 1) / 2)).max() < 12


def test_hands_are_unsteady_and_seeds_differ(walks) -> None:
    for poses in walks:
        assert poses[:, 1, 3].std() > 0.03 and np.hypot(poses[:, 0, 3], poses[:, 2, 3]).std() > 0.02
    assert len({poses.tobytes() for poses in walks}) == len(walks)
    np.testing.assert_array_equal(walks[3], orbit_cameras(np.random.default_rng(3), 60))
