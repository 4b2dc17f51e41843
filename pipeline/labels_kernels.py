"""Compiled loops of `pipeline.labels`; import only through it."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

Tables = tuple[UInt8, UInt8, UInt8, Float64]  # of the body's faces: part14, part24, chart, chart coordinates
Images = tuple[UInt8, UInt8, UInt8, NDArray[np.float32]]


@njit(nogil=True, cache=True)
def label_places(face: Int32, bary: Any, tables: Tables, images: Images) -> None:
    """Fill the images (N) of places (N), (N 2) on the body; where there is no face they are left alone.

    The arithmetic is that of `Atlas.at`, operation by operation, so that both give the same bytes.
    """
    part14_of, part24_of, chart_of, corner_uv = tables
    part14, part24, surface_part, surface_uv = images
    for n in range(len(face)):
        row = face[n]
        if row < 0:
            continue
        part14[n], part24[n], surface_part[n] = part14_of[row], part24_of[row], chart_of[row]
        second, third = np.float64(bary[n, 0]), np.float64(bary[n, 1])
        for axis in range(2):
            a = corner_uv[row, 0, axis]
            to_b, to_c = corner_uv[row, 1, axis] - a, corner_uv[row, 2, axis] - a
            place = a + second * to_b + third * to_c
            surface_uv[n, axis] = np.float32(min(max(place, 0.0), 1.0))


@njit(nogil=True, cache=True)
def carry_places(
    face: Int32, bary: Any, body_face: Int32, body_bary: Any, below: tuple[Int32, Float64]
) -> None:
    """Fill the places (N), (N 2) on the body of places (N), (N 2) on a surface that lies on it."""
    face_below, bary_below = below
    for n in range(len(face)):
        row = face[n]
        if row < 0:
            continue
        face_below[n] = body_face[row]
        second, third = np.float64(bary[n, 0]), np.float64(bary[n, 1])
        first = 1.0 - second - third
        for k in range(2):
            bary_below[n, k] = (
                first * np.float64(body_bary[row, 0, k + 1])
                + second * np.float64(body_bary[row, 1, k + 1])
                + third * np.float64(body_bary[row, 2, k + 1])
            )
