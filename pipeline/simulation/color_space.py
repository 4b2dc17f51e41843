"""Linear light and the sRGB code values of image files (IEC 61966-2-1)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def srgb_from_linear(linear: NDArray[Any]) -> NDArray[np.uint8]:
    """Code values of linear intensities; what lies outside [0, 1] is clipped."""
    clipped = np.clip(linear, 0.0, 1.0)
    coded = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255.0 * coded), dtype=np.uint8)


def linear_from_srgb(coded: NDArray[np.uint8]) -> Float64:
    """Linear intensities in [0, 1] of code values."""
    value = coded.astype(np.float64) / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
