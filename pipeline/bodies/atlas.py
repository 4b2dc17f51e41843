"""A surface atlas: 24 charts, one per DensePose part, each the whole part as a disc, with an exact way back.

DensePose's own charts are not open: coordinates do not exchange with theirs, part numbers do. A mirrored
image maps to the partner part (`flipped_labels(DENSEPOSE24_NAMES)`) and about to u -> 1 - u.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.disc_charts import disc_charts, stretch_squared
from pipeline.bodies.mesh_parts import is_disc
from pipeline.bodies.model import Body
from pipeline.bodies.parts import DENSEPOSE24_NAMES, densepose24

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

# What grows with V in a chart, by a word of its name; everywhere else it is height.
_OUTWARDS, _FORWARDS = ("arm", "forearm"), ("foot",)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Atlas:
    """Charts of a surface.

    Attributes:
        part: (F,) 1..24, the chart of each face; names in `pipeline.bodies.parts.DENSEPOSE24_NAMES`.
        corner_uv: (F 3 2) float64 in [0, 1], chart coordinates of each face's corners, counter-clockwise seen
            from outside. Within a part, all faces that share a vertex agree on its place: charts have no
            seams. In the zero pose V grows with height, on arms towards the hand, on feet forwards.
    """

    part: UInt8
    corner_uv: Float64

    def at(self, face_index: Int32, bary: NDArray[np.floating[Any]]) -> tuple[UInt8, Float32]:
        """Return part (...) and chart coordinates (..., 2) of surface points.

        Args:
            face_index: (...), -1 where there is none: part 0 and coordinates 0 there.
            bary: (..., 2), weights of a face's second and third vertex.
        """
        seen = face_index >= 0
        a, b, c = np.moveaxis(self.corner_uv[face_index[seen]], 1, 0)
        u, v = np.moveaxis(bary[seen].astype(np.float64), -1, 0)[..., None]
        uv = np.zeros((*face_index.shape, 2), dtype=np.float32)
        uv[seen] = np.clip(a + u * (b - a) + v * (c - a), 0.0, 1.0)
        part = np.zeros(face_index.shape, dtype=np.uint8)
        part[seen] = self.part[face_index[seen]]
        return part, uv


@cache
def surface_atlas(body: Body) -> Atlas:
    """Return the atlas of a body, made once per process from its zero pose at zero betas.

    Raises:
        ValueError: if a part of the body is not a disc.
    """
    part = densepose24(body)
    for row, name in enumerate(DENSEPOSE24_NAMES):
        if not is_disc(body.faces[part == row + 1]):
            raise ValueError(f"pipeline.bodies.atlas: {name} of {body.arrays.name} must be a disc, is not")
    vertices_m = body.posed(np.zeros((1, 24, 3)), np.zeros(0), np.zeros(3)).vertices_m[0]
    # One node for each vertex in each part that it belongs to.
    codes = (part.astype(np.int64)[:, None] - 1) * len(vertices_m) + body.faces
    nodes, rows = np.unique(codes, return_inverse=True)
    triangles = rows.reshape(-1, 3).astype(np.int32)
    points_m, chart = vertices_m[nodes % len(vertices_m)], (nodes // len(vertices_m)).astype(np.int32)
    discs = _upright(disc_charts(points_m, triangles, chart), points_m, chart)
    corner_uv = np.clip(0.5 + 0.5 * discs, 0.0, 1.0)[triangles]
    corner_uv.setflags(write=False)
    return Atlas(part=part, corner_uv=corner_uv)


def area_distortion(atlas: Atlas, body: Body) -> Float64:
    """Return each face's share of its chart over its share of its part's surface (F,): 1 is even."""
    vertices_m = body.posed(np.zeros((1, 24, 3)), np.zeros(0), np.zeros(3)).vertices_m[0]
    corners = np.arange(3 * len(atlas.part)).reshape(-1, 3).astype(np.int32)
    points_m, uv = vertices_m[body.faces.ravel()], atlas.corner_uv.reshape(-1, 2)
    _, surface_m2 = stretch_squared(points_m, uv, corners)
    charted = signed_areas(atlas.corner_uv)
    shares = [areas / np.bincount(atlas.part, areas)[atlas.part] for areas in (charted, surface_m2)]
    return np.asarray(shares[0] / shares[1])


def signed_areas(corner_uv: Float64) -> Float64:
    """Return the areas (F,) of triangles (F 3 2) in the chart, negative for one that is flipped."""
    (ab_u, ab_v), (ac_u, ac_v) = ((corner_uv[:, k] - corner_uv[:, 0]).T for k in (1, 2))
    return np.asarray(0.5 * (ab_u * ac_v - ac_u * ab_v))


def _upright(discs: Float64, points_m: Float64, chart: Int32) -> Float64:
    """Turn each disc so that V grows along the direction that suits its part."""
    turned = discs.copy()
    for row, name in enumerate(DENSEPOSE24_NAMES):
        here = chart == row
        words = name.split("_")
        outwards = np.array([1.0 if "left" in words else -1.0, 0.0, 0.0])
        upward = np.array([0.0, 1.0, 0.0])
        if any(word in words for word in _OUTWARDS):
            upward = outwards
        if any(word in words for word in _FORWARDS):
            upward = np.array([0.0, 0.0, 1.0])
        along = points_m[here] @ upward
        gradient = (along - along.mean()) @ discs[here]
        up_u, up_v = gradient / np.linalg.norm(gradient)
        turned[here] = discs[here] @ np.array([[up_v, up_u], [-up_u, up_v]])
    return turned
