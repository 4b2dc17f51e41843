"""Rims of meshes with known openings, and meshes with fewer faces."""

from collections.abc import Callable

import numpy as np
import pytest
import trimesh

from pipeline.fusion.integrate import FuseOptions, fuse
from pipeline.fusion.marching import FusedMesh, mesh_of
from pipeline.fusion.mesh_parts import find_holes, simplified
from pipeline.meshes import canonical_mesh, is_watertight

SETTINGS = {"voxel_m": 0.01, "trunc_m": 0.03, "min_weight": 1.0, "depth_min_m": 0.2, "depth_max_m": 3.0}


@pytest.fixture(scope="module")
def ball() -> FusedMesh:
    shape = trimesh.creation.icosphere(subdivisions=4, radius=0.3)
    weight = np.where(shape.vertices[:, 0] > 0, 7, 3).astype(np.float32)
    arrays = canonical_mesh(
        shape.vertices, shape.faces, weight, weight / 1000, np.zeros((len(weight), 3), np.uint8)
    )
    return mesh_of(*arrays)


def test_a_closed_mesh_has_no_holes(ball: FusedMesh) -> None:
    assert find_holes(ball.vertices, ball.faces).count == 0


def test_holes_are_counted_and_measured() -> None:
    box = trimesh.creation.box((1, 2, 3)).subdivide().subdivide()
    middle = box.triangles_center
    left_out = middle[:, 2] > 1.499
    for side in (-0.5, 0.5):
        left_out[np.argmin(np.linalg.norm(middle - (side, 0, 0), axis=1))] = True
    holes = find_holes(box.vertices, box.faces[~left_out].astype(np.int32))
    assert holes.count == 3
    assert holes.largest_m == pytest.approx(6.0)  # the lid of 1 x 2
    rims = trimesh.Trimesh(box.vertices, box.faces[~left_out], process=False)
    single = rims.edges_sorted[trimesh.grouping.group_rows(rims.edges_sorted, require_count=1)]
    assert holes.rim_m == pytest.approx(np.linalg.norm(np.diff(box.vertices[single], axis=1), axis=2).sum())


def test_a_simplified_ball_stays_a_ball_and_keeps_its_attributes(ball: FusedMesh) -> None:
    fewer = simplified(ball, 1000)
    assert len(fewer.faces) <= 1000
    assert is_watertight(fewer.vertices, fewer.faces)
    assert np.abs(np.linalg.norm(fewer.vertices, axis=1) - 0.3).max() < 0.006
    clear = np.abs(fewer.vertices[:, 0]) > 0.03
    assert np.array_equal(fewer.weight[clear], np.where(fewer.vertices[clear, 0] > 0, 7, 3))
    assert fewer.sigma_m == pytest.approx(fewer.weight / 1000)


def test_crumbs_are_left_out(sphere_views: Callable, orbit: Callable) -> None:
    views = sphere_views(np.array([(0, 0, 0, 0.2), (0.35, 0, 0, 0.03)]), orbit(6))
    whole = fuse(views, **SETTINGS)
    large = fuse(views, **SETTINGS, options=FuseOptions(min_component_faces=1000))
    assert (whole.vertices[:, 0] > 0.3).any()
    assert not (large.vertices[:, 0] > 0.3).any()
    assert len(large.vertices) == len(large.weight) == len(large.sigma_m)


def test_a_fused_mesh_can_be_simplified_and_coloured(sphere_views: Callable, orbit: Callable) -> None:
    from dataclasses import replace

    views = [
        replace(view, rgb=np.full((*view.depth_m.shape, 3), (10, 200, 90), np.uint8))
        for view in sphere_views(np.array([(0, 0, 0, 0.2)]), orbit(6))
    ]
    mesh = fuse(views, **SETTINGS, options=FuseOptions(with_colour=True, max_faces=500))
    assert 0 < len(mesh.faces) <= 500
    assert np.abs(mesh.rgb.astype(int) - (10, 200, 90)).max() <= 1
