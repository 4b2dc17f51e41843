"""What a fit minimises: robust reprojection error, depth at the landmarks, pose and shape priors, and what hangs on.

Bogo et al., "Keep it SMPL", ECCV 2016, eq. (1) and (2). Every residual is divided by its standard deviation, so
the energy is -2 log of a posterior and priors need no hand-set weights. Confidences multiply the robust cost (in
SMPLify's code they stand inside the square). Steps need only H and g of E(d) = E + 2 g d + d H d.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.fitting.constraints import Constraints, add_constraints
from pipeline.fitting.depth_objective import DepthTerm, add_depth
from pipeline.fitting.kinematics import POSE, Chain, Points, Skeleton, Unknowns, chain_of, place_points
from pipeline.fitting.priors import GroupTables, add_group
from pipeline.fitting.surface import Surface

if TYPE_CHECKING:
    from torch import Tensor

    Normal = tuple[Tensor, Tensor, Tensor]

NEAR_M = 0.1
JOINT_DEPTH_SIGMA_M = 0.08  # of a joint about where the measured surface in front of it says
JOINT_DEPTH_ROBUST = 3.0  # in sigmas; behind an arm or beside the silhouette it says nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class LandmarkTerm:
    """Landmarks of a batch.

    Attributes:
        points: which points of the body they are.
        rays: (B N 2), x / z and y / z.
        weights: (B N) of the robust squares, confidence included.
        sigma: (B) of a landmark, in the unit of rays.
        robust: Geman-McClure's scale in sigmas.
        z_m: (B N) depth that an image suggests; None without one. `z_weights` (B N).
    """

    points: Points
    rays: Tensor
    weights: Tensor
    sigma: Tensor
    robust: float
    z_m: Tensor | None
    z_weights: Tensor | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PriorTerm:
    """Priors of a batch: the vertical in the camera frame (B 3), shape in standard deviations."""

    groups: tuple[GroupTables, ...]
    up_cam: Tensor
    shape_sigma: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """All that one stage weighs; None leaves a term out."""

    skeleton: Skeleton
    prior: PriorTerm
    landmarks: LandmarkTerm
    constraints: Constraints | None = None
    depth: tuple[Surface, DepthTerm] | None = None


def objective_of(terms: Terms) -> Callable[[Unknowns], Normal]:
    """Return the function that gives energies (B), H (B U U) and g (B U)."""

    def objective(at: Unknowns) -> Normal:
        count, unknowns = len(at.pose_rad), POSE + at.betas.shape[1] + 3
        zeros = at.betas.new_zeros
        normal = zeros(count), zeros(count, unknowns, unknowns), zeros(count, unknowns)
        chain = chain_of(terms.skeleton, at)
        add_priors(terms.prior, chain, at, normal)
        _add_landmarks(terms.landmarks, terms.skeleton, chain, at, normal)
        if terms.constraints is not None:
            add_constraints(terms.constraints, terms.skeleton, chain, at, normal)
        if terms.depth is not None:
            surface, depth = terms.depth
            add_depth(depth, surface, chain, at, normal)
        return normal

    return objective


def add_priors(term: PriorTerm, chain: Chain, at: Unknowns, normal: Normal) -> None:
    """Add pose and shape priors to energy, H and g in place."""
    energy, hessian, gradient = normal
    for group in term.groups:
        energy += add_group(group, at, term.up_cam, chain.turns[:, 0], (hessian, gradient))
    precision = term.shape_sigma**-2
    energy += precision * at.betas.square().sum(1)
    gradient[:, POSE:-3] += precision * at.betas
    hessian.diagonal(dim1=1, dim2=2)[:, POSE:-3] += precision


def _add_landmarks(
    term: LandmarkTerm, skeleton: Skeleton, chain: Chain, at: Unknowns, normal: Normal
) -> None:
    import torch

    points_m, jacobian = place_points(term.points, skeleton, chain, at.betas)
    z = points_m[..., 2:].clamp(min=NEAR_M)
    seen = points_m[..., :2] / z
    residual = (seen - term.rays) / term.sigma[:, None, None]
    rows = torch.addcmul(jacobian[:, :, :2], seen[..., None], jacobian[:, :, 2:], value=-1.0)
    rows /= (z * term.sigma[:, None, None])[..., None]
    _add_robust(residual, rows, term.weights, term.robust, normal)
    if term.z_m is not None and term.z_weights is not None:
        behind = (points_m[..., 2:] - term.z_m[..., None]) / JOINT_DEPTH_SIGMA_M
        _add_robust(
            behind, jacobian[:, :, 2:] / JOINT_DEPTH_SIGMA_M, term.z_weights, JOINT_DEPTH_ROBUST, normal
        )


def _add_robust(residual: Tensor, rows: Tensor, weights: Tensor, robust: float, normal: Normal) -> None:
    """Geman-McClure's cost of residuals (B N C) with rows (B N C U), which are used up: s^2 r^2 / (s^2 + r^2)."""
    squared = residual.square().sum(2)
    keep = robust**2 / (robust**2 + squared)
    energy, hessian, gradient = normal
    energy += (weights * squared * keep).sum(1)
    count, unknowns = len(rows), rows.shape[-1]
    root = (weights.sqrt() * keep)[..., None]
    rows *= root[..., None]
    flat = rows.reshape(count, -1, unknowns)
    hessian.baddbmm_(flat.transpose(1, 2), flat)
    gradient += (flat.transpose(1, 2) @ (residual * root).reshape(count, -1, 1))[..., 0]
