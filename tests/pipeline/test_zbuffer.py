import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cameras import pixel_rays
from pipeline.zbuffer import NEAR_M, visible_faces

K = np.array([[60.0, 0, 31.5], [0, 55.0, 20.25], [0, 0, 1]])
HEIGHT, WIDTH = 40, 64
# float32 rounds 1 / z and z once each; a centre seen through the grid lies 2^-24 px aside, which at the slopes
# here (below 10 m a pixel) is less.
FLOAT32 = 2e-7


def seen(points, faces, K=K, **options):
    options = {"height": HEIGHT, "width": WIDTH} | options
    points, faces = np.asarray(points, np.float64), np.asarray(faces, np.int32).reshape(-1, 3)
    return visible_faces(points, faces, K, **options)


def hits_by_hand(points, faces, near_m=NEAR_M):
    """Ten lines of ray casting in float64: face and depth at each centre, and where they are beyond doubt."""
    rays = pixel_rays(K, HEIGHT, WIDTH)
    best, depth_m = np.full(rays.shape[:2], -1), np.full(rays.shape[:2], np.inf)
    sure = np.ones(rays.shape[:2], bool)
    for index, (a, b, c) in enumerate(np.asarray(points)[faces]):
        weights = rays @ np.linalg.inv(np.stack([a, b, c], axis=1)).T  # of the corners, times 1 / z
        z = 1 / np.maximum(weights.sum(axis=-1), 1e-12)
        margin = (weights * z[..., None]).min(axis=-1)
        before = (weights.sum(axis=-1) > 0) & (z >= near_m)
        sure &= (np.abs(margin) > 1e-5) | ~before
        nearer = (margin >= 0) & before & (z < depth_m)
        best[nearer], depth_m[nearer] = index, z[nearer]
    return best, np.where(best >= 0, depth_m, 0), sure


