"""Compiled sums of the masked bilateral filter; import only through `pipeline.layers`.

Weights and sums are float64 and every pixel is summed by one thread in one order, so the number of threads
changes no bit. Both kernels sum w (D_j - D_i) instead of w D_j: small terms keep their digits and a constant
added to the depth cancels before the sum.
"""

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

# Reordering lets the loops run in vector registers. NaN and infinity keep their meaning.
REORDER = {"reassoc", "contract", "nsz"}


@njit(inline="always")
def _exp(x: Any) -> Any:
    """exp of x <= 0 to 2e-16 relative, in plain arithmetic: a call into libm would keep loops scalar."""
    x = max(x, -600.0)  # 1e-261 beside the centre's weight of 1; keeps the exponent below in range
    power = np.int32(x * 1.4426950408889634 - 0.5)  # nearest integer to x / ln 2
    f = x - power * 0.6931471805599453
    series = 1 / 479001600  # Taylor to 1/12!: |f| <= ln(2) / 2 leaves 2e-16
    series = series * f + 1 / 39916800
    series = series * f + 1 / 3628800
    series = series * f + 1 / 362880
    series = series * f + 1 / 40320
    series = series * f + 1 / 5040
    series = series * f + 1 / 720
    series = series * f + 1 / 120
    series = series * f + 1 / 24
    series = series * f + 1 / 6
    series = series * f + 0.5
    series = series * f + 1.0
    series = series * f + 1.0
    bits = np.int64((np.int64(power) + np.int64(1023)) << np.int64(52))  # 2 ** power as a double
    return series * bits.view(np.float64)


@njit(parallel=True, fastmath=REORDER, cache=True)
def full_support(points: Float64, targets: Int64, factors: tuple[float, float]) -> Float64:
    """Weighted mean (T,) of D_j - D_i over all pixels j, for each target pixel i.

    Args:
        points: (3 N) u in px, v in px, depth in metres.
        targets: (T,) indices into the points.
        factors: -1 / (2 sigma^2) for space (1/px^2) and for depth (1/m^2).
    """
    u_px, v_px, depth_m = points[0], points[1], points[2]
    out_m = np.zeros(targets.size)
    for k in prange(targets.size):
        i = targets[k]
        u, v, depth = u_px[i], v_px[i], depth_m[i]
        total, weight = 0.0, 0.0
        for j in range(depth_m.size):
            du, dv, step = u_px[j] - u, v_px[j] - v, depth_m[j] - depth
            w = _exp(factors[0] * (du * du + dv * dv) + factors[1] * (step * step))
            total += w * step
            weight += w
        out_m[k] = total / weight
    return out_m


@njit(parallel=True, fastmath=REORDER, cache=True)
def disc(depth_m: Float64, inside: Float64, radius_px: int, factors: tuple[float, float]) -> Float64:
    """The same (H W) over the discs |j - i| <= radius_px of an image; 0 outside the mask.

    A row at a time and an offset at a time, all pixels of the row at once: that makes the inner loop long.

    Args:
        depth_m: (H W), finite everywhere.
        inside: (H W), 1.0 in the mask, else 0.0.
    """
    height, width = depth_m.shape
    out_m = np.zeros((height, width))
    for row in prange(height):
        v: Any = np.int64(row)  # prange counts unsigned: -v would wrap
        total, weight = np.zeros(width), np.zeros(width)
        for dv in range(max(-radius_px, -v), min(radius_px, height - 1 - v) + 1):
            half = int(math.sqrt(radius_px * radius_px - dv * dv))
            for du in range(max(-half, 1 - width), min(half, width - 1) + 1):
                start, stop = max(0, -du), min(width, width - du)
                here, there = depth_m[v, start:stop], depth_m[v + dv, start + du : stop + du]
                valid = inside[v + dv, start + du : stop + du]
                row_total, row_weight = total[start:stop], weight[start:stop]
                space = factors[0] * (du * du + dv * dv)
                for k in range(stop - start):
                    step = there[k] - here[k]
                    w = valid[k] * _exp(space + factors[1] * (step * step))
                    row_total[k] += w * step
                    row_weight[k] += w
        for u in range(width):
            if inside[v, u] > 0.0:
                out_m[v, u] = total[u] / weight[u]
    return out_m
