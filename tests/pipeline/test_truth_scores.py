"""Distances to the truth, from closed form."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.comparison import rotation_angle_rad
from pipeline.truth_scores import pose_error, surface_points


@pytest.mark.parametrize("angle_rad", [0.0, 1e-9, 0.3, 3.0, np.pi])
def test_angle_between_two_rotations_is_that_of_their_difference(angle_rad):
    first = Rotation.from_euler("xyz", [0.3, -1.2, 2.0]).as_matrix()
    second = first @ Rotation.from_rotvec(angle_rad * np.array([0.6, 0.0, 0.8])).as_matrix()
    assert rotation_angle_rad(first, second) == pytest.approx(angle_rad, abs=1e-12)


def test_camera_that_is_moved_and_turned_is_off_by_just_that():
    truth, estimate = np.eye(4), np.eye(4)
    estimate[:3, 3] = [0.03, 0.0, -0.04]
    estimate[:3, :3] = Rotation.from_rotvec([0, 0.01, 0]).as_matrix()
    apart_m, turned_rad = pose_error(estimate, truth)
    assert apart_m == pytest.approx(0.05) and turned_rad == pytest.approx(0.01)


def test_points_lie_on_the_surface_evenly_by_area():
    vertices = np.array([[0, 0, 0], [3, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)  # 1.5 and 0.5 square metres
    points = surface_points(vertices, faces, 20_000, np.random.default_rng(0))
    first = points[:, 2] == 0
    assert np.mean(first) == pytest.approx(0.75, abs=0.015)  # five standard deviations
    inside = points[first]
    assert (inside[:, 0] / 3 + inside[:, 1] <= 1 + 1e-12).all() and (inside >= -1e-12).all()
    np.testing.assert_allclose(inside.mean(axis=0), [1, 1 / 3, 0], atol=0.03)  # the centroid


def test_surface_without_area_is_refused():
    with pytest.raises(ValueError, match="must have an area, its 1 faces have none"):
        surface_points(np.zeros((3, 3)), np.array([[0, 1, 2]], np.int32), 5, np.random.default_rng(0))
