"""Compiled loops of the sparse volume; import only through `pipeline.fusion.volume`.

A block's 512 voxels go through short loops over one scratch row each: every loop is contiguous, without a
branch, and touches few arrays, which is what lets the compiler put 8 or 16 voxels into one register. Only the
look-up of a voxel's pixel stays scalar; its depth, slope and weight share one word, so that it is one look-up.
Blocks are independent and each is summed by one thread in one order: the number of threads changes no bit.
"""

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from pipeline.fusion.bounds_kernels import BEHIND_SIGMAS, BEHIND_VOXELS, SIDE, Band
from pipeline.fusion.packing_kernels import DEPTH_STEPS, REORDER, SLOPE_STEPS, TILT_STEPS, WEIGHT_STEPS

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int16 = NDArray[np.int16]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]
UInt16 = NDArray[np.uint16]
UInt32 = NDArray[np.uint32]
UInt64 = NDArray[np.uint64]

VOXELS = SIDE**3
NEAR_VOXELS = 2.0  # a crossing between two voxels of any cell leaves both closer to it than this
FULL_SHARE = 1 / 3  # of the reach behind the surface, before weights begin to fade
CHUNK = 32  # blocks that share scratch memory

# A distance is held as the whole step below it, of 2^15 on either side: the middle of a step stands for it, so
# that rounding is even and none is exactly 0. A spread is held in the same unit with 2^16 steps.
DISTANCE_STEPS = 32768.0
SPREAD_STEPS = 65535.0
MOST_WEIGHT = 65535.0


@njit(cache=True)
def lattice(cam_from_world: Float64, voxel_m: float) -> Float32:
    """Camera coordinates (3 * 512) of a block's voxels relative to its first one, x varying fastest."""
    offsets = np.zeros(3 * VOXELS, np.float32)
    for n in range(VOXELS):
        i, j, k = n % SIDE, n // SIDE % SIDE, n // (SIDE * SIDE)
        for axis in range(3):
            R = cam_from_world[axis]
            offsets[axis * VOXELS + n] = voxel_m * (R[0] * i + R[1] * j + R[2] * k)
    return offsets


