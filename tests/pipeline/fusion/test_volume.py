"""Volumes of planes and spheres: what they hold, how they grow, and what their rays see."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.cameras import pixel_rays
from pipeline.errors import StageError
from pipeline.fusion import DepthView
from pipeline.fusion.raycast import ModelView
from pipeline.fusion.volume import Volume

Array = np.ndarray
RANGE = {"depth_min_m": 0.2, "depth_max_m": 4.0}
SPHERE = np.array([(0.0013, 0.0021, -0.0017, 0.1)])  # off the voxel grid
WIDE_K = np.array([[292.0, 0, 155.5], [0, 292, 116.5], [0, 0, 1]])


def plane_view(normal: tuple[float, float, float], z_m: float = 1.2) -> tuple[DepthView, Array]:
    """A view (234 x 312) of the plane through (0, 0, z_m), and the plane's unit normal."""
    n = np.array(normal) / np.linalg.norm(normal)
    depth_m = z_m * n[2] / (pixel_rays(WIDE_K, 234, 312) @ n)
    depth_m = np.where((depth_m > 0) & (depth_m < 3), depth_m, 0).astype(np.float32)
    return DepthView(depth_m=depth_m, K=WIDE_K, world_from_cam=np.eye(4)), n


def volume_of(views: list[DepthView], **settings: float) -> Volume:
    volume = Volume(**{"voxel_m": 0.005, "trunc_m": 0.04, "limit_gb": 1.0, **settings})
    for view in views:
        volume.integrate(view)
    return volume


def seen_by(volume: Volume, view: DepthView) -> ModelView:
    height, width = view.depth_m.shape
    return volume.raycast(view.K, view.world_from_cam, height=height, width=width, **RANGE)


@pytest.fixture(scope="module")
def all_around(sphere_views: Callable) -> list[DepthView]:
    """A sphere of 0.1 m from 14 sides, 0.6 m away."""
    axes = [(1, 0, 0), (0, 0, 1), (0.01, 1, 0), (1, 1, 0), (1, -1, 0), (0, 1, 1), (0, -1, 1)]
    eyes = np.array([*axes, *(-np.array(axis) for axis in axes)])
    return sphere_views(SPHERE, 0.6 * eyes / np.linalg.norm(eyes, axis=1, keepdims=True))


@pytest.fixture(scope="module")
def sphere(all_around: list[DepthView]) -> Volume:
    return volume_of(all_around)


@pytest.mark.parametrize("voxel_m", [0.005, 0.02])
@pytest.mark.parametrize("normal", [(0, 0, 1), (0.5, 0, 1), (0, 0.5, 1), (-0.5, 0.3, 1), (1, 0, 1)])
def test_rays_meet_a_tilted_plane_where_it_is(normal: tuple[float, float, float], voxel_m: float) -> None:
    view, n = plane_view(normal)
    model = seen_by(volume_of([view], voxel_m=voxel_m, trunc_m=4 * voxel_m), view)
    inner = np.zeros(view.depth_m.shape, bool)
    inner[20:-20, 20:-20] = view.depth_m[20:-20, 20:-20] > 0
    hit = inner & (model.depth_m > 0)
    assert hit.sum() > 0.95 * inner.sum()
    error_m = model.depth_m[hit] - view.depth_m[hit]
    # Depth is held to 4 um, tilt to 1/4000 of the depth per pixel: a thirtieth of a millimetre at the most.
    assert abs(error_m.mean()) < 3e-5
    assert np.sqrt((error_m**2).mean()) < 1e-4
    angle_deg = np.degrees(np.arccos(np.clip(-(model.normal[hit] @ n), -1, 1)))
    assert np.median(angle_deg) < 0.5
    assert np.abs(np.linalg.norm(model.normal[hit], axis=1) - 1).max() < 1e-5


