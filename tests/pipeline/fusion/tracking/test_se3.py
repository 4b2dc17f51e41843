import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from pipeline.cameras import invert_rigid
from pipeline.fusion.tracking.se3 import adjoint, cross_matrix, transform_of, twist_of

TWISTS = st.lists(st.floats(-1.7, 1.7), min_size=6, max_size=6).map(np.array)


@given(TWISTS)
@settings(max_examples=50, deadline=None)
def test_a_twist_gives_the_matrix_exponential(twist):
    generator = np.zeros((4, 4))
    generator[:3, :3], generator[:3, 3] = cross_matrix(twist[:3]), twist[3:]
    np.testing.assert_allclose(transform_of(twist), expm(generator), atol=1e-12)


@given(TWISTS, st.sampled_from([1.0, 1e-4, 1e-7, 0.0]))
@settings(max_examples=50, deadline=None)
def test_the_logarithm_undoes_the_exponential(twist, scale):
    twist = scale * twist  # rotations stay below 1.7 sqrt(3) rad < pi
    np.testing.assert_allclose(twist_of(transform_of(twist)), twist, atol=1e-9)


@given(TWISTS, TWISTS)
@settings(max_examples=30, deadline=None)
def test_the_adjoint_carries_a_twist_through_a_transform(twist, other):
    T = transform_of(other)
    there = transform_of(adjoint(T) @ twist)
    np.testing.assert_allclose(there, T @ transform_of(twist) @ invert_rigid(T), atol=1e-10)


def test_stacks_give_what_single_ones_give():
    twists = np.random.default_rng(1).normal(size=(2, 3, 6))
    for index in np.ndindex(2, 3):
        np.testing.assert_array_equal(transform_of(twists)[index], transform_of(twists[index]))
        np.testing.assert_array_equal(
            adjoint(transform_of(twists))[index], adjoint(transform_of(twists[index]))
        )
