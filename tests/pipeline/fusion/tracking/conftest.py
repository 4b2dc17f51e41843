"""Closed-form corners of rooms, and short films of a simulated person."""

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, pixel_rays
from pipeline.fusion.tracking import TrackFrame
from pipeline.simulation import casting

Array = NDArray[np.float64]

K = np.array([[220.0, 0, 159.5], [0, 220, 119.5], [0, 0, 1]])
SHAPE_HW = (240, 320)
# Walls n . p = d, m: floor, back, side, and a box-like step before the back wall.
WALLS = (((0.0, 1, 0), 1.0), ((0.0, 0, 1), 2.4), ((1.0, 0, 0), 1.1))


def corner_depth(world_from_cam: Array) -> Array:
    """Depth (H W) of the nearest of three walls and a sphere; exact."""
    rays = pixel_rays(K, *SHAPE_HW) @ world_from_cam[:3, :3].T
    centre = world_from_cam[:3, 3]
    nearest = np.full(SHAPE_HW, np.inf)
    for normal, distance in WALLS:
        along = rays @ np.array(normal)
        with np.errstate(divide="ignore"):
            z = (distance - centre @ np.array(normal)) / along
        nearest = np.where((along > 1e-9) & (z > 0), np.minimum(nearest, z), nearest)
    away = np.array([-0.3, 0.2, 1.7]) - centre
    a, b = (rays**2).sum(-1), rays @ away
    root = b**2 - a * (away @ away - 0.35**2)
    hit = np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
    return np.asarray(np.minimum(nearest, hit))


@pytest.fixture(scope="session")
def corner_frame() -> Callable[..., TrackFrame]:
    def make(world_from_cam: Array, *, frame: int = 0, noise_m: float = 0.0) -> TrackFrame:
        depth_m = corner_depth(world_from_cam)
        depth_m = depth_m + noise_m * np.random.default_rng(frame).normal(size=SHAPE_HW)
        return TrackFrame(frame=frame, depth_m=depth_m.astype(np.float32), mask=None, rgb=None, K=K)

    return make


@pytest.fixture(scope="session")
def film() -> Callable[..., Any]:
    path = Path(__file__).parents[3] / "benchmarks" / "filmed_turn.py"
    spec = importlib.util.spec_from_file_location("filmed_turn", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["filmed_turn"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    wardrobe = functools.cache(casting.draw_wardrobe)  # all films show the same person

    def shoot(*args: Any, **kwargs: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(casting, "draw_wardrobe", wardrobe)
            return module.film_turn(*args, **kwargs)

    return shoot


@pytest.fixture(scope="session")
def short_film(film: Callable[..., Any]) -> Any:
    return film(10, turn=1 / 6)


@pytest.fixture(scope="session")
def path_error() -> Callable[[Array, Array], tuple[float, float]]:
    """Root mean square error of a path, m and degrees, after the best rigid alignment of its places."""

    def error(found: Array, true: Array) -> tuple[float, float]:
        away = invert_rigid(found[0]) @ found, invert_rigid(true[0]) @ true
        places, target = (path[:, :3, 3] - path[:, :3, 3].mean(axis=0) for path in away)
        u, _, vt = np.linalg.svd(places.T @ target)
        R = vt.T @ np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
        shift_m = np.linalg.norm(places @ R.T - target, axis=1)
        turned = np.swapaxes(away[1][:, :3, :3], 1, 2) @ R @ away[0][:, :3, :3]
        cosine = (np.trace(turned, axis1=1, axis2=2) - 1) / 2
        turn_deg = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        return float(np.sqrt(np.mean(shift_m**2))), float(np.sqrt(np.mean(turn_deg**2)))

    return error
