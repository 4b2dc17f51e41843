"""Segment scales: linear at rest, 1 gives the template, and a fit finds them again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bodies.model import default_body
from pipeline.bodies.scales import SCALE_BOUNDS, bounded_scales, fit_scales, scale_basis
from pipeline.bodies.skeleton import SMPL24_NAMES

ZERO_POSE = np.zeros((1, 24, 3))
AVERAGE, NOWHERE = np.zeros(0), np.zeros(3)
EXACT = 1e-12  # float64 sums of numbers below 2


@pytest.fixture(scope="module")
def basis():
    return scale_basis(default_body())


def scaled(scales):
    return default_body().posed(ZERO_POSE, AVERAGE, NOWHERE, scales=np.asarray(scales)[None])


def test_scales_of_one_are_the_template() -> None:
    plain = default_body().posed(ZERO_POSE, AVERAGE, NOWHERE)
    ones = scaled(np.ones(24))
    np.testing.assert_allclose(ones.vertices_m, plain.vertices_m, atol=EXACT)
    np.testing.assert_allclose(ones.joints_m, plain.joints_m, atol=EXACT)


@settings(max_examples=10, deadline=None)
@given(scales=st.lists(st.floats(0.6, 1.6), min_size=24, max_size=24).map(np.array))
def test_at_rest_the_body_is_linear_in_the_scales(scales) -> None:
    basis = scale_basis(default_body())
    posed = scaled(scales)
    vertices_m = basis.vertices_m + np.einsum("j,jvc->vc", scales - 1, basis.vertex_dirs_m)
    joints_m = basis.joints_m + np.einsum("j,jkc->kc", scales - 1, basis.joint_dirs_m)
    np.testing.assert_allclose(posed.vertices_m[0], vertices_m, atol=EXACT)
    np.testing.assert_allclose(posed.joints_m[0], joints_m, atol=EXACT)


def test_equal_scales_are_a_similarity_about_the_pelvis() -> None:
    plain, doubled = scaled(np.ones(24)), scaled(np.full(24, 1.5))
    pelvis_m = plain.joints_m[:, :1]
    np.testing.assert_allclose(doubled.vertices_m, pelvis_m + 1.5 * (plain.vertices_m - pelvis_m), atol=EXACT)


def test_a_longer_shin_lowers_its_own_foot_alone() -> None:
    scales = np.ones(24)
    scales[SMPL24_NAMES.index("left_knee")] = 1.2
    plain, longer = scaled(np.ones(24)).joints_m[0], scaled(scales).joints_m[0]
    moved = {SMPL24_NAMES[j] for j in np.flatnonzero(np.abs(longer - plain).max(axis=1) > EXACT)}
    assert moved == {"left_ankle", "left_foot"}
    knee_m, ankle_m = (plain[SMPL24_NAMES.index(name)] for name in ("left_knee", "left_ankle"))
    expected_m = knee_m + 1.2 * (ankle_m - knee_m)
    np.testing.assert_allclose(longer[SMPL24_NAMES.index("left_ankle")], expected_m, atol=EXACT)


def test_a_fit_finds_the_scales_again(basis) -> None:
    scales = np.random.default_rng(0).uniform(0.7, 1.5, 24)
    posed = scaled(scales)
    found = fit_scales(basis, posed.vertices_m[0], posed.joints_m[0], joint_weight=9.0)
    # The normal equations square the condition number: half of float64's digits.
    np.testing.assert_allclose(found, scales, atol=1e-7)


def test_a_giant_gets_the_largest_scales(basis) -> None:
    pelvis_m = basis.joints_m[0]
    vertices_m, joints_m = (pelvis_m + 3.0 * (m - pelvis_m) for m in (basis.vertices_m, basis.joints_m))
    found = fit_scales(basis, vertices_m, joints_m, joint_weight=9.0)
    assert found.max() <= SCALE_BOUNDS[1] and np.median(found) == pytest.approx(SCALE_BOUNDS[1], abs=1e-6)


def test_a_fit_to_people_stays_within_bounds_and_beats_the_template(basis) -> None:
    betas = np.random.default_rng(1).normal(size=(8, 10))
    people = default_body().posed(np.zeros((8, 24, 3)), betas, NOWHERE)
    low, high = SCALE_BOUNDS
    for vertices_m, joints_m in zip(people.vertices_m, people.joints_m, strict=True):
        scales = fit_scales(basis, vertices_m, joints_m, joint_weight=9.0)
        assert low <= scales.min() and scales.max() <= high
        error_m = np.linalg.norm(scaled(scales).vertices_m[0] - vertices_m, axis=1).mean()
        assert error_m < 0.6 * np.linalg.norm(basis.vertices_m - vertices_m, axis=1).mean()


def test_bounded_scales_rise_from_bound_to_bound_through_one_in_both_arrays() -> None:
    import torch

    free = np.linspace(-60, 60, 241)
    scales = bounded_scales(free)
    low, high = SCALE_BOUNDS
    assert bounded_scales(np.zeros(1))[0] == pytest.approx(1.0, abs=EXACT)
    assert (np.diff(scales) >= 0).all() and low <= scales[0] < low + 1e-6 and high - 1e-6 < scales[-1] <= high
    np.testing.assert_allclose(bounded_scales(torch.from_numpy(free)).numpy(), scales, atol=EXACT)
