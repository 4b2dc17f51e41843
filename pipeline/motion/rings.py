"""Which vertices lie around each vertex of a mesh: the neighbourhoods that share one rigid motion."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import Body

Int32 = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rings:
    """Neighbours of every vertex, in compressed rows.

    Attributes:
        starts: (V + 1); vertex v has `neighbours[starts[v] : starts[v + 1]]`.
        neighbours: (E) vertices, ascending within a row, without the row's own vertex.
    """

    starts: Int32
    neighbours: Int32


def vertex_rings(faces: NDArray[Any], vertices: int, *, reach: int) -> Rings:
    """Collect the vertices that are at most `reach` edges away from each vertex.

    Args:
        faces: (F 3); an edge of one face alone counts as any other, so open meshes have smaller rings.
        vertices: how many vertices there are; one that no face uses has no neighbour.
        reach: 1 for the one-ring; 2 for both of the rings that Tan et al. register.

    Raises:
        ValueError: if a face names a vertex that is not there, or reach is less than 1.
    """
    if reach < 1 or (faces.size and not (faces.min() >= 0 and faces.max() < vertices)):
        raise ValueError(
            f"vertex_rings: reach must be at least 1 and faces must name vertices 0..{vertices - 1}, "
            f"are {reach} and {faces.min(initial=0)}..{faces.max(initial=0)}"
        )
    from scipy.sparse import coo_array, csr_array

    a, b, c = np.asarray(faces, dtype=np.int64).T
    ends = np.concatenate([a, b, c]), np.concatenate([b, c, a])
    one_way = coo_array((np.ones(len(ends[0]), np.int32), ends), shape=(vertices, vertices)).tocsr()
    step = _ones(one_way + one_way.T)
    reached: Any = step
    for _ in range(reach - 1):
        reached = _ones(
            reached @ step
        )  # keeps what was reached: around a triangle leads a step to the same place
    rows, columns = reached.nonzero()
    others = rows != columns
    counts = np.bincount(rows[others], minlength=vertices)
    sorted_rows = csr_array((np.ones(others.sum(), np.int8), (rows[others], columns[others])), reached.shape)
    sorted_rows.sort_indices()
    starts = np.concatenate([[0], np.cumsum(counts)])
    return Rings(starts=starts.astype(np.int32), neighbours=sorted_rows.indices.astype(np.int32))


@cache
def one_rings(body: Body) -> Rings:
    """The direct neighbours on a body model, collected once per process."""
    return vertex_rings(body.faces, len(body.arrays.template_m), reach=1)


@cache
def two_rings(body: Body) -> Rings:
    """The neighbours at one or two edges on a body model, collected once per process."""
    return vertex_rings(body.faces, len(body.arrays.template_m), reach=2)


def _ones(counts: Any) -> Any:
    """A sparse matrix with 1 wherever another is not 0: how many ways lead there does not matter."""
    counts.data[:] = 1
    return counts
