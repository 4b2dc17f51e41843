"""Depth made to agree with normals, by a few steps without parameters through which gradients pass.

Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019, section 6.2, after
Nehab et al., "Efficiently combining positions and normals for precise 3D geometry", SIGGRAPH 2005.

Two neighbours give each other two depths: one by the plane through the neighbour across the neighbour's own normal,
one by the plane across the pixel's. A step takes their mean over the neighbours, and of the first depth a share. In
eq. (8) as printed the second plane goes through Z_i, so that it says nothing of the neighbour; here it goes through
Z_j, as in the authors' code. X and Y move with Z along the pixel's ray: a plane's depths along two rays then stand in
a ratio that no step changes, so a step is a sum of neighbours with weights that are computed once.

`pipeline.depth_refinement` has the same equations solved to the end.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from training.networks.blocks import at_least_float32

Rule = Literal["paper", "code"]

AXES = (-1, -2)  # columns, rows
NEIGHBOURS = 4
LEAST_COSINE = 1e-3  # of a normal to the ray, to which a plane that is met beyond all bounds has 0
CODE_PITCH_M = 2 / 256  # of the authors' code, which sees 256 pixels as 2 m at any distance


@dataclass(frozen=True, kw_only=True, slots=True)
class Refinement:
    """How depth is refined; the defaults are the paper's.

    Attributes:
        keep: lambda of eq. (7), the share of the first depth; less follows the normals more.
        iterations: steps; each carries a normal's word one pixel further.
        max_step_m: neighbours that the first depth holds further apart are of different surfaces, and a plane that
            puts them further apart is an edge's: neither counts. The paper has no such bound.
        rule: "paper", or "code" as the authors' public code, where a pixel is its own fifth neighbour and the
            neighbours weigh as much as their normals resemble its own (none below 0).
    """

    keep: float = 0.4
    iterations: int = 5
    max_step_m: float = 0.03
    rule: Rule = "paper"

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"refinement: keep must be above 0 and at most 1, is {self.keep}")
        if self.iterations < 0:
            raise ValueError(f"refinement: iterations must be at least 0, are {self.iterations}")
        if not self.max_step_m > 0:
            raise ValueError(f"refinement: max_step_m must be positive, is {self.max_step_m} m")
        if self.rule not in ("paper", "code"):
            raise ValueError(f'refinement: rule must be "paper" or "code", is {self.rule!r}')


PAPER = Refinement()
CODE = Refinement(keep=0.2, max_step_m=math.inf, rule="code")


class _Pairs(NamedTuple):
    """What neighbours a and b, b to the right of or below a, say of each other: Z_b ~ to_b Z_a + shift_b.

    Sums over both planes, each with its weight, (B H W-1) or (B H-1 W); shifts are None where rays meet.
    """

    to_a: Tensor
    to_b: Tensor
    shift_b: Tensor | None
    weight: Tensor


def refine_depth(
    depth_m: Tensor,
    normal: Tensor,
    mask: Tensor,
    *,
    K: Tensor | None = None,
    pitch_m: float = CODE_PITCH_M,
    how: Refinement = PAPER,
) -> Tensor:
    """Eq. (7), some steps of it.

    Where all four neighbours count, a step is the paper's. A neighbour that is outside of the image or the mask, or
    across an edge, leaves its eighths to the first depth, which makes the steps go where an energy is least:
    that of `pipeline.depth_refinement`.

    Args:
        depth_m: (B H W) z along the optical axis, above 0 where `K` is given, else from any origin; never read outside
            the mask, as `normal` is not.
        normal: (B 3 H W) unit, facing the camera. One of length 0 is not known and says nothing.
        mask: (B H W) bool.
        K: (B 3 3) intrinsics of this image, with zero skew; None for rays that run along the axis.
        pitch_m: between such rays; has no meaning beside `K`.

    Returns:
        (B H W) metres, float32 or better; 0 outside the mask. A pixel without neighbours keeps its depth.

    Raises:
        ValueError: if the shapes do not fit or the mask is not bool.
    """
    _check(depth_m, normal, mask, K)
    first_m = torch.where(mask, at_least_float32(depth_m), 0)
    known = mask & normal.detach().abs().amax(dim=1).gt(0)
    towards = normal.new_tensor([0.0, 0.0, -1.0])[:, None, None]
    normal = torch.where(known[:, None], at_least_float32(normal), towards)
    pairs = [_pairs(axis, first_m, normal, (mask, known), K=K, pitch_m=pitch_m, how=how) for axis in AXES]
    own, share = _shares(first_m, pairs, how)
    constant, steps = _constant(first_m, pairs, share, how), []
    for axis, pair in zip(AXES, pairs, strict=True):
        share_a, share_b = _ends(share / own, axis)
        steps.append((axis, pair.to_a * share_a, pair.to_b * share_b))
    constant = constant / own
    depth_m = first_m
    for _ in range(how.iterations):
        depth_m = _step(depth_m, constant, steps, share if how.rule == "code" else None)
    return depth_m


def _step(
    depth_m: Tensor, constant: Tensor, steps: list[tuple[int, Tensor, Tensor]], own: Tensor | None
) -> Tensor:
    # In place on a new tensor, which gradients allow if each view is taken after the last change: no padding.
    total = constant.clone() if own is None else torch.addcmul(constant, own, depth_m)
    for axis, to_a, to_b in steps:
        depth_a, depth_b = _ends(depth_m, axis)
        _ends(total, axis)[0].addcmul_(to_a, depth_b)
        _ends(total, axis)[1].addcmul_(to_b, depth_a)
    return total


def _shares(first_m: Tensor, pairs: list[_Pairs], how: Refinement) -> tuple[Tensor, Tensor]:
    """By what a sum of the first depth and of neighbours' planes is divided, and with which share a plane is in it."""
    weight = torch.zeros_like(first_m)
    for axis, pair in zip(AXES, pairs, strict=True):
        weight = weight + _at_ends(pair.weight, pair.weight, axis)
    if how.rule == "code":
        return torch.ones_like(first_m), (1 - how.keep) / (1 + weight)
    share = (1 - how.keep) / (2 * NEIGHBOURS)
    return how.keep + share * weight, torch.full_like(first_m, share)


