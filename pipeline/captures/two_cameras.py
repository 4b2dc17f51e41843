"""A depth camera beside a colour camera: both read into one pinhole view, the colour camera's, reduced."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import crop_intrinsics
from pipeline.captures.distortion import LensCamera
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
