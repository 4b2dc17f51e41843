"""Split a depth map into a smooth base and the fine detail that the base loses.

Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019, eq. (1),
with the bilateral filter of Tomasi and Manduchi, ICCV 1998, normalised over the mask.
"""

from typing import Literal

import numpy as np

from pipeline.cameras import Bool, Float32, Float64
from pipeline.masks import mask_box

FEW_PX = 1024  # below, the exact sum is as quick
MAX_BOUND = 1e-4  # largest bound on the error of a base that was not summed exactly, in sigma_depth_m


def zero_median(depth_m: Float32, mask: Bool) -> tuple[Float32, float]:
    """Move a depth map so that its median over the mask is 0 (Tang section 5).

    Args:
        depth_m: (H W) z along the optical axis; never read outside the mask.

    Returns:
        (zero_median_m, depth_median_m): (H W), 0 outside the mask, and the median in metres as float32 holds
        it, so that the two add up to depth_m again after both were stored.

    Raises:
        ValueError: if the mask is empty, its shape is another, or a depth in it is not finite.
    """
    _check_shapes(depth_m, mask)
    if not mask.any():
        raise ValueError(
            f"zero_median: the mask must have a pixel, is empty ({mask.shape[0]} x {mask.shape[1]} px). "
            "Quarantine the frame before this stage."
        )
    inside_m = depth_m[mask]
    _check_finite(inside_m)
    median = np.float32(np.median(inside_m))
    centred = np.zeros(depth_m.shape, np.float32)
    centred[mask] = inside_m - median
    return centred, float(median)


