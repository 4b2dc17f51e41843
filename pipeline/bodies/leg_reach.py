"""Legs that reach a wanted foot: hip, knee and ankle in closed form.

The knee bends about its own x axis only, so the distance from hip to ankle fixes its angle; the hip then turns by
the shortest way from where it was, which keeps the knee's direction.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.proportions import LEG_CHAINS, Proportions
from pipeline.bodies.skinning import rotation_matrices

Float64 = NDArray[np.float64]

MAX_STRETCH = 0.9995  # of the straight leg: the knee's angle is steep in the distance beyond
MIN_STRETCH = 0.42  # a knee bent by 130 degrees leaves no less


def leg_length_m(proportions: Proportions, side: int) -> float:
    """Return the distance from hip to ankle of a straight leg; side 0 is left, 1 right."""
    hip, knee, ankle, _ = proportions.joints_m[list(LEG_CHAINS[side])]
    return float(
        np.hypot(knee[1] - hip[1], knee[2] - hip[2]) + np.hypot(ankle[1] - knee[1], ankle[2] - knee[2])
    )


def reach_with_leg(
    rotations: Float64, proportions: Proportions, side: int, *, ankle_m: Float64, foot: Float64, toes: Float64
) -> None:
    """Set one leg's local rotations in place so that ankle, foot and toes are where they are wanted.

    Args:
        rotations: (N 24 3 3); the hip's own are where the shortest turn starts.
        side: 0 left, 1 right.
        ankle_m: (N 3) relative to the pelvis joint, world axes. Too far or too near, it is approached.
        foot, toes: (N 3 3) in world axes.
    """
    hip, knee, ankle, ball = LEG_CHAINS[side]
    joints_m, root = proportions.joints_m, rotations[:, 0]
    thigh_m, shin_m = joints_m[knee] - joints_m[hip], joints_m[ankle] - joints_m[knee]
    wanted_m = _transposed(root) @ ankle_m[..., None]
    wanted_m = wanted_m[..., 0] - (joints_m[hip] - joints_m[0])
    bend_rad = _knee_bend(thigh_m, shin_m, np.linalg.norm(wanted_m, axis=-1))
    bent = rotation_matrices(bend_rad[:, None] * np.array([1.0, 0.0, 0.0]), np)
    reached_m = thigh_m + (bent @ shin_m[:, None])[..., 0]
    turned_m = (rotations[:, hip] @ reached_m[..., None])[..., 0]
    rotations[:, hip] = shortest_turn(turned_m, wanted_m) @ rotations[:, hip]
    rotations[:, knee] = bent
    shin = root @ rotations[:, hip] @ bent
    rotations[:, ankle] = _transposed(shin) @ foot
    rotations[:, ball] = _transposed(foot) @ toes


def shortest_turn(source: Float64, target: Float64) -> Float64:
    """Return the rotations (N 3 3) of least angle that take directions (N 3) to others, of any length.

    Opposite directions have no shortest way: the result is then not finite.
    """
    source = source / np.linalg.norm(source, axis=-1, keepdims=True)
    target = target / np.linalg.norm(target, axis=-1, keepdims=True)
    x, y, z = np.moveaxis(np.cross(source, target), -1, 0)
    zero = np.zeros_like(x)
    skew = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    cosine = (source * target).sum(-1)[..., None, None]
    turn: Float64 = np.eye(3) + skew + skew @ skew / (1.0 + cosine)
    return turn


def _knee_bend(thigh_m: Float64, shin_m: Float64, distance_m: Float64) -> Float64:
    """Solve |thigh + Rx(bend) shin| = distance for the bend >= 0, the distance kept within reach."""
    level = thigh_m[0] * shin_m[0]
    cosine = thigh_m[1] * shin_m[1] + thigh_m[2] * shin_m[2]
    sine = thigh_m[2] * shin_m[1] - thigh_m[1] * shin_m[2]
    own = thigh_m @ thigh_m + shin_m @ shin_m
    amplitude = np.hypot(cosine, sine)
    longest_m = np.sqrt(own + 2.0 * (level + amplitude))
    distance_m = np.clip(distance_m, MIN_STRETCH * longest_m, MAX_STRETCH * longest_m)
    ratio = ((distance_m**2 - own) / 2.0 - level) / amplitude
    bend: Float64 = np.arctan2(sine, cosine) + np.arccos(np.clip(ratio, -1.0, 1.0))
    return np.maximum(bend, 0.0)


def _transposed(rotations: Float64) -> Float64:
    return np.swapaxes(rotations, -1, -2)
