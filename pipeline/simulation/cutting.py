"""Cutting a surface finer and along lines, with each face's place on the surface that it was cut from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sheet:
    """Faces, each lying inside one face of a source surface.

    Attributes:
        faces: (F 3) int32 vertices of the sheet.
        source: (F) int32 the source's face that each lies in.
        bary: (F 3 3) where in it: row c holds corner c's weights of the source face's vertices.
    """

    faces: Int32
    source: Int32
    bary: Float64

    def chosen(self, keep: Bools) -> "Sheet":
        """Return the sheet with these faces alone; vertices keep their numbers."""
        return Sheet(faces=self.faces[keep], source=self.source[keep], bary=self.bary[keep])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NewVertices:
    """Vertices that a cut appends, each on an edge.

    Attributes:
        ends: (M 2) the edge's vertices.
        share: (M) weight of the second; 0.5 in its middle.
    """

    ends: Int32
    share: Float64

    def extend(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return per-vertex values (N ...) with those of the new vertices, interpolated, appended."""
        share = self.share.reshape(-1, *[1] * (values.ndim - 1))
        first, second = values[self.ends[:, 0]], values[self.ends[:, 1]]
        return np.concatenate([values, first + share * (second - first)])


def whole(faces: Int32) -> Sheet:
    """Return the source itself as a sheet."""
    bary = np.broadcast_to(np.eye(3), (len(faces), 3, 3)).copy()
    return Sheet(faces=faces.astype(np.int32), source=np.arange(len(faces), dtype=np.int32), bary=bary)


def halve_edges(
    sheet: Sheet, vertices_m: Float64, *, longest_m: float, where: Bools
) -> tuple[Sheet, NewVertices]:
    """Halve the edges longer than `longest_m` of the faces `where`; their neighbours are cut along.

    Every edge has one middle, so no crack opens. Faces with one, two or three long edges become two, three
    or four.
    """
    edges, edge_of = _edges(sheet.faces)
    length_m = np.linalg.norm(vertices_m[edges[:, 0]] - vertices_m[edges[:, 1]], axis=1)
    touched = np.zeros(len(edges), bool)
    touched[edge_of[where].ravel()] = True
    long = touched & (length_m > longest_m)
    middle = np.cumsum(long) - 1 + len(vertices_m)
    # Edge e of a face runs from corner e to corner e + 1.
    marks = long[edge_of]
    middles = np.where(marks, middle[edge_of], -1)
    pieces = [sheet.chosen(marks.sum(axis=1) == 0)]
    for code, (turn, corners) in _HALVINGS.items():
        rows = np.flatnonzero(marks @ np.array([1, 2, 4]) == code)
        pieces.append(_recut(sheet, rows, middles[rows], turn=turn, corners=corners))
    new = NewVertices(ends=edges[long].astype(np.int32), share=np.full(int(long.sum()), 0.5))
    return _joined(pieces), new


def clip(sheet: Sheet, level_m: Float64) -> tuple[Sheet, NewVertices]:
    """Keep what lies where a per-vertex level (V) is positive, cutting faces where it passes 0."""
    inside = level_m > 0
    edges, edge_of = _edges(sheet.faces)
    cut = inside[edges[:, 0]] != inside[edges[:, 1]]
    start, stop = level_m[edges[cut, 0]], level_m[edges[cut, 1]]
    new = NewVertices(ends=edges[cut].astype(np.int32), share=start / (start - stop))
    crossing = np.cumsum(cut) - 1 + len(level_m)
    corners_in = inside[sheet.faces]
    on_edge = np.where(cut[edge_of], crossing[edge_of], -1)
    forwards = sheet.faces == edges[edge_of][..., 0]
    share = np.zeros(len(edges))
    share[cut] = new.share
    along = np.where(forwards, share[edge_of], 1.0 - share[edge_of])
    pieces = [sheet.chosen(corners_in.all(axis=1))]
    for code, (turn, corners) in _CLIPPINGS.items():
        rows = np.flatnonzero(corners_in @ np.array([1, 2, 4]) == code)
        pieces.append(_recut(sheet, rows, on_edge[rows], turn=turn, corners=corners, along=along[rows]))
    return _joined(pieces), new


def compacted(faces: Int32, count: int) -> tuple[Int32, Int32]:
    """Return faces renumbered over the vertices that they use, and those vertices in ascending order."""
    used = np.zeros(count, bool)
    used[faces.ravel()] = True
    return (np.cumsum(used) - 1)[faces].astype(np.int32), np.flatnonzero(used).astype(np.int32)


