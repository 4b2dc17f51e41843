"""Fitted bodies in other frames."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import Body
from pipeline.fitting.fit import Fits


def in_world(fits: Fits, body: Body, world_from_cam: NDArray[Any]) -> Fits:
    """Return the same bodies in the world frame.

    Args:
        world_from_cam: (B 4 4), rigid.
    """
    from scipy.spatial.transform import Rotation

    turn, shift_m = world_from_cam[:, :3, :3], world_from_cam[:, :3, 3]
    # A body turns about its root, which its shape moves.
    root_m = body.arrays.joints_m[0] + fits.betas @ body.arrays.joint_dirs_m[0].T.astype(np.float64)
    pose_rad = fits.pose_rad.copy()
    pose_rad[:, 0] = (Rotation.from_matrix(turn) * Rotation.from_rotvec(pose_rad[:, 0])).as_rotvec()
    placed_m = np.einsum("bij,bj->bi", turn, root_m + fits.transl_m) + shift_m
    return Fits(pose_rad=pose_rad, betas=fits.betas, transl_m=placed_m - root_m, energy=fits.energy)
