"""Compiled quadric fits of `pipeline.normals`; import only through it.

Every pixel has its own neighbours and sums, for steps and outlines leave few windows of a person whole. What makes it
fast is that LANES pixels of a row go side by side through vector registers, and that a window's row is summed first,
its pixels left and right of the middle in pairs.
"""

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from pipeline.normals_kernels import FAR_M, REORDER

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Lens = tuple[Float64, Float64, float, float]  # x / z of columns (W), y / z of rows (H), focal lengths in px
Fits = tuple[Float32, Float32]  # normals (H W 3), residuals (H W)
Window = tuple[
    int, float, Float64
]  # radius in px, largest depth step in metres, weights by distance (radius + 1)

LANES = 16  # pixels that are fitted together; a constant, so that loops over them need no rest
POWERS = 5  # x^0 to x^4, and so of y: products of two terms
TERMS, SYSTEM = 6, 7  # 1, x, y, xx, xy, yy; and with the right side as one more row
# Their powers; sums of 1 / z stand as if it were x^5, which turns a term into its right side.
POWER_X, POWER_Y = (0, 1, 0, 2, 1, 0, 5), (0, 0, 1, 0, 1, 2, 0)
ROW_SUMS = 9  # of a window's row: five of 1 times x^0 to x^4, three of 1 / z times x^0 to x^2, one of 1 / z^2
FLATTER = 1e-4  # of the weights: what curvature costs, so that too few neighbours give a plane
LEAST_SPREAD = 1e-9  # of the weights, squared and in window radii: less is one image line


@njit(fastmath=REORDER, cache=True)
def _sum_row(z: Float64, q: Float64, here: Float64, window: Window, sums: Float64) -> None:
    """Sums (ROW_SUMS LANES) over a window's row for pixels side by side.

    Args:
        z: (LANES + 2 radius) depth of the row, from the first pixel's window to the last one's.
        q: (LANES + 2 radius) 1 / z.
        here: (2 LANES) depth of the pixels themselves, and its inverse.
    """
    radius_px, max_step_m, weights = window
    z_middle, q_middle = z[radius_px : radius_px + LANES], q[radius_px : radius_px + LANES]
    for k in range(LANES):
        a = weights[0] if abs(z_middle[k] - here[k]) <= max_step_m else 0.0
        # Differences to the centre's own keep all digits of 1 / z.
        qa = q_middle[k] - here[LANES + k]
        sums[k], sums[5 * LANES + k], sums[8 * LANES + k] = a, a * qa, a * qa * qa
        sums[LANES + k] = sums[2 * LANES + k] = sums[3 * LANES + k] = 0.0
        sums[4 * LANES + k] = sums[6 * LANES + k] = sums[7 * LANES + k] = 0.0
    for du in range(1, radius_px + 1):
        x, weight = du / radius_px, weights[du]
        wx, xx = weight * x, x * x
        left, right = radius_px - du, radius_px + du
        z_left, z_right = z[left : left + LANES], z[right : right + LANES]
        q_left, q_right = q[left : left + LANES], q[right : right + LANES]
        for k in range(LANES):
            a = 1.0 if abs(z_left[k] - here[k]) <= max_step_m else 0.0
            b = 1.0 if abs(z_right[k] - here[k]) <= max_step_m else 0.0
            qa, qb = a * (q_left[k] - here[LANES + k]), b * (q_right[k] - here[LANES + k])
            even, odd, q_even = weight * (a + b), wx * (b - a), weight * (qa + qb)
            sums[k] += even
            sums[LANES + k] += odd
            sums[2 * LANES + k] += xx * even
            sums[3 * LANES + k] += xx * odd
            sums[4 * LANES + k] += xx * xx * even
            sums[5 * LANES + k] += q_even
            sums[6 * LANES + k] += wx * (qb - qa)
            sums[7 * LANES + k] += xx * q_even
            sums[8 * LANES + k] += weight * (qa * qa + qb * qb)


@njit(fastmath=REORDER, cache=True)
def _add_row(sums: Float64, y: float, weight: float, moments: Float64) -> None:
    """Add a window's row at height y, times y^0 to y^4, to the moments (ROW_SUMS POWERS LANES)."""
    y2, y3, y4 = y * y, y * y * y, y * y * y * y
    for i in range(ROW_SUMS):
        into, row = i * POWERS * LANES, i * LANES
        for k in range(LANES):
            share = weight * sums[row + k]
            moments[into + k] += share
            moments[into + LANES + k] += y * share
            moments[into + 2 * LANES + k] += y2 * share
            moments[into + 3 * LANES + k] += y3 * share
            moments[into + 4 * LANES + k] += y4 * share


@njit(fastmath=REORDER, cache=True)
def _fill(moments: Float64, matrix: Float64) -> None:
    """Lower half (SYSTEM SYSTEM LANES) of the normal equations, curvature's diagonal raised, right side below."""
    for i in range(SYSTEM):
        for j in range(min(i + 1, TERMS)):
            into = (i * SYSTEM + j) * LANES
            at = ((POWER_X[i] + POWER_X[j]) * POWERS + POWER_Y[i] + POWER_Y[j]) * LANES
            raised = FLATTER if i == j and i >= 3 else 0.0
            for k in range(LANES):
                matrix[into + k] = moments[at + k] + raised * moments[k]
    for k in range(LANES):
        matrix[(TERMS * SYSTEM + TERMS) * LANES + k] = moments[(ROW_SUMS - 1) * POWERS * LANES + k]


