"""Bodies and cameras of the motion tests."""

from functools import cache

import numpy as np

from pipeline.bodies.model import default_body
from pipeline.bodies.motions import motion
from pipeline.bodies.proportions import proportions_of
from pipeline.cameras import invert_rigid, transform

BODY = default_body()
K = np.array([[277.0, 0, 127.5], [0, 277.0, 127.5], [0, 0, 1]])
SIZE_PX = 256


def look_at(aim_m: np.ndarray, *, azimuth_rad: float, distance_m: float) -> np.ndarray:
    """world_from_cam of a level camera."""
    back = np.array([np.sin(azimuth_rad), 0.0, np.cos(azimuth_rad)])
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = np.cross(-back, [0, 1, 0]), [0, -1, 0], -back
    pose[:3, 3] = aim_m + distance_m * back
    return pose


@cache
def clip(name: str, seed: int, *, frames: int = 3, fps: float = 2.0) -> np.ndarray:
    """Vertices (T V 3) of a procedural sequence in the frame of a camera that stands still."""
    rng = np.random.default_rng(seed)
    betas = rng.normal(size=10)
    made = motion(name, rng, proportions_of(BODY, betas), seconds=frames / fps, fps=fps)
    vertices_m = BODY.posed(made.pose_rad, betas, made.transl_m).vertices_m
    low, high = vertices_m.min(axis=(0, 1)), vertices_m.max(axis=(0, 1))
    camera = look_at((low + high) / 2, azimuth_rad=rng.uniform(-np.pi, np.pi), distance_m=3.0)
    return transform(invert_rigid(camera), vertices_m)
