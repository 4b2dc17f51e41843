"""Depth made to agree with normals, solved to the end.

Nehab et al., "Efficiently combining positions and normals for precise 3D geometry", SIGGRAPH 2005: the energy whose
solution Tang et al., ICCV 2019, section 6.2, approach by five steps, which `training.networks.refinement` holds. Five
steps take noise away; what a normal knows of shapes wider than a few pixels takes the solution.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import Bool, Float32, Float64, pixel_rays

PLANES = 8  # two for each of four neighbours
LEAST_COSINE = 1e-3  # of a normal to the ray, as in the layer


def depth_with_normals(
    depth_m: Float32,
    normal: Float32,
    mask: Bool,
    *,
    K: Float64 | None,
    pitch_m: float = 1.0,
    keep: float = 0.4,
    max_step_m: float = 0.03,
) -> Float32:
    """The depths Z with the least sum of keep (Z_i - Z0_i)^2 over pixels and (1 - keep) / 8 (Z_j - Z_ij)^2 over pairs
    of neighbours and each pair's two normals, where Z_ij is the depth at j of the plane through pixel i.

    Of rays along the axis the layer's steps converge to it; of rays through `K` nearly so, since a plane's depths
    there stand in a ratio, of which the steps take the inverse for the other direction.

    Args:
        depth_m: (H W) z along the optical axis, above 0 where `K` is given; never read outside the mask, as `normal`
            is not.
        normal: (H W 3) unit, facing the camera; 0 where it is not known.
        K: (3 3) intrinsics with zero skew; None for rays along the axis, `pitch_m` apart.
        keep: lambda of the paper's eq. (7). The less, the wider the shapes that come from the normals: those of about
            2 pi sqrt((1 - keep) / (4 keep)) px and less.
        max_step_m: pairs that the first depth holds further apart, and planes that put them further apart, are left
            out.

    Returns:
        (H W) metres, 0 outside the mask.

    Raises:
        ValueError: if the shapes differ, keep is not in (0, 1], or the step is not positive.
    """
    if normal.shape != (*depth_m.shape, 3) or mask.shape != depth_m.shape:
        raise ValueError(
            f"depth_with_normals: normal must be (H W 3) and mask (H W) for depth {depth_m.shape}, are "
            f"{normal.shape} and {mask.shape}"
        )
    if not 0 < keep <= 1 or not max_step_m > 0:
        raise ValueError(
            f"depth_with_normals: keep must be above 0 and at most 1 and max_step_m positive, are {keep} and "
            f"{max_step_m} m"
        )
    refined_m = np.zeros(mask.shape, np.float32)
    if not mask.any():
        return refined_m
    first_m = depth_m[mask].astype(np.float64)
    directions = normal[mask].astype(np.float64)
    rays = None if K is None else pixel_rays(K, *mask.shape)[mask]
    index = np.full(mask.shape, -1, np.int64)
    index[mask] = np.arange(len(first_m))
    rows = [
        _rows(pairs, axis, first_m, directions, (rays, pitch_m, max_step_m))
        for axis, pairs in enumerate((_pairs(index[:, :-1], index[:, 1:]), _pairs(index[:-1], index[1:])))
    ]
    refined_m[mask] = _solved(first_m, rows, keep)
    return refined_m


def _pairs(index_a: NDArray[Any], index_b: NDArray[Any]) -> NDArray[np.int64]:
    """Neighbours (N 2) that both lie in the mask."""
    both = (index_a >= 0) & (index_b >= 0)
    return np.column_stack([index_a[both], index_b[both]])


def _rows(
    pairs: NDArray[np.int64],
    axis: int,
    first_m: Float64,
    normal: Float64,
    lens: tuple[Float64 | None, float, float],
) -> tuple[NDArray[np.int64], Float64, Float64]:
    """Pairs a, b (N 2), ratios (N) and shifts (N) of planes that say Z_b = ratio Z_a + shift."""
    rays, pitch_m, max_step_m = lens
    found = []
    for of in (0, 1):
        across = normal[pairs[:, of]]
        if rays is None:
            met = across[:, 2] < -LEAST_COSINE
            ratio = np.ones(len(pairs))
            shift_m = np.divide(-pitch_m * across[:, axis], across[:, 2], out=np.zeros(len(pairs)), where=met)
        else:
            on_a, on_b = (np.einsum("nk,nk->n", across, rays[pairs[:, end]]) for end in (0, 1))
            met = (on_a < -LEAST_COSINE) & (on_b < -LEAST_COSINE)
            ratio = np.divide(on_a, on_b, out=np.ones(len(pairs)), where=met)
            shift_m = np.zeros(len(pairs))
        start_m, end_m = first_m[pairs].T
        apart_m = np.abs(shift_m) if rays is None else start_m * np.abs(ratio - 1)
        use = met & (np.abs(end_m - start_m) <= max_step_m) & (apart_m <= max_step_m)
        found.append((pairs[use], ratio[use], shift_m[use]))
    (pairs_a, ratio_a, shift_a), (pairs_b, ratio_b, shift_b) = found
    return np.concatenate([pairs_a, pairs_b]), np.append(ratio_a, ratio_b), np.append(shift_a, shift_b)


def _solved(first_m: Float64, rows: list[tuple[Any, Any, Any]], keep: float) -> Float64:
    """The normal equations, which are sparse, symmetric and positive definite."""
    from scipy.sparse import coo_array, eye_array
    from scipy.sparse.linalg import splu

    pairs, ratio, shift_m = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    count, each = len(first_m), np.arange(len(pairs))
    planes = coo_array(
        (np.append(-ratio, np.ones(len(pairs))), (np.append(each, each), pairs.T.ravel())),
        shape=(len(pairs), count),
    ).tocsr()
    share = (1 - keep) / PLANES
    system = (keep * eye_array(count) + share * (planes.T @ planes)).tocsc()
    # Solved for the change, whose rounding is of its own size and not of the distance's.
    change = share * (planes.T @ (shift_m - planes @ first_m))
    factors = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return np.asarray(first_m + factors.solve(change))
