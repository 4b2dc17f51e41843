"""How far a fused surface lies from the raw depth that it was made of, over every raw pixel in range.

A pixel whose ray misses the surface is not left out: it counts as infinitely far in the quantiles and
against the coverage, so a surface can gain nothing by leaving things away.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GateError

BIN_M = 1e-4  # a quantile is exact to half a bin
FAR_M = 2.0  # farther residuals share the outermost bin and count as infinite in quantiles
HIT_BINS = 2 * round(FAR_M / BIN_M) + 1  # centred on -FAR_M ... FAR_M; one more bin for misses
CLOSE_M = 0.020


@dataclass(frozen=True, kw_only=True, slots=True)
class ResidualStats:
    """Figures of one frame, or of all frames together.

    Attributes:
        pixels: raw pixels in range.
        median_m: of |residual|, misses counted as infinite; exact to 0.05 mm; NaN where there are no pixels.
        p90_m: likewise the 90th percentile; infinite where more than a tenth missed.
        bias_m: median of the signed residual over the pixels that hit; positive where the surface lies
            behind the raw depth; NaN where none hit.
        coverage: share of the pixels in range where the surface was hit.
        close: share of the pixels in range with |residual| < 20 mm.
    """

    pixels: int
    median_m: float
    p90_m: float
    bias_m: float
    coverage: float
    close: float


def depth_residual(
    depth_raw_m: NDArray[np.float32],
    depth_surface_m: NDArray[Any],
    *,
    depth_min_m: float,
    depth_max_m: float,
) -> NDArray[np.int64]:
    """Count the residuals surface - raw of one frame in bins of 0.1 mm; sum the counts of frames to join them.

    Args:
        depth_raw_m: (H W) z as measured; pixels outside [depth_min_m, depth_max_m] do not count.
        depth_surface_m: (H W) z of the surface along the same pixels' rays; 0, NaN or infinite where missed.

    Returns:
        (HIT_BINS + 1,) counts for `residual_stats`; the last one holds the misses.
    """
    in_range = (depth_raw_m >= depth_min_m) & (depth_raw_m <= depth_max_m)
    raw_m, surface_m = depth_raw_m[in_range], depth_surface_m[in_range]
    hit = np.isfinite(surface_m) & (surface_m > 0)
    residual_m = surface_m[hit].astype(np.float64) - raw_m[hit]
    middle = HIT_BINS // 2
    bins = np.clip(np.rint(residual_m / BIN_M), -middle, middle).astype(np.int64) + middle
    counts = np.bincount(bins, minlength=HIT_BINS + 1).astype(np.int64)
    counts[-1] = np.count_nonzero(~hit)
    return counts


def residual_stats(counts: NDArray[np.int64]) -> ResidualStats:
    """Figures of the counts of `depth_residual`, of one frame or of any sum of frames."""
    pixels, hits = int(counts.sum()), int(counts[:-1].sum())
    middle = HIT_BINS // 2
    absolute = counts[middle:-1].copy()  # |residual| in bins 0 ... FAR_M
    absolute[1:] += counts[:middle][::-1]
    distances_m = np.arange(len(absolute)) * BIN_M
    distances_m[-1] = np.inf
    return ResidualStats(
        pixels=pixels,
        median_m=_quantile(np.append(absolute, counts[-1]), np.append(distances_m, np.inf), 0.5),
        p90_m=_quantile(np.append(absolute, counts[-1]), np.append(distances_m, np.inf), 0.9),
        bias_m=_quantile(counts[:-1], (np.arange(HIT_BINS) - middle) * BIN_M, 0.5),
        coverage=hits / pixels if pixels else 0.0,
        close=float(absolute[distances_m < CLOSE_M].sum() / pixels) if pixels else 0.0,
    )


def _quantile(counts: NDArray[np.int64], values: NDArray[np.float64], share: float) -> float:
    """The smallest value that at least `share` of the counted ones do not exceed; NaN where none were counted."""
    total = counts.sum()
    if total == 0:
        return float("nan")
    return float(values[np.searchsorted(np.cumsum(counts), share * total)])


def check_residual(median_m: float, limit_m: float) -> None:
    """Refuse a surface that does not fit its own frames: poses, intrinsics or depth are then wrong.

    Args:
        median_m: of |residual| over all frames, misses counted as infinite.
        limit_m: `stages.fuse.max_residual_m`.

    Raises:
        GateError: `residual-too-large`; also for NaN, when nothing could be measured.
    """
    if median_m <= limit_m:
        return
    raise GateError(
        "residual-too-large",
        f"fuse: half of all raw pixels in range must lie within {limit_m * 1e3:.1f} mm of the fused surface, "
        f"the median is {median_m * 1e3:.1f} mm. Check poses and intrinsics, or raise "
        "stages.fuse.max_residual_m if the sensor is that noisy.",
        value=median_m if np.isfinite(median_m) else None,
        unit="m",
        limit=limit_m,
    )
