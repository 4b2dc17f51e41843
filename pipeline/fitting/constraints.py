"""What no person does: bend knees and elbows backwards, leave the joints' ranges, run through oneself.

Bending: Bogo et al., "Keep it SMPL", ECCV 2016, eq. (3), exp of the angle; the weight stands inside the square here,
as in the authors' code. Ranges: hinges on the angles of `pipeline.bodies.joint_limits`. Interpenetration: hinges on
the capsules of `pipeline.bodies.self_collision`, only the worst pairs of a body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.bodies import joint_limits
from pipeline.bodies.self_collision import PENETRATION_LIMIT_M, Capsules
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.fitting.kinematics import JOINTS, POSE, Chain, Skeleton, Unknowns, right_jacobian, skew, times
from pipeline.fitting.surface import rigid_rows

if TYPE_CHECKING:
    from torch import Tensor

    Normal = tuple[Tensor, Tensor, Tensor]

WORST_PAIRS = 8
LEAST_COSINE = 0.05  # of the middle angle: nearer to its pole the outer angles mean nothing
_ARMS = ("collar", "shoulder", "elbow", "wrist", "hand")
_ARM_JOINTS = [joint for joint, name in enumerate(SMPL24_NAMES) if name.endswith(_ARMS)]
# As `joint_limits` measures angles, outermost first; the root has no range.
_ORDERS = (
    ([joint for joint in range(1, JOINTS) if joint not in _ARM_JOINTS], (0, 2, 1)),
    (_ARM_JOINTS, (2, 1, 0)),
)
# Unknowns that straighten a joint, and towards which sign: knee x, elbow y.
_BENDS = (
    (3 * SMPL24_NAMES.index("left_knee"), -1.0),
    (3 * SMPL24_NAMES.index("right_knee"), -1.0),
    (3 * SMPL24_NAMES.index("left_elbow") + 1, 1.0),
    (3 * SMPL24_NAMES.index("right_elbow") + 1, -1.0),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Constraints:
    """Weights of the constraints; `capsules` are those of the mean shape.

    Attributes:
        bend_weight: w of the energy (w exp(angle))^2.
        limit_sigma_rad: an angle so far beyond its range costs 1.
        touch_sigma_m: capsules so deep in each other cost 1.
    """

    capsules: Capsules
    bend_weight: float
    limit_sigma_rad: float
    touch_sigma_m: float


def add_constraints(
    terms: Constraints, skeleton: Skeleton, chain: Chain, at: Unknowns, normal: Normal
) -> None:
    """Add bending, ranges and interpenetration to energy, H and g in place."""
    _add_bending(terms, at, normal)
    _add_limits(terms, at, normal)
    _add_touching(terms, skeleton, chain, normal)


def _add_bending(terms: Constraints, at: Unknowns, normal: Normal) -> None:
    energy, hessian, gradient = normal
    columns = [column for column, _ in _BENDS]
    signs = at.pose_rad.new_tensor([sign for _, sign in _BENDS])
    residual = terms.bend_weight * (signs * at.pose_rad.reshape(-1, POSE)[:, columns]).exp()
    energy += residual.square().sum(1)
    gradient[:, columns] += signs * residual.square()
    hessian[:, columns, columns] += residual.square()


def _add_limits(terms: Constraints, at: Unknowns, normal: Normal) -> None:
    import torch

    energy, hessian, gradient = normal
    for joints, order in _ORDERS:
        residual, rows = limit_excess(at.pose_rad[:, joints], joints, order)
        residual, rows = residual / terms.limit_sigma_rad, rows / terms.limit_sigma_rad
        energy += residual.square().sum((1, 2))
        columns = (3 * torch.tensor(joints)[:, None] + torch.arange(3)).long()
        gradient[:, columns] += (rows * residual[..., None]).sum(2)
        hessian[:, columns[:, :, None], columns[:, None, :]] += times(rows.transpose(2, 3), rows)


def limit_excess(pose_rad: Tensor, joints: list[int], order: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """How far angles (B G 3) are beyond their ranges, signed, and derivatives (B G 3 3) in the pose (B G 3).

    Two triples of angles mean one rotation; the one that breaks the ranges less counts. The outer angles count
    times the cosine of the middle one, at whose pole they mean nothing.
    """
    import torch

    angles, rows = limit_angles(pose_rad, order)
    low = angles.new_tensor(np.radians(joint_limits.LOWEST_DEG[joints][:, order]))
    high = angles.new_tensor(np.radians(joint_limits.HIGHEST_DEG[joints][:, order]))
    turn = angles.new_tensor([np.pi, 0.0, np.pi])
    flip = angles.new_tensor([1.0, -1.0, 1.0])
    other = torch.remainder(flip * angles + turn + (1.0 - flip) * np.pi / 2.0 + np.pi, 2.0 * np.pi) - np.pi
    beyond, beyond_other = (
        (triple - high).clamp(min=0.0) - (low - triple).clamp(min=0.0) for triple in (angles, other)
    )
    taken = (beyond.abs().amax(2) <= beyond_other.abs().amax(2))[..., None]
    beyond = torch.where(taken, beyond, beyond_other)
    rows = torch.where(taken[..., None], rows, flip[:, None] * rows)
    cosine = angles[..., 1].cos().detach()
    scale = torch.stack([cosine, torch.ones_like(cosine), cosine], -1)
    return scale * beyond, torch.where(
        beyond[..., None] != 0, scale[..., None] * rows, torch.zeros_like(rows)
    )


def limit_angles(pose_rad: Tensor, order: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Angles (B G 3) of R = R_i(a) R_j(b) R_k(c), outermost first, and derivatives (B G 3 3) in the pose (B G 3)."""
    import torch

    from pipeline.bodies.skinning import rotation_matrices

    i, j, k = order
    rotation = rotation_matrices(pose_rad, torch)
    # d R = R [J_r d]_x, one matrix for each of the three unknowns (B G 3u 3 3).
    turning = skew(right_jacobian(pose_rad).transpose(2, 3))
    change = times(rotation[:, :, None].expand_as(turning), turning)

    def ratio(row: int, column: int, below: tuple[int, int]) -> tuple[Tensor, Tensor]:
        over, under = rotation[..., row, column], rotation[..., below[0], below[1]]
        length2 = (over.square() + under.square()).clamp(min=LEAST_COSINE**2)
        slope = (
            under[..., None] * change[..., row, column] - over[..., None] * change[..., below[0], below[1]]
        )
        return torch.atan2(over, under), slope / length2[..., None]

    outer, outer_rows = ratio(j, k, (k, k))
    inner, inner_rows = ratio(i, j, (i, i))
    sine = -rotation[..., i, k]
    cosine = (1.0 - sine.square()).clamp(min=LEAST_COSINE**2).sqrt()
    middle, middle_rows = torch.asin(sine.clamp(-1.0, 1.0)), -change[..., i, k] / cosine[..., None]
    return torch.stack([outer, middle, inner], -1), torch.stack([outer_rows, middle_rows, inner_rows], -2)


