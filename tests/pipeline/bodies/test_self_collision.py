"""Capsules: their distance, their fit, and what they refuse."""

import numpy as np
import pytest

from pipeline.bodies.anchors import ARMS, LEGS, SPINES
from pipeline.bodies.joint_limits import mirrored_degrees, rotations_from_degrees
from pipeline.bodies.model import default_body
from pipeline.bodies.proportions import proportions_of
from pipeline.bodies.self_collision import (
    PENETRATION_LIMIT_M,
    fit_capsules,
    penetration_m,
    segment_distance_m,
)
from pipeline.bodies.skeleton import SMPL24_NAMES

PROPORTIONS = proportions_of(default_body(), np.zeros(10))
CAPSULES = fit_capsules(PROPORTIONS)


def deepest(degrees: np.ndarray) -> tuple[float, set[str]]:
    """The deepest penetration of one pose in metres, and which capsules."""
    depth_m = penetration_m(rotations_from_degrees(degrees[None]), PROPORTIONS, CAPSULES)[0]
    pair = CAPSULES.pairs[depth_m.argmax()]
    return float(depth_m.max()), {CAPSULES.names[index] for index in pair}


def test_segment_distance_is_the_least_over_points_of_both():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 120, 2, 3))
    second[:20] = first[:20] + [0.3, 0.1, 0]  # parallel
    second[20:40, 1] = second[20:40, 0]  # a point
    share = np.linspace(0, 1, 101)[:, None]
    along = [ends[:, None, 0] + share * (ends[:, None, 1] - ends[:, None, 0]) for ends in (first, second)]
    slow = np.linalg.norm(along[0][:, :, None] - along[1][:, None], axis=-1).min(axis=(1, 2))
    fast = segment_distance_m(first, second)
    # Points are 1/100 of a segment apart: the sampled distance is too long by half of that at most.
    assert (fast <= slow + 1e-12).all()
    assert (slow - fast < 0.5 / 100 * 2 * 5).all()
    assert np.abs(slow - fast).mean() < 2e-3


def test_equal_capsules_that_cross_penetrate_by_their_thickness():
    cross = segment_distance_m(np.array([[-1.0, 0, 0], [1, 0, 0]]), np.array([[0, 0.02, -1.0], [0, 0.02, 1]]))
    assert cross == pytest.approx(0.02)


def test_capsules_stand_for_the_bodys_own_surface():
    joint = [SMPL24_NAMES[index] for index in CAPSULES.joint]
    for name, radius_m in zip(CAPSULES.names, CAPSULES.radius_m, strict=True):
        assert 0.03 < radius_m < 0.13, name
    # Half of a limb's surface lies within a finger's breadth of its capsule.
    for name in ("left_shin", "right_forearm", "left_upper_arm"):
        row = CAPSULES.names.index(name)
        ends_m = CAPSULES.ends_m[row] + PROPORTIONS.joints_m[CAPSULES.joint[row]]
        points = PROPORTIONS.vertices_m[PROPORTIONS.segment == SMPL24_NAMES.index(joint[row])]
        away_m = segment_distance_m(np.stack([points, points], axis=1), ends_m) - CAPSULES.radius_m[row]
        assert np.median(np.abs(away_m)) < 0.02, name


def test_left_and_right_capsules_are_mirror_images():
    for row, name in enumerate(CAPSULES.names):
        if name.startswith("left_"):
            partner = CAPSULES.names.index(name.replace("left_", "right_"))
            # The body is symmetric to a tenth of a millimetre; the shares of its vertices to a little more.
            np.testing.assert_allclose(CAPSULES.ends_m[row] * [-1, 1, 1], CAPSULES.ends_m[partner], atol=1e-3)
            assert CAPSULES.radius_m[row] == pytest.approx(CAPSULES.radius_m[partner], abs=1e-3)


@pytest.mark.parametrize("arms", ["t", "a", "hanging", "up", "forward", "one-side"])
def test_plain_standing_is_free(arms):
    depth_m, pair = deepest(ARMS[arms] + LEGS["stand"].degrees)
    assert depth_m < PENETRATION_LIMIT_M, pair


def test_a_forearm_through_the_trunk_is_found_on_either_side():
    arms = ARMS["hanging"].copy()
    arms[SMPL24_NAMES.index("left_shoulder")] = (70, -10, -80)
    arms[SMPL24_NAMES.index("left_elbow")] = (0, -90, 0)
    for degrees, side in ((arms, "left"), (mirrored_degrees(arms), "right")):
        depth_m, pair = deepest(degrees)
        assert depth_m > 0.05
        assert any(name.startswith(side) for name in pair) and pair & {"pelvis", "belly", "waist", "chest"}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"left_shoulder": (-6, -44, -58), "left_elbow": (-20, -144, 0)}, "head"),
        ({"left_hip": (0, 0, -12), "right_hip": (0, 0, 12)}, "right_shin"),
        ({"left_shoulder": (0, 10, -88), "left_elbow": (0, 0, 0)}, "left_hand"),
    ],
)
def test_limbs_in_head_leg_and_thigh_are_found(changes, found):
    degrees = ARMS["a"] + SPINES["upright"]
    for name, angles in changes.items():
        degrees[SMPL24_NAMES.index(name)] = angles
    depth_m, pair = deepest(degrees)
    assert depth_m > PENETRATION_LIMIT_M and found in pair, (depth_m, pair)
