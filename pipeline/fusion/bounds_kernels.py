"""Compiled loops that follow the truncation bands of rays through blocks; import through `pipeline.fusion.bounds`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

# voxel_m; the band's half width and its largest, m; how many standard deviations of the depth it is at least;
# one of those at no distance, m, and what a square metre of squared distance adds, 1/m
Band = tuple[float, float, float, float, float, float]

SIDE = 8  # voxels along a block
# How far bands reach behind the surface: the larger, or half the width. What poses are off by grows with range as
# noise does; twenty of its spreads bridge it.
BEHIND_VOXELS, BEHIND_SIGMAS = 6.0, 20.0
FULL, OUTSIDE = -1, -2

KEY_BITS = 21  # three signed block coordinates share one int64
KEY_OFFSET = 1 << (KEY_BITS - 1)


@njit(inline="always")
def band_ends(z: float, band: Band) -> tuple[float, float]:
    """Where the band of a pixel with this depth begins and ends, z in m."""
    voxel_m, trunc_m, most_m, sigmas, noise_m, noise_per_m = band
    sigma_m = noise_m + noise_per_m * z * z
    half_m = min(max(trunc_m, sigmas * sigma_m), most_m)
    return max(z - half_m, 0.0), z + min(max(BEHIND_VOXELS * voxel_m, BEHIND_SIGMAS * sigma_m), half_m)


@njit(cache=True)
def band_steps(band: Band, block_m: float) -> int:
    """Into how many steps a band is cut so that they are at most half a block long."""
    return int(np.ceil(4 * band[2] / block_m)) + 1


@njit(cache=True)
def insert_touched(
    depth_m: Float32, camera: tuple[Float64, Float64], band: Band, steps: tuple[float, int], table: Int64
) -> int:
    """Insert the keys of all blocks on the rays' truncation bands into an open-addressing table.

    Args:
        camera: fx, fy, cx, cy in px; world_from_cam (4 4).
        steps: block_m; px between rays, in both directions.
        table: power-of-two length, -1 where empty.

    Returns:
        How many keys were inserted; -1 when the table is three quarters full, -2 when a block lies beyond
        the key's range.
    """
    block_m, stride = steps
    samples = band_steps(band, block_m)
    height, width = depth_m.shape
    wrap = table.size - 1
    limit = table.size * 3 // 4
    count = 0
    last = np.full(samples + 1, -1, np.int64)
    K, R = camera
    for v in range(stride // 2, height, stride):
        for u in range(stride // 2, width, stride):
            z = depth_m[v, u]
            if not z > 0:
                continue
            begin_m, end_m = band_ends(z, band)
            x_cam, y_cam = (u - K[2]) / K[0], (v - K[3]) / K[1]
            dx = (R[0, 0] * x_cam + R[0, 1] * y_cam + R[0, 2]) / block_m
            dy = (R[1, 0] * x_cam + R[1, 1] * y_cam + R[1, 2]) / block_m
            dz = (R[2, 0] * x_cam + R[2, 1] * y_cam + R[2, 2]) / block_m
            for step in range(samples + 1):
                t = begin_m + (end_m - begin_m) * step / samples
                i = np.int64(np.floor(dx * t + R[0, 3] / block_m)) + KEY_OFFSET
                j = np.int64(np.floor(dy * t + R[1, 3] / block_m)) + KEY_OFFSET
                k = np.int64(np.floor(dz * t + R[2, 3] / block_m)) + KEY_OFFSET
                if (i | j | k) >> KEY_BITS != 0:
                    return -2
                key = (k << (2 * KEY_BITS)) | (j << KEY_BITS) | i
                if key == last[step]:  # the neighbouring ray went through the same block
                    continue
                last[step] = key
                slot = (key * np.int64(0x9E3779B97F4A7C1 | 1) >> 20) & wrap
                while table[slot] != -1 and table[slot] != key:
                    slot = (slot + 1) & wrap
                if table[slot] == -1:
                    table[slot] = key
                    count += 1
                    if count > limit:
                        return -1
    return count


@njit(cache=True, error_model="numpy")
def touch(
    depth_m: Float32,
    camera: tuple[Float64, Float64],
    band: Band,
    stride: int,
    grid: tuple[Int32, Int64, Int64],
    blocks: tuple[Int32, Int32, Int32, Int64],
) -> int:
    """Give every block on the truncation bands of a view's rays a place, and list those blocks.

    Args:
        camera: fx, fy, cx, cy in px; world_from_cam (4 4).
        stride: px between rays, in both directions.
        grid: the dense index (I J K), its first block's coordinate (3), and room for the smallest and largest
            coordinate met (2 3).
        blocks: coordinates (C 3); number of the view that last met a block (C); the list (C); and the counts
            of blocks, of listed ones, and the view's number (3).

    Returns:
        0; FULL where a block more does not fit; OUTSIDE where one lies beside the index, after looking at all.
    """
    block_m = SIDE * band[0]
    steps = band_steps(band, block_m)
    index, first, reach = grid
    K, R = camera
    state, per_block = 0, 1.0 / block_m
    # In blocks of the index.
    ox, oy, oz = (
        R[0, 3] * per_block - first[0],
        R[1, 3] * per_block - first[1],
        R[2, 3] * per_block - first[2],
    )
    ends = np.full((2, 3), -1, np.int64)
    for v in range(stride // 2, depth_m.shape[0], stride):
        for u in range(stride // 2, depth_m.shape[1], stride):
            z = depth_m[v, u]
            if not z > 0:
                continue
            begin_m, end_m = band_ends(z, band)
            x, y = (u - K[2]) / K[0], (v - K[3]) / K[1]
            dx = (R[0, 0] * x + R[0, 1] * y + R[0, 2]) * per_block
            dy = (R[1, 0] * x + R[1, 1] * y + R[1, 2]) * per_block
            dz = (R[2, 0] * x + R[2, 1] * y + R[2, 2]) * per_block
            alike = True
            for end in range(2):
                t = begin_m if end == 0 else end_m
                i, j, k = np.floor(dx * t + ox), np.floor(dy * t + oy), np.floor(dz * t + oz)
                alike = alike and i == ends[end, 0] and j == ends[end, 1] and k == ends[end, 2]
                ends[end, 0], ends[end, 1], ends[end, 2] = i, j, k
            if alike:  # the neighbouring ray went through the same blocks
                continue
            for step in range(steps + 1):
                t = begin_m + (end_m - begin_m) * step / steps
                i, j, k = (
                    np.int64(np.floor(dx * t + ox)),
                    np.int64(np.floor(dy * t + oy)),
                    np.int64(np.floor(dz * t + oz)),
                )
                inside = 0 <= i < index.shape[0] and 0 <= j < index.shape[1] and 0 <= k < index.shape[2]
                if not inside:
                    _reach_out(reach, i + first[0], j + first[1], k + first[2])
                    state = OUTSIDE
                    continue
                if not _list_block((i, j, k), index, first, blocks):
                    return FULL
    return state


@njit(inline="always")
def _list_block(
    at: tuple[np.int64, np.int64, np.int64],
    index: Int32,
    first: Int64,
    blocks: tuple[Int32, Int32, Int32, Int64],
) -> bool:
    """Put a block of the index on the view's list, and into the volume where it is new; False where it is full."""
    coordinates, met, listed, counts = blocks
    block = index[at]
    if block < 0:
        if counts[0] == len(coordinates):
            return False
        block = counts[0]
        counts[0] += 1
        index[at] = block
        for axis in range(3):
            coordinates[block, axis] = at[axis] + first[axis]
    if met[block] != counts[2]:
        met[block] = counts[2]
        listed[counts[1]] = block
        counts[1] += 1
    return True


@njit(cache=True)
def _reach_out(reach: Int64, i: int, j: int, k: int) -> None:
    reach[0, 0], reach[1, 0] = min(reach[0, 0], i), max(reach[1, 0], i)
    reach[0, 1], reach[1, 1] = min(reach[0, 1], j), max(reach[1, 1], j)
    reach[0, 2], reach[1, 2] = min(reach[0, 2], k), max(reach[1, 2], k)


@njit(cache=True)
def fill_index(index: Int32, first: Int64, coordinates: Int32, count: int) -> None:
    for block in range(count):
        i = coordinates[block, 0] - first[0]
        j = coordinates[block, 1] - first[1]
        index[i, j, coordinates[block, 2] - first[2]] = block
