"""A body in metres on the grid of a picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.voxels.grids import points_to_vox
from pipeline.voxels.occupancy import MAX_OPEN_SHARE, Shape, filled_part, within

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]

MOST_VOXELS = 2**27  # 128 MB; a person is at most some times as large as the grid of the picture


def voxelise(
    vertices_m: NDArray[Any],
    faces: NDArray[Any],
    world_from_vox: Float64,
    shape_xyz: Shape,
    *,
    max_open_share: float = MAX_OPEN_SHARE,
) -> tuple[Bool, float]:
    """Say which voxels of a grid lie inside a body, and how much of the body the grid cuts off.

    Args and errors are those of `voxelise_part`.

    Returns:
        occupancy (X Y Z), and the share in [0, 1] of the body's voxels that lie outside of the grid.
    """
    part, first, share_cut = voxelise_part(
        vertices_m, faces, world_from_vox, shape_xyz, max_open_share=max_open_share
    )
    return within(shape_xyz, part, first), share_cut


def voxelise_part(
    vertices_m: NDArray[Any],
    faces: NDArray[Any],
    world_from_vox: Float64,
    shape_xyz: Shape,
    *,
    max_open_share: float,
) -> tuple[Bool, Shape, float]:
    """A body on a grid without the voxels around it: a person fills a small box, and the rest is memory to clear.

    Args:
        vertices_m: (V 3) in the outer frame of world_from_vox.
        faces: (F 3), as in `occupancy`, whose errors are raised too.
        world_from_vox: (4 4) from `pipeline.voxels.grids`.
        max_open_share: as in `occupancy`.

    Returns:
        The box of the grid (x y z) outside of which nothing is filled, its first voxel, and the share in [0, 1] of
        the body's voxels that lie outside of the grid.

    Raises:
        InputError: `malformed-mesh` if the body takes more than 2^27 voxels.
        ValueError: if the body reaches behind the camera of a frustum grid.
    """
    from pipeline.voxels.occupancy_kernels import bounds

    places = points_to_vox(world_from_vox, vertices_m)
    low, high = bounds(places)
    if (low > -1).all() and (high <= shape_xyz).all():  # no voxel centre of the body lies beyond the grid's
        return *filled_part(places, faces, shape_xyz, max_open_share=max_open_share), 0.0
    first = np.minimum(np.floor(low), 0).astype(int)
    size = np.maximum(np.ceil(high) + 1, shape_xyz).astype(int) - first
    if size.prod() > MOST_VOXELS:
        raise InputError(
            "malformed-mesh",
            f"voxelise: mesh and grid must take at most {MOST_VOXELS} voxels, take {size.prod()}. "
            "Check the mesh's unit and place.",
        )
    x, y, z = size.tolist()
    whole, corner = filled_part(places - first, faces, (x, y, z), max_open_share=max_open_share)
    start = first + corner
    i, j, k = np.clip(start, 0, shape_xyz).tolist()
    end = np.minimum(start + whole.shape, shape_xyz)
    part = whole[tuple(slice(*span) for span in zip((i, j, k) - start, end - start, strict=True))]
    total = int(np.count_nonzero(whole))
    return part, (i, j, k), 1 - np.count_nonzero(part) / total if total else 0.0
