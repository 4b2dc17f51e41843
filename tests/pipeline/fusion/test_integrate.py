"""Fusion of planes and spheres whose surface is known in closed form."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.cameras import pixel_rays
from pipeline.errors import GateError
from pipeline.fusion import DepthView
from pipeline.fusion.integrate import fuse
from pipeline.fusion.marching import FusedMesh
from pipeline.fusion.residual import depth_residual, residual_stats
from pipeline.meshes import is_watertight

RANGE = {"depth_min_m": 0.2, "depth_max_m": 3.0}
SETTINGS: dict[str, Any] = {"voxel_m": 0.01, "trunc_m": 0.03, "min_weight": 1.0, "block_count": 500, **RANGE}
SPHERE = np.array([(0.0013, 0.0021, -0.0017, 0.2)])  # off the voxel grid


@pytest.fixture(scope="module")
def all_around() -> np.ndarray:
    """Eyes (14 3) over the whole sphere, 1 m from its centre."""
    axes = [(1, 0, 0), (0, 0, 1), (0.01, 1, 0), (0.7, 0.7, 0), (0.7, -0.7, 0), (0, 0.7, 0.7), (0, -0.7, 0.7)]
    eyes = np.array([*axes, *(-np.array(axis) for axis in axes)])
    return eyes / np.linalg.norm(eyes, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def views(sphere_views: Callable, all_around: np.ndarray) -> list[DepthView]:
    return sphere_views(SPHERE, all_around)


@pytest.fixture(scope="module")
def fused(views: list[DepthView]) -> FusedMesh:
    return fuse(views, **SETTINGS)


def fused_plane_bias_m(normal: tuple[float, float, float], *, shift_px: float) -> float:
    """Mean signed distance of the fused mesh from a plane 1 m away, away from the image's rim."""
    K = np.array([[585.0, 0, 311.5], [0, 585, 233.5], [0, 0, 1]])
    n = np.array(normal) / np.linalg.norm(normal)
    depth_m = (n[2] / (pixel_rays(K, 468, 624) @ n)).astype(np.float32)
    K[:2, 2] += shift_px
    view = DepthView(depth_m=depth_m, K=K, world_from_cam=np.eye(4))
    points = fuse([view], **SETTINGS).vertices
    inner = (np.abs(points[:, :2] / points[:, 2:]) < (0.35, 0.25)).all(axis=1)
    return float((points[inner] @ n - n[2]).mean())


@pytest.mark.parametrize("normal", [(0, 0, 1), (0.5, 0, 1), (0, 0.5, 1), (-0.5, 0.3, 1), (1, 0, 1)])
def test_a_tilted_plane_stays_where_it_is(normal: tuple[float, float, float]) -> None:
    # A pixel is 1.7 mm wide there, but its tangent plane is the plane itself.
    assert abs(fused_plane_bias_m(normal, shift_px=0.0)) < 2e-5


@pytest.mark.parametrize("normal", [(0.5, 0, 1), (0, 0.5, 1), (-0.5, 0.3, 1), (1, 0, 1)])
def test_intrinsics_that_are_off_by_half_a_pixel_move_a_tilted_plane(
    normal: tuple[float, float, float],
) -> None:
    # So this is what cutting pixel coordinates off instead of rounding them would do.
    slope = abs(normal[0] + normal[1])
    expected_m = 0.5 / 585 * slope / np.linalg.norm(normal)
    assert abs(fused_plane_bias_m(normal, shift_px=-0.5)) == pytest.approx(expected_m, rel=0.2)


def test_a_sphere_keeps_its_radius_to_a_tenth_of_a_voxel(fused: FusedMesh) -> None:
    radius_m = np.linalg.norm(fused.vertices - SPHERE[0, :3], axis=1)
    assert abs(radius_m.mean() - 0.2) < 0.001
    assert np.abs(radius_m - 0.2).max() < 0.006  # no shells or tails: within the pixel pitch of 7 mm


