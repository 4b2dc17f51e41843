import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cameras import (
    backproject,
    crop_intrinsics,
    crop_resize,
    depth_from_range,
    intrinsics_problem,
    invert_rigid,
    pixel_rays,
    project,
    range_from_depth,
    rigid_error,
    transform,
)

K = np.array([[60.0, 0, 22.4], [0, 58.0, 14.7], [0, 0, 1]])
HEIGHT, WIDTH = 30, 46

seeds = st.integers(0, 2**32 - 1)
boxes = st.tuples(st.floats(-20, 40), st.floats(-20, 30), st.floats(4, 80))
laws = settings(max_examples=40, deadline=None)


def random_rigid(seed):
    rng = np.random.default_rng(seed)
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.sign(np.linalg.det(q))
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = q, rng.normal(0, 3, 3)
    return out


def images(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(1, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        "depth_m": rng.uniform(1, 3, (HEIGHT, WIDTH)).astype(np.float32),
        "mask": rng.random((HEIGHT, WIDTH)) < 0.5,
        "part": rng.integers(1, 25, (HEIGHT, WIDTH), dtype=np.uint8),
    }


# Rays and pixels


def test_a_ray_through_the_principal_point_runs_along_z():
    whole = np.array([[60.0, 0, 22], [0, 58, 14], [0, 0, 1]])
    rays = pixel_rays(whole, HEIGHT, WIDTH)
    np.testing.assert_allclose(rays[14, 22], [0, 0, 1], atol=1e-15)
    np.testing.assert_allclose(rays[28, 10], [-12 / 60, 14 / 58, 1])


def test_x_runs_right_and_y_runs_down():
    points = backproject(np.full((HEIGHT, WIDTH), 2.0), K)
    assert (np.diff(points[..., 0], axis=1) > 0).all() and (np.diff(points[..., 1], axis=0) > 0).all()
    assert (points[..., 2] == 2).all()


@laws
@given(seeds)
def test_projecting_a_backprojected_pixel_gives_the_pixel(seed):
    depth_m = np.random.default_rng(seed).uniform(0.3, 9, (HEIGHT, WIDTH))
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    pixels = project(backproject(depth_m, K), K)
    np.testing.assert_allclose(pixels, np.stack([u, v], axis=-1), atol=1e-12)


def test_an_invalid_pixel_backprojects_to_the_origin():
    assert not backproject(np.zeros((3, 4), np.float32), K).any()


@laws
@given(seeds)
def test_depth_and_range_invert_each_other(seed):
    depth_m = np.random.default_rng(seed).uniform(0.3, 9, (HEIGHT, WIDTH))
    range_m = range_from_depth(depth_m, K)
    np.testing.assert_allclose(range_m, np.linalg.norm(backproject(depth_m, K), axis=-1), rtol=1e-14)
    np.testing.assert_allclose(depth_from_range(range_m, K), depth_m, rtol=1e-14)
    assert (range_m >= depth_m).all()


# Rigid transforms


@laws
@given(seeds, seeds)
def test_inverse_undoes_reverses_and_agrees_with_the_general_inverse(seed_a, seed_b):
    a, b = random_rigid(seed_a), random_rigid(seed_b)
    np.testing.assert_allclose(invert_rigid(a) @ a, np.eye(4), atol=1e-14)
    np.testing.assert_allclose(invert_rigid(a), np.linalg.inv(a), atol=1e-12)
    np.testing.assert_allclose(invert_rigid(a @ b), invert_rigid(b) @ invert_rigid(a), atol=1e-13)
    np.testing.assert_array_equal(invert_rigid(np.stack([a, b])), [invert_rigid(a), invert_rigid(b)])


@laws
@given(seeds)
def test_transform_there_and_back_and_keeps_distances(seed):
    world_from_cam = random_rigid(seed)
    points_cam = np.random.default_rng(seed).normal(0, 2, (4, 5, 3))
    points_world = transform(world_from_cam, points_cam)
    np.testing.assert_allclose(transform(invert_rigid(world_from_cam), points_world), points_cam, atol=1e-13)
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(points_world, axis=0), axis=-1),
        np.linalg.norm(np.diff(points_cam, axis=0), axis=-1),
        atol=1e-13,
    )
    np.testing.assert_allclose(transform(world_from_cam, np.zeros(3)), world_from_cam[:3, 3])


