"""How well cloth keeps outside of what it is worn on: signed distances to a mesh, and penetrations.

The sign is that of the interpolated vertex normal at the nearest point (Baerentzen and Aanaes, "Signed
distance computation using the angle weighted pseudonormal", TVCG 2005), which holds at edges and corners too.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.visibility import vertex_normals

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

CANDIDATES = 4  # nearest vertices whose faces are searched for the nearest point


@dataclass(frozen=True, kw_only=True, slots=True)
class Penetration:
    """Cloth inside a collider, over all frames.

    Attributes:
        share: of the cloth's vertices, over all frames, that lie inside.
        deepest_m: the largest depth; 0 where nothing lies inside.
        gap_m: median distance of those outside.
        share_per_frame: (T,) as `share`, frame by frame.
    """

    share: float
    deepest_m: float
    gap_m: float
    share_per_frame: Float64


def penetration(
    cloth: NDArray[Any], collider: NDArray[Any], collider_faces: Int32, *, reach_m: float = 0.05
) -> Penetration:
    """Measure cloth (T V 3) against a collider (T C 3) that moves with it.

    Args:
        reach_m: what lies deeper than this is taken to be beside an open collider, not inside it.
    """
    rows = [
        signed_distance_m(points, vertices, collider_faces)
        for points, vertices in zip(cloth.astype(np.float64), collider.astype(np.float64), strict=True)
    ]
    distance_m = np.stack(rows)
    inside = (distance_m < 0) & (distance_m > -reach_m)
    outside = distance_m[distance_m >= 0]
    return Penetration(
        share=float(inside.mean()),
        deepest_m=float(-distance_m[inside].min()) if inside.any() else 0.0,
        gap_m=float(np.median(outside)) if outside.size else 0.0,
        share_per_frame=inside.mean(axis=1),
    )


def signed_distance_m(points: Float64, vertices: Float64, faces: Int32) -> Float64:
    """Distance (N,) of points (N 3) to a mesh, negative inside; beside an open mesh's rim, positive.

    The nearest point is searched on the faces around the nearest vertices: exact where faces are about as
    large as their neighbours.
    """
    around = _faces_around(faces, len(vertices))
    from scipy.spatial import cKDTree

    near = cKDTree(vertices).query(points, k=min(CANDIDATES, len(vertices)))[1].reshape(len(points), -1)
    candidates = around[near].reshape(len(points), -1)
    corners = vertices[faces[candidates]]  # (N K 3 3)
    weights = _nearest_weights(points[:, None], corners)
    offsets = points[:, None] - np.einsum("nki,nkij->nkj", weights, corners)
    squared = np.where(candidates >= 0, np.einsum("nkj,nkj->nk", offsets, offsets), np.inf)
    best = squared.argmin(axis=1)
    rows = np.arange(len(points))
    face, weight = faces[candidates[rows, best]], weights[rows, best]
    normals = np.einsum("ni,nij->nj", weight, vertex_normals(vertices, faces)[face])
    at_rim = (_on_rim(faces, len(vertices))[face] | (weight <= 0)).all(axis=1)
    inside = (np.einsum("nj,nj->n", normals, offsets[rows, best]) < 0) & ~at_rim
    return np.asarray(np.where(inside, -1.0, 1.0) * np.sqrt(squared[rows, best]))


def _faces_around(faces: Int32, count: int) -> NDArray[np.int64]:
    """Rows of the faces at each vertex (count K), filled up with -1."""
    corner = faces.ravel()
    order = np.argsort(corner, kind="stable")
    valence = np.bincount(corner, minlength=count)
    slot = np.arange(len(corner)) - np.repeat(np.cumsum(valence) - valence, valence)
    around = np.full((count, valence.max()), -1, dtype=np.int64)
    around[corner[order], slot] = order // 3
    return around


def _nearest_weights(points: Float64, corners: Float64) -> Float64:
    """Barycentric weights (N K 3) of the points of triangles (N K 3 3) nearest to points (N 1 3)."""
    a, ab, ac = (
        corners[..., 0, :],
        corners[..., 1, :] - corners[..., 0, :],
        corners[..., 2, :] - corners[..., 0, :],
    )
    ap = points - a
    d11, d12, d22 = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac)
    d1, d2 = _dot(ap, ab), _dot(ap, ac)
    determinant = np.maximum(d11 * d22 - d12**2, 1e-300)
    v, w = (d22 * d1 - d12 * d2) / determinant, (d11 * d2 - d12 * d1) / determinant
    weights = np.stack([1 - v - w, v, w], axis=-1)
    outside = (weights < 0).any(axis=-1)
    best = np.where(outside, np.inf, 0.0)
    for first, second in ((0, 1), (1, 2), (2, 0)):
        start, along = corners[..., first, :], corners[..., second, :] - corners[..., first, :]
        share = np.clip(_dot(points - start, along) / np.maximum(_dot(along, along), 1e-300), 0, 1)
        offset = points - start - share[..., None] * along
        nearer = _dot(offset, offset) < best
        best = np.where(nearer, _dot(offset, offset), best)
        on_edge = np.zeros_like(weights)
        on_edge[..., first], on_edge[..., second] = 1 - share, share
        weights = np.where(nearer[..., None], on_edge, weights)
    return np.asarray(weights)


def _on_rim(faces: Int32, count: int) -> NDArray[np.bool_]:
    """Which vertices (count,) have an edge with one face alone."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, uses = np.unique(edges, axis=0, return_counts=True)
    rim = np.zeros(count, dtype=np.bool_)
    rim[unique[uses == 1]] = True
    return rim


def _dot(a: Float64, b: Float64) -> Float64:
    return np.asarray(np.einsum("...i,...i->...", a, b))