def without_slivers(sheet: Sheet, vertices_m: Float64, *, shortest_m: float, rounds: int = 3) -> Sheet:
    """Merge the ends of edges shorter than `shortest_m`; a vertex of the border keeps its place.

    A cut leaves such edges wherever it passes next to a vertex; normals there would be noise. So would they be
    on faces with all corners on the border, flat or folded as it bends: they are left out.
    """
    for _ in range(rounds):
        edges, _ = _edges(sheet.faces)
        on_border = np.zeros(len(vertices_m), bool)
        on_border[border(sheet.faces)[0].ravel()] = True
        length_m = np.linalg.norm(vertices_m[edges[:, 0]] - vertices_m[edges[:, 1]], axis=1)
        short = edges[length_m < shortest_m]
        # The end that goes is the one inside; of two alike the later. Each vertex takes part in one merge.
        goes = np.where(on_border[short[:, 1]] & ~on_border[short[:, 0]], short[:, 0], short[:, 1])
        stays = short.sum(axis=1) - goes
        first = np.full(len(vertices_m), len(short))
        np.minimum.at(first, short[:, 0], np.arange(len(short)))
        np.minimum.at(first, short[:, 1], np.arange(len(short)))
        alone = (first[goes] == np.arange(len(short))) & (first[stays] == np.arange(len(short)))
        target = np.arange(len(vertices_m))
        target[goes[alone]] = stays[alone]
        faces = target[sheet.faces].astype(np.int32)
        kept = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
        sheet = Sheet(faces=faces[kept], source=sheet.source[kept], bary=sheet.bary[kept])
        sheet = sheet.chosen(np.bincount(border(sheet.faces)[1], minlength=len(sheet.faces)) < 2)
    return sheet


def border(faces: Int32) -> tuple[Int32, NDArray[np.intp], NDArray[np.intp]]:
    """Return the edges (E 2) that one face alone has, in its direction, that face (E) and the corner (E)."""
    edges, edge_of = _edges(faces)
    alone = np.bincount(edge_of.ravel(), minlength=len(edges)) == 1
    face, side = np.nonzero(alone[edge_of])
    return np.stack([faces[face, side], faces[face, (side + 1) % 3]], axis=1), face, side


# Corners 0 to 2 are the face's, 3 to 5 lie on its edges 0 to 2, after the face was turned by `turn` corners.
_TWO = ((0, 3, 2), (3, 1, 2))
_THREE = ((0, 3, 2), (3, 1, 4), (3, 4, 2))
_FOUR = ((0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5))
_TIP = ((0, 3, 5),)
_STUMP = ((0, 1, 4), (0, 4, 5))
_HALVINGS = {
    1: (0, _TWO), 2: (1, _TWO), 4: (2, _TWO), 3: (0, _THREE), 6: (1, _THREE), 5: (2, _THREE), 7: (0, _FOUR),
}  # fmt: skip
_CLIPPINGS = {1: (0, _TIP), 2: (1, _TIP), 4: (2, _TIP), 3: (0, _STUMP), 6: (1, _STUMP), 5: (2, _STUMP)}


def _recut(
    sheet: Sheet,
    rows: NDArray[np.integer[Any]],
    on_edge: NDArray[np.integer[Any]],
    *,
    turn: int,
    corners: tuple[tuple[int, int, int], ...],
    along: Float64 | None = None,
) -> Sheet:
    order = (np.arange(3) + turn) % 3
    faces, bary = sheet.faces[rows][:, order], sheet.bary[rows][:, order]
    share = (np.full((len(rows), 3), 0.5) if along is None else along[:, order])[..., None]
    points = np.concatenate([faces, on_edge[:, order]], axis=1)
    places = np.concatenate([bary, bary + share * (np.roll(bary, -1, axis=1) - bary)], axis=1)
    return Sheet(
        faces=np.concatenate([points[:, list(row)] for row in corners]).astype(np.int32),
        source=np.tile(sheet.source[rows], len(corners)),
        bary=np.concatenate([places[:, list(row)] for row in corners]),
    )


def _joined(pieces: list[Sheet]) -> Sheet:
    return Sheet(
        faces=np.concatenate([piece.faces for piece in pieces]),
        source=np.concatenate([piece.source for piece in pieces]),
        bary=np.concatenate([piece.bary for piece in pieces]),
    )


def _edges(faces: Int32) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all edges (E 2), lower vertex first, and the edge (F 3) from each corner to the next."""
    start, stop = faces.astype(np.int64), np.roll(faces, -1, axis=1).astype(np.int64)
    count = int(faces.max(initial=0)) + 1
    keys, edge_of = np.unique(np.minimum(start, stop) * count + np.maximum(start, stop), return_inverse=True)
    return np.stack([keys // count, keys % count], axis=1), edge_of.reshape(faces.shape)
