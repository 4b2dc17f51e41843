"""Scenes of spheres and planes with exact depth, from closed forms, and cameras around them."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, pixel_rays
from pipeline.fusion import DepthView

Array = NDArray[np.float64]


def camera_towards(eye: Array, target: Array) -> Array:
    """world_from_cam of a camera at `eye` that looks at `target`; the world's y points down."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    world_from_cam[:3, 3] = eye
    return world_from_cam


def sphere_depth(K: Array, world_from_cam: Array, spheres: Array, shape_hw: tuple[int, int]) -> Array:
    """Depth (H W) of the nearest of some spheres (x, y, z, radius); 0 where a ray meets none."""
    rays = pixel_rays(K, *shape_hw)
    cam_from_world = invert_rigid(world_from_cam)
    nearest = np.full(shape_hw, np.inf)
    for *centre, radius in spheres:
        centre_cam = cam_from_world[:3, :3] @ np.array(centre) + cam_from_world[:3, 3]
        a, b = (rays**2).sum(-1), rays @ centre_cam  # |t ray - centre|^2 = radius^2, t is z
        root = b**2 - a * (centre_cam @ centre_cam - radius**2)
        with np.errstate(invalid="ignore"):
            nearest = np.fmin(nearest, (b - np.sqrt(root)) / a)
    return np.where(np.isfinite(nearest), nearest, 0.0)


@pytest.fixture(scope="session")
def K() -> Array:
    return np.array([[140.0, 0, 79.5], [0, 140.0, 59.5], [0, 0, 1]])


@pytest.fixture(scope="session")
def sphere_views(K: Array) -> Callable[[Array, Array], list[DepthView]]:
    """views(spheres, eyes): each eye looks at the origin; 160 x 120 px."""

    def views(spheres: Array, eyes: Array) -> list[DepthView]:
        poses = [camera_towards(eye, np.zeros(3)) for eye in eyes]
        return [
            DepthView(
                depth_m=sphere_depth(K, pose, spheres, (120, 160)).astype(np.float32),
                K=K,
                world_from_cam=pose,
            )
            for pose in poses
        ]

    return views


@pytest.fixture(scope="session")
def orbit() -> Callable[..., Array]:
    """orbit(count, sweep_rad): eyes (count 3) on a circle of 1 m around the origin, slightly above it."""

    def eyes(count: int, sweep_rad: float = 2 * np.pi) -> Array:
        angle = np.arange(count) * sweep_rad / count
        return np.stack([np.sin(angle), np.full(count, -0.2), -np.cos(angle)], axis=1)

    return eyes


@pytest.fixture(scope="session")
def figure() -> Array:
    """Some spheres (x, y, z, radius) that look different from every side, as large as an upper body."""
    trunk, head = (0, 0, 0, 0.2), (0.05, -0.28, 0.02, 0.1)
    return np.array([trunk, head, (0.25, 0.05, -0.1, 0.08), (-0.2, 0.1, 0.15, 0.07), (0.1, 0.2, -0.15, 0.09)])
