import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cameras import backproject, pixel_rays
from pipeline.normals import normals_from_depth

K = np.array([[150.0, 0, 11.3], [0, 140.0, 8.6], [0, 0, 1]])
SHAPE = (18, 24)
PAPER = dict(window_px=7, max_step_m=0.03)

seeds = st.integers(0, 2**32 - 1)
windows = st.sampled_from([3, 5, 7])
laws = settings(max_examples=25, deadline=None)


def plane_depth(normal, distance_m, K=K, shape=SHAPE):
    """z of the plane normal . p = -distance_m, and the unit normal; both float64."""
    unit = np.asarray(normal, np.float64) / np.linalg.norm(normal)
    return -distance_m / (pixel_rays(K, *shape) @ unit), unit


def angles_deg(normal, truth):
    """By atan2: arccos could not tell 0 from 0.01 deg in float32."""
    normal, truth = np.broadcast_arrays(np.asarray(normal, np.float64), truth)
    sine = np.linalg.norm(np.cross(normal, truth), axis=-1)
    return np.degrees(np.arctan2(sine, (normal * truth).sum(axis=-1)))


def bumps(seed):
    """A rough surface with steps around 1 m, and a mask with holes."""
    rng = np.random.default_rng(seed)
    v, u = np.indices(SHAPE)
    depth_m = 1 + 0.02 * np.sin(u / 3) + 0.01 * v / 5 + rng.normal(0, 0.005, SHAPE)
    depth_m += 0.1 * (rng.random(SHAPE) < 0.1)
    return depth_m.astype(np.float32), rng.random(SHAPE) < 0.6


def fit_by_loop(depth_m, mask, *, window_px, max_step_m):
    """z = a x + b y + c by numpy.linalg.lstsq; a pixel without three neighbours off one line has none."""
    points, radius = backproject(depth_m, K), window_px // 2
    normal, residual_m = np.zeros((*mask.shape, 3)), np.zeros(mask.shape)
    rows, columns = np.indices(mask.shape)
    for v, u in np.argwhere(mask):
        near = mask & (np.abs(rows - v) <= radius) & (np.abs(columns - u) <= radius)
        near &= np.abs(depth_m.astype(np.float64) - depth_m[v, u]) <= max_step_m
        offsets = np.stack([rows[near] - v, columns[near] - u])
        if np.linalg.matrix_rank(offsets) < 2:
            continue
        x, y, z = (points[near] - points[near].mean(axis=0)).T
        a, b = np.linalg.lstsq(np.stack([x, y], axis=1), z, rcond=None)[0]
        out = np.array([a, b, -1]) / np.sqrt(a * a + b * b + 1)
        normal[v, u] = -out if out @ points[v, u] > 0 else out
        residual_m[v, u] = np.sqrt(np.mean((np.stack([x, y, z], axis=1) @ out) ** 2))
    return normal, residual_m


# Known answers


@laws
@given(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2), st.floats(0.5, 0.9), st.sampled_from([5, 7]), seeds)
def test_normals_of_a_plane_are_exact(slope_x, slope_y, distance_m, window_px, seed):
    # Holes in the mask hold 0, so a plane also shows that they do not pull. Tilts up to 60 deg.
    exact_m, truth = plane_depth([slope_x, slope_y, -1], distance_m)
    mask = np.random.default_rng(seed).random(SHAPE) < 0.8
    depth_m = np.where(mask, exact_m, 0)
    normal, residual_m = normals_from_depth(depth_m, mask, K, window_px=window_px, max_step_m=0.3)
    found = normal.any(axis=-1)
    assert found.sum() > 0.9 * mask.sum() and not found[~mask].any()
    # Depth in float64 leaves the float32 of the answer: 6e-8 rad = 3.4e-6 deg an axis.
    assert angles_deg(normal[found], truth).max() < 1e-5
    assert residual_m.max() < 1e-8


def test_float32_depth_costs_a_plane_no_more_than_its_rounding():
    exact_m, truth = plane_depth([0.3, -0.2, -1], 0.6)
    normal, residual_m = normals_from_depth(
        exact_m.astype(np.float32), np.ones(SHAPE, bool), K, window_px=7, max_step_m=0.3
    )
    # Rounding of 3e-8 m over 49 points at a pitch of 4 mm tilts by some 5e-7 rad = 3e-5 deg.
    assert angles_deg(normal, truth)[3:-3, 3:-3].max() < 1e-4
    assert residual_m.max() < 3e-8


def sphere(radius_m=0.35, centre_m=1.5, focal_px=500.0, size_px=96):
    """Exact depth (0 off the sphere), true normals and K of a sphere straight ahead."""
    centre_px = (size_px - 1) / 2
    K = np.array([[focal_px, 0, centre_px], [0, focal_px, centre_px], [0, 0, 1]])
    rays = pixel_rays(K, size_px, size_px)
    a, b = (rays**2).sum(axis=-1), rays[..., 2] * centre_m
    square = b**2 - a * (centre_m**2 - radius_m**2)
    depth_m = np.where(square > 0, (b - np.sqrt(np.maximum(square, 0))) / a, 0)
    truth = (rays * depth_m[..., None] - [0, 0, centre_m]) / radius_m
    return depth_m, truth, K


