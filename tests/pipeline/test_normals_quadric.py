"""Quadric fits against planes, balls, what a plane makes of them, and the same least squares pixel by pixel."""

from functools import partial

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cameras import pixel_rays
from pipeline.comparison import angle_rad
from pipeline.normals import SIGMA_SHARE, normals_from_depth
from pipeline.normals_quadric_kernels import FLATTER, LANES

SIZE_PX = 64
K = np.array([[90.0, 0, 30.2], [0, 88.0, 33.1], [0, 0, 1]])
RAYS = pixel_rays(K, SIZE_PX, SIZE_PX)
WINDOW = {"window_px": 9, "max_step_m": 0.03}
SHAPE = (20, 2 * LANES + 7)

quadric_normals = partial(normals_from_depth, model="quadric")
laws = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)
windows = st.sampled_from([3, 5, 9])


def plane(normal: np.ndarray, distance_m: float) -> np.ndarray:
    return (distance_m / -(RAYS @ normal)).astype(np.float32)


def ball(radius_m: float = 0.25, distance_m: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Depth and true normals; 0 beside the ball."""
    square = distance_m**2 - (RAYS**2).sum(axis=-1) * (distance_m**2 - radius_m**2)
    depth_m = np.where(square > 0, distance_m - np.sqrt(np.maximum(square, 0)), 0) / (RAYS**2).sum(axis=-1)
    normal = np.where(square[..., None] > 0, (RAYS * depth_m[..., None] - [0, 0, distance_m]) / radius_m, 0)
    return depth_m.astype(np.float32), normal


def rough(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A wavy, noisy surface around 1 m with steps, wider than one group of pixels, and a mask with holes and gaps."""
    rng = np.random.default_rng(seed)
    v, u = np.indices(SHAPE)
    depth_m = (
        1
        + 0.02 * np.sin(u / 3)
        + 0.01 * v / 5
        + rng.normal(0, 0.005, SHAPE)
        + 0.1 * (rng.random(SHAPE) < 0.1)
    )
    mask = rng.random(SHAPE) < 0.7
    mask[: rng.integers(0, 5), rng.integers(0, 30) :] = False
    return depth_m.astype(np.float32), mask


def fit_by_loop(
    depth_m: np.ndarray, mask: np.ndarray, window_px: int, max_step_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """The weighted sums of one pixel after the other, solved by numpy."""
    z_m, radius_px = depth_m.astype(np.float64), window_px // 2
    normal, residual_m = np.zeros((*mask.shape, 3)), np.zeros(mask.shape)
    rows, columns = np.indices(mask.shape)
    for v, u in np.argwhere(mask):
        near = mask & (np.maximum(np.abs(rows - v), np.abs(columns - u)) <= radius_px)
        near &= np.abs(z_m - z_m[v, u]) <= max_step_m
        du, dv, q = columns[near] - u, rows[near] - v, 1 / z_m[near]
        if np.linalg.matrix_rank(np.stack([du, dv])) < 2:
            continue
        weights = np.exp(-(du**2 + dv**2) / (2 * (SIGMA_SHARE * window_px) ** 2))
        x, y = du / radius_px, dv / radius_px
        terms = np.stack([np.ones(len(x)), x, y, x * x, x * y, y * y], axis=1)
        flatter = FLATTER * weights.sum() * np.diag([0, 0, 0, 1, 1, 1])
        fit = np.linalg.solve(terms.T * weights @ terms + flatter, terms.T @ (weights * q))
        ray = np.array([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], 1])
        slope = fit[1:3] / radius_px * [K[0, 0], K[1, 1]]
        out = np.append(slope, fit[0] - slope @ ray[:2])
        normal[v, u] = -out / np.linalg.norm(out)
        square = weights @ (q - terms @ fit) ** 2 + fit @ flatter @ fit
        residual_m[v, u] = np.sqrt(square / weights.sum()) * z_m[v, u] ** 2 * -(normal[v, u] @ ray)
    return normal, residual_m


@pytest.mark.parametrize("tilt", [[0, 0, -1], [0.5, 0, -0.8], [-0.3, 0.6, -0.7]])
def test_plane_is_met_exactly_also_where_the_window_is_cut(tilt):
    true = np.array(tilt) / np.linalg.norm(tilt)
    depth_m, mask = plane(true, 1.2), np.ones((SIZE_PX, SIZE_PX), bool)
    mask[::7, ::5] = mask[20:40, 30] = mask[:, :3] = False
    normal, residual_m = quadric_normals(depth_m, mask, K, window_px=5, max_step_m=1.0)
    # float32 depth steps by 0.12 um over pixels 13 mm apart.
    assert np.degrees(angle_rad(normal[mask], np.broadcast_to(true, normal.shape)[mask])).max() < 0.01
    assert residual_m.max() < 1e-6 and not normal[~mask].any() and not residual_m[~mask].any()


def test_rim_of_a_ball_is_nearer_to_the_truth_than_a_planes():
    depth_m, true = ball()
    mask = depth_m > 0
    errors = {}
    for name, fit in (("plane", normals_from_depth), ("quadric", quadric_normals)):
        normal, _ = fit(depth_m, mask, K, **WINDOW)
        there = normal.any(axis=-1)
        errors[name] = np.degrees(angle_rad(normal[there], true[there]))
        assert there.sum() > 0.98 * mask.sum() and (np.sum(normal * RAYS, axis=-1)[there] < 0).all()
    assert np.median(errors["quadric"]) < 0.3 * np.median(errors["plane"])
    assert errors["quadric"].mean() < 0.6 * errors["plane"].mean()


def test_noise_shows_in_the_residual():
    depth_m = plane(np.array([0, 0, -1.0]), 1.2)
    noisy_m = depth_m + 0.002 * np.random.default_rng(0).normal(size=depth_m.shape).astype(np.float32)
    _, residual_m = quadric_normals(noisy_m, np.ones(depth_m.shape, bool), K, **WINDOW)
    # Of about 30 weights' worth of neighbours six terms take their share.
    assert np.median(residual_m) == pytest.approx(0.002, rel=0.15)


def test_step_and_what_lies_outside_of_the_mask_change_nothing():
    depth_m, _ = ball()
    mask = depth_m > 0
    expected = quadric_normals(depth_m, mask, K, **WINDOW)
    poisoned = np.where(mask, depth_m, np.float32(np.nan))
    far = np.where(mask, depth_m, np.float32(2.5))
    for fits in (
        quadric_normals(poisoned, mask, K, **WINDOW),
        [part * (mask[..., None] if part.ndim == 3 else mask) for part in
         quadric_normals(far, np.ones_like(mask), K, **WINDOW)],
    ):  # fmt: skip
        for got, wanted in zip(fits, expected, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_pixels_of_one_image_line_have_no_normal_and_few_others_a_planes():
    depth_m = plane(np.array([0.3, 0, -0.95]), 1.2)
    for line in (np.s_[10, :], np.s_[:, 10], (np.arange(20), np.arange(20))):
        mask = np.zeros(depth_m.shape, bool)
        mask[line] = True
        assert not quadric_normals(depth_m, mask, K, **WINDOW)[0].any()
    mask = np.zeros(depth_m.shape, bool)
    mask[10, 10] = mask[11, 10] = mask[10, 12] = True
    normal, _ = quadric_normals(depth_m, mask, K, window_px=5, max_step_m=1.0)
    expected = np.array([0.3, 0, -0.95]) / np.hypot(0.3, 0.95)
    assert np.degrees(angle_rad(normal[mask], np.broadcast_to(expected, (3, 3)))).max() < 0.5


def test_empty_mask_and_depth_that_is_none_give_zeros():
    depth_m = plane(np.array([0, 0, -1.0]), 1.0)
    normal, residual_m = quadric_normals(depth_m, np.zeros(depth_m.shape, bool), K, **WINDOW)
    assert not normal.any() and not residual_m.any()
    mask = np.ones(depth_m.shape, bool)
    for none in (0.0, -1.0, np.nan, np.inf):
        holed_m, holes = depth_m.copy(), mask.copy()
        holed_m[30:34, 20:22], holes[30:34, 20:22] = none, False
        for got, wanted in zip(
            quadric_normals(holed_m, mask, K, **WINDOW),
            quadric_normals(depth_m, holes, K, **WINDOW),
            strict=True,
        ):
            np.testing.assert_array_equal(got, wanted)


def test_a_quadric_that_runs_behind_the_camera_gives_no_normal():
    # A dent of 3 px, 20 m deep: the parabola around its middle falls below 1 / z = 0 there.
    depth_m = np.ones((SIZE_PX, SIZE_PX), np.float32)
    depth_m[29:32, 29:32] = 20.0
    normal, residual_m = quadric_normals(depth_m, depth_m > 0, K, window_px=5, max_step_m=50.0)
    assert not normal[30, 30].any() and residual_m[30, 30] == 0
    there = normal.any(axis=-1)
    assert there.sum() > 0.99 * there.size and (np.sum(normal * RAYS, axis=-1)[there] < 0).all()


# Laws


@laws
@given(seeds, windows, st.sampled_from([0.01, 0.03, 1.0]))
def test_agrees_with_a_loop_in_numpy(seed, window_px, max_step_m):
    depth_m, mask = rough(seed)
    normal, residual_m = quadric_normals(depth_m, mask, K, window_px=window_px, max_step_m=max_step_m)
    loop, loop_m = fit_by_loop(depth_m, mask, window_px, max_step_m)
    found = loop.any(axis=-1)
    np.testing.assert_array_equal(normal.any(axis=-1), found)
    # The float32 of the answer leaves 6e-8 an axis.
    np.testing.assert_allclose(normal, loop, atol=2e-7)
    np.testing.assert_allclose(residual_m, loop_m, atol=1e-8)


@laws
@given(seeds, windows)
def test_normals_are_unit_and_face_the_camera(seed, window_px):
    depth_m, mask = rough(seed)
    normal, residual_m = quadric_normals(depth_m, mask, K, window_px=window_px, max_step_m=0.03)
    found = normal.any(axis=-1)
    np.testing.assert_allclose(np.linalg.norm(normal[found], axis=-1), 1, atol=2e-7)
    assert ((normal * pixel_rays(K, *SHAPE)).sum(axis=-1)[found] < 0).all()
    assert not found[~mask].any() and not residual_m[~found].any()
    assert normal.dtype == residual_m.dtype == np.float32


@laws
@given(seeds, windows, st.integers(1, LANES), st.integers(1, 5))
def test_a_surface_in_a_wider_image_keeps_its_normals(seed, window_px, aside_px, below_px):
    depth_m, mask = rough(seed)
    step = {"window_px": window_px, "max_step_m": 0.03}
    found = quadric_normals(depth_m, mask, K, **step)
    wide_m, wide_mask = (np.pad(part, ((below_px, 2), (aside_px, 9))) for part in (depth_m, mask))
    # Two far pixels widen what is looked at, so that rows begin elsewhere; nobody's neighbours.
    wide_m[[0, -1], [0, -1]], wide_mask[[0, -1], [0, -1]] = 5.0, True
    wide_K = K + np.array([[0, 0, aside_px], [0, 0, below_px], [0, 0, 0]])
    wide = quadric_normals(wide_m, wide_mask, wide_K, **step)
    inner = slice(below_px, below_px + SHAPE[0]), slice(aside_px, aside_px + SHAPE[1])
    np.testing.assert_allclose(wide[0][inner], found[0], atol=2e-7)
    np.testing.assert_allclose(wide[1][inner], found[1], atol=1e-8)


def test_the_number_of_threads_changes_no_bit():
    depth_m, mask = rough(3)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = quadric_normals(depth_m, mask, K, **WINDOW)
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        many = quadric_normals(depth_m, mask, K, **WINDOW)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one[0], many[0])
    np.testing.assert_array_equal(one[1], many[1])