def _add_touching(terms: Constraints, skeleton: Skeleton, chain: Chain, normal: Normal) -> None:
    import torch

    capsules = terms.capsules
    like = chain.joints_m
    joint = torch.tensor(capsules.joint)
    ends_m = like.new_tensor(capsules.ends_m)
    ends_m = like[:, joint, None] + (chain.turns[:, joint, None] * ends_m[..., None, :]).sum(-1)
    a, b = torch.tensor(capsules.pairs).T
    on_a, on_b = closest_points(ends_m[:, a], ends_m[:, b])
    distance_m = (on_a - on_b).norm(dim=-1).clamp(min=1e-4)
    room_m = like.new_tensor(capsules.radius_m)
    free_m = like.new_tensor(capsules.touching_m) + PENETRATION_LIMIT_M
    deep_m, worst = (room_m[a] + room_m[b] - distance_m - free_m).topk(WORST_PAIRS, dim=1)
    deep_m = deep_m.clamp(min=0.0) / terms.touch_sigma_m
    index = worst[..., None].expand(-1, -1, 3)
    on_a, on_b = on_a.gather(1, index), on_b.gather(1, index)
    apart = torch.nn.functional.normalize(on_b - on_a, dim=-1) * (deep_m > 0)[..., None]
    apart = apart / terms.touch_sigma_m
    hang_a, hang_b = (skeleton.hangs_on[joint[side][worst]] for side in (a, b))
    one_a, one_b = (torch.nn.functional.one_hot(joint[side][worst], JOINTS).to(like.dtype) for side in (a, b))
    rows = rigid_rows(chain, hang_a, one_a, place_m=on_a, along=apart)
    rows = rows - rigid_rows(chain, hang_b, one_b, place_m=on_b, along=apart)
    energy, hessian, gradient = normal
    energy += deep_m.square().sum(1)
    hessian += rows.transpose(1, 2) @ rows
    gradient += (rows.transpose(1, 2) @ deep_m[..., None])[..., 0]


def closest_points(first_m: Tensor, second_m: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest points (... 3) of segments with the ends (... 2 3); Ericson 2005, section 5.1.9."""
    import torch

    origin_m = first_m[..., 0, :] - second_m[..., 0, :]
    d1, d2 = first_m[..., 1, :] - first_m[..., 0, :], second_m[..., 1, :] - second_m[..., 0, :]
    a, e, b = (d1 * d1).sum(-1), (d2 * d2).sum(-1), (d1 * d2).sum(-1)
    c, f = (d1 * origin_m).sum(-1), (d2 * origin_m).sum(-1)
    denominator = a * e - b * b
    s = ((b * f - c * e) / torch.where(denominator > 0, denominator, torch.inf)).clamp(0.0, 1.0)
    t = ((b * s + f) / torch.where(e > 0, e, torch.inf)).clamp(0.0, 1.0)
    s = ((b * t - c) / torch.where(a > 0, a, torch.inf)).clamp(0.0, 1.0)
    return first_m[..., 0, :] + s[..., None] * d1, second_m[..., 0, :] + t[..., None] * d2
