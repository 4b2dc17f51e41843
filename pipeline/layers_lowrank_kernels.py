"""Compiled passes of `pipeline.layers_lowrank`; import only through it.

All sums are float64 and made by one thread in one order. The depth axis carries knots of spacing h; a pixel
spreads its weight over the TAPS knots around it and reads the sums back from the same knots.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

REORDER = {"reassoc", "contract", "nsz"}  # lets the sums run in vector registers
TAPS = 8


@njit(inline="always")
def _lagrange(t: float, taps: Float64) -> None:
    """Weights that interpolate a polynomial of degree 7 at 0 <= t < 1 from its values at -3, -2, ... 4."""
    a, b, c, d, e, f, g, h = t + 3.0, t + 2.0, t + 1.0, t, t - 1.0, t - 2.0, t - 3.0, t - 4.0
    ab, abc, fg, gh, fgh = a * b, a * b * c, f * g, g * h, f * g * h
    abcd, efgh = abc * d, e * fgh
    taps[0] = b * c * d * efgh * (-1 / 5040)
    taps[1] = a * c * d * efgh * (1 / 720)
    taps[2] = ab * d * efgh * (-1 / 240)
    taps[3] = abc * efgh * (1 / 144)
    taps[4] = abcd * fgh * (-1 / 144)
    taps[5] = abcd * e * gh * (1 / 240)
    taps[6] = abcd * e * f * h * (-1 / 720)
    taps[7] = abcd * e * fg * (1 / 5040)


@njit(nogil=True, cache=True)
def occupied_knots(depth_m: Float64, inside: NDArray[np.bool_], axis: tuple[float, float, int]) -> Int64:
    """Sorted knots (K,) that any pixel touches; an empty stretch of the depth axis takes no room.

    Args:
        axis: depth of knot 3 and inverse knot spacing (1/m), and the number of knots of the whole axis.
    """
    low_m, per_m, count = axis
    touched = np.zeros(count, np.bool_)
    for v in range(depth_m.shape[0]):
        for u in range(depth_m.shape[1]):
            if inside[v, u]:
                touched[int((depth_m[v, u] - low_m) * per_m)] = True
    for knot in range(count - TAPS, -1, -1):  # downwards, so that no mark of this loop is read by it
        if touched[knot]:
            touched[knot : knot + TAPS] = True
    return np.flatnonzero(touched)


@njit(nogil=True, fastmath=REORDER, cache=True)
def spread(
    depth_m: Float64,
    inside: NDArray[np.bool_],
    axis: tuple[float, float],
    slot_of: Int64,
    factors: tuple[Float64, Float64],
) -> tuple[Float64, Int64]:
    """Moments (K R C): sums over pixels of knot weight x row factor x column factor; first and last slot by row.

    Args:
        slot_of: index among the occupied knots by knot.
        factors: low-rank factors (H R) and (W C) of the spatial kernel.
    """
    (low_m, per_m), (by_row, by_column) = axis, factors
    rank = by_column.shape[1]
    slots = slot_of[-1] + 1
    moments = np.zeros((slots, by_row.shape[1], rank))
    line = np.zeros((slots, rank))
    reach = np.zeros((depth_m.shape[0], 2), np.int64)
    taps = np.zeros(TAPS)
    for v in range(depth_m.shape[0]):
        first, last = slots, 0
        for u in range(depth_m.shape[1]):
            if not inside[v, u]:
                continue
            place = (depth_m[v, u] - low_m) * per_m
            knot = int(place)
            slot = slot_of[knot]
            _lagrange(place - knot, taps)
            first, last = min(first, slot), max(last, slot + TAPS)
            for k in range(TAPS):
                for c in range(rank):
                    line[slot + k, c] += taps[k] * by_column[u, c]
        for k in range(first, last):
            for r in range(by_row.shape[1]):
                for c in range(rank):
                    moments[k, r, c] += by_row[v, r] * line[k, c]
            line[k] = 0.0
        reach[v, 0], reach[v, 1] = first, last
    return moments, reach


@njit(nogil=True, fastmath=REORDER, cache=True)
def blur_depth(moments: Float64, knots: Int64, spacing: float, cut: float) -> Float64:
    """Sums (K R 2C) over the other knots of w and of w x step, in units of sigma.

    Args:
        spacing: of the knots, in sigma.
        cut: knots farther apart than this, in sigma, weigh nothing.
    """
    slots, rows, columns = moments.shape
    each = moments.reshape(slots, rows * columns)
    weights, steps = np.zeros(each.shape), np.zeros(each.shape)
    start = 0
    for k in range(slots):
        while (knots[k] - knots[start]) * spacing > cut:
            start += 1
        for j in range(start, slots):
            step = (knots[j] - knots[k]) * spacing
            if step > cut:
                break
            w = np.exp(-0.5 * step * step)
            for c in range(each.shape[1]):
                weights[k, c] += w * each[j, c]
                steps[k, c] += w * step * each[j, c]
    out = np.zeros((slots, rows, 2 * columns))
    out[:, :, :columns] = weights.reshape(moments.shape)
    out[:, :, columns:] = steps.reshape(moments.shape)
    return out


@njit(nogil=True, fastmath=REORDER, cache=True)
def gather(
    depth_m: Float64,
    inside: NDArray[np.bool_],
    axis: tuple[float, float],
    slot_of: Int64,
    factors: tuple[Float64, Float64],
    blurred: Float64,
    reach: Int64,
) -> tuple[Float64, Float64]:
    """Sum of weights and sum of weights x step in sigma, (H W) each, at every pixel of the mask."""
    (low_m, per_m), (by_row, by_column) = axis, factors
    rank = by_column.shape[1]
    weight, total = np.zeros(depth_m.shape), np.zeros(depth_m.shape)
    line = np.zeros((blurred.shape[0], 2 * rank))
    taps, both = np.zeros(TAPS), np.zeros(2 * rank)
    for v in range(depth_m.shape[0]):
        for k in range(reach[v, 0], reach[v, 1]):
            line[k] = 0.0
            for r in range(by_row.shape[1]):
                for c in range(2 * rank):
                    line[k, c] += by_row[v, r] * blurred[k, r, c]
        for u in range(depth_m.shape[1]):
            if not inside[v, u]:
                continue
            place = (depth_m[v, u] - low_m) * per_m
            knot = int(place)
            slot = slot_of[knot]
            _lagrange(place - knot, taps)
            both[:] = 0.0
            for k in range(TAPS):
                for c in range(2 * rank):
                    both[c] += taps[k] * line[slot + k, c]
            w, t = 0.0, 0.0
            for c in range(rank):
                w += both[c] * by_column[u, c]
                t += both[rank + c] * by_column[u, c]
            weight[v, u], total[v, u] = w, t
    return weight, total
