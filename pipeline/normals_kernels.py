"""Compiled plane fits of `pipeline.normals`; import only through it.

Where the whole window is within the depth step, moments are box sums, whose cost per pixel does not grow with
the window. Elsewhere, on outlines and at steps, every pixel has its own neighbours and sums over them, with
coordinates relative to its own point: some centimetres at most, so the variances lose nothing to the metres
between surface and camera. All sums are float64 in one order: the number of threads changes no bit.
"""

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Rays = tuple[Float64, Float64]  # x / z of each column (W,), y / z of each row (H,)
Window = tuple[int, float]  # radius in px, largest depth step in metres
Fits = tuple[Float32, Float32, NDArray[np.bool_]]  # normals (H W 3), residuals (H W), done (H W)

FAR_M = 1e9  # depth of a pixel that is no neighbour of any; finite, for 0 times infinity would be NaN
REORDER = {"reassoc", "contract", "nsz"}  # lets the sums run in vector registers
SUMS, MOMENTS = 9, 11  # x, y, z, xx, xy, yy, xz, yz, zz; and the largest z and -z
BAND_BLOCKS = 4  # of window_px rows; fixed, so that no sum depends on the number of threads
# Moments around the camera's axis carry a rounding of some 1e-15 of themselves into the covariances.
SURE = 1e-8  # of the moments, the least spread of x and y across their main direction: slopes keep 7 digits
ROUNDED = 1e-11  # of the moments, the least squared residual: it keeps 4 digits
ALIGNED = 1e-12  # 1 - correlation^2 of x and y below which they lie on a line; rounding alone reaches 1e-15


@njit(cache=True)
def _on_one_line(depth_m: Float64, v: int, u: int, window: Window) -> bool:
    """Whether all neighbours share one image line with the centre; in integers, so exactly."""
    radius_px, max_step_m = window
    first_dv, first_du = 0, 0
    for row in range(max(0, v - radius_px), min(depth_m.shape[0], v + radius_px + 1)):
        for column in range(max(0, u - radius_px), min(depth_m.shape[1], u + radius_px + 1)):
            if abs(depth_m[row, column] - depth_m[v, u]) > max_step_m:
                continue
            dv, du = row - v, column - u
            if first_dv == 0 and first_du == 0:
                first_dv, first_du = dv, du
            elif dv * first_du != du * first_dv:
                return False
    return True


@njit(fastmath=REORDER, cache=True)
def _covariances(
    depth_m: Float64, rays: Rays, v: int, u: int, window: Window
) -> tuple[float, float, float, float, float, float]:
    """Covariances xx, xy, yy, xz, yz, zz (m^2) of the neighbours' camera points."""
    (ray_x, ray_y), (radius_px, max_step_m) = rays, window
    z_here = depth_m[v, u]
    x_here, y_here = ray_x[u] * z_here, ray_y[v] * z_here
    start, stop = max(0, u - radius_px), min(depth_m.shape[1], u + radius_px + 1)
    n = sx = sy = sz = sxx = sxy = syy = sxz = syz = szz = 0.0
    for row in range(max(0, v - radius_px), min(depth_m.shape[0], v + radius_px + 1)):
        z_row, ray_row = depth_m[row, start:stop], ray_x[start:stop]
        for k in range(stop - start):
            z = z_row[k] - z_here
            w = 1.0 if abs(z) <= max_step_m else 0.0
            x, y = ray_row[k] * z_row[k] - x_here, ray_y[row] * z_row[k] - y_here
            wx, wy, wz = w * x, w * y, w * z
            n += w
            sx += wx
            sy += wy
            sz += wz
            sxx += wx * x
            sxy += wx * y
            syy += wy * y
            sxz += wx * z
            syz += wy * z
            szz += wz * z
    mx, my, mz = sx / n, sy / n, sz / n
    xx, xy, yy = sxx / n - mx * mx, sxy / n - mx * my, syy / n - my * my
    return xx, xy, yy, sxz / n - mx * mz, syz / n - my * mz, szz / n - mz * mz


@njit(fastmath=REORDER, cache=True)
def _row_sums(row: Float64, spare: Float64, out: Float64, window_px: int) -> None:
    """Sums (W - window_px + 1,) over the windows of a row, which is used up, by doubling.

    No term is ever taken away again, so none leaves its rounding behind. Slices tell the compiler that no index
    is negative, which lets it use vector registers.
    """
    size, offset, wide = 1, 0, out.size
    out[:] = 0.0
    while True:
        if window_px & size:
            part = row[offset : offset + wide]
            for u in range(wide):
                out[u] += part[u]
            offset += size
        if 2 * size > window_px:
            return
        left = row.size - 2 * size + 1
        shifted, doubled = row[size : size + left], spare[:left]
        for u in range(left):
            doubled[u] = row[u] + shifted[u]
        row, spare = spare, row
        size *= 2


