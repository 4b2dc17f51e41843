"""Solids whose voxels are known in closed form, laws, and two other implementations."""

import itertools

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from pipeline.bodies.model import default_body
from pipeline.errors import InputError
from pipeline.voxels.occupancy import occupancy

SHAPE = (32, 32, 32)


def box(low, high):
    mesh = trimesh.creation.box(bounds=np.array([low, high], float))
    return np.array(mesh.vertices), np.array(mesh.faces)


def sphere(radius=11.3, centre=(15.6, 15.2, 15.9), subdivisions=4):
    mesh = trimesh.creation.icosphere(subdivisions, radius)
    # No vertex on a symmetry plane, where centres could be.
    turn = trimesh.transformations.rotation_matrix(0.7, [1, 2, 3])[:3, :3]
    return np.array(mesh.vertices) @ turn.T + centre, np.array(mesh.faces)


def joined(*meshes):
    offsets = np.cumsum([0, *(len(vertices) for vertices, _ in meshes)])
    vertices = np.concatenate([vertices for vertices, _ in meshes])
    return vertices, np.concatenate(
        [faces + start for (_, faces), start in zip(meshes, offsets, strict=False)]
    )


def centres(shape):
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).astype(float)


def winding(points, vertices, faces):
    """Generalised winding number by solid angles: van Oosterom and Strackee 1983, summed face by face."""
    total = np.zeros(points.shape[:-1])
    for a, b, c in vertices[faces]:
        a, b, c = a - points, b - points, c - points
        la, lb, lc = (np.linalg.norm(x, axis=-1) for x in (a, b, c))
        above = np.einsum("...i,...i", a, np.cross(b, c))
        ab, bc, ca = (np.einsum("...i,...i", x, y) for x, y in ((a, b), (b, c), (c, a)))
        total += np.arctan2(above, la * lb * lc + ab * lc + bc * la + ca * lb)
    return total / (2 * np.pi)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_box_owns_its_low_faces_and_not_its_high_ones():
    inside = occupancy(*box((3, 4, 5), (9, 11, 20)), SHAPE)
    expected = np.zeros(SHAPE, bool)
    expected[3:9, 4:11, 5:20] = True
    assert_array_equal(inside, expected)
    assert inside.dtype == np.bool_ and inside.flags.c_contiguous


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_solids_that_share_faces_own_each_centre_once(seed):
    # Six tetrahedra around a diagonal fill a box; with whole corners, centres lie on all edges and slopes.
    size = np.random.default_rng(seed).integers(1, 13, 3)
    low = np.random.default_rng(seed + 1).integers(0, 10, 3)
    count = np.zeros(SHAPE, int)
    for order in itertools.permutations(range(3)):
        steps = np.eye(3)[list(order)]
        corners = low + size * np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
        faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        outward = np.linalg.det(steps) > 0
        count += occupancy(corners, faces if outward else faces[:, ::-1], SHAPE)
    assert_array_equal(count, occupancy(*box(low, low + size), SHAPE).astype(int))
    assert count.sum() == size.prod()


def test_sphere_and_torus_hold_what_their_equations_say():
    shape, middle = (96, 96, 96), np.array([47.3, 47.8, 47.1])
    points = centres(shape) - middle
    # Sag of an edge of 1.2 voxels on 40: 0.005 voxels, 3 x 0.005 / 40 of the volume.
    ball = occupancy(*sphere(40.0, middle, subdivisions=5), shape)
    assert iou(ball, (points**2).sum(-1) < 40**2) >= 0.999
    ring = trimesh.creation.torus(30, 12, major_sections=240, minor_sections=120)
    inside = occupancy(np.array(ring.vertices) + middle, np.array(ring.faces), shape)
    aside = np.hypot(points[..., 0], points[..., 1]) - 30
    assert iou(inside, aside**2 + points[..., 2] ** 2 < 12**2) >= 0.999


def test_body_agrees_with_open3d_voxel_for_voxel():
    import open3d

    body, shape = default_body(), (128, 128, 128)
    vertices_m = body.posed(np.zeros((1, 24, 3)), np.zeros(10), np.zeros(3)).vertices_m[0]
    low, high = vertices_m.min(axis=0), vertices_m.max(axis=0)
    # float32, so that both have the same mesh.
    vertices = ((vertices_m - (low + high) / 2) * (120 / (high - low).max()) + 63.37).astype(np.float32)
    scene = open3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(open3d.core.Tensor(vertices), open3d.core.Tensor(body.faces.astype(np.uint32)))
    peer = scene.compute_occupancy(open3d.core.Tensor(centres(shape).astype(np.float32)), nthreads=1)
    ours = occupancy(vertices, body.faces, shape)
    apart = np.argwhere(ours != (peer.numpy() > 0.5)).astype(np.float32)
    assert 15_000 < ours.sum() < 40_000
    # float32 at 128 voxels: Embree cannot tell what is nearer than 1e-5.
    if len(apart):
        assert scene.compute_distance(open3d.core.Tensor(apart)).numpy().max() < 1e-5


