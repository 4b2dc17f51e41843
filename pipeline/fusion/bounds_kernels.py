"""Compiled loop behind `pipeline.fusion.bounds.touched_blocks`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

KEY_BITS = 21  # three signed block coordinates share one int64
KEY_OFFSET = 1 << (KEY_BITS - 1)


@njit(cache=True)
def insert_touched(
    depth_m: NDArray[np.float32],
    camera: NDArray[np.float64],
    world_from_cam: NDArray[np.float64],
    band: tuple[float, float, int, int],
    table: NDArray[np.int64],
) -> int:
    """Insert the keys of all blocks on the rays' truncation bands into an open-addressing table.

    Args:
        camera: fx, fy, cx, cy in px.
        band: block_m, trunc_m, number of sample steps over the band, stride_px.
        table: power-of-two length, -1 where empty.

    Returns:
        How many keys were inserted; -1 when the table is three quarters full, -2 when a block lies beyond
        the key's range.
    """
    block_m, trunc_m, steps, stride = band
    height, width = depth_m.shape
    wrap = table.size - 1
    limit = table.size * 3 // 4
    count = 0
    last = np.full(steps + 1, -1, np.int64)
    R = world_from_cam
    for v in range(stride // 2, height, stride):
        for u in range(stride // 2, width, stride):
            z = depth_m[v, u]
            if not z > 0:
                continue
            x_cam, y_cam = (u - camera[2]) / camera[0], (v - camera[3]) / camera[1]
            dx = (R[0, 0] * x_cam + R[0, 1] * y_cam + R[0, 2]) / block_m
            dy = (R[1, 0] * x_cam + R[1, 1] * y_cam + R[1, 2]) / block_m
            dz = (R[2, 0] * x_cam + R[2, 1] * y_cam + R[2, 2]) / block_m
            for step in range(steps + 1):
                t = max(z + trunc_m * (2.0 * step / steps - 1.0), 0.0)
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
