"""How far each joint may turn, as ranges of angles about the zero pose's axes.

Ranges of motion of healthy adults: Greene and Heckman (American Academy of Orthopaedic Surgeons), "The Clinical
Measurement of Joint Motion", 1994, for limbs and for the spine as a whole; White and Panjabi, "Clinical
Biomechanics of the Spine", 1990, for how the spine's range is spread over its height; Inman, Saunders and
Abbott, "Observations on the function of the shoulder joint", J. Bone Joint Surg. 1944, for the collar's third of
an arm's elevation; Bennell et al., "Intra-rater and inter-rater reliability of a weight-bearing lunge measure of
ankle dorsiflexion", Aust. J. Physiotherapy 1998, for an ankle under load, which lifts the toes by 35 degrees and
more, nearly twice what it does freely. A forearm's turn of 80 to 85 degrees either way is shared by elbow and wrist.

Angles (x, y, z) of one joint mean rotations about the zero pose's axes, outermost first:
    pelvis: y (heading), x (pitch), z (roll);
    legs, spine, neck, head: x (flexion), z (abduction, sideways bend), y (twist): a thigh is spread in its own
        plane of flexion, and the poles of the angles lie where no joint goes;
    arms: z (up and down), y (forward and backward), x (twist about the arm itself).
For the left side, in degrees: hip -x flexes, +y turns the toes out, +z spreads; knee +x flexes; ankle -x lifts the
toes; collar and shoulder +z lift, -y bring forward; shoulder -x turns a bent forearm upwards; elbow -y flexes,
-x turns the palm up; wrist -z bends towards the palm. The right side is its mirror image. Spine: +x bends
forward, +y turns to the left, +z leans to the right.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.skeleton import SMPL24_FLIP, SMPL24_NAMES
from pipeline.bodies.skinning import rotation_matrices

Float64 = NDArray[np.float64]

MIRROR_SIGN = np.array([1.0, -1.0, -1.0])  # what a reflection in x = 0 does to an angle about x, y, z

_RANGES_DEG = {
    # The root is no joint: a body may face and lean anywhere.
    "pelvis": ((-180, 180), (-180, 180), (-180, 180)),
    "spine1": ((-10, 30), (-10, 10), (-12, 12)),
    "spine2": ((-8, 25), (-15, 15), (-12, 12)),
    "spine3": ((-7, 15), (-20, 20), (-11, 11)),
    "neck": ((-25, 25), (-30, 30), (-22, 22)),
    "head": ((-20, 20), (-30, 30), (-23, 23)),
    "left_hip": ((-120, 30), (-45, 45), (-30, 45)),
    "left_knee": ((0, 135), (-10, 10), (-3, 3)),
    "left_ankle": ((-35, 50), (-20, 20), (-25, 25)),
    "left_foot": ((-60, 25), (0, 0), (0, 0)),
    "left_collar": ((-5, 10), (-20, 15), (-8, 35)),
    "left_shoulder": ((-88, 70), (-130, 55), (-88, 85)),
    "left_elbow": ((-45, 45), (-145, 0), (-3, 3)),
    "left_wrist": ((-40, 35), (-20, 30), (-75, 65)),
    "left_hand": ((0, 0), (-5, 5), (-60, 10)),
}
# Axis indices, outermost first; every order is an odd permutation, which fixes the signs in `_angles`.
_ROOT_ORDER, _TRUNK_ORDER, _ARM_ORDER = (1, 0, 2), (0, 2, 1), (2, 1, 0)


def mirrored_degrees(degrees: Float64) -> Float64:
    """Return angles (... 24 3) reflected in the body's plane x = 0: left and right change places."""
    return np.asarray(degrees[..., list(SMPL24_FLIP), :] * MIRROR_SIGN)


def _limits() -> tuple[Float64, Float64]:
    """Least and largest angles (24 3), the right side by reflection."""
    ranges = np.zeros((len(SMPL24_NAMES), 3, 2))
    for index, name in enumerate(SMPL24_NAMES):
        if name in _RANGES_DEG:
            ranges[index] = _RANGES_DEG[name]
        else:
            ranges[index] = np.sort(MIRROR_SIGN[:, None] * _RANGES_DEG["left" + name.removeprefix("right")])
    return ranges[..., 0], ranges[..., 1]


