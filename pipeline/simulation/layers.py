"""One more surface over a body: cloth, hair or shoes, tied to what lies under it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.cutting import Sheet, border

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

ASIDE_M = 0.03  # how much nearer a place must be to be preferred to one that faces the same way


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ground:
    """Points of the surfaces that a layer lies on.

    Attributes:
        vertex: (N) number of each in the stack of all layers, the bare body first.
        points_m, normals: (N 3) in the bind pose; normals unit, outwards.
        arms: (N) skinning weight of the arms, which tells sleeves from trunks.
    """

    vertex: Int32
    points_m: Float64
    normals: Float64
    arms: Float64

    def chosen(self, keep: NDArray[np.bool_]) -> "Ground":
        """Return these points alone."""
        return Ground(
            vertex=self.vertex[keep],
            points_m=self.points_m[keep],
            normals=self.normals[keep],
            arms=self.arms[keep],
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Layer:
    """A surface that lies on others.

    Attributes:
        region: what it is, one of `wardrobe.REGIONS`.
        sheet: faces, with the body's face that each belongs to.
        bind_m: (N 3) smooth, in the bind pose, where it is a millimetre or more above its ground.
        weights: (N 24) skinning weights.
        anchor: (N) number in the stack of the point that each vertex must stay above.
        level_m: (N) how deep inside the layer a vertex lies; 0 at its edge.
        soft: whether it is smoothed, pushed out and creased in every pose.
        ring_anchor: (N) number in the stack to which a border vertex is closed; -1 elsewhere.
    """

    region: str
    sheet: Sheet
    bind_m: Float64
    weights: Float64
    anchor: Int32
    level_m: Float64
    soft: bool
    ring_anchor: Int32


def nearest(ground: Ground, points_m: Float64, normals: Float64) -> Int32:
    """Return the row (N) of the ground that lies next to each point and faces the same way."""
    from scipy.spatial import cKDTree

    distance_m, rows = cKDTree(ground.points_m).query(points_m, k=8)
    facing = np.einsum("nkj,nj->nk", ground.normals[rows], normals)
    best = np.argmin(distance_m + ASIDE_M * (1.0 - facing) ** 2, axis=1)
    return np.asarray(rows[np.arange(len(rows)), best], dtype=np.int32)


def averaging(faces: Int32, count: int) -> Any:
    """Return the sparse (V V) mean over neighbours; border vertices average along the border alone."""
    from scipy.sparse import coo_matrix, diags

    edges = border(faces)[0]
    on_border = np.zeros(count, bool)
    on_border[edges.ravel()] = True
    start, stop = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    inner = ~on_border[start], ~on_border[stop]
    rows = np.concatenate([start[inner[0]], stop[inner[1]], edges[:, 0], edges[:, 1]])
    columns = np.concatenate([stop[inner[0]], start[inner[1]], edges[:, 1], edges[:, 0]])
    table = coo_matrix((np.ones(len(rows)), (rows, columns)), (count, count)).tocsr()
    table.data[:] = 1.0
    return (diags(1.0 / np.maximum(np.asarray(table.sum(axis=1)).ravel(), 1.0)) @ table).tocsr()
