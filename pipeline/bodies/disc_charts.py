"""Discs of a surface flattened onto a circle, no face flipped, areas evened out.

A chart's border lies on the circle by arc length, its inside is a convex combination map (Floater, "Mean
value coordinates", CAGD 2003): positive weights and a convex border let no face flip (Tutte). The weights are
then divided by the stretch at the vertex they pull towards, which stay positive and widen what was too small
(Yoshizawa, Belyaev and Seidel, "A fast and simple stretch-minimizing mesh parameterization", SMI 2004).
All charts are solved at once.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.mesh_parts import boundary_edges

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

ROUNDS = 10
TINY_M = 1e-9  # under any edge of a body; a sliver's weights stay finite


def disc_charts(points_m: Float64, triangles: Int32, chart: Int32) -> Float64:
    """Flatten discs, each onto the unit circle.

    Args:
        points_m: (N 3), each point of one chart alone.
        triangles: (F 3) outward.
        chart: (N,) number of each point's chart, from 0; every chart is a disc.

    Returns:
        (N 2), triangles counter-clockwise. Of all rounds, each chart keeps the one of least stretch.
    """
    border, circle = border_circle(points_m, triangles, chart)
    weights = mean_value_weights(points_m, triangles)
    best = np.zeros((len(points_m), 2))
    least = np.full(int(chart.max()) + 1, np.inf)
    for _ in range(ROUNDS):
        uv = convex_combination(weights, border, circle)
        stretch2, areas_m2 = stretch_squared(points_m, uv, triangles)
        totals = np.bincount(chart[triangles[:, 0]], stretch2 * areas_m2)
        better = totals < least
        least = np.where(better, totals, least)
        best[better[chart]] = uv[better[chart]]
        weights = weights @ _diagonal(1.0 / _at_vertices(np.sqrt(stretch2), areas_m2, triangles, len(uv)))
    return best


def border_circle(points_m: Float64, triangles: Int32, chart: Int32) -> tuple[Int32, Float64]:
    """Return the border points of all charts (E,) and their places (E 2) on the circle, by arc length."""
    following = dict(boundary_edges(triangles).tolist())
    border, angles = [], []
    while following:
        start, loop = min(following), []
        while start in following:
            loop.append(start)
            start = following.pop(start)
        around_m = points_m[loop]
        lengths_m = np.linalg.norm(np.roll(around_m, -1, axis=0) - around_m, axis=1)
        angles.append(2.0 * np.pi * (np.cumsum(lengths_m) - lengths_m) / lengths_m.sum())
        border += loop
    angle = np.concatenate(angles)
    return np.array(border, dtype=np.int32), np.stack([np.cos(angle), np.sin(angle)], axis=1)


def mean_value_weights(points_m: Float64, triangles: Int32) -> "csr_array":
    """Return Floater's weights (N N): row i holds the pulls of i's neighbours, all positive."""
    rows, columns, values = [], [], []
    for corner in range(3):
        i, j, k = (triangles[:, (corner + step) % 3] for step in range(3))
        to_j, to_k = points_m[j] - points_m[i], points_m[k] - points_m[i]
        sine = np.linalg.norm(np.cross(to_j, to_k), axis=1)
        length_j, length_k = np.linalg.norm(to_j, axis=1), np.linalg.norm(to_k, axis=1)
        # tan(a / 2) = sin a / (1 + cos a), with both lengths multiplied out
        half = sine / (length_j * length_k + np.einsum("ni,ni->n", to_j, to_k))
        for neighbour, length in ((j, length_j), (k, length_k)):
            rows.append(i)
            columns.append(neighbour)
            values.append(half / np.maximum(length, TINY_M))
    shape = (len(points_m), len(points_m))
    from scipy.sparse import csr_array

    return csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape)


def convex_combination(weights: "csr_array", border: Int32, circle: Float64) -> Float64:
    """Return the places (N 2) at which every point but the border's is its neighbours' weighted mean."""
    count = weights.shape[0]
    uv = np.zeros((count, 2))
    uv[border] = circle
    inner = np.setdiff1d(np.arange(count), border)
    pulls = _diagonal(1.0 / weights.sum(axis=1)) @ weights
    matrix = _diagonal(np.ones(len(inner))) - pulls[inner][:, inner]
    from scipy.sparse.linalg import splu

    uv[inner] = splu(matrix.tocsc()).solve(pulls[inner][:, border] @ circle)
    return uv


def stretch_squared(points_m: Float64, uv: Float64, triangles: Int32) -> tuple[Float64, Float64]:
    """Return each triangle's squared stretch (F,) and its area (F,) in square metres.

    Stretch is Sander's L2: the root mean square of how far the surface goes per step in the chart.
    """
    q1, q2, q3 = points_m[triangles].transpose(1, 0, 2)
    (s1, t1), (s2, t2), (s3, t3) = uv[triangles].transpose(1, 2, 0)
    doubled = (s2 - s1) * (t3 - t1) - (s3 - s1) * (t2 - t1)
    doubled = np.maximum(doubled, np.finfo(np.float64).tiny)[:, None]
    along_s = (q1 * (t2 - t3)[:, None] + q2 * (t3 - t1)[:, None] + q3 * (t1 - t2)[:, None]) / doubled
    along_t = (q1 * (s3 - s2)[:, None] + q2 * (s1 - s3)[:, None] + q3 * (s2 - s1)[:, None]) / doubled
    stretch2 = 0.5 * (np.einsum("ni,ni->n", along_s, along_s) + np.einsum("ni,ni->n", along_t, along_t))
    return stretch2, 0.5 * np.linalg.norm(np.cross(q2 - q1, q3 - q1), axis=1)


def _at_vertices(stretch: Float64, areas_m2: Float64, triangles: Int32, count: int) -> Float64:
    """Root mean square of the stretch around each vertex, by area."""
    corners = triangles.ravel()
    total = np.bincount(corners, np.repeat(stretch**2 * areas_m2, 3), minlength=count)
    area_m2 = np.bincount(corners, np.repeat(areas_m2, 3), minlength=count)
    return np.asarray(np.sqrt(total / area_m2))


def _diagonal(values: Float64) -> "csr_array":
    rows = np.arange(len(values))
    from scipy.sparse import csr_array

    return csr_array((values, (rows, rows)), shape=(len(values), len(values)))