@pytest.mark.parametrize("seed", range(2))
def test_crumpled_overlapping_bodies_agree_with_solid_angles(seed):
    rng = np.random.default_rng(seed)
    meshes = []
    for centre in ((6, 7, 8), (9, 8, 7)):
        vertices, faces = sphere(4.5, centre, subdivisions=2)
        meshes.append((vertices + rng.normal(0, 0.3, vertices.shape), faces))
    vertices, faces = joined(*meshes)
    shape = (16, 15, 14)
    number = winding(centres(shape), vertices, faces)
    assert number.max() > 1.9  # they do overlap
    assert_array_equal(occupancy(vertices, faces, shape), number > 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_body_folded_through_itself_agrees_with_solid_angles(seed):
    rng = np.random.default_rng(seed)
    body, shape = default_body(), (48, 48, 48)
    vertices_m = body.posed(rng.normal(0, 0.5, (1, 24, 3)), rng.normal(0, 1, 10), np.zeros(3)).vertices_m[0]
    low, high = vertices_m.min(axis=0), vertices_m.max(axis=0)
    vertices = (vertices_m - (low + high) / 2) * (46 / (high - low).max()) + 23.5
    inside = occupancy(vertices, body.faces, shape)
    some = np.concatenate([rng.permutation(np.argwhere(inside == value))[:150] for value in (True, False)])
    assert_array_equal(inside[tuple(some.T)], winding(some.astype(float), vertices, body.faces) > 0.5)


def test_every_axis_gives_the_same_solid():
    rng = np.random.default_rng(3)
    vertices, faces = sphere(subdivisions=3)
    vertices = vertices + rng.normal(0, 0.2, vertices.shape)
    inside = occupancy(vertices, faces, SHAPE)
    for order in ((1, 2, 0), (2, 0, 1)):
        assert_array_equal(occupancy(vertices[:, order], faces, SHAPE), inside.transpose(order))


def test_overlapping_bodies_are_their_union_and_reversed_ones_inside_are_cavities():
    a, b = sphere(14.0, (16.1, 15.2, 14.3)), sphere(13.0, (15.4, 16.3, 17.2))
    first, second = occupancy(*a, SHAPE), occupancy(*b, SHAPE)
    assert (first & second)[:, :, 8:16].all(axis=2).any()  # whole words of the scan lie in both
    assert_array_equal(occupancy(*joined(a, b), SHAPE), first | second)
    hole = sphere(4.0, (12.1, 13.2, 14.3), subdivisions=3)
    hollow = occupancy(*joined(a, (hole[0], hole[1][:, ::-1])), SHAPE)
    assert_array_equal(hollow, first & ~occupancy(*hole, SHAPE))


@pytest.mark.parametrize("missing", [1, 2, 5, 20])
def test_sphere_with_faces_missing_stays_a_ball(missing):
    vertices, faces = sphere()
    whole = occupancy(vertices, faces, SHAPE)
    rng = np.random.default_rng(missing)
    for _ in range(5):
        left = np.delete(faces, rng.permutation(len(faces))[:missing], axis=0)
        assert_array_equal(occupancy(vertices, left, SHAPE), whole)


def test_holes_in_line_with_each_other_do_not_leak():
    # Both poles along z are gone: no column is unbalanced there, yet every one of them missed the surface twice.
    vertices, faces = sphere()
    whole = occupancy(vertices, faces, SHAPE)
    middle = vertices[faces].mean(axis=1) - vertices.mean(axis=0)
    aside = np.hypot(middle[:, 0], middle[:, 1])
    left = faces[aside > 1.6]
    assert len(left) < len(faces) - 20
    inside = occupancy(vertices, left, SHAPE)
    # Flat caps of radius 1.6 on a radius of 11.3 lie 0.11 voxels below the sphere.
    assert_array_equal(np.argwhere(inside != whole)[:, 2] > 0, True)
    assert iou(inside, whole) >= 0.999


def test_flat_opening_closes_where_the_generalised_winding_number_is_a_half():
    mesh = trimesh.creation.uv_sphere(6.2, count=[24, 24])
    vertices, faces = np.array(mesh.vertices) + (7.3, 7.6, 7.9), np.array(mesh.faces)
    below = vertices[faces][..., 2].max(axis=1) < 7.9 + 6.2 * np.cos(np.radians(24))  # a rim at one height
    shape = (16, 16, 16)
    inside = occupancy(vertices, faces[below], shape, max_open_share=0.1)
    assert_array_equal(inside, winding(centres(shape), vertices, faces[below]) > 0.5)
    assert inside.sum() < occupancy(vertices, faces, shape).sum()


def test_turned_doubled_and_unjoined_faces_change_nothing():
    vertices, faces = sphere()
    whole = occupancy(vertices, faces, SHAPE)
    turned = faces.copy()
    turned[::100] = turned[::100, ::-1]
    assert_array_equal(occupancy(vertices, turned, SHAPE), whole)
    assert_array_equal(occupancy(vertices, np.concatenate([faces, faces[[11, 900]]]), SHAPE), whole)
    soup = np.arange(3 * len(faces)).reshape(-1, 3)
    assert_array_equal(occupancy(vertices[faces].reshape(-1, 3), soup, SHAPE), whole)


def test_open_mesh_is_refused_unless_allowed_and_then_closed_flat():
    vertices, faces = sphere(11.0, (15.5, 15.5, 15.5))
    lower = faces[vertices[faces][..., 2].min(axis=1) < 15.5]
    with pytest.raises(InputError, match="at most 5.0% of the surface, are 5") as caught:
        occupancy(vertices, lower, SHAPE)
    assert caught.value.reason == "open-mesh"
    half = occupancy(vertices, lower, SHAPE, max_open_share=1.0)
    points = centres(SHAPE) - 15.5
    # The rim is jagged by one face, 0.8 voxels.
    sure = (np.abs(points[..., 2]) > 1) & (np.abs(np.linalg.norm(points, axis=-1) - 11) > 0.05)
    expected = (np.linalg.norm(points, axis=-1) < 11) & (points[..., 2] < 0)
    assert_array_equal(half[sure], expected[sure])


def test_inside_out_meshes_are_refused_whole_or_in_part():
    vertices, faces = sphere(8.0, (10, 11, 12))
    other = sphere(4.0, (25.3, 25.1, 24.9))
    for mesh in ((vertices, faces[:, ::-1]), joined((vertices, faces), (other[0], other[1][:, ::-1]))):
        with pytest.raises(InputError, match="must look outward") as caught:
            occupancy(*mesh, SHAPE)
        assert caught.value.reason == "inside-out-mesh"
    # Where the grid holds none of it, the volume still tells.
    with pytest.raises(InputError, match="must look outward, look inward"):
        occupancy(vertices + 100, faces[:, ::-1], SHAPE)


def test_small_pocket_turned_inside_out_is_no_solid():
    vertices, faces = sphere(8.0, (10, 11, 12))
    fold = sphere(2.0, (25.3, 25.1, 24.9), subdivisions=3)  # 1.6 % of the ball
    inside = occupancy(*joined((vertices, faces), (fold[0], fold[1][:, ::-1])), SHAPE)
    assert_array_equal(inside, occupancy(vertices, faces, SHAPE))


VERTICES, FACES = box((3, 4, 5), (9, 11, 20))
POISONED = np.where(np.arange(24).reshape(8, 3) == 13, np.nan, VERTICES)


@pytest.mark.parametrize(
    ("vertices", "faces", "what"),
    [
        (POISONED, FACES, "must be finite"),
        (np.where(np.isnan(POISONED), np.inf, VERTICES), FACES, "must be finite"),
        (VERTICES * 1e5, FACES, "within 4096 voxels, reaches 2e"),
        (VERTICES, FACES[:0], "must have faces"),
        (VERTICES, FACES + 1, "must name its 8 vertices, names 1 to 8"),
        (VERTICES, FACES - 1, "names -1"),
        (VERTICES[:0], FACES, "must name its 0 vertices"),
        (VERTICES * [1, 1, 0], FACES, "is flat"),
        (np.concatenate([VERTICES] * 140), np.concatenate([FACES + 8 * k for k in range(140)]), "127 layers"),
    ],
)
def test_malformed_meshes_are_refused_with_the_reason(vertices, faces, what):
    with pytest.raises(InputError, match=what) as caught:
        occupancy(vertices, faces, SHAPE)
    assert caught.value.reason == "malformed-mesh"


def test_wrong_shapes_are_value_errors():
    for shape in ((0, 4, 4), (4, 4)):
        with pytest.raises(ValueError, match="three positive numbers"):
            occupancy(VERTICES, FACES, shape)
    with pytest.raises(ValueError, match=r"\(V 3\) and \(F 3\)"):
        occupancy(VERTICES[:, :2], FACES, SHAPE)


@given(st.tuples(*[st.integers(1, 40)] * 3), st.tuples(*[st.integers(-20, 20)] * 3))
@settings(max_examples=25, deadline=None)
def test_what_lies_outside_the_grid_is_cut_and_moves_nothing(shape, shift):
    vertices, faces = sphere(subdivisions=2)
    whole = np.zeros((80, 80, 80), bool)
    whole[20:60, 20:60, 20:60] = occupancy(vertices, faces, (40, 40, 40))
    window = tuple(slice(20 + start, 20 + start + size) for start, size in zip(shift, shape, strict=True))
    assert_array_equal(occupancy(vertices - shift, faces, shape), whole[window])


def test_mesh_far_outside_or_between_centres_fills_nothing():
    assert not occupancy(VERTICES + 1000, FACES, SHAPE).any()
    assert not occupancy(VERTICES * 0.02 + 10.2, FACES, SHAPE).any()
