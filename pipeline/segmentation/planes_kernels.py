"""Compiled vote of points for planes; import only through `pipeline.segmentation.planes`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@njit(nogil=True, cache=True)
def count_near(points: Float64, normals: Float64, offsets: Float64, near_m: float) -> NDArray[np.int64]:
    """How many points (N 3) lie within near_m of each plane (S 3), (S)."""
    votes = np.zeros(len(normals), dtype=np.int64)
    for plane in range(len(normals)):
        a, b, c, d = normals[plane, 0], normals[plane, 1], normals[plane, 2], offsets[plane]
        count = 0
        for i in range(len(points)):
            distance = a * points[i, 0] + b * points[i, 1] + c * points[i, 2] + d
            count += -near_m < distance < near_m
        votes[plane] = count
    return votes
