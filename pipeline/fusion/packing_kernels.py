"""A view in one word per pixel, as the volume looks it up; import only through `pipeline.fusion.volume`."""

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt32 = NDArray[np.uint32]
UInt64 = NDArray[np.uint64]

# Reordering lets the loops run in vector registers. NaN and infinity keep their meaning.
REORDER = {"contract", "nsz", "arcp", "reassoc"}
WEIGHT_STEPS = 128.0  # steps of weight 1

# A pixel's word, from the low bits up: depth (24), weight (8), slope (16), relative change of the inverse depth by
# a pixel to the right and by one down (8 each).
DEPTH_STEPS = 250_000.0  # per metre: 4 um, up to 67 m
SLOPE_STEPS = 32767.0  # steps of slope 1: twice that fits
TILT_STEPS = 127 / 0.03  # steeper than a change of 3 % by a pixel is an edge
EDGE_WEIGHT = 0.1  # of a pixel with no neighbour on its surface, to one side or above and below


@njit(inline="always")
def _tilt(q: Any, before: Any, after: Any, span: Any) -> Any:
    """Change of the inverse depth by a pixel, from the neighbours (z, 0 for none) that lie on the same surface."""
    zero, most, one = np.float32(0), np.float32(0.06), np.float32(1)
    first = one - one / (q * before) if before > zero else one
    second = one / (q * after) - one if after > zero else one
    has_first, has_second = abs(first) < most, abs(second) < most
    sides = (one if has_first else zero) + (one if has_second else zero)
    first, second = first if has_first else zero, second if has_second else zero
    return (first + second) / (span * max(sides, one)), sides


@njit(inline="always")
def _word(z: Any, around: Any, ray: Any, focal: Any, sigma: Any, floor_m: Any) -> Any:
    """A pixel's word; around are the depths two pixels left, right, above and below, ray is (x, y) at z = 1."""
    one, zero, half, two = np.float32(1), np.float32(0), np.float32(0.5), np.float32(2)
    used = (z > zero) & (z < np.float32(2**24 / DEPTH_STEPS))
    q = one / (z if used else one)
    tilt_u, sides_u = _tilt(q, around[0], around[1], two)
    tilt_v, sides_v = _tilt(q, around[2], around[3], two)
    # The plane is a x + b y + c z = 1: on it, the inverse depth is linear in the pixel.
    a, b = focal[0] * tilt_u, focal[1] * tilt_v
    c = one - a * ray[0] - b * ray[1]
    slope = one / np.sqrt(a * a + b * b + c * c)
    cosine = slope / np.sqrt(ray[0] * ray[0] + ray[1] * ray[1] + one)
    ratio = floor_m / max(sigma, floor_m)
    trust = one if (sides_u > zero) & (sides_v > zero) else np.float32(EDGE_WEIGHT)
    weight = max(np.float32(WEIGHT_STEPS) * cosine * ratio * ratio * trust + half, one)
    low = np.uint32(z * np.float32(DEPTH_STEPS) + half) | (np.uint32(weight) << np.uint32(24))
    high = np.uint32(min(slope, two) * np.float32(SLOPE_STEPS) + half)
    high |= np.uint32(tilt_u * np.float32(TILT_STEPS) + np.float32(128.5)) << np.uint32(16)
    high |= np.uint32(tilt_v * np.float32(TILT_STEPS) + np.float32(128.5)) << np.uint32(24)
    word = np.uint64(low) | (np.uint64(high) << np.uint64(32))
    return word if used else np.uint64(0)


@njit(parallel=True, cache=True, fastmath=REORDER, error_model="numpy")
def pack_view(depth_m: Float32, sigma_m: Float32, camera: Float64, noise: tuple[float, float]) -> UInt64:
    """One word per pixel, and one of nothing at the end.

    The tangent plane of a pixel is that through it and its neighbours two pixels away, of those that lie on
    the same surface. The slope is how much the distance to it changes with z along the pixel's ray.

    Args:
        sigma_m: (H W), or (0 0) for the one that follows from the depth.
        camera: fx, fy, cx, cy in px.
        noise: standard deviation at no distance, m, and what a square metre of squared distance adds, 1/m.
    """
    height, width = depth_m.shape
    words = np.zeros(height * width + 1, np.uint64)
    fx, fy, cx, cy = (
        np.float32(camera[0]),
        np.float32(camera[1]),
        np.float32(camera[2]),
        np.float32(camera[3]),
    )
    floor_m, per_m, given = np.float32(noise[0]), np.float32(noise[1]), sigma_m.size > 0
    for row in prange(height):
        v: Any = np.int64(row)
        # A border of two pixels, so that no look-up asks where the image ends.
        wide, sigma = np.zeros(width + 4, np.float32), np.zeros(width, np.float32)
        wide[2 : width + 2] = depth_m[v]
        nothing = np.zeros(width, np.float32)
        above, below = depth_m[v - 2] if v >= 2 else nothing, depth_m[v + 2] if v + 2 < height else nothing
        for u in range(width):
            sigma[u] = floor_m + per_m * wide[u + 2] * wide[u + 2]
        if given:
            sigma[:] = sigma_m[v]
        y, out = (np.float32(v) - cy) / fy, words[v * width : (v + 1) * width]
        for u in range(width):
            around, ray = (wide[u], wide[u + 4], above[u], below[u]), ((np.float32(u) - cx) / fx, y)
            out[u] = _word(wide[u + 2], around, ray, (fx, fy), sigma[u], floor_m)
    return words


@njit(parallel=True, cache=True)
def pack_colour(rgb: NDArray[np.uint8]) -> UInt32:
    """One word per pixel (H W 3), and one at the end: red, green, blue from the low byte up."""
    height, width = rgb.shape[0], rgb.shape[1]
    words = np.zeros(height * width + 1 if height else 0, np.uint32)
    for v in prange(height):
        for u in range(width):
            red, green, blue = np.uint32(rgb[v, u, 0]), np.uint32(rgb[v, u, 1]), np.uint32(rgb[v, u, 2])
            words[v * width + u] = red | (green << np.uint32(8)) | (blue << np.uint32(16))
    return words
