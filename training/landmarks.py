"""Landmark channels: where a person's 16 joints lie in the picture, as a network takes them for guidance.

Jackson, Manafas, Tzimiropoulos, "3D Human Body Reconstruction from a Single Image via Volumetric Regression",
ECCVW 2018, section 3.1: 16 channels, each with a Gaussian of about 6 px in diameter over its landmark. The order is
that of `pipeline.bodies.joints.MPII16`.

The 16 joints of Tang et al. are others: they end in hands, not wrists, and have no top of the head. So landmarks
come from annotations of MPII's own joints, or from a body's parameters.

Nothing but numpy is needed here: a body's vertices would need a compiler, its joints do not.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import MPII16, JointSet, landmark_names
from pipeline.bodies.model import default_body
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.bodies.skinning import joint_transforms, rotation_matrices
from pipeline.cameras import invert_rigid, project, transform

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

SIGMA_PX = 1.0
RADIUS_PX = 3.0  # 0 beyond: the diameter of 6 px
REACH = np.arange(-3, 4)  # pixels around the nearest one: no other can lie within the radius


def landmark_maps(joints_px: NDArray[Any], there: NDArray[np.bool_], *, size_px: int) -> Float32:
    """Gaussians (J H W) with a peak of 1 at the landmarks, in a square picture.

    Args:
        joints_px: (J 2) u and v, integer pixel centres; what lies beyond the border shows as far as it reaches in.
        there: (J) False where there is no such landmark.

    Returns:
        0 throughout where there is no landmark, or its place is not finite.
    """
    maps = np.zeros((len(joints_px), size_px, size_px), np.float32)
    places = np.asarray(joints_px, np.float64)
    # What lies a picture's side beyond the border cannot reach in, nor overflow an integer.
    near = there & (np.abs(places - size_px / 2) < size_px).all(axis=1)
    places = places[near]
    columns, rows = (np.rint(places[:, axis, None]).astype(np.int64) + REACH for axis in (0, 1))
    squared = (rows - places[:, 1:])[:, :, None] ** 2 + (columns - places[:, :1])[:, None] ** 2
    inside = [(at >= 0) & (at < size_px) for at in (rows, columns)]
    shown = (squared <= RADIUS_PX**2) & inside[0][:, :, None] & inside[1][:, None]
    joint, row, column = np.nonzero(shown)
    channel = np.flatnonzero(near)[joint]
    maps[channel, rows[joint, row], columns[joint, column]] = np.exp(-0.5 * squared[shown] / SIGMA_PX**2)
    return maps


def landmarks_of_body(
    sample: Mapping[str, Any], joint_set: JointSet = MPII16
) -> tuple[Float64, NDArray[np.bool_]]:
    """Where the joints of a set lie in the picture for the default body, seen or not.

    Args:
        sample: body_pose_rad, body_betas and body_transl_m, world_from_cam and K.
        joint_set: of joints that each are one of the tree's or one landmark of the surface.

    Returns:
        u and v (J 2), and which of them (J) lie before the camera.
    """
    cam_from_world = invert_rigid(np.asarray(sample["world_from_cam"]))
    points_cam = transform(cam_from_world, _joints_m(sample, joint_set))
    before = points_cam[:, 2] > 0
    pixels = project(np.where(before[:, None], points_cam, 1.0), np.asarray(sample["K"]))
    return pixels, np.asarray(before)


def _joints_m(sample: Mapping[str, Any], joint_set: JointSet) -> Float64:
    """The joints (J 3) in the world's frame, as `joints_of` gives them of all vertices."""
    arrays = default_body().arrays
    betas = np.asarray(sample["body_betas"], np.float64)
    joints_m = arrays.joints_m + arrays.joint_dirs_m[..., : len(betas)] @ betas
    linear, posed_m = joint_transforms(
        rotation_matrices(np.asarray(sample["body_pose_rad"], np.float64), np)[None],
        joints_m[None],
        zero_from_bind=arrays.bind_rotation.transpose(0, 2, 1),
        parents=arrays.parents.tolist(),
        scales=None,
        xp=np,
    )
    rows = [arrays.landmarks[name] for name in landmark_names(joint_set)]
    bind_m = arrays.template_m[rows] + arrays.shape_dirs_m[rows, :, : len(betas)] @ betas
    pulled, weights = arrays.weight_joints[rows], arrays.weights[rows]
    moved_m = (linear[0, pulled] @ (bind_m[:, None] - joints_m[pulled])[..., None])[..., 0]
    landmarks_m = (weights[..., None] * (moved_m + posed_m[0, pulled])).sum(axis=1)
    known_m = np.concatenate([posed_m[0], landmarks_m])
    return np.asarray(known_m[_rows(joint_set)] + sample["body_transl_m"], np.float64)


@cache
def _rows(joint_set: JointSet) -> list[int]:
    """For each joint of a set, its row among the tree's 24 and the landmarks that the set needs."""
    known = (*SMPL24_NAMES, *landmark_names(joint_set))
    return [known.index(source) for (source,) in joint_set.sources]
