"""Poses that were rounded when written, taken to the nearest rotation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cameras import RIGID_TOLERANCE, nearest_rigid, rigid_error

seeds = st.integers(0, 2**32 - 1)
# Largest entry's error of a pose: from float64's own to the most that a reader lets pass.
roundings = st.sampled_from([0.0, 1e-15, 1e-8, 1e-6, RIGID_TOLERANCE / 4])


def quaternion_pose(seed: int) -> np.ndarray:
    """A rigid transform from a random unit quaternion, rounded to float64 alone."""
    rng = np.random.default_rng(seed)
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = rng.uniform(-5, 5, 3)
    return pose


def rounded(pose: np.ndarray, most: float, seed: int) -> np.ndarray:
    """The pose with every rotation entry off by at most `most`."""
    off = pose.copy()
    off[:3, :3] += np.random.default_rng(seed).uniform(-most, most, (3, 3))
    return off


def frobenius(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a[:3, :3] - b[:3, :3]))


@given(seeds, roundings)
def test_result_is_rigid_to_the_last_bits_and_keeps_the_translation(seed, most):
    off = rounded(quaternion_pose(seed), most, seed)
    rigid = nearest_rigid(off)
    # Nine products of numbers below 1 in float64: a few times 2e-16.
    assert rigid_error(rigid) < 2e-15
    np.testing.assert_array_equal(rigid[:3, 3], off[:3, 3])
    assert rigid.dtype == np.float64


@given(seeds, roundings)
def test_result_is_no_farther_from_the_input_than_the_unrounded_rotation(seed, most):
    pose = quaternion_pose(seed)
    off = rounded(pose, most, seed)
    assert frobenius(nearest_rigid(off), off) <= frobenius(pose, off) + 2e-15


@given(seeds, roundings.filter(lambda most: most >= 1e-6))
def test_no_small_turn_brings_the_result_nearer(seed, most):
    off = rounded(quaternion_pose(seed), most, seed)
    best = nearest_rigid(off)
    for axis in np.eye(3):
        for angle_rad in (-most / 10, most / 10):
            turned = best.copy()
            cross = np.cross(np.eye(3), angle_rad * axis)
            turned[:3, :3] = best[:3, :3] @ (np.eye(3) + cross + cross @ cross / 2)
            assert frobenius(turned, off) > frobenius(best, off)


@given(seeds)
def test_exact_pose_stays_as_it_is(seed):
    pose = quaternion_pose(seed)
    np.testing.assert_allclose(nearest_rigid(pose), pose, atol=2e-15)


@given(seeds, roundings)
def test_second_time_changes_nothing(seed, most):
    once = nearest_rigid(rounded(quaternion_pose(seed), most, seed))
    np.testing.assert_allclose(nearest_rigid(once), once, atol=2e-15)


@pytest.mark.parametrize("axis", range(3))
def test_half_turns_are_kept(axis):
    pose = -np.eye(4)
    pose[axis, axis] = pose[3, 3] = 1
    np.testing.assert_allclose(nearest_rigid(pose), pose, atol=1e-15)


def test_input_is_left_alone():
    off = rounded(quaternion_pose(3), 1e-4, 3)
    before = off.copy()
    nearest_rigid(off)
    np.testing.assert_array_equal(off, before)


def test_pose_scaled_a_little_loses_its_scale():
    pose = quaternion_pose(8)
    scaled = pose.copy()
    scaled[:3, :3] *= 1.0004
    np.testing.assert_allclose(nearest_rigid(scaled), pose, atol=2e-15)
