"""Poses the wrong way round are caught wherever the motion tells, and nothing else is."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.cameras import invert_rigid
from pipeline.errors import GateError
from pipeline.fusion import DepthView
from pipeline.fusion.pose_check import check_pose_direction, measure_pose_direction, median_misfit

RANGE = {"depth_min_m": 0.1, "depth_max_m": 3.0}


def inverted(views: list[DepthView]) -> list[DepthView]:
    return [replace(view, world_from_cam=invert_rigid(view.world_from_cam)) for view in views]


@pytest.mark.parametrize(("count", "sweep_rad"), [(12, 2 * np.pi), (40, 2 * np.pi), (30, 0.4), (2, 1.0)])
def test_inverted_poses_of_an_orbit_are_caught_and_given_ones_pass(
    sphere_views: Callable, orbit: Callable, figure: np.ndarray, count: int, sweep_rad: float
) -> None:
    views = sphere_views(figure, orbit(count, sweep_rad))
    found = check_pose_direction(views, **RANGE)
    assert found.given_better > 0 == found.inverted_better
    with pytest.raises(GateError, match="look like cam_from_world.* Invert them") as caught:
        check_pose_direction(inverted(views), **RANGE)
    assert caught.value.reason == "poses-inverted"


def test_the_message_gives_both_measured_misfits(
    sphere_views: Callable, orbit: Callable, figure: np.ndarray
) -> None:
    views = inverted(sphere_views(figure, orbit(30, 0.4)))
    found = measure_pose_direction(views, **RANGE)
    with pytest.raises(GateError) as caught:
        check_pose_direction(views, **RANGE)
    assert f"{found.given_m * 1e3:.1f} mm as given and {found.inverted_m * 1e3:.1f} mm inverted" in str(
        caught.value
    )
    assert caught.value.value == found.given_m > 10 * found.inverted_m


@pytest.mark.parametrize("pose", ["identity", "elsewhere"])
def test_a_static_camera_says_nothing(
    sphere_views: Callable, orbit: Callable, figure: np.ndarray, pose: str
) -> None:
    rng = np.random.default_rng(0)
    view = sphere_views(figure, orbit(3))[1]
    if pose == "identity":
        view = replace(view, world_from_cam=np.eye(4))
    views = [
        replace(view, depth_m=np.where(view.depth_m > 0, view.depth_m + rng.normal(0, 0.005, (120, 160)), 0))
        for _ in range(30)
    ]
    found = check_pose_direction(views, **RANGE)
    assert (found.given_better, found.inverted_better) == (0, 0)


def test_views_without_depth_or_without_overlap_say_nothing(
    sphere_views: Callable, orbit: Callable, figure: np.ndarray
) -> None:
    views = sphere_views(figure, orbit(2))
    empty = [replace(view, depth_m=np.zeros_like(view.depth_m)) for view in views]
    for unfit in (views, inverted(views), empty, views[:1], []):
        assert not check_pose_direction(unfit, **RANGE).inverted


def test_regular_holes_do_not_count_as_misses(
    sphere_views: Callable, orbit: Callable, figure: np.ndarray
) -> None:
    first, second = sphere_views(figure, orbit(60)[:2])
    holes = np.ones((120, 160), bool)
    holes[::3], holes[:, ::3] = False, False
    target = replace(second, depth_m=np.where(holes, second.depth_m, 0))
    move = invert_rigid(second.world_from_cam) @ first.world_from_cam
    assert median_misfit(first, target, move) < 0.005


def test_points_that_land_on_nothing_count_as_infinitely_far(
    sphere_views: Callable, orbit: Callable, figure: np.ndarray
) -> None:
    first, second = sphere_views(figure, orbit(2))
    about = np.diag([1.0, -1.0, -1.0, 1.0])  # everything lies behind the camera then
    assert median_misfit(first, second, about) == np.inf
    wall = replace(first, depth_m=np.ones_like(first.depth_m))
    aside = np.eye(4)
    aside[0, 3] = 2.0  # the wall fits there too, but nobody looked
    assert median_misfit(wall, wall, np.eye(4)) < 1e-6
    assert median_misfit(wall, wall, aside) == np.inf