def test_a_sphere_closes(fused: FusedMesh) -> None:
    assert is_watertight(fused.vertices, fused.faces)


def test_faces_look_at_the_cameras(fused: FusedMesh) -> None:
    a, b, c = (fused.vertices[fused.faces[:, corner]] for corner in range(3))
    outward = np.einsum("ij,ij->i", np.cross(b - a, c - a), (a + b + c) / 3 - SPHERE[0, :3])
    assert (outward > 0).mean() > 0.99  # slivers may turn


def test_noise_free_depth_lies_on_the_fused_sphere(views: list[DepthView], fused: FusedMesh) -> None:
    import open3d as o3d

    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor(fused.vertices.astype(np.float32)), o3d.core.Tensor(fused.faces.astype(np.uint32))
    )
    counts = np.zeros(1, np.int64)
    for view in views:
        rays = np.zeros((*view.depth_m.shape, 6), np.float32)
        rays[..., :3] = view.world_from_cam[:3, 3]
        rays[..., 3:] = pixel_rays(view.K, *view.depth_m.shape) @ view.world_from_cam[:3, :3].T
        surface_m = scene.cast_rays(o3d.core.Tensor(rays))["t_hit"].numpy()
        counts = counts + depth_residual(view.depth_m, surface_m, **RANGE)
    stats = residual_stats(counts)
    assert stats.median_m < 0.001  # a tenth of a voxel
    assert stats.coverage > 0.99  # only rays that graze the rim pass by


def test_two_runs_give_the_same_bytes(views: list[DepthView], fused: FusedMesh) -> None:
    again = fuse(views, **{**SETTINGS, "block_count": 1})  # this one has to grow, besides
    for name in ("vertices", "faces", "weight"):
        assert getattr(again, name).tobytes() == getattr(fused, name).tobytes()


def test_weight_counts_the_frames(views: list[DepthView]) -> None:
    mesh = fuse([views[0]] * 5, **SETTINGS)
    assert set(np.unique(mesh.weight)) == {5.0}
    assert mesh.weight.shape == (len(mesh.vertices),)


def test_surface_seen_too_rarely_is_left_out(views: list[DepthView], fused: FusedMesh) -> None:
    seen_often = fuse(views, **{**SETTINGS, "min_weight": 4.0})
    assert seen_often.weight.min() == 4.0
    assert fused.weight.min() < 4.0
    assert len(seen_often.faces) < len(fused.faces)


@pytest.mark.parametrize("change", [{"depth_max_m": 0.5, "block_count": 0}, {"min_weight": 15.0}])
def test_no_surface_is_a_gate(views: list[DepthView], change: dict[str, float]) -> None:
    with pytest.raises(GateError, match="share a surface") as caught:
        fuse(views, **{**SETTINGS, **change})
    assert caught.value.reason == "no-surface"


def test_depth_out_of_range_leaves_no_trace(views: list[DepthView], fused: FusedMesh) -> None:
    spoiled = []
    for view in views:
        depth_m = view.depth_m.copy()
        depth_m[::7, ::5][depth_m[::7, ::5] == 0] = 3.001
        depth_m[3::7, ::5][depth_m[3::7, ::5] == 0] = 0.199
        depth_m[0, 0] = np.nan
        spoiled.append(replace(view, depth_m=depth_m))
    assert fuse(spoiled, **SETTINGS).vertices.tobytes() == fused.vertices.tobytes()


def test_vertices_are_float32_values(fused: FusedMesh) -> None:
    assert fused.vertices.dtype == np.float64
    assert np.array_equal(fused.vertices.astype(np.float32), fused.vertices)


def test_a_band_narrower_than_two_voxels_is_refused(views: list[DepthView]) -> None:
    with pytest.raises(ValueError, match="trunc_m must be at least 2 voxels, is 0.015 m"):
        fuse(views, **{**SETTINGS, "trunc_m": 0.015})