def test_a_small_sphere_is_not_inflated(sphere: Volume, all_around: list[DepthView]) -> None:
    # The band is 40 mm wide, the sphere's radius 100: distances along the rays alone make it 1.8 mm too large.
    for view in all_around[:4]:
        model = seen_by(sphere, view)
        hit = model.depth_m > 0
        rays = pixel_rays(view.K, *hit.shape)[hit] * model.depth_m[hit][:, None]
        points = rays @ view.world_from_cam[:3, :3].T + view.world_from_cam[:3, 3] - SPHERE[0, :3]
        radius_m = np.linalg.norm(points, axis=1)
        assert abs(np.median(radius_m) - 0.1) < 1.5e-4
        normals_world = model.normal[hit] @ view.world_from_cam[:3, :3].T
        assert np.median((normals_world * points).sum(axis=1) / radius_m) > np.cos(np.radians(4))
        assert ((model.normal[hit] * rays).sum(axis=1) < 0).all()


def test_rays_and_mesh_agree(sphere: Volume, all_around: list[DepthView]) -> None:
    import open3d as o3d

    mesh, view = sphere.mesh(min_weight=1), all_around[2]
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor(mesh.vertices.astype(np.float32)), o3d.core.Tensor(mesh.faces.astype(np.uint32))
    )
    rays = np.zeros((*view.depth_m.shape, 6), np.float32)
    rays[..., :3] = view.world_from_cam[:3, 3]
    rays[..., 3:] = pixel_rays(view.K, *view.depth_m.shape) @ view.world_from_cam[:3, :3].T
    mesh_m, model_m = scene.cast_rays(o3d.core.Tensor(rays))["t_hit"].numpy(), seen_by(sphere, view).depth_m
    both = np.isfinite(mesh_m) & (model_m > 0)
    assert both.sum() > 0.9 * np.isfinite(mesh_m).sum()
    # Chords of a triangle lie inside the trilinear surface by up to voxel^2 / (8 r), 0.03 mm.
    assert np.median(np.abs(mesh_m - model_m)[both]) < 5e-5


def test_the_index_grows_without_loss(all_around: list[DepthView]) -> None:
    far = []
    for view in all_around:
        pose = view.world_from_cam.copy()
        pose[:3, 3] += (3.0, -2.0, 1.0)
        far.append(replace(view, world_from_cam=pose))
    alone, both = volume_of(far), volume_of([*all_around, *far])
    assert both.index.size > alone.index.size
    assert both.blocks == alone.blocks + volume_of(all_around).blocks
    there = both.mesh(min_weight=1).vertices
    assert (there[:, 0] > 1).sum() == len(alone.mesh(min_weight=1).vertices)


def test_room_made_beforehand_changes_nothing(all_around: list[DepthView], sphere: Volume) -> None:
    roomy, ours = volume_of(all_around, reserve=5000), sphere.mesh(min_weight=1)
    theirs = roomy.mesh(min_weight=1)
    for name in ("vertices", "faces", "weight", "sigma_m"):
        assert getattr(ours, name).tobytes() == getattr(theirs, name).tobytes()


def test_a_volume_that_outgrows_its_limit_is_refused(all_around: list[DepthView]) -> None:
    with pytest.raises(StageError, match=r"at most 0\.002 GB.*stages\.fuse\.voxel_m \(is 0\.005 m\)"):
        volume_of(all_around, limit_gb=0.002)


def test_a_view_without_depth_leaves_the_volume_empty() -> None:
    empty = DepthView(depth_m=np.zeros((234, 312), np.float32), K=WIDE_K, world_from_cam=np.eye(4))
    volume = volume_of([empty])
    assert volume.blocks == 0
    assert not seen_by(volume, empty).depth_m.any()


def test_near_and_upright_counts_more_than_far_and_slanted() -> None:
    def weight(normal: tuple[float, float, float], z_m: float) -> float:
        view = plane_view(normal, z_m)[0]
        middle = np.zeros_like(view.depth_m)
        middle[110:124, 148:162] = view.depth_m[110:124, 148:162]
        volume = volume_of([replace(view, depth_m=middle)])
        return float(volume.weight[volume.weight > 0].max())

    assert weight((0, 0, 1), 0.6) > 1.5 * weight((0, 0, 1), 1.2)
    assert weight((0, 0, 1), 1.2) > 1.2 * weight((1, 0, 1), 1.2)


