"""Depth between pixel centres: interpolated inside a surface, never across the gap between two.

Inverse depth is linear in the pixels of a plane, so 1 / z is what is interpolated and a plane stays that plane.
Two neighbours belong to one surface when a moderate slant explains their step, or when a steep one does that a
neighbour on the same line shows as well: at an edge, one step stands alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

MODERATE_SLOPE = 3.0  # depth per metre along the image: 72 degrees
STEEPEST_SLOPE = 8.0  # 83 degrees: beyond it, depth cameras see nothing
LIKE_SHARE = 0.5  # of a steep step, that a neighbouring step shows at least


def depth_between(
    depth_m: NDArray[Any], K: Float64, u_px: Float64, v_px: Float64, *, nearest_m: NDArray[Any]
) -> NDArray[Any]:
    """Depth (h w) on a grid of places between the pixel centres of a map (H W).

    Args:
        depth_m: 0 where invalid and outside of the mask: only what is not 0 is read.
        K: (3 3) of the map; the pixel is as wide as z / f.
        u_px, v_px: (w) and (h) ascending columns and rows of the places; integers are pixel centres.
        nearest_m: (h w) the nearest pixel's depth.

    Returns:
        Of the type of `depth_m`. The nearest pixel's value where the four around a place are not all valid and
        of one surface, so that a result is 0 exactly where the nearest pixel's is.
    """
    from pipeline.depth_resampling_kernels import fill_between

    found_m = nearest_m.astype(depth_m.dtype)
    fill_between(
        found_m,
        np.ascontiguousarray(depth_m),
        _cells(v_px, depth_m.shape[0]),
        _cells(u_px, depth_m.shape[1]),
        (float(K[0, 0]), float(K[1, 1])),
        (MODERATE_SLOPE, STEEPEST_SLOPE, LIKE_SHARE),
    )
    return found_m


def _cells(places_px: Float64, size: int) -> tuple[Int64, Float64]:
    """The pixel before each place, -1 where it or the next does not exist, and the place's share of the way to it."""
    before = np.floor(places_px).astype(np.int64)
    # On the last pixel's very centre the cell before it serves as well.
    before = np.where((before == size - 1) & (places_px == before), size - 2, before)
    inside = (before >= 0) & (before < size - 1)
    return np.where(inside, before, -1), places_px - before
