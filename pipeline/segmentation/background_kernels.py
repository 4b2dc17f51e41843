"""Compiled far depth of several maps; import only through `pipeline.segmentation.room`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


@njit(nogil=True, cache=True)
def far_depth(maps_m: Float32, used: Bool, near: Float64, least: int) -> Float32:
    """The farthest depth (H W) that `least` of the maps (F H W) agree on at each pixel; 0 where none does.

    Args:
        used: (F H W) which values may be taken.
        near: (2,) how far values of one surface part, in metres, and per squared metre.
    """
    many, height, width = maps_m.shape
    out = np.zeros((height, width), dtype=np.float32)
    values = np.zeros(many, dtype=np.float32)
    for v in range(height):
        for u in range(width):
            count = 0
            for f in range(many):
                if maps_m[f, v, u] > 0 and used[f, v, u]:
                    z = maps_m[f, v, u]
                    j = count
                    while j > 0 and values[j - 1] < z:
                        values[j] = values[j - 1]
                        j -= 1
                    values[j] = z
                    count += 1
            for i in range(count - least + 1):
                tolerance = near[0] + near[1] * values[i] * values[i]
                agreeing = i
                while agreeing < count and values[i] - values[agreeing] <= tolerance:
                    agreeing += 1
                if agreeing - i >= least:
                    out[v, u] = values[i + (agreeing - i) // 2]
                    break
    return out
