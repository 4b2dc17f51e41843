"""Depth maps as triangle meshes: points, faces, normals, and PLY files, with numpy alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import Bool, Float32, Float64, pixel_rays
from pipeline.masks import mask_box

Faces = NDArray[np.int32]


def depth_mesh(
    depth_m: NDArray[Any], mask: Bool, K: Float64, *, max_step_m: float
) -> tuple[Float32, Faces, NDArray[np.int64]]:
    """Turn a depth map into a surface of two triangles per four neighbouring pixels.

    Four pixels are split along the diagonal with the smaller depth step; a triangle stands where its depths
    lie within max_step_m, so that no skin is spun between an arm and the body behind it.

    Args:
        depth_m: (H W) z along the optical axis; never read outside the mask.
        K: (3 3) intrinsics.

    Returns:
        vertices (V 3) in the camera frame, one per pixel of the mask and in its order; faces (F 3), which
        run counter-clockwise as the camera sees them; and each vertex's place (V) in the flattened map.
    """
    height, width = depth_m.shape
    pixel = np.flatnonzero(mask)
    z = np.where(mask, depth_m, 0).astype(np.float64)
    vertices = (pixel_rays(K, height, width) * z[..., None]).reshape(-1, 3)[pixel]
    vertex_of = np.full(height * width, -1, np.int64)
    vertex_of[pixel] = np.arange(len(pixel))
    corners = _triangles(z, np.arange(height * width).reshape(height, width))
    depths = z.ravel()[corners]
    whole = (vertex_of[corners] >= 0).all(axis=1)
    flat = depths.max(axis=1) - depths.min(axis=1) <= max_step_m
    return vertices.astype(np.float32), vertex_of[corners[whole & flat]].astype(np.int32), pixel


def _triangles(z: Float64, place: NDArray[np.int64]) -> NDArray[np.int64]:
    """Both triangles (2 (H-1)(W-1), 3) of every four neighbours, in image order."""
    a, b, c, d = place[:-1, :-1], place[:-1, 1:], place[1:, :-1], place[1:, 1:]
    flat = z.ravel()
    along_ad = np.abs(flat[a] - flat[d]) <= np.abs(flat[b] - flat[c])
    first = np.where(along_ad[..., None], np.stack([a, c, d], -1), np.stack([a, c, b], -1))
    second = np.where(along_ad[..., None], np.stack([a, d, b], -1), np.stack([b, c, d], -1))
    return np.asarray(np.stack([first, second], axis=2).reshape(-1, 3), np.int64)


def fit_normals(
    depth_m: NDArray[Any], mask: Bool, K: Float64, *, window_px: int, max_step_m: float
) -> Float32:
    """Normals (H W 3) by a plane z = a x + b y + c through each pixel's neighbours, with numpy alone.

    The twin of `pipeline.normals.normals_from_depth`, which needs a compiler. Normals face the camera
    (n . p < 0) and are 0 outside the mask and where the neighbours give no plane.

    Args:
        depth_m: (H W) z along the optical axis; never read outside the mask.
        window_px: side of the window, odd; a larger one is smoother and rounds edges.
        max_step_m: keeps neighbours across a depth step out of the fit.
    """
    normal = np.zeros((*mask.shape, 3), np.float32)
    if not mask.any():
        return normal
    box = mask_box(mask)
    z = np.where(mask[box], depth_m[box], np.inf).astype(np.float64)
    rays = pixel_rays(K, *mask.shape)[box]
    normal[box] = _plane_normals(*_moments(z, rays, K, window_px // 2, max_step_m), rays)
    return normal


def _moments(z: Float64, rays: Float64, K: Float64, half: int, max_step_m: float) -> tuple[Float64, Float64]:
    """Sums over each pixel's neighbours of (1, x, y, z, xx, xy, yy, xz, yz) and of (u, v, uu, uv, vv).

    Points are relative to the pixel's own, so that nothing cancels; z is infinite outside the mask.
    """
    height, width = z.shape
    padded = np.pad(z, half, constant_values=np.inf)
    inside = np.isfinite(z)
    near = np.where(inside, z, 0)
    metric, image = np.zeros((9, height, width)), np.zeros((5, height, width))
    for dv in range(-half, half + 1):
        for du in range(-half, half + 1):
            there = padded[half + dv : half + dv + height, half + du : half + du + width]
            use = inside & (np.abs(there - near) <= max_step_m)
            there = np.where(use, there, 0)
            x = use * ((rays[..., 0] + du / K[0, 0]) * there - rays[..., 0] * near)
            y = use * ((rays[..., 1] + dv / K[1, 1]) * there - rays[..., 1] * near)
            dz = use * (there - near)
            for total, term in zip(metric, (use, x, y, dz, x * x, x * y, y * y, x * dz, y * dz), strict=True):
                total += term
            for total, step in zip(image, (du, dv, du * du, du * dv, dv * dv), strict=True):
                total += use * step
    return metric, image


def _plane_normals(metric: Float64, image: Float64, rays: Float64) -> Float32:
    n = metric[0]
    u, v, uu, uv, vv = image
    on_one_line = (n * uu - u * u) * (n * vv - v * v) == (n * uv - u * v) ** 2  # whole numbers: exact
    _, x, y, z, xx, xy, yy, xz, yz = metric / np.maximum(n, 1)
    xx, xy, yy, xz, yz = xx - x * x, xy - x * y, yy - y * y, xz - x * z, yz - y * z
    det = xx * yy - xy * xy
    good = ~on_one_line & (det > 1e-12 * xx * yy)  # else the plane runs along the optical axis
    safe = np.where(good, det, 1.0)
    a, b = (xz * yy - yz * xy) / safe, (yz * xx - xz * xy) / safe
    normal = np.stack([a, b, -np.ones_like(a)], axis=-1) / np.sqrt(a * a + b * b + 1)[..., None]
    facing = np.sum(normal * rays, axis=-1) < 0
    return np.where(good[..., None], np.where(facing[..., None], normal, -normal), 0).astype(np.float32)


def write_ply(
    path: Path, vertices: NDArray[Any], faces: NDArray[Any], attributes: Mapping[str, NDArray[Any]]
) -> None:
    """Write a binary little-endian PLY; the same arrays give the same bytes.

    Args:
        vertices: (V 3), stored as float32.
        attributes: name to (V); uint8 stays uint8, everything else becomes float32. Viewers know `nx`,
            `ny`, `nz` and `red`, `green`, `blue`.
    """
    columns = [(axis, np.asarray(vertices[:, index])) for index, axis in enumerate("xyz")]
    columns += list(attributes.items())
    kinds = {name: "u1" if values.dtype == np.uint8 else "<f4" for name, values in columns}
    table = np.zeros(len(vertices), np.dtype(list(kinds.items())))
    for name, values in columns:
        table[name] = values
    corners = np.zeros(len(faces), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    corners["count"], corners["corners"] = 3, faces
    words = {"u1": "uchar", "<f4": "float"}
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    head += [f"property {words[kind]} {name}" for name, kind in kinds.items()]
    head += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    path.write_bytes("\n".join(head).encode() + table.tobytes() + corners.tobytes())
