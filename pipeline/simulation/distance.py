"""Signed distances to simple solids and their smooth unions; metres, negative inside.

The polynomial smooth minimum is Quilez, "Smooth minimum" (iquilezles.org, 2013); distances are first order
near the surface, which is all that an iso-surface needs.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]


def capsule(points: Float64, ends: tuple[ArrayLike, ArrayLike], radii_m: tuple[float, float]) -> Float64:
    """Distance (N) of points (N 3) to a tapered capsule between two ends (3,) with a radius at each."""
    start, end = (np.asarray(point, dtype=np.float64) for point in ends)
    axis = end - start
    along = np.clip((points - start) @ axis / (axis @ axis), 0.0, 1.0)
    nearest = start + along[:, None] * axis
    return np.asarray(
        np.linalg.norm(points - nearest, axis=1) - radii_m[0] - along * (radii_m[1] - radii_m[0]),
        dtype=np.float64,
    )


def ellipsoid(points: Float64, centre: ArrayLike, radii_m: ArrayLike, axes: Float64 | None = None) -> Float64:
    """Distance (N) of points (N 3) to an ellipsoid.

    Args:
        axes: (3 3) whose rows are the ellipsoid's own axes; None for the frame's axes.
    """
    local = points - np.asarray(centre)
    if axes is not None:
        local = local @ axes.T
    scaled = local / np.asarray(radii_m)
    length = np.linalg.norm(scaled, axis=1)
    slope = np.linalg.norm(scaled / np.asarray(radii_m), axis=1)
    # First order: value over gradient length; the centre, where both vanish, is one radius deep.
    return np.asarray(length * (length - 1.0) / np.maximum(slope, 1e-9), dtype=np.float64)


def elliptic_column(points: Float64, profile: Float64) -> Float64:
    """Distance (N) of points (N 3) to an upright column of elliptic cross-sections, flat at both ends.

    Args:
        profile: (K 4) rows of height y, half width along x, half depth along z, and the centre's z; ascending
            in y, in metres.
    """
    height = points[:, 1]
    half_x, half_z, centre_z = (np.interp(height, profile[:, 0], column) for column in profile[:, 1:].T)
    x, z = points[:, 0] / half_x, (points[:, 2] - centre_z) / half_z
    length = np.hypot(x, z)
    around = length * (length - 1.0) / np.maximum(np.hypot(x / half_x, z / half_z), 1e-9)
    ends = np.maximum(profile[0, 0] - height, height - profile[-1, 0])
    return np.asarray(np.maximum(around, ends), dtype=np.float64)


def smooth_union(first: Float64, second: Float64, blend_m: float) -> Float64:
    """The smaller distance, rounded where both are within `blend_m` of each other; grows by blend_m / 4."""
    share = np.clip(0.5 + 0.5 * (second - first) / blend_m, 0.0, 1.0)
    return np.asarray(second + share * (first - second) - blend_m * share * (1.0 - share), dtype=np.float64)


def smooth_cut(solid: Float64, outside: Float64, blend_m: float) -> Float64:
    """The part of a solid where `outside` is negative, with its new edge rounded over `blend_m`."""
    return -smooth_union(-solid, -outside, blend_m)
