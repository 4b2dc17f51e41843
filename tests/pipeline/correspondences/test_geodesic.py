"""Distances along surfaces: exact where the surface unfolds, close on a sphere, bounded on a body."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import Delaunay

from pipeline.correspondences.geodesic import geodesic_surface
from renderers.proof import icosphere

ROUNDING_M = 1e-9  # of sums of some hundred distances of order 1 in float64


def plane(seed: int, count: int = 600, stretch: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A random triangulation of a rectangle; stretched, most of its triangles are obtuse slivers."""
    xy = np.random.default_rng(seed).uniform(0, 1, (count, 2))
    faces = Delaunay(xy).simplices.astype(np.int32)
    return xy * [1, stretch], faces


def random_places(rng, faces: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(0, faces, count).astype(np.int32), rng.dirichlet([1, 1, 1], count)[:, 1:]


@pytest.mark.parametrize("stretch", [1.0, 0.05])
def test_distances_on_a_plane_are_straight_however_its_triangles_lie(stretch):
    xy, faces = plane(3, stretch=stretch)
    surface = geodesic_surface(np.column_stack([xy, np.zeros(len(xy))]), faces)
    face, bary = random_places(np.random.default_rng(0), len(faces), 60)
    source = surface.points_m(face, bary)
    for row in range(5):
        found = surface.distances_from(int(face[row]), bary[row])
        np.testing.assert_allclose(
            found, np.linalg.norm(surface.vertices_m - source[row], axis=1), atol=ROUNDING_M
        )
    between = surface.distances_between((face[:30], bary[:30]), (face[30:], bary[30:]))
    np.testing.assert_allclose(between, np.linalg.norm(source[:30] - source[30:], axis=1), atol=ROUNDING_M)


def test_distances_on_a_rolled_up_sheet_are_those_of_the_sheet():
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 50), np.linspace(0, 1, 50)), axis=-1).reshape(-1, 2)
    # Jitter inside; on the border it would leave needles that span the arc as chords.
    inside = ((grid > 0) & (grid < 1)).all(axis=1)
    xy = grid + np.random.default_rng(4).uniform(-0.006, 0.006, grid.shape) * inside[:, None]
    faces = Delaunay(xy).simplices.astype(np.int32)
    # Half a turn of a cylinder: the sheet's long way is an arc, and chords would be up to 36 % shorter.
    angle = np.pi * xy[:, 0]
    rolled = np.column_stack([np.cos(angle) / np.pi, np.sin(angle) / np.pi, xy[:, 1]])
    surface = geodesic_surface(rolled, faces)
    face, bary = random_places(np.random.default_rng(1), len(faces), 400)
    weights = np.column_stack([1 - bary.sum(axis=1), bary])
    flat = np.einsum("nk,nki->ni", weights, xy[faces[face]])
    true_m = np.linalg.norm(flat[:200] - flat[200:], axis=1)
    found_m = surface.distances_between((face[:200], bary[:200]), (face[200:], bary[200:]))
    far = true_m > 0.1
    # An edge of 0.03 is a chord of 0.09 rad: short by 0.09^2 / 24 = 4e-4 at most.
    assert np.abs(found_m / true_m - 1)[far].max() < 4e-4


@pytest.mark.parametrize(("subdivisions", "most"), [(3, 0.021), (4, 0.012), (5, 0.007)])
def test_distances_on_a_sphere_are_arcs_within_the_stated_error(subdivisions, most):
    points, faces = icosphere(subdivisions)
    surface = geodesic_surface(points, faces)
    found = surface.distances_from(5, np.array([0.2, 0.3]))
    source = surface.points_m(np.array([5]), np.array([[0.2, 0.3]]))[0]
    arcs = np.arccos(np.clip(points @ source / np.linalg.norm(source), -1, 1))
    off = (found / arcs - 1)[arcs > 0.2]
    # The mesh lies inside of the sphere: ways on it come out short, never long.
    assert -most < off.min() and off.max() < 1e-4