def test_given_sigmas_decide_between_two_depths() -> None:
    near, far = plane_view((0, 0, 1), 1.0)[0], plane_view((0, 0, 1), 1.01)[0]
    volume = volume_of([])
    volume.integrate(near, sigma_m=np.full(near.depth_m.shape, 0.001, np.float32))
    volume.integrate(far, sigma_m=np.full(near.depth_m.shape, 0.002, np.float32))
    model = seen_by(volume, near)
    # Weights 1 and 1/4.
    assert np.median(model.depth_m[model.depth_m > 0]) == pytest.approx(1.002, abs=2e-4)


def test_sigma_follows_the_noise_and_falls_with_the_number_of_views() -> None:
    rng, (view, _) = np.random.default_rng(1), plane_view((0, 0, 1), 1.0)

    def figures(noise_m: float, count: int) -> tuple[float, float]:
        noisy = [
            replace(
                view, depth_m=view.depth_m + rng.normal(0, noise_m, view.depth_m.shape).astype(np.float32)
            )
            for _ in range(count)
        ]
        model = seen_by(volume_of(noisy), view)
        hit = model.depth_m > 0
        return float(np.median(model.sigma_m[hit])), float((model.depth_m[hit] - 1).std())

    few, many, noisy = figures(0.002, 4), figures(0.002, 16), figures(0.006, 16)
    assert many[0] < 0.7 * few[0]
    assert noisy[0] > 2 * many[0]
    for claimed_m, true_m in (few, many, noisy):
        assert 0.5 < claimed_m / true_m < 2.0


def test_colour_comes_back() -> None:
    view, _ = plane_view((0.3, 0, 1))
    u = np.arange(312) / 311
    rgb = np.zeros((234, 312, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = (200 * u).astype(np.uint8), 90
    volume = Volume(voxel_m=0.005, trunc_m=0.04, limit_gb=1.0, with_colour=True)
    for _ in range(40):
        volume.integrate(view, rgb=rgb)
    model = seen_by(volume, view)
    hit = model.depth_m > 0
    # A voxel spans a pixel and more, 0.6 levels each; means of many views must not creep.
    assert np.abs(model.rgb[hit].astype(int) - rgb[hit]).mean() < 2
    mesh = volume.mesh(min_weight=1)
    assert mesh.rgb.shape == mesh.vertices.shape
    assert np.abs(mesh.rgb[:, 1].astype(int) - 90).max() <= 1
    pixels = mesh.vertices[:, 0] / mesh.vertices[:, 2] * WIDE_K[0, 0] + WIDE_K[0, 2]
    assert np.abs(mesh.rgb[:, 0] - 200 * pixels / 311).mean() < 2


def test_a_volume_with_colour_wants_colour() -> None:
    volume = Volume(voxel_m=0.005, trunc_m=0.04, limit_gb=1.0, with_colour=True)
    with pytest.raises(ValueError, match="must bring rgb"):
        volume.integrate(plane_view((0, 0, 1))[0])


def test_views_of_two_cameras_fuse() -> None:
    near, _ = plane_view((0, 0, 1), 1.0)
    K = np.array([[150.0, 0, 79.5], [0, 150, 59.5], [0, 0, 1]])
    pose = np.diag([-1.0, 1, -1, 1])
    pose[2, 3] = 2.0  # opposite, looking back at the same plane from behind, 1 m away
    back = DepthView(depth_m=np.full((120, 160), 1.0, np.float32), K=K, world_from_cam=pose)
    volume = volume_of([near, replace(back, world_from_cam=np.eye(4))])
    model = seen_by(volume, near)
    assert np.median(model.weight[100:130, 140:170]) == 2
    assert np.abs(model.depth_m[100:130, 140:170] - 1).max() < 1e-4


def test_a_surface_seen_from_behind_ends_the_ray() -> None:
    view, _ = plane_view((0, 0, 1), 1.0)
    pose = np.diag([-1.0, 1, -1, 1])
    pose[2, 3] = 2.0
    # Beyond the plane's back lies another plane, which faces that camera.
    beyond = DepthView(depth_m=np.full((234, 312), 1.5, np.float32), K=WIDE_K, world_from_cam=pose)
    behind = volume_of([view, beyond]).raycast(WIDE_K, pose, height=234, width=312, **RANGE)
    assert not behind.depth_m[20:-20, 20:-20].any()
