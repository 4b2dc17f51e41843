"""Some vertices of the body with their normals, and where measured points meet them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import Body
from pipeline.fitting.kinematics import JOINTS, POSE, Chain, Skeleton, times
from pipeline.visibility import vertex_normals

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NORMAL_M = 0.10  # a turn of the normal by 60 degrees counts as much as being so far apart
BEHIND_M2 = 1e2  # added to the squared distance of a vertex that faces away
FACING = 0.1  # least cosine to the camera of a vertex that a measured point may lie on


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """Vertices in the bind pose.

    Attributes:
        weights: (N 24).
        share: (N 24), how much of a vertex hangs on each joint: 1 for all joints up the tree of a rigid part.
        bind_m: (N 3) at zero betas; `bind_dirs_m` (K 3N) per unit of beta; `normals` (N 3).
        joints_m: (24 3) of the bind pose; `joint_dirs_m` (24 3 K).
    """

    weights: Tensor
    share: Tensor
    bind_m: Tensor
    bind_dirs_m: Tensor
    normals: Tensor
    joints_m: Tensor
    joint_dirs_m: Tensor
    zero_from_bind: Tensor

    def first(self, count: int) -> Surface:
        """Return the first vertices: they are spread evenly, too."""
        dirs_m = self.bind_dirs_m.reshape(len(self.bind_dirs_m), -1, 3)[:, :count]
        return replace(
            self,
            weights=self.weights[:count],
            share=self.share[:count],
            bind_m=self.bind_m[:count],
            bind_dirs_m=dirs_m.reshape(len(dirs_m), -1).contiguous(),
            normals=self.normals[:count],
        )


def surface_of(body: Body, skeleton: Skeleton, count: int, dtype: torch.dtype) -> Surface:
    """Pick vertices spread evenly over the skin: each next one is the farthest from those already picked."""
    import torch

    arrays = body.arrays
    rows = _spread_rows(arrays.template_m.astype(np.float64), count)
    normals = vertex_normals(arrays.template_m.astype(np.float64), arrays.faces)[rows]
    weights = np.zeros((count, JOINTS))
    np.add.at(weights, (np.arange(count)[:, None], arrays.weight_joints[rows]), arrays.weights[rows])
    weight_rows = torch.tensor(weights, dtype=dtype)
    return Surface(
        weights=weight_rows,
        share=weight_rows @ skeleton.hangs_on,
        bind_m=torch.tensor(arrays.template_m[rows], dtype=dtype),
        bind_dirs_m=torch.tensor(
            arrays.shape_dirs_m[rows].astype(np.float64).transpose(2, 0, 1).reshape(body.betas, -1),
            dtype=dtype,
        ),
        normals=torch.tensor(normals, dtype=dtype),
        joints_m=torch.tensor(arrays.joints_m, dtype=dtype),
        joint_dirs_m=torch.tensor(arrays.joint_dirs_m, dtype=dtype),
        zero_from_bind=torch.tensor(arrays.bind_rotation.transpose(0, 2, 1).copy(), dtype=dtype),
    )


def _spread_rows(points_m: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    picked = [0]
    apart = np.full(len(points_m), np.inf)
    for _ in range(count - 1):
        apart = np.minimum(apart, ((points_m - points_m[picked[-1]]) ** 2).sum(1))
        picked.append(int(apart.argmax()))
    return np.array(picked)


def place_surface(surface: Surface, chain: Chain, betas: Tensor) -> tuple[Tensor, Tensor]:
    """Return vertices and unit normals (B N 3 each) in the frame of the chain."""
    import torch

    count = len(betas)
    linear = times(chain.turns, surface.zero_from_bind)
    joints_m = surface.joints_m + (betas @ surface.joint_dirs_m.reshape(3 * JOINTS, -1).T).reshape(
        -1, JOINTS, 3
    )
    shift_m = chain.joints_m - (linear * joints_m[:, :, None]).sum(-1)
    blended = surface.weights @ torch.cat([linear, shift_m[..., None]], 3).reshape(count, JOINTS, 12)
    blended = blended.reshape(count, -1, 3, 4)
    bind_m = surface.bind_m + (betas @ surface.bind_dirs_m).reshape(count, -1, 3)
    vertices_m = (blended[..., :3] * bind_m[:, :, None]).sum(-1) + blended[..., 3]
    normals = (blended[..., :3] * surface.normals[:, None]).sum(-1)
    return vertices_m, torch.nn.functional.normalize(normals, dim=-1)


def along_rows(surface: Surface, chain: Chain, *, vertex: Tensor, place_m: Tensor, along: Tensor) -> Tensor:
    """Derivatives (B P U) of how far vertices move along given directions.

    A vertex counts as turning rigidly with its share of each joint, and its shape is turned by the joint that
    carries most of it: exact away from bent joints.

    Args:
        vertex: (B P) rows of the surface.
        place_m: (B P 3) where they are.
        along: (B P 3).
    """
    import torch

    rows = rigid_rows(chain, surface.share[vertex], surface.weights[vertex], place_m=place_m, along=along)
    size = surface.bind_dirs_m.shape[0]
    main = surface.weights.argmax(1)
    linear = times(chain.turns, surface.zero_from_bind)
    back = (linear[torch.arange(len(vertex))[:, None], main[vertex]] * along[..., None]).sum(2)
    dirs_m = surface.bind_dirs_m.reshape(size, -1, 3).permute(1, 2, 0) - surface.joint_dirs_m[main]
    rows[..., POSE:-3] += (dirs_m[vertex] * back[..., None]).sum(2)
    return rows


def rigid_rows(chain: Chain, share: Tensor, weights: Tensor, *, place_m: Tensor, along: Tensor) -> Tensor:
    """Derivatives (B P U) of how far points move along directions (B P 3), their own shape left out.

    Args:
        share: (B P 24), how much of a point hangs on each joint; `weights` (B P 24) how much each joint carries.
    """
    import torch

    count, number = place_m.shape[:2]
    # along . (axis x (place - joint)) = axis . (place x along) - along . (axis x joint): one small product.
    joints_m = chain.joints_m[..., None].expand_as(chain.axes)
    lever = torch.linalg.cross(chain.axes, joints_m, dim=2)
    table = torch.cat([chain.axes, -lever], 2).permute(0, 2, 1, 3).reshape(count, 6, -1)
    rows = torch.cat([torch.linalg.cross(place_m, along), along], 2) @ table
    rows = (rows.reshape(count, number, JOINTS, 3) * share[..., None]).reshape(count, number, -1)
    carried = (weights @ chain.joint_dirs_m.reshape(count, JOINTS, -1)).reshape(count, number, 3, -1)
    return torch.cat([rows, (carried * along[..., None]).sum(2), along], 2)


def nearest_vertices(points_m: Tensor, normals: Tensor, vertices_m: Tensor, vertex_normals: Tensor) -> Tensor:
    """For each measured point (B P 3), the row (B P) of the vertex that lies and faces most like it.

    Vertices that face away from the camera, at the origin, are never taken while another is there.
    """
    import torch

    hidden = (vertex_normals * torch.nn.functional.normalize(vertices_m, dim=-1)).sum(-1) > -FACING
    theirs = torch.cat([vertices_m, NORMAL_M * vertex_normals], 2)
    # Half the squared distance, less what the point alone adds, as one product.
    half = 0.5 * theirs.square().sum(2) + BEHIND_M2 * hidden
    ours = torch.cat([-points_m, -NORMAL_M * normals, torch.ones_like(points_m[..., :1])], 2)
    return (ours @ torch.cat([theirs, half[..., None]], 2).transpose(1, 2)).argmin(2)