def split_base_detail(
    zero_median_m: Float32,
    mask: Bool,
    *,
    sigma_space_px: float,
    sigma_depth_m: float,
    window_px: int | Literal["full"],
) -> tuple[Float32, Float32]:
    """Split depth into base + detail: the base is its masked bilateral low pass.

    Tang eq. (1): R = D - F(D), with 75 px and 0.10 m. The paper gives no window; "full" is the filter as
    written. A disc of 15 px at 256 x 256 comes nearest to the detail that the released network gives out.

    The full sum goes by `pipeline.layers_lowrank`, whose answer carries a bound on its error. Pixels whose
    bound exceeds 1e-4 sigma_depth_m, 0.01 mm for the paper's sigma, are summed exactly.

    Args:
        zero_median_m: (H W) depth in metres, any constant offset; never read outside the mask.
        sigma_space_px: standard deviation of the weight over image distance.
        sigma_depth_m: standard deviation of the weight over depth difference; steps well above it stay sharp.
        window_px: "full" sums over every pixel of the mask; an odd number over the disc of that diameter
            around each pixel, exactly.

    Returns:
        (base_m, detail_m), (H W), 0 outside the mask; their sum is zero_median_m to float32 rounding.

    Raises:
        ValueError: if a sigma is not positive, the window is neither "full" nor odd and at least 3, the
            shapes differ, or a depth in the mask is not finite.
    """
    _check_kernel(sigma_space_px, sigma_depth_m, window_px)
    clean_m = _masked(zero_median_m, mask)
    if window_px != "full":
        return _split_by_disc(clean_m, mask, window_px // 2, _factors(sigma_space_px, sigma_depth_m))
    if np.count_nonzero(mask) < FEW_PX:
        return _split_exactly(clean_m, mask, _factors(sigma_space_px, sigma_depth_m))
    return _split_fast(clean_m, mask, sigma_space_px, sigma_depth_m)


def split_base_detail_exactly(
    zero_median_m: Float32, mask: Bool, *, sigma_space_px: float, sigma_depth_m: float
) -> tuple[Float32, Float32]:
    """`split_base_detail` with the window "full", term by term: the reference, quadratic in the mask's pixels."""
    _check_kernel(sigma_space_px, sigma_depth_m, "full")
    return _split_exactly(_masked(zero_median_m, mask), mask, _factors(sigma_space_px, sigma_depth_m))


def _split_fast(
    clean_m: Float64, mask: Bool, sigma_space_px: float, sigma_depth_m: float
) -> tuple[Float32, Float32]:
    from pipeline.layers_lowrank import lowrank_sums

    box = mask_box(mask)
    depth_m, inside = np.ascontiguousarray(clean_m[box]), np.ascontiguousarray(mask[box])
    found = lowrank_sums(depth_m, inside, sigma_space_px=sigma_space_px, sigma_depth_m=sigma_depth_m)
    factors = _factors(sigma_space_px, sigma_depth_m)
    if found is None:
        return _split_exactly(clean_m, mask, factors)
    in_box_m, bound_m = found
    unsure = inside & ~(bound_m <= MAX_BOUND * sigma_depth_m)
    in_box_m[unsure] = _full_support(depth_m, inside, factors, unsure)
    to_base_m = np.zeros(mask.shape)
    to_base_m[box] = in_box_m
    return _layers(clean_m, to_base_m)


def _split_exactly(clean_m: Float64, mask: Bool, factors: tuple[float, float]) -> tuple[Float32, Float32]:
    to_base_m = np.zeros(mask.shape)
    to_base_m[mask] = _full_support(clean_m, mask, factors, mask)
    return _layers(clean_m, to_base_m)


def _split_by_disc(
    clean_m: Float64, mask: Bool, radius_px: int, factors: tuple[float, float]
) -> tuple[Float32, Float32]:
    to_base_m = np.zeros(mask.shape)
    if mask.any():
        box = mask_box(mask)
        to_base_m[box] = _disc(clean_m[box], mask[box], radius_px, factors)
    return _layers(clean_m, to_base_m)


def _layers(clean_m: Float64, to_base_m: Float64) -> tuple[Float32, Float32]:
    return (clean_m + to_base_m).astype(np.float32), (0.0 - to_base_m).astype(np.float32)


def _factors(sigma_space_px: float, sigma_depth_m: float) -> tuple[float, float]:
    return -0.5 / sigma_space_px**2, -0.5 / sigma_depth_m**2


def _masked(depth_m: Float32, mask: Bool) -> Float64:
    """The depth in float64, 0 outside the mask: in the sums a weight of 0 times NaN would still be NaN."""
    _check_shapes(depth_m, mask)
    clean_m = np.where(mask, depth_m, 0).astype(np.float64)
    _check_finite(clean_m)
    return clean_m


def _full_support(depth_m: Float64, mask: Bool, factors: tuple[float, float], wanted: Bool) -> Float64:
    """Base minus depth of the wanted ones of the mask's pixels, in row-major order."""
    from pipeline.layers_kernels import full_support

    if not wanted.any():
        return np.zeros(0)  # starting the threads takes as long as a small image
    v, u = np.nonzero(mask)
    points, targets = np.stack([u, v, depth_m[mask]]), np.flatnonzero(wanted[mask])
    to_base_m: Float64 = full_support(points, targets, factors)
    return to_base_m


def _disc(depth_m: Float64, mask: Bool, radius_px: int, factors: tuple[float, float]) -> Float64:
    """Base minus depth (H W), 0 outside the mask."""
    from pipeline.layers_kernels import disc

    # One memory layout, one compiled version.
    inside = np.ascontiguousarray(mask, dtype=np.float64)
    to_base_m: Float64 = disc(np.ascontiguousarray(depth_m), inside, radius_px, factors)
    return to_base_m


def _check_shapes(depth_m: Float32, mask: Bool) -> None:
    if depth_m.shape != mask.shape or depth_m.ndim != 2:
        raise ValueError(
            f"layers: depth and mask must share one shape (H W), are {depth_m.shape} and {mask.shape}"
        )


def _check_finite(inside_m: Float32 | Float64) -> None:
    bad_px = inside_m.size - np.count_nonzero(np.isfinite(inside_m))
    if bad_px:
        raise ValueError(
            f"layers: depth must be finite in the mask, is not at {bad_px} px. Leave them out of the mask."
        )


def _check_kernel(sigma_space_px: float, sigma_depth_m: float, window_px: int | Literal["full"]) -> None:
    if not (sigma_space_px > 0 and sigma_depth_m > 0):
        raise ValueError(
            f"split_base_detail: sigmas must be positive, are {sigma_space_px=} px, {sigma_depth_m=} m"
        )
    if window_px != "full" and (window_px < 3 or window_px % 2 == 0):
        raise ValueError(
            f"split_base_detail: window_px must be 'full' or an odd diameter from 3 px, is {window_px!r}"
        )
