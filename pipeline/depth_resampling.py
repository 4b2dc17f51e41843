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
Bool = NDArray[np.bool_]

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
    height, width = depth_m.shape
    columns, rows = _window(u_px, width), _window(v_px, height)
    if columns is None or rows is None:
        return nearest_m.copy()
    part_m = depth_m[rows[0] : rows[1], columns[0] : columns[1]].astype(np.float64)
    inverse = np.divide(1.0, part_m, out=np.zeros_like(part_m), where=part_m > 0)
    across, down = _one_surface(inverse, K[0, 0], 1), _one_surface(inverse, K[1, 1], 0)
    whole = across[:-1] & across[1:] & down[:, :-1] & down[:, 1:]
    u, share_u, inside_u = _cells(u_px - columns[0], part_m.shape[1])
    v, share_v, inside_v = _cells(v_px - rows[0], part_m.shape[0])
    usable = (inside_v[:, None] & inside_u) & whole[v[:, None], u]
    top, bottom = (
        (1 - share_u) * inverse[row[:, None], u] + share_u * inverse[row[:, None], u + 1]
        for row in (v, v + 1)
    )
    between = (1 - share_v[:, None]) * top + share_v[:, None] * bottom
    found_m = np.divide(1.0, between, out=np.zeros_like(between), where=between > 0)
    return np.asarray(np.where(usable, found_m, nearest_m), dtype=depth_m.dtype)


def _window(places_px: Float64, size: int) -> tuple[int, int] | None:
    """Rows or columns that are read: those around the places, and one more for the steps beside; None for none."""
    first = max(0, int(np.floor(places_px[0])) - 1)
    end = min(size, int(np.floor(places_px[-1])) + 3)
    return (first, end) if end - first >= 2 else None


def _cells(places_px: Float64, size: int) -> tuple[NDArray[np.int64], Float64, Bool]:
    """The pixel before each place, the place's share of the way to the next, and whether both exist."""
    before = np.floor(places_px).astype(np.int64)
    # On the last pixel's very centre the cell before it serves as well.
    before = np.where((before == size - 1) & (places_px == before), size - 2, before)
    inside = (before >= 0) & (before < size - 1)
    return np.clip(before, 0, size - 2), places_px - before, inside


def _one_surface(inverse: Float64, focal_px: float, axis: int) -> Bool:
    """Whether each pixel and the next along an axis, one fewer than pixels, are valid and of one surface."""
    lines = np.moveaxis(inverse, axis, -1)
    first, second = lines[..., :-1], lines[..., 1:]
    valid = (first > 0) & (second > 0)
    steps = np.where(valid, second - first, 0.0)
    # |z1 - z2| <= slope * z / f, with the nearer z, is |1/z1 - 1/z2| <= slope / f / (farther z).
    relative = np.abs(steps) / np.where(valid, np.minimum(first, second), 1.0) * focal_px
    beside = np.zeros_like(steps)
    beside[..., 1:] = np.maximum(beside[..., 1:], np.sign(steps[..., 1:]) * steps[..., :-1])
    beside[..., :-1] = np.maximum(beside[..., :-1], np.sign(steps[..., :-1]) * steps[..., 1:])
    goes_on = beside >= LIKE_SHARE * np.abs(steps)
    joined = valid & ((relative <= MODERATE_SLOPE) | ((relative <= STEEPEST_SLOPE) & goes_on))
    return np.asarray(np.moveaxis(joined, -1, axis))
