"""Augmented samples are true ones: of the mirrored person, or of another lens."""

import multiprocessing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pipeline.bodies.joints import COCO17
from pipeline.bodies.model import default_body
from pipeline.cameras import backproject, project, transform
from pipeline.fields import FIELDS
from pipeline.simulation.label_view import bare_figure, label_view
from pipeline.voxels.grids import points_from_vox
from pipeline.voxels.packing import pack, unpack
from training.augment import (
    COARSE_PARTNERS,
    KINDS,
    PICTURES,
    Augmentation,
    apply_gain,
    augment,
    flip,
    scale,
)

SIZE = 32
# A camera whose principal point lies off the centre, so that a wrong cx shows.
K = np.array([[40.0, 0, 13.5], [0, 42.0, 17.25], [0, 0, 1]])
PLANE = np.array([0.3, -0.2, -0.9])  # its normal; not symmetric in anything
ALL = Augmentation(flip=0.5, scale=(0.8, 1.25), gain=(0.6, 1.4))


def sample() -> dict:
    """A slanted plane at 2 m seen through a lopsided mask."""
    normal = PLANE / np.linalg.norm(PLANE)
    rays = backproject(np.ones((SIZE, SIZE)), K)
    depth_m = (2 * normal[2]) / (rays @ normal)
    v, u = np.mgrid[:SIZE, :SIZE]
    mask = (u > 4) & (u < 25) & (v > 6) & (u + v < 44)
    image = np.stack([7 * u, 3 * v, u + v], axis=-1).astype(np.uint8)
    pose = np.eye(4)
    pose[:3, :3] = [[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]]
    pose[:3, 3] = 1, 2, 3
    shown_m = np.where(mask, depth_m, 0).astype(np.float32)
    return {
        "capture": "ann-left-1",
        "image": image,
        "mask": mask,
        "depth_m": shown_m,
        "depth_median_m": np.float32(2),
        "base_m": np.where(mask, shown_m - 2, 0).astype(np.float32),
        "normal": np.where(mask[..., None], normal, 0).astype(np.float32),
        "K": K,
        "world_from_cam": pose,
    }


def assert_same(a: dict, b: dict) -> None:
    assert list(a) == list(b)
    for name in a:
        assert np.asarray(a[name]).dtype == np.asarray(b[name]).dtype, name
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def cloud(of: dict) -> np.ndarray:
    return backproject(of["depth_m"].astype(np.float64), of["K"])[of["mask"]]


def by_columns(points: np.ndarray) -> np.ndarray:
    return points[np.lexsort(points.round(9).T)]


def test_every_shard_field_says_how_it_flips():
    # The checksums of rows are of what is stored; no model reads them.
    assert set(KINDS) == {name for name, field in FIELDS.items() if field.shard} - {"row_crc32"}
    pictures = {name for name in KINDS if FIELDS[name].shape.startswith("H W")}
    foreign = {name for name, kind in KINDS.items() if kind == "foreign"}
    assert pictures - foreign == {name for name, kind in KINDS.items() if kind in PICTURES}


def test_field_without_a_kind_is_refused():
    with pytest.raises(ValueError, match="'joints' must have a kind"):
        flip({**sample(), "joints": np.zeros((24, 3))})


@pytest.fixture(scope="module")
def body_sample():
    """A lopsided pose with labels, joints and parameters, seen from aside."""
    return seen_body(LOPSIDED_RAD, np.array([0.3, 1.0, 0.1]), np.array([0.5, 1.0, 2.6]), K=BODY_K)


LOPSIDED_RAD = np.random.default_rng(3).normal(scale=0.25, size=(24, 3))
BODY_K = np.array([[150.0, 0, 80.0], [0, 150.0, 60.0], [0, 0, 1]])


def seen_body(pose_rad, transl_m, camera_m, *, K):
    figure = bare_figure(default_body(), pose_rad, np.array([1.0, -0.5]), transl_m)
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3], world_from_cam[:3, 3] = np.diag([1.0, -1, -1]), camera_m
    return {
        **label_view(figure, K, world_from_cam, size_px=128)[1],
        "K": K,
        "world_from_cam": world_from_cam,
        "body_pose_rad": pose_rad,
        "body_transl_m": transl_m,
    }


