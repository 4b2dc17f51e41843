"""Charts of a body's surface in both directions, with the name of whose coordinates they are.

Two atlases number the same 24 parts and fill them with different coordinates: ours, which every body has, and
DensePose's, which only a file of the user's knows (`chart_file`). A coordinate read in the wrong atlas is a
wrong place that looks like a right one, so every lookup says whose coordinates it brings.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.atlas import Atlas, surface_atlas
from pipeline.bodies.atlas_inverse import AtlasInverse, atlas_inverse
from pipeline.bodies.model import Body
from pipeline.bodies.parts import DENSEPOSE24_NAMES

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

OURS, DENSEPOSE = "bodytruth", "densepose"
PARTS = len(DENSEPOSE24_NAMES)
# Charts lie this far apart in the search tree, farther than any two points of one chart.
APART = 4.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Charts:
    """An atlas of one body, ready for lookups both ways; made by `own_charts` or from a chart file.

    Attributes:
        parametrisation: whose coordinates these are, `OURS` or `DENSEPOSE`.
        atlas: from the body's faces to chart points; part 0 for a face that no chart has.
        inverse: from chart points to its own faces, those that have a chart.
        charted: (F') the body's face that each face of `inverse` is.
        node_vertex: (N) the body's vertex at each node: once for each part and place that it has in the atlas.
        tree: the nodes as (APART * part, u, v), for the nearest within a part.
    """

    parametrisation: str
    atlas: Atlas
    inverse: AtlasInverse
    charted: Int32
    node_vertex: Int32
    tree: Any

    @property
    def has_chart(self) -> NDArray[np.bool_]:
        """Which parts 0..24 have a face (25)."""
        return np.bincount(self.inverse.atlas.part, minlength=PARTS + 1) > 0


@cache
def own_charts(body: Body) -> Charts:
    """Return the charts that every body has, made once per process.

    Raises:
        ValueError: if a part of the body is not a disc.
    """
    atlas = surface_atlas(body)
    rows = np.arange(len(body.faces), dtype=np.int32)
    return charts_of(OURS, atlas, atlas_inverse(body), rows, body.faces)


def charts_of(
    parametrisation: str, atlas: Atlas, inverse: AtlasInverse, charted: Int32, faces: Int32
) -> Charts:
    """Join an atlas and its inverse; `faces` (F 3) are the body's."""
    from scipy.spatial import cKDTree

    part = np.repeat(atlas.part[charted].astype(np.float64), 3)
    nodes = np.column_stack(
        [APART * part, atlas.corner_uv[charted].reshape(-1, 2), faces[charted].reshape(-1)]
    )
    nodes = np.unique(nodes, axis=0)
    return Charts(
        parametrisation=parametrisation,
        atlas=atlas,
        inverse=inverse,
        charted=charted,
        node_vertex=nodes[:, 3].astype(np.int32),
        tree=cKDTree(nodes[:, :3]),
    )


def check_parametrisation(charts: Charts, parametrisation: str) -> None:
    """Raise ValueError where coordinates of one atlas are to be looked up in another."""
    if parametrisation != charts.parametrisation:
        raise ValueError(
            f"pipeline.correspondences: coordinates must be those of the charts, {charts.parametrisation!r}, are "
            f"{parametrisation!r}. Part numbers exchange, coordinates do not: give charts made from the file of "
            "that atlas."
        )
