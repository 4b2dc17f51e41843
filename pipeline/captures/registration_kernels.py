"""Compiled rasteriser of the depth grid; import only through `pipeline.captures.registration`."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

INSIDE_PX = 1e-6  # so that rounding opens no seam between two surfaces, and none at the image's own border
LEAST_DOWN_PX = 0.05  # a line that goes down by less is too flat to be followed by rows
NOTHING, PARTS, WHOLE = 0, 1, 2  # of a cell, to be drawn
NEAREST_M = 0.01  # a point closer to the target's plane, or behind it, is not seen


@njit(inline="always")
def _joined(a_m: Any, b_m: Any, share: Any) -> Any:
    """Whether two depths lie on one surface; False where one of them is 0."""
    return abs(a_m - b_m) < share * min(a_m, b_m)


@njit(error_model="numpy")
def _fill(corners: Any, sources: Any, inverse_m: Any, source: Any) -> None:
    """Draw one triangle into the buffer of 1/z, nearest wins; seen from behind, it is left out."""
    (u0, v0, w0), (u1, v1, w1), (u2, v2, w2) = corners
    first_u = max(math.ceil(min(u0, u1, u2) - INSIDE_PX), 0)
    last_u = min(math.floor(max(u0, u1, u2) + INSIDE_PX), inverse_m.shape[1] - 1)
    first_v = max(math.ceil(min(v0, v1, v2) - INSIDE_PX), 0)
    last_v = min(math.floor(max(v0, v1, v2) + INSIDE_PX), inverse_m.shape[0] - 1)
    area = (u1 - u0) * (v2 - v0) - (u2 - u0) * (v1 - v0)
    if area <= 0.0 or first_u > last_u or first_v > last_v:
        return
    scale = 1.0 / area
    for v in range(first_v, last_v + 1):
        for u in range(first_u, last_u + 1):
            e1 = (u - u0) * (v2 - v0) - (u2 - u0) * (v - v0)
            e2 = (u1 - u0) * (v - v0) - (u - u0) * (v1 - v0)
            e0 = area - e1 - e2
            if e0 >= -INSIDE_PX and e1 >= -INSIDE_PX and e2 >= -INSIDE_PX:
                # 1/z is linear over the image of a plane
                w = np.float32(w0 + scale * (e1 * (w1 - w0) + e2 * (w2 - w0)))
                if w > inverse_m[v, u]:
                    inverse_m[v, u] = w
                    if source is not None:
                        nearest = sources[0] if e0 >= e1 else sources[1]
                        source[v, u] = nearest if max(e0, e1) >= e2 else sources[2]


@njit(inline="always", error_model="numpy")
def _span(v: Any, ends: Any, nearest: Any, inverse_m: Any, source: Any) -> None:
    """Draw image row v between two points (u, 1/z), the left one first; 1/z is linear between them."""
    u0, w0, u1, w1 = ends
    first_u = max(math.ceil(u0 - INSIDE_PX), 0)
    last_u = min(math.floor(u1 + INSIDE_PX), inverse_m.shape[1] - 1)
    slope = (w1 - w0) / (u1 - u0)
    middle = 0.5 * (u0 + u1)
    if source is None:
        if first_u <= last_u:
            for u in (first_u, last_u):  # mostly all there is, and a loop over so few would be guessed wrong
                w, known = np.float32(w0 + slope * (u - u0)), inverse_m[v, u]
                inverse_m[v, u] = w if w > known else known
            for u in range(first_u + 1, last_u):
                w = np.float32(w0 + slope * (u - u0))
                if w > inverse_m[v, u]:
                    inverse_m[v, u] = w
    else:
        for u in range(first_u, last_u + 1):
            w = np.float32(w0 + slope * (u - u0))
            if w > inverse_m[v, u]:
                inverse_m[v, u] = w
                source[v, u] = nearest[0] if u <= middle else nearest[1]


@njit(inline="always", error_model="numpy")
def _sides(above: Any, below: Any, height: int, first: Any, last: Any, sides: Any) -> None:
    """Where the image's rows cross the lines from each pixel of one row down to the pixel below it.

    Args:
        above, below: (3 W), u, v, 1/z of two rows.
        first, last: (W), rows of the image that cross the line; written, last < first where it does not go down.
        sides: (5 W), u and 1/z at the first row, what they grow by per row, and v half way down; written.
    """
    for j in range(first.size):
        down = below[1, j] - above[1, j]
        grown = 1.0 / down
        v = min(max(math.ceil(above[1, j] - INSIDE_PX), 0.0), height)
        first[j] = v
        last[j] = min(math.floor(below[1, j] + INSIDE_PX), height - 1.0) if down > LEAST_DOWN_PX else -1.0
        du, dw, s = below[0, j] - above[0, j], below[2, j] - above[2, j], (v - above[1, j]) * grown
        sides[0, j], sides[1, j] = above[0, j] + s * du, above[2, j] + s * dw
        sides[2, j], sides[3, j] = grown * du, grown * dw
        sides[4, j] = 0.5 * (above[1, j] + below[1, j])


@njit(inline="always", error_model="numpy")
def _place(depth_m: Any, rays: Any, t_target: Any, camera: Any, kept_m: Any, placed: Any) -> None:
    """Project one row into the target: u, v, 1/z (3 W), and the depths (W) with 0 where it is not seen."""
    fx, fy, cx, cy = camera
    for j in range(depth_m.size):
        depth = float(depth_m[j])
        z = depth * rays[2, j] + t_target[2]
        w = 1.0 / z
        kept_m[j] = depth if z > NEAREST_M else 0.0
        placed[0, j] = fx * (depth * rays[0, j] + t_target[0]) * w + cx
        placed[1, j] = fy * (depth * rays[1, j] + t_target[1]) * w + cy
        placed[2, j] = w


@njit(error_model="numpy")
def _fill_triangles(cell: Any, sources: Any, d: Any, share: Any, inverse_m: Any, source: Any) -> None:
    """Draw what joins of a cell that does not join as a whole, or stands askew."""
    (p00, p01, p10, p11), (i00, i01, i10, i11), (d00, d01, d10, d11) = cell, sources, d
    across = share * math.sqrt(2.0)
    if _joined(d01, d10, across):
        if _joined(d00, d01, share) and _joined(d00, d10, share):
            _fill((p00, p01, p10), (i00, i01, i10), inverse_m, source)
        if _joined(d11, d01, share) and _joined(d11, d10, share):
            _fill((p01, p11, p10), (i01, i11, i10), inverse_m, source)
    elif _joined(d00, d11, across):
        if _joined(d01, d00, share) and _joined(d01, d11, share):
            _fill((p00, p01, p11), (i00, i01, i11), inverse_m, source)
        if _joined(d10, d00, share) and _joined(d10, d11, share):
            _fill((p00, p11, p10), (i00, i11, i10), inverse_m, source)


@njit(error_model="numpy")
def _kinds(pair: Any, first: Any, last: Any, share: Any, kinds: Any) -> None:
    """Sort the cells between two rows of depths (W), placed (3 W), into NOTHING, PARTS and WHOLE.

    A cell is WHOLE where all of it joins, both sides go down through the same rows of the image, and its top
    and bottom go right.
    """
    a, b, pa, pb = pair
    across = share * math.sqrt(2.0)
    for j in range(a.size - 1):
        k = j + 1
        left, right = _joined(a[j], b[j], share), _joined(a[k], b[k], share)
        whole = left & right & _joined(a[j], a[k], share) & _joined(b[j], b[k], share)
        whole &= _joined(a[k], b[j], across)
        whole &= (first[j] == first[k]) & (last[j] == last[k]) & (pa[0, j] < pa[0, k]) & (pb[0, j] < pb[0, k])
        whole &= (pb[1, j] - pa[1, j] > LEAST_DOWN_PX) & (pb[1, k] - pa[1, k] > LEAST_DOWN_PX)
        kinds[j] = WHOLE if whole else (PARTS if left | right else NOTHING)


@njit(error_model="numpy")
def _draw_row(pair: Any, rows: Any, share: Any, origin: Any, inverse_m: Any, source: Any) -> None:
    """Draw the cells between two rows of depths.

    Args:
        pair: what `_kinds` takes: depths (W) and places (3 W) of both rows.
        rows: what `_sides` and `_kinds` found: first, last, sides, kinds.
        origin: flat index of the upper row's first pixel.
    """
    (a, b, pa, pb), (first, last, sides, kinds) = pair, rows
    width = a.size
    for j in range(width - 1):
        k, i = j + 1, origin + j
        if kinds[j] == WHOLE:
            for v in range(first[j], last[j] + 1):
                n = v - first[j]
                ends = (
                    sides[0, j] + n * sides[2, j], sides[1, j] + n * sides[3, j],
                    sides[0, k] + n * sides[2, k], sides[1, k] + n * sides[3, k],
                )  # fmt: skip
                nearest = (
                    i if v <= sides[4, j] else i + width,
                    i + 1 if v <= sides[4, k] else i + width + 1,
                )  # fmt: skip
                _span(v, ends, nearest, inverse_m, source)
        elif kinds[j] == PARTS:
            cell = (
                (pa[0, j], pa[1, j], pa[2, j]), (pa[0, k], pa[1, k], pa[2, k]),
                (pb[0, j], pb[1, j], pb[2, j]), (pb[0, k], pb[1, k], pb[2, k]),
            )  # fmt: skip
            sources = (i, i + 1, i + width, i + width + 1)
            _fill_triangles(cell, sources, (a[j], a[k], b[j], b[k]), share, inverse_m, source)


@njit(nogil=True, cache=True, error_model="numpy")
def rasterise(
    depth_m: Any, rays: Float64, t_target: Float64, camera: tuple[float, float, float, float], share: float,
    inverse_m: NDArray[np.float32], source: NDArray[np.int32] | None,
) -> None:  # fmt: skip
    """Draw the cells between neighbouring depth pixels into the target camera.

    Args:
        depth_m: (H W), 0 is invalid.
        rays: (3 H W), ray of each depth pixel turned into the target's axes; its depth times it, plus t_target,
            is the point.
        camera: fx, fy, cx, cy of the target in px.
        share: depths join when they differ by less than this share of the nearer; over a diagonal sqrt(2)
            times as much.
        inverse_m: (h w), 1/z of the nearest surface in 1/m, 0 at first; written.
        source: (h w), depth pixel (flat index) nearest on the surface; written where anything is seen. None where
            nobody asks.
    """
    height, width = depth_m.shape
    d = np.zeros((2, width))
    p, sides = np.zeros((2, 3, width)), np.zeros((5, width))
    first, last, kinds = np.zeros(width, np.int32), np.zeros(width, np.int32), np.zeros(width, np.uint8)
    for row in range(height):
        now, before = row % 2, 1 - row % 2
        _place(depth_m[row], rays[:, row], t_target, camera, d[now], p[now])
        if row > 0:
            _sides(p[before], p[now], inverse_m.shape[0], first, last, sides)
            pair = (d[before], d[now], p[before], p[now])
            _kinds(pair, first, last, share, kinds)
            rows = (first, last, sides, kinds)
            _draw_row(pair, rows, share, (row - 1) * width, inverse_m, source)


@njit(nogil=True, cache=True, error_model="numpy")
def invert(inverse_m: NDArray[np.float32]) -> None:
    """Turn 1/z (h w) into z, in place; 0 stays 0."""
    for v in range(inverse_m.shape[0]):
        for u in range(inverse_m.shape[1]):
            w = float(inverse_m[v, u])
            inverse_m[v, u] = 1.0 / w if w > 0.0 else 0.0
