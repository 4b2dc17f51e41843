"""Meshes to visibility buffers by our own z-buffer; it builds no search tree and needs numpy and numba alone."""

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, transform
from pipeline.zbuffer import visible_faces
from renderers.views import View, Visibility, check_mesh, check_view


def rasterise(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    view: View,
    *,
    height: int,
    width: int,
    threads: int = 1,
) -> Visibility:
    """Find the nearest face at each pixel centre; faces are seen from both sides.

    Args:
        vertices: (V 3) float64, world frame, metres; may lie far from the world's origin.
        faces: (F 3) int32.
        threads: no result depends on it.

    Raises:
        ValueError: if the mesh, the view or a size is malformed.
    """
    check_mesh(vertices, faces, where="renderers.raster")
    check_view(view, where="renderers.raster")
    points_cam = transform(invert_rigid(view.world_from_cam), vertices)
    face_index, bary, depth_m = visible_faces(
        points_cam, faces, view.K, height=height, width=width, threads=threads
    )
    return Visibility(face_index=face_index, bary=bary, depth_m=depth_m)
