"""Compiled passes over the pixels of one depth map; import only through `pipeline.segmentation`.

Each pass runs on one thread in one order. Neighbours are the nearest pixels to the left and above, reached over
unmeasured pixels alone, as far as `gap_m` on the surface.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Bool = NDArray[np.bool_]

# Columns of `measure`.
COUNT, AREA_M2, X, Y, Z, U, TOP_M, BOTTOM_M, MOVED, TESTED, BENT_M, BEFORE, BEHIND, LEFT, RIGHT, COLUMNS = (
    range(16)
)

TESTED_PX = 4  # between the places where a surface's bend is measured


@njit(nogil=True, cache=True)
def stands_free(
    depth_m: Float32, lines: Float64, bands_m: Float64, background_m: Float32, margins: Float64
) -> Bool:
    """Where (H W) a pixel was measured in front of every plane and of the background.

    Args:
        lines: (P 4): a, b, c, d such that z (a u + b v + c) + d is the distance in front of a plane, in metres.
        bands_m: (P 2): least distance, and spread along z per squared metre.
        background_m: (H W), 0 where unknown; (0 0) without one.
        margins: (2,) least step in front of the background, and the part that grows with z squared, in metres.
    """
    height, width = depth_m.shape
    out = np.zeros((height, width), dtype=np.bool_)
    has_background = background_m.size > 0
    for v in range(height):
        for u in range(width):
            z = depth_m[v, u]
            if z <= 0:
                continue
            if has_background:
                behind = background_m[v, u]
                if behind > 0 and z > behind - margins[0] - margins[1] * behind * behind:
                    continue
            free = True
            for p in range(len(lines)):
                slant = lines[p, 0] * u + lines[p, 1] * v + lines[p, 2]
                band = bands_m[p, 0] + bands_m[p, 1] * z * z * abs(slant)
                if z * slant + lines[p, 3] < band:
                    free = False
                    break
            out[v, u] = free
    return out


@njit(inline="always")
def _root(parent: Int32, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(inline="always")
def _join(parent: Int32, i: int, j: int) -> None:
    a, b = _root(parent, i), _root(parent, j)
    if a < b:
        parent[b] = a
    else:
        parent[a] = b


@njit(inline="always")
def _within(near: float, far: float, cells: int, steps: Float64) -> bool:
    """Whether two pixels `cells` apart may lie on one surface; steps: slope per px, least, noise, cap in metres."""
    z = min(near, far)
    allowed = min(steps[0] * z * cells, steps[3]) + steps[1] + steps[2] * z * z
    return bool(abs(near - far) <= allowed)


@njit(nogil=True, cache=True)
def label(depth_m: Float32, free: Bool, steps: Float64, gap_px_m: float) -> tuple[Int32, int]:
    """Number (H W) the surfaces that free pixels form, from 1, and return the count; 0 is no free pixel.

    Args:
        steps: (4,) slope per px, least step, step per squared metre, most that a slope may give.
        gap_px_m: pixels that may be jumped, times z.
    """
    height, width = depth_m.shape
    parent = np.arange(height * width).astype(np.int32)
    above = np.full(width, -1, dtype=np.int32)
    for v in range(height):
        left = -1
        for u in range(width):
            z = depth_m[v, u]
            if not free[v, u]:
                if z > 0:
                    left = -1
                    above[u] = -1
                continue
            i = v * width + u
            if (
                left >= 0
                and (u - left) * z <= max(gap_px_m, 1.5 * z)
                and _within(z, depth_m[v, left], u - left, steps)
            ):
                _join(parent, i, v * width + left)
            top = above[u]
            if (
                top >= 0
                and (v - top) * z <= max(gap_px_m, 1.5 * z)
                and _within(z, depth_m[top, u], v - top, steps)
            ):
                _join(parent, i, top * width + u)
            left = u
            above[u] = v
    labels = np.zeros((height, width), dtype=np.int32)
    count = 0
    for v in range(height):
        for u in range(width):
            if free[v, u]:
                i = v * width + u
                root = _root(parent, i)
                if root == i:
                    count += 1
                    labels[v, u] = count
                else:
                    labels[v, u] = labels[root // width, root % width]
    return labels, count


@njit(nogil=True, cache=True)
def contacts(depth_m: Float32, labels: Int32, most_m: float, gap_px_m: float) -> Int32:
    """Pairs (N 2) of surfaces that meet in the picture across a step of at most `most_m`, once a contact."""
    height, width = depth_m.shape
    pairs = np.zeros((2 * np.count_nonzero(labels) + 1, 2), dtype=np.int32)
    above = np.full(width, -1, dtype=np.int32)
    count = 0
    for v in range(height):
        left = -1
        for u in range(width):
            z = depth_m[v, u]
            here = labels[v, u]
            if here == 0:
                if z > 0:
                    left = -1
                    above[u] = -1
                continue
            reach = max(gap_px_m, 1.5 * z)
            if left >= 0:
                there = labels[v, left]
                if there != here and (u - left) * z <= reach and abs(depth_m[v, left] - z) <= most_m:
                    pairs[count, 0], pairs[count, 1] = here, there
                    count += 1
            top = above[u]
            if top >= 0:
                there = labels[top, u]
                if there != here and (v - top) * z <= reach and abs(depth_m[top, u] - z) <= most_m:
                    pairs[count, 0], pairs[count, 1] = here, there
                    count += 1
            left = u
            above[u] = v
    return pairs[:count]


@njit(inline="always")
def _inverse_depth(depth_m: Float32, labels: Int32, v: int, u: int, here: int) -> float:
    """1 / depth, averaged over nine pixels of one surface around a place; NaN where one is another's."""
    height, width = depth_m.shape
    if v < 2 or v >= height - 2 or u < 2 or u >= width - 2:
        return np.nan
    total = 0.0
    for dv in range(-2, 3, 2):
        for du in range(-2, 3, 2):
            if labels[v + dv, u + du] != here:
                return np.nan
            total += depth_m[v + dv, u + du]
    return 9.0 / total