def _constant(first_m: Tensor, pairs: list[_Pairs], share: Tensor, how: Refinement) -> Tensor:
    """The first depth's share, and what planes add to the neighbours' depths where rays are parallel."""
    total = how.keep * first_m
    for axis, pair in zip(AXES, pairs, strict=True):
        if pair.shift_b is not None:
            total = total + share * _at_ends(-pair.shift_b, pair.shift_b, axis)
    return total


def _pairs(
    axis: int,
    first_m: Tensor,
    normal: Tensor,
    masks: tuple[Tensor, Tensor],
    *,
    K: Tensor | None,
    pitch_m: float,
    how: Refinement,
) -> _Pairs:
    """Neighbours along one axis of the image; masks of all pixels, and of those with a normal."""
    mask, known = masks
    along = normal[:, 0 if axis == -1 else 1]
    (known_a, known_b), (depth_a, depth_b) = _ends(known, axis), _ends(first_m.detach(), axis)
    both = torch.logical_and(*_ends(mask, axis)) & ((depth_b - depth_a).abs() <= how.max_step_m)
    if K is None:
        rises = torch.where(
            normal[:, 2] < -LEAST_COSINE, normal[:, 2], math.inf
        )  # then the plane says: level
        shifts = _ends(-pitch_m * along / rises, axis)
        met = _ends(normal[:, 2] < -LEAST_COSINE, axis)
        apart_m = [shift.detach().abs() for shift in shifts]
        ratios = None
    else:
        ratios, met = _ratios(normal, along, K, axis)
        apart_m = [depth_a * (ratio.detach() - 1).abs() for ratio in ratios]
    like = _resemblance(normal, axis) if how.rule == "code" else None
    weights = []
    for knows, meets, apart in zip((known_a, known_b), met, apart_m, strict=True):
        counts = (both & knows & meets & (apart <= how.max_step_m)).to(first_m.dtype)
        weights.append(counts if like is None else counts * like)
    weight = weights[0] + weights[1]
    if ratios is None:
        return _Pairs(weight, weight, weights[0] * shifts[0] + weights[1] * shifts[1], weight)
    to_a = weights[0] / ratios[0] + weights[1] / ratios[1]
    return _Pairs(to_a, weights[0] * ratios[0] + weights[1] * ratios[1], None, weight)


