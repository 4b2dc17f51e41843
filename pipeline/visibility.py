"""What hangs on a visibility buffer: arithmetic on face indices and barycentric weights.

A buffer says which face a pixel sees and where on it (`renderers.views.Visibility`), whoever rendered it.
Vertex normals are weighted by the corner angle (Thürmer and Wüthrich, "Computing Vertex Normals from
Polygonal Facets", 1998), which does not depend on how a surface is cut and is Blender's own definition.
"""

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

# Cosine between normal and viewing direction that a normal at the rim keeps: far above float32's rounding
# (6e-8), so that n.p < 0 holds in everybody's arithmetic, and 0.06 degrees away from grazing.
GRAZING_COSINE = 1e-3
ALONG_SINE = 1e-4  # below it, a normal along the ray has no side to lean to that rounding does not decide


def vertex_normals(vertices: Float64, faces: Int32) -> Float64:
    """Return the angle-weighted unit normal (V 3) of each vertex.

    Args:
        vertices: (V 3), any frame; the normals come out in it.
        faces: (F 3), counter-clockwise seen from outside, so that normals point outwards.

    Returns:
        0 for a vertex that no face with an area touches. Faces without area weigh nothing.
    """
    corners = vertices[faces]
    face_normals = _unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    total = np.zeros((len(vertices), 3))
    for corner in range(3):
        forth = corners[:, (corner + 1) % 3] - corners[:, corner]
        back = corners[:, (corner + 2) % 3] - corners[:, corner]
        # atan2 of sine and cosine: exact for slivers, and 0 where an edge has no length.
        angle_rad = np.arctan2(np.linalg.norm(np.cross(forth, back), axis=1), _dot(forth, back))
        for axis in range(3):
            weights = angle_rad * face_normals[:, axis]
            total[:, axis] += np.bincount(faces[:, corner], weights, minlength=len(vertices))
    return _unit(total)


def normals_from_visibility(
    face_index: Int32,
    bary: Float32,
    *,
    vertices: Float64,
    faces: Int32,
    normals_world: Float64,
    cam_from_world: Float64,
) -> Float32:
    """Interpolate vertex normals over the faces that a camera sees.

    Args:
        face_index: (H W), row of `faces`, -1 where nothing is seen.
        bary: (H W 2), weights of a face's second and third vertex.
        vertices: (V 3) in the world frame, metres.
        normals_world: (V 3) from `vertex_normals`.

    Returns:
        (H W 3) unit normals in the camera frame, facing the camera (n.p < 0): those of a face seen from
        behind are flipped, those that interpolation leans away at the rim are tilted back (`lean_to_camera`).
        Where the three vertex normals cancel, the face's own; 0 at misses and on faces without area.
    """
    seen = face_index >= 0
    triangles = faces[face_index[seen]]
    u, v = bary[seen].astype(np.float64).T
    weights = np.stack([1.0 - u - v, u, v], axis=1)
    corners = vertices[triangles]
    points_cam = np.einsum("nk,nki->ni", weights, corners) @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
    face_normals = _unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    normals = _unit(np.einsum("nk,nki->ni", weights, normals_world[triangles]))
    cancelled = _dot(normals, normals) == 0
    normals[cancelled] = face_normals[cancelled]
    normals, face_normals = (world @ cam_from_world[:3, :3].T for world in (normals, face_normals))
    normals[_dot(face_normals, points_cam) > 0] *= -1.0
    normals[_dot(face_normals, face_normals) == 0] = 0.0
    out = np.zeros((*face_index.shape, 3), dtype=np.float32)
    out[seen] = lean_to_camera(normals, points_cam)
    return out


def lean_to_camera(normals_cam: Float64, points_cam: Float64) -> Float64:
    """Tilt unit normals (..., 3) that point away from the camera back to grazing, by the least rotation.

    At the rim of a faceted mesh, smooth normals lean past the horizon although the face is seen from the
    front; flipping those would turn them by almost half a turn.

    Args:
        points_cam: (..., 3) any positive multiple of the surface points; not 0.

    Returns:
        Unit normals with n.p <= -GRAZING_COSINE |p|; 0 stays 0.
    """
    rays = _unit(points_cam)
    cosine = _dot(normals_cam, rays)
    away = (cosine > -GRAZING_COSINE) & (_dot(normals_cam, normals_cam) > 0)
    across = normals_cam[away] - cosine[away][:, None] * rays[away]
    along = np.linalg.norm(across, axis=1, keepdims=True) < ALONG_SINE
    grazing = _unit(across) * np.sqrt(1.0 - GRAZING_COSINE**2) - GRAZING_COSINE * rays[away]
    leaned = normals_cam.copy()
    leaned[away] = np.where(along, -rays[away], grazing)
    return leaned


def _unit(vectors: Float64) -> Float64:
    lengths = np.sqrt(_dot(vectors, vectors))[..., None]
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def _dot(a: Float64, b: Float64) -> Float64:
    return np.asarray(np.einsum("...i,...i", a, b))
