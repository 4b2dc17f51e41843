"""Where the voxels of a picture lie: grids that line up with the image crop.

A grid is its `cam_from_vox` (4 4), which maps the centre (i, j, k) of a voxel to metres; i grows with u, j with v,
k with z. world_from_vox is world_from_cam @ cam_from_vox. Jackson et al., ECCVW 2018, section 3.2; Varol et al.,
"BodyNet", ECCV 2018, section 3.1.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Shape = tuple[int, int, int]

CUBE: Shape = (128, 128, 128)
TALL: Shape = (128, 256, 96)


def alignment_depth(vertices_cam_m: NDArray[Any], align: Literal["mean", "box"]) -> float:
    """The z that comes to lie in the middle of the grid, metres.

    Args:
        vertices_cam_m: (V 3).
        align: `mean` of the vertices' z, as Jackson et al. have it, or the middle of their bounding `box`, as BodyNet.

    Raises:
        ValueError: if there are no vertices, or the depth is not finite and positive.
    """
    z_m = np.asarray(vertices_cam_m, np.float64)[:, 2]
    if not len(z_m):
        raise ValueError("alignment_depth: vertices_cam_m must hold vertices, holds none")
    depth_m = float(z_m.mean() if align == "mean" else (z_m.min() + z_m.max()) / 2)
    if not 0 < depth_m < np.inf:
        raise ValueError(f"alignment_depth: the body must lie before the camera, lies at {depth_m} m")
    return depth_m


def orthographic_grid(
    K: Float64, depth_m: float, shape_xyz: Shape, *, size_px: int, scale: float = 1.0
) -> Float64:
    """Voxels whose columns are parallel: the image's pixels, taken to be as large everywhere as they are at depth_m.

    The grid is as high as the image and centred on it. Columns run along the ray through the middle of the crop,
    so that a body off the optical axis lines up too; where the crop is centred on the axis, as in the papers,
    that is z, and voxels are cubes (with fx = fy). Picture and grid line up exactly at depth_m and in the middle;
    what lies dz off is aside by the share dz / depth_m of its distance to the middle. `frustum_grid` lines up
    everywhere.

    Args:
        K: (3 3) of the crop.
        depth_m: as from `alignment_depth`.
        size_px: side of the crop.
        scale: enlarges the body about the middle of the crop; the picture that goes with it is
            `crop_resize` of the middle size_px / scale pixels.

    Returns:
        cam_from_vox (4 4), affine.

    Raises:
        ValueError: if a size, depth or scale is not positive.
    """
    step, corner = _pixel_grid(K, depth_m, shape_xyz, size_px=size_px, scale=scale)
    step_m = float(np.sqrt(step[0] * step[1])) * depth_m
    middle = corner + step * (np.array(shape_xyz[:2]) - 1) / 2  # x and y, at z = 1, of the crop's middle
    back = (shape_xyz[2] - 1) / 2 * step_m
    cam_from_vox = np.diag([*(step * depth_m), step_m, 1.0])
    cam_from_vox[:2, 2] = middle * step_m
    cam_from_vox[:3, 3] = [*(corner * depth_m - middle * back), depth_m - back]
    return cam_from_vox


def frustum_grid(
    K: Float64, depth_m: float, shape_xyz: Shape, *, size_px: int, scale: float = 1.0
) -> Float64:
    """Voxels whose columns run along the rays of the pixels: each slice is the image, unprojected to its depth.

    Slices are evenly spaced in 1 / z, as far apart as voxels are wide at depth_m. So the map is a projective
    one: it fits into one matrix, and planes stay planes, so that a mesh in voxels is still that mesh. Half the
    body's depth off (0.3 m at 2.2 m) slices are 27 % nearer or farther apart, voxels 14 % narrower or wider.

    Args and errors are those of `orthographic_grid`, and ValueError if the last slice lay beyond infinity, which
    takes a field of view of over 90 degrees.

    Returns:
        cam_from_vox (4 4), projective: p_cam = xyz / w of cam_from_vox @ (i, j, k, 1); its last row is not 0 0 0 1.
    """
    step, corner = _pixel_grid(K, depth_m, shape_xyz, size_px=size_px, scale=scale)
    inverse_step = -float(np.sqrt(step[0] * step[1])) / depth_m  # of 1 / z from one slice to the next
    nearest = 1 / depth_m - inverse_step * (shape_xyz[2] - 1) / 2
    if nearest + inverse_step * (shape_xyz[2] - 1) <= 0:
        raise ValueError(
            f"frustum_grid: {shape_xyz[2]} slices must end before infinity, do not at fx = {K[0, 0]:.1f} px, "
            f"{size_px=}. Use fewer slices or the orthographic grid."
        )
    return np.array(
        [
            [step[0], 0.0, 0.0, corner[0]],
            [0.0, step[1], 0.0, corner[1]],
            [0.0, 0.0, 0.0, 1.0],
            [0.0, 0.0, inverse_step, nearest],
        ]
    )


def _pixel_grid(
    K: Float64, depth_m: float, shape_xyz: Shape, *, size_px: int, scale: float
) -> tuple[Float64, Float64]:
    """x and y, at z = 1, of the step from voxel to voxel (2) and of the first voxel's centre (2)."""
    values = (*shape_xyz, size_px, scale, depth_m)
    if len(shape_xyz) != 3 or not all(0 < value < np.inf for value in values):
        raise ValueError(
            "voxel grid: shape, size_px, scale and depth_m must be positive, "
            f"are {shape_xyz}, {size_px=}, {scale=}, {depth_m=} m"
        )
    step_px = size_px / (shape_xyz[1] * scale)
    # Pixel and voxel centres are integers, so the middles are (n - 1) / 2.
    corner_px = (size_px - 1) / 2 - step_px * (np.array(shape_xyz[:2], np.float64) - 1) / 2
    focal_px, centre_px = K[[0, 1], [0, 1]], K[:2, 2]
    return step_px / focal_px, (corner_px - centre_px) / focal_px


def points_from_vox(world_from_vox: Float64, points_vox: NDArray[Any]) -> Float64:
    """Map places (..., 3) in voxels to metres; affine and projective grids alike."""
    moved = points_vox @ world_from_vox[:, :3].T + world_from_vox[:, 3]
    return np.asarray(moved[..., :3] / moved[..., 3:], np.float64)


def points_to_vox(world_from_vox: Float64, points_m: NDArray[Any]) -> Float64:
    """Map points (..., 3) in metres to voxels.

    Raises:
        ValueError: if a point lies in or behind the plane of a frustum grid's camera, where no voxel can.
    """
    from pipeline.voxels.grids_kernels import shift_and_divide

    vox_from_world = np.linalg.inv(world_from_vox)
    turned = points_m @ vox_from_world[:, :3].T
    points_vox, behind = shift_and_divide(turned.reshape(-1, 4), vox_from_world[:, 3])
    if behind:
        raise ValueError(f"points_to_vox: points must lie before the camera, {behind} do not")
    return points_vox.reshape(points_m.shape)
