"""Compiled area-wise lookup of images; import only through `pipeline.captures.undistortion`."""

import math
from typing import Any

from numba import njit
from numpy.typing import NDArray


@njit(inline="always")
def _overlap(k: int, low: float, high: float) -> Any:
    """Length of the interval that lies on pixel k, whose edges are k and k + 1."""
    return min(high, k + 1.0) - max(low, float(k))


@njit(nogil=True, cache=True, error_model="numpy")
def average_boxes(image: NDArray[Any], u_px: Any, v_px: Any, side_px: float, out: Any) -> None:
    """Mean of the image over a square around each point; 0 where the point lies outside the image.

    Args:
        image: (H W 3).
        u_px, v_px: (h w), integer pixel centres; the squares are cut at the image's border.
        out: (h w 3) uint8, 0 at first; written.
    """
    height, width = image.shape[:2]
    half = 0.5 * side_px
    for i in range(u_px.shape[0]):
        for j in range(u_px.shape[1]):
            u, v = u_px[i, j] + 0.5, v_px[i, j] + 0.5  # in edge coordinates
            if not (0.0 <= u <= width and 0.0 <= v <= height):
                continue
            left, right = max(u - half, 0.0), min(u + half, float(width))
            top, bottom = max(v - half, 0.0), min(v + half, float(height))
            red, green, blue = 0.0, 0.0, 0.0
            for row in range(int(top), min(int(math.ceil(bottom)), height)):
                down = _overlap(row, top, bottom)
                for column in range(int(left), min(int(math.ceil(right)), width)):
                    weight = down * _overlap(column, left, right)
                    red += weight * image[row, column, 0]
                    green += weight * image[row, column, 1]
                    blue += weight * image[row, column, 2]
            scale = 1.0 / ((right - left) * (bottom - top))
            out[i, j, 0] = int(red * scale + 0.5)
            out[i, j, 1] = int(green * scale + 0.5)
            out[i, j, 2] = int(blue * scale + 0.5)
