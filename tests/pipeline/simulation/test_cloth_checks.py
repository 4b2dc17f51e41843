"""Signed distances against closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.simulation.cloth_checks import penetration, signed_distance_m

CUBE = np.array([[x, y, z] for x in (0.0, 1) for y in (0.0, 1) for z in (0.0, 1)])
CUBE_FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ],
    dtype=np.int32,
)  # fmt: skip


def test_the_cube_of_these_tests_is_closed_and_outward():
    a, b, c = (CUBE[CUBE_FACES[:, k]] for k in range(3))
    assert np.einsum("ij,ij->i", np.cross(a, b), c).sum() / 6 == pytest.approx(1.0)


@settings(max_examples=200, deadline=None)
@given(place=st.tuples(*[st.floats(-1, 2, width=32)] * 3))
def test_distances_to_a_cube_are_those_of_its_closed_form(place):
    point = np.array(place, dtype=np.float64)
    beyond = np.maximum(np.abs(point - 0.5) - 0.5, 0)
    depth = 0.5 - np.abs(point - 0.5).max()
    expected = np.linalg.norm(beyond) if beyond.any() else -depth
    found = signed_distance_m(point[None], CUBE, CUBE_FACES)[0]
    assert abs(found - expected) < 1e-12


def sheet():
    u, v = np.meshgrid(np.arange(6.0), np.arange(6.0), indexing="ij")
    index = np.arange(36).reshape(6, 6)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    vertices = np.stack([u.ravel(), np.zeros(36), v.ravel()], axis=1)
    return vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)


def test_an_open_sheet_has_two_sides_and_nothing_is_inside_beside_it():
    vertices, faces = sheet()  # normals +Y
    points = np.array([[2.5, 0.3, 2.5], [2.5, -0.3, 2.5], [-1.0, -0.3, 2.5], [7.0, -2.0, 7.0]])
    expected = [0.3, -0.3, np.hypot(1, 0.3), np.sqrt(12)]
    np.testing.assert_allclose(signed_distance_m(points, vertices, faces), expected, atol=1e-12)


def test_penetration_counts_what_is_inside_and_how_deep():
    cloth = np.array([[[0.5, 0.98, 0.5], [0.5, 1.01, 0.5]], [[0.5, 0.99, 0.5], [0.5, 1.03, 0.5]]])
    cube = np.stack([CUBE, CUBE + [0, 0.02, 0]])
    found = penetration(cloth, cube, CUBE_FACES)
    assert found.share == 0.5
    np.testing.assert_allclose(found.share_per_frame, [0.5, 0.5])
    np.testing.assert_allclose([found.deepest_m, found.gap_m], [0.03, 0.01], atol=1e-9)


def test_cloth_outside_penetrates_nothing():
    found = penetration(np.full((1, 3, 3), 1.5), CUBE[None], CUBE_FACES)
    assert (found.share, found.deepest_m) == (0.0, 0.0)


def test_what_lies_deeper_than_the_reach_is_not_counted():
    found = penetration(np.full((1, 1, 3), 0.5), CUBE[None], CUBE_FACES, reach_m=0.05)
    assert found.share == 0.0
