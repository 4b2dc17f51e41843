"""Depth between pixels: a plane stays the plane, an edge stays an edge, and nothing comes out of nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cameras import backproject, crop_resize, pixel_rays, project

K = np.array([[60.0, 0, 22.4], [0, 58.0, 14.7], [0, 0, 1]])
HEIGHT, WIDTH = 30, 46
seeds = st.integers(0, 2**32 - 1)
boxes = st.tuples(st.floats(-20, 40), st.floats(-20, 30), st.floats(4, 80))
laws = settings(max_examples=40, deadline=None)


def plane_depth(K: np.ndarray, shape: tuple[int, int], normal: np.ndarray, distance_m: float) -> np.ndarray:
    """z where the rays of a camera meet the plane normal . p = distance_m."""
    return distance_m / (pixel_rays(K, *shape) @ normal)


def slanted(rng: np.random.Generator, most_deg: float) -> tuple[np.ndarray, float]:
    tilt, turn = np.radians(rng.uniform(0, most_deg)), rng.uniform(0, 2 * np.pi)
    normal = np.array([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)])
    return normal, float(rng.uniform(1, 4))


def crop(depth_m, box_px, size_px):
    cropped, K_crop = crop_resize({"d": depth_m, "near": depth_m}, K, box_px, size_px, depths=("d",))
    return cropped["d"], cropped["near"], K_crop


@laws
@given(boxes, st.integers(3, 60), seeds)
def test_a_plane_stays_that_plane_under_any_crop(box_px, size_px, seed) -> None:
    # 45 degrees from the axis are up to 70 from the outer rays, below the moderate slope
    normal, distance_m = slanted(np.random.default_rng(seed), 45)
    depth_m = plane_depth(K, (HEIGHT, WIDTH), normal, distance_m)
    found, near, K_crop = crop(depth_m, box_px, size_px)
    pixels = project(pixel_rays(K_crop, size_px, size_px), K)
    # Within the outer centres there are four around each place; on the very line, rounding decides.
    beyond = np.maximum(-pixels, pixels - [WIDTH - 1, HEIGHT - 1]).max(axis=-1)
    inside, outside = beyond < -1e-9, beyond > 1e-9
    expected = plane_depth(K_crop, (size_px, size_px), normal, distance_m)
    np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-12)
    np.testing.assert_array_equal(found[outside], near[outside])
    single, _, _ = crop(depth_m.astype(np.float32), box_px, size_px)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single[inside], expected[inside], rtol=4e-7)  # three roundings of float32


def test_nearest_depth_of_the_same_plane_is_off_by_its_slope() -> None:
    depth_m = plane_depth(K, (HEIGHT, WIDTH), np.array([0.7, 0, 0.7]), 2.0)
    found, near, K_crop = crop(depth_m, (10.0, 5.0, 20.0), 64)
    expected = plane_depth(K_crop, (64, 64), np.array([0.7, 0, 0.7]), 2.0)
    assert np.abs(found - expected).max() < 1e-12 < 0.01 < np.abs(near - expected).max()


def test_a_steep_plane_is_interpolated_where_it_goes_on() -> None:
    # 79 degrees from the rays at the picture's middle: steeper than moderate, less than the steepest
    normal = np.array([np.sin(np.radians(79)), 0, np.cos(np.radians(79))])
    depth_m = np.where(
        pixel_rays(K, HEIGHT, WIDTH) @ normal > 0.1, plane_depth(K, (HEIGHT, WIDTH), normal, 0.5), 0
    )
    found, near, K_crop = crop(depth_m, (22.0, 8.0, 8.0), 24)
    expected = plane_depth(K_crop, (24, 24), normal, 0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.abs(near - expected).max() > 1e-3


@laws
@given(boxes, st.integers(3, 60), seeds)
def test_two_surfaces_are_never_mixed(box_px, size_px, seed) -> None:
    rng = np.random.default_rng(seed)
    front = (
        rng.random((HEIGHT // 5 + 1, WIDTH // 5 + 1)).repeat(5, axis=0).repeat(5, axis=1)[:HEIGHT, :WIDTH]
        < 0.5
    )
    gap_m = rng.uniform(0.12, 2)  # at 2 m and f = 60 px, one pixel of a moderate slope covers 0.1 m
    depth_m = np.where(front, 2.0, 2.0 + gap_m)
    found, near, _ = crop(depth_m, box_px, size_px)
    between = (found > 2.0 + 1e-9) & (found < 2.0 + gap_m - 1e-9)
    assert not between.any()
    np.testing.assert_allclose(found, near, rtol=1e-12)


@laws
@given(boxes, st.integers(3, 60), seeds)
def test_a_result_stands_exactly_where_the_nearest_pixel_does_and_within_its_cell(
    box_px, size_px, seed
) -> None:
    rng = np.random.default_rng(seed)
    depth_m = rng.uniform(1.5, 1.7, (HEIGHT, WIDTH)).astype(np.float32) * (rng.random((HEIGHT, WIDTH)) < 0.8)
    cropped, K_crop = crop_resize({"d": depth_m, "mask": depth_m > 0}, K, box_px, size_px, depths=("d",))
    np.testing.assert_array_equal(cropped["d"] > 0, cropped["mask"])
    pixels = project(pixel_rays(K_crop, size_px, size_px), K)
    low = np.clip(np.floor(pixels).astype(int), 0, [WIDTH - 1, HEIGHT - 1])
    high = np.clip(low + 1, 0, [WIDTH - 1, HEIGHT - 1])
    around = np.stack(
        [depth_m[v, u] for v in (low[..., 1], high[..., 1]) for u in (low[..., 0], high[..., 0])]
    )
    stands = cropped["mask"]
    least = np.where(around > 0, around, np.inf).min(axis=0)
    assert (cropped["d"][stands] >= least[stands] * (1 - 1e-6)).all()
    assert (cropped["d"][stands] <= around.max(axis=0)[stands] * (1 + 1e-6)).all()
    assert not (cropped["d"] == 0)[stands].any()


def test_a_whole_pixel_crop_changes_no_depth() -> None:
    depth_m = np.random.default_rng(1).uniform(1, 3, (HEIGHT, WIDTH)).astype(np.float32)
    found, near, _ = crop(depth_m, (3.0, 2.0, 20.0), 20)
    np.testing.assert_allclose(found, near, rtol=2e-7)  # 1 / (1 / z) in double precision, rounded once


def test_what_lies_under_the_mask_is_not_read() -> None:
    depth_m = np.full((HEIGHT, WIDTH), 2.0)
    outside = np.indices(depth_m.shape)[1] > 20
    masked = [np.where(outside, 0, map_m) for map_m in (depth_m, np.where(outside, 9.0, depth_m))]
    first, second = (crop(map_m, (10.3, 3.2, 20.0), 50)[0] for map_m in masked)
    np.testing.assert_array_equal(first, second)
    assert set(np.unique(first).round(12)) == {0.0, 2.0}


@laws
@given(boxes, st.integers(3, 60), seeds)
def test_points_move_with_the_picture_that_they_lie_in(box_px, size_px, seed) -> None:
    rng = np.random.default_rng(seed)
    depth_m = rng.uniform(1, 3, (HEIGHT, WIDTH))
    points_cam = backproject(depth_m, K).reshape(-1, 3)[:17]
    joints = project(points_cam, K).astype(np.float32)
    cropped, K_crop = crop_resize(
        {"depth_m": depth_m, "joints_px": joints}, K, box_px, size_px, points=("joints_px",)
    )
    assert cropped["joints_px"].dtype == np.float32 and cropped["joints_px"].shape == (17, 2)
    np.testing.assert_allclose(cropped["joints_px"], project(points_cam, K_crop), rtol=1e-5, atol=1e-3)


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold 'joints_px', hold d"):
        crop_resize({"d": np.ones((HEIGHT, WIDTH))}, K, (0, 0, 10), 10, points=("joints_px",))
    with pytest.raises(ValueError, match="must hold 'depth'"):
        crop_resize({"d": np.ones((HEIGHT, WIDTH))}, K, (0, 0, 10), 10, depths=("depth",))
