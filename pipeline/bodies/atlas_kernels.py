"""Compiled point location in the charts of an atlas."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

# A point on an edge lies outside of both faces by rounding: a weight of 1e-6 is a nanometre of a face.
EDGE = 1e-6


@njit(cache=True)
def _inside(corners: Any, u: float, v: float) -> tuple[float, float, float]:
    """Weights of the second and third corner, and the smallest of the three weights."""
    ab_u, ab_v = corners[1, 0] - corners[0, 0], corners[1, 1] - corners[0, 1]
    ac_u, ac_v = corners[2, 0] - corners[0, 0], corners[2, 1] - corners[0, 1]
    p_u, p_v = u - corners[0, 0], v - corners[0, 1]
    doubled = ab_u * ac_v - ac_u * ab_v
    second = (p_u * ac_v - ac_u * p_v) / doubled
    third = (ab_u * p_v - p_u * ab_v) / doubled
    return second, third, min(second, third, 1.0 - second - third)


@njit(cache=True)
def _nearest(corners: Any, u: float, v: float) -> tuple[float, float, float]:
    """Weights of the second and third corner at the triangle's nearest border point, and its distance^2."""
    best_second, best_third, best = 0.0, 0.0, np.inf
    for k in range(3):
        a, b = corners[k], corners[(k + 1) % 3]
        d_u, d_v = b[0] - a[0], b[1] - a[1]
        t = ((u - a[0]) * d_u + (v - a[1]) * d_v) / (d_u * d_u + d_v * d_v)
        t = min(max(t, 0.0), 1.0)
        off_u, off_v = a[0] + t * d_u - u, a[1] + t * d_v - v
        distance2 = off_u * off_u + off_v * off_v
        if distance2 < best:
            best = distance2
            if k == 0:
                best_second, best_third = t, 0.0
            elif k == 1:
                best_second, best_third = 1.0 - t, t
            else:
                best_second, best_third = 0.0, 1.0 - t
    return best_second, best_third, best


@njit(cache=True)
def _locate(
    part: Any, uv: Any, corner_uv: Any, cells: int, cell_faces: Any, rim_faces: Any, face: Any, bary: Any
) -> None:
    starts, members = cell_faces
    rim_starts, rim = rim_faces
    for n in range(len(part)):
        if part[n] == 0:
            continue
        u, v = uv[n, 0], uv[n, 1]
        column = min(max(int(u * cells), 0), cells - 1)
        row = min(max(int(v * cells), 0), cells - 1)
        cell = ((part[n] - 1) * cells + row) * cells + column
        best = -np.inf
        for m in range(starts[cell], starts[cell + 1]):
            second, third, least = _inside(corner_uv[members[m]], u, v)
            if least > best:
                best, face[n], bary[n, 0], bary[n, 1] = least, members[m], second, third
        if best >= -EDGE:
            continue
        nearest = np.inf
        for m in range(rim_starts[part[n] - 1], rim_starts[part[n]]):
            second, third, distance2 = _nearest(corner_uv[rim[m]], u, v)
            if distance2 < nearest:
                nearest, face[n], bary[n, 0], bary[n, 1] = distance2, rim[m], second, third


def locate(
    part: NDArray[np.uint8],
    uv: Float64,
    *,
    corner_uv: Float64,
    cells: int,
    cell_faces: tuple[Int32, Int32],
    rim_faces: tuple[Int32, Int32],
) -> tuple[Int32, Float64]:
    """Return face (N,) and weights (N 2) of its second and third vertex at chart points.

    Args:
        part: (N,) from 1; a point of part 0 has no face, -1.
        uv: (N 2); outside of its chart, the nearest point on the chart's rim counts.
        corner_uv: (F 3 2), counter-clockwise.
        cells: per side of a chart's grid.
        cell_faces: where each (part, row, column) starts in the second array, which lists faces.
        rim_faces: where each part starts in the second array, which lists the faces on its border.
    """
    face = np.full(len(part), -1, dtype=np.int32)
    bary = np.zeros((len(part), 2))
    _locate(part, uv, corner_uv, cells, cell_faces, rim_faces, face, bary)
    return face, bary