def test_flipped_labels_and_joints_are_those_of_the_mirrored_body_before_the_mirrored_camera(body_sample):
    mirror = np.array([-1, 1, 1])
    flipped = flip(body_sample)
    centre = BODY_K.copy()
    centre[0, 2] = 127 - BODY_K[0, 2]
    camera_m = body_sample["world_from_cam"][:3, 3] * mirror
    seen = seen_body(flipped["body_pose_rad"], flipped["body_transl_m"], camera_m, K=centre)
    assert 1000 < np.count_nonzero(seen["mask"]) < 0.5 * seen["mask"].size
    np.testing.assert_array_equal(flipped["world_from_cam"], seen["world_from_cam"])
    # The body is its own mirror image to 0.4 mm, a twentieth of a pixel.
    for name in ("joints_smpl24_cam_m", "joints_tang16_cam_m"):
        np.testing.assert_allclose(flipped[name], seen[name], atol=1e-3)
    np.testing.assert_allclose(flipped["joints_tang16_px"], seen["joints_tang16_px"], atol=0.1)
    for name in ("mask", "part14", "part24", "surface_part"):
        assert (flipped[name] != seen[name]).mean() < 0.002, name
    same = flipped["surface_part"] == seen["surface_part"]
    off = np.abs(flipped["surface_uv"] - seen["surface_uv"])[same]
    assert np.quantile(off, 0.99) < 0.01


def test_flipping_a_body_twice_is_identity(body_sample):
    again, original = flip(flip(body_sample)), dict(body_sample)
    for name, atol in (("surface_uv", 1e-6), ("joints_tang16_px", 1e-4)):  # subtracted in float32
        np.testing.assert_allclose(again.pop(name), original.pop(name), atol=atol)
    assert_same(again, original)


@pytest.mark.parametrize("change", [flip, lambda each: scale(each, 1.3), lambda each: scale(each, 0.8)])
def test_joints_stay_where_the_camera_sees_them(body_sample, change):
    changed = change(body_sample)
    pixels = project(changed["joints_tang16_cam_m"].astype(np.float64), changed["K"])
    np.testing.assert_allclose(changed["joints_tang16_px"], pixels, atol=1e-3)
    assert changed["part14"].dtype == np.uint8 and set(np.unique(changed["part14"])) <= set(range(15))
    with pytest.raises(ValueError, match="joints_tang16_px must come with a picture"):
        change({"joints_tang16_px": body_sample["joints_tang16_px"]})


def test_flipping_twice_is_identity():
    original = sample()
    assert_same(flip(flip(original)), original)
    assert (flip(original)["image"] != original["image"]).any()


def test_flipped_point_cloud_is_the_mirrored_one():
    mirrored = cloud(sample()) * [-1, 1, 1]
    # Exact but for the last bits of (u - cx) / f.
    np.testing.assert_allclose(by_columns(cloud(flip(sample()))), by_columns(mirrored), atol=1e-12)


def test_flipped_world_is_the_mirrored_one_and_its_pose_still_rigid():
    original, flipped = sample(), flip(sample())
    world = transform(original["world_from_cam"], cloud(original)) * [-1, 1, 1]
    found = transform(flipped["world_from_cam"], cloud(flipped))
    np.testing.assert_allclose(by_columns(found), by_columns(world), atol=1e-12)
    assert np.linalg.det(flipped["world_from_cam"]) == pytest.approx(1)


def test_flipped_pixels_belong_together():
    original, flipped = sample(), flip(sample())
    for name in ("image", "mask", "depth_m", "base_m"):
        np.testing.assert_array_equal(flipped[name][:, 3], original[name][:, SIZE - 4])
    assert flipped["capture"] == "ann-left-1" and flipped["depth_median_m"] == 2


