import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.layers import split_base_detail, zero_median
from pipeline.layers_lowrank import DEPTH_ERROR, DEPTH_STEP_ERROR, KNOTS_PER_SIGMA

PAPER = dict(sigma_space_px=75.0, sigma_depth_m=0.10)
SMALL = dict(sigma_space_px=2.0, sigma_depth_m=0.05)
WINDOWS = ["full", 3, 7]
ROUNDING_M = 6e-8  # half a float32 step below 1 m, once for the base and once for the detail

seeds = st.integers(0, 2**32 - 1)
windows = st.sampled_from(WINDOWS)
laws = settings(max_examples=25, deadline=None)


def relief(seed, shape=(13, 16)):
    """A wavy depth map of about +-0.3 m on a grid of 2^-14 m, and a mask with holes."""
    rng = np.random.default_rng(seed)
    v, u = np.indices(shape)
    waves = 0.2 * np.sin(u / 3 + rng.uniform(0, 6)) + 0.1 * np.cos(v / 2) + rng.normal(0, 0.02, shape)
    return (np.rint(waves * 2**14) / 2**14).astype(np.float32), rng.random(shape) < 0.7


def split_by_loop(depth_m, mask, *, sigma_space_px, sigma_depth_m, window_px):
    v, u = np.nonzero(mask)
    depth = depth_m[mask].astype(np.float64)
    base = np.zeros(mask.shape)
    for i in range(depth.size):
        r2 = (u - u[i]) ** 2 + (v - v[i]) ** 2
        w = np.exp(-r2 / (2 * sigma_space_px**2) - (depth - depth[i]) ** 2 / (2 * sigma_depth_m**2))
        if window_px != "full":
            w[r2 > (window_px // 2) ** 2] = 0
        base[v[i], u[i]] = (w * depth).sum() / w.sum()
    return base, np.where(mask, depth_m - base, 0)


# Known answers


@pytest.mark.parametrize("window_px", WINDOWS)
def test_plane_facing_the_camera_has_no_detail(window_px):
    _, mask = relief(0)
    base_m, detail_m = split_base_detail(
        np.full(mask.shape, 0.3, np.float32), mask, **PAPER, window_px=window_px
    )
    assert not detail_m.any()
    np.testing.assert_array_equal(base_m, np.where(mask, np.float32(0.3), 0))


def test_two_pixels_follow_the_closed_form():
    depth_m, mask = np.zeros((5, 9), np.float32), np.zeros((5, 9), bool)
    depth_m[1, 1], depth_m[3, 7] = -0.05, 0.10
    mask[1, 1] = mask[3, 7] = True
    w = np.exp(-(2**2 + 6**2) / (2 * 4.0**2) - 0.15**2 / (2 * 0.1**2))
    base_m, _ = split_base_detail(depth_m, mask, sigma_space_px=4.0, sigma_depth_m=0.1, window_px="full")
    pull_m = 0.15 * w / (1 + w)
    np.testing.assert_allclose(base_m[mask], [-0.05 + pull_m, 0.10 - pull_m], atol=ROUNDING_M)


def test_the_window_is_the_disc_of_its_diameter():
    # With flat weights the base of a 1 mm spike is 1 mm / (pixels in the disc) all over the disc.
    depth_m = np.zeros((21, 21), np.float32)
    depth_m[10, 10] = 1e-3
    base_m, _ = split_base_detail(
        depth_m, np.ones((21, 21), bool), sigma_space_px=1e6, sigma_depth_m=1e3, window_px=15
    )
    v, u = np.indices((21, 21)) - 10
    disc = v**2 + u**2 <= 7**2
    np.testing.assert_array_equal(base_m > 0, disc)
    np.testing.assert_allclose(base_m[10, 10], 1e-3 / disc.sum(), rtol=1e-5)


def test_a_step_far_above_the_depth_sigma_stays_sharp():
    depth_m = np.where(np.arange(20) < 9, -0.5, 0.5).astype(np.float32) * np.ones((8, 1), np.float32)
    _, detail_m = split_base_detail(depth_m, np.ones((8, 20), bool), **PAPER, window_px="full")
    assert np.abs(detail_m).max() < 1e-12  # the other side weighs exp(-50) = 2e-22 a pixel


def test_flat_weights_give_the_mean_of_the_mask():
    depth_m, mask = relief(1)
    base_m, _ = split_base_detail(depth_m, mask, sigma_space_px=1e9, sigma_depth_m=1e9, window_px="full")
    np.testing.assert_allclose(base_m[mask], depth_m[mask].mean(dtype=np.float64), atol=ROUNDING_M)


def test_zero_median_and_median_give_the_depth_back():
    depth_m, mask = relief(2)
    depth_m += 2
    centred_m, median_m = zero_median(depth_m, mask)
    assert median_m == np.float32(median_m) != 0
    step_m = 2.4e-7  # of float32 between 2 and 4 m
    assert abs(np.median(centred_m[mask])) <= step_m
    np.testing.assert_allclose(centred_m[mask] + np.float32(median_m), depth_m[mask], atol=step_m)
    assert not centred_m[~mask].any()


# Laws


@laws
@given(seeds, windows)
def test_base_plus_detail_is_depth_and_zero_outside(seed, window_px):
    depth_m, mask = relief(seed)
    base_m, detail_m = split_base_detail(depth_m, mask, **SMALL, window_px=window_px)
    np.testing.assert_allclose((base_m + detail_m)[mask], depth_m[mask], atol=ROUNDING_M)
    assert not base_m[~mask].any() and not detail_m[~mask].any()
    assert base_m.dtype == detail_m.dtype == np.float32


@laws
@given(seeds, windows)
def test_never_reads_outside_the_mask(seed, window_px):
    depth_m, mask = relief(seed)
    poisoned_m = np.where(mask, depth_m, np.nan).astype(np.float32)
    clean = split_base_detail(depth_m, mask, **SMALL, window_px=window_px)
    np.testing.assert_array_equal(clean, split_base_detail(poisoned_m, mask, **SMALL, window_px=window_px))
    if mask.any():
        np.testing.assert_array_equal(zero_median(depth_m, mask)[0], zero_median(poisoned_m, mask)[0])


@laws
@given(seeds, windows)
def test_holes_do_not_pull_a_plane(seed, window_px):
    # A wide depth kernel, so that only the mask can keep the zeros of the holes out.
    _, mask = relief(seed)
    depth_m = np.where(mask, 2, 0).astype(np.float32)
    _, detail_m = split_base_detail(
        depth_m, mask, sigma_space_px=2.0, sigma_depth_m=10.0, window_px=window_px
    )
    assert not detail_m.any()


@laws
@given(seeds, windows)
def test_commutes_with_transpose_and_mirror(seed, window_px):
    depth_m, mask = relief(seed)
    plain = np.stack(split_base_detail(depth_m, mask, **SMALL, window_px=window_px))
    turned = np.stack(split_base_detail(depth_m.T, mask.T, **SMALL, window_px=window_px))
    mirrored = np.stack(split_base_detail(depth_m[:, ::-1], mask[:, ::-1], **SMALL, window_px=window_px))
    np.testing.assert_allclose(turned.transpose(0, 2, 1), plain, atol=ROUNDING_M)
    np.testing.assert_allclose(mirrored[..., ::-1], plain, atol=ROUNDING_M)


@laws
@given(seeds, windows, st.integers(-2, 2))
def test_moving_the_depth_leaves_the_detail_alone(seed, window_px, metres):
    # Depths are multiples of 2^-14 m: float32 adds whole metres to them exactly, so equal means equal.
    depth_m, mask = relief(seed)
    _, detail_m = split_base_detail(depth_m, mask, **SMALL, window_px=window_px)
    _, moved_m = split_base_detail(depth_m + np.float32(metres), mask, **SMALL, window_px=window_px)
    np.testing.assert_array_equal(moved_m, detail_m)


@laws
@given(seeds, windows, st.tuples(*[st.integers(0, 9)] * 4))
def test_a_wider_image_changes_nothing(seed, window_px, pads):
    depth_m, mask = relief(seed)
    around = (pads[:2], pads[2:])
    base_m, detail_m = split_base_detail(depth_m, mask, **SMALL, window_px=window_px)
    wide = split_base_detail(np.pad(depth_m, around), np.pad(mask, around), **SMALL, window_px=window_px)
    np.testing.assert_array_equal(wide[0], np.pad(base_m, around))
    np.testing.assert_array_equal(wide[1], np.pad(detail_m, around))


@laws
@given(seeds, windows)
def test_base_stays_between_the_smallest_and_largest_depth(seed, window_px):
    depth_m, mask = relief(seed)
    base_m, _ = split_base_detail(depth_m, mask, **PAPER, window_px=window_px)
    if mask.any():
        assert depth_m[mask].min() - ROUNDING_M <= base_m[mask].min()
        assert base_m[mask].max() <= depth_m[mask].max() + ROUNDING_M


@pytest.mark.parametrize("window_px", WINDOWS)
def test_the_number_of_threads_changes_no_bit(window_px):
    depth_m, mask = relief(3, (40, 50))
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = split_base_detail(depth_m, mask, **PAPER, window_px=window_px)
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        many = split_base_detail(depth_m, mask, **PAPER, window_px=window_px)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one, many)


# Other implementations


@laws
@given(seeds, windows, st.sampled_from([PAPER, SMALL]))
def test_agrees_with_a_loop_in_numpy(seed, window_px, sigmas):
    depth_m, mask = relief(seed)
    for ours, theirs in zip(
        split_base_detail(depth_m, mask, **sigmas, window_px=window_px),
        split_by_loop(depth_m, mask, **sigmas, window_px=window_px),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=ROUNDING_M)


@laws
@given(seeds)
def test_a_disc_over_the_whole_image_is_the_full_sum(seed):
    depth_m, mask = relief(seed)
    np.testing.assert_allclose(
        split_base_detail(depth_m, mask, **SMALL, window_px=61),
        split_base_detail(depth_m, mask, **SMALL, window_px="full"),
        atol=ROUNDING_M,
    )


def test_agrees_with_opencv_away_from_the_border():
    # OpenCV has no mask and mirrors the image at its border. It looks weights up in a table: 1e-6 m.
    cv2 = pytest.importorskip("cv2")
    depth_m, _ = relief(4, (60, 70))
    base_m, _ = split_base_detail(depth_m, np.ones(depth_m.shape, bool), **PAPER, window_px=15)
    inner = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(base_m[inner], cv2.bilateralFilter(depth_m, 15, 0.10, 75.0)[inner], atol=1e-6)


def test_knots_err_by_no_more_than_the_bound_of_the_fast_sum_assumes():
    # Weights of a pixel at every fraction between knots against one at every other, up to 7 sigma apart.
    fractions, knots = np.linspace(0, 1, 65), np.arange(-3, 5) / KNOTS_PER_SIGMA
    others = np.delete(np.tile(np.arange(-3.0, 5.0), (8, 1)), range(0, 64, 9)).reshape(8, 7)
    own = np.arange(-3.0, 5.0)[:, None]
    taps = np.prod((fractions[:, None, None] - others) / (own - others), axis=-1)
    for apart in range(7 * KNOTS_PER_SIGMA):
        shift = apart / KNOTS_PER_SIGMA
        step = (fractions[None] - fractions[:, None]) / KNOTS_PER_SIGMA + shift
        between = knots[None] - knots[:, None] + shift
        for power, most in ((0, DEPTH_ERROR), (1, DEPTH_STEP_ERROR)):
            true = step**power * np.exp(-0.5 * step**2)
            found = taps @ (between**power * np.exp(-0.5 * between**2)) @ taps.T
            assert np.abs(found - true).max() <= 0.9 * most  # the rest is for what lies beyond 7 sigma


# Refusals


def test_an_empty_mask_has_no_median_and_an_empty_split():
    depth_m, nothing = np.ones((4, 6), np.float32), np.zeros((4, 6), bool)
    with pytest.raises(ValueError, match=r"mask must have a pixel, is empty \(4 x 6 px\)"):
        zero_median(depth_m, nothing)
    for window_px in WINDOWS:
        assert not np.any(split_base_detail(depth_m, nothing, **PAPER, window_px=window_px))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma_space_px": 0.0}, r"sigma_space_px=0.0 px"),
        ({"sigma_depth_m": float("nan")}, r"sigma_depth_m=nan m"),
        ({"window_px": 14}, r"'full' or an odd diameter from 3 px, is 14"),
        ({"window_px": 1}, r"is 1"),
    ],
)
def test_a_bad_setting_says_what_it_is(change, message):
    depth_m, mask = relief(0)
    with pytest.raises(ValueError, match=message):
        split_base_detail(depth_m, mask, **(PAPER | {"window_px": "full"} | change))


def test_a_mask_of_another_shape_is_refused():
    depth_m, mask = relief(0)
    for call in (
        lambda: zero_median(depth_m, mask.T),
        lambda: split_base_detail(depth_m, mask.T, **PAPER, window_px=3),
    ):
        with pytest.raises(ValueError, match=r"share one shape \(H W\), are \(13, 16\) and \(16, 13\)"):
            call()
