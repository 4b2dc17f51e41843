"""Depth maps as meshes: known surfaces, the compiled twin, and files that other readers open."""

import numpy as np
import pytest

from pipeline.cameras import project
from pipeline.visibility import vertex_normals
from training.meshes import depth_mesh, fit_normals, write_ply

K = np.array([[80.0, 0, 15.5], [0, 80.0, 11.5], [0, 0, 1]])
SIZE_HW = (24, 32)


def sphere() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth and mask of a sphere of 0.25 m around (0, 0, 2), and its points' outward directions."""
    v, u = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(SIZE_HW)], -1)
    a, b = np.sum(rays**2, -1), 2 * rays[..., 2]
    inside = b**2 - a * (4 - 0.25**2)
    mask = inside > 0
    depth_m = np.where(mask, (b - np.sqrt(np.maximum(inside, 0))) / a, 0)
    return depth_m, mask, (rays * depth_m[..., None] - [0, 0, 2]) / 0.25


def test_vertices_are_the_pixels_of_the_mask_and_project_back_onto_them():
    depth_m, mask, _ = sphere()
    vertices, faces, pixel = depth_mesh(depth_m, mask, K, max_step_m=0.1)
    np.testing.assert_array_equal(pixel, np.flatnonzero(mask))
    places = project(vertices, K)
    expected = np.column_stack([pixel % SIZE_HW[1], pixel // SIZE_HW[1]])
    np.testing.assert_allclose(places, expected, atol=1e-4)  # float32 metres times 80 px / m
    assert faces.dtype == np.int32 and faces.max() < len(vertices)


def test_plane_becomes_two_triangles_a_square_without_a_gap():
    depth_m, mask = np.full(SIZE_HW, 2.0), np.ones(SIZE_HW, bool)
    vertices, faces, _ = depth_mesh(depth_m, mask, K, max_step_m=0.01)
    assert len(faces) == 2 * (SIZE_HW[0] - 1) * (SIZE_HW[1] - 1)
    a, b, c = (vertices[faces[:, corner]].astype(float) for corner in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    assert area == pytest.approx((SIZE_HW[0] - 1) * (SIZE_HW[1] - 1) * (2 / 80) ** 2, rel=1e-5)  # float32


def test_no_triangle_spans_a_depth_step_or_leaves_the_mask():
    depth_m = np.full(SIZE_HW, 2.0)
    depth_m[:, 16:] = 2.2
    mask = np.ones(SIZE_HW, bool)
    mask[5, 5] = False
    depth_m[5, 5] = np.nan
    vertices, faces, _ = depth_mesh(depth_m, mask, K, max_step_m=0.05)
    corners = vertices[faces]
    assert np.isfinite(corners).all()
    assert np.ptp(corners[..., 2], axis=1).max() == 0
    # of 23 x 31 squares, a column of 23 spans the step; the hole takes the 4 around it but for one triangle
    # each at the two corners where the diagonal passes it by, or none at all
    whole = 2 * (23 * 31 - 23)
    assert whole - 8 <= len(faces) <= whole - 4
    narrow = depth_mesh(depth_m, mask, K, max_step_m=0.3)[1]
    assert len(narrow) == len(faces) + 2 * 23


def test_square_is_split_along_the_smaller_step():
    depth_m = np.array([[2.0, 2.0], [2.0, 2.04]])
    faces = depth_mesh(depth_m, np.ones((2, 2), bool), K, max_step_m=1)[1]
    # corner 3 lies back: the edge 1-2 keeps the other three flat
    assert sorted(map(sorted, faces.tolist())) == [[0, 1, 2], [1, 2, 3]]


def test_mesh_normals_of_a_sphere_are_radial_and_face_the_camera():
    depth_m, mask, outward = sphere()
    vertices, faces, pixel = depth_mesh(depth_m, mask, K, max_step_m=0.05)
    normals = vertex_normals(vertices, faces)
    inner = np.hypot(*(vertices[:, :2].T)) < 0.15
    angle = np.degrees(np.arccos(np.clip(np.sum(normals * outward.reshape(-1, 3)[pixel], 1), -1, 1)))
    assert np.median(angle[inner]) < 1.5  # 25 mm pixels on a 250 mm sphere: facets of 6 degrees, averaged
    assert (np.sum(normals * vertices, 1)[inner] < 0).all()


@pytest.mark.parametrize("window_px", [3, 5, 7])
def test_fitted_normals_agree_with_the_compiled_ones(window_px):
    from pipeline.normals import normals_from_depth

    depth_m, mask, _ = sphere()
    rng = np.random.default_rng(window_px)
    depth_m = (depth_m + 0.004 * rng.standard_normal(SIZE_HW)).astype(np.float32)
    mask &= rng.random(SIZE_HW) < 0.9
    mask[2, 3:9] = depth_m[2, 3:9] = 2  # neighbours on one image line give no plane
    depth_m[~mask] = np.nan
    mine = fit_normals(depth_m, mask, K, window_px=window_px, max_step_m=0.03)
    theirs, _ = normals_from_depth(depth_m, mask, K, window_px=window_px, max_step_m=0.03)
    np.testing.assert_array_equal(mine.any(-1), theirs.any(-1))
    np.testing.assert_allclose(mine, theirs, atol=1e-5)  # float32 results of sums in another order
    assert mine.any(-1).sum() > 100 and not mine[2, 5].any()


def test_normals_of_nothing_are_nothing():
    none = fit_normals(np.ones(SIZE_HW), np.zeros(SIZE_HW, bool), K, window_px=5, max_step_m=0.03)
    assert none.shape == (*SIZE_HW, 3) and not none.any()


def test_ply_is_read_back_equal_by_another_reader(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    depth_m, mask, _ = sphere()
    vertices, faces, pixel = depth_mesh(depth_m, mask, K, max_step_m=0.05)
    colours = np.arange(3 * len(vertices)).reshape(-1, 3).astype(np.uint8)
    attributes = dict(zip(("red", "green", "blue"), colours.T, strict=True)) | {
        "quality": depth_m.ravel()[pixel]
    }
    write_ply(tmp_path / "a.ply", vertices, faces, attributes)
    read = trimesh.load(tmp_path / "a.ply", process=False)
    np.testing.assert_array_equal(read.vertices, vertices.astype(np.float64))
    np.testing.assert_array_equal(read.faces, faces)
    np.testing.assert_array_equal(read.visual.vertex_colors[:, :3], colours)
    write_ply(tmp_path / "b.ply", vertices, faces, attributes)
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()
