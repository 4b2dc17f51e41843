"""From chart coordinates back to the surface: which face holds (part, u, v), and where on it."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.atlas import Atlas, surface_atlas
from pipeline.bodies.mesh_parts import boundary_edges
from pipeline.bodies.model import Body
from pipeline.bodies.parts import DENSEPOSE24_NAMES

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

CELLS = 64  # per side of a chart: about as many cells as faces in the largest charts


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AtlasInverse:
    """Charts with a grid over each that lists the faces in a cell; made by `atlas_inverse`."""

    atlas: Atlas
    cell_faces: tuple[Int32, Int32]
    rim_faces: tuple[Int32, Int32]

    def locate(
        self, part: NDArray[np.uint8], uv: NDArray[np.floating[Any]]
    ) -> tuple[Int32, NDArray[np.float64]]:
        """Return the faces (...) at chart points, and the weights (..., 2) of their second and third vertex.

        Args:
            part: (...) 1..24; at 0 there is no face: -1 and weights 0.
            uv: (..., 2). Outside of its chart, the nearest point on the chart's rim counts.

        Raises:
            ValueError: if a part is above 24 or a coordinate not finite.
        """
        from pipeline.bodies.atlas_kernels import locate

        if part.size and (part.max() > len(DENSEPOSE24_NAMES) or not np.isfinite(uv).all()):
            raise ValueError(
                f"pipeline.bodies.atlas_inverse: part must be 0..{len(DENSEPOSE24_NAMES)} and uv finite, are "
                f"up to {part.max()} and {np.count_nonzero(~np.isfinite(uv))} not finite"
            )
        face, bary = locate(
            np.ascontiguousarray(part, dtype=np.uint8).ravel(),
            np.ascontiguousarray(uv, dtype=np.float64).reshape(-1, 2),
            corner_uv=self.atlas.corner_uv,
            cells=CELLS,
            cell_faces=self.cell_faces,
            rim_faces=self.rim_faces,
        )
        return face.reshape(part.shape), bary.reshape(*part.shape, 2)


@cache
def atlas_inverse(body: Body) -> AtlasInverse:
    """Return the way back from a body's atlas to its surface, made once per process."""
    atlas = surface_atlas(body)
    return AtlasInverse(
        atlas=atlas, cell_faces=faces_of_cells(atlas), rim_faces=faces_of_rims(atlas, body.faces)
    )


def faces_of_cells(atlas: Atlas) -> tuple[Int32, Int32]:
    """List, per cell, the faces whose bounding box touches it."""
    low, high = (
        np.clip((bound * CELLS).astype(np.int64), 0, CELLS - 1)
        for bound in (atlas.corner_uv.min(axis=1), atlas.corner_uv.max(axis=1))
    )
    spans = high - low + 1
    counts = spans.prod(axis=1)
    faces = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = low[faces, 0] + within % spans[faces, 0]
    rows = low[faces, 1] + within // spans[faces, 0]
    cells = ((atlas.part[faces].astype(np.int64) - 1) * CELLS + rows) * CELLS + columns
    return _listed(cells, faces, len(DENSEPOSE24_NAMES) * CELLS * CELLS)


def faces_of_rims(atlas: Atlas, faces: Int32) -> tuple[Int32, Int32]:
    """List, per part, the faces with an edge on its border."""
    size = int(faces.max()) + 1
    codes = (atlas.part.astype(np.int64)[:, None] - 1) * size + faces
    nodes = np.unique(codes, return_inverse=True)[1].reshape(-1, 3).astype(np.int64)
    count, border = int(nodes.max()) + 1, boundary_edges(nodes.astype(np.int32)).astype(np.int64)
    edges = nodes * count + np.roll(nodes, -1, axis=1)
    on_rim = np.isin(edges, border[:, 0] * count + border[:, 1]).any(axis=1)
    rows = np.flatnonzero(on_rim)
    return _listed(atlas.part[rows].astype(np.int64) - 1, rows, len(DENSEPOSE24_NAMES))


def _listed(keys: NDArray[np.int64], values: NDArray[np.int64], count: int) -> tuple[Int32, Int32]:
    """Return where each key's values start (count + 1,), and the values, sorted by key."""
    order = np.argsort(keys, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=count))])
    return starts.astype(np.int32), values[order].astype(np.int32)