@njit(cache=True)
def _row_maxima(row: Float64, spare: Float64, out: Float64, window_px: int) -> None:
    """The same of the largest instead of the sum."""
    size, offset, wide = 1, 0, out.size
    out[:] = -np.inf
    while True:
        if window_px & size:
            part = row[offset : offset + wide]
            for u in range(wide):
                out[u] = part[u] if part[u] > out[u] else out[u]
            offset += size
        if 2 * size > window_px:
            return
        left = row.size - 2 * size + 1
        shifted, doubled = row[size : size + left], spare[:left]
        for u in range(left):
            doubled[u] = shifted[u] if shifted[u] > row[u] else row[u]
        row, spare = spare, row
        size *= 2


@njit(fastmath=REORDER, cache=True)
def _row_moments(
    z_row: Float64, ray_x: Float64, ray_y: float, z_ref: float, window_px: int, moments: Float64
) -> None:
    """The moments (MOMENTS W - window_px + 1) of one row's windows, around (0, 0, z_ref)."""
    terms, spare = np.zeros((MOMENTS, z_row.size)), np.zeros(z_row.size)
    for u in range(z_row.size):
        here = 0.0 if z_row[u] == FAR_M else 1.0
        x, y, z = here * ray_x[u] * z_row[u], here * ray_y * z_row[u], here * (z_row[u] - z_ref)
        terms[0, u], terms[1, u], terms[2, u] = x, y, z
        terms[3, u], terms[4, u], terms[5, u] = x * x, x * y, y * y
        terms[6, u], terms[7, u], terms[8, u] = x * z, y * z, z * z
        terms[9, u], terms[10, u] = z_row[u], -z_row[u]
    for m in range(SUMS):
        _row_sums(terms[m], spare, moments[m], window_px)
    for m in range(SUMS, MOMENTS):
        _row_maxima(terms[m], spare, moments[m], window_px)


@njit(cache=True)
def _block_moments(
    depth_m: Float64, rays: Rays, top: int, z_ref: float, window_px: int, out: Float64
) -> None:
    """Moments (window_px MOMENTS W - window_px + 1) of the rows top, top + 1, ... themselves."""
    for j in range(min(window_px, depth_m.shape[0] - top)):
        _row_moments(depth_m[top + j], rays[0], rays[1][top + j], z_ref, window_px, out[j])


@njit(cache=True)
def _sum_down(block: Float64, following: Float64) -> None:
    """Turn a block of rows into windows of as many rows, which start at each of them.

    By van Herk's and Gil and Werman's way: a window is the end of one block and the start of the following, which
    both grow row by row; the cost does not grow with the window.
    """
    size = block.shape[0]
    for j in range(size - 2, -1, -1):
        _add(block[j], block[j + 1])
    start = following[0].copy()
    for j in range(1, size):
        _add(block[j], start)
        _add(start, following[j])


@njit(cache=True)
def _add(into: Float64, moments: Float64) -> None:
    for m in range(MOMENTS):
        old, new = into[m], moments[m]
        if m < SUMS:
            for u in range(old.size):
                old[u] += new[u]
        else:
            for u in range(old.size):
                old[u] = new[u] if new[u] > old[u] else old[u]


@njit(fastmath=REORDER | {"arcp"}, error_model="numpy", cache=True)
def _solve_row(
    moments: Float64, z_here: Float64, ray_x: Float64, ray_y: float, window: Window, fits: Float64
) -> None:
    """Normal, residual and whether they are to be had (5 W - window_px + 1) from a row of windows.

    What rounding could touch is left for the direct sums: a plane close to the optical axis, and a residual
    that is nothing beside the moments.
    """
    radius_px, max_step_m = window
    share = 1.0 / (2 * radius_px + 1) ** 2
    sx, sy, sz, sxx, sxy, syy = moments[0], moments[1], moments[2], moments[3], moments[4], moments[5]
    sxz, syz, szz, highest, lowest = moments[6], moments[7], moments[8], moments[9], moments[10]
    nx, ny, nz, residual, sure = fits[0], fits[1], fits[2], fits[3], fits[4]
    for k in range(sx.size):
        mx, my, mz = sx[k] * share, sy[k] * share, sz[k] * share
        xx, xy, yy = sxx[k] * share - mx * mx, sxy[k] * share - mx * my, syy[k] * share - my * my
        xz, yz, zz = sxz[k] * share - mx * mz, syz[k] * share - my * mz, szz[k] * share - mz * mz
        determinant = xx * yy - xy * xy
        a, b = (xz * yy - yz * xy) / determinant, (yz * xx - xz * xy) / determinant
        square_m2 = zz - a * xz - b * yz
        scale = 1.0 / math.sqrt(a * a + b * b + 1.0)
        sign = scale if a * ray_x[k] + b * ray_y < 1.0 else -scale
        nx[k], ny[k], nz[k], residual[k] = a * sign, b * sign, -sign, scale * math.sqrt(square_m2)
        within = (highest[k] - z_here[k] <= max_step_m) & (z_here[k] + lowest[k] <= max_step_m)
        around = share * (sxx[k] + syy[k] + szz[k])
        well_posed = determinant > SURE * around * (xx + yy)
        kept = square_m2 >= ROUNDED * around
        sure[k] = 1.0 if within & well_posed & kept else 0.0


