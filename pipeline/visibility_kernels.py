"""Compiled loop over the pixels that see a mesh; import only through `pipeline.visibility`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]


@njit(nogil=True, cache=True, error_model="numpy")
def interpolate_normals(
    hits: Int32, bary: Float32, mesh: tuple[Float64, Int32, Float64], view: Float64
) -> tuple[Float64, Float64]:
    """Unit normals and points (N 3), both in the camera frame, of hits (N) on a mesh's faces.

    Args:
        bary: (N 2), weights of a face's second and third vertex.
        mesh: vertices (V 3), faces (F 3), unit normals of the vertices (V 3).
        view: (4 4) cam_from_world.

    Returns:
        Normals, flipped where the face is seen from behind, the face's own where those of the corners cancel, 0 on
        faces without area; and points.
    """
    vertices, faces, vertex_normals = mesh
    normals, points = np.zeros((len(hits), 3)), np.zeros((len(hits), 3))
    world, face, place = np.zeros(3), np.zeros(3), np.zeros(3)
    for i in range(len(hits)):
        a, b, c = faces[hits[i], 0], faces[hits[i], 1], faces[hits[i], 2]
        u, v = np.float64(bary[i, 0]), np.float64(bary[i, 1])
        for k in range(3):
            world[k] = (
                (1.0 - u - v) * vertex_normals[a, k] + u * vertex_normals[b, k] + v * vertex_normals[c, k]
            )
            place[k] = (1.0 - u - v) * vertices[a, k] + u * vertices[b, k] + v * vertices[c, k]
            x, y = (k + 1) % 3, (k + 2) % 3
            face[k] = (vertices[b, x] - vertices[a, x]) * (vertices[c, y] - vertices[a, y]) - (
                vertices[b, y] - vertices[a, y]
            ) * (vertices[c, x] - vertices[a, x])
        if world[0] == 0.0 and world[1] == 0.0 and world[2] == 0.0:
            world[:] = face
        size = np.sqrt(world[0] ** 2 + world[1] ** 2 + world[2] ** 2)
        behind, area = 0.0, 0.0
        for k in range(3):
            points[i, k] = view[k, 0] * place[0] + view[k, 1] * place[1] + view[k, 2] * place[2] + view[k, 3]
            behind += (view[k, 0] * face[0] + view[k, 1] * face[1] + view[k, 2] * face[2]) * points[i, k]
            area += abs(face[k])
        if area > 0.0 and size > 0.0:
            scale = -1.0 / size if behind > 0.0 else 1.0 / size
            for k in range(3):
                normals[i, k] = scale * (
                    view[k, 0] * world[0] + view[k, 1] * world[1] + view[k, 2] * world[2]
                )
    return normals, points
