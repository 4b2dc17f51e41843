"""The surface of a volume as a camera sees it: depth, normals, and how sure they are."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid
from pipeline.fusion.bounds import NOISE_FLOOR_M

if TYPE_CHECKING:
    from pipeline.fusion.volume import Volume

SIGMA_FLOOR_M = 0.0002  # of any mean: poses and the sensor's offsets do not average out


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelView:
    """What one camera sees of a volume's surface.

    Attributes:
        depth_m: (H W) float32, z at the pixel centre; 0 where no surface is met.
        normal: (H W 3) float32 unit, camera frame, facing the camera; 0 where there is no depth.
        weight: (H W) float32, how many views saw the nearest voxel, at most 255; 0 where there is no depth.
        sigma_m: (H W) float32, standard deviation of the surface along its normal; 0 where there is no depth.
        rgb: (H W 3) uint8, or None where the volume has no colour.
    """

    depth_m: NDArray[np.float32]
    normal: NDArray[np.float32]
    weight: NDArray[np.float32]
    sigma_m: NDArray[np.float32]
    rgb: NDArray[np.uint8] | None


def volume_state(volume: "Volume") -> tuple[Any, ...]:
    """The arrays of a volume as its kernels take them."""
    arrays = (volume.distance, volume.spread, volume.weight, volume.count, volume.colour, volume.near)
    return (volume.index, volume.first, *arrays)


def cast_model(
    volume: "Volume",
    camera: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    shape_hw: tuple[int, int],
    depth_range_m: tuple[float, float],
) -> ModelView:
    """Follow every pixel's ray to where the trilinear distance first falls through zero.

    Steps are as long as the distance allows and skip what holds no blocks; the crossing is then searched in
    the interpolated distance itself, so that depth has no bias of a fraction of a voxel.

    Args:
        camera: K (3 3) px and world_from_cam (4 4).
        depth_range_m: z between which rays run.
    """
    from pipeline.fusion.raycast_kernels import TILE, cast, tile_depths

    K, world_from_cam = camera
    height, width = shape_hw
    intrinsics = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], np.float64)
    tiles = np.zeros((2, -(-height // TILE), -(-width // TILE)), np.float32)
    tiles[0] = np.inf
    cam_from_world = np.ascontiguousarray(invert_rigid(world_from_cam))
    sizes = (volume.voxel_m, float(depth_range_m[0]), float(depth_range_m[1]))
    blocks = volume.coordinates[: volume.blocks], volume.near[: volume.blocks]
    tile_depths(blocks, (intrinsics, cam_from_world), sizes, tiles)
    depth_m, weight, sigma_m = (np.zeros(shape_hw, np.float32) for _ in range(3))
    normal = np.zeros((*shape_hw, 3), np.float32)
    rgb = np.zeros((*shape_hw, 3) if volume.with_colour else (0, 0, 3), np.uint8)
    scale = (
        volume.voxel_m, volume.step_m / volume.voxel_m, volume.half_m / 65535, NOISE_FLOOR_M, SIGMA_FLOOR_M,
    )  # fmt: skip
    pose = np.ascontiguousarray(world_from_cam, np.float64)
    cast(volume_state(volume), (intrinsics, pose), scale, tiles, (depth_m, normal, weight, sigma_m, rgb))
    return ModelView(
        depth_m=depth_m,
        normal=normal,
        weight=weight,
        sigma_m=sigma_m,
        rgb=rgb if volume.with_colour else None,
    )
