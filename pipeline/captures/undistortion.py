"""Images of a raw camera as a pinhole camera of another size sees them, in one resampling."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import pixel_rays
from pipeline.captures.distortion import LensCamera, distorted_points

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Undistortion:
    """Where each pinhole pixel looks in the raw image; `undistortion` makes it once for a capture.

    Attributes:
        u_px, v_px: (h w) float32 in the raw image, integer pixel centres; may lie outside of it.
        side_px: of the square of raw pixels that one pinhole pixel covers, at least 1.
    """

    u_px: NDArray[np.float32]
    v_px: NDArray[np.float32]
    side_px: float

    def undistort(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Average a raw image (H W 3) over each pinhole pixel's square; 0 beyond the image's border."""
        from pipeline.captures.undistortion_kernels import average_boxes

        out = np.zeros((*self.u_px.shape, 3), dtype=np.uint8)
        average_boxes(np.ascontiguousarray(image), self.u_px, self.v_px, self.side_px, out)
        return out


def undistortion(camera: LensCamera, K: Float64, *, height: int, width: int) -> Undistortion:
    """Prepare the lookup for a pinhole camera in the raw camera's own pose.

    Args:
        K: (3 3) px of the pinhole camera, of `height` x `width` px.
    """
    raw_px = distorted_points(pixel_rays(K, height, width), camera).astype(np.float32)
    return Undistortion(
        u_px=np.ascontiguousarray(raw_px[..., 0]),
        v_px=np.ascontiguousarray(raw_px[..., 1]),
        # The lens stretches by a percent or two, which an average over the square does not feel.
        side_px=max(float(camera.fx_px / K[0, 0]), 1.0),
    )
