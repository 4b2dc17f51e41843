"""What lies behind a sample's person: a box of a room with pictures on its walls, or a blur of colours."""

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import pixel_rays

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

ROOM_HALF_M = (0.6, 3.5)  # beyond the camera's own distance from the person
CEILING_M = (2.3, 3.4)
PICTURES = 7  # at most on each wall
GRIDS = (2, 5, 13, 40)  # cells along a blur's side, octave by octave
CONTACT_M = 0.45  # reach of the shade around the feet


def draw_room_behind(
    rng: np.random.Generator, K: Float64, world_from_cam: Float64, feet_m: Float64, size_px: int
) -> Float32:
    """Linear RGB (N N 3) of a room around person and camera, its floor at y = 0.

    Args:
        feet_m: (3,) where on the floor a person's shade lies.
    """
    place = world_from_cam[:3, 3]
    dirs = pixel_rays(K, size_px, size_px).reshape(-1, 3) @ world_from_cam[:3, :3].T
    turn_rad = rng.uniform(-np.pi, np.pi)
    turned = np.array(
        [[np.cos(turn_rad), 0, np.sin(turn_rad)], [0, 1, 0], [-np.sin(turn_rad), 0, np.cos(turn_rad)]]
    )
    dirs, origin = dirs @ turned.T, turned @ place
    reach_m = np.hypot(place[0], place[2])
    half = reach_m + rng.uniform(*ROOM_HALF_M, 2)
    ceiling_m = max(rng.uniform(*CEILING_M), place[1] + 0.3)
    lows, highs = np.array([-half[0], 0.0, -half[1]]), np.array([half[0], ceiling_m, half[1]])
    with np.errstate(divide="ignore"):
        far = np.where(dirs > 0, highs, lows) - origin
        steps = np.where(dirs == 0, np.inf, far / dirs)
    axis = steps.argmin(axis=1)
    points = origin + steps[np.arange(len(dirs)), axis][:, None] * dirs
    side = 2 * axis + (np.take_along_axis(dirs, axis[:, None], axis=1)[:, 0] > 0)
    linear = np.zeros((len(dirs), 3))
    walls = _draw_color(rng, pale=True)
    for number in range(6):
        rows = np.flatnonzero(side == number)
        wall = number // 2 != 1
        base = walls * rng.uniform(0.8, 1.1) if wall else _draw_color(rng, pale=number == 3)
        if len(rows):
            across = points[rows][:, [axis for axis in range(3) if axis != number // 2]]
            linear[rows] = _painted(rng, base, across, pictures=wall)
    on_floor = np.exp(-((points - turned @ feet_m) ** 2)[:, [0, 2]].sum(axis=1) / (2 * CONTACT_M**2))
    linear *= (1 - 0.6 * on_floor * (side == 2))[:, None]
    away = np.linalg.norm(points - [0, ceiling_m, 0], axis=1)
    linear *= (rng.uniform(0.5, 1.2) / (0.6 + 0.12 * away**1.5))[:, None]
    return np.asarray(linear.reshape(size_px, size_px, 3), dtype=np.float32)


def draw_blur(rng: np.random.Generator, size_px: int) -> Float32:
    """Linear RGB (N N 3) of random colours at several scales."""
    import cv2

    total = np.zeros((size_px, size_px, 3), dtype=np.float32)
    for octave, cells in enumerate(GRIDS):
        grid = rng.normal(size=(cells, cells, 3)) * rng.uniform(0.1, 0.5) / (1 + 0.4 * octave)
        grid = 0.3 * grid + grid.mean(axis=2, keepdims=True)
        kind = cv2.INTER_CUBIC if rng.uniform() < 0.7 else cv2.INTER_NEAREST
        total += cv2.resize(grid.astype(np.float32), (size_px, size_px), interpolation=kind)
    return np.asarray(_draw_color(rng, pale=bool(rng.uniform() < 0.6)) * np.exp(total), dtype=np.float32)


def _painted(rng: np.random.Generator, base: Float64, places_m: Float64, *, pictures: bool) -> Float64:
    """Linear RGB (N 3) of places (N 2) on one flat: its colour, a pattern or none, pictures or tables."""
    linear = np.tile(base, (len(places_m), 1))
    if rng.uniform() < 0.5:
        cell_m, dark = rng.uniform(0.15, 1.2, 2), rng.uniform(0.6, 1.0)
        index = np.floor(places_m / cell_m).astype(np.int64)
        chequered = index.sum(axis=1) % 2 if rng.uniform() < 0.5 else index[:, 0] % 2
        linear *= np.where(chequered == 0, 1.0, dark)[:, None]
    low, high = places_m.min(axis=0), places_m.max(axis=0)
    for _ in range(int(rng.integers(0, PICTURES + 1)) if pictures else 0):
        middle, half = rng.uniform(low, high), rng.uniform(0.08, 0.7, 2)
        color = _draw_color(rng, pale=bool(rng.uniform() < 0.4))
        linear[(np.abs(places_m - middle) < half).all(axis=1)] = color
    waves = rng.normal(size=(2, 3)) * rng.uniform(0.5, 6.0)
    return np.asarray(linear * (1 + 0.06 * np.cos(places_m @ waves).sum(axis=1, keepdims=True)))


def _draw_color(rng: np.random.Generator, *, pale: bool) -> Float64:
    grey = rng.uniform(0.3, 0.85) if pale else rng.uniform(0.02, 0.5)
    tint = rng.uniform(0.85, 1.15, 3) if pale else rng.uniform(0.5, 1.5, 3)
    return np.asarray(np.clip(grey * tint, 0.005, 0.95))
