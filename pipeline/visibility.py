"""What hangs on a visibility buffer: arithmetic on face indices and barycentric weights.

A buffer says which face a pixel sees and where on it (`renderers.views.Visibility`), whoever rendered it.
Vertex normals are weighted by the corner angle (Thürmer and Wüthrich, "Computing Vertex Normals from
Polygonal Facets", 1998), which does not depend on how a surface is cut and is Blender's own definition.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import pixel_rays

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
    from pipeline import visibility_kernels as kernels

    seen = face_index >= 0
    mesh = (vertices, faces, normals_world)
    normals, points_cam = kernels.interpolate_normals(face_index[seen], bary[seen], mesh, cam_from_world)
    leans = _dot(normals, points_cam) > -GRAZING_COSINE * np.sqrt(_dot(points_cam, points_cam))
    normals[leans] = lean_to_camera(normals[leans], points_cam[leans])
    out = np.zeros((*face_index.shape, 3), dtype=np.float32)
    out[seen] = normals
    return out


def vertex_values(face_index: Int32, bary: Float32, *, faces: Int32, values: Float32) -> Float32:
    """Interpolate one number of each vertex over the faces that a camera sees.

    Args:
        face_index: (H W), row of `faces`, -1 where nothing is seen.
        bary: (H W 2), weights of a face's second and third vertex.
        values: (V), any unit.

    Returns:
        (H W) in the values' unit; 0 where nothing is seen.
    """
    seen = face_index >= 0
    first, second, third = values[faces[face_index[seen]]].T
    u, v = bary[seen].T
    out = np.zeros(face_index.shape, dtype=np.float32)
    out[seen] = first + u * (second - first) + v * (third - first)
    return out


def depth_sigma(sigma_m: Float32, normal_cam: Float32, K: Float64) -> Float32:
    """Turn the standard deviation of a surface along its normal into that of its depth along the optical axis.

    A plane n.p = d is met by the ray z r, r = (x, y, 1), at z = d / (n.r): what moves the plane by sigma along n moves
    the depth by sigma / |n.r|.

    Args:
        sigma_m: (H W) along the normal; 0 where it is not known.
        normal_cam: (H W 3), unit; 0 where nothing is seen.

    Returns:
        (H W) metres; 0 where nothing is seen or sigma is not known.
    """
    height, width = sigma_m.shape
    cosine = np.abs(_dot(normal_cam.astype(np.float64), pixel_rays(K, height, width)))
    out = np.zeros(sigma_m.shape)
    return np.divide(sigma_m, cosine, out=out, where=cosine > 0).astype(np.float32)


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
