"""What fusion makes of exact depth of spheres and tilted planes, whose surfaces are known, and what Open3D makes."""

import numpy as np
from bench_fusion import RANGE, REACH, Row, add_frame, bare_integration, empty_grid, row_of
from numpy.typing import NDArray

from pipeline.cameras import pixel_rays
from pipeline.fusion import DepthView
from pipeline.fusion.integrate import fuse
from pipeline.fusion.volume import Volume


def rows() -> list[Row]:
    """Millimetres between known surfaces and what fusion makes of exact depth of them."""
    found = []
    for radius_m in (0.05, 0.1, 0.2):
        views = sphere_views(radius_m)
        ours = fuse(views, **REACH, min_weight=1.0).vertices
        theirs = bare_integration(views).extract_triangle_mesh(0.5).vertex.positions.numpy()
        ours_mm, peer_mm = (1e3 * abs((np.linalg.norm(v, axis=1) - radius_m).mean()) for v in (ours, theirs))
        name = f"inflation of a sphere of {1e2 * radius_m:g} cm"
        found.append(row_of(name, ours_mm, peer_mm, unit="mm", least_ratio=1.0))
    for slope in (0.0, 0.5, 1.0):
        ours_mm, peer_mm = plane_bias_mm(slope)
        name = f"bias of depth by rays, plane of slope {slope:g}"
        found.append(row_of(name, ours_mm, peer_mm, unit="mm", least_ratio=1.0))
    return found


def sphere_views(radius_m: float) -> list[DepthView]:
    """A sphere about the origin from 20 sides, 0.8 m away, 320 x 240."""
    steps = np.arange(20) + 0.5
    up, turn = 1 - steps / 10, np.pi * (1 + 5**0.5) * steps
    flat = np.sqrt(1 - up**2)
    eyes = 0.8 * np.stack([flat * np.cos(turn), up, flat * np.sin(turn)], axis=1)
    return [_sphere_view(eye, radius_m) for eye in eyes]


def _sphere_view(eye: NDArray[np.float64], radius_m: float) -> DepthView:
    K = np.array([[280.0, 0, 159.5], [0, 280, 119.5], [0, 0, 1]])
    forward = -eye / np.linalg.norm(eye)
    right = np.cross([0.1, 1.0, 0.2], forward)
    right /= np.linalg.norm(right)
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    world_from_cam[:3, 3] = eye
    rays, centre = pixel_rays(K, 240, 320), -eye @ world_from_cam[:3, :3]
    a, b = (rays**2).sum(axis=-1), rays @ centre
    square = b**2 - a * (centre @ centre - radius_m**2)
    depth_m = np.where(square > 0, (b - np.sqrt(np.maximum(square, 0))) / a, 0)
    return DepthView(depth_m=depth_m.astype(np.float32), K=K, world_from_cam=world_from_cam)


def plane_bias_mm(slope: float) -> tuple[float, float]:
    """Mean error of depth by rays, ours and Open3D's, for a plane tilted about the y axis at 1.2 m."""
    import open3d as o3d

    K = np.array([[280.0, 0, 159.5], [0, 280, 119.5], [0, 0, 1]])
    normal = np.array([slope, 0, 1])
    depth_m = (1.2 / (pixel_rays(K, 240, 320) @ normal)).astype(np.float32)
    view = DepthView(depth_m=depth_m, K=K, world_from_cam=np.eye(4))
    volume, grid = Volume(voxel_m=0.005, trunc_m=0.04, limit_gb=1.0), empty_grid(0.005)
    volume.integrate(view)
    add_frame(grid, view, 8.0)
    ours_m = volume.raycast(K, np.eye(4), height=240, width=320, **RANGE).depth_m
    depth, intrinsics, pose = (
        o3d.t.geometry.Image(o3d.core.Tensor(depth_m)),
        o3d.core.Tensor(K),
        o3d.core.Tensor(np.eye(4)),
    )
    blocks = grid.compute_unique_block_coordinates(depth, intrinsics, pose, 1.0, 3.0, 8.0)
    seen = grid.ray_cast(blocks, intrinsics, pose, 320, 240, ["depth"], 1.0, 0.2, 3.0, 1.0, 8.0)
    theirs_m = seen["depth"].numpy().reshape(240, 320)
    middle = (slice(60, 180), slice(80, 240))
    return tuple(1e3 * abs((m - depth_m)[middle][m[middle] > 0].mean()) for m in (ours_m, theirs_m))  # type: ignore[return-value]
