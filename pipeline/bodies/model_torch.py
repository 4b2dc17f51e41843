"""The torch face of the body model: plain torch, differentiable in pose, betas, translation and scales.

Coordinates stand before vertices, (B 3 V), until the end: the blended transforms are then one matrix product,
and everything after it runs along contiguous rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.bodies.body_file import BodyArrays
from pipeline.bodies.skinning import joint_transforms, rotation_matrices

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class TorchTables:
    """A body's arrays as tensors of one dtype on one device; `shape_rows_m` (K 3V), `weight_rows` (24 V)."""

    template_row_m: Tensor
    shape_rows_m: Tensor
    pose_rows_m: Tensor | None
    joints_row_m: Tensor
    joint_rows_m: Tensor
    zero_from_bind: Tensor
    weight_rows: Tensor
    parents: Sequence[int]


def torch_tables(arrays: BodyArrays, dtype: torch.dtype, device: torch.device) -> TorchTables:
    """Copy a body's arrays to tensors, laid out for `pose_torch`."""
    import torch

    def tensor(array: object) -> Tensor:
        return torch.tensor(array, dtype=dtype, device=device)

    weight_rows = torch.zeros((len(arrays.parents), len(arrays.weights)), dtype=dtype, device=device)
    joints = torch.tensor(arrays.weight_joints.T.astype("int64"), device=device)
    weight_rows.scatter_add_(0, joints, tensor(arrays.weights.T))
    pose_dirs_m = arrays.pose_dirs_m
    return TorchTables(
        template_row_m=tensor(arrays.template_m.T.reshape(-1)),
        shape_rows_m=tensor(arrays.shape_dirs_m.transpose(2, 1, 0).reshape(arrays.shape_dirs_m.shape[2], -1)),
        pose_rows_m=None if pose_dirs_m is None else tensor(pose_dirs_m.transpose(2, 1, 0).reshape(207, -1)),
        joints_row_m=tensor(arrays.joints_m.reshape(-1)),
        joint_rows_m=tensor(arrays.joint_dirs_m.transpose(2, 0, 1).reshape(arrays.joint_dirs_m.shape[2], -1)),
        zero_from_bind=tensor(arrays.bind_rotation.transpose(0, 2, 1)),
        weight_rows=weight_rows,
        parents=tuple(int(parent) for parent in arrays.parents),
    )


def pose_torch(
    tables: TorchTables, pose_rad: Tensor, betas: Tensor, transl_m: Tensor, scales: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return vertices (B V 3) and joints (B 24 3); arguments as in `Body.posed`."""
    import torch

    batch, used = len(pose_rad), betas.shape[-1]
    rows = betas if betas.ndim == 2 else betas[None]
    rotations = rotation_matrices(pose_rad, torch)
    joints_m = (tables.joints_row_m + rows @ tables.joint_rows_m[:used]).reshape(len(rows), -1, 3)
    linear, placed_m = joint_transforms(
        rotations,
        joints_m,
        zero_from_bind=tables.zero_from_bind,
        parents=tables.parents,
        scales=scales,
        xp=torch,
    )
    placed_m = placed_m + transl_m.reshape(-1, 1, 3)
    shift_m = placed_m[..., None] - linear @ joints_m[..., None]
    bind_m = tables.template_row_m + rows @ tables.shape_rows_m[:used]
    if tables.pose_rows_m is not None:
        identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
        bind_m = bind_m + (rotations[:, 1:] - identity).reshape(batch, -1) @ tables.pose_rows_m
    x, y, z = bind_m.reshape(len(bind_m), 1, 3, -1).unbind(2)
    columns = torch.cat([linear, shift_m], 3).permute(0, 2, 3, 1).reshape(batch * 12, -1)
    along_x, along_y, along_z, shift = (columns @ tables.weight_rows).reshape(batch, 3, 4, -1).unbind(2)
    moved_m = torch.addcmul(torch.addcmul(torch.addcmul(shift, along_x, x), along_y, y), along_z, z)
    return moved_m.transpose(1, 2).contiguous(), placed_m
