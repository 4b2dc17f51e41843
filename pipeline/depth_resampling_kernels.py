"""Compiled interpolation of depth between pixel centres; import only through `pipeline.depth_resampling`."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

Line = tuple[
    int, int, float
]  # rows and columns from one pixel to the next along a line, and its focal length


@njit(nogil=True, cache=True, error_model="numpy")
def fill_between(
    found_m: NDArray[Any],
    depth_m: NDArray[Any],
    rows: tuple[Int64, Float64],
    columns: tuple[Int64, Float64],
    focals_px: tuple[float, float],
    slopes: tuple[float, float, float],
) -> None:
    """Write depth over `found_m` (h w) wherever the four pixels around a place are valid and of one surface.

    Args:
        found_m: the nearest pixel's; where it is 0 one of the four is, so that nothing need be read.
        rows, columns: the pixel before each place, -1 for a place without four around it, and the share of the way.
        slopes: moderate and steepest one; the share of a steep step that one beside it shows at least.
    """
    down, across = (1, 0, focals_px[1]), (0, 1, focals_px[0])
    for y in range(len(rows[0])):
        v, share_v = rows[0][y], rows[1][y]
        for x in range(len(columns[0])):
            u, share_u = columns[0][x], columns[1][x]
            if v < 0 or u < 0 or not found_m[y, x] > 0:
                continue
            a, b = _inverse(depth_m, v, u), _inverse(depth_m, v, u + 1)
            c, d = _inverse(depth_m, v + 1, u), _inverse(depth_m, v + 1, u + 1)
            if (
                min(a, b, c, d) > 0
                and _one_surface(depth_m, v, u, a, b, across, slopes)
                and _one_surface(depth_m, v + 1, u, c, d, across, slopes)
                and _one_surface(depth_m, v, u, a, c, down, slopes)
                and _one_surface(depth_m, v, u + 1, b, d, down, slopes)
            ):
                top, bottom = (1 - share_u) * a + share_u * b, (1 - share_u) * c + share_u * d
                found_m[y, x] = 1 / ((1 - share_v) * top + share_v * bottom)


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _inverse(depth_m: NDArray[Any], v: int, u: int) -> float:
    """1 / z, 0 where there is no depth or no pixel."""
    if not (0 <= v < depth_m.shape[0] and 0 <= u < depth_m.shape[1]):
        return 0.0
    z = float(depth_m[v, u])
    return 1.0 / z if z > 0 else 0.0


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _one_surface(
    depth_m: NDArray[Any],
    v: int,
    u: int,
    first: float,
    second: float,
    line: Line,
    slopes: tuple[float, float, float],
) -> bool:
    """Whether a pixel, whose 1 / z is `first`, and the next along a line are of one surface."""
    # |z1 - z2| <= slope * z / f, with the nearer z, is |1/z1 - 1/z2| <= slope / f / (farther z).
    step = second - first
    relative = abs(step) / min(first, second) * line[2]
    if relative <= slopes[0]:
        return True
    if not relative <= slopes[1]:
        return False
    before, after = (
        _inverse(depth_m, v - line[0], u - line[1]),
        _inverse(depth_m, v + 2 * line[0], u + 2 * line[1]),
    )
    sign, least = (1.0 if step > 0 else -1.0), slopes[2] * abs(step)
    return (before > 0 and sign * (first - before) >= least) or (
        after > 0 and sign * (after - second) >= least
    )