def test_distances_on_a_body_lie_between_the_chord_and_the_way_along_edges(surface):
    rng = np.random.default_rng(2)
    edges = np.concatenate([surface.faces[:, [0, 1]], surface.faces[:, [1, 2]], surface.faces[:, [2, 0]]])
    lengths = np.linalg.norm(surface.vertices_m[edges[:, 0]] - surface.vertices_m[edges[:, 1]], axis=1)
    count = len(surface.vertices_m)
    graph = csr_array((lengths / 2, (edges[:, 0], edges[:, 1])), shape=(count, count))
    for face in rng.integers(0, len(surface.faces), 2):
        vertex = int(surface.faces[face, 0])
        found = surface.distances_from(int(face), np.zeros(2))
        # Every edge lies in two faces, so it was summed to its length.
        along = dijkstra(graph + graph.T, directed=False, indices=vertex)
        chord = np.linalg.norm(surface.vertices_m - surface.vertices_m[vertex], axis=1)
        assert (found <= along + ROUNDING_M).all() and (found >= chord - ROUNDING_M).all()
        far = along > 0.1
        # Ways along edges are some 5 to 10 % too long.
        assert 0.85 < np.median(found[far] / along[far]) < 0.97
        assert np.median(found[far] / chord[far]) > 1.03


def finely_cut(points, faces, pieces):
    """A graph whose nodes lie along all edges, joined straight across each face: ways on it are hardly too long."""
    shares = np.linspace(0, 1, pieces + 1)
    rows, nodes, members = {}, [], [set() for _ in faces]
    for number, face in enumerate(faces):
        for a, b in zip(face, np.roll(face, -1), strict=True):
            for step, share in enumerate(shares):
                key = (min(a, b), max(a, b), step if a < b else pieces - step)
                key = (a,) if share == 0 else (b,) if share == 1 else key
                if key not in rows:
                    rows[key] = len(nodes)
                    nodes.append((1 - share) * points[a] + share * points[b])
                members[number].add(rows[key])
    nodes = np.array(nodes)
    pairs = [np.array(np.meshgrid(list(m), list(m))).reshape(2, -1) for m in members]
    start, end = np.unique(np.concatenate(pairs, axis=1), axis=1)
    lengths = np.linalg.norm(nodes[start] - nodes[end], axis=1)
    graph = csr_array((lengths, (start, end)), shape=(len(nodes), len(nodes)))
    return graph, [rows[(vertex,)] for vertex in range(len(points))]


def test_distances_on_a_rough_lump_agree_with_ways_on_a_finely_cut_graph():
    points, faces = icosphere(2)
    x, y, z = points.T
    # Bulges and saddles: half of the vertices have less than a full turn around them, half have more.
    lump = points * (1 + 0.25 * np.sin(5 * x + 1) * np.cos(4 * y) + 0.1 * np.sin(6 * z))[:, None]
    graph, rows = finely_cut(lump, faces, 8)
    surface = geodesic_surface(lump, faces)
    for face in (0, 77, 200):
        found = surface.distances_from(face, np.zeros(2))
        cut = dijkstra(graph, directed=False, indices=rows[faces[face, 0]])[rows]
        far = cut > 0.2
        share = found[far] / cut[far]
        # Eight nodes an edge make ways up to 1 % too long. With 162 vertices, each turns the surface by much:
        # behind a saddle a front takes what it unfolded for the source and goes wrong by up to 3 % either way.
        assert abs(np.median(share) - 1) < 0.002
        assert share.min() > 0.96 and share.max() < 1.035


