"""Neighbourhoods of vertices."""

from collections import deque

import numpy as np
import pytest

from pipeline.bodies.model import default_body
from pipeline.motion.rings import one_rings, two_rings, vertex_rings


def around(rings, vertex: int) -> list[int]:
    return rings.neighbours[rings.starts[vertex] : rings.starts[vertex + 1]].tolist()


def walked(faces: np.ndarray, start: int, reach: int) -> list[int]:
    """The same by a search along edges."""
    steps: dict[int, set[int]] = {}
    for face in faces.tolist():
        for corner in face:
            steps.setdefault(corner, set()).update(set(face) - {corner})
    found, queue = {start: 0}, deque([start])
    while queue:
        here = queue.popleft()
        for there in steps.get(here, set()) - found.keys():
            if found[here] < reach:
                found[there] = found[here] + 1
                queue.append(there)
    return sorted(found.keys() - {start})


@pytest.mark.parametrize("reach", [1, 2, 3])
def test_rings_are_what_a_walk_along_edges_finds(reach):
    rng = np.random.default_rng(0)
    faces = np.sort(np.argsort(rng.random((30, 25)), axis=1)[:, :3], axis=1)  # a tangle, some vertices unused
    rings = vertex_rings(faces, 25, reach=reach)
    assert [around(rings, vertex) for vertex in range(25)] == [walked(faces, v, reach) for v in range(25)]


def test_a_body_has_its_rings_collected_once():
    body = default_body()
    rings = two_rings(body)
    assert two_rings(body) is rings
    for vertex in (0, 5000, len(rings.starts) - 2):
        assert around(rings, vertex) == walked(body.faces, vertex, 2)
        assert set(around(one_rings(body), vertex)) < set(around(rings, vertex))


def test_a_vertex_of_no_face_has_no_ring():
    assert around(vertex_rings(np.array([[0, 1, 3]]), 5, reach=2), 2) == []
    assert vertex_rings(np.zeros((0, 3), int), 4, reach=2).starts.tolist() == [0] * 5


@pytest.mark.parametrize(("face", "reach"), [([0, 1, 3], 2), ([-1, 0, 1], 2), ([0, 1, 2], 0)])
def test_faces_that_name_no_vertex_and_rings_of_no_reach_are_refused(face, reach):
    with pytest.raises(ValueError, match=r"reach must be at least 1 and faces must name vertices 0\.\.2"):
        vertex_rings(np.array([face]), 3, reach=reach)
