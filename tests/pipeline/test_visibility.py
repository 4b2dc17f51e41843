import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.visibility import GRAZING_COSINE, lean_to_camera, normals_from_visibility, vertex_normals

CUBE = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
# Two triangles a side, whose diagonals meet some corners twice and some not at all.
CUBE_FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
     [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]], dtype=np.int32
)  # fmt: skip
OCTAHEDRON = np.concatenate([np.eye(3), -np.eye(3)])
OCTAHEDRON_FACES = np.array(
    [[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]], dtype=np.int32
)
vectors = hnp.arrays(np.float64, (5, 3), elements=st.floats(-10, 10)).filter(
    lambda a: (np.linalg.norm(a, axis=1) > 1e-3).all()
)


def buffer_normals(face_index, bary, vertices, faces, cam_from_world):
    return normals_from_visibility(
        np.asarray(face_index, dtype=np.int32),
        np.asarray(bary, dtype=np.float32),
        vertices=vertices,
        faces=faces,
        normals_world=vertex_normals(vertices, faces),
        cam_from_world=cam_from_world,
    )


def moved(z_m, turn=None):
    cam_from_world = np.eye(4)
    cam_from_world[:3, :3] = np.eye(3) if turn is None else turn
    cam_from_world[2, 3] = z_m
    return cam_from_world


def test_cube_corners_point_along_the_diagonal_however_its_sides_are_cut():
    # By area or by count, a corner that a side's diagonal meets would weigh that side twice.
    np.testing.assert_allclose(vertex_normals(CUBE, CUBE_FACES), CUBE / np.sqrt(3), atol=1e-15)


def test_faces_without_area_change_nothing_and_make_no_nan():
    vertices = np.concatenate([CUBE, CUBE[:1], [[5.0, 5.0, 5.0]]])
    flat = np.array([[0, 0, 1], [2, 2, 2], [0, 8, 1], [8, 8, 0]], dtype=np.int32)
    normals = vertex_normals(vertices, np.concatenate([CUBE_FACES, flat]))
    np.testing.assert_array_equal(normals[:8], vertex_normals(CUBE, CUBE_FACES))
    assert not normals[8:].any()
    faces = np.concatenate([flat, CUBE_FACES])
    seen = buffer_normals([[4, 0]], np.zeros((1, 2, 2)), vertices, faces, moved(5))
    assert np.isfinite(seen).all() and not seen[0, 1].any()


def test_interpolated_normals_of_an_octahedron_are_radial():
    # Its corner normals are the corners themselves, so weights on them give the point's own direction.
    rng = np.random.default_rng(5)
    face_index = rng.integers(0, 8, (6, 7))
    bary = rng.dirichlet([1, 1, 1], (6, 7))[..., 1:].astype(np.float32)
    a, b, c = np.moveaxis(OCTAHEDRON[OCTAHEDRON_FACES[face_index]], 2, 0)
    u, v = bary[..., :1].astype(np.float64), bary[..., 1:].astype(np.float64)
    radial = (1 - u - v) * a + u * b + v * c
    radial /= np.linalg.norm(radial, axis=2, keepdims=True)
    turn = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
    got = buffer_normals(face_index, bary, OCTAHEDRON, OCTAHEDRON_FACES, moved(50.0, turn))
    radial_cam, points_cam = radial @ turn.T, radial @ turn.T + [0, 0, 50.0]
    side = np.sign(np.sum(radial_cam * points_cam, axis=2, keepdims=True))
    clear = np.abs(radial_cam[..., 2]) > 0.1  # face and point agree on the side; the camera is far away
    np.testing.assert_allclose(got[clear], (-side * radial_cam)[clear], atol=1e-6)
    for sign in (1, -1):
        assert np.count_nonzero(clear & (side[..., 0] == sign)) > 3


def test_misses_are_zero_and_their_weights_are_not_read():
    bary = np.full((2, 2, 2), np.nan)
    bary[0, 0] = 0.25
    got = buffer_normals([[0, -1], [-1, -1]], bary, CUBE, CUBE_FACES, moved(5.0))
    assert np.isclose(np.linalg.norm(got[0, 0]), 1) and not got.reshape(4, 3)[1:].any()


def test_a_rim_normal_is_tilted_not_flipped():
    # One face seen from the front, its corner normals bent 100 degrees away: past the horizon, to the right.
    triangle = np.array([[0.0, 0, 2], [0, 0.1, 2], [0.1, 0, 2]])
    bent = np.tile([np.sin(np.radians(100)), 0, -np.cos(np.radians(100))], (3, 1))
    got = normals_from_visibility(
        np.zeros((1, 1), np.int32), np.zeros((1, 1, 2), np.float32), vertices=triangle,
        faces=np.array([[0, 1, 2]], np.int32), normals_world=bent, cam_from_world=np.eye(4),
    )  # fmt: skip
    np.testing.assert_allclose(got[0, 0], [1, 0, -GRAZING_COSINE], atol=1e-6)


def test_cancelling_corner_normals_leave_the_face_its_own():
    triangle = np.array([[0.0, 0, 2], [0, 0.1, 2], [0.1, 0, 2]])
    opposite = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 0, 0]])
    got = normals_from_visibility(
        np.zeros((1, 1), np.int32), np.full((1, 1, 2), [0.5, 0], np.float32), vertices=triangle,
        faces=np.array([[0, 1, 2]], np.int32), normals_world=opposite, cam_from_world=np.eye(4),
    )  # fmt: skip
    np.testing.assert_allclose(got[0, 0], [0, 0, -1], atol=1e-7)


@given(vectors, vectors)
def test_leaned_normals_face_the_camera_and_facing_ones_stay(normals, points):
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    rays = points / np.linalg.norm(points, axis=1, keepdims=True)
    leaned = lean_to_camera(normals, points)
    # float64 rounding, divided by the smallest component across the ray that still gives a direction
    np.testing.assert_allclose(np.linalg.norm(leaned, axis=1), 1, atol=1e-11)
    assert (np.sum(leaned * rays, axis=1) <= -GRAZING_COSINE + 1e-11).all()
    facing = np.sum(normals * rays, axis=1) <= -GRAZING_COSINE
    np.testing.assert_array_equal(leaned[facing], normals[facing])
    # The least rotation stays in the plane of normal and ray.
    assert np.abs(np.sum(leaned * np.cross(normals, rays), axis=1)).max() < 1e-11
    assert not lean_to_camera(np.zeros((5, 3)), points).any()