@njit(inline="always")
def _bend_m(depth_m: Float32, labels: Int32, place: tuple[int, int], step: tuple[int, int]) -> float:
    """How far a place lies off the line through two others of its surface; NaN where one is another's.

    Inverse depth is linear in the pixels of a plane, so a plane has none however it is slanted.
    """
    v, u = place
    here = labels[v, u]
    middle = _inverse_depth(depth_m, labels, v, u, here)
    ends = _inverse_depth(depth_m, labels, v - step[0], u - step[1], here)
    ends += _inverse_depth(depth_m, labels, v + step[0], u + step[1], here)
    return float(abs(middle - 0.5 * ends) / (middle * middle))


@njit(nogil=True, cache=True)
def measure(
    depth_m: Float32, labels: Int32, count: int, lens: Float64, up: Float64, still_m: Float32, scales: Float64
) -> Float64:
    """What each surface is like (count + 1, COLUMNS): columns are named at the head of the module.

    Args:
        lens: (4,) fx, fy, cx, cy.
        up: (4,) such that up . (x, y, z, 1) is the height above the floor, in metres.
        still_m: (H W) depth of what stands still, 0 where unknown; (0 0) without one.
        scales: (6,) metres: how far apart and how much at most a bend is measured, the step beside which a
            surface lies before or behind another, and pixels that it may be away, times z; the least step before
            what stands still, and the part that grows with z squared.
    """
    height, width = depth_m.shape
    out = np.zeros((count + 1, COLUMNS))
    reach_m, most_bend_m, hides_m, gap_px_m, new_m, new_per_m = scales
    out[:, TOP_M], out[:, BOTTOM_M] = -1e9, 1e9
    out[:, LEFT], out[:, RIGHT] = width, -1
    for v in range(height):
        left = -1
        for u in range(width):
            if depth_m[v, u] > 0:
                if left >= 0 and labels[v, u] != labels[v, left]:
                    nearer, farther = (left, u) if depth_m[v, left] < depth_m[v, u] else (u, left)
                    step_m = depth_m[v, farther] - depth_m[v, nearer]
                    if step_m > hides_m and (u - left) * depth_m[v, nearer] <= gap_px_m:
                        out[labels[v, nearer], BEFORE] += 1
                        out[labels[v, farther], BEHIND] += 1
                left = u
            here = labels[v, u]
            if here == 0:
                continue
            row = out[here]
            z = depth_m[v, u]
            x, y = (u - lens[2]) / lens[0] * z, (v - lens[3]) / lens[1] * z
            tall = up[0] * x + up[1] * y + up[2] * z + up[3]
            row[COUNT] += 1
            row[AREA_M2] += z * z / (lens[0] * lens[1])
            row[X] += x
            row[Y] += y
            row[Z] += z
            row[U] += u
            row[LEFT] = min(row[LEFT], u)
            row[RIGHT] = max(row[RIGHT], u)
            row[TOP_M] = max(row[TOP_M], tall)
            row[BOTTOM_M] = min(row[BOTTOM_M], tall)
            if still_m.size > 0 and z < still_m[v, u] - new_m - new_per_m * still_m[v, u] ** 2:
                row[MOVED] += 1
            if v % TESTED_PX == 0 and u % TESTED_PX == 0:
                reach = max(2, int(reach_m * lens[0] / z))
                for step in ((0, reach), (reach, 0)):
                    bent = _bend_m(depth_m, labels, (v, u), step)
                    if not np.isnan(bent):
                        row[TESTED] += 1
                        row[BENT_M] += min(bent, most_bend_m)
    return out


@njit(nogil=True, cache=True)
def without_fringe(depth_m: Float32, mask: Bool, steps: Float64, least_neighbours: int) -> Bool:
    """The mask (H W) less what does not lie on the surface beside it.

    A pixel stays that has enough of its eight neighbours on its own surface: one that mixes two surfaces lies a
    step from both, and has at most those above and below it, mixed alike.
    """
    height, width = depth_m.shape
    out = np.zeros((height, width), dtype=np.bool_)
    for v in range(height):
        for u in range(width):
            if not mask[v, u]:
                continue
            z = depth_m[v, u]
            neighbours = 0
            for dv in range(-1, 2):
                for du in range(-1, 2):
                    if (dv == 0 and du == 0) or not (0 <= v + dv < height and 0 <= u + du < width):
                        continue
                    if mask[v + dv, u + du]:
                        cells = 1 + (dv != 0 and du != 0)
                        neighbours += _within(z, depth_m[v + dv, u + du], cells, steps)
            out[v, u] = neighbours >= least_neighbours
    return out
