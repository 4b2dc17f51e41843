"""Images of a raw camera as a pinhole camera of another size sees them.

A raw image that is much finer than the result is first halved, once or more, by the mean of each two by two
pixels; a decoder that halves on its own may do so instead. What is left is one resampling.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import pixel_rays
from pipeline.captures.distortion import LensCamera, distorted_points

Float64 = NDArray[np.float64]

MAX_SHRINK = 8  # the most that a JPEG decoder does
# Up to this many raw pixels to one of the result, a mean over its square and a blend of the four pixels around
# its centre read the same pixels.
MAX_BLEND_PX = 1.25


@dataclass(frozen=True, eq=False)
class Undistortion:
    """Where each pinhole pixel looks in the raw image; `undistortion` makes it once for a capture.

    Attributes:
        height, width: of the raw image.
        shrink: raw pixels, a power of two, to one of the image that is looked up; its pixel i covers the raw
            pixels from i * shrink on.
        u_px, v_px: (h w) float32 in the shrunk image, integer pixel centres; may lie outside of it.
        side_px: of the square of shrunk pixels that one pinhole pixel covers, at least 1.
    """

    height: int
    width: int
    shrink: int
    u_px: NDArray[np.float32]
    v_px: NDArray[np.float32]
    side_px: float

    def undistort(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The pinhole camera's image (h w 3) of a raw one (H W 3); 0 beyond the raw image's border.

        Args:
            image: at its full size, or shrunk already, sizes rounded up.

        Raises:
            ValueError: if it is of neither size.
        """
        import cv2

        from pipeline.captures.undistortion_kernels import average_boxes

        shrunk = self._shrunk(image)
        if self.side_px <= MAX_BLEND_PX:
            where, share = self._lookup
            seen = cv2.remap(shrunk, where, share, cv2.INTER_LINEAR)
            return np.asarray(seen if seen.dtype == np.uint8 else np.rint(seen), dtype=np.uint8)
        out = np.zeros((*self.u_px.shape, 3), dtype=np.uint8)
        average_boxes(np.ascontiguousarray(shrunk), self.u_px, self.v_px, self.side_px, out)
        return out

    @cached_property
    def _lookup(self) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
        """The lookup in steps of 1/32 px, held inside the image, and far outside where there is nothing."""
        import cv2

        height, width = self.height // self.shrink, self.width // self.shrink
        inside = (np.abs(self.u_px - (width - 1) / 2) <= width / 2) & (
            np.abs(self.v_px - (height - 1) / 2) <= height / 2
        )
        u = np.where(inside, np.clip(self.u_px, 0, width - 1), -2).astype(np.float32)
        v = np.where(inside, np.clip(self.v_px, 0, height - 1), -2).astype(np.float32)
        where, share = cv2.convertMaps(u, v, cv2.CV_16SC2)
        return np.asarray(where, dtype=np.int16), np.asarray(share, dtype=np.uint16)

    def _shrunk(self, image: NDArray[np.uint8]) -> NDArray[np.uint8] | NDArray[np.float32]:
        """The image to look up in; float32 where it is halved here, so that it is rounded once, at the end."""
        import cv2

        full, by = (self.height, self.width), self.shrink
        if image.shape[:2] == tuple(-(-size // by) for size in full):
            return image
        if image.shape[:2] != full:
            raise ValueError(
                f"pipeline.captures.undistortion: the image must be {full} px like its camera, or shrunk by "
                f"{by}, is {image.shape[:2]}"
            )
        height, width = full[0] // by, full[1] // by
        whole = image[: height * by, : width * by].astype(np.float32)
        return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32)


def undistortion(camera: LensCamera, K: Float64, *, height: int, width: int) -> Undistortion:
    """Prepare the lookup for a pinhole camera in the raw camera's own pose.

    Args:
        K: (3 3) px of the pinhole camera, of `height` x `width` px.
    """
    raw_px = distorted_points(pixel_rays(K, height, width), camera)
    # The lens stretches by a percent or two, which an average over the square does not feel.
    side_px = max(float(camera.fx_px / K[0, 0]), 1.0)
    shrink = 1
    while shrink < MAX_SHRINK and 2 * shrink <= side_px:
        shrink *= 2
    shrunk_px = ((raw_px + 0.5) / shrink - 0.5).astype(np.float32)
    return Undistortion(
        height=camera.height,
        width=camera.width,
        shrink=shrink,
        u_px=np.ascontiguousarray(shrunk_px[..., 0]),
        v_px=np.ascontiguousarray(shrunk_px[..., 1]),
        side_px=side_px / shrink,
    )
