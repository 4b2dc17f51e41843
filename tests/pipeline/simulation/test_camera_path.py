"""The camera walks once around the person, or a part of it, with the sway of a hand, and looks at the person."""

import numpy as np
import pytest

from pipeline.cameras import rigid_error
from pipeline.simulation.camera_path import draw_path

AIM_M = np.array([0.3, 0.9, -0.2])


def path(kind, *, seed=0, **more):
    return draw_path(np.random.default_rng(seed), kind, distance_m=2.2, aim_m=AIM_M, **more)


def azimuths(cameras: np.ndarray) -> np.ndarray:
    offset = cameras[:, :3, 3] - AIM_M
    return np.unwrap(np.arctan2(offset[:, 0], offset[:, 2]))


@pytest.mark.parametrize("seed", range(5))
def test_orbit_goes_once_around_and_closes(seed):
    cameras = path("orbit", seed=seed).at(np.linspace(0, 1, 90))
    assert abs(azimuths(cameras)[-1] - azimuths(cameras)[0]) == pytest.approx(2 * np.pi, abs=1e-9)
    np.testing.assert_allclose(cameras[0], cameras[-1], atol=1e-9)
    assert max(rigid_error(camera) for camera in cameras) < 1e-12


def test_arc_is_a_third_of_it():
    turned = np.ptp(azimuths(path("arc").at(np.linspace(0, 1, 90))))
    assert turned == pytest.approx(2 * np.pi / 3, abs=0.5)  # twice the sway


def test_person_stays_in_view_and_upright():
    cameras = path("orbit", seed=3).at(np.linspace(0, 1, 200))
    to_aim = AIM_M - cameras[:, :3, 3]
    distance_m = np.linalg.norm(to_aim[:, [0, 2]], axis=1)
    assert distance_m.min() > 1.6 and distance_m.max() < 2.8
    in_cam = np.einsum("nji,nj->ni", cameras[:, :3, :3], to_aim)
    off_axis_rad = np.arctan2(np.hypot(in_cam[:, 0], in_cam[:, 1]), in_cam[:, 2])
    assert np.degrees(off_axis_rad.max()) < 6
    assert (cameras[:, 1, 1] < -0.9).all()  # the camera's y axis points down


def test_tripod_does_not_move_and_sees_the_front():
    cameras = path("still").at(np.linspace(0, 1, 7))
    np.testing.assert_array_equal(cameras, np.repeat(cameras[:1], 7, axis=0))
    assert cameras[0, 2, 3] > AIM_M[2] + 1.5


def test_cameras_of_one_take_stand_evenly_around_and_sway_apart():
    several = [path("arc", camera=number, cameras=3).at(np.zeros(1))[0] for number in range(3)]
    turns = np.diff([azimuths(camera[None])[0] for camera in several]) % (2 * np.pi)
    np.testing.assert_allclose(turns, 2 * np.pi / 3, atol=0.3)
    assert not np.allclose(several[0][1, 3], several[1][1, 3])


def test_same_seed_same_path():
    np.testing.assert_array_equal(path("orbit").at(np.array([0.4])), path("orbit").at(np.array([0.4])))
    assert not np.allclose(path("orbit").at(np.array([0.4])), path("orbit", seed=1).at(np.array([0.4])))
