"""Does a body run through itself? Capsules about its segments, fitted to its own surface.

The distance of two segments in space: Ericson, "Real-Time Collision Detection", 2005, section 5.1.9, here for many
pairs at once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.anchors import ARMS, LEGS
from pipeline.bodies.joint_limits import rotations_from_degrees
from pipeline.bodies.proportions import Proportions, placed_joints
from pipeline.bodies.skeleton import SMPL24_NAMES

Float64 = NDArray[np.float64]

# Hardly any: where capsules touch, the surfaces may already be a finger deep in each other (they were measured).
PENETRATION_LIMIT_M = 0.008
_ALONG_X, _ALONG_Y, _ALONG_Z = np.eye(3)
# (name, joint that carries it, joints whose surface it stands for, axis, part of the surface's length it covers).
# Next to the trunk a limb is flesh of the trunk: only the rest of it may collide.
_TRUNK = (
    ("pelvis", "pelvis", ("pelvis",), _ALONG_X, (0.0, 1.0)),
    ("belly", "spine1", ("spine1",), _ALONG_X, (0.0, 1.0)),
    ("waist", "spine2", ("spine2",), _ALONG_X, (0.0, 1.0)),
    ("chest", "spine3", ("spine3",), _ALONG_X, (0.0, 1.0)),
    ("head", "head", ("head",), _ALONG_Y, (0.0, 1.0)),
)
_LIMBS = (
    ("haunch", "hip", ("hip",), -_ALONG_Y, (0.0, 0.5)),
    ("thigh", "hip", ("hip",), -_ALONG_Y, (0.35, 1.0)),
    ("shin", "knee", ("knee",), -_ALONG_Y, (0.0, 1.0)),
    ("foot", "ankle", ("ankle", "foot"), _ALONG_Z, (0.0, 1.0)),
    ("upper_arm", "shoulder", ("shoulder",), _ALONG_X, (0.45, 1.0)),
    ("forearm", "elbow", ("elbow",), _ALONG_X, (0.0, 1.0)),
    ("hand", "wrist", ("wrist", "hand"), _ALONG_X, (0.0, 1.0)),
)
_ARM_KINDS = {"upper_arm", "forearm", "hand"}
# Neighbours along a chain, and flesh that folds onto flesh at a bent joint: the limits keep these apart.
_NEIGHBOURS = (
    {"pelvis", "belly", "waist", "chest", "head"},
    {"pelvis", "belly", "thigh"},
    {"thigh", "shin"},
    {"shin", "foot"},
    {"upper_arm", "forearm"},
    {"forearm", "hand"},
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Capsules:
    """Capsules of one identity.

    Attributes:
        names: one per capsule; limbs have "left_" or "right_" in front.
        joint: (C) the joint whose segment carries it.
        ends_m: (C 2 3) from that joint, zero pose.
        radius_m: (C).
        pairs: (P 2) capsules that may collide.
        touching_m: (P) penetration of these pairs where the body certainly does not run through itself.
    """

    names: tuple[str, ...]
    joint: NDArray[np.intp]
    ends_m: Float64
    radius_m: Float64
    pairs: NDArray[np.intp]
    touching_m: Float64


def fit_capsules(proportions: Proportions) -> Capsules:
    """Fit capsules to one identity's surface."""
    rows = [_fit(proportions, *row[1:]) for row in (*_TRUNK, *_both_sides())]
    names = tuple(row[0] for row in _TRUNK) + tuple(row[0] for row in _both_sides())
    joint = np.array([row[0] for row in rows])
    ends_m, radius_m = np.stack([row[1] for row in rows]), np.array([row[2] for row in rows])
    pairs = np.array(
        [
            (a, b)
            for a in range(len(names))
            for b in range(a + 1, len(names))
            if not _neighbours(names[a], names[b])
        ]
    )
    loose = Capsules(
        names=names,
        joint=joint,
        ends_m=ends_m,
        radius_m=radius_m,
        pairs=pairs,
        touching_m=np.zeros(len(pairs)),
    )
    apart = np.stack([ARMS[arms] + LEGS["stand"].degrees for arms in ("t", "a", "hanging")])
    free_m = np.maximum(penetration_m(rotations_from_degrees(apart), proportions, loose).max(axis=0), 0.0)
    return Capsules(
        names=names, joint=joint, ends_m=ends_m, radius_m=radius_m, pairs=pairs, touching_m=free_m
    )