def test_rigid_error_tells_what_is_not_rigid():
    rigid = random_rigid(5)
    assert rigid_error(rigid) < 1e-14
    scaled = rigid.copy()
    scaled[:3, :3] *= 1.01
    assert rigid_error(scaled) == pytest.approx(1.01**2 - 1)
    sheared = rigid @ np.array([[1, 0.01, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    assert rigid_error(sheared) == pytest.approx(0.01)
    projective = rigid.copy()
    projective[3, 0] = 0.25
    assert rigid_error(projective) == 0.25
    for broken in (rigid @ np.diag([1.0, 1, -1, 1]), np.full((4, 4), np.nan), rigid[:3], np.zeros((4, 4))):
        assert rigid_error(broken) == float("inf")


# Intrinsics


def test_a_sound_K_has_no_problem():
    assert intrinsics_problem(K, HEIGHT, WIDTH) is None
    kinect2 = np.array([[365.5, 0, 254.9], [0, 365.5, 205.4], [0, 0, 1]])
    assert intrinsics_problem(kinect2, 424, 512) is None


@pytest.mark.parametrize(
    ("entry", "value", "clause"),
    [
        ((0, 0), np.nan, "finite"),
        ((0, 1), 0.5, "zero skew"),
        ((1, 0), 0.5, "zero skew"),
        ((2, 2), 2.0, "last row 0 0 1"),
        ((0, 2), 46.0, "principal point (46.0, 14.7) px lies outside the 46x30 px image"),
        ((1, 2), -1.0, "principal point (22.4, -1.0) px"),
        ((0, 0), 1000.0, "1000.0 px gives a horizontal field of view of 2.6 deg over 46 px"),
        ((1, 1), 1.0, "1.0 px gives a vertical field of view of 172.4 deg over 30 px"),
        ((0, 0), -60.0, "horizontal field of view"),
        ((0, 0), 0.0, "horizontal field of view of 180.0 deg"),
    ],
)
def test_a_broken_K_is_named(entry, value, clause):
    broken = K.copy()
    broken[entry] = value
    problem = intrinsics_problem(broken, HEIGHT, WIDTH)
    assert problem is not None
    assert clause in problem


def test_a_K_of_another_shape_is_named():
    assert "3x3" in str(intrinsics_problem(np.eye(4), HEIGHT, WIDTH))


# Crop and resize


def test_the_identity_crop_is_the_identity():
    square = {name: array[:, :HEIGHT] for name, array in images().items()}
    cropped, cropped_K = crop_resize(square, K, (0, 0, HEIGHT), HEIGHT)
    for name, array in square.items():
        np.testing.assert_array_equal(cropped[name], array, err_msg=name)
        assert cropped[name].dtype == array.dtype
    np.testing.assert_array_equal(cropped_K, K)


def test_a_whole_pixel_crop_is_a_slice_and_zero_outside():
    source = images()
    cropped, cropped_K = crop_resize(source, K, (30, -5, 24), 24)
    for name, array in source.items():
        expected = np.zeros((24, 24, *array.shape[2:]), array.dtype)
        expected[5:, :16] = array[:19, 30:]
        np.testing.assert_array_equal(cropped[name], expected, err_msg=name)
    np.testing.assert_allclose(cropped_K[:2, 2], K[:2, 2] - [30, -5])


@laws
@given(boxes, st.integers(3, 60), seeds)
def test_a_point_projects_where_the_crop_of_its_pixel_says(box_px, size_px, seed):
    point = np.random.default_rng(seed).uniform([-0.5, -0.5, 1], [0.5, 0.5, 3])
    u0, v0, side = box_px
    before = project(point, K)
    # In edge coordinates (centre + 0.5) a crop is a shift and a scale and nothing else.
    expected = (before + 0.5 - [u0, v0]) * size_px / side - 0.5
    np.testing.assert_allclose(project(point, crop_intrinsics(K, box_px, size_px)), expected, atol=1e-9)


@laws
@given(boxes, st.integers(3, 60))
def test_crops_compose(box_px, size_px):
    twice = crop_intrinsics(crop_intrinsics(K, box_px, size_px), (1.5, -2.0, 7.0), 16)
    unit_px = box_px[2] / size_px
    inner = (box_px[0] + 1.5 * unit_px, box_px[1] - 2.0 * unit_px, 7.0 * unit_px)
    np.testing.assert_allclose(twice, crop_intrinsics(K, inner, 16), rtol=1e-12, atol=1e-9)


@laws
@given(boxes, st.integers(3, 60), seeds)
def test_depth_and_mask_take_the_pixel_that_the_cameras_agree_on(box_px, size_px, seed):
    source = images(seed)
    cropped, cropped_K = crop_resize(source, K, box_px, size_px)
    # Back out through the new camera, in through the old one: no use of the crop's own arithmetic.
    pixels = project(pixel_rays(cropped_K, size_px, size_px), K)
    u, v = np.rint(pixels[..., 0]).astype(int), np.rint(pixels[..., 1]).astype(int)
    inside = (u >= 0) & (u < WIDTH) & (v >= 0) & (v < HEIGHT)
    off_edge = (np.abs(pixels - np.rint(pixels)) < 0.5 - 1e-9).all(axis=-1)
    for name in ("depth_m", "mask", "part"):
        expected = np.where(inside, source[name][v.clip(0, HEIGHT - 1), u.clip(0, WIDTH - 1)], 0)
        np.testing.assert_array_equal(cropped[name][off_edge], expected[off_edge], err_msg=name)
    black = (cropped["image"] == 0).all(axis=-1)  # the source has no 0
    np.testing.assert_array_equal(black[off_edge], ~inside[off_edge])


def centroid_px(array):
    weight = (array if array.ndim == 2 else array[..., 0]).astype(np.float64)
    v, u = np.indices(weight.shape)
    return np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum()


@pytest.mark.parametrize(
    ("box_px", "size_px"),
    [((4.6, 0.9, 24.0), 72), ((5.0, 1.0, 24.0), 24), ((4.6, 0.9, 40.0), 17), ((4.6, 0.9, 33.3), 64)],
)
def test_a_bump_lands_where_its_point_projects_in_image_depth_and_mask(box_px, size_px):
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    bump = np.exp(-((u - 18.3) ** 2 + (v - 13.8) ** 2) / (2 * 2.0**2))
    source = {
        "image": np.rint(250 * bump)[..., None].repeat(3, axis=-1).astype(np.uint8),
        "depth_m": bump.astype(np.float32),
        "mask": bump > 0.05,
    }
    cropped, cropped_K = crop_resize(source, K, box_px, size_px)
    for name, array in cropped.items():
        ray = np.linalg.inv(K) @ [*centroid_px(source[name]), 1]
        # Half a pixel lost would be 0.5 px of the finer grid; sampling by nearest pixel stays below 0.15.
        atol = 0.15 * max(1, size_px / box_px[2])
        np.testing.assert_allclose(centroid_px(array), project(ray, cropped_K), atol=atol, err_msg=name)


def test_growing_an_image_keeps_its_brightness_up_to_the_border():
    white = {"image": np.full((12, 12, 3), 200, np.uint8)}
    cropped, _ = crop_resize(white, K, (0, 0, 12), 60)
    assert (cropped["image"] == 200).all()


def test_shrinking_an_image_averages_it():
    stripes = np.zeros((48, 48, 3), np.uint8)
    stripes[:, ::2] = 200
    cropped, _ = crop_resize({"image": stripes}, K, (0, 0, 48), 16)
    # Every third pixel alone would be 0 or 200 in turn; a Gaussian of that footprint leaves nothing of 2 px.
    np.testing.assert_allclose(cropped["image"][:, 1:-1].astype(float), 100, atol=2)


def test_a_crop_beyond_the_image_is_all_zero():
    cropped, _ = crop_resize(images(), K, (200, 200, 20), 8)
    assert not any(array.any() for array in cropped.values())
