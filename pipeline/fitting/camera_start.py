"""Where a fit starts: likely poses seen from many sides, by closed form, the best of each yaw sector kept.

SMPLify starts from one mean pose and guesses depth from the torso; it then has to climb out of wrong sides. Here
a few thousand poses of the prior, turned about the vertical, are compared with the landmarks after the best scale
and shift (weak perspective, weights by confidence): two matrix products a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.bodies.skinning import rotation_matrices
from pipeline.fitting.kinematics import Points, Skeleton, Unknowns, chain_of, place_points, skew

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.fitting.priors import PosePrior

YAWS = 24
CHUNK = 256  # poses at a time: their Jacobians come along
SPREAD_LEAST_M2 = 1e-6  # of a pose's landmarks in the image plane, weighted: one point has none
NEAREST_M, FARTHEST_M = 0.3, 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """Poses from all sides, weak perspective.

    Attributes:
        pose_rad: (M 24 3) in the body frame, +y up.
        turns: (Y 3 3) of the body frame into a level camera's.
        flat_m: (Y M N 2) landmarks in the image plane (x right, y down), from the root.
    """

    pose_rad: Tensor
    turns: Tensor
    flat_m: Tensor


def views_of(prior: PosePrior, points: Points, skeleton: Skeleton) -> Views:
    """Turn the prior's examples about the vertical, seen by an upright camera."""
    import torch

    like = points.weights
    pose_rad = like.new_tensor(prior.examples_rad)
    at = Unknowns(
        pose_rad=pose_rad,
        betas=like.new_zeros(len(pose_rad), skeleton.offset_dirs_m.shape[2]),
        transl_m=-skeleton.offset_m[:1].expand(len(pose_rad), -1),
    )
    parts = [
        at.rows(torch.arange(first, min(first + CHUNK, len(pose_rad))))
        for first in range(0, len(pose_rad), CHUNK)
    ]
    placed = torch.cat(
        [place_points(points, skeleton, chain_of(skeleton, part), part.betas)[0] for part in parts]
    )
    turns = camera_turns(like)
    return Views(
        pose_rad=pose_rad,
        turns=turns,
        flat_m=torch.einsum("yij,mnj->ymni", turns[:, :2], placed).contiguous(),
    )


def camera_turns(like: Tensor) -> Tensor:
    """Rotations (YAWS 3 3) of the body frame into an upright camera's (+y up to +y down), all the way round."""
    yaw = np.arange(YAWS) * (2.0 * np.pi / YAWS)
    about_vertical = rotation_matrices(yaw[:, None] * np.array([0.0, 1.0, 0.0]), np)
    return like.new_tensor(np.diag([1.0, -1.0, -1.0]) @ about_vertical)


def start_fits(
    views: Views, skeleton: Skeleton, rays: Tensor, weights: Tensor, *, up_cam: Tensor, starts: int
) -> Unknowns:
    """Return the best start of each of `starts` yaw sectors, sector by sector (S B bodies in all).

    Args:
        rays: (B N 2) landmarks as x / z and y / z.
        weights: (B N), 0 for landmarks that are not there.
        up_cam: (B 3) unit vertical in the camera frame; images are levelled by it first.
    """
    import torch

    level = _levelling(up_cam)
    straight = torch.cat([rays, torch.ones_like(rays[..., :1])], 2) @ level.transpose(1, 2)
    level_rays = straight[..., :2] / straight[..., 2:].clamp(min=0.1)
    share = weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
    middle = (share[..., None] * level_rays).sum(1)
    apart = level_rays - middle[:, None]
    flat = views.flat_m.reshape(-1, *views.flat_m.shape[2:])
    # Weighted sums over landmarks, of all poses (P) and frames (B) at once.
    means = torch.einsum("pnc,bn->bpc", flat, share)
    spread = flat.square().sum(2) @ share.T - means.square().sum(2).T
    product = flat.reshape(len(flat), -1) @ (share[..., None] * apart).reshape(len(rays), -1).T
    spread = spread.clamp(min=SPREAD_LEAST_M2)
    gain = torch.where(product > 0, product.square() / spread, torch.zeros_like(product))
    best = gain.reshape(starts, -1, len(rays)).argmax(1)
    picked = (best + torch.arange(starts)[:, None] * (len(flat) // starts)).reshape(-1)
    frame = torch.arange(len(rays)).repeat(starts)
    z_m = (spread / product.clamp(min=1e-9))[picked, frame].clamp(NEAREST_M, FARTHEST_M)
    origin = middle[frame] - means[frame, picked] / z_m[:, None]
    root_m = torch.cat([origin, torch.ones_like(origin[:, :1])], 1) * z_m[:, None]
    turn = level[frame].transpose(1, 2) @ views.turns[picked // len(views.pose_rad)]
    pose_rad = views.pose_rad[picked % len(views.pose_rad)].clone()
    pose_rad[:, 0] = _composed(turn, pose_rad[:, 0])
    root_m = (level[frame].transpose(1, 2) @ root_m[..., None])[..., 0]
    return Unknowns(
        pose_rad=pose_rad,
        betas=pose_rad.new_zeros(len(pose_rad), skeleton.offset_dirs_m.shape[2]),
        transl_m=root_m - skeleton.offset_m[0],
    )


def _levelling(up_cam: Tensor) -> Tensor:
    """The least rotations (B 3 3) that take unit vectors (B 3) to (0, -1, 0)."""
    import torch

    down = up_cam.new_tensor([0.0, -1.0, 0.0]).expand_as(up_cam)
    cross = skew(torch.linalg.cross(up_cam, down))
    cosine = (up_cam * down).sum(1).clamp(min=-0.99)
    return torch.eye(3, dtype=up_cam.dtype) + cross + (cross @ cross) / (1.0 + cosine)[:, None, None]


def _composed(turn: Tensor, pose_rad: Tensor) -> Tensor:
    """Axis-angle vectors of turn (B 3 3) times a rotation (B 3)."""
    import torch
    from scipy.spatial.transform import Rotation

    combined = turn.double() @ rotation_matrices(pose_rad.double(), torch)
    return pose_rad.new_tensor(Rotation.from_matrix(combined.numpy()).as_rotvec())
