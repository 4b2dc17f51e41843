"""Meshes with small openings, closed: what is missing becomes a fan around the middle of each rim."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]


def closed_mesh(vertices: Float64, faces: Int32, *, max_open_share: float) -> tuple[Float64, Int32]:
    """Join vertices in one place and close every opening by a fan of faces around the middle of its rim.

    The rim is all edges that are not run as often one way as the other, so the fan closes what no list of
    holes tells: faces that are missing, turned over, doubled or joined three to an edge. Where an opening is
    flat, the solid is the one where the generalised winding number (Jacobson, Kavan, Sorkine-Hornung, "Robust
    Inside-Outside Segmentation using Generalized Winding Numbers", 2013) of the mesh open there alone is above
    1/2; where it is not, the two may differ within the rim's convex hull.

    Args:
        vertices: (V 3), finite.
        faces: (F 3).
        max_open_share: largest area of all fans, as a share of the mesh's own area.

    Returns:
        Vertices, and faces that run every edge as often one way as the other.

    Raises:
        InputError: `open-mesh` when the fans are larger than max_open_share.
    """
    # + 0.0 turns -0.0, which is the same place, into 0.0.
    joined, row = np.unique(vertices + 0.0, axis=0, return_inverse=True)
    corners = row.reshape(-1)[faces]
    rim = _rim(corners, len(joined))
    if not len(rim):
        return joined, corners.astype(np.int32)
    apexes, apex = _apexes(joined, rim)
    fans = np.column_stack([rim, len(joined) + apex])
    vertices = np.concatenate([joined, apexes])
    area = _area(vertices, corners)
    share = _area(vertices, fans) / area if area > 0 else np.inf
    if share > max_open_share:
        raise InputError(
            "open-mesh",
            f"closed_mesh: openings must be at most {max_open_share:.1%} of the surface, are {share:.1%} at "
            f"{len(apexes)} places. Close the mesh, or leave it out.",
        )
    return vertices, np.concatenate([corners, fans]).astype(np.int32)


def _rim(corners: NDArray[Any], count: int) -> Int64:
    """Directed edges (E 2), as often as each has to be run to balance the faces."""
    start, end = corners[:, [0, 1, 2]].ravel(), corners[:, [1, 2, 0]].ravel()
    low, high = np.minimum(start, end), np.maximum(start, end)
    keys, edge = np.unique(low * np.int64(count) + high, return_inverse=True)
    # How much more often the faces run from the lower row to the higher.
    excess = np.bincount(edge.reshape(-1), weights=np.sign(end - start), minlength=len(keys)).astype(np.int64)
    ends = np.stack(np.divmod(keys, count), axis=1)
    ends[excess > 0] = ends[excess > 0, ::-1]
    return np.repeat(ends, np.abs(excess), axis=0)


def _apexes(vertices: Float64, rim: Int64) -> tuple[Float64, Int64]:
    """The middle of each connected rim (A 3), weighted by length, and which of them each edge (E) has."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(rim), np.int8), rim.T), shape=(len(vertices), len(vertices)))
    _, part = connected_components(links, directed=False)
    _, apex = np.unique(part[rim[:, 0]], return_inverse=True)
    apex = apex.reshape(-1)
    a, b = vertices[rim[:, 0]], vertices[rim[:, 1]]
    length = np.linalg.norm(b - a, axis=1)
    sums = np.stack([np.bincount(apex, weights=length * middle) for middle in ((a + b) / 2).T], axis=1)
    return sums / np.bincount(apex, weights=length)[:, None], apex


def _area(vertices: Float64, faces: NDArray[Any]) -> float:
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
