"""Which frames see the same, judged by some points of each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, transform
from pipeline.fusion.tracking.maps import Maps

Float64 = NDArray[np.float64]

SAMPLES = 300  # points of a frame that overlap is judged by
NEAREST = 32  # keyframes by distance that are looked at for one frame
MOST_TURN_RAD = 1.2  # between two cameras' axes: beyond it they see other sides


def sample_points(maps: Maps) -> tuple[Float64, NDArray[np.int64]]:
    """Points (S 3) of a frame, evenly spread over its valid pixels, and their pixels (S 2) as (v, u)."""
    v, u = np.nonzero(maps.depth_m)
    chosen = np.linspace(0, max(len(v) - 1, 0), min(SAMPLES, len(v))).astype(int)
    v, u = v[chosen], u[chosen]
    fx, fy, cx, cy = maps.lens
    z = maps.depth_m[v, u].astype(np.float64)
    points = np.stack([(u - cx) / fx * z, (v - cy) / fy * z, z], axis=1)
    return points, np.stack([v, u], axis=1)


def overlap(model: Maps, model_from_live: Float64, points: Float64, *, near_m: float) -> float:
    """Share of a frame's points (S 3) that fall on a model's surface, within near_m along the ray."""
    if len(points) == 0:
        return 0.0
    x, y, z = transform(model_from_live, points).T
    fx, fy, cx, cy = model.lens
    safe = np.maximum(z, 1e-6)
    u, v = np.rint(fx * x / safe + cx), np.rint(fy * y / safe + cy)
    height, width = model.depth_m.shape
    inside = (z > 0) & (u >= 0) & (v >= 0) & (u < width) & (v < height)
    seen = model.depth_m[v[inside].astype(int), u[inside].astype(int)]
    return float(np.count_nonzero((seen > 0) & (np.abs(seen - z[inside]) < near_m)) / len(points))


def overlapping(
    maps: Sequence[Maps], keyframes: Sequence[int], world_from_cam: Float64, row: int, *, near_m: float
) -> list[tuple[float, int]]:
    """Keyframes that see some of what a frame sees: (share, row), the largest share first."""
    points, _ = sample_points(maps[row])
    others = np.array([keyframe for keyframe in keyframes if keyframe != row], np.int64)
    if not len(others):
        return []
    axes = world_from_cam[others, :3, 2] @ world_from_cam[row, :3, 2]
    away_m = np.linalg.norm(world_from_cam[others, :3, 3] - world_from_cam[row, :3, 3], axis=1)
    near = np.argsort(away_m, kind="stable")[:NEAREST]
    near = near[axes[near] > np.cos(MOST_TURN_RAD)]
    shares = [
        (overlap(maps[i], invert_rigid(world_from_cam[i]) @ world_from_cam[row], points, near_m=near_m), i)
        for i in others[near].tolist()
    ]
    return sorted(shares, key=lambda found: (-found[0], found[1]))