@settings(max_examples=25, deadline=None)
@given(flips=st.booleans(), factor=st.floats(0.7, 1.5))
def test_normals_stay_those_of_the_depth(flips, factor):
    changed = scale(flip(sample()) if flips else sample(), factor)
    mask = changed["mask"]
    points, normals = cloud(changed), changed["normal"][mask]
    # A nearest pixel lies within half a source pixel of the ray: 1/80 of 2 m, times the plane's slope.
    offsets_m = (points - points.mean(axis=0)) @ normals[0].astype(np.float64)
    assert np.abs(offsets_m).max() < 0.5 * np.hypot(1 / 40, 1 / 42) * points[:, 2].max()
    fitted = np.linalg.svd(points - points.mean(axis=0))[2][2]
    # The offsets part along the plane, so a plane fitted to hundreds of them is good to a degree.
    assert abs(fitted @ normals[0]) > np.cos(np.radians(1))
    assert (normals * points).sum(axis=1).max() < 0
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(factor=st.floats(0.7, 1.5))
def test_scaled_sample_is_the_same_surface_through_a_longer_lens(factor):
    original, scaled = sample(), scale(sample(), factor)
    assert {name: np.shape(value) for name, value in scaled.items()} == {
        name: np.shape(value) for name, value in original.items()
    }
    assert set(np.unique(scaled["depth_m"])) <= set(np.unique(original["depth_m"]))
    np.testing.assert_allclose(np.diag(scaled["K"])[:2], factor * np.diag(K)[:2])
    v, u = np.nonzero(scaled["mask"])
    pixels = project(backproject(np.ones((SIZE, SIZE)), scaled["K"])[v, u], K)
    # Each new pixel took its value from the source pixel that its ray meets: at most half a pixel away. A ray
    # that meets the line between two pixels may take either, as the last bit of the factor falls.
    single = (np.abs(pixels + 0.5 - np.rint(pixels + 0.5)) > 1e-9).all(axis=1)
    v, u, pixels = v[single], u[single], pixels[single]
    u0, v0 = np.floor(pixels + 0.5).astype(int).T
    np.testing.assert_array_equal(scaled["depth_m"][v, u], original["depth_m"][v0, u0])
    np.testing.assert_array_equal(scaled["normal"][v, u], original["normal"][v0, u0])


