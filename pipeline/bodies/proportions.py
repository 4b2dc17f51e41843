"""What posing needs to know of one identity: joints, soles and masses in the zero pose.

Winter, "Biomechanics and Motor Control of Human Movement", 4th ed. 2009, table 4.1 (after Dempster): the masses
of the segments, and how far along each its centre lies.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import Body
from pipeline.bodies.skeleton import SMPL24_NAMES, SMPL24_PARENTS
from pipeline.bodies.skinning import joint_transforms

Float64 = NDArray[np.float64]

# (joint that carries it, towards which joint, how far along, share of the body's mass); both sides.
_MASSES = (
    ("left_hip", "left_knee", 0.433, 0.100),
    ("left_knee", "left_ankle", 0.433, 0.0465),
    ("left_ankle", "left_foot", 0.5, 0.0145),
    ("left_shoulder", "left_elbow", 0.436, 0.028),
    ("left_elbow", "left_wrist", 0.430, 0.016),
    ("left_wrist", "left_hand", 0.506, 0.006),
)
# The trunk's joints lie near its back: its centres have the joint's height and the depth of the flesh about it.
_TRUNK_MASSES = (
    (("pelvis",), 0.142),
    (("spine1", "spine2"), 0.139),
    (("spine3", "left_collar", "right_collar"), 0.216),
    (("neck", "head"), 0.081),
)
LEG_CHAINS = tuple(
    tuple(SMPL24_NAMES.index(f"{side}_{name}") for name in ("hip", "knee", "ankle", "foot"))
    for side in ("left", "right")
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Proportions:
    """One identity in the zero pose.

    Attributes:
        body, betas: the identity.
        joints_m: (24 3).
        vertices_m: (V 3).
        segment: (V) the joint that moves each vertex most.
        sole_y_m: height of the soles.
        heel_z_m: where the heels end behind, z.
        heel_lift_rad: by how much the zero pose lifts the heels off the floor, about the balls of the feet.
        mass: (24) shares of the body's mass, 0 for segments that have none of their own.
        mass_offset_m: (24 3) from each joint to its mass, zero pose.
    """

    body: Body
    betas: Float64
    joints_m: Float64
    vertices_m: Float64
    segment: NDArray[np.intp]
    sole_y_m: float
    heel_z_m: float
    heel_lift_rad: float
    mass: Float64
    mass_offset_m: Float64


def proportions_of(body: Body, betas: NDArray[Any]) -> Proportions:
    """Measure one identity.

    Args:
        betas: (K) shape.
    """
    betas = np.asarray(betas, dtype=np.float64)
    posed = body.posed(np.zeros((1, len(SMPL24_NAMES), 3)), betas, np.zeros(3))
    joints_m, vertices_m = posed.joints_m[0], posed.vertices_m[0]
    segment = body.arrays.weight_joints[:, 0].astype(np.intp)
    feet = vertices_m[np.isin(segment, [joint for chain in LEG_CHAINS for joint in chain[2:]])]
    ankle_m, ball_m = joints_m[list(LEG_CHAINS[0][2:])]
    heels = feet[feet[:, 2] < ankle_m[2]]
    lift_m, back_m = heels[:, 1].min() - feet[:, 1].min(), ball_m[2] - heels[heels[:, 1].argmin(), 2]
    mass, offset_m = _masses(joints_m, vertices_m, segment)
    return Proportions(
        body=body,
        betas=betas,
        joints_m=joints_m,
        vertices_m=vertices_m,
        segment=segment,
        sole_y_m=float(feet[:, 1].min()),
        heel_z_m=float(feet[:, 2].min()),
        heel_lift_rad=float(np.arctan2(lift_m, back_m)),
        mass=mass,
        mass_offset_m=offset_m,
    )


def placed_joints(rotations: Float64, joints_m: Float64) -> tuple[Float64, Float64]:
    """Return the segments' turns (N 24 3 3) and joints (N 24 3) of local rotations (N 24 3 3).

    Args:
        joints_m: (24 3) in the zero pose; the pelvis stays where it is.
    """
    turns, placed_m = joint_transforms(
        rotations,
        joints_m[None],
        zero_from_bind=np.broadcast_to(np.eye(3), (len(SMPL24_NAMES), 3, 3)),
        parents=SMPL24_PARENTS,
        scales=None,
        xp=np,
    )
    return turns, placed_m


def centre_of_mass(turns: Float64, placed_m: Float64, proportions: Proportions) -> Float64:
    """Return the centre of mass (N 3) of the segments that `placed_joints` gives."""
    points_m = placed_m + (turns @ proportions.mass_offset_m[:, :, None])[..., 0]
    centre_m: Float64 = proportions.mass @ points_m
    return centre_m


def _masses(joints_m: Float64, vertices_m: Float64, segment: NDArray[np.intp]) -> tuple[Float64, Float64]:
    mass, centre_m = np.zeros(len(SMPL24_NAMES)), joints_m.copy()
    for left, left_to, along, share in _MASSES:
        for name, towards in (
            (left, left_to),
            (left.replace("left", "right"), left_to.replace("left", "right")),
        ):
            joint, end = SMPL24_NAMES.index(name), SMPL24_NAMES.index(towards)
            mass[joint] = share
            centre_m[joint] += along * (joints_m[end] - joints_m[joint])
    for names, share in _TRUNK_MASSES:
        joints = [SMPL24_NAMES.index(name) for name in names]
        flesh_m = vertices_m[np.isin(segment, joints)]
        mass[joints[0]] = share
        # The middle of the extent, not the mean: vertices are dense in the face.
        centre_m[joints[0], 2] = (flesh_m[:, 2].min() + flesh_m[:, 2].max()) / 2.0
    return mass / mass.sum(), centre_m - joints_m
