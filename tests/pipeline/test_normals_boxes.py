"""Plane fits by box sums against the same fits by direct sums around each pixel's own point."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.adoption import trusted_mask
from pipeline.cameras import pixel_rays
from pipeline.captures.opening import open_capture
from pipeline.normals import normals_from_depth
from pipeline.normals_kernels import BAND_BLOCKS, FAR_M, _covariances, _fit_band, _on_one_line

K = np.array([[150.0, 0, 26.3], [0, 140.0, 23.6], [0, 0, 1]])
SAME_DEG = 1e-5  # the float32 of the answer leaves 3.4e-6 deg an axis
SAME_M = 1e-9  # four digits of the smallest residual that box sums may have


def smooth(seed, shape=(47, 53)):
    """A wavy, noisy surface between 1 and 2 m with holes, a step of 0.3 m, flying pixels and a far one."""
    rng = np.random.default_rng(seed)
    v, u = np.indices(shape)
    depth_m = 1.5 + 0.05 * np.sin(u / 9) + 0.05 * np.cos(v / 7) + rng.normal(0, 0.001, shape)
    depth_m += 0.3 * (u > 35)
    depth_m[rng.random(shape) < 0.004] += 0.2
    depth_m[8, 10] = 65.535
    return depth_m.astype(np.float32), rng.random(shape) > 0.004


def prepared(depth_m, mask, K):
    rays = (np.arange(mask.shape[1]) - K[0, 2]) / K[0, 0], (np.arange(mask.shape[0]) - K[1, 2]) / K[1, 1]
    return np.where(mask, depth_m.astype(np.float64), FAR_M), rays


def fit_directly(clean_m, rays, pixel, window):
    """Normal and residual from direct sums; None where the neighbours give no plane."""
    v, u = pixel
    if _on_one_line(clean_m, v, u, window):
        return None
    xx, xy, yy, xz, yz, zz = _covariances(clean_m, rays, v, u, window)
    a, b = np.linalg.solve([[xx, xy], [xy, yy]], [xz, yz])
    normal = np.array([a, b, -1]) / np.sqrt(a * a + b * b + 1)
    residual_m = np.sqrt(max(zz - a * xz - b * yz, 0) / (a * a + b * b + 1))
    return -np.sign(normal @ [rays[0][u], rays[1][v], 1]) * normal, residual_m


def assert_same(found, clean_m, rays, window, pixels):
    normal, residual_m = found
    for v, u in pixels:
        direct = fit_directly(clean_m, rays, (v, u), window)
        if direct is None:
            assert not normal[v, u].any() and residual_m[v, u] == 0
            continue
        cosine, sine = normal[v, u] @ direct[0], np.linalg.norm(np.cross(normal[v, u], direct[0]))
        assert np.degrees(np.arctan2(sine, cosine)) < SAME_DEG
        assert abs(residual_m[v, u] - direct[1]) < SAME_M


@pytest.mark.parametrize("window_px", [3, 5, 7, 9, 15])
def test_box_sums_agree_with_direct_sums(window_px):
    depth_m, mask = smooth(window_px)
    found = normals_from_depth(depth_m, mask, K, window_px=window_px, max_step_m=0.1)
    clean_m, rays = prepared(depth_m, mask, K)
    assert_same(found, clean_m, rays, (window_px // 2, 0.1), np.argwhere(mask))
    assert not found[0][~mask].any() and not found[1][~mask].any()


@pytest.mark.parametrize("window_px", [3, 7, 13, 47])
@pytest.mark.parametrize("shape", [(47, 53), (47, 47), (12, 90), (61, 7)])
def test_box_sums_serve_the_pixels_whose_whole_window_is_within_the_step_and_no_other(window_px, shape):
    depth_m, mask = smooth(1, (61, 90))
    clean_m, rays = prepared(depth_m[: shape[0], : shape[1]], mask[: shape[0], : shape[1]], K)
    reach = dict(size=window_px, mode="constant")
    within = ndimage.maximum_filter(clean_m, cval=np.inf, **reach) - clean_m <= 0.1
    within &= clean_m - ndimage.minimum_filter(clean_m, cval=-np.inf, **reach) <= 0.1
    normal, residual_m = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
    done = np.zeros(shape, bool)
    if min(shape) >= window_px:
        for top in range(0, shape[0] - window_px + 1, BAND_BLOCKS * window_px):
            _fit_band(clean_m, rays, top, (window_px // 2, 0.1), (normal, residual_m, done))
    np.testing.assert_array_equal(done, within)
    np.testing.assert_array_equal(normal.any(axis=-1), within)


def test_most_pixels_of_a_body_without_steps_are_served_by_box_sums():
    v, u = np.indices((60, 50))
    depth_m, mask = 2 - 0.1 * np.cos((u - 25) / 25) + 1e-3 * np.sin(3 * u + 2 * v), np.ones((60, 50), bool)
    clean_m, rays = prepared(depth_m, mask, K)
    out = np.zeros((60, 50, 3), np.float32), np.zeros((60, 50), np.float32), np.zeros((60, 50), bool)
    for top in range(0, 54, BAND_BLOCKS * 7):
        _fit_band(clean_m, rays, top, (3, 0.03), out)
    assert out[2][3:-3, 3:-3].all()


def test_a_surface_far_off_the_axis_loses_nothing_to_the_distance():
    # 30 m aside at 20 m: the moments are 1e7 times the covariances of a window of 3 px.
    far_K = np.array([[4000.0, 0, -6000.0], [0, 4000.0, 9.0], [0, 0, 1]])
    truth = np.array([0.3, 0.2, -1]) / np.linalg.norm([0.3, 0.2, -1])
    depth_m = -20.0 / (pixel_rays(far_K, 30, 40) @ truth)
    mask = np.ones((30, 40), bool)
    normal, residual_m = normals_from_depth(depth_m, mask, far_K, window_px=3, max_step_m=0.5)
    assert np.degrees(np.linalg.norm(np.cross(normal, truth), axis=-1)).max() < SAME_DEG
    assert residual_m.max() < 1e-8


def test_a_surface_cut_out_of_a_wider_image_keeps_its_normals():
    depth_m, mask = smooth(2)
    wide_K = K + np.array([[0, 0, 9.0], [0, 0, 5.0], [0, 0, 0]])
    found = normals_from_depth(depth_m, mask, K, window_px=7, max_step_m=0.1)
    wide = normals_from_depth(
        np.pad(depth_m, ((5, 2), (9, 4))), np.pad(mask, ((5, 2), (9, 4))), wide_K, window_px=7, max_step_m=0.1
    )
    np.testing.assert_allclose(wide[0][5:-2, 9:-4], found[0], atol=2e-7)
    np.testing.assert_allclose(wide[1][5:-2, 9:-4], found[1], atol=SAME_M)
    assert np.count_nonzero(wide[1]) == np.count_nonzero(found[1])


def test_an_empty_mask_has_no_normals():
    normal, residual_m = normals_from_depth(
        np.full((9, 8), np.nan, np.float32), np.zeros((9, 8), bool), K, window_px=7, max_step_m=0.1
    )
    assert normal.shape == (9, 8, 3) and not normal.any() and not residual_m.any()


@pytest.mark.real_data
@pytest.mark.parametrize("window_px", [7, 15])
def test_box_sums_change_nothing_on_the_released_maps(data_root, window_px):
    capture = open_capture(data_root / "tang2019", "tang2019", None)
    for frame in capture.frames:
        read = capture.read(frame)
        mask = trusted_mask(read.depth_m, erode_px=1, max_from_median_m=1.0)
        found = normals_from_depth(read.depth_m, mask, read.K, window_px=window_px, max_step_m=0.03)
        some = np.random.default_rng(frame).permutation(np.argwhere(mask))[:500]
        assert_same(found, *prepared(read.depth_m, mask, read.K), (window_px // 2, 0.03), some)
