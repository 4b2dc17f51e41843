"""From drawn angles to a body that stands: feet on the floor, pelvis over them, the rest left as drawn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joint_limits import HIGHEST_DEG, LOWEST_DEG, degrees_from_rotations
from pipeline.bodies.leg_reach import leg_length_m, reach_with_leg
from pipeline.bodies.proportions import LEG_CHAINS, Proportions, centre_of_mass, placed_joints
from pipeline.bodies.skinning import rotation_matrices

Float64 = NDArray[np.float64]

FLAT_BELOW_RAD = np.radians(8.0)  # a drawn heel that is lifted less stands on the floor
MAX_HEEL_RAD = np.radians(55.0)  # the toes bend no further, see joint_limits
ROUNDS = 4  # of moving the pelvis over the feet: the legs' own mass moves along by a third each time
STRETCH = 0.9975  # of a straight leg: the last millimetres cost the knee ten degrees
# What bears a foot, from the ankle (0) to its ball (1): the middle of the sole, the toes where the heel is up.
_SOLE_CENTRE, _TOES_CENTRE, _ON_TOES_RAD = 0.45, 1.1, np.radians(6.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Feet:
    """Where feet are wanted.

    Attributes:
        ankle_m: (N 2 3) relative to the pelvis joint, world axes; y is not used.
        heading_rad: (N 2) about +Y, 0 is +Z.
        heel_rad: (N 2) by how much the heel is lifted beyond the zero pose, the toes flat on the floor.
        height_m: (N) of the pelvis joint over the floor.
    """

    ankle_m: Float64
    heading_rad: Float64
    heel_rad: Float64
    height_m: Float64


def upright_legs(rotations: Float64) -> None:
    """Turn the hips in place so that legs drawn for an upright pelvis stay as drawn under a tilted one."""
    back = np.swapaxes(rotations[:, 0], -1, -2)
    for chain in LEG_CHAINS:
        rotations[:, chain[0]] = back @ rotations[:, chain[0]]


def drawn_feet(rotations: Float64, proportions: Proportions, planted: NDArray[np.bool_]) -> Feet:
    """Read from drawn legs where the feet want to stand.

    Args:
        rotations: (N 24 3 3) local.
        planted: (N 2) feet that bear the body; one at least.
    """
    turns, placed_m = placed_joints(rotations, proportions.joints_m)
    ankles = [chain[2] for chain in LEG_CHAINS]
    ankle_m = placed_m[:, ankles] - placed_m[:, :1]
    # Contiguous, see joint_limits: the last bit must not depend on addresses.
    x, y, z = np.ascontiguousarray(np.moveaxis(turns[:, ankles][..., 2], -1, 0))
    lifted_rad = np.arctan2(-y, np.hypot(x, z))
    heel_rad = np.clip(lifted_rad - FLAT_BELOW_RAD, 0.0, MAX_HEEL_RAD) - proportions.heel_lift_rad
    height_m = ankle_height_m(heel_rad, proportions) - ankle_m[..., 1]
    return Feet(
        ankle_m=ankle_m,
        heading_rad=np.arctan2(x, z),
        heel_rad=heel_rad,
        height_m=(height_m * planted).sum(axis=1) / planted.sum(axis=1),
    )


def plant_feet(
    rotations: Float64,
    proportions: Proportions,
    feet: Feet,
    *,
    planted: NDArray[np.bool_],
    balanced: NDArray[np.bool_],
    heels_rise: bool,
) -> Float64:
    """Set the legs in place so that planted feet stand on one floor and the body, where wanted, over them.

    The pelvis sinks where a leg is too short, and a heel may rise where an ankle would bend too far.

    Args:
        rotations: (N 24 3 3) local, changed at hips, knees, ankles and feet of planted legs.
        planted: (N 2).
        balanced: (N) bodies whose centre of mass goes over the middle of their planted feet.

    Returns:
        (N 2) x and z of the pelvis joint relative to where `feet` were wanted.
    """
    ankle_m, heel_rad, height_m = feet.ankle_m.copy(), feet.heel_rad.copy(), feet.height_m
    ball_m = _ball_from_ankle(proportions)
    for _ in range(ROUNDS):
        ankle_m[..., 1] = ankle_height_m(heel_rad, proportions)
        within_m = highest_pelvis_m(rotations[:, 0], proportions, ankle_m, planted=planted, stretch=STRETCH)
        height_m = np.minimum(feet.height_m, within_m)
        _set_legs(rotations, proportions, (ankle_m, feet.heading_rad, heel_rad, height_m), planted)
        if heels_rise:
            heel_rad = np.where(planted, heel_rad + _ankle_excess_rad(rotations), heel_rad)
        turns, placed_m = placed_joints(rotations, proportions.joints_m)
        centre_m = centre_of_mass(turns, placed_m, proportions) - placed_m[:, 0]
        towards = np.stack([np.sin(feet.heading_rad), np.cos(feet.heading_rad)], axis=-1)
        ahead = _SOLE_CENTRE + (_TOES_CENTRE - _SOLE_CENTRE) * np.clip(heel_rad / _ON_TOES_RAD, 0.0, 1.0)
        sole_m = ankle_m[..., [0, 2]] + (ahead * ball_m[2])[..., None] * towards
        middle_m = (sole_m * planted[..., None]).sum(axis=1) / planted.sum(axis=1)[:, None]
        shift_m = np.where(balanced[:, None], centre_m[:, [0, 2]] - middle_m, 0.0)
        ankle_m[..., [0, 2]] += shift_m[:, None]
    _set_legs(rotations, proportions, (ankle_m, feet.heading_rad, heel_rad, height_m), planted)
    return np.asarray((feet.ankle_m - ankle_m)[:, 0, [0, 2]])


def ankle_height_m(heel_rad: Float64, proportions: Proportions) -> Float64:
    """Return the height of the ankle joint over the floor of a foot whose heel is lifted about its ball."""
    ball_m = _ball_from_ankle(proportions)
    floor_to_ball_m = proportions.joints_m[LEG_CHAINS[0][3], 1] - proportions.sole_y_m
    height_m: Float64 = floor_to_ball_m - ball_m[1] * np.cos(heel_rad) + ball_m[2] * np.sin(heel_rad)
    return height_m


def foot_turns(heading_rad: Float64, heel_rad: Float64) -> tuple[Float64, Float64]:
    """Return the world turns (... 3 3) of a foot with lifted heel, and of its toes flat on the floor."""
    toes = rotation_matrices(heading_rad[..., None] * np.array([0.0, 1.0, 0.0]), np)
    return toes @ rotation_matrices(heel_rad[..., None] * np.array([1.0, 0.0, 0.0]), np), toes


def _ball_from_ankle(proportions: Proportions) -> Float64:
    _, _, ankle, ball = LEG_CHAINS[0]
    offset_m: Float64 = proportions.joints_m[ball] - proportions.joints_m[ankle]
    return offset_m


def _set_legs(
    rotations: Float64,
    proportions: Proportions,
    wanted: tuple[Float64, Float64, Float64, Float64],
    planted: NDArray[np.bool_],
) -> None:
    ankle_m, heading_rad, heel_rad, height_m = wanted
    for side in (0, 1):
        rows = np.flatnonzero(planted[:, side])
        if not len(rows):
            continue
        target_m = ankle_m[rows, side].copy()
        target_m[:, 1] = ankle_height_m(heel_rad[rows, side], proportions) - height_m[rows]
        foot, toes = foot_turns(heading_rad[rows, side], heel_rad[rows, side])
        legs = rotations[rows]
        reach_with_leg(legs, proportions, side, ankle_m=target_m, foot=foot, toes=toes)
        rotations[rows] = legs


def highest_pelvis_m(
    root: Float64,
    proportions: Proportions,
    ankle_m: Float64,
    *,
    planted: NDArray[np.bool_],
    stretch: float,
) -> Float64:
    """Return the greatest height (N) of the pelvis over the floor from which all planted feet are in reach.

    Args:
        root: (N 3 3) turn of the pelvis.
        ankle_m: (N 2 3), x and z relative to the pelvis joint, y over the floor.
        stretch: of a straight leg's length that may be used.
    """
    highest_m = np.full(len(root), np.inf)
    for side, chain in enumerate(LEG_CHAINS):
        hip_m = (root @ (proportions.joints_m[chain[0]] - proportions.joints_m[0])[:, None])[..., 0]
        aside_m2 = ((ankle_m[:, side] - hip_m)[:, [0, 2]] ** 2).sum(axis=-1)
        below_m = np.sqrt(np.maximum((stretch * leg_length_m(proportions, side)) ** 2 - aside_m2, 0.0))
        limit_m = ankle_m[:, side, 1] + below_m - hip_m[:, 1]
        highest_m = np.where(planted[:, side], np.minimum(highest_m, limit_m), highest_m)
    return highest_m


def _ankle_excess_rad(rotations: Float64) -> Float64:
    """Return by how much each ankle (N 2) lifts the toes, or drops them (negative), beyond its range."""
    ankles = [chain[2] for chain in LEG_CHAINS]
    bend_deg = degrees_from_rotations(rotations)[:, ankles, 0]
    lowest, highest = LOWEST_DEG[ankles, 0], HIGHEST_DEG[ankles, 0]
    excess = np.maximum(lowest + 1.0 - bend_deg, 0.0) - np.maximum(bend_deg - highest + 1.0, 0.0)
    return np.asarray(np.radians(excess))
