"""The virtual Kinect's depth has the stated spread, its mixed pixels and holes lie where they belong."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from pipeline.cameras import rigid_error
from pipeline.captures.distortion import distorted_rays
from pipeline.simulation.kinect import (
    DEPTH_CAMERA,
    FAR_M,
    NEAR_M,
    across_step,
    amplitude,
    cosine_to_ray,
    draw_times,
    loss_share,
    measure_depth,
    mix_at_outlines,
    noise_sigma_m,
    virtual_kinect,
)

HEIGHT, WIDTH = DEPTH_CAMERA.height, DEPTH_CAMERA.width


def plane(distance_m: float, tilt_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Depth and normals of the plane through (0, 0, distance) turned about the vertical."""
    tilt = np.radians(tilt_deg)
    normal = np.array([np.sin(tilt), 0.0, -np.cos(tilt)])
    rays = distorted_rays(DEPTH_CAMERA)
    depth_m = distance_m * normal[2] / (rays @ normal)
    return np.where(depth_m > 0, depth_m, 0), np.broadcast_to(normal, rays.shape)


def at_slant(distance_m: float, slant_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Depth of a facing plane whose normals make one angle with every ray."""
    rays = distorted_rays(DEPTH_CAMERA)
    unit = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    across = np.cross(unit, [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    slant = np.radians(slant_deg)
    return np.full((HEIGHT, WIDTH), distance_m), -np.cos(slant) * unit + np.sin(slant) * across


def flat(value: float) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), value)


def measured_share(depth_m: np.ndarray, normal: np.ndarray, reflectance: float) -> float:
    raw = measure_depth(depth_m, normal, flat(reflectance), DEPTH_CAMERA, np.random.default_rng(3))
    return float((raw > 0).mean())


def test_sigma_by_hand() -> None:
    # 2.2 m, face on, half white: amplitude 0.5 / 4.84, 0.167 of it is 1.617 mm, with the floor of 1 mm 1.9 mm
    assert amplitude(np.array(2.2), np.array(1.0), np.array(0.5)) == pytest.approx(0.5 / 4.84)
    assert noise_sigma_m(0.5 / 4.84) == pytest.approx(1.9e-3, rel=2e-3)


@pytest.mark.parametrize(
    ("distance_m", "tilt_deg", "reflectance"), [(1.0, 0, 0.8), (2.2, 0, 0.5), (2.2, 30, 0.5), (3.2, 0, 0.9)]
)
def test_noise_on_a_plane_has_the_stated_spread_and_no_bias(distance_m, tilt_deg, reflectance) -> None:
    depth_m, normal = plane(distance_m, tilt_deg)
    raw = measure_depth(depth_m, normal, flat(reflectance), DEPTH_CAMERA, np.random.default_rng(2))
    # near the limits of the range the noise decides what is reported, hence what is left of it
    fair = (raw > 0) & (depth_m > NEAR_M + 0.05) & (depth_m < FAR_M - 0.05)
    cosine = cosine_to_ray(normal, depth_m > 0, DEPTH_CAMERA)
    sigma_m = noise_sigma_m(amplitude(depth_m[fair], cosine[fair], reflectance))
    # rounding to whole millimetres adds the variance of a uniform, 1/12 mm^2
    z = (raw / 1000 - depth_m)[fair] / np.hypot(sigma_m, 1e-3 / np.sqrt(12))
    assert len(z) > 100_000
    # standard errors of mean and variance of normal variables; 5 of them happen once in two million
    assert abs(z.mean()) < 5 / np.sqrt(len(z))
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / len(z))


def test_spread_grows_with_range_slant_and_darkness() -> None:
    for values in (
        [(z, 1.0, 0.5) for z in np.linspace(0.5, 4.5, 9)],
        [(2.0, np.cos(slant), 0.5) for slant in np.linspace(0, 1.3, 9)],
        [(2.0, 1.0, rho) for rho in np.linspace(0.9, 0.1, 9)],
    ):
        sigma = [float(noise_sigma_m(amplitude(*map(np.array, value)))) for value in values]
        assert (np.diff(sigma) > 0).all()


def test_dropouts_grow_with_slant_and_darkness_from_none_to_all() -> None:
    slants = [measured_share(*at_slant(1.0, deg), 0.9) for deg in (0, 60, 74, 78, 80.5, 84, 87)]
    assert slants[:3] == [1, 1, 1] and slants[-1] == 0 and (np.diff(slants[2:]) < 0).all()
    # midway between 75 and 86 degrees, and 0.9 cos(80.5) = 0.15 is light enough: a fair coin per pixel
    assert abs(slants[4] - 0.5) < 5 * 0.5 / np.sqrt(HEIGHT * WIDTH)
    darks = [measured_share(*at_slant(2.0, 0), rho) for rho in (0.5, 0.1, 0.07, 0.052, 0.03, 0.02)]
    assert darks[:2] == [1, 1] and darks[-1] == 0 and (np.diff(darks[1:]) < 0).all()
    # 0.052 / 4 = 0.013 lies midway between the amplitudes 0.02 and 0.006
    assert abs(darks[3] - 0.5) < 5 * 0.5 / np.sqrt(HEIGHT * WIDTH)
    assert loss_share(np.array(0.013), np.cos(np.radians(80.5))) == pytest.approx(0.75)


def test_nothing_is_reported_outside_the_range() -> None:
    normal = plane(1.0, 0)[1]
    for distance_m in (0.45, 4.6):
        raw = measure_depth(flat(distance_m), normal, flat(0.9), DEPTH_CAMERA, np.random.default_rng(0))
        assert not raw.any()
    for limit_m in (NEAR_M, FAR_M):
        raw = measure_depth(flat(limit_m), normal, flat(0.9), DEPTH_CAMERA, np.random.default_rng(0))
        assert 0.3 < (raw > 0).mean() < 0.7  # half of the noise lies beyond
        assert raw[raw > 0].min() >= 500 and raw.max() <= 4500


def test_mixed_pixels_lie_beside_the_outline_and_between_its_two_sides() -> None:
    v, u = np.indices((HEIGHT, WIDTH))
    disc = (u - 260) ** 2 + (v - 200) ** 2 < 90**2
    depth_m = np.where(disc, 1.5, 3.0)
    normal = plane(1.0, 0)[1]
    raw = measure_depth(depth_m, normal, flat(0.9), DEPTH_CAMERA, np.random.default_rng(6))
    # 12 sigmas, at 3 m and 40 degrees off the axis: no noise reaches it
    flying = (raw > 1530) & (raw < 2970)
    beside = (disc ^ binary_dilation(disc)) | (~disc ^ binary_dilation(~disc))
    assert flying.sum() > 100 and not flying[~beside].any()
    assert raw[raw > 0].min() > 1450 and raw.max() < 3050
    # half of them are mixed, half of those reported; a mixture is at least half its own surface
    assert abs(flying.sum() / beside.sum() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / beside.sum())
    assert raw[flying & disc].max() < 2280 and raw[flying & ~disc].min() > 2220


def test_a_step_is_taken_from_its_larger_side_and_never_from_nothing() -> None:
    depth_m = np.full((5, 7), 2.0)
    depth_m[:, 0] = 1.8
    depth_m[2, 2] = 3.0
    depth_m[4] = 0
    other = across_step(depth_m)
    expected = np.zeros((5, 7))
    expected[:4, 0], expected[:4, 1] = 2.0, 1.8
    expected[2, 2] = 2.0
    expected[[1, 3, 2, 2], [2, 2, 1, 3]] = 3.0
    np.testing.assert_array_equal(other, expected)
    seen_m, mixed = mix_at_outlines(depth_m, np.random.default_rng(0))
    assert not mixed[expected == 0].any() and (seen_m[4] == 0).all()


def test_a_slanted_surface_is_no_outline() -> None:
    depth_m, _ = plane(2.0, 70.0)
    assert not across_step(np.where(depth_m < 4.5, depth_m, 0)).any()


def test_the_same_stream_gives_the_same_depth_and_nothing_is_read_where_nothing_is_hit() -> None:
    depth_m, normal = plane(2.0, 20.0)
    normal, reflectance = normal.copy(), flat(0.4)
    depth_m[50:90, 30:200] = 0
    before = measure_depth(depth_m, normal, reflectance, DEPTH_CAMERA, np.random.default_rng(9))
    normal[depth_m == 0] = np.nan
    reflectance[depth_m == 0] = np.nan
    after = measure_depth(depth_m, normal, reflectance, DEPTH_CAMERA, np.random.default_rng(9))
    np.testing.assert_array_equal(before, after)
    assert before.dtype == np.uint16 and not before[depth_m == 0].any()
    other = measure_depth(
        depth_m, flat(0)[..., None] + normal, flat(0.4), DEPTH_CAMERA, np.random.default_rng(8)
    )
    assert (other != before).mean() > 0.5


def test_clocks_tick_at_thirty_hertz_with_colour_a_little_aside() -> None:
    times = draw_times(np.random.default_rng(4), 3000, drop_share=0.05)
    steps = np.diff(times.depth_s)
    assert (steps > 0.03).all() and abs(steps.mean() - 1 / 30) < 1e-6 and steps.std() > 1e-4
    dropped = np.isnan(times.color_s)
    assert abs(dropped.mean() - 0.05) < 5 * np.sqrt(0.05 * 0.95 / 3000)
    offset = (times.color_s - times.depth_s)[~dropped]
    # 8 ms and three sigmas of a millisecond: within what the reader pairs
    assert np.abs(offset).max() < 0.0111 and offset.std() < 0.0012
    assert not np.isnan(draw_times(np.random.default_rng(4), 300, drop_share=0.0).color_s).any()


def test_the_device_is_a_kinect_v2() -> None:
    kinect = virtual_kinect()
    assert (kinect.depth.width, kinect.depth.height) == (512, 424)
    assert (kinect.color.width, kinect.color.height) == (1920, 1080)
    assert rigid_error(kinect.color_from_depth) < 1e-12
    assert np.linalg.norm(kinect.color_from_depth[:3, 3]) == pytest.approx(0.052, abs=1e-4)
    # both lenses can be undone over the whole image
    small = replace(kinect.color, width=192, height=108, fx_px=106.3, fy_px=106.3, cx_px=95.5, cy_px=53.9)
    for camera in (kinect.depth, small):
        assert np.isfinite(distorted_rays(camera)).all()
