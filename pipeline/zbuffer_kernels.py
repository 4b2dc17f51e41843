"""Compiled loops of the z-buffer; import only through `pipeline.zbuffer`.

Corners are rounded to a fine grid inside the pixel and everything that decides coverage is integer arithmetic
on that grid, so it is exact: two faces that share an edge compute one and the same line. Depth is float64 per
pixel and float32 in the buffer.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

# (2 2) scale and offset of x / z and y / z on the grid; (5 4) planes n.p + d >= 0, the near plane and the four
# borders of the grid; bits of the grid inside a pixel
Lens = tuple[Float64, Float64, int]
CORNERS_AFTER_CLIPPING = 8  # three, and one more for each of the five planes


@njit(nogil=True, cache=True)
def place_vertices(points: Float64, lens: Lens) -> tuple[Int64, Float64]:
    """Grid places (V 2) and 1 / z (V) of camera points; 1 / z is 0 where a face of the vertex needs clipping."""
    places, inverse = np.zeros((len(points), 2), np.int64), np.zeros(len(points))
    grid, planes, _ = lens
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        inside = True
        for plane in range(5):
            inside = inside and _distance(x, y, z, planes, plane) >= 0.0
        if inside:
            places[i, 0], places[i, 1], inverse[i] = _place(x, y, z, grid)
    return places, inverse


# Both take numbers, not rows: a view of a row made for every call takes six times as long as the arithmetic.
@njit(nogil=True, cache=True)
def _place(x: float, y: float, z: float, grid: Float64) -> tuple[int, int, float]:
    q = 1.0 / z
    return int(np.rint(x * q * grid[0, 0] + grid[0, 1])), int(np.rint(y * q * grid[1, 0] + grid[1, 1])), q


@njit(nogil=True, cache=True)
def _distance(x: float, y: float, z: float, planes: Float64, plane: int) -> float:
    """How far a point lies on the kept side of a plane, in the plane's own unit."""
    distance: float = x * planes[plane, 0] + y * planes[plane, 1] + z * planes[plane, 2] + planes[plane, 3]
    return distance


