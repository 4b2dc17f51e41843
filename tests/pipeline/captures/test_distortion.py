"""The lens is OpenCV's, its inverse is its inverse, and a lens that folds the image is refused."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captures.distortion import (
    NO_DISTORTION,
    LensCamera,
    distort,
    distorted_points,
    distorted_rays,
    undistort,
)

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
