"""The lens is OpenCV's, its inverse is its inverse, and a lens that folds the image is refused."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captures.distortion import (
    NO_DISTORTION,
    LensCamera,
    _jacobian,
    distort,
    distorted_points,
    distorted_rays,
    folds,
    undistort,
)
from pipeline.captures.registration import registration
from pipeline.captures.two_cameras import pinhole_of

CAMERA = LensCamera(
    width=512,
    height=424,
    fx_px=365.4,
    fy_px=366.1,
    cx_px=257.2,
    cy_px=206.1,
    distortion=(0.091, -0.270, 0.0021, -0.0013, 0.095),
)


def test_points_are_projected_as_opencv_does() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform([-1.4, -1.1, 1.5], [1.4, 1.1, 3.0], (500, 3))
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), CAMERA.K, np.array(CAMERA.distortion))
    # float64 against float64 at up to 1e3 px
    np.testing.assert_allclose(distorted_points(points, CAMERA), expected[:, 0], atol=1e-9)


def test_every_ray_is_shown_at_its_own_pixel() -> None:
    rays = distorted_rays(CAMERA)
    assert rays.shape == (424, 512, 3) and (rays[..., 2] == 1).all()
    pixels = distorted_points(rays, CAMERA)
    u, v = np.meshgrid(np.arange(512), np.arange(424))
    # a millionth of a pixel, where a thousandth is asked for
    np.testing.assert_allclose(pixels, np.stack([u, v], axis=-1), atol=1e-6)
    # and the lens does bend: by many pixels at the corners
    pinhole = (rays @ CAMERA.K.T)[..., :2]
    assert np.abs(pinhole - pixels)[0, 0].max() > 10


coefficient = st.floats(-0.02, 0.02)


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[coefficient] * 5), st.tuples(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9)))
def test_undistorting_undoes_distorting(distortion, point) -> None:
    there = distort(np.array(point), distortion)
    np.testing.assert_allclose(undistort(there, distortion), point, atol=1e-8)


def test_without_a_lens_nothing_moves() -> None:
    points = np.random.default_rng(1).normal(size=(20, 2))
    np.testing.assert_array_equal(distort(points, NO_DISTORTION), points)
    np.testing.assert_array_equal(undistort(points, NO_DISTORTION), points)


def test_rays_are_kept_and_cannot_be_changed() -> None:
    assert distorted_rays(CAMERA) is distorted_rays(CAMERA)
    with pytest.raises(ValueError, match="read-only"):
        distorted_rays(CAMERA)[0, 0, 0] = 1


@pytest.mark.parametrize("k1", [-0.6, -5.0])
def test_a_lens_that_folds_the_image_is_refused(k1) -> None:
    # r (1 + k1 r^2) turns back at r = 1 / sqrt(-3 k1) and shows nothing beyond 2/3 of that
    beyond = 0.7 / np.sqrt(-3 * k1)
    with pytest.raises(ValueError, match="must be invertible"):
        undistort(np.array([[0.0, 0.0], [beyond, 0.0]]), (k1, 0.0, 0.0, 0.0, 0.0))
    inside = np.array([[0.6 / np.sqrt(-3 * k1), 0.0]])
    found = undistort(inside, (k1, 0.0, 0.0, 0.0, 0.0))
    assert found[0, 0] < 1 / np.sqrt(-3 * k1)


# As strong as an Azure Kinect's wide depth camera: shows 120 degrees, and nothing in the corners.
WIDE = LensCamera(
    width=160,
    height=150,
    fx_px=78.8,
    fy_px=79.1,
    cx_px=82.4,
    cy_px=74.2,
    distortion=(0.548, -0.021, 0.0013, -0.0017, -0.0027, 0.8897, 0.0861, -0.0139),
    max_radius=1.74,
)


def within(count: int, radius: float) -> np.ndarray:
    rng = np.random.default_rng(7)
    r, angle = radius * np.sqrt(rng.uniform(size=count)), rng.uniform(0, 2 * np.pi, count)
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1)


def test_a_rational_lens_is_opencvs_both_ways() -> None:
    points = np.c_[within(500, 1.7), np.ones(500)]
    coefficients = np.array(WIDE.distortion)
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), WIDE.K, coefficients)
    pixels = distorted_points(points, WIDE)
    np.testing.assert_allclose(pixels, expected[:, 0], atol=1e-10)
    # OpenCV iterates to a fixed point, which it reaches for the inner part of so strong a lens
    inner = np.hypot(*points[:, :2].T) < 1.0
    back = cv2.undistortPointsIter(
        pixels[inner, None], WIDE.K, coefficients, None, None, (cv2.TERM_CRITERIA_COUNT, 300, 0)
    )
    shown = (pixels - [WIDE.cx_px, WIDE.cy_px]) / [WIDE.fx_px, WIDE.fy_px]
    found = undistort(shown, WIDE.distortion, max_radius=WIDE.max_radius)
    np.testing.assert_allclose(found[inner], back[:, 0], atol=1e-7)
    np.testing.assert_allclose(found, points[:, :2], atol=1e-8)


@pytest.mark.parametrize("distortion", [CAMERA.distortion, WIDE.distortion])
def test_the_jacobian_is_the_derivative(distortion) -> None:
    points, step = within(200, 0.9), 1e-6
    a, b, d = _jacobian(points, distortion)
    by_x, by_y = (
        (distort(points + move, distortion) - distort(points - move, distortion)) / (2 * step)
        for move in (np.array([step, 0]), np.array([0, step]))
    )
    # central differences: step^2 and 1e-16 / step
    np.testing.assert_allclose(np.c_[a, b], by_x, atol=1e-8)
    np.testing.assert_allclose(np.c_[b, d], by_y, atol=1e-8)


def test_five_coefficients_are_eight_with_three_zeros() -> None:
    points = within(50, 0.8)
    eight = (*CAMERA.distortion, 0.0, 0.0, 0.0)
    np.testing.assert_array_equal(distort(points, CAMERA.distortion), distort(points, eight))


def test_pixels_beyond_the_lens_have_no_ray() -> None:
    rays = distorted_rays(WIDE)
    seen = np.isfinite(rays).all(axis=-1)
    assert not seen[0, 0] and not seen[-1, -1] and seen[74, 4] and not seen[74, 0]
    assert 0.7 < seen.mean() < 0.9
    v, u = np.nonzero(seen)
    np.testing.assert_allclose(distorted_points(rays[seen], WIDE), np.c_[u, v], atol=1e-6)
    # the rays end where the lens ends, to a pixel
    r = np.hypot(rays[..., 0], rays[..., 1])
    assert np.nanmax(r) <= WIDE.max_radius * (1 + 1e-9) and np.nanmax(r) > WIDE.max_radius - 0.05
    rim = distorted_points(np.c_[within(4000, WIDE.max_radius), np.ones(4000)], WIDE)
    covered = np.zeros_like(seen)
    inside = (rim >= 0).all(1) & (rim[:, 0] < WIDE.width - 1) & (rim[:, 1] < WIDE.height - 1)
    u, v = np.round(rim[inside]).astype(int).T
    covered[v, u] = True
    assert (covered & ~seen).sum() < 0.03 * seen.sum()  # rounding at the rim alone


def test_depth_without_a_ray_is_not_registered() -> None:
    K = np.array([[40.0, 0, 79.5], [0, 40.0, 74.5], [0, 0, 1]])
    way = registration(WIDE, np.eye(4), K, height=150, width=160)
    seen = way.register(np.full((150, 160), 2.0, dtype=np.float32))
    u, v = np.meshgrid(np.arange(160), np.arange(150))
    r = np.hypot((u - 79.5) / 40, (v - 74.5) / 40)
    assert np.isfinite(seen.depth_m).all()
    assert not seen.depth_m[r > WIDE.max_radius].any()
    np.testing.assert_allclose(seen.depth_m[r < 1.3], 2.0, atol=1e-6)


def test_a_lens_that_folds_is_found() -> None:
    ring = within(300, 1.0)
    assert not folds(ring, WIDE.distortion) and not folds(ring, NO_DISTORTION)
    assert folds(ring, (-0.6, 0.0, 0.0, 0.0, 0.0))
    assert folds(ring, (0.0, 0.0, 0.0, 0.0, 0.0, -2.0, 0.0, 0.0))  # its denominator passes 0
    assert folds(ring, (1e300, 0.0, 0.0, 0.0, 0.0))
    outer = ring / np.linalg.norm(ring, axis=-1, keepdims=True)
    assert folds(outer, (-30.0, 0.0, 0.0, 0.0, 0.0))  # turned over in both directions


def test_the_pinhole_of_a_lens_holds_its_middle_row_and_column() -> None:
    for camera, side in ((WIDE, 864), (WIDE, 200), (CAMERA, 864)):
        view = pinhole_of(camera, max_side_px=side)
        rays = distorted_rays(camera)
        pixels = (rays @ view.K.T)[..., :2]
        row, column = pixels[round(camera.cy_px), :, 0], pixels[:, round(camera.cx_px), 1]
        assert np.nanmin(row) == pytest.approx(0) and np.nanmin(column) == pytest.approx(0)
        assert abs(np.nanmax(row) - (view.width - 1)) <= 0.5
        assert abs(np.nanmax(column) - (view.height - 1)) <= 0.5
        assert max(view.width, view.height) <= side
        assert view.fx_px == view.fy_px <= camera.fx_px
    assert pinhole_of(CAMERA, max_side_px=864).fx_px == CAMERA.fx_px
