"""The compiled end of a projective map; import only through `pipeline.voxels.grids`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@njit(nogil=True, cache=True, error_model="numpy")
def shift_and_divide(turned: Float64, shift: Float64) -> tuple[Float64, int]:
    """xyz / w (N 3) of homogeneous points (N 4) that are moved by a shift (4), and how many have no w above 0."""
    points, wrong = np.zeros((len(turned), 3)), 0
    for i in range(len(turned)):
        w = turned[i, 3] + shift[3]
        wrong += not w > 0
        for axis in range(3):
            points[i, axis] = (turned[i, axis] + shift[axis]) / w
    return points, wrong
