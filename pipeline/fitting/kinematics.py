"""Posed joints and surface points with their exact Jacobians, batched, without automatic differentiation.

With R(theta + d) = R(theta) exp(J_r(theta) d), J_r the right Jacobian of SO(3) (Sola et al., "A micro Lie theory for
state estimation in robotics", 2018, eq. 143), turning joint k moves what hangs on it by (A_k d) x (x - p_k) with
A_k = G_k J_r(theta_k), G_k the joint's rotation in the camera frame. So a Jacobian costs a cross product.
Unknowns of one body, in this order: pose (72), betas (K), translation (3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.bodies.model import Body
from pipeline.bodies.skinning import SMALL_ANGLE2_RAD2, rotation_matrices, tree_levels

if TYPE_CHECKING:
    import torch
    from torch import Tensor

POSE = 72
JOINTS = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Unknowns:
    """A batch of bodies: pose_rad (B 24 3), betas (B K), transl_m (B 3)."""

    pose_rad: Tensor
    betas: Tensor
    transl_m: Tensor

    def rows(self, chosen: Tensor) -> Unknowns:
        """Return some of the bodies."""
        return Unknowns(
            pose_rad=self.pose_rad[chosen], betas=self.betas[chosen], transl_m=self.transl_m[chosen]
        )

    def moved(self, step: Tensor) -> Unknowns:
        """Return the bodies after a step (B U) in all unknowns."""
        return Unknowns(
            pose_rad=self.pose_rad + step[:, :POSE].reshape(-1, JOINTS, 3),
            betas=self.betas + step[:, POSE:-3],
            transl_m=self.transl_m + step[:, -3:],
        )

    def where(self, chosen: Tensor, other: Unknowns) -> Unknowns:
        """Return these bodies where `chosen` (B), the other ones elsewhere."""
        import torch

        return Unknowns(
            pose_rad=torch.where(chosen[:, None, None], self.pose_rad, other.pose_rad),
            betas=torch.where(chosen[:, None], self.betas, other.betas),
            transl_m=torch.where(chosen[:, None], self.transl_m, other.transl_m),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Skeleton:
    """The tree of a body: zero-pose offsets from each joint's parent, and who hangs on whom.

    Attributes:
        offset_m: (24 3) at zero betas; the root's is its place.
        offset_dirs_m: (24 3 K).
        hangs_on: (24 24), 1 at [j, k] where joint j is k or hangs on it.
    """

    offset_m: Tensor
    offset_dirs_m: Tensor
    hangs_on: Tensor
    levels: list[tuple[list[int], list[int]]]
    parents: list[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """A posed tree and its derivatives.

    Attributes:
        turns: G (B 24 3 3).
        joints_m: p (B 24 3), translation included.
        axes: A (B 24 3 3), columns are the axes of the joint's three angles.
        joint_dirs_m: (B 24 3 K), derivative of p in the betas.
    """

    turns: Tensor
    joints_m: Tensor
    axes: Tensor
    joint_dirs_m: Tensor


def skeleton_of(body: Body, dtype: torch.dtype) -> Skeleton:
    """Lay out a body's tree in the zero pose."""
    import torch

    arrays = body.arrays
    parents = [max(int(parent), 0) for parent in arrays.parents]
    zero_from_bind = arrays.bind_rotation.transpose(0, 2, 1)[parents]
    joints = np.concatenate([arrays.joints_m[..., None], arrays.joint_dirs_m], 2).astype(np.float64)
    offsets = np.einsum("jab,jbk->jak", zero_from_bind, joints - joints[parents])
    offsets[0] = joints[0]
    hangs_on = np.eye(JOINTS)
    for joint in range(1, JOINTS):
        hangs_on[joint] += hangs_on[parents[joint]]
    return Skeleton(
        offset_m=torch.tensor(offsets[..., 0], dtype=dtype),
        offset_dirs_m=torch.tensor(offsets[..., 1:], dtype=dtype),
        hangs_on=torch.tensor(hangs_on, dtype=dtype),
        levels=tree_levels(arrays.parents.tolist()),
        parents=parents,
    )


def chain_of(skeleton: Skeleton, at: Unknowns) -> Chain:
    """Pose the tree."""
    import torch

    local = rotation_matrices(at.pose_rad, torch)
    shaped = at.betas @ skeleton.offset_dirs_m.reshape(POSE, -1).T
    offset_m = skeleton.offset_m + shaped.reshape(-1, JOINTS, 3)
    dirs = skeleton.offset_dirs_m.expand(len(local), -1, -1, -1)
    # The place and its derivative travel down the tree as one matrix (3, 1 + K).
    hung = torch.cat([offset_m[..., None], dirs], 3)
    turned, placed = [local[:, :1]], [hung[:, :1]]
    order = [0]
    for joints, above in skeleton.levels[1:]:
        placed.append(placed[-1][:, above] + times(turned[-1][:, above], hung[:, joints]))
        turned.append(times(turned[-1][:, above], local[:, joints]))
        order += joints
    back = [order.index(joint) for joint in range(JOINTS)]
    turns, places = torch.cat(turned, 1)[:, back], torch.cat(placed, 1)[:, back]
    return Chain(
        turns=turns,
        joints_m=places[..., 0] + at.transl_m[:, None],
        axes=times(turns, right_jacobian(at.pose_rad)),
        joint_dirs_m=places[..., 1:],
    )


