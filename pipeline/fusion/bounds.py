"""How large the TSDF volume of a capture becomes, known before any of it is allocated.

The volume is a sparse grid of blocks of 8^3 voxels; a block exists where some ray's truncation band passes, as in
Nießner et al., "Real-time 3D Reconstruction at Scale using Voxel Hashing", SIGGRAPH Asia 2013.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GateError, StageError
from pipeline.fusion import DepthView, Views, clip_depth

SIDE = 8  # voxels along a block
# Distance, spread, weight, count of each voxel; coordinate, last view, list, whether it holds surface.
BLOCK_BYTES = SIDE**3 * (2 + 2 + 2 + 1) + 5 * 4 + 1
COLOUR_BYTES = SIDE**3 * 3 * 2
# While the mesh is taken out: bits and counts of a block, and the triangles of one that the surface crosses.
MESHING_BYTES = 3000
NOISE_FLOOR_M, NOISE_PER_M = 0.001, 0.0005  # sigma of depth = floor + per * z^2, where a view brings none
WIDEST = 3.0  # how many times trunc_m a band may be where it follows the noise

# Neither memory nor time of the count may follow a senseless setting.
MAX_COUNTED_BLOCKS = 1 << 20  # a power of two, as the hash table wants it
MAX_RAY_STEPS = 4_000_000  # per view

Band = tuple[float, float, float, float, float, float]


def band_of(voxel_m: float, trunc_m: float, band_sigmas: float) -> Band:
    """The truncation band as the kernels take it; see `pipeline.fusion.bounds_kernels.Band`."""
    most_m = trunc_m * (WIDEST if band_sigmas else 1.0)
    return float(voxel_m), float(trunc_m), float(most_m), float(band_sigmas), NOISE_FLOOR_M, NOISE_PER_M


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeEstimate:
    """What fusing a capture will need.

    Attributes:
        blocks: distinct blocks over all views.
        peak_bytes: the blocks, the index over the box around them, and the workspace of meshing together.
    """

    blocks: int
    peak_bytes: int


def touched_blocks(view: DepthView, *, band: Band, block_m: float) -> NDArray[np.int64]:
    """Find the blocks that the truncation bands of a view's rays pass through.

    A band reaches along the pixel's ray from its half width before the surface to where weights have faded
    behind it. Every second ray in both directions is followed, or every one where two pixels span a quarter
    of a block.

    Returns:
        Packed keys (M,), ascending, for `block_coordinates`.

    Raises:
        GateError: `pose-too-far` where a block's coordinate needs more than 21 bits.
    """
    keys = _touched_up_to(view, 1 << 40, band=band, block_m=block_m)
    assert keys is not None
    return keys


def _touched_up_to(view: DepthView, most: int, *, band: Band, block_m: float) -> NDArray[np.int64] | None:
    """`touched_blocks` in hash tables of growing size; None where three quarters of `most` do not suffice."""
    size, keys = min(1 << 15, most), None
    while keys is None and size <= most:
        keys = _touched_in_table(view, band=band, block_m=block_m, size=size)
        size *= 4
    return keys


def _touched_in_table(view: DepthView, *, band: Band, block_m: float, size: int) -> NDArray[np.int64] | None:
    """`touched_blocks` in a hash table of fixed size; None where three quarters of it do not suffice."""
    from pipeline.fusion.bounds_kernels import insert_touched

    K = view.K
    intrinsics = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], np.float64)
    camera = intrinsics, np.ascontiguousarray(view.world_from_cam, np.float64)
    depth_m = np.ascontiguousarray(view.depth_m, np.float32)
    table = np.full(size, -1, np.int64)
    count = insert_touched(depth_m, camera, band, (float(block_m), stride_px(view, block_m)), table)
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


def stride_px(view: DepthView, block_m: float) -> int:
    """How many pixels apart rays may lie to miss no more of a block of this side than its corners."""
    return 2 if 2 * _pixel_pitch_m(view) <= block_m / 4 else 1


def _pixel_pitch_m(view: DepthView) -> float:
    """Distance between neighbouring pixels' points at the far end of a view's depth; 0 for an empty view."""
    sampled = view.depth_m[::4, ::4]
    measured = sampled[sampled > 0]
    far_m = np.percentile(measured, 95) if measured.size else 0.0
    return float(far_m / min(view.K[0, 0], view.K[1, 1]))


def estimate_volume(
    views: Views,
    *,
    voxel_m: float,
    trunc_m: float,
    depth_min_m: float,
    depth_max_m: float,
    band_sigmas: float = 0.0,
    with_colour: bool = False,
) -> VolumeEstimate:
    """Count the blocks that `fuse` will allocate, from the depth maps and poses alone.

    Exact while there are at most 2^20 blocks (4 GB) and two pixels' distance fits into a block. Beyond that
    the count goes on in blocks of twice the side, as often as needed, and is scaled back at the end: however
    small the voxel or long the range, it costs some MB and a fixed number of rays a view.

    Args:
        trunc_m: half width of the band around the surface; the count grows with it almost linearly.
    """
    band, level = band_of(voxel_m, trunc_m, band_sigmas), 0
    seen = np.zeros(0, np.int64)
    for index in range(len(views)):
        view = clip_depth(views[index], depth_min_m, depth_max_m)
        seen, level = _add_view(view, seen, level, band)
    blocks = round(_refined_count(seen.size, level, band))
    box = np.ptp(block_coordinates(seen), axis=0) + 1.0 if seen.size else np.zeros(3)
    index_bytes = 4 * np.prod(box * 2**level)
    per_block = BLOCK_BYTES + with_colour * COLOUR_BYTES + MESHING_BYTES
    return VolumeEstimate(blocks=blocks, peak_bytes=round(blocks * per_block + index_bytes))


def _add_view(
    view: DepthView, seen: NDArray[np.int64], level: int, band: Band
) -> tuple[NDArray[np.int64], int]:
    """Add a view's blocks to those seen; returns all, and the level they are counted at."""
    new = level
    while _too_fine(view, SIDE * band[0] * 2**new, band):
        new += 1
    while True:
        block_m = SIDE * band[0] * 2**new
        keys = _touched_up_to(view, 2 * MAX_COUNTED_BLOCKS, band=band, block_m=block_m)
        if keys is not None:
            merged = _merged(_coarsened(seen, new - level), keys)
            if merged.size <= MAX_COUNTED_BLOCKS:
                return merged, new
        new += 1


