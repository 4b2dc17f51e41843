"""Two estimates of one thing held against each other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def angle_rad(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Angle between unit vectors (..., 3), exact near 0 and pi, where an arc cosine is not."""
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    sine = np.linalg.norm(np.cross(a64, b64), axis=-1)
    return np.asarray(np.arctan2(sine, np.sum(a64 * b64, axis=-1)), dtype=np.float64)


def rotation_angle_rad(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Angle of the rotation (3 3) between two, exact near 0 and pi, where an arc cosine is not."""
    turned = a.astype(np.float64).T @ b
    axis = np.array([turned[2, 1] - turned[1, 2], turned[0, 2] - turned[2, 0], turned[1, 0] - turned[0, 1]])
    return float(np.arctan2(np.linalg.norm(axis), np.trace(turned) - 1))


def depth_difference(depth_m: NDArray[Any], reference_m: NDArray[Any]) -> tuple[NDArray[np.float64], int]:
    """Signed depth_m - reference_m where both stand, and the number of pixels where only one does.

    Args:
        depth_m: (H W), 0 is invalid.
        reference_m: (H W), 0 is invalid.
    """
    here, there = depth_m > 0, reference_m > 0
    both = here & there
    return depth_m[both].astype(np.float64) - reference_m[both], int(np.count_nonzero(here ^ there))