def right_jacobian(pose_rad: Tensor) -> Tensor:
    """J_r (... 3 3) of axis-angle vectors (... 3): exp(theta + d) = exp(theta) exp(J_r d) to first order."""
    import torch

    squared = (pose_rad * pose_rad).sum(-1)
    small = squared < SMALL_ANGLE2_RAD2
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    first = torch.where(small, 0.5 - squared / 24.0, (1.0 - angle.cos()) / safe)
    second = torch.where(small, 1.0 / 6.0 - squared / 120.0, (angle - angle.sin()) / (safe * angle))
    cross = skew(pose_rad)
    return (
        torch.eye(3, dtype=pose_rad.dtype)
        - first[..., None, None] * cross
        + second[..., None, None] * times(cross, cross)
    )


def skew(vectors: Tensor) -> Tensor:
    """Matrices (... 3 3) with skew(a) b = a x b."""
    import torch

    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vectors.shape, 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Points:
    """Points that move with the tree by linear blend skinning, ready to be posed.

    Attributes:
        weights: (N 24), rows sum to 1.
        local_m: (N 24 3), weight times the place about each joint's zero-pose axes.
        local_dirs_m: (N 24 3 K).
    """

    weights: Tensor
    local_m: Tensor
    local_dirs_m: Tensor


def place_points(points: Points, skeleton: Skeleton, chain: Chain, betas: Tensor) -> tuple[Tensor, Tensor]:
    """Place points (B N 3) and return their Jacobians (B N 3 U) in all unknowns."""
    import torch

    count, number, size = len(betas), len(points.weights), betas.shape[1]
    shaped = betas @ points.local_dirs_m.reshape(-1, size).T
    local_m = points.local_m + shaped.reshape(count, number, JOINTS, 3)
    # What each joint carries of a point (B N 24 3); the parts sum to the point.
    parts_m = times(chain.turns[:, None], local_m[..., None])[..., 0]
    parts_m = parts_m + points.weights[..., None] * chain.joints_m[:, None]
    below_m = torch.matmul(skeleton.hangs_on.T, parts_m)
    share = points.weights @ skeleton.hangs_on
    below_m -= share[..., None] * chain.joints_m[:, None]
    jacobian = betas.new_empty(count, number, 3, POSE + size + 3)
    _write_turning(chain.axes[:, None], below_m, jacobian[..., :POSE].view(count, number, 3, JOINTS, 3))
    # Each joint's turn times its directions, summed over joints: one product over (joint, axis).
    turned = chain.turns.permute(0, 2, 1, 3).reshape(count, 3, 3 * JOINTS)
    dirs_m = points.local_dirs_m.permute(1, 2, 0, 3).reshape(3 * JOINTS, number * size)
    shaping = (turned.reshape(-1, 3 * JOINTS) @ dirs_m).reshape(count, 3, number, size).transpose(1, 2)
    carried = chain.joint_dirs_m.reshape(count, JOINTS, -1)
    carried = (points.weights @ carried).reshape(count, number, 3, size)
    torch.add(shaping, carried, out=jacobian[..., POSE:-3])
    jacobian[..., -3:] = torch.eye(3, dtype=betas.dtype)
    return parts_m.sum(2), jacobian


def _write_turning(axes: Tensor, arms_m: Tensor, out: Tensor) -> None:
    """Write the cross products of axes (B 1 J 3 A), columns, and arms (B N J 3) into `out` (B N 3 J A)."""
    import torch

    for row, (first, second) in enumerate(((1, 2), (2, 0), (0, 1))):
        torch.mul(axes[..., first, :], arms_m[..., second, None], out=out[:, :, row])
        out[:, :, row].addcmul_(axes[..., second, :], arms_m[..., first, None], value=-1.0)


def joint_rows(skeleton: Skeleton, chain: Chain) -> Tensor:
    """Derivatives (B 24 3 72) of the joints' places in the pose."""
    import torch

    arms_m = (chain.joints_m[:, :, None] - chain.joints_m[:, None]) * skeleton.hangs_on[..., None]
    axes = chain.axes[:, None].expand(-1, JOINTS, -1, -1, -1)
    turning: Tensor = torch.linalg.cross(axes, arms_m[..., None].expand_as(axes), dim=3)
    return turning.permute(0, 1, 3, 2, 4).reshape(-1, JOINTS, 3, POSE)


def times(left: Tensor, right: Tensor) -> Tensor:
    """Products of many small matrices (... 3 3) and (... 3 C), which a batched product is slow at."""
    product: Tensor = left[..., :1] * right[..., :1, :]
    for k in range(1, left.shape[-1]):
        product = product + left[..., k : k + 1] * right[..., k : k + 1, :]
    return product
