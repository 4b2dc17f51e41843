"""The block count is compared with dense marching in plain numpy, and with what fusion then allocates."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cameras import pixel_rays
from pipeline.errors import GateError, StageError
from pipeline.fusion import DepthView, bounds, clip_depth
from pipeline.fusion.bounds import (
    band_of,
    block_coordinates,
    check_volume,
    estimate_volume,
    touched_blocks,
)
from pipeline.fusion.volume import Volume

RANGE = {"depth_min_m": 0.2, "depth_max_m": 3.0}


@pytest.fixture(scope="module")
def views(sphere_views: Callable, orbit: Callable, figure: np.ndarray) -> list[DepthView]:
    return sphere_views(figure, orbit(6))


def dense_blocks(view: DepthView, block_m: float, reach_m: tuple[float, float]) -> set[tuple[int, int, int]]:
    rays = pixel_rays(view.K, *view.depth_m.shape)
    blocks = set()
    for offset_m in np.linspace(-reach_m[0], reach_m[1], 200):
        points = rays * (view.depth_m + offset_m)[..., None]
        points = points[view.depth_m > 0] @ view.world_from_cam[:3, :3].T + view.world_from_cam[:3, 3]
        blocks |= set(map(tuple, np.unique(np.floor(points / block_m).astype(int), axis=0).tolist()))
    return blocks


@pytest.mark.parametrize(
    ("voxel_m", "trunc_m", "behind_m"), [(0.01, 0.04, 0.04), (0.01, 0.2, 0.06)], ids=["narrow", "wide"]
)
def test_touched_blocks_are_those_that_dense_marching_meets(
    views: list[DepthView], voxel_m: float, trunc_m: float, behind_m: float
) -> None:
    block_m, band = 8 * voxel_m, band_of(voxel_m, trunc_m, 0.0)
    dense = dense_blocks(views[1], block_m, (trunc_m, behind_m))
    found = block_coordinates(touched_blocks(views[1], band=band, block_m=block_m)).tolist()
    assert set(map(tuple, found)) <= dense
    # Only blocks that single rays clip at a corner may be missing.
    assert len(found) > 0.9 * len(dense)


def test_a_band_of_many_sigmas_widens_with_range_up_to_three_times_its_half_width(K: np.ndarray) -> None:
    def blocks(z_m: float, sigmas: float) -> int:
        view = DepthView(depth_m=np.full((120, 160), z_m, np.float32), K=K, world_from_cam=np.eye(4))
        return len(touched_blocks(view, band=band_of(0.005, 0.02, sigmas), block_m=0.04))

    assert blocks(0.3, 15.0) == blocks(0.3, 0.0)  # 15 sigmas are 16 mm there
    assert blocks(2.0, 15.0) > 1.4 * blocks(
        2.0, 0.0
    )  # 45 mm to each side of 20: and what sticks out of blocks
    assert blocks(2.0, 1000.0) == blocks(2.0, 20.0)  # 60 mm is the most


@given(shift=st.tuples(*[st.integers(-50, 50)] * 3))
def test_moving_the_world_by_whole_blocks_moves_the_blocks(
    views: list[DepthView], shift: tuple[int, int, int]
) -> None:
    block_m, band = 0.125, band_of(0.015625, 0.04, 0.0)  # powers of two, so that the shift is exact
    moved = views[0].world_from_cam.copy()
    moved[:3, 3] = np.round(moved[:3, 3] * 1024) / 1024
    here = replace(views[0], world_from_cam=moved.copy())
    moved[:3, 3] += np.array(shift) * block_m
    there = replace(views[0], world_from_cam=moved)
    expected = block_coordinates(touched_blocks(here, band=band, block_m=block_m)) + np.array(shift)
    found = block_coordinates(touched_blocks(there, band=band, block_m=block_m))
    assert set(map(tuple, expected.tolist())) == set(map(tuple, found.tolist()))


def test_the_estimate_is_what_fusion_allocates(views: list[DepthView]) -> None:
    estimate = estimate_volume(views, voxel_m=0.01, trunc_m=0.03, **RANGE)
    volume = Volume(voxel_m=0.01, trunc_m=0.03, limit_gb=1.0, reserve=estimate.blocks)
    room = len(volume.coordinates)
    for view in views:
        volume.integrate(clip_depth(view, 0.2, 3.0))
    assert volume.blocks == estimate.blocks == room == len(volume.coordinates)  # it never grew
    assert volume.nbytes < estimate.peak_bytes


@pytest.mark.parametrize("limit", [64, 256])
def test_a_count_in_coarser_blocks_is_within_30_percent(
    views: list[DepthView], monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    exact = estimate_volume(views, voxel_m=0.004, trunc_m=0.012, **RANGE).blocks
    monkeypatch.setattr(bounds, "MAX_COUNTED_BLOCKS", limit)
    assert exact > limit
    assert estimate_volume(views, voxel_m=0.004, trunc_m=0.012, **RANGE).blocks == pytest.approx(
        exact, rel=0.3
    )


def tilted_plane_view(focal_px: float, height: int, width: int) -> DepthView:
    K = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
    depth_m = 1.0 / (pixel_rays(K, height, width) @ np.array([0.4, 0.3, 1.0]))
    return DepthView(depth_m=depth_m.astype(np.float32), K=K, world_from_cam=np.eye(4))


def test_blocks_between_pixels_that_lie_far_apart_are_counted_too() -> None:
    coarse, fine = tilted_plane_view(40, 30, 40), tilted_plane_view(640, 480, 640)  # one field of view
    settings = {"voxel_m": 0.0015, "trunc_m": 0.006, **RANGE}
    exact = estimate_volume([fine], **settings).blocks
    assert estimate_volume([coarse], **settings).blocks == pytest.approx(exact, rel=0.3)


@pytest.mark.parametrize(
    "settings",
    [
        {"voxel_m": 1e-4, "trunc_m": 0.04, "depth_min_m": 0.2, "depth_max_m": 3.0},
        {"voxel_m": 1e-4, "trunc_m": 5.0, "depth_min_m": 0.01, "depth_max_m": 50.0},
        {"voxel_m": 1e-7, "trunc_m": 0.04, "depth_min_m": 0.2, "depth_max_m": 3.0},
    ],
)
def test_a_senseless_setting_is_refused(views: list[DepthView], settings: dict[str, float]) -> None:
    far = [replace(view, depth_m=view.depth_m * settings["depth_max_m"] / 3) for view in views]
    estimate = estimate_volume(far, **settings)
    with pytest.raises(StageError) as caught:
        check_volume(
            estimate,
            voxel_m=settings["voxel_m"],
            trunc_m=settings["trunc_m"],
            depth_max_m=settings["depth_max_m"],
            limit_gb=8.0,
        )
    for setting in ("voxel_m", "trunc_m", "depth_max_m"):
        assert f"stages.fuse.{setting} (is {settings[setting]:g} m)" in str(caught.value)
    assert f"needs {estimate.peak_bytes / 1e9:.1f} GB" in str(caught.value)


def test_a_volume_that_fits_passes(views: list[DepthView]) -> None:
    estimate = estimate_volume(views, voxel_m=0.01, trunc_m=0.03, **RANGE)
    check_volume(estimate, voxel_m=0.01, trunc_m=0.03, depth_max_m=3.0, limit_gb=estimate.peak_bytes / 1e9)


def test_depth_out_of_range_touches_nothing(views: list[DepthView]) -> None:
    assert estimate_volume(views, voxel_m=0.01, trunc_m=0.03, depth_min_m=2.0, depth_max_m=3.0).blocks == 0


def test_a_camera_beyond_the_grid_is_named(views: list[DepthView]) -> None:
    pose = views[0].world_from_cam.copy()
    pose[0, 3] = 1e9
    with pytest.raises(GateError, match="must lie within 167772 m of the world's origin"):
        touched_blocks(replace(views[0], world_from_cam=pose), band=band_of(0.02, 0.04, 0.0), block_m=0.16)
