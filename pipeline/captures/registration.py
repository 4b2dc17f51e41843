"""Depth seen from another camera: the cells of the depth grid drawn as small surfaces with a z-buffer.

They leave no hole inside a smooth surface, however many pixels the other camera has, and 1/z between their
corners is linear along the image's rows, so that a plane stays a plane. A cell with a missing corner, or one
that stands beyond a step, leaves a triangle.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.distortion import LensCamera, distorted_rays

Float64 = NDArray[np.float64]

# Neighbouring pixels join where a surface slanted by less than this could connect them. Beyond it a time-of-
# flight camera gets next to nothing back, and what is joined would mostly be the gap behind an outline.
MAX_SLANT_RAD = np.radians(80.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Registered:
    """Depth as the target camera sees it.

    Attributes:
        depth_m: (h w) float32, z along the target's optical axis; 0 where no surface was seen.
        source: (h w) int32, flat index of the depth pixel nearest on the surface; -1 where none was seen. (0 0)
            where it was not asked for.
    """

    depth_m: NDArray[np.float32]
    source: NDArray[np.int32]

    def mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask (H W) in depth pixels as the target (h w) sees it; False where no surface was seen."""
        return np.asarray((self.source >= 0) & mask.ravel()[np.maximum(self.source, 0)])


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """The way from one depth camera into one pinhole camera; `registration` makes it once for a capture.

    Attributes:
        rays: (3 H W), z = 1 in the depth camera, turned into the target's axes.
        t_target: (3,) the depth camera's centre in the target's frame, metres.
        K: (3 3) px of the target, of `height` x `width` px.
        join_share: neighbouring depths join when they differ by less than this share of the nearer.
    """

    rays: Float64
    t_target: Float64
    K: Float64
    height: int
    width: int
    join_share: float

    def register(self, depth_m: NDArray[np.float32], *, with_source: bool = True) -> Registered:
        """Move one depth map (H W), 0 invalid, into the target camera.

        Pixels that join no neighbour, such as lone mixed pixels at an outline, are left out; a surface ends
        half a depth pixel inside its outline; its back is not seen.

        Args:
            with_source: whether a mask will be moved as well.
        """
        from pipeline.captures.registration_kernels import invert, rasterise

        if depth_m.shape != self.rays.shape[1:]:
            raise ValueError(
                f"pipeline.captures.registration: depth must be {self.rays.shape[1:]} px like its camera, "
                f"is {depth_m.shape}"
            )
        # One buffer for 1/z and then z, and none for what nobody asks: fresh memory costs as much as drawing.
        seen_m = np.zeros((self.height, self.width), dtype=np.float32)
        source = np.full((self.height, self.width) if with_source else (0, 0), -1, dtype=np.int32)
        K = self.K
        camera = (float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2]))
        asked = source if with_source else None
        rasterise(depth_m, self.rays, self.t_target, camera, self.join_share, seen_m, asked)
        invert(seen_m)
        return Registered(depth_m=seen_m, source=source)


def registration(
    camera: LensCamera, target_from_depth: Float64, K: Float64, *, height: int, width: int
) -> Registration:
    """Prepare the way from a depth camera into a pinhole camera of its own pose.

    Args:
        target_from_depth: (4 4) rigid, metres.
        K: (3 3) px of the target, of `height` x `width` px.

    Raises:
        ValueError: if the lens folds the image.
    """
    turned = distorted_rays(camera) @ target_from_depth[:3, :3].T
    return Registration(
        rays=np.ascontiguousarray(np.moveaxis(turned, -1, 0)),
        t_target=np.ascontiguousarray(target_from_depth[:3, 3]),
        K=K,
        height=height,
        width=width,
        join_share=float(np.tan(MAX_SLANT_RAD) / min(camera.fx_px, camera.fy_px)),
    )
