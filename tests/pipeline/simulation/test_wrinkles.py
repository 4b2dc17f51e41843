"""Folds: where they are, how high, and that they follow the bend without a jump."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.bodies.skinning import rotation_matrices
from pipeline.simulation.dressing_kernels import fold_heights
from pipeline.simulation.identity import draw_identity
from pipeline.simulation.outfit import draw_outfit
from pipeline.simulation.wardrobe import Wardrobe, dress
from pipeline.simulation.wrinkles import STRAIGHT_RAD, Wrinkles, bend_vectors


@pytest.fixture(scope="module")
def wardrobe() -> Wardrobe:
    """Long hair, a shirt with long sleeves and trousers."""
    return dress(draw_identity(np.random.default_rng(2)), draw_outfit(np.random.default_rng(52)))


def _bend(pose_rad: np.ndarray) -> np.ndarray:
    still = np.broadcast_to(np.eye(3), (24, 3, 3))
    return bend_vectors(rotation_matrices(pose_rad, np), still)


def _heights(wrinkles: Wrinkles, bend: np.ndarray) -> np.ndarray:
    return fold_heights(
        wrinkles.standing_m,
        wrinkles.joint,
        wrinkles.toward,
        wrinkles.rise_m,
        bend=bend,
        still_rad=STRAIGHT_RAD,
    )


@pytest.fixture(scope="module")
def wrinkles(wardrobe: Wardrobe) -> dict[str, Wrinkles]:
    return {c.layer.region: c.wrinkles for c in wardrobe.covers if c.wrinkles is not None}


@given(st.floats(-1.9, 1.9), st.integers(0, 2))
def test_a_bend_is_an_angle_about_its_axis_up_to_110_degrees(angle_rad: float, axis: int) -> None:
    pose_rad = np.zeros((24, 3))
    pose_rad[5, axis] = angle_rad
    bend = _bend(pose_rad)
    # 2 sin(angle / 2), damped by less than 2 % below 110 degrees: cos^2(55) = 0.33 against 0.1^2.
    assert np.isclose(bend[5, axis], 2 * np.sin(angle_rad / 2), rtol=0.02, atol=1e-9)
    bend[5, axis] = 0
    assert np.abs(bend).max() < 1e-12


def test_a_bend_has_no_jump_even_at_half_a_turn() -> None:
    turns = np.linspace(0, 2 * np.pi, 721)
    pose_rad = np.zeros((24, 3))
    values = []
    for turn in turns:
        pose_rad[0, 1] = turn
        values.append(_bend(pose_rad)[0, 1])
    # Half a degree at a time; the steepest place, at half a turn, is 2 / 0.1 / 2 = 10 times as steep as a bend.
    assert np.abs(np.diff(values)).max() < 12 * np.radians(0.5)


@pytest.mark.parametrize(
    ("region", "joint", "degrees"), [("top", "left_elbow", (0, -90, 0)), ("bottom", "left_knee", (90, 0, 0))]
)
def test_bending_a_joint_folds_its_inner_side_more_than_the_outer(
    wrinkles: dict[str, Wrinkles], wardrobe: Wardrobe, region: str, joint: str, degrees: tuple
) -> None:
    cover = next(c for c in wardrobe.covers if c.layer.region == region)
    pose_rad = np.zeros((24, 3))
    pose_rad[SMPL24_NAMES.index(joint)] = np.radians(degrees)
    folded_m = _heights(wrinkles[region], _bend(pose_rad)) - _heights(wrinkles[region], np.zeros((24, 3)))
    offset = cover.layer.bind_m - wardrobe.fine.joint_m(joint)
    near = np.linalg.norm(offset, axis=1) < 0.12
    # Elbows close forwards, knees backwards.
    inner = offset[:, 2] > 0.02 if joint.endswith("elbow") else offset[:, 2] < -0.02
    outer = offset[:, 2] < -0.02 if joint.endswith("elbow") else offset[:, 2] > 0.02
    # A crest of 22 mm at a right angle, ridges that cover a third, gaps and the distance to the joint.
    assert folded_m[near & inner].std() > 0.0018
    assert folded_m[near & inner].std() > 1.5 * folded_m[near & outer].std()
    assert np.abs(folded_m[np.linalg.norm(offset, axis=1) > 0.45]).max() < 1e-9


def test_standing_folds_are_some_millimetres_high(wrinkles: dict[str, Wrinkles]) -> None:
    for fields in wrinkles.values():
        assert 0.002 < fields.standing_m.std() < 0.012
        assert abs(fields.standing_m.mean()) < 0.003


def test_heights_grow_steadily_with_the_bend(wrinkles: dict[str, Wrinkles]) -> None:
    pose_rad = np.zeros((24, 3))
    elbow = SMPL24_NAMES.index("left_elbow")
    spreads = []
    for degrees in range(0, 121, 10):
        pose_rad[elbow, 1] = -np.radians(degrees)
        change = _heights(wrinkles["top"], _bend(pose_rad)) - _heights(wrinkles["top"], np.zeros((24, 3)))
        spreads.append(float(np.linalg.norm(change)))
    assert (np.diff(spreads) > 0).all()