@njit(cache=True)
def _fit_band(depth_m: Float64, rays: Rays, top: int, window: Window, out: Fits) -> None:
    """Fit the pixels whose window starts in the band's rows, where all of it is in the mask and the step."""
    radius_px, _ = window
    window_px = 2 * radius_px + 1
    height, width = depth_m.shape
    z_ref = _mean_depth(depth_m[top : min(top + (BAND_BLOCKS + 1) * window_px, height)])
    wide = width - window_px + 1
    block, following = np.zeros((window_px, MOMENTS, wide)), np.zeros((window_px, MOMENTS, wide))
    fits = np.zeros((5, wide))
    middle = slice(radius_px, radius_px + wide)
    normal, residual_m, done = out
    _block_moments(depth_m, rays, top, z_ref, window_px, following)
    for first in range(top, min(top + BAND_BLOCKS * window_px, height - window_px + 1), window_px):
        block, following = following, block
        _block_moments(depth_m, rays, first + window_px, z_ref, window_px, following)
        _sum_down(block, following)
        for j in range(min(window_px, height - window_px - first + 1)):
            v = first + j + radius_px
            _solve_row(block[j], depth_m[v, middle], rays[0][middle], rays[1][v], window, fits)
            for k in range(wide):
                if fits[4, k] > 0.0:
                    for axis in range(3):
                        normal[v, radius_px + k, axis] = fits[axis, k]
                    residual_m[v, radius_px + k] = fits[3, k]
                    done[v, radius_px + k] = True


@njit(cache=True)
def _mean_depth(depth_m: Float64) -> float:
    total_m, count = 0.0, 0
    for v in range(depth_m.shape[0]):
        for u in range(depth_m.shape[1]):
            if depth_m[v, u] != FAR_M:
                total_m += float(depth_m[v, u])
                count += 1
    return total_m / max(count, 1)


@njit(parallel=True, cache=True)
def fit_planes(depth_m: Float64, rays: Rays, window: Window) -> tuple[Float32, Float32]:
    """Normals (H W 3) and residuals (H W, metres) of z = a x + b y + c around each pixel; 0 for none.

    Args:
        depth_m: (H W), FAR_M where there is nothing.
    """
    height, width = depth_m.shape
    normal = np.zeros((height, width, 3), np.float32)
    residual_m = np.zeros((height, width), np.float32)
    done = np.zeros((height, width), np.bool_)
    window_px = 2 * window[0] + 1
    if min(height, width) >= window_px:
        for band in prange((height - window_px) // (BAND_BLOCKS * window_px) + 1):
            top: Any = (
                np.int64(band) * BAND_BLOCKS * window_px
            )  # prange counts unsigned: differences would wrap
            _fit_band(depth_m, rays, top, window, (normal, residual_m, done))
    for row in prange(height):
        v: Any = np.int64(row)
        for u in range(width):
            if depth_m[v, u] == FAR_M or done[v, u] or _on_one_line(depth_m, v, u, window):
                continue
            xx, xy, yy, xz, yz, zz = _covariances(depth_m, rays, v, u, window)
            determinant = xx * yy - xy * xy
            if determinant <= ALIGNED * xx * yy:
                continue  # the plane runs along the optical axis: no slope describes it
            a, b = (xz * yy - yz * xy) / determinant, (yz * xx - xz * xy) / determinant
            scale = 1.0 / math.sqrt(a * a + b * b + 1.0)
            # (a, b, -1) is normal to the plane; turn it against the ray (x, y, 1) of the pixel.
            sign = scale if a * rays[0][u] + b * rays[1][v] < 1.0 else -scale
            normal[v, u, 0], normal[v, u, 1], normal[v, u, 2] = a * sign, b * sign, -sign
            residual_m[v, u] = scale * math.sqrt(max(zz - a * xz - b * yz, 0.0))
    return normal, residual_m