def cells(seed, rows=7, columns=9, depth_m=2.0):
    """A plane cut into jagged triangles; every corner inside belongs to several, some lie on pixel centres."""
    rng = np.random.default_rng(seed)
    v, u = np.meshgrid(np.linspace(5, 35, rows), np.linspace(8, 56, columns), indexing="ij")
    pixels = np.stack([u, v, np.ones_like(u)], axis=-1)
    pixels[1:-1, 1:-1, :2] += rng.uniform(-2, 2, (rows - 2, columns - 2, 2))
    pixels[::2, ::2] = np.rint(pixels[::2, ::2])
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (x.ravel() for x in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return depth_m * pixels.reshape(-1, 3) @ np.linalg.inv(K).T, faces


@pytest.mark.parametrize("seed", range(4))
def test_each_centre_inside_a_cut_plane_belongs_to_exactly_one_face(seed):
    points, faces = cells(seed)
    count = np.zeros((HEIGHT, WIDTH), int)
    for face in faces:
        count += seen(points, face)[0] >= 0
    assert set(np.unique(count)) == {0, 1}
    # Top-left rule: the upper and left borders belong to the plane, the lower and right ones do not.
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[5:35, 8:56] = True
    np.testing.assert_array_equal(count == 1, inside)


def test_tilted_plane_has_its_planar_depth_and_its_weights_give_the_point_back():
    normal = np.array([0.5, -0.2, -0.8]) / np.linalg.norm([0.5, -0.2, -0.8])
    across = np.cross(normal, [0.0, 1.0, 0.0])
    corners = np.array([-2 * normal + 9 * (s * across + t * np.cross(normal, across))
                        for s, t in [(-1, -1), (1, -1), (1, 1), (-1, 1)]])  # fmt: skip
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    face_index, bary, depth_m = seen(corners, faces)
    rays = pixel_rays(K, HEIGHT, WIDTH)
    expected_m = -2 / (rays @ normal)
    assert set(np.unique(face_index)) == {0, 1}
    assert np.abs(depth_m / expected_m - 1).max() < FLOAT32
    u, v = np.moveaxis(bary.astype(np.float64), -1, 0)
    weights = np.stack([1 - u - v, u, v], axis=-1)
    points = np.einsum("hwk,hwki->hwi", weights, corners[faces[face_index]])
    # Weights in float32 of corners 18 m apart. Weights linear in the image would be off by metres.
    assert np.abs(points - rays * expected_m[..., None]).max() < 18 * 3 * 6e-8


@pytest.mark.parametrize("seed", range(6))
def test_a_soup_of_faces_around_the_camera_agrees_with_rays_cast_by_hand(seed):
    # Half of the corners lie behind the camera or aside of it, so most faces cross the near plane.
    points = np.random.default_rng(seed).uniform([-3, -3, -2], [3, 3, 4], (90, 3))
    faces = np.arange(90).reshape(30, 3)
    face_index, _, depth_m = seen(points, faces)
    best, expected_m, sure = hits_by_hand(points, faces)
    assert sure.mean() > 0.95 and (best >= 0).mean() > 0.3
    np.testing.assert_array_equal(face_index[sure], best[sure])
    hit = sure & (best >= 0)
    assert np.abs(depth_m[hit] / expected_m[hit] - 1).max() < 1e-5  # slopes of some 100 m a pixel, 2^-23 px


def test_a_floor_that_runs_under_the_camera_is_cut_at_the_near_plane_not_dropped():
    floor = [[-50, 1, -50], [50, 1, -50], [50, 1, 50], [-50, 1, 50]]
    faces = [[0, 1, 2], [0, 2, 3]]
    depth_m = seen(floor, faces)[2]
    y = pixel_rays(K, HEIGHT, WIDTH)[..., 1]
    ahead = y > 1 / 49.9
    np.testing.assert_allclose(depth_m[ahead], 1 / y[ahead], rtol=1e-5)
    assert not depth_m[y < 1 / 50.1].any()
    near_m = 3.9
    np.testing.assert_array_equal(seen(floor, faces, near_m=near_m)[0] >= 0, depth_m >= near_m)


def test_what_lies_behind_the_camera_is_not_seen():
    points, faces = cells(0)
    assert (seen(-points, faces)[0] == -1).all()


def test_faces_without_area_are_not_seen():
    line = [[-1, -1, 2], [0, 0, 2], [1, 1, 2], [-1, 1, 1], [-1, 1, 1], [0.3, 0.1, 1]]
    edge_on = [[-1, 0, 1], [1, 0, 1], [0.5, 0, 3]]  # its plane holds the camera
    face_index, bary, depth_m = seen(line + edge_on, [[0, 1, 2], [3, 4, 5], [3, 3, 3], [6, 7, 8]])
    assert (face_index == -1).all() and not bary.any() and not depth_m.any()


def test_faces_below_a_pixel_are_seen_where_they_hold_a_centre():
    # A triangle of 0.02 px around one centre, and one of the same size beside it.
    corners = np.array([[-0.01, -0.01], [0.01, -0.01], [0.0, 0.01]])
    pixels = np.concatenate([corners + [20, 11], corners + [30.4, 11.4]])
    points = np.column_stack([pixels, np.ones(6)]) @ np.linalg.inv(K).T * 1.5
    face_index, bary, depth_m = seen(points, [[0, 1, 2], [3, 4, 5]])
    assert np.argwhere(face_index >= 0).tolist() == [[11, 20]]
    np.testing.assert_allclose(bary[11, 20], [0.25, 0.5], atol=1e-6)
    assert depth_m[11, 20] == np.float32(1.5)


def test_the_first_of_several_faces_in_one_place_is_seen():
    points, faces = cells(1)
    other_way = np.concatenate([faces[::-1, ::-1], faces])
    once, twice = seen(points, faces[::-1, ::-1])[0], seen(points, other_way)[0]
    np.testing.assert_array_equal(once, twice)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_faces_and_their_corners_changes_no_depth(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform([-2, -2, -1], [2, 2, 5], (40, 3))
    faces = rng.integers(0, 40, (25, 3))
    face_index, _, depth_m = seen(points, faces)
    order = rng.permutation(25)
    turned = np.array([np.roll(face, rng.integers(3)) for face in faces[order]])
    again, _, depth_again_m = seen(points, turned)
    np.testing.assert_array_equal(face_index >= 0, again >= 0)
    # A turned face starts its sums at another corner.
    np.testing.assert_allclose(depth_again_m, depth_m, rtol=1e-6)
    np.testing.assert_array_equal(seen(points, faces[order])[2], depth_m)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_threads_change_no_bit(seed, threads):
    rng = np.random.default_rng(seed)
    points = rng.uniform([-2, -2, -1], [2, 2, 5], (40, 3))
    faces = rng.integers(0, 40, (25, 3))
    for one, many in zip(seen(points, faces), seen(points, faces, threads=threads), strict=True):
        np.testing.assert_array_equal(one, many)


def test_weights_lie_in_the_face():
    rng = np.random.default_rng(3)
    points = rng.uniform([-2, -2, 0.5], [2, 2, 0.52], (300, 3))  # a flat soup, many faces nearly edge on
    face_index, bary, _ = seen(points, np.arange(300).reshape(-1, 3))
    hit = face_index >= 0
    assert hit.any() and bary.min() >= 0
    assert bary.astype(np.float64).sum(axis=-1).max() <= 1 + 6e-8  # two float32 roundings


def test_one_row_and_one_column_of_pixels_can_be_drawn():
    corners = [[-9, -9, 3], [9, -9, 3], [9, 9, 3], [-9, 9, 3]]
    for height, width in itertools.product([1, 2], [1, 3]):
        depth_m = seen(corners, [[0, 1, 2], [0, 2, 3]], np.diag([5.0, 5, 1]), height=height, width=width)[2]
        assert depth_m.shape == (height, width) and (depth_m == 3).all()


@pytest.mark.parametrize("option", [{"height": 0}, {"threads": 0}, {"near_m": 0.0}, {"near_m": float("nan")}])
def test_sizes_that_are_not_positive_are_refused(option):
    with pytest.raises(ValueError, match="zbuffer: height, width and threads"):
        seen(np.eye(3), [[0, 1, 2]], **option)