def penetration_m(rotations: Float64, proportions: Proportions, capsules: Capsules) -> Float64:
    """Return how deep each pair of capsules is in each other, beyond what they are in plain standing.

    Args:
        rotations: (N 24 3 3) local.

    Returns:
        (N P), negative where there is room.
    """
    turns, placed_m = placed_joints(rotations, proportions.joints_m)
    joint = capsules.joint
    ends_m = placed_m[:, joint, None] + np.einsum("ncij,cej->ncei", turns[:, joint], capsules.ends_m)
    a, b = capsules.pairs.T
    distance_m = segment_distance_m(ends_m[:, a], ends_m[:, b])
    return np.asarray(capsules.radius_m[a] + capsules.radius_m[b] - distance_m - capsules.touching_m)


def segment_distance_m(first_m: Float64, second_m: Float64) -> Float64:
    """Return the least distance (...) of segments with the ends (... 2 3); a segment may be a point."""
    origin_m = first_m[..., 0, :] - second_m[..., 0, :]
    d1, d2 = first_m[..., 1, :] - first_m[..., 0, :], second_m[..., 1, :] - second_m[..., 0, :]
    a, e = _dot(d1, d1), _dot(d2, d2)
    b, c, f = _dot(d1, d2), _dot(d1, origin_m), _dot(d2, origin_m)
    denominator = a * e - b * b
    # Parallel segments (0 / 0) may start anywhere; points divide by their length 0.
    s = np.clip((b * f - c * e) / np.where(denominator > 0, denominator, np.inf), 0.0, 1.0)
    t = np.clip((b * s + f) / np.where(e > 0, e, np.inf), 0.0, 1.0)
    s = np.clip((b * t - c) / np.where(a > 0, a, np.inf), 0.0, 1.0)
    apart_m = origin_m + s[..., None] * d1 - t[..., None] * d2
    return np.asarray(np.sqrt(_dot(apart_m, apart_m)))


def _dot(a: Float64, b: Float64) -> Float64:
    return np.asarray(np.einsum("...c,...c->...", a, b))


def _both_sides() -> list[tuple[str, str, tuple[str, ...], Float64, tuple[float, float]]]:
    return [
        (
            f"{side}_{name}",
            f"{side}_{joint}",
            tuple(f"{side}_{one}" for one in surface),
            -axis if side == "right" and axis is _ALONG_X else axis,
            covered,
        )
        for name, joint, surface, axis, covered in _LIMBS
        for side in ("left", "right")
    ]


def _neighbours(a: str, b: str) -> bool:
    kinds = {name.removeprefix("left_").removeprefix("right_") for name in (a, b)}
    if "haunch" in kinds:
        return not kinds & _ARM_KINDS  # legs and trunk meet there by nature; only arms may run into it
    sides = {name.split("_")[0] for name in (a, b) if name.startswith(("left_", "right_"))}
    return len(sides) < 2 and any(kinds <= group for group in _NEIGHBOURS)


def _fit(
    proportions: Proportions, joint: str, surface: tuple[str, ...], axis: Float64, covered: Any
) -> tuple[int, Float64, float]:
    """Return the joint, the ends (2 3) from it and the radius of the capsule of one segment's surface."""
    index = SMPL24_NAMES.index(joint)
    flesh = np.isin(proportions.segment, [SMPL24_NAMES.index(name) for name in surface])
    points_m = proportions.vertices_m[flesh] - proportions.joints_m[index]
    along_m = points_m @ axis
    first_m, last_m = np.percentile(along_m, [3.0, 97.0])
    start, end = (first_m + (last_m - first_m) * share for share in covered)
    # Limbs taper: only the part that the capsule covers gives its place and radius.
    points_m = points_m[(along_m >= start) & (along_m <= end)]
    low_m, high_m = np.percentile(points_m, [3.0, 97.0], axis=0)
    middle_m, half_m = (low_m + high_m) / 2.0, (high_m - low_m) / 2.0
    across = np.flatnonzero(axis == 0)
    # The trunk is oval: its thickness counts, and a capsule that lies across it makes the width.
    radius_m = float(half_m[2] if axis is _ALONG_X and joint in SMPL24_NAMES[:10] else half_m[across].mean())
    stretch_m = max((end - start) / 2.0 - radius_m, 0.0)
    return index, middle_m + stretch_m * np.stack([-axis, axis]), radius_m
