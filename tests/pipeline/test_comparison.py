"""Angles and depth differences against plain arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.comparison import angle_rad, depth_difference

seeds = st.integers(0, 2**32 - 1)


def unit_vectors(seed: int, count: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@given(seeds)
def test_angle_is_the_arc_cosine_where_that_one_is_sharp(seed):
    a, b = unit_vectors(seed, 20), unit_vectors(seed + 1, 20)
    cosine = np.sum(a * b, axis=-1)
    sharp = np.abs(cosine) < 0.99
    # There the arc cosine magnifies the last bit at most sevenfold.
    np.testing.assert_allclose(angle_rad(a, b)[sharp], np.arccos(cosine[sharp]), atol=1e-14)


@given(seeds, st.floats(1e-9, np.pi - 1e-9))
def test_turning_a_vector_by_an_angle_gives_that_angle(seed, turn_rad):
    a, helper = unit_vectors(seed, 2)
    side = np.cross(a, helper)
    b = np.cos(turn_rad) * a + np.sin(turn_rad) * side / np.linalg.norm(side)
    # Absolute, down to 1e-9 rad, where an arc cosine of float64 knows nothing below 1e-8.
    assert abs(angle_rad(a, b) - turn_rad) < 1e-14


def test_equal_and_opposite_vectors_are_exact():
    a = np.eye(3)
    np.testing.assert_array_equal(angle_rad(a, a), 0)
    np.testing.assert_array_equal(angle_rad(a, -a), np.pi)


@given(seeds)
def test_float32_normals_are_compared_in_float64(seed):
    a = unit_vectors(seed, 20).astype(np.float32)
    b = (a + np.random.default_rng(seed).uniform(-1e-3, 1e-3, a.shape)).astype(np.float32)
    along, other = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (a.astype(float), b.astype(float)))
    # Products of float32 would be off by their 6e-8.
    expected = 2 * np.arcsin(np.linalg.norm(along - other, axis=-1) / 2)
    np.testing.assert_allclose(angle_rad(a, b), expected, atol=1e-14)


@pytest.mark.parametrize("shape", [(0, 3), (2, 5, 3)])
def test_angle_keeps_the_leading_shape(shape):
    assert angle_rad(np.ones(shape), np.ones(shape)).shape == shape[:-1]


@given(seeds, st.floats(0, 1), st.floats(0, 1))
def test_depth_is_compared_where_both_stand_and_counted_where_one_does(seed, share_a, share_b):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0.5, 3, (2, 9, 11)).astype(np.float32)
    a[rng.random(a.shape) < share_a] = 0
    b[rng.random(b.shape) < share_b] = 0
    difference_m, single_px = depth_difference(a, b)
    expected = [float(p) - float(q) for p, q in zip(a.flat, b.flat, strict=True) if p > 0 and q > 0]
    np.testing.assert_array_equal(difference_m, expected)  # float32 differences are exact in float64
    assert single_px == sum((p > 0) != (q > 0) for p, q in zip(a.flat, b.flat, strict=True))


@given(seeds)
def test_swapping_the_two_turns_the_sign_alone(seed):
    a, b = np.random.default_rng(seed).uniform(0, 1, (2, 6, 7)).round(0) * 1.5
    there, back = depth_difference(a, b), depth_difference(b, a)
    np.testing.assert_array_equal(there[0], -back[0])
    assert there[1] == back[1]


def test_two_empty_maps_differ_nowhere():
    difference_m, single_px = depth_difference(np.zeros((4, 5)), np.zeros((4, 5)))
    assert difference_m.shape == (0,) and single_px == 0
