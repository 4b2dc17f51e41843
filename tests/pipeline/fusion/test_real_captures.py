"""A close-range capture with a regular hole grid, and a room: measured figures, both ways round."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cameras import invert_rigid, pixel_rays
from pipeline.errors import GateError
from pipeline.fusion import DepthView
from pipeline.fusion.bounds import estimate_volume
from pipeline.fusion.integrate import fuse
from pipeline.fusion.marching import FusedMesh
from pipeline.fusion.pose_check import check_pose_direction
from pipeline.fusion.residual import ResidualStats, depth_residual, residual_stats

pytestmark = pytest.mark.real_data

SHELF = {"voxel_m": 0.003, "trunc_m": 0.024, "depth_min_m": 0.1, "depth_max_m": 1.0}


def read_views(folder: Path, K: np.ndarray, step: int) -> list[DepthView]:
    views = []
    for path in sorted(folder.glob("*.depth.png"))[::step]:
        depth_mm = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        depth_m = np.where(depth_mm == 65535, 0, depth_mm).astype(np.float32) / 1000
        pose = np.loadtxt(path.with_name(path.name.replace(".depth.png", ".pose.txt")))
        views.append(DepthView(depth_m=depth_m, K=K, world_from_cam=pose))
    if not views:
        pytest.skip(f"{folder.name} is not among the captures")
    return views


@pytest.fixture(scope="module")
def captures() -> dict[str, list[DepthView]]:
    told = os.environ.get("BODYTRUTH_DATA_ROOT")
    if not told:
        pytest.skip("BODYTRUTH_DATA_ROOT is not set: the real captures may not be shipped")
    K_shelf = np.array([[615.195, 0, 298.443], [0, 615.195, 247.519], [0, 0, 1]])
    K_room = np.array([[585.0, 0, 320], [0, 585, 240], [0, 0, 1]])
    return {
        "shelf": read_views(Path(told) / "apc_shelf_posed50", K_shelf, 3),
        "room": read_views(Path(told) / "7scenes-room", K_room, 10),
    }


def residual_of(mesh: FusedMesh, views: Sequence[DepthView]) -> ResidualStats:
    import open3d as o3d

    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor(mesh.vertices.astype(np.float32)), o3d.core.Tensor(mesh.faces.astype(np.uint32))
    )
    counts = np.zeros(1, np.int64)
    for view in views:
        rays = np.zeros((*view.depth_m.shape, 6), np.float32)
        rays[..., :3] = view.world_from_cam[:3, 3]
        rays[..., 3:] = pixel_rays(view.K, *view.depth_m.shape) @ view.world_from_cam[:3, :3].T
        surface_m = scene.cast_rays(o3d.core.Tensor(rays))["t_hit"].numpy()
        counts = counts + depth_residual(view.depth_m, surface_m, depth_min_m=0.1, depth_max_m=1.0)
    return residual_stats(counts)


def test_the_shelf_fits_within_3_mm_over_90_percent_of_its_raw_pixels(
    captures: dict[str, list[DepthView]],
) -> None:
    views = captures["shelf"]
    estimate = estimate_volume(views, **SHELF)
    mesh = fuse(views, **SHELF, min_weight=1.0, block_count=estimate.blocks)
    stats = residual_of(mesh, views)
    assert stats.median_m <= 0.003
    assert stats.coverage >= 0.90
    assert abs(stats.bias_m) <= 0.0005  # noise pulls the surface no way


@pytest.mark.parametrize("name", ["shelf", "room"])
def test_inverted_poses_are_caught_and_given_ones_pass(
    captures: dict[str, list[DepthView]], name: str
) -> None:
    views = captures[name]
    given = check_pose_direction(views, depth_min_m=0.1, depth_max_m=3.5)
    assert given.given_better >= 5
    assert given.inverted_better == 0
    inverted = [replace(view, world_from_cam=invert_rigid(view.world_from_cam)) for view in views]
    with pytest.raises(GateError, match="Invert them"):
        check_pose_direction(inverted, depth_min_m=0.1, depth_max_m=3.5)
