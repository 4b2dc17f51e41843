"""Distances are exact where geometry says so, and unions never lose a solid."""

import numpy as np
import pytest

from pipeline.simulation.distance import capsule, ellipsoid, elliptic_column, smooth_cut, smooth_union
from pipeline.simulation.noise import draw_waves, wave_noise

POINTS = np.random.default_rng(0).uniform(-2, 2, (4000, 3))


def test_a_capsule_without_length_in_reach_is_a_ball_and_one_without_taper_a_tube() -> None:
    distance = capsule(POINTS, ([0, -9, 0], [0, 9, 0]), (0.4, 0.4))
    np.testing.assert_allclose(distance, np.hypot(POINTS[:, 0], POINTS[:, 2]) - 0.4, atol=1e-12)
    beyond = capsule(POINTS, ([5, 0, 0], [9, 0, 0]), (0.3, 0.1))
    np.testing.assert_allclose(beyond, np.linalg.norm(POINTS - [5, 0, 0], axis=1) - 0.3, atol=1e-12)


def test_an_ellipsoid_of_equal_radii_is_a_ball_and_turns_with_its_axes() -> None:
    np.testing.assert_allclose(
        ellipsoid(POINTS, [0.1, 0, 0], np.full(3, 0.5)),
        np.linalg.norm(POINTS - [0.1, 0, 0], axis=1) - 0.5,
        atol=1e-9,
    )
    axes = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(
        ellipsoid(POINTS, np.zeros(3), [0.2, 0.5, 0.9], axes), ellipsoid(POINTS, np.zeros(3), [0.9, 0.2, 0.5])
    )


def test_an_ellipsoid_is_zero_on_its_surface_with_a_slope_of_one() -> None:
    radii = np.array([0.2, 0.5, 0.9])
    sphere = POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)
    surface, normal = sphere * radii, sphere / radii
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    np.testing.assert_allclose(ellipsoid(surface, np.zeros(3), radii), 0, atol=1e-12)
    # first order: the error of a step of 0.1 mm is its square over the smallest radius of curvature, 4 cm
    np.testing.assert_allclose(ellipsoid(surface + 1e-4 * normal, np.zeros(3), radii), 1e-4, atol=1e-6)


def test_a_round_column_is_a_tube_with_flat_ends() -> None:
    profile = np.array([[-1.0, 0.5, 0.5, 0.2], [1.0, 0.5, 0.5, 0.2]])
    around = np.hypot(POINTS[:, 0], POINTS[:, 2] - 0.2) - 0.5
    expected = np.maximum(around, np.abs(POINTS[:, 1]) - 1)
    np.testing.assert_allclose(elliptic_column(POINTS, profile), expected, atol=1e-9)


@pytest.mark.parametrize("blend_m", [0.01, 0.3])
def test_a_smooth_union_holds_both_solids_and_grows_by_a_quarter_of_the_blend(blend_m) -> None:
    first, second = (ellipsoid(POINTS, [x, 0, 0], np.full(3, 0.6)) for x in (-0.5, 0.5))
    union, sharp = smooth_union(first, second, blend_m), np.minimum(first, second)
    assert (union <= sharp + 1e-15).all() and (union >= sharp - blend_m / 4 - 1e-15).all()
    far = np.abs(first - second) > blend_m
    np.testing.assert_allclose(union[far], sharp[far], atol=1e-15)
    np.testing.assert_allclose(union, smooth_union(second, first, blend_m), atol=1e-15)


def test_a_smooth_cut_leaves_nothing_outside_the_cut() -> None:
    solid, outside = ellipsoid(POINTS, np.zeros(3), np.full(3, 1.0)), POINTS[:, 1] - 0.3
    left = smooth_cut(solid, outside, 0.05)
    assert (left >= np.maximum(solid, outside) - 1e-15).all()
    assert (left[(solid < -0.2) & (outside < -0.2)] < 0).all()


def test_waves_have_mean_0_and_variance_1_over_the_stream() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([wave_noise(POINTS[:50], draw_waves(rng, 0.1)) for _ in range(200)])
    # 10,000 values; the 8 waves of a draw are shared by 50 of them, so count draws: 5 sigma of 200
    assert abs(values.mean()) < 5 / np.sqrt(200) and abs(values.var() - 1) < 5 * np.sqrt(2 / 200)