@njit(parallel=True, cache=True, fastmath=REORDER, error_model="numpy")
def integrate_blocks(
    packed: tuple[UInt64, UInt32],
    camera: tuple[Float64, Float64, int, int],
    band: Band,
    where: tuple[Int32, Int32, float],
    state: tuple[Int16, UInt16, UInt16, UInt8, UInt16, UInt8],
) -> None:
    """Add a packed view to the running means of all listed blocks.

    Args:
        packed: of `pack_view` and `pack_colour`; no pixels where there is no colour.
        camera: fx, fy, cx, cy in px; cam_from_world (4 4); height, width.
        band: as the view's blocks were found with.
        where: listed blocks (L), coordinates (C 3); the weight, in steps, at which a mean begins to forget.
        state: distance, spread, weight, count, each (C 512), colour (C 3 512), and whether a
            block holds surface (C).
    """
    listed, coordinates, most_weight = where
    voxel_m = band[0]
    words, pixels = packed
    distance, spread, weight, count, colour, near = state
    close = np.float32(NEAR_VOXELS * voxel_m * DISTANCE_STEPS / band[2])
    offsets = lattice(camera[1], voxel_m)
    for chunk in prange((len(listed) + CHUNK - 1) // CHUNK):
        scratch = np.zeros(4 * VOXELS, np.float32)
        seen, pixel = np.zeros(2 * VOXELS, np.uint32), np.zeros(VOXELS, np.int32)
        start: Any = np.int64(chunk) * CHUNK
        for n in range(start, min(start + CHUNK, len(listed))):
            block = listed[n]
            _project(offsets, coordinates[block], camera, voxel_m, (scratch, pixel))
            for i in range(VOXELS):
                word = words[pixel[i]]
                seen[i], seen[VOXELS + i] = np.uint32(word), np.uint32(word >> np.uint64(32))
            if _measure(seen, band, scratch):
                _weigh(scratch, weight[block], count[block], most_weight)
                _average(scratch, distance[block], spread[block])
                near[block] = _holds_surface(distance[block], count[block], close)
                if pixels.size > 0:
                    _paint(pixels, pixel, scratch, colour[block])


@njit(cache=True, fastmath=REORDER, error_model="numpy")
def _project(
    offsets: Float32, coordinate: Int32, camera: Any, voxel_m: float, out: tuple[Float32, Int32]
) -> None:
    """The pixel that each voxel falls into, the last one for none; and, into the scratch's first rows, its depth
    and its place in the pixel, right and down of the middle."""
    K, cam_from_world, height, width = camera
    scratch, pixel = out
    side_m = SIDE * voxel_m
    i, j, k = coordinate[0] * side_m, coordinate[1] * side_m, coordinate[2] * side_m
    T = cam_from_world
    x0 = np.float32(T[0, 0] * i + T[0, 1] * j + T[0, 2] * k + T[0, 3])
    y0 = np.float32(T[1, 0] * i + T[1, 1] * j + T[1, 2] * k + T[1, 3])
    z0 = np.float32(T[2, 0] * i + T[2, 1] * j + T[2, 2] * k + T[2, 3])
    fx, fy, half, near = np.float32(K[0]), np.float32(K[1]), np.float32(0.5), np.float32(1e-3)
    cx, cy, w, h = np.float32(K[2] + 0.5), np.float32(K[3] + 0.5), np.float32(width), np.float32(height)
    zero, one = np.float32(0), np.float32(1)
    for n in range(VOXELS):
        z = z0 + offsets[2 * VOXELS + n]
        inverse = one / max(z, near)
        across, down = fx * (x0 + offsets[n]) * inverse + cx, fy * (y0 + offsets[VOXELS + n]) * inverse + cy
        u, v = np.floor(across), np.floor(down)
        seen = (z > near) & (u >= zero) & (u < w) & (v >= zero) & (v < h)
        scratch[n] = z
        scratch[VOXELS + n], scratch[2 * VOXELS + n] = across - u - half, down - v - half
        pixel[n] = np.int32(v * w + u if seen else h * w)  # exact in float32 up to 2^24 pixels


@njit(cache=True, fastmath=REORDER, error_model="numpy")
def _measure(words: UInt32, band: Band, scratch: Float32) -> Any:
    """Turn depths in the scratch into distances, in steps, and fill in weights; whether any voxel has one.

    Args:
        words: the low halves (512) of the voxels' pixels' words, and their high halves (512).
    """
    trunc, most, sigmas = np.float32(band[1]), np.float32(band[2]), np.float32(band[3])
    noise, behind_m = np.float32(band[4] * np.sqrt(WEIGHT_STEPS)), np.float32(BEHIND_VOXELS * band[0])
    behind_sigmas, kept = np.float32(BEHIND_SIGMAS), np.float32(FULL_SHARE)
    steps, top = np.float32(DISTANCE_STEPS / band[2]), np.float32(DISTANCE_STEPS - 0.5)
    per_metre, per_slope = np.float32(1 / DEPTH_STEPS), np.float32(1 / SLOPE_STEPS)
    per_tilt, flat = np.float32(1 / TILT_STEPS), np.float32(128)
    zero, one, any_weight = np.float32(0), np.float32(1), np.float32(0)
    byte = np.uint32(0xFF)
    for n in range(VOXELS):
        low, high = words[n], words[VOXELS + n]
        depth = np.float32(low & np.uint32(0xFFFFFF)) * per_metre
        weight = np.float32(low >> np.uint32(24))
        slope = np.float32(high & np.uint32(0xFFFF)) * per_slope
        tilt_u = (np.float32((high >> np.uint32(16)) & byte) - flat) * per_tilt
        tilt_v = (np.float32(high >> np.uint32(24)) - flat) * per_tilt
        sigma = noise * np.sqrt(slope / max(weight, one))
        half = min(max(trunc, sigmas * sigma), most)
        behind = min(max(behind_m, behind_sigmas * sigma), half)
        surface = depth / (one + tilt_u * scratch[VOXELS + n] + tilt_v * scratch[2 * VOXELS + n])
        ahead = surface - scratch[n]
        seen = (depth > zero) & (ahead > -behind)
        # Faded along the ray: what a view does not see for the surface before it shall have no say from there.
        fading = min((ahead / behind + one) / (one - kept), one)
        distance = min(ahead * slope, half)
        weight = np.ceil(weight * fading) if seen else zero
        scratch[n] = min(max(distance * steps, -top), top)
        scratch[VOXELS + n] = weight
        any_weight += weight
    return any_weight > zero


@njit(cache=True, fastmath=REORDER, error_model="numpy")
def _weigh(scratch: Float32, weight: UInt16, count: UInt8, most: float) -> None:
    """Add up weights and counts; leave each new weight's share of its sum in the scratch's third row."""
    zero, one, full, limit = np.float32(0), np.float32(1), np.float32(255), np.float32(most)
    for n in range(VOXELS):
        new = scratch[VOXELS + n]
        total = min(np.float32(weight[n]) + new, limit)
        scratch[2 * VOXELS + n] = new / max(total, one)
        weight[n] = np.uint16(total)
    for n in range(VOXELS):
        seen = one if scratch[VOXELS + n] > zero else zero
        count[n] = np.uint8(min(np.float32(count[n]) + seen, full))


@njit(cache=True, fastmath=REORDER, error_model="numpy")
def _average(scratch: Float32, distance: Int16, spread: UInt16) -> None:
    """Move the means by the shares of their differences, and the spread along with them."""
    half, one, unit = np.float32(0.5), np.float32(1), np.float32(DISTANCE_STEPS / SPREAD_STEPS)
    top = np.float32(SPREAD_STEPS)
    for n in range(VOXELS):
        old = np.float32(distance[n]) + half
        change = scratch[n] - old
        scratch[3 * VOXELS + n] = change
        distance[n] = np.int16(np.floor(old + scratch[2 * VOXELS + n] * change))
    for n in range(VOXELS):
        share, change = scratch[2 * VOXELS + n], scratch[3 * VOXELS + n]
        old = np.float32(spread[n]) * unit
        variance = (one - share) * (old * old + share * change * change)
        spread[n] = np.uint16(min(np.sqrt(variance) / unit + half, top))


@njit(cache=True, fastmath=REORDER, error_model="numpy")
def _holds_surface(distance: Int16, count: UInt8, close: Any) -> Any:
    zero, one, found = np.float32(0), np.float32(1), np.float32(0)
    for n in range(VOXELS):
        here = (abs(np.float32(distance[n])) < close) & (count[n] > 0)
        found += one if here else zero
    return found > zero


@njit(cache=True, fastmath=REORDER, error_model="numpy")
def _paint(pixels: UInt32, pixel: Int32, scratch: Float32, colour: UInt16) -> None:
    """Move the mean colour of each voxel by the share in the scratch's third row."""
    low, half, unit = np.uint32(0xFF), np.float32(0.5), np.float32(256)
    seen = np.zeros(VOXELS, np.uint32)
    for n in range(VOXELS):
        seen[n] = pixels[pixel[n]]
    for channel in range(3):
        mean, shift = colour[channel], np.uint32(8 * channel)
        for n in range(VOXELS):
            old = np.float32(mean[n])
            new = np.float32((seen[n] >> shift) & low) * unit
            mean[n] = np.uint16(old + scratch[2 * VOXELS + n] * (new - old) + half)