def test_normals_of_a_sphere_are_radial():
    depth_m, truth, K = sphere()
    normal, residual_m = normals_from_depth(depth_m.astype(np.float32), depth_m > 0, K, **PAPER)
    inner = slice(3, -3), slice(3, -3)
    # The window reaches w radii to each side. Of a quadric the tilt is exact; the third order is about w^2.
    w = 3 * 1.2 / 500 / 0.35
    assert angles_deg(normal, truth)[inner].max() < np.degrees(w**2)
    # Facing the camera the sphere sags by r^2 / 2R; its deviation over a 7 x 7 grid of pitch p is
    # p^2 / 2R * sqrt(2 (k^2 - 1)(k^2 - 4) / 180) for k = 7.
    pitch_m = 1.15 / 500
    sag_m = pitch_m**2 / 0.7 * np.sqrt(2 * 48 * 45 / 180)
    np.testing.assert_allclose(residual_m[47:49, 47:49], sag_m, rtol=0.02)


def test_points_across_a_step_are_left_out():
    # Two walls facing the camera, 31 mm apart: normals stay straight up to the edge; at 29 mm they do not.
    for gap_m, straight in ((0.031, True), (0.029, False)):
        depth_m = np.where(np.arange(24) < 12, 1.0, 1.0 + gap_m) * np.ones((18, 1))
        normal, _ = normals_from_depth(depth_m, np.ones(SHAPE, bool), K, **PAPER)
        tilt_deg = angles_deg(normal, [0, 0, -1])
        assert (tilt_deg[:, 10:14] < 1e-4).all() == straight
        assert (tilt_deg[:, :9] < 1e-4).all()


@pytest.mark.parametrize("step", [(0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (2, -1), (1, 3)])
def test_pixels_on_one_line_give_no_normal(step):
    # A rough depth makes their points span a plane through the camera centre, which is no surface.
    depth_m, _ = bumps(0)
    mask = np.zeros(SHAPE, bool)
    for k in range(-4, 5):
        v, u = 9 + k * step[0], 12 + k * step[1]
        if 0 <= v < 18 and 0 <= u < 24:
            mask[v, u] = True
    normal, residual_m = normals_from_depth(depth_m, mask, K, window_px=7, max_step_m=1.0)
    assert not normal.any() and not residual_m.any()


def test_three_pixels_off_a_line_give_their_plane_and_two_give_none():
    exact_m, truth = plane_depth([0.4, 0.1, -1], 0.8)
    mask = np.zeros(SHAPE, bool)
    mask[4, 5] = mask[4, 6] = True
    assert not normals_from_depth(exact_m, mask, K, **PAPER)[0].any()
    mask[5, 5] = True
    normal, residual_m = normals_from_depth(exact_m, mask, K, **PAPER)
    assert angles_deg(normal[mask], truth).max() < 1e-4
    assert residual_m.max() < 1e-9
    assert not normal[~mask].any()


def test_residual_is_the_distance_from_the_plane():
    # Four pixels 1 mm before and behind a plane in turn: no slope fits, and all are 1 mm off.
    depth_m = np.ones(SHAPE) + 1e-3 * np.where(np.indices(SHAPE).sum(axis=0) % 2, 1, -1)
    mask = np.zeros(SHAPE, bool)
    mask[8:10, 11:13] = True
    _, residual_m = normals_from_depth(depth_m, mask, K, window_px=3, max_step_m=0.03)
    np.testing.assert_allclose(residual_m[mask], 1e-3, rtol=1e-3)


def test_a_wall_along_the_optical_axis_is_finite_and_never_wrong():
    wide_K = np.array([[500.0, 0, -400.0], [0, 500.0, 9.0], [0, 0, 1]])
    exact_m, truth = plane_depth([-1, 0, 0], 0.8, wide_K)
    for depth_m in (exact_m, exact_m.astype(np.float32)):
        normal, residual_m = normals_from_depth(depth_m, np.ones(SHAPE, bool), wide_K, **PAPER)
        found = normal.any(axis=-1)
        assert np.isfinite(normal).all() and np.isfinite(residual_m).all()
        # x is constant but for the rounding of z: 1e-7 m over a pitch of 1e-3 m leaves some 1e-4 rad.
        assert angles_deg(normal[found], truth).max(initial=0) < 0.1


def test_points_whose_x_and_y_lie_on_a_line_give_no_normal():
    # On the plane x + y = 3, which runs along the optical axis; every number here is exact in binary.
    unit_K = np.diag([4.0, 4.0, 1.0])
    depth_m, mask = np.zeros((5, 5)), np.zeros((5, 5), bool)
    for v, u, z in ((1, 2, 4.0), (2, 1, 4.0), (2, 2, 3.0), (3, 3, 2.0)):
        depth_m[v, u], mask[v, u] = z, True
    normal, residual_m = normals_from_depth(depth_m, mask, unit_K, window_px=5, max_step_m=2.0)
    assert not normal.any() and not residual_m.any()


# Laws


@laws
@given(seeds, windows)
def test_normals_are_unit_and_face_the_camera(seed, window_px):
    depth_m, mask = bumps(seed)
    normal, residual_m = normals_from_depth(depth_m, mask, K, window_px=window_px, max_step_m=0.03)
    found = normal.any(axis=-1)
    np.testing.assert_allclose(np.linalg.norm(normal[found], axis=-1), 1, atol=2e-7)  # three float32
    assert ((normal * backproject(depth_m, K)).sum(axis=-1)[found] < 0).all()
    assert not found[~mask].any() and not residual_m[~found].any()
    assert normal.dtype == residual_m.dtype == np.float32


@laws
@given(seeds, windows)
def test_never_reads_outside_the_mask(seed, window_px):
    depth_m, mask = bumps(seed)
    poisoned_m = np.where(mask, depth_m, np.nan).astype(np.float32)
    for clean, poisoned in zip(
        normals_from_depth(depth_m, mask, K, window_px=window_px, max_step_m=0.03),
        normals_from_depth(poisoned_m, mask, K, window_px=window_px, max_step_m=0.03),
        strict=True,
    ):
        np.testing.assert_array_equal(clean, poisoned)


@laws
@given(seeds, windows)
def test_commutes_with_transpose(seed, window_px):
    depth_m, mask = bumps(seed)
    swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    plain = normals_from_depth(depth_m, mask, K, window_px=window_px, max_step_m=0.03)
    turned = normals_from_depth(depth_m.T, mask.T, swap @ K @ swap, window_px=window_px, max_step_m=0.03)
    np.testing.assert_allclose(turned[0].transpose(1, 0, 2) @ swap, plain[0], atol=1e-6)
    np.testing.assert_allclose(turned[1].T, plain[1], atol=1e-8)


@laws
@given(seeds, windows)
def test_a_world_twice_as_large_has_the_same_normals(seed, window_px):
    depth_m, mask = bumps(seed)
    normal, residual_m = normals_from_depth(depth_m, mask, K, window_px=window_px, max_step_m=0.03)
    double, double_m = normals_from_depth(2 * depth_m, mask, K, window_px=window_px, max_step_m=0.06)
    np.testing.assert_array_equal(double, normal)  # a power of two rounds nothing
    np.testing.assert_array_equal(double_m, 2 * residual_m)


def test_the_number_of_threads_changes_no_bit():
    depth_m, mask = bumps(3)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = normals_from_depth(depth_m, mask, K, **PAPER)
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        many = normals_from_depth(depth_m, mask, K, **PAPER)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one[0], many[0])
    np.testing.assert_array_equal(one[1], many[1])


