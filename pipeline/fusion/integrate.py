"""Truncated signed distance fusion of posed depth maps into one triangle mesh, by Open3D's voxel block grid.

Curless and Levoy, "A Volumetric Method for Building Complex Models from Range Images", SIGGRAPH 1996: each
voxel keeps the running mean of its distances to the surfaces seen through it, every frame with weight 1.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid
from pipeline.errors import GateError, StageError
from pipeline.fusion import DepthView, Views, clip_depth
from pipeline.fusion.bounds import BLOCK_SIDE, block_coordinates, touched_blocks
from pipeline.meshes import canonical_mesh

if TYPE_CHECKING:
    from open3d.t.geometry import VoxelBlockGrid


@dataclass(frozen=True, kw_only=True, slots=True)
class FusedMesh:
    """The zero level of the fused distances, in the order of `canonical_mesh`.

    Attributes:
        vertices: (V 3) float64, metres in the world frame; all of them are float32 values.
        faces: (F 3) int32, counter-clockwise seen from the side that the cameras were on.
        weight: (V) float32, how many frames saw the voxel nearest to the vertex.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    weight: NDArray[np.float32]


def fuse(
    views: Views,
    *,
    voxel_m: float,
    trunc_m: float,
    depth_min_m: float,
    depth_max_m: float,
    min_weight: float,
    block_count: int,
) -> FusedMesh:
    """Average all views into one volume and take out its surface.

    Open3D computes in float32: a world whose origin is kilometres away costs tenths of a millimetre.

    Args:
        views: depth is used where it lies in [depth_min_m, depth_max_m]; one view is held at a time.
        voxel_m: the surface follows no detail much finer than this.
        trunc_m: how far the band around the surface reaches; at least two voxels. Wider bridges noise and
            pose errors, swallows what is thinner, and inflates what is round: distances are measured along
            the rays, which overstates them where a view grazes.
        min_weight: surface whose voxels were seen by fewer frames is left out.
        block_count: blocks to make room for at the start, `reserve` of `estimate_volume`; the volume grows
            by itself beyond it, at the price of a copy.

    Raises:
        ValueError: if trunc_m < 2 voxel_m: without a voxel on both sides no surface can be found.
        GateError: `no-surface` where no depth lies in range or nothing was seen often enough.
        StageError: where Open3D lost blocks.
    """
    if not trunc_m >= 2 * voxel_m > 0:
        raise ValueError(
            f"fuse: trunc_m must be at least 2 voxels, is {trunc_m:g} m at voxel_m={voxel_m:g} m. "
            "Raise stages.fuse.trunc_m or lower stages.fuse.voxel_m."
        )
    grid = _empty_grid(voxel_m, block_count)
    touched = np.zeros(0, np.int64)
    for index in range(len(views)):
        view = clip_depth(views[index], depth_min_m, depth_max_m)
        keys = touched_blocks(view, block_m=BLOCK_SIDE * voxel_m, trunc_m=trunc_m)
        if keys.size:
            _integrate(grid, view, block_coordinates(keys), trunc_m / voxel_m)
            touched = np.union1d(touched, keys)
    if touched.size == 0:
        raise _no_surface(f"no depth lies in [{depth_min_m:g}, {depth_max_m:g}] m", min_weight)
    if grid.hashmap().size() != touched.size:
        raise StageError(
            f"fuse: the volume must hold all {touched.size} touched blocks, holds {grid.hashmap().size()}. "
            "Lower memory use by raising stages.fuse.voxel_m and build again."
        )
    vertices, faces = _surface(grid, min_weight)
    weight = _weight_at(grid, vertices, voxel_m)
    vertices, faces, weight = canonical_mesh(vertices, faces, weight)
    return FusedMesh(vertices=vertices, faces=faces, weight=weight)


def _empty_grid(voxel_m: float, block_count: int) -> "VoxelBlockGrid":
    import open3d as o3d

    float32, cpu = o3d.core.float32, o3d.core.Device("CPU:0")
    # Depth without colour: Open3D takes float32 weights only, and floats only where it takes numbers.
    return o3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight"), (float32, float32), ((1), (1)), float(voxel_m), BLOCK_SIDE, block_count, cpu
    )


def _integrate(
    grid: "VoxelBlockGrid", view: DepthView, blocks: NDArray[np.int32], trunc_voxels: float
) -> None:
    import open3d as o3d
    from open3d.core import Tensor

    K = view.K.astype(np.float64)
    # Open3D cuts a voxel's pixel coordinates off instead of rounding them; half a pixel makes it round.
    K[:2, 2] += 0.5
    cam_from_world = np.ascontiguousarray(invert_rigid(view.world_from_cam))
    depth = o3d.t.geometry.Image(Tensor(np.ascontiguousarray(view.depth_m)))
    farthest_m = float(view.depth_m.max())  # the range was cut already; Open3D's own limit must not cut again
    grid.integrate(
        Tensor(blocks), depth, Tensor(K), Tensor(cam_from_world), 1.0, 2 * farthest_m, float(trunc_voxels)
    )


def _surface(grid: "VoxelBlockGrid", min_weight: float) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Vertices (float32 values) and faces of the zero level, non-finite ones left out."""
    try:
        # Open3D wants a weight above its threshold; counts are whole, so half a frame less means "at least".
        mesh = grid.extract_triangle_mesh(max(float(min_weight), 1.0) - 0.5)
    except RuntimeError as error:
        if "SetVertexColors" not in str(error):  # how Open3D 0.19 fails on a mesh without vertices
            raise
        raise _no_surface("no voxel on both sides of a surface was seen often enough", min_weight) from error
    vertices = mesh.vertex.positions.numpy().astype(np.float64)
    faces = mesh.triangle.indices.numpy()
    faces = faces[np.isfinite(vertices).all(axis=1)[faces].all(axis=1)]
    if not len(faces):
        raise _no_surface("the volume holds no triangle", min_weight)
    return np.nan_to_num(vertices, copy=False), faces


def _no_surface(finding: str, min_weight: float) -> GateError:
    return GateError(
        "no-surface",
        f"fuse: the frames must share a surface, {finding} (min_weight {min_weight:g} frames). Check poses, "
        "stages.fuse.depth_min_m, depth_max_m and min_weight.",
        value=0.0,
        unit="faces",
        limit=1.0,
    )


def _weight_at(grid: "VoxelBlockGrid", vertices: NDArray[np.float64], voxel_m: float) -> NDArray[np.float32]:
    """Weight (V) of the voxel nearest to each vertex; voxels lie at whole multiples of voxel_m."""
    from open3d.core import Tensor

    voxel = np.rint(vertices / voxel_m).astype(np.int32)
    block = voxel // BLOCK_SIDE
    x, y, z = (voxel - block * BLOCK_SIDE).T
    index, _ = grid.hashmap().find(Tensor(block))
    weight: NDArray[np.float32] = grid.attribute("weight").numpy()[index.numpy(), z, y, x, 0]
    return weight