def test_a_pair_has_the_distance_that_a_front_over_the_whole_surface_finds_either_way(surface):
    rng = np.random.default_rng(3)
    places, others = (random_places(rng, len(surface.faces), 6) for _ in range(2))
    there = surface.distances_between(places, others)
    back = surface.distances_between(others, places)
    # Fronts from either end unfold the surface differently: 0.4 % as measured, or a part of a triangle.
    np.testing.assert_allclose(there, back, rtol=0.01, atol=2e-3)
    for row in range(6):
        field = surface.distances_from(int(places[0][row]), places[1][row])
        corners = surface.faces[others[0][row]]
        edges = surface.vertices_m[corners] - np.roll(surface.vertices_m[corners], 1, axis=0)
        assert field[corners].min() - 1e-9 <= there[row] + np.linalg.norm(edges, axis=1).max()
        assert there[row] <= field[corners].max() + 1e-9


def test_near_places_of_one_face_are_a_straight_step_apart_and_equal_places_nothing(surface):
    rng = np.random.default_rng(4)
    face, bary = random_places(rng, len(surface.faces), 50)
    other = rng.dirichlet([1, 1, 1], 50)[:, 1:]
    step_m = np.linalg.norm(surface.points_m(face, bary) - surface.points_m(face, other), axis=1)
    np.testing.assert_allclose(surface.distances_between((face, bary), (face, other)), step_m, atol=1e-12)
    assert not surface.distances_between((face, bary), (face, bary)).any()


def test_where_no_way_leads_or_the_way_is_too_long_the_distance_is_infinite():
    xy, faces = plane(5, count=60)
    flat = np.column_stack([xy, np.zeros(60)])
    two = geodesic_surface(np.concatenate([flat, flat + [0, 0, 0.1]]), np.concatenate([faces, faces + 60]))
    rows, middle = np.array([0, 0, -1, 0], np.int32), np.full((4, 2), 1 / 3)
    others = np.array([len(faces), 1, 0, -1], np.int32)
    np.testing.assert_array_equal(
        np.isinf(two.distances_between((rows, middle), (others, middle))), [True, False, True, True]
    )
    field = two.distances_from(0, middle[0])
    assert np.isinf(field[60:]).all() and np.isfinite(field[:60]).all()
    near = two.distances_from(0, middle[0], most_m=0.3)
    np.testing.assert_array_equal(near[:60], np.where(field[:60] <= 0.3, field[:60], np.inf))
    true_m = two.distances_between((rows[1:2], middle[:1]), (others[1:2], middle[:1]))[0]
    for most_m, seen in ((0.99 * true_m, False), (1.01 * true_m, True)):
        found = two.distances_between((rows[1:2], middle[:1]), (others[1:2], middle[:1]), most_m=most_m)
        assert np.isfinite(found[0]) == seen


def test_faces_without_area_give_no_nan():
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0.5, 0, 0]], float)
    surface = geodesic_surface(points, np.array([[0, 1, 2], [1, 3, 2], [0, 4, 1], [1, 1, 3]], np.int32))
    found = surface.distances_from(0, np.array([0.0, 0.0]))
    np.testing.assert_allclose(found, [0, 1, 1, 1, 0.5], atol=1e-12)


@pytest.mark.parametrize(
    ("vertices", "faces"),
    [
        (np.zeros((3, 3)), np.zeros((0, 3), np.int32)),
        (np.zeros((3, 3)), np.array([[0, 1, 3]], np.int32)),
        (np.zeros((3, 3)), np.array([[0, 1, -1]], np.int32)),
        (np.full((3, 3), np.nan), np.array([[0, 1, 2]], np.int32)),
    ],
)
def test_a_mesh_that_is_none_is_refused(vertices, faces):
    with pytest.raises(ValueError, match="must"):
        geodesic_surface(vertices, faces)


def test_a_place_that_is_none_is_refused(surface):
    middle = np.full((1, 2), 1 / 3)
    for face in (-1, len(surface.faces)):
        with pytest.raises(ValueError, match="face"):
            surface.distances_from(face, middle[0])
    good, beyond = np.zeros(1, np.int32), np.array([len(surface.faces)], np.int32)
    for places in ((beyond, middle), (good, np.full((1, 2), np.nan)), (np.zeros(2, np.int32), middle)):
        with pytest.raises(ValueError, match="must"):
            surface.distances_between((good, middle), places)
