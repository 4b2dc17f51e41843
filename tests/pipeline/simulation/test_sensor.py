"""The virtual camera's noise is the stated one, and its holes are where they belong."""

import numpy as np
import pytest

from pipeline.cameras import backproject, pixel_rays
from pipeline.simulation.orbit import HEIGHT_PX, K_DEPTH, WIDTH_PX
from pipeline.simulation.sensor import axial_sigma_m, beside_step, simulate_depth, slant_of


def plane(distance_m: float, tilt_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Depth and normals of the plane through (0, 0, distance) turned about the vertical."""
    tilt = np.radians(tilt_deg)
    normal = np.array([np.sin(tilt), 0.0, -np.cos(tilt)])
    rays = pixel_rays(K_DEPTH, HEIGHT_PX, WIDTH_PX)
    depth_m = distance_m * normal[2] / (rays @ normal)
    return np.where(depth_m > 0, depth_m, 0), np.broadcast_to(normal, rays.shape)


def test_sigma_by_hand() -> None:
    # 1.5 - 0.5 * 2 + 0.3 * 4 = 1.7 mm face on; at 45 degrees theta^2 / (pi/2 - theta)^2 = 1: 0.1 * 2^1.5 more
    assert axial_sigma_m(2.0, 0.0) == pytest.approx(1.7e-3)
    assert axial_sigma_m(2.0, np.pi / 4) == pytest.approx((1.7 + 0.1 * 2**1.5) / 1000)
    slants = np.radians(np.arange(0, 90))
    assert (np.diff(axial_sigma_m(2.0, slants)) >= 0).all() and np.isfinite(axial_sigma_m(2.0, np.pi / 2))


@pytest.mark.parametrize(("distance_m", "tilt_deg"), [(2.2, 0.0), (1.0, 0.0), (2.2, 40.0)])
def test_noise_on_a_plane_has_the_stated_spread_and_no_bias(distance_m, tilt_deg) -> None:
    depth_m, normal = plane(distance_m, tilt_deg)
    raw = simulate_depth(depth_m, normal, K_DEPTH, np.random.default_rng(2))
    measured = raw > 0
    slant = slant_of(normal, K_DEPTH, depth_m > 0)
    # rounding to whole millimetres adds the variance of a uniform, 1/12 mm^2
    sigma_m = np.hypot(axial_sigma_m(depth_m, slant), 1e-3 / np.sqrt(12))
    z = ((raw / 1000 - depth_m) / sigma_m)[measured]
    count = len(z)
    assert count > 100_000
    # standard errors of mean and variance of normal variables; 5 of them happen once in two million
    assert abs(z.mean()) < 5 / np.sqrt(count)
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / count)


def test_slant_is_the_angle_to_the_ray_not_to_the_axis() -> None:
    # on a ball around the camera every ray meets its normal head on
    rays = pixel_rays(K_DEPTH, HEIGHT_PX, WIDTH_PX)
    normal = -rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    hit = np.ones(rays.shape[:2], bool)
    # arccos near 1 amplifies float64 rounding to its square root
    np.testing.assert_allclose(slant_of(normal, K_DEPTH, hit), 0, atol=1e-7)
    depth_m, normal = plane(2.0, 30.0)
    points = backproject(depth_m, K_DEPTH)
    cosine = -(points * normal).sum(-1) / np.linalg.norm(points, axis=-1)
    np.testing.assert_allclose(np.cos(slant_of(normal, K_DEPTH, depth_m > 0)), cosine, atol=1e-12)


def test_every_pixel_of_a_facing_surface_is_measured_and_none_at_grazing() -> None:
    depth_m, normal = plane(2.0, 0.0)
    raw = simulate_depth(depth_m, normal, K_DEPTH, np.random.default_rng(0))
    assert (raw > 0).all() and raw.dtype == np.uint16
    lying = np.broadcast_to([1.0, 0.0, 0.0], normal.shape)
    side = slant_of(lying, K_DEPTH, depth_m > 0) > np.radians(86)
    assert side.any() and not simulate_depth(depth_m, lying, K_DEPTH, np.random.default_rng(0))[side].any()


def test_losses_grow_linearly_between_the_two_limits() -> None:
    depth_m, _ = plane(2.0, 0.0)
    rays = pixel_rays(K_DEPTH, HEIGHT_PX, WIDTH_PX)
    unit = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    across = np.cross(unit, [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    slant = np.radians(80.5)  # midway between 75 and 86 degrees
    normal = -np.cos(slant) * unit + np.sin(slant) * across
    kept = (simulate_depth(depth_m, normal, K_DEPTH, np.random.default_rng(4)) > 0).mean()
    # a fair coin for each of 217,088 pixels: standard error 0.11 %
    assert abs(kept - 0.5) < 5 * 0.5 / np.sqrt(depth_m.size)


def test_pixels_beside_a_step_or_nothing_are_lost_half_the_time_and_others_never() -> None:
    depth_m = np.full((HEIGHT_PX, WIDTH_PX), 2.0)
    depth_m[:, ::8] = 2.0 + 0.06
    depth_m[100:110] = 0
    normal = np.broadcast_to([0.0, 0.0, -1.0], (*depth_m.shape, 3))
    step = beside_step(depth_m)
    expected = np.zeros_like(step)
    expected[:, ::8] = expected[:, 1::8] = expected[:, 7::8] = True
    expected[:, -1] = False  # its right neighbour would be the next step
    expected[[99, 110]] = True
    expected[100:110] = False
    np.testing.assert_array_equal(step, expected)
    lost = (simulate_depth(depth_m, normal, K_DEPTH, np.random.default_rng(1)) == 0) & (depth_m > 0)
    assert not lost[~step].any()
    assert abs(lost[step].mean() - 0.5) < 5 * 0.5 / np.sqrt(step.sum())


def test_nothing_is_read_where_nothing_is_hit() -> None:
    depth_m, normal = plane(2.0, 20.0)
    depth_m, normal = depth_m.copy(), normal.copy()
    depth_m[50:90, 30:200] = 0
    before = simulate_depth(depth_m, normal, K_DEPTH, np.random.default_rng(9))
    normal[depth_m == 0] = np.nan
    after = simulate_depth(depth_m, normal, K_DEPTH, np.random.default_rng(9))
    np.testing.assert_array_equal(before, after)
    assert not before[depth_m == 0].any()
