"""The pixels of a mask: the box that holds them, and the points that a depth camera sees there."""

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]


def mask_box(mask: Bool, *, ring_px: int = 0) -> tuple[slice, slice]:
    """Rows and columns that hold a mask (H W) and as many pixels around it as there are; both empty of an empty one."""
    spans = []
    for axis in (1, 0):
        lines = np.flatnonzero(mask.any(axis=axis))
        if not len(lines):
            return slice(0, 0), slice(0, 0)
        end = min(int(lines[-1]) + 1 + ring_px, mask.shape[1 - axis])
        spans.append(slice(max(0, int(lines[0]) - ring_px), end))
    return spans[0], spans[1]


def masked_points(mask: Bool, depth_m: NDArray[np.float32], K: Float64) -> Float64:
    """Points (N 3) in the camera frame of a mask's pixels (H W), row by row; nothing beside it is read."""
    rows, columns = mask_box(mask)
    part = mask[rows, columns]
    v, u = np.nonzero(part)
    z = depth_m[rows, columns][part].astype(np.float64)
    across = (u + columns.start - K[0, 2]) / K[0, 0]
    down = (v + rows.start - K[1, 2]) / K[1, 1]
    return np.stack([across * z, down * z, z], axis=-1)