def _merged(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Both of two ascending rows of keys as one, each once; quick where most of the second are in the first."""
    place = np.searchsorted(first, second)
    new = np.ones(len(second), np.bool_)
    within = place < len(first)
    new[within] = first[place[within]] != second[within]
    return np.insert(first, place[new], second[new])


def _too_fine(view: DepthView, block_m: float, band: Band) -> bool:
    """Whether the pixels lie too far apart to count such blocks, or following the rays takes too long."""
    rays = view.depth_m.size / stride_px(view, block_m) ** 2
    return block_m < 2 * _pixel_pitch_m(view) or rays * 4 * band[2] / block_m > MAX_RAY_STEPS


def _coarsened(keys: NDArray[np.int64], levels: int) -> NDArray[np.int64]:
    if levels == 0:
        return keys
    return np.unique(_block_keys(block_coordinates(keys) >> levels))


def _refined_count(count: int, level: int, band: Band) -> float:
    """How many of the volume's blocks a band fills that touches `count` blocks of 2^level times their side.

    A slab of area A and thickness h touches A (h + |n|_1 b) / b^3 cubes of side b; over all directions of
    its normal n the mean of |n|_1 is 3/2. h is the band seen at a mean slant of 0.8.
    """
    fine_m = SIDE * band[0]
    coarse_m, thickness_m = fine_m * 2**level, 1.6 * band[1]
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
    if peak_gb > limit_gb:
        sizes_m = {"voxel_m": voxel_m, "trunc_m": trunc_m, "depth_max_m": depth_max_m}
        raise volume_too_large(peak_gb, limit_gb, blocks=estimate.blocks, **sizes_m)


def volume_too_large(
    needed_gb: float,
    limit_gb: float,
    *,
    blocks: int,
    voxel_m: float,
    trunc_m: float,
    depth_max_m: float | None = None,
) -> StageError:
    """The refusal of a volume, with the settings to change."""
    depth = "" if depth_max_m is None else f" (is {depth_max_m:g} m)"
    return StageError(
        f"fuse: the volume must need at most {_gigabytes(limit_gb)}, needs {_gigabytes(needed_gb)} "
        f"({blocks} blocks of {SIDE}^3 voxels). Raise stages.fuse.voxel_m (is {voxel_m:g} m), "
        f"lower stages.fuse.trunc_m (is {trunc_m:g} m) or stages.fuse.depth_max_m{depth}, "
        "or raise stages.fuse.memory_limit_gb."
    )


def _gigabytes(value_gb: float) -> str:
    return f"{value_gb:.1f} GB" if value_gb >= 1 else f"{value_gb:.2g} GB"
