"""Compiled development of a picture; import only through `pipeline.simulation.film`."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": True, "error_model": "numpy"}
F = np.float32
SHOULDER = F(0.75)  # linear intensity from which film begins to saturate


@njit(**OPTIONS)
def develop_pixels(
    linear: Float32, grain: Float32, gains: Float32, film: tuple[float, float, float], table: Any, coded: Any
) -> None:
    """Exposure, darker corners, sensor noise, the film's shoulder and the file's code values.

    Args:
        grain: (H W 3) standard normal.
        gains: (3,) on red, green, blue.
        film: share of light lost in the corners, noise of black, noise of white light (of intensity 1).
        table: code values of intensities k / (len - 1).
    """
    lost, black, white = F(film[0]), F(film[1]), F(film[2])
    height, width = linear.shape[:2]
    scale = F(4) / F(height * height + width * width)
    top = F(len(table) - 1)
    for v in range(height):
        for u in range(width):
            du, dv = F(u) - F(0.5) * F(width - 1), F(v) - F(0.5) * F(height - 1)
            vignette = F(1) - lost * (du * du + dv * dv) * scale
            for k in range(3):
                x = linear[v, u, k] * gains[k] * vignette
                x += grain[v, u, k] * F(math.sqrt(black * black + white * white * max(x, F(0))))
                if x > SHOULDER:
                    x = F(1) - (F(1) - SHOULDER) * F(math.exp((SHOULDER - x) / (F(1) - SHOULDER)))
                coded[v, u, k] = table[int(min(max(x, F(0)), F(1)) * top + F(0.5))]
