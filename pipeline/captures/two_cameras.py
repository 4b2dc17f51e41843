"""A depth camera beside a colour camera: both read into one pinhole view, the colour camera's, reduced."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import crop_intrinsics
from pipeline.captures.distortion import NO_DISTORTION, LensCamera, distorted_rays
from pipeline.captures.registration import Registration, registration
from pipeline.captures.undistortion import Undistortion, undistortion

Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class TwoCameras:
    """The raw cameras of one device, and the view that every frame is read into.

    Attributes:
        color_from_depth: (4 4) rigid, metres.
        reduction: view pixels per colour pixel as (numerator, denominator); the view's size is rounded down.
    """

    depth: LensCamera
    color: LensCamera
    color_from_depth: Float64
    reduction: tuple[int, int]

    @cached_property
    def K(self) -> Float64:
        """Intrinsics (3 3) in px of the view: the colour camera's, lens undone, reduced."""
        view_px, of_color_px = self.reduction
        return crop_intrinsics(self.color.K, (0.0, 0.0, float(of_color_px)), view_px)

    @cached_property
    def shape_hw(self) -> tuple[int, int]:
        """Height and width in px of the view."""
        view_px, of_color_px = self.reduction
        return self.color.height * view_px // of_color_px, self.color.width * view_px // of_color_px

    @cached_property
    def registration(self) -> Registration:
        height, width = self.shape_hw
        return registration(self.depth, self.color_from_depth, self.K, height=height, width=width)

    @cached_property
    def undistortion(self) -> Undistortion:
        height, width = self.shape_hw
        return undistortion(self.color, self.K, height=height, width=width)


def pinhole_of(camera: LensCamera, *, max_side_px: int) -> LensCamera:
    """The pinhole camera that holds what a camera sees along its middle row and column, lens undone.

    Args:
        max_side_px: of the result; below it, one pixel at the centre stays one pixel.

    Raises:
        ValueError: if the lens folds the image.
    """
    rays = distorted_rays(camera)
    row, column = round(camera.cy_px), round(camera.cx_px)
    left, right = float(np.nanmin(rays[row, :, 0])), float(np.nanmax(rays[row, :, 0]))
    top, bottom = float(np.nanmin(rays[:, column, 1])), float(np.nanmax(rays[:, column, 1]))
    focal_px = min(camera.fx_px, (max_side_px - 1) / max(right - left, bottom - top))
    return LensCamera(
        # from the outermost pixel centre to the other
        width=round((right - left) * focal_px) + 1,
        height=round((bottom - top) * focal_px) + 1,
        fx_px=focal_px,
        fy_px=focal_px,
        cx_px=-left * focal_px,
        cy_px=-top * focal_px,
        distortion=NO_DISTORTION,
    )
