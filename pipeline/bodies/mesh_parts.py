"""Labelled triangle meshes: neighbours, smoothing of labels, islands, and what shape a part has."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the names of parts are needed where there is no scipy
    from scipy.sparse import csr_array

Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

OWN_VOTE = 0.6  # two of three neighbours outvote a face, one does not


def face_neighbours(faces: Int32) -> Int32:
    """Return the pairs (E 2) of faces that share an edge; an edge of one face alone gives none."""
    edges = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    same = (edges[order][1:] == edges[order][:-1]).all(axis=1)
    pairs = np.stack([order[:-1][same], order[1:][same]], axis=1) // 3
    return np.asarray(pairs, dtype=np.int32)


def smoothed(labels: UInt8, neighbours: Int32, *, rounds: int) -> UInt8:
    """Let every face follow the majority of its neighbours, round by round; ties keep the label.

    Rounds take turns in raising and in lowering labels: where two labels meet in teeth, the teeth of both
    would change places for ever.
    """
    adjacency = _adjacency(neighbours, len(labels))
    kinds = np.arange(int(labels.max()) + 1)
    for number in range(rounds):
        own = (labels[:, None] == kinds).astype(np.float32)
        votes = (adjacency @ own + OWN_VOTE * own).argmax(axis=1).astype(np.uint8)
        labels = np.maximum(labels, votes) if number % 2 else np.minimum(labels, votes)
    return labels


def without_islands(labels: UInt8, neighbours: Int32) -> UInt8:
    """Keep each label's largest piece and give the faces of the others to the pieces around them."""
    adjacency = _adjacency(neighbours, len(labels))
    kinds = np.arange(int(labels.max()) + 1)
    pieces = label_pieces(labels, neighbours)
    sizes = np.bincount(pieces)
    largest = np.zeros(len(kinds), dtype=np.int64)
    by_size = np.argsort(sizes[pieces], kind="stable")  # the largest is written last, and stays
    largest[labels[by_size]] = pieces[by_size]
    kept = pieces == largest[labels]
    labels = labels.copy()
    while not kept.all():
        votes = adjacency @ ((labels[:, None] == kinds) & kept[:, None]).astype(np.float32)
        reached = ~kept & (votes.max(axis=1) > 0)
        if not reached.any():
            break  # a mesh in several pieces: nothing lies around this one
        labels[reached] = votes[reached].argmax(axis=1)
        kept |= reached
    return labels


def label_pieces(labels: UInt8, neighbours: Int32) -> Int32:
    """Return the number of the connected piece of one label that each face belongs to."""
    from scipy.sparse.csgraph import connected_components

    same = neighbours[labels[neighbours[:, 0]] == labels[neighbours[:, 1]]]
    return np.asarray(connected_components(_adjacency(same, len(labels)), directed=False)[1], dtype=np.int32)


def euler_number(faces: Int32) -> int:
    """Return vertices - edges + faces of a surface: 2 for a closed one without handles, 1 for a disc."""
    edges = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    return len(np.unique(faces)) - len(np.unique(edges, axis=0)) + len(faces)


def boundary_edges(faces: Int32) -> Int32:
    """Return the directed edges (E 2) that belong to one face only, in that face's direction."""
    directed = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)
    size = int(faces.max()) + 1
    codes = directed[:, 0].astype(np.int64) * size + directed[:, 1]
    back = directed[:, 1].astype(np.int64) * size + directed[:, 0]
    return np.asarray(directed[~np.isin(codes, back)], dtype=np.int32)


def is_disc(faces: Int32) -> bool:
    """Tell whether a part is one piece with a border and neither hole, handle nor pinched vertex.

    Each of those takes 1 or 2 from the Euler number of a disc.
    """
    pieces = label_pieces(np.zeros(len(faces), np.uint8), face_neighbours(faces))
    return bool(len(boundary_edges(faces)) > 0 and pieces.max() == 0 and euler_number(faces) == 1)


def _adjacency(pairs: Int32, count: int) -> "csr_array":
    from scipy.sparse import csr_array

    rows, columns = np.concatenate([pairs, pairs[:, ::-1]]).T
    return csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(count, count))