@njit(fastmath=REORDER, error_model="numpy", cache=True)
def _solve(matrix: Float64, spare: Float64) -> None:
    """Eliminate the terms: their coefficients come to stand in the last row, the sum of squares left at its end.

    Pivots stay on the diagonal; where the first three vanish, the rest means nothing.
    """
    for j in range(TERMS):
        pivot = (j * SYSTEM + j) * LANES
        for k in range(LANES):
            spare[k] = 1.0 / matrix[pivot + k]
        for i in range(TERMS, j, -1):
            first = (i * SYSTEM + j) * LANES
            for k in range(LANES):
                spare[LANES + k] = matrix[first + k] * spare[k]
            for h in range(j + 1, i + 1):
                into, second = (i * SYSTEM + h) * LANES, (h * SYSTEM + j) * LANES
                for k in range(LANES):
                    matrix[into + k] -= spare[LANES + k] * matrix[second + k]
            for k in range(LANES):
                matrix[first + k] = spare[LANES + k]
    for j in range(TERMS - 1, -1, -1):
        answer = (TERMS * SYSTEM + j) * LANES
        for i in range(j + 1, TERMS):
            known, factor = (TERMS * SYSTEM + i) * LANES, (i * SYSTEM + j) * LANES
            for k in range(LANES):
                matrix[answer + k] -= matrix[factor + k] * matrix[known + k]


@njit(fastmath=REORDER, error_model="numpy", cache=True)
def _turn(matrix: Float64, here: Float64, lens: Lens, at: tuple[int, int, int], fits: Float64) -> None:
    """Normal, residual and whether they are to be had (5 LANES) from solved systems.

    Args:
        at: row and first column, and the window's radius in px.
    """
    (ray_x, rays_y, focal_x_px, focal_y_px), (v, u, radius_px) = lens, at
    ray_y, row = rays_y[v], TERMS * SYSTEM * LANES
    second, third = (SYSTEM + 1) * LANES, (2 * SYSTEM + 2) * LANES
    for k in range(LANES):
        z, q = here[k], here[LANES + k] + matrix[row + k]
        # a X + b Y + c Z = 1 of the tangent plane: 1 / z = a x + b y + c along the ray (x, y, 1).
        a = matrix[row + LANES + k] / radius_px * focal_x_px
        b = matrix[row + 2 * LANES + k] / radius_px * focal_y_px
        c = q - a * ray_x[u + k] - b * ray_y
        inverse = 1.0 / math.sqrt(a * a + b * b + c * c)
        fits[k], fits[LANES + k], fits[2 * LANES + k] = -a * inverse, -b * inverse, -c * inverse
        # Of 1 / z to z, and of z to what is perpendicular: |n . ray| = q * inverse.
        square = max(matrix[row + TERMS * LANES + k], 0.0) / matrix[k]
        fits[3 * LANES + k] = math.sqrt(square) * z * z * q * inverse
        least = LEAST_SPREAD * matrix[k]
        found = (z < FAR_M) & (q > 0.0) & (matrix[second + k] > least) & (matrix[third + k] > least)
        fits[4 * LANES + k] = 1.0 if found else 0.0


@njit(cache=True)
def _fit_lanes(z: Float64, q: Float64, at: tuple[int, int], window: Window, buffers: Any) -> None:
    """Solved systems of the pixels v, u to u + LANES - 1, from depth and 1 / z with their margins."""
    (v, u), radius_px = at, window[0]
    here, sums, moments, matrix, spare = buffers
    for k in range(LANES):
        here[k], here[LANES + k] = z[v + radius_px, u + radius_px + k], q[v + radius_px, u + radius_px + k]
    moments[:] = 0.0
    reach = slice(u, u + LANES + 2 * radius_px)
    for dv in range(2 * radius_px + 1):
        y = (dv - radius_px) / radius_px
        _sum_row(z[v + dv, reach], q[v + dv, reach], here, window, sums)
        _add_row(sums, y, window[2][abs(dv - radius_px)], moments)
    _fill(moments, matrix)
    _solve(matrix, spare)


@njit(cache=True)
def _fit_row(v: int, inverse: tuple[Float64, Float64], lens: Lens, window: Window, out: Fits) -> None:
    """Normals and residuals of one row."""
    (z, q), (normal, residual_m), radius_px = inverse, out, window[0]
    here, fits, matrix = np.zeros(2 * LANES), np.zeros(5 * LANES), np.zeros(SYSTEM * SYSTEM * LANES)
    sums, moments = np.zeros(ROW_SUMS * LANES), np.zeros(ROW_SUMS * POWERS * LANES)
    buffers = here, sums, moments, matrix, np.zeros(2 * LANES)
    u: Any = np.int64(0)
    width = normal.shape[1]
    while u < width:
        if z[v + radius_px, u + radius_px] == FAR_M:
            u += 1
            continue
        _fit_lanes(z, q, (v, u), window, buffers)
        _turn(matrix, here, lens, (v, u, radius_px), fits)
        for k in range(min(LANES, width - u)):
            if fits[4 * LANES + k] > 0.0:
                for axis in range(3):
                    normal[v, u + k, axis] = fits[axis * LANES + k]
                residual_m[v, u + k] = fits[3 * LANES + k]
        u += LANES


@njit(parallel=True, cache=True)
def fit_quadrics(z: Float64, q: Float64, lens: Lens, window: Window, out: Fits) -> None:
    """Normals (H W 3) and residuals (H W, metres) of the quadric around each pixel into zeros.

    Args:
        z: (H + 2 radius, W + 2 radius + LANES) depth, FAR_M where there is nothing and in the margin.
        q: 1 / z.
        lens: with LANES columns more than the image has.
    """
    for row in prange(out[1].shape[0]):
        v: Any = np.int64(row)
        _fit_row(v, (z, q), lens, window, out)
