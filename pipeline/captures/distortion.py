"""Cameras with a lens: Brown's distortion, its inverse, and the ray of every raw pixel.

Brown, "Decentering Distortion of Lenses", Photogrammetric Engineering 1966, with the coefficients in OpenCV's
order and sign, k1 k2 p1 p2 k3. Points are normalised image coordinates (x, y) = (X / Z, Y / Z).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Distortion = tuple[float, float, float, float, float]

NO_DISTORTION: Distortion = (0.0, 0.0, 0.0, 0.0, 0.0)
NEWTON_STEPS = 30  # 5 are enough for a real lens; one that needs more is refused
TOLERANCE = 1e-9  # of a normalised coordinate: below a millionth of a pixel at any focal length here


@dataclass(frozen=True, kw_only=True, slots=True)
class LensCamera:
    """A raw camera: pinhole intrinsics in px (integer pixel centres, no skew), then Brown's distortion."""

    width: int
    height: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    distortion: Distortion

    @property
    def K(self) -> Float64:
        """Pinhole part (3 3) float64 px."""
        return np.array([[self.fx_px, 0.0, self.cx_px], [0.0, self.fy_px, self.cy_px], [0.0, 0.0, 1.0]])


def distort(points: Float64, distortion: Distortion) -> Float64:
    """Where the lens shows normalised points (..., 2)."""
    k1, k2, p1, p2, k3 = distortion
    x, y = points[..., 0], points[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )


def undistort(shown: Float64, distortion: Distortion) -> Float64:
    """Which normalised points (..., 2) the lens shows at `shown`: Newton's method, from `shown` itself.

    Raises:
        ValueError: if there is no such point on the sheet around the centre: the lens folds the image there.
    """
    points = np.array(shown, dtype=np.float64)
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
    raise ValueError(
        f"pipeline.captures.distortion: the distortion {distortion} must be invertible over the image, "
        "folds it. Correct the coefficients."
    )


def distorted_points(points_cam: Float64, camera: LensCamera) -> Float64:
    """Raw pixel coordinates (..., 2) as (u, v) of camera points (..., 3); meaningful for z > 0 only."""
    shown = distort(points_cam[..., :2] / points_cam[..., 2:3], camera.distortion)
    return np.asarray(shown * [camera.fx_px, camera.fy_px] + [camera.cx_px, camera.cy_px])


@lru_cache(maxsize=4)
def distorted_rays(camera: LensCamera) -> Float64:
    """Directions (H W 3) through the raw pixel centres, lens undone, with z = 1; read-only and kept.

    A ray caster that casts these renders as the lens shows, exactly.

    Raises:
        ValueError: if the lens folds the image.
    """
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    shown = np.stack([(u - camera.cx_px) / camera.fx_px, (v - camera.cy_px) / camera.fy_px], axis=-1)
    rays = np.ones((camera.height, camera.width, 3))
    rays[..., :2] = undistort(shown, camera.distortion)
    rays.setflags(write=False)
    return rays


def _jacobian(points: Float64, distortion: Distortion) -> tuple[Float64, Float64, Float64]:
    """Derivatives d/dx of x', d/dy of x' (= d/dx of y') and d/dy of y', each (...)."""
    k1, k2, p1, p2, k3 = distortion
    x, y = points[..., 0], points[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    slope = 2 * (k1 + r2 * (2 * k2 + r2 * 3 * k3))  # of radial, over x or y
    return (
        radial + slope * x * x + 2 * p1 * y + 6 * p2 * x,
        slope * x * y + 2 * p1 * x + 2 * p2 * y,
        radial + slope * y * y + 6 * p1 * y + 2 * p2 * x,
    )
