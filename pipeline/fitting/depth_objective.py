"""What depth and silhouette add to a fit: point-to-plane distances, and skin that leaves the person's mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.fitting.kinematics import Chain, Unknowns
from pipeline.fitting.surface import Surface, along_rows, nearest_vertices, place_surface

if TYPE_CHECKING:
    from torch import Tensor

OUTSIDE = 96  # vertices, the farthest outside the mask, that a step pulls back


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthTerm:
    """Measured points of a batch, and how far every pixel is from the mask.

    Attributes:
        points_m: (B P 3) camera frame; `normals` (B P 3) facing the camera; `weights` (B P) 0 for filling.
        sigma_m: of a point's distance from the surface.
        robust_m: Geman-McClure's scale.
        outside_px: (B H W) distance of each pixel from the mask, 0 inside; None without silhouettes.
        K: (B 3 3) of that image.
        silhouette_sigma_m: of a vertex outside the mask, in metres at its own depth.
    """

    points_m: Tensor
    normals: Tensor
    weights: Tensor
    sigma_m: float
    robust_m: float
    outside_px: Tensor | None
    K: Tensor
    silhouette_sigma_m: float


def add_depth(
    term: DepthTerm, surface: Surface, chain: Chain, at: Unknowns, normal: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Add the depth term to energy, H and g in place.

    The distance is measured along the mean of both normals (Rusinkiewicz, "A Symmetric Objective Function for
    ICP", SIGGRAPH 2019, eq. 9), which is exact on round limbs where a coarse vertex lies beside the point.
    """
    vertices_m, facing = place_surface(surface, chain, at.betas)
    distance_m, vertex, place_m, along = _meet(term, vertices_m, facing)
    squared = (distance_m / term.sigma_m).square()
    scale2 = (term.robust_m / term.sigma_m) ** 2
    keep = scale2 / (scale2 + squared)
    rows = along_rows(surface, chain, vertex=vertex, place_m=place_m, along=along)
    weight = term.weights * keep.square() / term.sigma_m**2
    energy, hessian, gradient = normal
    energy += (term.weights * squared * keep).sum(1)
    weighted = (rows * weight[..., None]).transpose(1, 2)
    hessian += weighted @ rows
    gradient += (weighted @ distance_m[..., None])[..., 0]
    if term.outside_px is not None:
        _add_silhouette(term, surface, chain, vertices_m, normal)


def point_distances(term: DepthTerm, surface: Surface, chain: Chain, at: Unknowns) -> Tensor:
    """Signed distances (B P) of measured points from the surface, as the fit counts them."""
    return _meet(term, *place_surface(surface, chain, at.betas))[0]


def _meet(term: DepthTerm, vertices_m: Tensor, facing: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distances (B P), rows of the vertices (B P), their places and the directions (B P 3) that count."""
    import torch

    vertex = nearest_vertices(term.points_m, term.normals, vertices_m, facing)
    index = vertex[..., None].expand(-1, -1, 3)
    place_m, theirs = vertices_m.gather(1, index), facing.gather(1, index)
    along = torch.nn.functional.normalize(term.normals + theirs, dim=-1)
    return ((place_m - term.points_m) * along).sum(2), vertex, place_m, along


def _add_silhouette(
    term: DepthTerm, surface: Surface, chain: Chain, vertices_m: Tensor, normal: tuple[Tensor, Tensor, Tensor]
) -> None:
    import torch

    assert term.outside_px is not None
    count, height, width = term.outside_px.shape
    focal = torch.stack([term.K[:, 0, 0], term.K[:, 1, 1]], 1)[:, None]
    z = vertices_m[..., 2:].clamp(min=0.1)
    pixel = vertices_m[..., :2] / z * focal + term.K[:, None, :2, 2]
    column, row = pixel.round().long().unbind(2)
    inside = (column > 0) & (column < width - 1) & (row > 0) & (row < height - 1)
    flat = term.outside_px.reshape(count, -1)
    place = row.clamp(1, height - 2) * width + column.clamp(1, width - 2)
    metre = z[..., 0] / focal.mean(2)
    far_m = torch.where(inside, flat.gather(1, place) * metre, torch.zeros_like(metre))
    worst = far_m.topk(min(OUTSIDE, far_m.shape[1]), dim=1).indices
    far_m, place, metre = far_m.gather(1, worst), place.gather(1, worst), metre.gather(1, worst)
    slope = 0.5 * torch.stack(
        [flat.gather(1, place + 1) - flat.gather(1, place - 1),
         flat.gather(1, place + width) - flat.gather(1, place - width)], 2,
    )  # fmt: skip
    place_m = vertices_m.gather(1, worst[..., None].expand(-1, -1, 3))
    ray = place_m[..., :2] / place_m[..., 2:].clamp(min=0.1)
    along = torch.cat([slope, -(slope * ray).sum(2, keepdim=True)], 2)
    rows = along_rows(surface, chain, vertex=worst, place_m=place_m, along=along)
    squared = (far_m / term.silhouette_sigma_m).square()
    scale2 = (term.robust_m / term.silhouette_sigma_m) ** 2
    keep = scale2 / (scale2 + squared)
    energy, hessian, gradient = normal
    energy += (squared * keep).sum(1)
    weight = keep.square() / term.silhouette_sigma_m**2
    weighted = (rows * weight[..., None]).transpose(1, 2)
    hessian += weighted @ rows
    gradient += (weighted @ far_m[..., None])[..., 0]


def measured_points(
    depth_m: NDArray[np.float32], mask: NDArray[np.bool_], K: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pick points (P 3) with normals (P 3) of one depth image, spread over its mask; P <= count.

    The choice depends on the mask alone.
    """
    from pipeline.cameras import backproject
    from pipeline.normals import normals_from_depth

    use = mask & (depth_m > 0)
    normal, _ = normals_from_depth(depth_m.astype(np.float32), use, K, window_px=5, max_step_m=0.05)
    usable = np.flatnonzero((normal != 0).any(2))
    chosen = np.random.default_rng(0).permutation(usable)[:count]
    return backproject(depth_m, K).reshape(-1, 3)[chosen], normal.reshape(-1, 3)[chosen].astype(np.float64)
