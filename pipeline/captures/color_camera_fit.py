"""A colour camera with a lens and its place, fitted to where depth pixels were said to lie in its image.

Devices that map depth to colour by a table or a polynomial name neither: both are found here by least squares.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import transform
from pipeline.captures.distortion import Distortion, LensCamera, distorted_points

Float64 = NDArray[np.float64]

LEAST_POINTS = 100  # to 15 unknowns


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ColorCameraFit:
    """A fitted colour camera.

    Attributes:
        color_from_depth: (4 4) rigid, metres.
        largest_px: the largest distance in px between a point's given place in the image and the fitted one.
    """

    color: LensCamera
    color_from_depth: Float64
    largest_px: float


def fit_color_camera(points_depth_cam: Float64, shown_px: Float64, start: LensCamera) -> ColorCameraFit:
    """Fit the camera's pinhole, its lens and the rigid way to it.

    Args:
        points_depth_cam: (N 3) metres, in the depth camera's frame, at several depths: one depth alone cannot
            tell a shift from a turn.
        shown_px: (N 2) where they lie in the colour image, integer pixel centres.
        start: the size, and a guess at the pinhole.

    Raises:
        ValueError: for fewer than 100 points, or what is not finite.
    """
    from scipy.optimize import least_squares

    if len(points_depth_cam) < LEAST_POINTS:
        raise ValueError(f"depth to colour is given at {len(points_depth_cam)} points, not {LEAST_POINTS}")
    if not (np.isfinite(points_depth_cam).all() and np.isfinite(shown_px).all()):
        raise ValueError("depth to colour is not finite")

    def residual_px(unknowns: Float64) -> Float64:
        camera, color_from_depth = _camera(unknowns, start)
        return (distorted_points(transform(color_from_depth, points_depth_cam), camera) - shown_px).ravel()

    first = np.zeros(15)
    first[:2] = 1.0
    with np.errstate(all="ignore"):
        found = least_squares(residual_px, first, method="lm", x_scale="jac", max_nfev=1000)
    camera, color_from_depth = _camera(found.x, start)
    largest_px = float(np.linalg.norm(residual_px(found.x).reshape(-1, 2), axis=1).max())
    if not np.isfinite(found.x).all() or not np.isfinite(largest_px):
        raise ValueError("no camera shows depth where it is said to lie in colour")
    return ColorCameraFit(color=camera, color_from_depth=color_from_depth, largest_px=largest_px)


def _camera(unknowns: Float64, start: LensCamera) -> tuple[LensCamera, Float64]:
    from scipy.spatial.transform import Rotation

    k1, k2, p1, p2, k3 = (float(value) for value in unknowns[8:13])
    distortion: Distortion = (k1, k2, p1, p2, k3)
    camera = LensCamera(
        width=start.width,
        height=start.height,
        fx_px=start.fx_px * float(unknowns[0]),
        fy_px=start.fy_px * float(unknowns[1]),
        cx_px=start.cx_px + start.fx_px * float(unknowns[13]),
        cy_px=start.cy_px + start.fy_px * float(unknowns[14]),
        distortion=distortion,
    )
    color_from_depth = np.eye(4)
    color_from_depth[:3, :3] = Rotation.from_rotvec(unknowns[2:5]).as_matrix()
    color_from_depth[:3, 3] = unknowns[5:8]
    return camera, color_from_depth
