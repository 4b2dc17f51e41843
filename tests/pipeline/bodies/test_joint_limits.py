"""Angles, their limits, and the anchors that keep them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pipeline.bodies.anchors import ARMS, LEGS, SPINES
from pipeline.bodies.joint_limits import (
    HIGHEST_DEG,
    LOWEST_DEG,
    degrees_from_rotations,
    limit_excess_deg,
    mirrored_degrees,
    pose_excess_deg,
    pose_from_rotations,
    rotations_from_degrees,
)
from pipeline.bodies.joints import mirrored_pose
from pipeline.bodies.skeleton import SMPL24_FLIP, SMPL24_NAMES

INDEX = SMPL24_NAMES.index


def turned(name: str, degrees: tuple[float, float, float], point: list[float]) -> np.ndarray:
    """Where one joint's angles take a point of its segment."""
    table = np.zeros((24, 3))
    table[INDEX(name)] = degrees
    return rotations_from_degrees(table)[INDEX(name)] @ point


@pytest.mark.parametrize(
    ("name", "degrees", "point", "goes"),
    [
        ("left_hip", (-90, 0, 0), [0, -1, 0], [0, 0, 1]),  # flexed: the thigh points forward
        ("left_hip", (0, 0, 30), [0, -1, 0], [0.5, -np.sqrt(0.75), 0]),  # spread: to the left
        ("left_hip", (-90, 0, 30), [0, -1, 0], [0.5, 0, np.sqrt(0.75)]),  # spread in its plane of flexion
        ("left_hip", (0, 90, 0), [0, 0, 1], [1, 0, 0]),  # toes out
        ("left_knee", (90, 0, 0), [0, -1, 0], [0, 0, -1]),  # the shin goes back
        ("left_ankle", (-90, 0, 0), [0, 0, 1], [0, 1, 0]),  # toes up
        ("left_shoulder", (0, -90, 0), [1, 0, 0], [0, 0, 1]),  # the arm forward
        ("left_shoulder", (0, 0, -90), [1, 0, 0], [0, -1, 0]),  # the arm down
        ("left_shoulder", (0, -45, -90), [1, 0, 0], [0, -np.sqrt(0.5), np.sqrt(0.5)]),  # swung forward
        ("left_shoulder", (-90, 0, 0), [0, 0, 1], [0, 1, 0]),  # a forearm bent forward turns upwards
        ("left_elbow", (0, -90, 0), [1, 0, 0], [0, 0, 1]),
        ("right_elbow", (0, 90, 0), [-1, 0, 0], [0, 0, 1]),
        ("spine1", (90, 0, 0), [0, 1, 0], [0, 0, 1]),
        ("spine1", (0, 90, 0), [0, 0, 1], [1, 0, 0]),  # turned to the left
    ],
)
def test_angles_turn_segments_as_the_anatomy_says(name, degrees, point, goes):
    np.testing.assert_allclose(turned(name, degrees, point), goes, atol=1e-12)


def test_rotations_agree_with_scipys_intrinsic_euler_angles():
    degrees = np.random.default_rng(0).uniform(-180, 180, (5, 24, 3))
    ours = rotations_from_degrees(degrees)
    for joints, order in (([0], "YXZ"), ([1, 3, 4, 7, 12, 15], "XZY"), ([13, 16, 18, 21], "ZYX")):
        columns = ["XYZ".index(axis) for axis in order]
        for joint in joints:
            theirs = Rotation.from_euler(order, degrees[:, joint, columns], degrees=True).as_matrix()
            np.testing.assert_allclose(ours[:, joint], theirs, atol=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_angles_within_the_limits_come_back_through_rotations_and_axis_angles(seed):
    degrees = np.random.default_rng(seed).uniform(LOWEST_DEG, HIGHEST_DEG)
    degrees[0] *= 0.4  # the root's angles are not unique beyond a quarter turn
    rotations = rotations_from_degrees(degrees)
    back = degrees_from_rotations(rotations)
    # Near a pole of the angles two of them lose digits; the rotation they mean does not.
    np.testing.assert_allclose(rotations_from_degrees(back), rotations, atol=1e-12)
    assert limit_excess_deg(back) < 1e-6
    assert pose_excess_deg(pose_from_rotations(rotations)) < 1e-6


@pytest.mark.parametrize("joint", range(1, 24))
@pytest.mark.parametrize("axis", range(3))
def test_an_angle_beyond_its_limit_is_measured(joint, axis):
    degrees = np.zeros((24, 3))
    degrees[joint, axis] = HIGHEST_DEG[joint, axis] + 3.0
    # Alone, an angle about one axis is itself whatever the order; the other triple is further out.
    assert limit_excess_deg(degrees) == pytest.approx(3.0)
    assert pose_excess_deg(pose_from_rotations(rotations_from_degrees(degrees))) == pytest.approx(
        3.0, abs=1e-6
    )


def test_limits_are_mirror_images_and_hold_the_zero_pose():
    swapped = np.sort(np.stack([mirrored_degrees(LOWEST_DEG), mirrored_degrees(HIGHEST_DEG)]), axis=0)
    np.testing.assert_array_equal(swapped, [LOWEST_DEG, HIGHEST_DEG])
    assert (LOWEST_DEG <= 0).all() and (HIGHEST_DEG >= 0).all()
    assert LOWEST_DEG[INDEX("left_knee"), 0] == 0  # knees do not bend backwards


def test_mirrored_angles_are_the_mirrored_pose():
    degrees = np.random.default_rng(1).uniform(-60, 60, (24, 3))
    one = mirrored_pose(pose_from_rotations(rotations_from_degrees(degrees)))
    other = pose_from_rotations(rotations_from_degrees(mirrored_degrees(degrees)))
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_anchors_keep_the_limits_and_their_own_joints():
    arms = [name.endswith(("collar", "shoulder", "elbow", "wrist", "hand")) for name in SMPL24_NAMES]
    legs = [name.endswith(("hip", "knee", "ankle", "foot")) for name in SMPL24_NAMES]
    spine = ~(np.array(arms) | legs)
    tables = [(table, arms) for table in ARMS.values()] + [(table, spine) for table in SPINES.values()]
    tables += [(row.degrees, legs) for row in LEGS.values()]
    assert len(tables) >= 40
    for table, own in tables:
        assert limit_excess_deg(table) == 0
        assert not table[~np.array(own)].any()
        assert table.any() or table is LEGS["stand"].degrees


def test_both_sides_of_a_symmetric_anchor_are_mirror_images():
    for name in ("t", "up", "on-hips"):
        np.testing.assert_array_equal(mirrored_degrees(ARMS[name]), ARMS[name])
    assert (
        ARMS["wave"][SMPL24_FLIP[INDEX("right_shoulder")]].tolist()
        != ARMS["wave"][INDEX("right_shoulder")].tolist()
    )
