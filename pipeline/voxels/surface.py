"""The surface back from voxels.

Lorensen and Cline, "Marching Cubes", SIGGRAPH 1987, as VTK has it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.voxels.grids import points_from_vox

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]


def surface_from_voxels(
    volume: NDArray[Any], world_from_vox: Float64, *, level: float = 0.5
) -> tuple[Float64, Int32]:
    """Find the closed, outward surface where a volume passes a level; it is not smoothed.

    The volume counts as 0 beyond its borders, so that what touches them is closed there. Of an occupancy, the
    surface runs half-way between voxels inside and outside: within half a voxel of the true one, and exactly the
    same voxels lie inside of it. Of a network's volume in [0, 1] it runs where that is interpolated to the level.

    Args:
        volume: (X Y Z) bool or numbers.
        world_from_vox: (4 4) of its grid, affine or projective.
        level: above 0.

    Returns:
        vertices_m (V 3) in the grid's outer frame, and faces (F 3); both empty where nothing is above the level.

    Raises:
        ValueError: if the volume has not three axes or holds values that are not finite, or the level is not above 0.
    """
    if volume.ndim != 3 or not np.isfinite(volume).all() or not level > 0:
        raise ValueError(
            f"surface_from_voxels: volume must be (X Y Z) and finite and level positive, is {volume.shape}, {level=}"
        )
    box = _box(volume > level)
    if box is None:
        return np.zeros((0, 3)), np.zeros((0, 3), np.int32)
    import open3d as o3d

    # One voxel more on each side: what the surface is interpolated with, or the 0 beyond the border.
    low = [max(0, part.start - 1) for part in box]
    near = volume[tuple(slice(start, part.stop + 1) for start, part in zip(low, box, strict=True))]
    padded = np.pad(near.astype(np.float32), 1)
    mesh = o3d.t.geometry.TriangleMesh.create_isosurfaces(o3d.core.Tensor(padded), [level])
    # VTK's images run z, y, x, so its triangles come out mirrored.
    places = mesh.vertex.positions.numpy()[:, ::-1].astype(np.float64)
    corner = np.array(low) - 1.0  # of the padding
    faces = mesh.triangle.indices.numpy()[:, ::-1].astype(np.int32)
    return points_from_vox(world_from_vox, places + corner), faces


def _box(inside: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """The smallest box that holds all True, or None."""
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(inside.any(axis=others))
        if not len(found):
            return None
        box.append(slice(int(found[0]), int(found[-1]) + 1))
    return tuple(box)
