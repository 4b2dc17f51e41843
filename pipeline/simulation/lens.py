"""From the pinhole images of a rasteriser to the raw pixels of a camera with a lens.

A ray caster needs none of this: it casts `distorted_rays` and is exact. A rasteriser draws straight lines
straight, so it renders a larger pinhole image first, in which each raw pixel then looks itself up.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import project
from pipeline.captures.distortion import LensCamera, distorted_rays

Float64 = NDArray[np.float64]

MARGIN_PX = 2  # so that every lookup has neighbours
# Four depths are interpolated when a surface slanted by less than this could hold them all.
MAX_SLANT_RAD = np.radians(75.0)


@dataclass(frozen=True, slots=True, eq=False)
class PinholeLookup:
    """A pinhole camera that sees all that a raw camera sees, in its very pose, and the way from one to the other.

    Attributes:
        K: (3 3) px of the pinhole camera, of `height` x `width` px; what a rasteriser renders with.
        u_px, v_px: (H W) float32, where each raw pixel lies in the pinhole image.
    """

    K: Float64
    height: int
    width: int
    u_px: NDArray[np.float32]
    v_px: NDArray[np.float32]

    def nearest(self, array: NDArray[Any]) -> NDArray[Any]:
        """Labels, face numbers or normals (h w ...) at the raw pixels (H W ...): the nearest, never mixed."""
        self._check(array)
        return np.asarray(array[np.rint(self.v_px).astype(np.int32), np.rint(self.u_px).astype(np.int32)])

    def image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An image (h w 3) at the raw pixels (H W 3), interpolated."""
        import cv2

        self._check(image)
        return np.asarray(cv2.remap(image, self.u_px, self.v_px, cv2.INTER_LINEAR), dtype=np.uint8)

    def depth(self, depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Depth (h w) at the raw pixels (H W), 0 where nothing is seen.

        1/z is interpolated inside a surface, which is exact on planes to float32 and leaves h^2 / 4r on a
        surface of radius r seen at a pitch of h (0.02 mm for 10 cm, face on, at 2 m and f = 730 px). Beside a
        step or nothing the nearest pixel is taken, up to half a pinhole pixel aside.
        """
        self._check(depth_m)
        left, top = np.floor(self.u_px).astype(np.int32), np.floor(self.v_px).astype(np.int32)
        corners = [depth_m[top + dv, left + du] for dv in (0, 1) for du in (0, 1)]
        low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
        # A diagonal apart, the four differ sqrt(2) times as much as two neighbours may.
        share = np.sqrt(2.0) * np.tan(MAX_SLANT_RAD) / self.K[0, 0]
        smooth = (low > 0) & (high - low < share * low)
        au, av = self.u_px - left, self.v_px - top
        weights = ((1 - au) * (1 - av), au * (1 - av), (1 - au) * av, au * av)
        inverse = np.zeros(low.shape)
        for corner, weight in zip(corners, weights, strict=True):
            inverse[smooth] += weight[smooth] / corner[smooth].astype(np.float64)
        out = self.nearest(depth_m)
        out[smooth] = 1.0 / inverse[smooth]
        return out

    def _check(self, array: NDArray[Any]) -> None:
        if array.shape[:2] != (self.height, self.width):
            raise ValueError(
                f"pipeline.simulation.lens: the image must be {(self.height, self.width)} px as rendered "
                f"with the lookup's K, is {array.shape[:2]}"
            )


def pinhole_lookup(camera: LensCamera, *, finer: float) -> PinholeLookup:
    """Find the pinhole camera that covers a raw camera's view.

    Args:
        finer: its pixels per raw pixel at the centre; more is slower and errs less at outlines.
    """
    rays = distorted_rays(camera)
    low, high = rays[..., :2].min(axis=(0, 1)), rays[..., :2].max(axis=(0, 1))
    focal_px = np.array([camera.fx_px, camera.fy_px]) * finer
    width, height = np.ceil((high - low) * focal_px).astype(int) + 1 + 2 * MARGIN_PX
    centre_px = MARGIN_PX - low * focal_px
    K = np.array([[focal_px[0], 0.0, centre_px[0]], [0.0, focal_px[1], centre_px[1]], [0.0, 0.0, 1.0]])
    pixels = project(rays, K).astype(np.float32)
    return PinholeLookup(
        K=K,
        height=int(height),
        width=int(width),
        u_px=np.ascontiguousarray(pixels[..., 0]),
        v_px=np.ascontiguousarray(pixels[..., 1]),
    )