# Other implementations


@laws
@given(seeds, windows, st.sampled_from([0.01, 0.03, 1.0]))
def test_agrees_with_a_loop_in_numpy(seed, window_px, max_step_m):
    depth_m, mask = bumps(seed)
    normal, residual_m = normals_from_depth(depth_m, mask, K, window_px=window_px, max_step_m=max_step_m)
    loop, loop_m = fit_by_loop(depth_m, mask, window_px=window_px, max_step_m=max_step_m)
    np.testing.assert_array_equal(normal.any(axis=-1), loop.any(axis=-1))
    found = loop.any(axis=-1)
    assert angles_deg(normal[found], loop[found]).max(initial=0) < 1e-4
    np.testing.assert_allclose(residual_m, loop_m, atol=1e-8)


@pytest.mark.slow
def test_agrees_with_open3d_on_a_smooth_surface():
    open3d = pytest.importorskip("open3d")
    depth_m, _, K = sphere()
    normal, _ = normals_from_depth(depth_m, depth_m > 0, K, **PAPER)
    points = backproject(depth_m, K).reshape(-1, 3)
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    cloud.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(49))
    theirs = np.asarray(cloud.normals).reshape(*depth_m.shape, 3)
    theirs = theirs * -np.sign((theirs * points.reshape(*depth_m.shape, 3)).sum(axis=-1, keepdims=True))
    # The 49 nearest are a disc of 4 px whose last ring is not full: one point missing on one side, 0.12 mm
    # below the plane and 9 mm out, tilts the fit by 0.06 deg.
    assert angles_deg(normal, theirs)[5:-5, 5:-5].max() < 0.12


# Refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window_px": 6}, r"window_px must be odd and at least 3, is 6"),
        ({"window_px": 1}, r"is 1"),
        ({"max_step_m": 0.0}, r"max_step_m must be positive, is 0.0 m"),
    ],
)
def test_a_bad_setting_says_what_it_is(change, message):
    depth_m, mask = bumps(0)
    with pytest.raises(ValueError, match=message):
        normals_from_depth(depth_m, mask, K, **(PAPER | change))


def test_a_mask_of_another_shape_is_refused():
    depth_m, mask = bumps(0)
    with pytest.raises(ValueError, match=r"share one shape, are \(18, 24\) and \(24, 18\)"):
        normals_from_depth(depth_m, mask.T, K, **PAPER)
