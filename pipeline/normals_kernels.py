"""Compiled plane fits of `pipeline.normals`; import only through it.

All sums are float64 over coordinates relative to the centre pixel's own point, some centimetres at most, so
the variances lose nothing to the metres between surface and camera. One thread per pixel, one order: the
number of threads changes no bit.
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

FAR_M = 1e9  # depth of a pixel that is no neighbour of any; finite, for 0 times infinity would be NaN
REORDER = {"reassoc", "contract", "nsz"}  # lets the sums run in vector registers
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


@njit(parallel=True, cache=True)
def fit_planes(depth_m: Float64, rays: Rays, window: Window) -> tuple[Float32, Float32]:
    """Normals (H W 3) and residuals (H W, metres) of z = a x + b y + c around each pixel; 0 for none.

    Args:
        depth_m: (H W), FAR_M where there is nothing.
    """
    height, width = depth_m.shape
    normal = np.zeros((height, width, 3), np.float32)
    residual_m = np.zeros((height, width), np.float32)
    for row in prange(height):
        v: Any = np.int64(row)  # prange counts unsigned: differences would wrap
        for u in range(width):
            if depth_m[v, u] == FAR_M or _on_one_line(depth_m, v, u, window):
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
