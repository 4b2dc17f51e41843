"""How far charts, volumes and motions of a body lie from those of the true body.

The true surface is seen by ray casting and the true volume is cut by rays, so that no code which made the
targets has a part in judging them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import backproject
from pipeline.correspondences.charts import OURS, Charts
from pipeline.correspondences.geodesic import GeodesicSurface
from pipeline.correspondences.scores import geodesic_errors_m
from pipeline.correspondences.surface_points import surface_places
from pipeline.voxels.grids import points_to_vox
from pipeline.voxels.packing import pack, packed_iou

Bool = NDArray[np.bool_]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

FAR_M = 1.0  # whoever is farther off along the surface is wrong by so much, at least
ASIDE_VOX = 1e-3
LIMITS = {
    "right part": 0.99,
    "geodesic": 0.010,
    "IoU": 0.999,
    "motion": 0.001,
}  # of targets made of true bodies


def chart_errors(
    part: NDArray[np.uint8],
    uv: Float32,
    true_places: tuple[Int32, Float32],
    *,
    charts: Charts,
    surface: GeodesicSurface,
) -> tuple[Bool, Float64]:
    """Compare a picture's charts with the places of the body that its rays hit.

    Args:
        part, uv: (H W) and (H W 2), `surface_part` and `surface_uv`.
        true_places: face (H W) of the true body, -1 where a ray misses it, and weights (H W 2).

    Returns:
        Of each pixel (N) that sees the true body: whether its part is right, and how many metres along the
        surface its place is off, inf where it has none or lies farther than FAR_M.
    """
    face, bary = true_places
    on = face >= 0
    found = surface_places(charts, part[on], uv[on], parametrisation=OURS)
    right = part[on] == charts.atlas.part[face[on]]
    errors_m = geodesic_errors_m(surface, (face[on], bary[on]), (found.face, found.bary), most_m=FAR_M)
    return np.asarray(right), errors_m


def motion_errors_m(
    motion: tuple[Float32, Float32, Bool],
    depth_m: Float32,
    K: Float64,
    true_places: tuple[Int32, Float32],
    reference_corners_m: Float64,
) -> Float64:
    """Metres between where a motion takes each valid pixel's point and where the true body has it.

    Args:
        motion: rotvec_rad (H W 3), t_m (H W 3) and valid (H W) of one pair.
        depth_m: (H W) of the body's surface in the target, to which the motion belongs.
        K: (3 3) of the target.
        true_places: of the target, as for `chart_errors`.
        reference_corners_m: (F 3 3) the true body's corners, face by face, in the reference's camera frame.

    Returns:
        (N) of the valid pixels that see the true body.
    """
    from scipy.spatial.transform import Rotation

    rotvec_rad, t_m, valid = motion
    face, bary = true_places
    on = valid & (face >= 0) & (depth_m > 0)
    points = backproject(depth_m, K)[on]
    landed = Rotation.from_rotvec(rotvec_rad[on].astype(np.float64)).apply(points) + t_m[on]
    second, third = bary[on].astype(np.float64).T
    weights = np.stack([1 - second - third, second, third], axis=1)
    exact = np.einsum("nc,nci->ni", weights, reference_corners_m[face[on]])
    return np.asarray(np.linalg.norm(landed - exact, axis=1), dtype=np.float64)


def volume_iou(
    packed: NDArray[np.uint8],
    world_from_vox: Float64,
    vertices_m: NDArray[Any],
    faces: Int32,
    shape_xyz: tuple[int, int, int],
) -> float:
    """Voxels in both over voxels in either, of a volume and of the true body (V 3, world) in its grid.

    Args:
        packed: as `pipeline.voxels.packing.pack` makes it.
    """
    vertices_vox = points_to_vox(world_from_vox, np.asarray(vertices_m, np.float64))
    return float(packed_iou(packed, pack(inside_by_rays(vertices_vox, faces, shape_xyz))))


def inside_by_rays(vertices_vox: Float64, faces: Int32, shape_xyz: tuple[int, int, int]) -> Bool:
    """Voxels (X Y Z) of winding number 1 or more, from Embree's hits along one ray a column.

    Open3D's own occupancy counts hits modulo two, which empties a body where it passes through itself.

    Args:
        vertices_vox: (V 3) in voxels; centres are integers.
        faces: (F 3), closed, outward in a right-handed frame.
    """
    import open3d as o3d

    # Embree computes in float32: the origin goes into the middle of the grid.
    local = vertices_vox - (np.array(shape_xyz) - 1) / 2
    scene: Any = o3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(o3d.core.Tensor(local.astype(np.float32)), o3d.core.Tensor(faces.astype(np.uint32)))
    inside, balanced = _along_columns(scene, local, faces, shape_xyz, aside_vox=0.0)
    if not balanced.all():
        # A ray that meets an edge hits both its faces or none; a ray beside it does not.
        inside[~balanced] = _along_columns(scene, local, faces, shape_xyz, aside_vox=ASIDE_VOX)[0][~balanced]
    return inside


def _along_columns(
    scene: Any, local: Float64, faces: Int32, shape_xyz: tuple[int, int, int], *, aside_vox: float
) -> tuple[Bool, Bool]:
    """Voxels (X Y Z) inside, and the columns (X Y) that are left as often as they are entered."""
    import open3d as o3d

    middle = (np.array(shape_xyz) - 1) / 2
    start = float(local[:, 2].min()) - 1.0
    rays = np.zeros((*shape_xyz[:2], 6), np.float32)
    rays[..., 0], rays[..., 1] = np.meshgrid(*map(np.arange, shape_xyz[:2]), indexing="ij")
    rays[..., :2] += aside_vox - middle[:2]
    rays[..., 2], rays[..., 5] = start, 1.0
    hits = scene.list_intersections(o3d.core.Tensor(rays), nthreads=1)
    column = hits["ray_ids"].numpy().astype(np.int64)
    height = hits["t_hit"].numpy().astype(np.float64) + start + middle[2]
    a, b, c = np.moveaxis(local[faces[hits["primitive_ids"].numpy().astype(np.int64)]], 1, 0)
    looks_up = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    # On the way up, a face that looks down is entered and one that looks up is left.
    step = np.where(looks_up < 0, 1, -1)
    first = np.clip(np.ceil(height).astype(np.int64), 0, shape_xyz[2])
    change = np.zeros((shape_xyz[0] * shape_xyz[1], shape_xyz[2] + 1), np.int32)
    np.add.at(change, (column, first), step)
    winding = np.cumsum(change, axis=1).reshape(*shape_xyz[:2], -1)
    return np.asarray(winding[..., :-1] > 0), np.asarray(winding[..., -1] == 0)
