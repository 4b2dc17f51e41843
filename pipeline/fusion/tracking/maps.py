"""A frame as tracking sees it: depth of half the size, its normals, its grey."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import crop_intrinsics
from pipeline.fusion.tracking import TrackFrame, TrackSettings
from pipeline.normals import normals_from_depth

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

STEP_SHARE = 0.02  # of the depth: pixels farther apart lie on two surfaces
NORMAL_WINDOW_PX = 5  # of the half size: normals of 2 mm of noise at 2 m are good to some degrees
NORMAL_STEP_M = 0.05
GREY = np.array([0.2126, 0.7152, 0.0722], np.float32) / 255
NO_GREY = np.zeros((0, 0), np.float32)
NO_NORMALS = np.zeros((0, 0, 3), np.float32)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Maps:
    """What alignment reads of a frame or of a model's view.

    Attributes:
        depth_m: (h w) float32; 0 is invalid.
        normal: (h w 3) float32, camera frame, facing the camera; 0 where unknown; (0 0 3) where none are wanted.
        grey: (h w) float32 in 0..1, 0 where unknown; (0 0) without colour.
        K: (3 3) of these maps.
    """

    depth_m: Float32
    normal: Float32
    grey: Float32
    K: Float64

    @property
    def lens(self) -> Float64:
        """fx, fy, cx, cy in px."""
        return np.array([self.K[0, 0], self.K[1, 1], self.K[0, 2], self.K[1, 2]])


def half_size(K: Float64, height: int, width: int) -> tuple[Float64, int, int]:
    """Intrinsics, height and width of maps of half the size."""
    # A square of any side that halves; crop_intrinsics knows where pixel centres go.
    return crop_intrinsics(K, (0.0, 0.0, 2.0), 1), height // 2, width // 2


def live_maps(frame: TrackFrame, settings: TrackSettings) -> Maps:
    """Half-size maps of what is to be tracked in a frame, without normals."""
    from pipeline.fusion.tracking.align_kernels import halve

    depth_m = tracked_depth(frame, settings)
    grey = NO_GREY
    if frame.rgb is not None and settings.colour_weight > 0:
        grey = frame.rgb.astype(np.float32) @ GREY
    K, height, width = half_size(frame.K, *depth_m.shape)
    half_m = np.zeros((height, width), np.float32)
    half_grey = np.zeros((height, width) if grey.size else (0, 0), np.float32)
    halve(depth_m, grey, STEP_SHARE, half_m, half_grey)
    return Maps(depth_m=half_m, normal=NO_NORMALS, grey=half_grey, K=K)


def tracked_depth(frame: TrackFrame, settings: TrackSettings) -> Float32:
    """Depth (H W) in range of what is to be tracked: the person, the room or both; 0 elsewhere."""
    depth_m = frame.depth_m
    use = (depth_m >= settings.depth_min_m) & (depth_m <= settings.depth_max_m)
    if settings.tracked != "both" and frame.mask is not None:
        use &= frame.mask if settings.tracked == "person" else ~frame.mask
    return np.ascontiguousarray(np.where(use, depth_m, 0), np.float32)


def with_normals(maps: Maps) -> Maps:
    """The same maps with normals of planes fitted to each pixel's neighbours."""
    normal, _ = normals_from_depth(
        maps.depth_m, maps.depth_m > 0, maps.K, window_px=NORMAL_WINDOW_PX, max_step_m=NORMAL_STEP_M
    )
    return Maps(depth_m=maps.depth_m, normal=normal, grey=maps.grey, K=maps.K)
