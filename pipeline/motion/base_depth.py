"""Base depth: what a depth camera would see of the body without its clothes.

Tan et al., "Self-Supervised Human Depth Estimation from Monocular Videos", CVPR 2020, step 2: the SMPL model's
depth as it is. The authors' public code smooths the mesh by four umbrella steps and blows it up by 26 mm along
its normals before it draws it; `CODE_SMOOTHING_STEPS` and `CODE_INFLATE_M` are those values. Their base lies
about 26 mm before the skin, and offsets trained on it differ by as much.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.motion.rigid_motion import checked_vertices
from pipeline.motion.rings import Rings
from pipeline.visibility import vertex_normals
from pipeline.zbuffer import visible_faces

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

CODE_SMOOTHING_STEPS = 4
CODE_INFLATE_M = 0.026


def base_depth(
    vertices_cam_m: NDArray[Any],
    faces: Int32,
    neighbours: Rings,
    *,
    K: Float64,
    size_px: int,
    smoothing_steps: int = 0,
    inflate_m: float = 0.0,
) -> Float32:
    """Draw the depth (size_px, size_px) of a body, z along the optical axis, 0 where it is not seen.

    Args:
        vertices_cam_m: (V 3) in the camera frame.
        neighbours: `one_rings` of the body; read where smoothing_steps is not 0.
        smoothing_steps, inflate_m: as of `base_surface`.

    Raises:
        ValueError: as `base_surface`, or if size_px is not positive.
    """
    surface_m = base_surface(
        vertices_cam_m, faces, neighbours, smoothing_steps=smoothing_steps, inflate_m=inflate_m
    )
    return visible_faces(surface_m, faces, K, height=size_px, width=size_px)[2]


def base_surface(
    vertices_m: NDArray[Any], faces: Int32, neighbours: Rings, *, smoothing_steps: int, inflate_m: float
) -> Float64:
    """Smooth a mesh and move it along its normals.

    Args:
        smoothing_steps: how often every vertex at once goes to the mean of its neighbours; each step shrinks
            what is thin, fingers first. A vertex without neighbours stays.
        inflate_m: how far the smoothed vertices move outwards along their angle-weighted normals.

    Returns:
        (V 3) in the frame of the vertices.

    Raises:
        ValueError: if smoothing_steps is negative or a vertex or inflate_m is not finite.
    """
    surface_m = checked_vertices(vertices_m, neighbours, "base_surface: vertices_m")
    if smoothing_steps < 0 or not np.isfinite(inflate_m):
        raise ValueError(
            f"base_surface: smoothing_steps must not be negative and inflate_m finite, "
            f"are {smoothing_steps} and {inflate_m} m"
        )
    counts = np.diff(neighbours.starts)
    filled = counts > 0
    for _ in range(smoothing_steps):
        sums = np.add.reduceat(surface_m[neighbours.neighbours], neighbours.starts[:-1][filled], axis=0)
        surface_m = surface_m.copy()
        surface_m[filled] = sums / counts[filled, None]
    if inflate_m == 0.0:
        return surface_m
    return surface_m + inflate_m * vertex_normals(surface_m, faces)
