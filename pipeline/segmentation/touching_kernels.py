"""Compiled shortest ways over a depth map; import only through `pipeline.segmentation.touching`."""

import heapq

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Bool = NDArray[np.bool_]

REACH_PX = 6  # a hole that a way may jump


@njit(nogil=True, cache=True)
def nearest_along(depth_m: Float32, piece: Bool, seeds: Int32, costs: Float64) -> Int32:
    """The seed (H W) to which the way over the piece's pixels is shortest; 0 outside, and where no way leads.

    Dijkstra's algorithm; equal ways go to the seed whose pixel comes first.

    Args:
        seeds: (H W) 1 and up where a seed is, else 0.
        costs: (3,) metres per px and metre of depth; way per metre of a step; metres of it that are free per
            metre of depth.
    """
    height, width = depth_m.shape
    way = np.full(height * width, np.inf)
    owner = np.zeros((height, width), dtype=np.int32)
    queue = [(0.0, 0)]
    queue.pop()
    for v in range(height):
        for u in range(width):
            if seeds[v, u] > 0 and piece[v, u]:
                way[v * width + u] = 0.0
                owner[v, u] = seeds[v, u]
                queue.append((0.0, v * width + u))
    while len(queue) > 0:
        so_far, i = heapq.heappop(queue)
        if so_far > way[i]:
            continue
        v, u = i // width, i % width
        z = depth_m[v, u]
        for dv, du in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            for jump in range(1, REACH_PX + 1):
                y, x = v + jump * dv, u + jump * du
                if not (0 <= y < height and 0 <= x < width):
                    break
                if piece[y, x]:
                    step = abs(depth_m[y, x] - z)
                    cost = costs[0] * z * jump + costs[1] * max(0.0, step - costs[2] * z * jump)
                    j = y * width + x
                    if so_far + cost < way[j]:
                        way[j] = so_far + cost
                        owner[y, x] = owner[v, u]
                        heapq.heappush(queue, (so_far + cost, j))
                    break
    return owner
