"""Grids against the camera: what a voxel is of the picture, and what the rasteriser sees of the same body."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.bodies.model import default_body
from pipeline.cameras import crop_intrinsics, project
from pipeline.errors import InputError
from pipeline.voxels.grids import (
    CUBE,
    TALL,
    alignment_depth,
    frustum_grid,
    orthographic_grid,
    points_from_vox,
    points_to_vox,
)
from pipeline.voxels.voxelise import voxelise
from pipeline.zbuffer import visible_faces

K = np.array([[300.0, 0, 90.0], [0, 290.0, 140.0], [0, 0, 1]])
GRIDS = [orthographic_grid, frustum_grid]


@pytest.fixture(scope="module")
def body():
    """A person of the default shape 2.6 m before the camera, off its axis, and the faces."""
    vertices_m = default_body().posed(np.zeros((1, 24, 3)), np.zeros(10), np.zeros(3)).vertices_m[0]
    return vertices_m * [1, -1, -1] * 0.9 + [0.3, -0.05, 2.6], default_body().faces


def index_grid(shape):
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)


@pytest.mark.parametrize(("shape", "step_px", "first_px"), [(CUBE, 2, (0.5, 0.5)), (TALL, 1, (64, 0))])
def test_frustum_columns_are_the_pixels_at_every_depth(shape, step_px, first_px):
    voxels = index_grid(shape)[::9, ::9, ::9]
    points = points_from_vox(frustum_grid(K, 2.6, shape, size_px=256), voxels)
    assert_allclose(project(points, K), first_px + step_px * voxels[..., :2], atol=1e-9)
    assert (np.diff(points[..., 2], axis=2) > 0).all()


@pytest.mark.parametrize(("shape", "step_px", "first_px"), [(CUBE, 2, (0.5, 0.5)), (TALL, 1, (64, 0))])
def test_orthographic_columns_are_the_pixels_at_the_depth_of_the_body_and_in_the_middle(
    shape, step_px, first_px
):
    grid = orthographic_grid(K, 2.6, shape, size_px=256)
    middle = (np.array(shape) - 1) / 2
    across = index_grid((*shape[:2], 1)) * [1, 1, 0] + [0, 0, middle[2]]
    points = points_from_vox(grid, across)
    assert_allclose(points[..., 2], 2.6)
    assert_allclose(project(points, K), first_px + step_px * across[..., :2], atol=1e-9)
    along = points_from_vox(grid, np.array([[*middle[:2], k] for k in range(shape[2])]))
    assert_allclose(project(along, K), np.full((shape[2], 2), 127.5), atol=1e-9)


@pytest.mark.parametrize("make", GRIDS)
def test_a_voxel_is_as_deep_as_wide_where_the_body_is_and_keeps_its_hand(make):
    grid = make(K, 2.6, TALL, size_px=256)
    middle = (np.array(TALL) - 1) / 2
    assert_allclose(points_from_vox(grid, middle)[2], 2.6)
    ends = points_from_vox(grid, middle + np.concatenate([np.eye(3), -np.eye(3)]) / 2)
    width, height, depth = (ends[:3] - ends[3:])[[0, 1, 2], [0, 1, 2]]
    assert_allclose([width, height], [2.6 / 300, 2.6 / 290], rtol=1e-9)
    assert_allclose(depth, np.sqrt(width * height), rtol=1e-4)
    assert np.linalg.det(ends[:3] - ends[3:]) > 0


def test_cubes_on_the_optical_axis_are_the_papers_orthographic_grid():
    centred = np.array([[300.0, 0, 127.5], [0, 300.0, 127.5], [0, 0, 1]])
    grid = orthographic_grid(centred, 3.0, CUBE, size_px=256)
    expected = np.eye(4)
    expected[:3] = np.eye(3, 4) * 0.02
    expected[:3, 3] = np.array([0, 0, 3.0]) - 0.02 * 63.5
    assert_allclose(grid, expected, atol=1e-12)


@pytest.mark.parametrize("make", GRIDS)
def test_scale_is_a_tighter_crop_of_the_picture(make):
    scale = 1.25
    side = 256 / scale
    corner = (256 - side) / 2
    tighter = crop_intrinsics(K, (corner, corner, side), 256)
    assert_allclose(
        make(K, 2.6, TALL, size_px=256, scale=scale), make(tighter, 2.6, TALL, size_px=256), atol=1e-12
    )


@pytest.mark.parametrize("make", GRIDS)
@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_to_voxels_and_back_is_where_it_was(make, seed):
    rng = np.random.default_rng(seed)
    grid = make(K, rng.uniform(1, 5), TALL, size_px=256)
    points = rng.uniform([-1, -1, 0.5], [1, 1, 6], (20, 3))
    assert_allclose(points_from_vox(grid, points_to_vox(grid, points)), points, atol=1e-9)


def test_frustum_shows_what_the_rasteriser_shows(body):
    vertices_m, faces = body
    grid = frustum_grid(K, alignment_depth(vertices_m, "box"), TALL, size_px=256)
    inside, _ = voxelise(vertices_m, faces, grid, TALL)
    face_index, _, depth_m = visible_faces(vertices_m, faces, K, height=256, width=256)
    mask, depth_m = (face_index >= 0)[:, 64:192].T, depth_m[:, 64:192].T
    solid = inside.any(axis=2)
    assert not (solid & ~mask).any()
    # Limbs thinner than a slice, grazed at the silhouette, may fall between two centres.
    assert solid.sum() / mask.sum() > 0.97
    columns = np.argwhere(solid)
    first = inside.argmax(axis=2)[solid]
    behind, before = (points_from_vox(grid, np.column_stack([columns, first - k]))[:, 2] for k in (0, 1))
    seen = depth_m[solid]
    # A fold of skin thinner than a slice in front of the first centre is the rasteriser's alone.
    within = (seen <= behind + 1e-5) & (seen > before - 1e-5)
    assert (seen <= behind + 1e-5).all() and within.mean() > 0.98


def test_orthographic_grid_is_the_picture_of_a_far_camera(body):
    vertices_m, faces = body
    far = vertices_m + [0, 0, 97.4]  # 100 m off rays are parallel to 0.1 %
    tele = K * [[100 / 2.6, 1, 1], [1, 100 / 2.6, 1], [1, 1, 1]]
    grid = orthographic_grid(tele, alignment_depth(far, "mean"), TALL, size_px=256)
    inside, _ = voxelise(far, faces, grid, TALL)
    mask = (visible_faces(far, faces, tele, height=256, width=256)[0] >= 0)[:, 64:192].T
    solid = inside.any(axis=2)
    assert (solid & mask).sum() / (solid | mask).sum() > 0.97


def test_alignment_is_by_the_mean_or_the_box():
    vertices_m = np.array([[0, 0, 1.0], [5, 0, 1.5], [0, 9, 4.0], [0, 0, 1.5]])
    assert alignment_depth(vertices_m, "mean") == 2.0
    assert alignment_depth(vertices_m, "box") == 2.5
    for wrong in (vertices_m[:0], vertices_m * -1, vertices_m * np.nan, vertices_m + np.inf):
        with pytest.raises(ValueError, match="alignment_depth"):
            alignment_depth(wrong, "mean")


@pytest.mark.parametrize("make", GRIDS)
@pytest.mark.parametrize("name", ["depth_m", "size_px", "scale"])
@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_grids_refuse_what_is_not_positive(make, name, wrong):
    settings_ = {"depth_m": 2.0, "size_px": 256, "scale": 1.0} | {name: wrong}
    with pytest.raises(ValueError, match="must be positive"):
        make(K, settings_.pop("depth_m"), CUBE, **settings_)


def test_a_frustum_ends_before_infinity_and_holds_nothing_behind_the_camera():
    wide = K * [[0.4, 1, 1], [1, 0.4, 1], [1, 1, 1]]
    with pytest.raises(ValueError, match="must end before infinity"):
        frustum_grid(wide, 2.0, CUBE, size_px=256)
    with pytest.raises(ValueError, match="before the camera, 1 do not"):
        points_to_vox(frustum_grid(K, 2.0, CUBE, size_px=256), np.array([[0, 0, 1.0], [0, 0, -1.0]]))


@pytest.mark.parametrize("make", GRIDS)
def test_share_cut_off_is_the_share_of_the_body_outside(make):
    def slab(low, high):
        corners = index_grid((2, 2, 2)).reshape(-1, 3) * (np.array(high) - low) + low
        faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
                 [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]  # fmt: skip
        return corners, np.array(faces)

    shape = (20, 30, 10)
    grid = make(K, 2.6, shape, size_px=60)
    corners, faces = slab((2, 3, 1), (12, 13, 9))
    inside, cut = voxelise(points_from_vox(grid, corners + 0.5), faces, grid, shape)
    assert inside.sum() == 10 * 10 * 8 and cut == 0.0
    corners, faces = slab((-5.5, 3.5, 1.5), (4.5, 13.5, 21.5))  # 5 of 10 columns, 8 of 20 slices are inside
    inside, cut = voxelise(points_from_vox(grid, corners), faces, grid, shape)
    expected = np.zeros(shape, bool)
    expected[:5, 4:14, 2:] = True
    assert_array_equal(inside, expected)
    assert cut == pytest.approx(1 - 0.5 * 8 / 20)


def test_body_wholly_outside_is_cut_wholly_and_one_out_of_all_bounds_is_refused(body):
    vertices_m, faces = body
    grid = orthographic_grid(K, 2.6, (32, 32, 32), size_px=256)
    inside, cut = voxelise(vertices_m + [9, 0, 0], faces, grid, (32, 32, 32))
    assert not inside.any() and cut == 1.0
    with pytest.raises(InputError, match="must take at most") as caught:
        voxelise(vertices_m * 30, faces, grid, (32, 32, 32))
    assert caught.value.reason == "malformed-mesh"