def _ratios(
    normal: Tensor, along: Tensor, K: Tensor, axis: int
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Depth at b over depth at a of the plane across a's normal and of that across b's, and where it is met at both.

    A plane through the point Z_a r_a on the ray r_a meets the ray r_b at Z_b = Z_a (N . r_a) / (N . r_b).
    """
    at = K.to(normal.dtype)
    height, width = along.shape[-2:]
    column = torch.arange(width, dtype=normal.dtype, device=normal.device)
    row = torch.arange(height, dtype=normal.dtype, device=normal.device)
    x = (column - at[:, 0, 2, None]) / at[:, 0, 0, None]
    y = (row - at[:, 1, 2, None]) / at[:, 1, 1, None]
    through = normal[:, 0] * x[:, None, :] + normal[:, 1] * y[:, :, None] + normal[:, 2]
    focal_px = at[:, 0, 0] if axis == -1 else at[:, 1, 1]
    across = along / focal_px[:, None, None]
    (at_a, at_b), (turn_a, turn_b) = _ends(through, axis), _ends(across, axis)
    ratios, met = [], []
    for on_a, on_b in ((at_a, at_a + turn_a), (at_b - turn_b, at_b)):
        meets = (on_a < -LEAST_COSINE) & (on_b < -LEAST_COSINE)
        # Chosen before the division: 0 times the gradient of what is not finite would be NaN.
        ratios.append(torch.where(meets, on_a, -1) / torch.where(meets, on_b, -1))
        met.append(meets)
    return (ratios[0], ratios[1]), (met[0], met[1])


def _resemblance(normal: Tensor, axis: int) -> Tensor:
    """Half of the cosine between two neighbours' normals: the weight of each of their two planes."""
    normal_a, normal_b = _ends(normal, axis)
    return (normal_a * normal_b).sum(dim=1).clamp(min=0) / 2


def _ends(values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Views of all that have a neighbour after them along the axis, and of these neighbours."""
    count = values.shape[axis] - 1
    return values.narrow(axis, 0, count), values.narrow(axis, 1, count)


def _at_ends(for_a: Tensor, for_b: Tensor, axis: int) -> Tensor:
    """Sum at each pixel of what it gets as the first of a pair of neighbours, and as the second."""
    lengthen = {-1: ((0, 1), (1, 0)), -2: ((0, 0, 0, 1), (0, 0, 1, 0))}[axis]
    return F.pad(for_a, lengthen[0]) + F.pad(for_b, lengthen[1])


def _check(depth_m: Tensor, normal: Tensor, mask: Tensor, K: Tensor | None) -> None:
    batch, height, width = depth_m.shape
    if normal.shape != (batch, 3, height, width) or mask.shape != depth_m.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"refine_depth: normal must be (B 3 H W) and mask bool (B H W) for depth {tuple(depth_m.shape)}, are "
            f"{tuple(normal.shape)} and {mask.dtype} {tuple(mask.shape)}"
        )
    if K is not None and K.shape != (batch, 3, 3):
        raise ValueError(f"refine_depth: K must be (B 3 3) with B = {batch}, is {tuple(K.shape)}")