def test_centre_stays_and_the_border_that_comes_in_is_invalid():
    smaller = scale(sample(), 0.5)
    inside = slice(SIZE // 4, 3 * SIZE // 4)
    for name in ("mask", "depth_m", "image", "normal"):
        outside = smaller[name].copy()
        outside[inside, inside] = 0
        assert not outside.any(), name
    centred = K.copy()
    centred[:2, 2] = (SIZE - 1) / 2
    assert (scale({**sample(), "K": centred}, 0.5)["K"][:2, 2] == (SIZE - 1) / 2).all()


def test_gain_multiplies_and_clips():
    image = np.array([[[0, 100, 200]]], np.uint8)
    assert apply_gain(image, np.array([1.4, 0.6, 1.4])).tolist() == [[[0, 60, 255]]]


def test_no_field_is_needed_that_the_model_does_not_read():
    few = {name: sample()[name] for name in ("image", "mask")}
    assert set(augment(few, ALL, seed=0, epoch=0, index=1)) == {"image", "mask"}
    for change in (flip, lambda each: scale(each, 0.9)):
        with pytest.raises(ValueError, match="K must come with a picture"):
            change({"K": K})


def test_draws_follow_from_seed_epoch_and_index_alone():
    places = [(seed, epoch, index) for seed in (0, 1) for epoch in (0, 1) for index in (0, 1, 2)]
    first = [draw(place) for place in places]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        again = pool.map(draw, places[::-1])[::-1]
    for one, other in zip(first, again, strict=True):
        assert_same(one, other)
    assert len({each["image"].tobytes() for each in first}) == len(places)


def draw(place: tuple[int, int, int]) -> dict:
    seed, epoch, index = place
    return augment(sample(), ALL, seed=seed, epoch=epoch, index=index)


def test_draws_fill_their_ranges():
    original = sample()
    drawn = [augment(original, ALL, seed=0, epoch=0, index=index) for index in range(300)]
    factors = np.array([each["K"][0, 0] / K[0, 0] for each in drawn])
    assert 0.8 <= factors.min() < 0.82 and 1.22 < factors.max() <= 1.25
    mirrored = np.mean([each["normal"].sum(axis=(0, 1))[0] < 0 for each in drawn])
    assert 0.4 < mirrored < 0.6  # 300 throws of a fair coin: 0.5 +- 0.03
    untouched = augment(original, Augmentation(gain=(1, 1)), seed=0, epoch=0, index=0)
    assert_same(untouched, original)


@pytest.mark.parametrize("wrong", [{"flip": 1.5}, {"scale": (0, 1)}, {"gain": (1.4, 0.6)}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augmentation(**wrong)


def test_landmarks_change_sides_and_those_that_are_not_there_stay_away():
    rng = np.random.default_rng(2)
    px = rng.uniform(1, SIZE - 2, (17, 2)).astype(np.float32)
    confidence = np.ones(17, np.float32)
    left_wrist, right_wrist = COCO17.names.index("left_wrist"), COCO17.names.index("right_wrist")
    px[left_wrist], confidence[left_wrist] = 0, 0
    told = {
        "joints_coco17_px": px,
        "joints_coco17_confidence": confidence,
        "joints_coco17_visible": confidence > 0,
    }
    flipped = flip({**sample(), **told})
    assert (
        not flipped["joints_coco17_px"][right_wrist].any()
        and not flipped["joints_coco17_confidence"][right_wrist]
    )
    assert not flipped["joints_coco17_visible"][right_wrist] and flipped["joints_coco17_visible"].sum() == 16
    np.testing.assert_allclose(
        flipped["joints_coco17_px"][left_wrist], [SIZE - 1, 0] + px[right_wrist] * [-1, 1]
    )
    for name, value in told.items():
        np.testing.assert_allclose(flip(flipped)[name], value, atol=1e-4)
    scaled = scale({**sample(), **told}, 1.3)
    assert not scaled["joints_coco17_px"][left_wrist].any()


def test_a_mirrored_volume_lies_where_the_mirrored_body_lies():
    rng = np.random.default_rng(4)
    inside = rng.random((128, 128, 128)) < 0.001
    world_from_vox = np.array(
        [[0.01, 0, 0.001, 0.3], [0, 0.01, 0.002, -0.4], [0, 0, 0.01, 2], [0, 0, 0, 1.0]]
    )
    volume = {"occupancy_128": pack(inside), "occupancy_128_world_from_vox": world_from_vox}
    flipped = flip({**sample(), **volume})
    before = points_from_vox(world_from_vox, np.argwhere(inside).astype(np.float64))
    vox = np.argwhere(unpack(flipped["occupancy_128"], 128)).astype(np.float64)
    after = points_from_vox(flipped["occupancy_128_world_from_vox"], vox)
    order = [np.lexsort(np.round(points, 9).T) for points in (before * [-1, 1, 1], after)]
    np.testing.assert_allclose(after[order[1]], (before * [-1, 1, 1])[order[0]], atol=1e-12)
    with pytest.raises(ValueError, match="occupancy_128 belongs to the crop"):
        scale({**sample(), **volume}, 1.2)


def test_a_mirrored_motion_moves_the_mirrored_body():
    rng = np.random.default_rng(5)
    rotvec, t_m = (rng.normal(size=(2, SIZE, SIZE, 3)).astype(np.float32) for _ in range(2))
    valid = rng.random((2, SIZE, SIZE)) < 0.5
    flipped = flip({**sample(), "motion_rotvec_rad": rotvec, "motion_t_m": t_m, "motion_valid": valid})
    points = rng.normal(size=(2, SIZE, SIZE, 3))

    def moved(points, rotvec, t_m):
        return Rotation.from_rotvec(rotvec.reshape(-1, 3)).apply(points.reshape(-1, 3)) + t_m.reshape(-1, 3)

    mirror = np.array([-1, 1, 1])
    there = moved(points, rotvec, t_m).reshape(points.shape)[:, :, ::-1] * mirror
    mirrored = moved(points[:, :, ::-1] * mirror, flipped["motion_rotvec_rad"], flipped["motion_t_m"])
    np.testing.assert_allclose(mirrored.reshape(points.shape), there, atol=1e-6)
    np.testing.assert_array_equal(flipped["motion_valid"], valid[:, :, ::-1])


def test_charts_of_another_parametrisation_are_not_mirrored():
    with pytest.raises(ValueError, match="no mirror images of each other"):
        flip({**sample(), "densepose_part": np.zeros((SIZE, SIZE), np.uint8)})


def test_coarse_parts_change_sides_twice_to_themselves():
    assert (COARSE_PARTNERS[COARSE_PARTNERS] == np.arange(15)).all()
    assert COARSE_PARTNERS[[1, 14]].tolist() == [1, 14]
