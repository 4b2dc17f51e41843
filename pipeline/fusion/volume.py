"""A truncated signed distance volume that grows block by block, filled from depth maps and seen by rays.

Curless and Levoy, "A Volumetric Method for Building Complex Models from Range Images", SIGGRAPH 1996, in blocks
of 8^3 voxels behind a dense index. Voxels lie at whole multiples of voxel_m in the world. Views may come from
any camera in any order: each brings its own K and pose, and nothing is kept of the one before.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid
from pipeline.fusion import DepthView
from pipeline.fusion.bounds import (
    BLOCK_BYTES,
    COLOUR_BYTES,
    NOISE_FLOOR_M,
    NOISE_PER_M,
    SIDE,
    band_of,
    stride_px,
    volume_too_large,
)
from pipeline.fusion.marching import FusedMesh, march
from pipeline.fusion.raycast import ModelView, cast_model

VOXELS = SIDE**3
WEIGHT_CAP = 511.0
MAX_PIXELS = 1 << 24
GROWTH = 1.25  # of the blocks when they run out
MARGIN = 8  # blocks by which the index outreaches what made it grow


class Volume:
    """Signed distances, weights and spreads of one scene, and its colour if wanted.

    A voxel's distance is that to the tangent plane at its pixel, along the pixel's ray; positive on the
    camera's side. It is averaged with weight cos(slant) / sigma^2, which is 1 at best, from -trunc_m behind
    the surface (measured in z); before the surface it is cut at trunc_m.

    Attributes:
        blocks: how many are filled; the arrays hold room for more.
        coordinates: (C 3) int32; block b starts at coordinates[b] * 8 * voxel_m.
        index: (I J K) int32, block of a coordinate less `first`; -1 for none.
        distance: (C 512) int16, x varying fastest; (distance + 0.5) * step_m metres.
        spread: (C 512) uint16, weighted standard deviation of the distances, in steps of half_m / 65535.
        weight: (C 512) uint16, 128 times the sum of weights.
        count: (C 512) uint8, how many views saw the voxel, at most 255.
        near: (C) uint8, whether a block holds surface, or voxels next to it.
        colour: (C 3 512) uint16, 256 times the mean red, green, blue; C is 0 without colour.
        half_m: the largest half width of the band, which the distances' unit follows.
    """

    def __init__(
        self,
        *,
        voxel_m: float,
        trunc_m: float,
        limit_gb: float,
        with_colour: bool = False,
        reserve: int = 0,
        band_sigmas: float = 0.0,
        weight_cap: float = WEIGHT_CAP,
    ) -> None:
        """An empty volume.

        Args:
            trunc_m: half width of the band around the surface; at least two voxels. Wider bridges noise and
                pose errors, and swallows what is thinner.
            limit_gb: 10^9 bytes; a view that would make the volume larger is refused.
            reserve: blocks to make room for at once; more come as they are needed.
            band_sigmas: the band reaches at least that many standard deviations of the depth, as far as
                three times trunc_m.
            weight_cap: the sum of weights from which on a mean forgets its oldest; 511 and more is 511.

        Raises:
            ValueError: if trunc_m < 2 voxel_m: without a voxel on both sides no surface can be found.
        """
        if not trunc_m >= 2 * voxel_m > 0:
            raise ValueError(
                f"fuse: trunc_m must be at least 2 voxels, is {trunc_m:g} m at voxel_m={voxel_m:g} m. "
                "Raise stages.fuse.trunc_m or lower stages.fuse.voxel_m."
            )
        self.voxel_m, self.trunc_m, self.limit_gb = float(voxel_m), float(trunc_m), float(limit_gb)
        self.weight_cap = min(float(weight_cap), WEIGHT_CAP)
        self._band = band_of(self.voxel_m, self.trunc_m, band_sigmas)
        self.half_m = self._band[2]
        self.with_colour, self.blocks, self.views = with_colour, 0, 0
        self.first, self.index = np.zeros(3, np.int64), np.full((0, 0, 0), -1, np.int32)
        self.coordinates = np.zeros((0, 3), np.int32)
        self._met, self._listed = np.zeros(0, np.int32), np.zeros(0, np.int32)
        self.distance, self.spread = np.zeros((0, VOXELS), np.int16), np.zeros((0, VOXELS), np.uint16)
        self.weight, self.count = np.zeros((0, VOXELS), np.uint16), np.zeros((0, VOXELS), np.uint8)
        self.near = np.zeros(0, np.uint8)
        self.colour = np.zeros((0, 3, VOXELS), np.uint16)
        self._make_room(reserve)

    @property
    def step_m(self) -> float:
        """The unit of `distance`."""
        return self.half_m / 32768

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, room for further blocks included."""
        return self._bytes(len(self.coordinates), self.index.size)

    def integrate(
        self,
        view: DepthView,
        *,
        rgb: NDArray[np.uint8] | None = None,
        sigma_m: NDArray[np.float32] | None = None,
    ) -> None:
        """Average one view into the volume.

        Args:
            rgb: (H W 3), registered to the depth, in place of the view's own; needed where the volume has colour.
            sigma_m: (H W) standard deviation of the depth; one that grows with z^2 where left out.

        Raises:
            ValueError: where a volume with colour gets none, or an image has more than 2^24 pixels.
            StageError: where the volume would outgrow its limit; it is then left as it was but for empty blocks.
        """
        from pipeline.fusion.packing_kernels import WEIGHT_STEPS, pack_colour, pack_view
        from pipeline.fusion.volume_kernels import integrate_blocks

        depth_m = np.ascontiguousarray(view.depth_m, np.float32)
        if depth_m.size > MAX_PIXELS:
            raise ValueError(
                f"fuse: a view must have at most {MAX_PIXELS} pixels, has {depth_m.size}. Halve it."
            )
        rgb = view.rgb if rgb is None else rgb
        if self.with_colour and rgb is None:
            raise ValueError("fuse: a view must bring rgb, as the volume has colour. Make one without.")
        listed = self._touch(view, depth_m)
        if not len(listed):
            return
        camera = _camera(view.K)
        sigma = np.zeros((0, 0), np.float32) if sigma_m is None else np.ascontiguousarray(sigma_m, np.float32)
        words = pack_view(depth_m, sigma, camera, (NOISE_FLOOR_M, NOISE_PER_M))
        pixels = pack_colour(np.ascontiguousarray(rgb if self.with_colour else np.zeros((0, 0, 3), np.uint8)))
        cam_from_world = np.ascontiguousarray(invert_rigid(view.world_from_cam))
        integrate_blocks(
            (words, pixels),
            (camera, cam_from_world, depth_m.shape[0], depth_m.shape[1]),
            self._band,
            (listed, self.coordinates, self.weight_cap * WEIGHT_STEPS),
            (self.distance, self.spread, self.weight, self.count, self.colour, self.near),
        )

    def raycast(
        self,
        K: NDArray[np.float64],
        world_from_cam: NDArray[np.float64],
        *,
        height: int,
        width: int,
        depth_min_m: float,
        depth_max_m: float,
    ) -> ModelView:
        """The zero level of the interpolated distances along each pixel's ray; see `cast_model`."""
        return cast_model(
            self,
            (K, world_from_cam),
            shape_hw=(height, width),
            depth_range_m=(depth_min_m, depth_max_m),
        )

    def mesh(self, *, min_weight: float) -> FusedMesh:
        """The zero level as triangles; see `march`."""
        return march(self, min_weight=min_weight)

    def _touch(self, view: DepthView, depth_m: NDArray[np.float32]) -> NDArray[np.int32]:
        """The blocks (L) on the view's truncation bands, all of them in the volume."""
        from pipeline.fusion.bounds_kernels import FULL, OUTSIDE, touch

        self.views += 1
        stride = stride_px(view, SIDE * self.voxel_m)
        cameras = _camera(view.K), np.ascontiguousarray(view.world_from_cam, np.float64)
        counts = np.array([self.blocks, 0, self.views])
        while True:
            reach = np.array([[2**62] * 3, [-(2**62)] * 3])
            blocks = (self.coordinates, self._met, self._listed, counts)
            state = touch(depth_m, cameras, self._band, stride, (self.index, self.first, reach), blocks)
            self.blocks = int(counts[0])
            if state == FULL:
                self._make_room(int(GROWTH * self.blocks) + 1024)
            elif state == OUTSIDE:
                self._widen(reach)
            else:
                return self._listed[: counts[1]]

    def _make_room(self, capacity: int) -> None:
        """Grow all arrays of blocks; in place, where the system can move pages instead of copying."""
        self._check(capacity, self.index.size)
        for array in (
            self.coordinates, self._met, self._listed, self.distance, self.spread, self.weight, self.count,
            self.near,
        ):  # fmt: skip
            array.resize((capacity, *array.shape[1:]), refcheck=False)
        if self.with_colour:
            self.colour.resize((capacity, 3, VOXELS), refcheck=False)

    def _widen(self, reach: NDArray[np.int64]) -> None:
        """Make the index hold the coordinates from reach[0] to reach[1], and what it holds already."""
        from pipeline.fusion.bounds_kernels import fill_index

        low, high = reach[0] - MARGIN, reach[1] + MARGIN + 1
        if self.index.size:
            old_low, old_high = self.first, self.first + self.index.shape
            low = np.where(reach[0] < old_low, low, old_low)
            high = np.where(reach[1] >= old_high, high, old_high)
        cells = float(np.prod((high - low).astype(np.float64)))
        self._check(len(self.coordinates), cells)
        self.first, self.index = low, np.full(tuple(high - low), -1, np.int32)
        fill_index(self.index, self.first, self.coordinates, self.blocks)

    def _bytes(self, capacity: int, cells: float) -> int:
        return int(capacity * (BLOCK_BYTES + self.with_colour * COLOUR_BYTES) + cells * 4)

    def _check(self, capacity: int, cells: float) -> None:
        needed_gb = self._bytes(capacity, cells) / 1e9
        if needed_gb > self.limit_gb:
            sizes_m = {"voxel_m": self.voxel_m, "trunc_m": self.trunc_m}
            raise volume_too_large(needed_gb, self.limit_gb, blocks=capacity, **sizes_m)


def _camera(K: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], np.float64)
