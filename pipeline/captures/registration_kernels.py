"""Compiled rasteriser of the depth grid; import only through `pipeline.captures.registration`."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

INSIDE_PX2 = 1e-6  # of an edge function, so that rounding opens no seam between two triangles
NEAREST_M = 0.01  # a point closer to the target's plane, or behind it, is not seen


@njit(inline="always")
def _joined(a_m: Any, b_m: Any, share: Any) -> Any:
    """Whether two depths lie on one surface; False where one of them is 0."""
    return abs(a_m - b_m) < share * min(a_m, b_m)


@njit(inline="always", error_model="numpy")
def _fill(corners: Any, sources: Any, inverse_m: Any, source: Any) -> None:
    """Draw one triangle into the buffer of 1/z, nearest wins; seen from behind, it is left out."""
    (u0, v0, w0), (u1, v1, w1), (u2, v2, w2) = corners
    first_u = max(math.ceil(min(u0, u1, u2) - INSIDE_PX2), 0)
    last_u = min(math.floor(max(u0, u1, u2) + INSIDE_PX2), inverse_m.shape[1] - 1)
    first_v = max(math.ceil(min(v0, v1, v2) - INSIDE_PX2), 0)
    last_v = min(math.floor(max(v0, v1, v2) + INSIDE_PX2), inverse_m.shape[0] - 1)
    area = (u1 - u0) * (v2 - v0) - (u2 - u0) * (v1 - v0)
    if area <= 0.0 or first_u > last_u or first_v > last_v:
        return
    scale = 1.0 / area
    for v in range(first_v, last_v + 1):
        for u in range(first_u, last_u + 1):
            e1 = (u - u0) * (v2 - v0) - (u2 - u0) * (v - v0)
            e2 = (u1 - u0) * (v - v0) - (u - u0) * (v1 - v0)
            e0 = area - e1 - e2
            if e0 >= -INSIDE_PX2 and e1 >= -INSIDE_PX2 and e2 >= -INSIDE_PX2:
                # 1/z is linear over the image of a plane
                w = w0 + scale * (e1 * (w1 - w0) + e2 * (w2 - w0))
                if w > inverse_m[v, u]:
                    inverse_m[v, u] = w
                    nearest = sources[0] if e0 >= e1 else sources[1]
                    source[v, u] = nearest if max(e0, e1) >= e2 else sources[2]


@njit(inline="always", error_model="numpy")
def _place(depth_m: Any, rays: Any, t_target: Any, camera: Any, kept_m: Any, placed: Any) -> None:
    """Project one row into the target: u, v, 1/z (W 3), and the depths (W) with 0 where it is not seen."""
    fx, fy, cx, cy = camera
    for j in range(depth_m.size):
        depth = float(depth_m[j])
        z = depth * rays[2, j] + t_target[2]
        w = 1.0 / z
        kept_m[j] = depth if z > NEAREST_M else 0.0
        placed[j, 0] = fx * (depth * rays[0, j] + t_target[0]) * w + cx
        placed[j, 1] = fy * (depth * rays[1, j] + t_target[1]) * w + cy
        placed[j, 2] = w


@njit(cache=True, error_model="numpy")
def rasterise(
    depth_m: Any, rays: Float64, t_target: Float64, camera: tuple[float, float, float, float], share: float,
    inverse_m: Float64, source: NDArray[np.int32],
) -> None:  # fmt: skip
    """Draw the triangles between neighbouring depth pixels into the target camera.

    Args:
        depth_m: (H W), 0 is invalid.
        rays: (3 H W), ray of each depth pixel turned into the target's axes; its depth times it, plus t_target,
            is the point.
        camera: fx, fy, cx, cy of the target in px.
        share: depths join when they differ by less than this share of the nearer; over a diagonal sqrt(2)
            times as much.
        inverse_m: (h w), 1/z of the nearest surface in 1/m, 0 at first; written.
        source: (h w), depth pixel (flat index) with the largest weight; written where anything is seen.
    """
    height, width = depth_m.shape
    across = share * math.sqrt(2.0)
    d = np.zeros((2, width))
    p = np.zeros((2, width, 3))
    for row in range(height):
        now, before = row % 2, 1 - row % 2
        _place(depth_m[row], rays[:, row], t_target, camera, d[now], p[now])
        if row == 0:
            continue
        for j in range(width - 1):
            d00, d01, d10, d11 = d[before, j], d[before, j + 1], d[now, j], d[now, j + 1]
            i00, i10 = (row - 1) * width + j, row * width + j
            p00 = (p[before, j, 0], p[before, j, 1], p[before, j, 2])
            p01 = (p[before, j + 1, 0], p[before, j + 1, 1], p[before, j + 1, 2])
            p10 = (p[now, j, 0], p[now, j, 1], p[now, j, 2])
            p11 = (p[now, j + 1, 0], p[now, j + 1, 1], p[now, j + 1, 2])
            if _joined(d01, d10, across):
                if _joined(d00, d01, share) and _joined(d00, d10, share):
                    _fill((p00, p01, p10), (i00, i00 + 1, i10), inverse_m, source)
                if _joined(d11, d01, share) and _joined(d11, d10, share):
                    _fill((p01, p11, p10), (i00 + 1, i10 + 1, i10), inverse_m, source)
            elif _joined(d00, d11, across):
                if _joined(d01, d00, share) and _joined(d01, d11, share):
                    _fill((p00, p01, p11), (i00, i00 + 1, i10 + 1), inverse_m, source)
                if _joined(d10, d00, share) and _joined(d10, d11, share):
                    _fill((p00, p11, p10), (i00, i10 + 1, i10), inverse_m, source)
