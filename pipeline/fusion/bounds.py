"""How large the TSDF volume of a capture becomes, known before any of it is allocated.

The volume is a sparse grid of blocks of 16^3 voxels, as in Nießner et al., "Real-time 3D Reconstruction at
Scale using Voxel Hashing", SIGGRAPH Asia 2013; a block exists where some ray's truncation band passes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GateError, StageError
from pipeline.fusion import DepthView, Views, clip_depth

BLOCK_SIDE = 16  # voxels
# Per voxel of the grid: float32 tsdf and weight. Per voxel while the mesh is taken out: Open3D's four int32
# vertex indices. Per block besides: key, hash entries and 27 neighbours.
GRID_BYTES = BLOCK_SIDE**3 * (4 + 4) + 256
MESHING_BYTES = BLOCK_SIDE**3 * 4 * 4 + 27 * 9

# Neither memory nor time of the count may follow a senseless setting.
MAX_COUNTED_BLOCKS = 1 << 17  # a power of two, as the hash table wants it
MAX_RAY_STEPS = 4_000_000  # per view


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeEstimate:
    """What fusing a capture will need.

    Attributes:
        blocks: distinct blocks over all views.
        reserve: the block count to make room for, so that nothing grows: Open3D grows as soon as all of one
            view's blocks, old and new, do not fit beside those it has.
        peak_bytes: the reserved grid and the workspace of meshing together.
    """

    blocks: int
    reserve: int
    peak_bytes: int


def touched_blocks(view: DepthView, *, block_m: float, trunc_m: float) -> NDArray[np.int64]:
    """Find the blocks that the truncation bands of a view's rays pass through.

    The band of a pixel reaches from depth - trunc_m to depth + trunc_m along its ray, measured in z. Every
    second ray in both directions is followed, or every one where two pixels span a quarter of a block.
    (Open3D's own search follows every fourth and misses half of the blocks at 1 mm voxels.)

    Returns:
        Packed keys (M,), ascending, for `block_coordinates`.

    Raises:
        GateError: `pose-too-far` where a block's coordinate needs more than 21 bits.
    """
    size, keys = 1 << 15, None
    while keys is None:
        keys = _touched_in_table(view, block_m=block_m, trunc_m=trunc_m, size=size)
        size *= 4
    return keys


def _touched_in_table(
    view: DepthView, *, block_m: float, trunc_m: float, size: int
) -> NDArray[np.int64] | None:
    """`touched_blocks` in a hash table of fixed size; None where three quarters of it do not suffice."""
    from pipeline.fusion.bounds_kernels import insert_touched

    K = view.K
    camera = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], np.float64)
    band = (float(block_m), float(trunc_m), _band_steps(block_m, trunc_m), _stride_px(view, block_m))
    world_from_cam = np.ascontiguousarray(view.world_from_cam, np.float64)
    depth_m = np.ascontiguousarray(view.depth_m, np.float32)
    table = np.full(size, -1, np.int64)
    count = insert_touched(depth_m, camera, world_from_cam, band, table)
    if count == -2:
        reach_m = block_m * 2**20
        raise GateError(
            "pose-too-far",
            f"fuse: a view must lie within {reach_m:.0f} m of the world's origin, this camera is at "
            f"{view.world_from_cam[:3, 3].round(1).tolist()} m. Check the unit of the poses.",
            value=float(np.linalg.norm(view.world_from_cam[:3, 3])),
            unit="m",
            limit=reach_m,
        )
    return None if count == -1 else np.sort(table[table >= 0])


def block_coordinates(keys: NDArray[np.int64]) -> NDArray[np.int32]:
    """Integer block coordinates (M 3) of packed keys; a block starts at coordinate * block_m."""
    from pipeline.fusion.bounds_kernels import KEY_BITS, KEY_OFFSET

    fields = keys[:, None] >> np.array([0, KEY_BITS, 2 * KEY_BITS])
    coordinates: NDArray[np.int32] = ((fields & (1 << KEY_BITS) - 1) - KEY_OFFSET).astype(np.int32)
    return coordinates


def _block_keys(coordinates: NDArray[np.int32]) -> NDArray[np.int64]:
    from pipeline.fusion.bounds_kernels import KEY_BITS, KEY_OFFSET

    fields = coordinates.astype(np.int64) + KEY_OFFSET
    keys: NDArray[np.int64] = fields @ (1 << np.array([0, KEY_BITS, 2 * KEY_BITS]))
    return keys


def _band_steps(block_m: float, trunc_m: float) -> int:
    return int(np.ceil(4 * trunc_m / block_m)) + 1  # half a block apart


def _stride_px(view: DepthView, block_m: float) -> int:
    return 2 if 2 * _pixel_pitch_m(view) <= block_m / 4 else 1


def _pixel_pitch_m(view: DepthView) -> float:
    """Distance between neighbouring pixels' points at the far end of a view's depth; 0 for an empty view."""
    sampled = view.depth_m[::4, ::4]
    measured = sampled[sampled > 0]
    far_m = np.percentile(measured, 95) if measured.size else 0.0
    return float(far_m / min(view.K[0, 0], view.K[1, 1]))


def estimate_volume(
    views: Views, *, voxel_m: float, trunc_m: float, depth_min_m: float, depth_max_m: float
) -> VolumeEstimate:
    """Count the blocks that `fuse` will allocate, from the depth maps and poses alone.

    Exact while there are at most 2^17 blocks (13 GB) and two pixels' distance fits into a block. Beyond that
    the count goes on in blocks of twice the side, as often as needed, and is scaled back at the end: however
    small the voxel or long the range, it costs some MB and a fixed number of rays a view.

    Args:
        trunc_m: half width of the band around the surface; the count grows with it almost linearly.
    """
    fine_m = BLOCK_SIDE * voxel_m
    level, most = 0, 0.0
    seen = np.zeros(0, np.int64)
    for index in range(len(views)):
        view = clip_depth(views[index], depth_min_m, depth_max_m)
        seen, level, keys = _add_view(view, seen, level, fine_m=fine_m, trunc_m=trunc_m)
        most = max(most, _refined_count(keys, level, fine_m=fine_m, trunc_m=trunc_m))
    blocks = round(_refined_count(seen.size, level, fine_m=fine_m, trunc_m=trunc_m))
    reserve = blocks + round(most)
    peak_bytes = reserve * GRID_BYTES + blocks * MESHING_BYTES
    return VolumeEstimate(blocks=blocks, reserve=reserve, peak_bytes=peak_bytes)


def _add_view(
    view: DepthView, seen: NDArray[np.int64], level: int, *, fine_m: float, trunc_m: float
) -> tuple[NDArray[np.int64], int, int]:
    """Add a view's blocks to those seen; returns all, the level they are counted at, and the view's count."""
    new = level
    while _too_fine(view, fine_m * 2**new, trunc_m):
        new += 1
    while True:
        block_m = fine_m * 2**new
        keys = _touched_in_table(view, block_m=block_m, trunc_m=trunc_m, size=2 * MAX_COUNTED_BLOCKS)
        if keys is not None:
            merged = np.union1d(_coarsened(seen, new - level), keys)
            if merged.size <= MAX_COUNTED_BLOCKS:
                return merged, new, keys.size
        new += 1


def _too_fine(view: DepthView, block_m: float, trunc_m: float) -> bool:
    """Whether the pixels lie too far apart to count such blocks, or following the rays takes too long."""
    rays = view.depth_m.size / _stride_px(view, block_m) ** 2
    return block_m < 2 * _pixel_pitch_m(view) or rays * _band_steps(block_m, trunc_m) > MAX_RAY_STEPS


def _coarsened(keys: NDArray[np.int64], levels: int) -> NDArray[np.int64]:
    if levels == 0:
        return keys
    return np.unique(_block_keys(block_coordinates(keys) >> levels))


def _refined_count(count: int, level: int, *, fine_m: float, trunc_m: float) -> float:
    """How many blocks of side fine_m a band fills that touches `count` blocks of side fine_m * 2^level.

    A slab of area A and thickness h touches A (h + |n|_1 b) / b^3 cubes of side b; over all directions of
    its normal n the mean of |n|_1 is 3/2. h is the band's 2 trunc_m seen at a mean slant of 0.8.
    """
    coarse_m, thickness_m = fine_m * 2**level, 1.6 * trunc_m
    blocks_per_coarse: float = 8.0**level * (thickness_m + 1.5 * fine_m) / (thickness_m + 1.5 * coarse_m)
    return count * blocks_per_coarse


def check_volume(
    estimate: VolumeEstimate, *, voxel_m: float, trunc_m: float, depth_max_m: float, limit_gb: float
) -> None:
    """Refuse a volume that would not fit, before anything is allocated.

    Args:
        limit_gb: memory that fusion may use, 10^9 bytes.

    The limit is this machine's and says nothing of the data, so this is no quarantine: a higher limit alone
    lets the build go on.

    Raises:
        StageError: with the figures and the settings to change.
    """
    peak_gb = estimate.peak_bytes / 1e9
    if peak_gb <= limit_gb:
        return
    raise StageError(
        f"fuse: the volume must need at most {_gigabytes(limit_gb)}, needs {_gigabytes(peak_gb)} "
        f"({estimate.blocks} blocks of {BLOCK_SIDE}^3 voxels). Raise stages.fuse.voxel_m (is {voxel_m:g} m), "
        f"lower stages.fuse.trunc_m (is {trunc_m:g} m) or stages.fuse.depth_max_m (is {depth_max_m:g} m), "
        "or raise stages.fuse.memory_limit_gb."
    )


def _gigabytes(value_gb: float) -> str:
    return f"{value_gb:.1f} GB" if value_gb >= 1 else f"{value_gb:.2g} GB"
