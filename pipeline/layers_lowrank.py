"""The masked bilateral sum over the whole mask at a cost per pixel that does not grow with the mask.

The spatial Gaussian is separable and smooth, so each axis is a product of a few columns (Cholesky with
pivoting; the largest pivot left bounds every entry of what is left out). The depth Gaussian is interpolated on
both sides from knots an eighth of a sigma apart, which cover the depths that occur and nothing between them.
"""

from functools import lru_cache

import numpy as np

from pipeline.cameras import Bool, Float64

KNOTS_PER_SIGMA = 8
CUT_SIGMA = 7.0  # exp(-7^2 / 2) = 2e-11, far below DEPTH_ERROR
MAX_KNOTS = 1 << 20  # 13 km at 0.10 m
MAX_CELLS = 1 << 23  # of the moments; 64 MB

SPACE_ERROR = 1e-8  # of a spatial weight along one axis
MAX_RANK = 32  # beyond, exact sums are quicker for all but vast masks
# Largest error of exp(-s^2 / 2) and of s exp(-s^2 / 2) from 8 knots on both sides, over all s and both
# fractions: the remainder of the interpolation, 1.3e-8 and 3.5e-8, with a margin.
DEPTH_ERROR, DEPTH_STEP_ERROR = 2e-8, 5e-8
STEEPEST = 0.6066  # largest s exp(-s^2 / 2)


def lowrank_sums(
    depth_m: Float64, mask: Bool, *, sigma_space_px: float, sigma_depth_m: float
) -> tuple[Float64, Float64] | None:
    """Base minus depth of each pixel of the mask and a bound on its error.

    With w the weights and s the depth steps in sigma, both sums sum(w) and sum(w s) have an error of at most
    e0 and e1 per pixel of the mask, so their quotient q one of at most n (e1 + |q| e0) / (sum(w) - n e0):
    small where many pixels weigh, large where a pixel stands alone in depth.

    Args:
        depth_m: (H W), finite in the mask, which has a pixel.

    Returns:
        (to_base_m, bound_m), (H W) each, or None where the kernel is too narrow or the depths too many for this
        way. The bound is infinite where it could not be had.
    """
    from pipeline.layers_lowrank_kernels import TAPS, blur_depth, gather, occupied_knots, spread

    by_row, row_error = _spatial_factor(depth_m.shape[0], sigma_space_px)
    by_column, column_error = _spatial_factor(depth_m.shape[1], sigma_space_px)
    low_m, high_m = _range(depth_m, mask)
    per_m = KNOTS_PER_SIGMA / sigma_depth_m
    if max(row_error, column_error) > SPACE_ERROR or (high_m - low_m) * per_m > MAX_KNOTS:
        return None
    count = int((high_m - low_m) * per_m) + TAPS
    knots = occupied_knots(depth_m, mask, (low_m, per_m, count))
    if knots.size * by_row.shape[1] * by_column.shape[1] > MAX_CELLS:
        return None
    slot_of = np.zeros(count, np.int64)
    slot_of[knots] = np.arange(knots.size)
    axis, factors = (low_m, per_m), (by_row, by_column)
    moments, reach = spread(depth_m, mask, axis, slot_of, factors)
    blurred = blur_depth(moments, knots, 1 / KNOTS_PER_SIGMA, CUT_SIGMA)
    weight, total = gather(depth_m, mask, axis, slot_of, factors, blurred, reach)
    return _quotient(weight, total, mask, sigma_depth_m, row_error + column_error)


def _quotient(
    weight: Float64, total: Float64, mask: Bool, sigma_depth_m: float, space_error: float
) -> tuple[Float64, Float64]:
    count = np.count_nonzero(mask)
    space_error *= 1 + space_error  # (1 + a)(1 + b) - 1 <= (a + b)(1 + a + b)
    weight_error = count * (space_error + DEPTH_ERROR)
    total_error = count * (space_error * STEEPEST + DEPTH_STEP_ERROR)
    sure = mask & (weight > 2 * weight_error)
    quotient, bound = np.zeros(mask.shape), np.full(mask.shape, np.inf)
    np.divide(total, weight, out=quotient, where=sure)
    np.divide(total_error + np.abs(quotient) * weight_error, weight - weight_error, out=bound, where=sure)
    return quotient * sigma_depth_m, bound * sigma_depth_m


def _range(depth_m: Float64, mask: Bool) -> tuple[float, float]:
    inside_m = depth_m[mask]
    return float(inside_m.min()), float(inside_m.max())


@lru_cache(maxsize=64)
def _spatial_factor(size_px: int, sigma_px: float) -> tuple[Float64, float]:
    """L (size_px R) with L L^T = exp(-(i - j)^2 / 2 sigma^2) and the largest error of an entry.

    Cholesky with pivoting in plain sums: no library's number of threads touches a bit.
    """
    position = np.arange(size_px) / sigma_px
    factor = np.zeros((size_px, min(MAX_RANK, size_px)))
    left = np.ones(size_px)
    rank = 0
    while rank < factor.shape[1] and left.max() > SPACE_ERROR:
        pivot = int(np.argmax(left))
        column = np.exp(-0.5 * (position - position[pivot]) ** 2)
        column -= (factor[:, :rank] * factor[pivot, :rank]).sum(axis=1)
        factor[:, rank] = column / np.sqrt(left[pivot])
        left = np.maximum(left - factor[:, rank] ** 2, 0)
        rank += 1
    # The rest is positive semi-definite: no entry exceeds the largest of its diagonal.
    return np.ascontiguousarray(factor[:, :rank]), float(left.max())