@njit(nogil=True, cache=True, error_model="numpy")
def fill(
    points: Float64, faces: Int32, placed: tuple[Int64, Float64], lens: Lens, buffers: tuple[Int32, Float32],
    first: int, last: int,
) -> None:  # fmt: skip
    """Enter all faces, in order, into rows first..last of the buffers (face index, 1 / z)."""
    places, inverse = placed
    height = buffers[0].shape[0]
    low, high = (first - height // 2) << lens[2], (last - height // 2) << lens[2]
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        if inverse[a] > 0.0 and inverse[b] > 0.0 and inverse[c] > 0.0:
            ay, by, cy = places[a, 1], places[b, 1], places[c, 1]
            if max(ay, by, cy) >= low and min(ay, by, cy) <= high:
                corners = places[a, 0], ay, places[b, 0], by, places[c, 0], cy
                _triangle(face, corners, (inverse[a], inverse[b], inverse[c]), lens[2], buffers, first, last)
        else:
            _clipped(face, points, (a, b, c), lens, buffers, first, last)


@njit(nogil=True, cache=True, error_model="numpy")
def _triangle(
    face: int, corners: Any, inverse: Any, bits: int, buffers: tuple[Int32, Float32], first: int, last: int
) -> None:
    """Enter one triangle, seen from either side, where it is nearer than what is there."""
    ax, ay, bx, by, cx, cy = corners
    qa, qb, qc = inverse
    face_index, nearest = buffers
    height, width = face_index.shape
    left, top = width // 2, height // 2
    # Rows and columns whose centres can lie inside: -(-n >> bits) rounds up, n >> bits down.
    row = max(first, -(-min(ay, by, cy) >> bits) + top)
    end = min(last, (max(ay, by, cy) >> bits) + top)
    start = max(0, -(-min(ax, bx, cx) >> bits) + left)
    stop = min(width - 1, (max(ax, bx, cx) >> bits) + left)
    if row > end or start > stop:
        return
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if area == 0:
        return
    if area < 0:
        bx, by, qb, cx, cy, qc, area = cx, cy, qc, bx, by, qb, -area
    b_per_x, b_per_y, b_there, b_rule = _edge(cx, cy, ax, ay)  # twice the area before b's opposite edge
    c_per_x, c_per_y, c_there, c_rule = _edge(ax, ay, bx, by)
    a_per_x, a_per_y, a_there, a_rule = _edge(bx, by, cx, cy)
    db, dc = (qb - qa) / area, (qc - qa) / area
    per_column = float(b_per_x << bits) * db + float(c_per_x << bits) * dc
    for v in range(row, end + 1):
        y = (v - top) << bits
        x = -left << bits
        from_b, from_c = b_there + b_per_y * y + b_per_x * x, c_there + c_per_y * y + c_per_x * x
        from_a = a_there + a_per_y * y + a_per_x * x
        u, to = _span(from_a + a_rule, a_per_x << bits, start, stop)
        u, to = _span(from_b + b_rule, b_per_x << bits, u, to)
        u, to = _span(from_c + c_rule, c_per_x << bits, u, to)
        begin = u
        q = qa + float(from_b + (b_per_x << bits) * u) * db + float(from_c + (c_per_x << bits) * u) * dc
        for u in range(begin, to + 1):
            here = np.float32(q + (u - begin) * per_column)
            if here > nearest[v, u]:
                nearest[v, u] = here
                face_index[v, u] = face


@njit(nogil=True, cache=True)
def _edge(px: int, py: int, qx: int, qy: int) -> tuple[int, int, int, int]:
    """Twice the area left of an edge as per_x * x + per_y * y + there, and -1 where it owns no centre on it.

    A centre on an edge belongs to the face that lies right of it, or below it where it is level: top-left rule.
    """
    per_x, per_y = py - qy, qx - px
    owns = per_x > 0 or (per_x == 0 and per_y > 0)
    return per_x, per_y, -(per_x * px + per_y * py), 0 if owns else -1


@njit(nogil=True, cache=True, error_model="numpy")
def _span(at_zero: int, per_column: int, start: int, stop: int) -> tuple[int, int]:
    """The columns of start..stop where at_zero + per_column * u >= 0; empty is start > stop."""
    if per_column > 0:
        return max(start, -(at_zero // per_column)), stop
    if per_column < 0:
        return start, min(stop, at_zero // -per_column)
    return (start, stop) if at_zero >= 0 else (1, 0)


@njit(nogil=True, cache=True)
def _clipped(
    face: int,
    points: Float64,
    corners: Any,
    lens: Lens,
    buffers: tuple[Int32, Float32],
    first: int,
    last: int,
) -> None:
    """Enter what is left of a face in front of the near plane and within the reach of the grid.

    Cuts are computed from the corner inside to the one outside: the same for both faces of an edge.
    """
    polygon, cut = np.zeros((CORNERS_AFTER_CLIPPING, 3)), np.zeros((CORNERS_AFTER_CLIPPING, 3))
    for k in range(3):
        polygon[k] = points[corners[k]]
    count = 3
    for plane in range(5):
        kept = 0
        for k in range(count):
            here, there = polygon[k], polygon[(k + 1) % count]
            at_here = _distance(here[0], here[1], here[2], lens[1], plane)
            at_there = _distance(there[0], there[1], there[2], lens[1], plane)
            if at_here >= 0.0:
                cut[kept] = here
                kept += 1
            if at_here >= 0.0 and at_there < 0.0:
                cut[kept] = here + at_here / (at_here - at_there) * (there - here)
                kept += 1
            elif at_here < 0.0 and at_there >= 0.0:
                cut[kept] = there + at_there / (at_there - at_here) * (here - there)
                kept += 1
        polygon, cut, count = cut, polygon, kept
        if count < 3:
            return
    x, y, q = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count)
    for k in range(count):
        x[k], y[k], q[k] = _place(polygon[k, 0], polygon[k, 1], polygon[k, 2], lens[0])
    for k in range(1, count - 1):
        fan = x[0], y[0], x[k], y[k], x[k + 1], y[k + 1]
        _triangle(face, fan, (q[0], q[k], q[k + 1]), lens[2], buffers, first, last)


@njit(nogil=True, cache=True, error_model="numpy")
def weigh(
    points: Float64, faces: Int32, rays: tuple[Float64, Float64], buffers: tuple[Int32, Float32], bary: Float32,
    first: int, last: int,
) -> None:  # fmt: skip
    """Weights of the faces in rows first..last, and 1 / z turned into z.

    Möller and Trumbore, "Fast, Minimum Storage Ray/Triangle Intersection", 1997, for rays (x, y, 1) from 0.
    """
    face_index, depth_m = buffers
    ray_x, ray_y = rays
    for v in range(first, last + 1):
        y = ray_y[v]
        for u in range(face_index.shape[1]):
            face = face_index[v, u]
            if face < 0:
                continue
            x = ray_x[u]
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            ax, ay, az = points[a, 0], points[a, 1], points[a, 2]
            fx, fy, fz = points[b, 0] - ax, points[b, 1] - ay, points[b, 2] - az
            gx, gy, gz = points[c, 0] - ax, points[c, 1] - ay, points[c, 2] - az
            px, py, pz = y * gz - gy, gx - x * gz, x * gy - y * gx  # ray cross g
            volume = fx * px + fy * py + fz * pz
            if volume != 0.0:
                qx, qy, qz = fy * az - fz * ay, fz * ax - fx * az, fx * ay - fy * ax  # f cross a
                second = -(ax * px + ay * py + az * pz) / volume
                third = (x * qx + y * qy + qz) / volume
                # The grid's rounding can put a centre a hair outside the face.
                second = min(max(second, 0.0), 1.0)
                bary[v, u, 0] = np.float32(second)
                bary[v, u, 1] = np.float32(min(max(third, 0.0), 1.0 - second))
            depth_m[v, u] = np.float32(1.0) / depth_m[v, u]
