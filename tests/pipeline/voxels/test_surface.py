"""From mesh to voxels to mesh to voxels."""

import numpy as np
import pytest
import trimesh
from numpy.testing import assert_allclose, assert_array_equal

from pipeline.bodies.model import default_body
from pipeline.meshes import is_watertight
from pipeline.voxels.grids import CUBE, alignment_depth, frustum_grid, orthographic_grid, points_to_vox
from pipeline.voxels.occupancy import occupancy
from pipeline.voxels.surface import surface_from_voxels
from pipeline.voxels.voxelise import voxelise

K = np.array([[300.0, 0, 127.5], [0, 300.0, 127.5], [0, 0, 1]])


def distances(points, vertices, faces):
    import open3d

    scene = open3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(
        open3d.core.Tensor(vertices.astype(np.float32)), open3d.core.Tensor(faces.astype(np.uint32))
    )
    return scene.compute_distance(open3d.core.Tensor(points.astype(np.float32))).numpy()


@pytest.mark.parametrize("make", [orthographic_grid, frustum_grid])
def test_body_comes_back_within_half_a_voxel_and_fills_the_same_voxels(make):
    vertices_m = default_body().posed(np.zeros((1, 24, 3)), np.zeros(10), np.zeros(3)).vertices_m[0]
    vertices_m, faces = vertices_m * [1, -1, -1] + [0, 0, 2.4], default_body().faces
    grid = make(K, alignment_depth(vertices_m, "mean"), CUBE, size_px=256)
    inside, _ = voxelise(vertices_m, faces, grid, CUBE)
    back_m, back_faces = surface_from_voxels(inside, grid)
    assert is_watertight(back_m, back_faces)
    assert_array_equal(voxelise(back_m, back_faces, grid, CUBE)[0], inside)  # outward, or it would be refused
    true, back = points_to_vox(grid, vertices_m), points_to_vox(grid, back_m)
    # A vertex lies half-way between a centre inside and one outside, and the surface somewhere between them.
    to_true, to_back = distances(back, true, faces), distances(true, back, back_faces)
    assert to_true.max() < 0.5 + 1e-4
    # Fingers thinner than a voxel are gone, so the way there has no such bound.
    assert (to_true.mean() + to_back.mean()) / 2 < 0.5


def test_any_volume_gives_a_closed_outward_surface_around_the_same_voxels():
    for seed in range(6):
        inside = np.random.default_rng(seed).random((9, 8, 7)) < (0.1 + 0.15 * seed)  # touches every border
        vertices, faces = surface_from_voxels(inside, np.eye(4))
        edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] % 2 == 0).all()
        assert trimesh.Trimesh(vertices, faces, process=False).volume > 0
        assert_array_equal(occupancy(vertices, faces, inside.shape), inside)


def test_single_voxel_is_an_octahedron_around_its_centre():
    inside = np.zeros((5, 6, 7), bool)
    inside[1, 4, 6] = True
    vertices, faces = surface_from_voxels(inside, np.eye(4))
    assert len(vertices) == 6 and len(faces) == 8
    assert_allclose(np.abs(vertices - [1, 4, 6]).sum(axis=1), 0.5)
    assert trimesh.Trimesh(vertices, faces, process=False).volume == pytest.approx(4 / 3 * 0.5**3)


def test_smooth_volume_gives_the_sphere_where_it_passes_the_level():
    points = np.stack(np.meshgrid(*[np.arange(32.0)] * 3, indexing="ij"), axis=-1) - [15.2, 16.1, 14.7]
    away = np.linalg.norm(points, axis=-1)
    volume = np.clip(0.5 + (9 - away) / 4, 0, 1)
    for level, radius in ((0.5, 9.0), (0.25, 10.0)):
        vertices, _ = surface_from_voxels(volume, np.eye(4), level=level)
        # Linear steps across a voxel of a sphere: 1 / (8 radius) of sag at most.
        assert_allclose(np.linalg.norm(vertices - [15.2, 16.1, 14.7], axis=1), radius, atol=1 / (8 * 9.0))


def test_grid_moves_the_surface():
    inside = np.zeros((6, 6, 6), bool)
    inside[2:4, 1:5, 3] = True
    grid = np.array([[0.1, 0, 0, 3], [0, 0.2, 0, 4], [0, 0, 0.3, 5], [0, 0, 0, 1]])
    plain, faces = surface_from_voxels(inside, np.eye(4))
    moved, same = surface_from_voxels(inside, grid)
    assert_array_equal(faces, same)
    assert_allclose(moved, plain * [0.1, 0.2, 0.3] + [3, 4, 5])


def test_empty_volume_has_no_surface_and_bad_ones_are_refused():
    vertices, faces = surface_from_voxels(np.zeros((4, 4, 4), bool), np.eye(4))
    assert vertices.shape == (0, 3) and faces.shape == (0, 3)
    for volume, level in (
        (np.full((4, 4, 4), np.nan), 0.5),
        (np.ones((4, 4)), 0.5),
        (np.ones((4, 4, 4)), 0.0),
    ):
        with pytest.raises(ValueError, match="surface_from_voxels"):
            surface_from_voxels(volume, np.eye(4), level=level)