LOWEST_DEG, HIGHEST_DEG = _limits()
_ARM_JOINTS = [
    index
    for index, name in enumerate(SMPL24_NAMES)
    if name.endswith(("collar", "shoulder", "elbow", "wrist", "hand"))
]
_TRUNK_JOINTS = [index for index in range(1, len(SMPL24_NAMES)) if index not in _ARM_JOINTS]
_GROUPS = (([0], _ROOT_ORDER), (_TRUNK_JOINTS, _TRUNK_ORDER), (_ARM_JOINTS, _ARM_ORDER))


def rotations_from_degrees(degrees: Float64) -> Float64:
    """Return the local rotations (... 24 3 3) of angles (... 24 3) in degrees."""
    about = [
        rotation_matrices(np.radians(degrees[..., axis, None]) * np.eye(3)[axis], np) for axis in range(3)
    ]
    rotations = np.zeros((*degrees.shape, 3))
    for joints, order in _GROUPS:
        outer, middle, inner = (about[axis][..., joints, :, :] for axis in order)
        rotations[..., joints, :, :] = outer @ middle @ inner
    return rotations


def degrees_from_rotations(rotations: Float64) -> Float64:
    """Return angles (... 24 3) in degrees of local rotations (... 24 3 3).

    Two triples of angles mean one rotation; the one that breaks the limits less is returned. Where the middle
    angle is within 1e-6 rad of 90 degrees, the other two are only determined together.
    """
    degrees = np.zeros(rotations.shape[:-1])
    for joints, order in _GROUPS:
        local = rotations[..., joints, :, :]
        outer, middle, inner = _angles(local, order)
        angles = np.zeros((2, *local.shape[:-1]))
        for axis, angle, other in zip(
            order, (outer, middle, inner), (outer + np.pi, np.pi - middle, inner + np.pi), strict=True
        ):
            angles[0, ..., axis], angles[1, ..., axis] = angle, other
        angles = np.degrees((angles + np.pi) % (2.0 * np.pi) - np.pi)
        excess = _excess_deg(angles, LOWEST_DEG[joints], HIGHEST_DEG[joints]).max(axis=-1)
        degrees[..., joints, :] = np.where((excess[0] <= excess[1])[..., None], angles[0], angles[1])
    return degrees


def pose_from_rotations(rotations: Float64) -> Float64:
    """Return the axis-angle vectors (... 3) of rotations (... 3 3), no longer than pi."""
    from scipy.spatial.transform import Rotation

    turned = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec()
    return np.asarray(turned.reshape(rotations.shape[:-1]))


def limit_excess_deg(degrees: Float64) -> Float64:
    """Return by how much each pose (... 24 3) breaks the limits at its worst angle; 0 where it keeps them."""
    return np.asarray(_excess_deg(degrees, LOWEST_DEG, HIGHEST_DEG).max(axis=(-2, -1)))


def pose_excess_deg(pose_rad: NDArray[Any]) -> Float64:
    """Return `limit_excess_deg` of axis-angle poses (... 24 3)."""
    return limit_excess_deg(degrees_from_rotations(rotation_matrices(pose_rad.astype(np.float64), np)))


def _excess_deg(degrees: Float64, lowest: Float64, highest: Float64) -> Float64:
    return np.maximum(np.maximum(lowest - degrees, degrees - highest), 0.0)


def _angles(rotations: Float64, order: tuple[int, int, int]) -> tuple[Float64, Float64, Float64]:
    """Solve R = R_i(a) R_j(b) R_k(c) for an odd permutation (i j k): b in [-90, 90] degrees."""
    i, j, k = order
    # On strided memory numpy's arctan2 takes one of two loops, by address, which differ in the last bit.
    rows = np.ascontiguousarray(np.moveaxis(rotations, (-2, -1), (0, 1)))
    middle = np.arcsin(np.clip(-rows[i, k], -1.0, 1.0))
    return np.arctan2(rows[j, k], rows[k, k]), middle, np.arctan2(rows[i, j], rows[i, i])
