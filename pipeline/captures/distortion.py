"""Cameras with a lens: Brown's distortion, its inverse, and the ray of every raw pixel.

Brown, "Decentering Distortion of Lenses", Photogrammetric Engineering 1966, with the coefficients in OpenCV's
order and sign: k1 k2 p1 p2 k3, or k1 k2 p1 p2 k3 k4 k5 k6 where the radial part is a rational function,
(1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6). Points are normalised image coordinates
(x, y) = (X / Z, Y / Z), and r is their distance from the centre.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Distortion = (
    tuple[float, float, float, float, float] | tuple[float, float, float, float, float, float, float, float]
)

NO_DISTORTION: Distortion = (0.0, 0.0, 0.0, 0.0, 0.0)
NEWTON_STEPS = 30  # 5 are enough for a real lens; one that needs more is refused
TOLERANCE = 1e-9  # of a normalised coordinate: below a millionth of a pixel at any focal length here


@dataclass(frozen=True, kw_only=True, slots=True)
class LensCamera:
    """A raw camera: pinhole intrinsics in px (integer pixel centres, no skew), then Brown's distortion.

    Attributes:
        max_radius: of normalised points without the lens: how far from the centre `distortion` holds. Pixels
            beyond have no ray. Without a bound, the lens must show something at every pixel.
    """

    width: int
    height: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    distortion: Distortion
    max_radius: float = math.inf

    @property
    def K(self) -> Float64:
        """Pinhole part (3 3) float64 px."""
        return np.array([[self.fx_px, 0.0, self.cx_px], [0.0, self.fy_px, self.cy_px], [0.0, 0.0, 1.0]])


def distort(points: Float64, distortion: Distortion) -> Float64:
    """Where the lens shows normalised points (..., 2)."""
    p1, p2 = distortion[2:4]
    x, y = points[..., 0], points[..., 1]
    r2 = x * x + y * y
    radial, _ = _radial(r2, distortion)
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )


def undistort(shown: Float64, distortion: Distortion, *, max_radius: float = math.inf) -> Float64:
    """Which normalised points (..., 2) the lens shows at `shown`: Newton's method, from `shown` itself.

    Args:
        max_radius: as in `LensCamera`; steps end there, so that none leaves the sheet around the centre.

    Returns:
        The points; with a `max_radius`, NaN where the lens shows nothing up to there.

    Raises:
        ValueError: without a `max_radius`, if there is no such point on the sheet around the centre: the lens
            folds the image there.
    """
    points = _within(np.array(shown, dtype=np.float64), max_radius)
    for _ in range(NEWTON_STEPS):
        residual = distort(points, distortion) - shown
        a, b, d = _jacobian(points, distortion)
        determinant = a * d - b * b
        if not (determinant > 0).all():
            break
        points[..., 0] -= (d * residual[..., 0] - b * residual[..., 1]) / determinant
        points[..., 1] -= (a * residual[..., 1] - b * residual[..., 0]) / determinant
        if np.abs(residual).max(initial=0.0) < TOLERANCE:
            return points
        points = _within(points, max_radius)
    else:
        if math.isfinite(max_radius):
            points[(np.abs(distort(points, distortion) - shown) >= TOLERANCE).any(axis=-1)] = np.nan
            return points
    raise ValueError(
        f"pipeline.captures.distortion: the distortion {distortion} must be invertible over the image, "
        "folds it. Correct the coefficients."
    )


def folds(points: Float64, distortion: Distortion) -> bool:
    """Whether the lens turns the image over, or shows nothing finite, at one of these points (..., 2)."""
    with np.errstate(all="ignore"):  # what overflows is found here, and refused
        a, b, d = _jacobian(points, distortion)
        upright = (a * d - b * b > 0) & (a + d > 0) & np.isfinite(a * d)
        return not bool(upright.all() and np.isfinite(distort(points, distortion)).all())


def distorted_points(points_cam: Float64, camera: LensCamera) -> Float64:
    """Raw pixel coordinates (..., 2) as (u, v) of camera points (..., 3); meaningful for z > 0 only."""
    shown = distort(points_cam[..., :2] / points_cam[..., 2:3], camera.distortion)
    return np.asarray(shown * [camera.fx_px, camera.fy_px] + [camera.cx_px, camera.cy_px])


@lru_cache(maxsize=4)
def distorted_rays(camera: LensCamera) -> Float64:
    """Directions (H W 3) through the raw pixel centres, lens undone, with z = 1; read-only and kept.

    A ray caster that casts these renders as the lens shows, exactly.

    Returns:
        The rays; x and y are NaN at pixels beyond the camera's `max_radius`.

    Raises:
        ValueError: if the lens folds the image.
    """
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    shown = np.stack([(u - camera.cx_px) / camera.fx_px, (v - camera.cy_px) / camera.fy_px], axis=-1)
    rays = np.ones((camera.height, camera.width, 3))
    rays[..., :2] = undistort(shown, camera.distortion, max_radius=camera.max_radius)
    rays.setflags(write=False)
    return rays


def _within(points: Float64, max_radius: float) -> Float64:
    """Points (..., 2) beyond the radius moved onto it, towards the centre."""
    if math.isinf(max_radius):
        return points
    r = np.hypot(points[..., :1], points[..., 1:])
    return np.asarray(points * (max_radius / np.maximum(r, max_radius)))


def _radial(r2: NDArray[Any], distortion: Distortion) -> tuple[NDArray[Any], NDArray[Any]]:
    """The radial factor, and its derivative by r^2, each of the shape of `r2`."""
    k1, k2, k3 = distortion[0], distortion[1], distortion[4]
    above = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    slope_above = k1 + r2 * (2 * k2 + r2 * 3 * k3)
    if len(distortion) == 5:
        return above, slope_above
    k4, k5, k6 = distortion[5:]
    below = 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    slope_below = k4 + r2 * (2 * k5 + r2 * 3 * k6)
    radial = above / below
    return radial, (slope_above - radial * slope_below) / below


def _jacobian(points: Float64, distortion: Distortion) -> tuple[Float64, Float64, Float64]:
    """Derivatives d/dx of x', d/dy of x' (= d/dx of y') and d/dy of y', each (...)."""
    p1, p2 = distortion[2:4]
    x, y = points[..., 0], points[..., 1]
    r2 = x * x + y * y
    radial, by_r2 = _radial(r2, distortion)
    slope = 2 * by_r2  # of radial, over x or y
    return (
        radial + slope * x * x + 2 * p1 * y + 6 * p2 * x,
        slope * x * y + 2 * p1 * x + 2 * p2 * y,
        radial + slope * y * y + 6 * p1 * y + 2 * p2 * x,
    )
