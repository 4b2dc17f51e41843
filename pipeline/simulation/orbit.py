"""The path of a hand-held depth camera once around a standing person, and the camera itself."""

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

# A Kinect v2's depth camera, centred.
HEIGHT_PX, WIDTH_PX = 424, 512
FOCAL_PX = 365.0
K_DEPTH = np.array(
    [[FOCAL_PX, 0.0, (WIDTH_PX - 1) / 2], [0.0, FOCAL_PX, (HEIGHT_PX - 1) / 2], [0.0, 0.0, 1.0]]
)


def orbit_cameras(
    rng: np.random.Generator, count: int, *, radius_m: float = 2.2, aim_y_m: float = 0.9
) -> Float64:
    """Draw a walk around the person: one turn, with the unsteady height, distance, aim and roll of a hand.

    Args:
        count: of cameras, in the order of the walk; the last stands one step before the first.
        aim_y_m: height of the point that the camera looks at, about half the person's.

    Returns:
        world_from_cam (count 4 4) of OpenCV cameras; the world is the body frame (+Y up, feet at y = 0).
    """
    progress = np.arange(count) / count
    azimuth = rng.uniform(0, 2 * np.pi) + 2 * np.pi * progress * rng.choice([-1.0, 1.0])
    azimuth = azimuth + _wobble(rng, progress, 0.06)
    distance = radius_m + _wobble(rng, progress, 0.10)
    camera_y = rng.uniform(0.9, 1.4) + _wobble(rng, progress, 0.15)
    cameras = np.stack([distance * np.sin(azimuth), camera_y, distance * np.cos(azimuth)], axis=-1)
    aims = np.stack([_wobble(rng, progress, 0.04) for _ in range(3)], axis=-1) + [0.0, aim_y_m, 0.0]
    return _look_at(cameras, aims, _wobble(rng, progress, 0.03))


def _wobble(rng: np.random.Generator, progress: Float64, amplitude: float) -> Float64:
    """Slow sway that closes after the turn: a few harmonics, in all within about twice the amplitude."""
    harmonics = np.arange(1, 6)
    phases = rng.uniform(0, 2 * np.pi, len(harmonics))
    weights = rng.normal(size=len(harmonics)) / harmonics
    waves = np.cos(2 * np.pi * progress[:, None] * harmonics + phases) @ weights
    return np.asarray(amplitude * waves / np.linalg.norm(weights), dtype=np.float64)


def _look_at(cameras: Float64, aims: Float64, roll_rad: Float64) -> Float64:
    forward = aims - cameras
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    down = np.cross(forward, right)
    cosine, sine = np.cos(roll_rad)[:, None], np.sin(roll_rad)[:, None]
    world_from_cam = np.tile(np.eye(4), (len(cameras), 1, 1))
    world_from_cam[:, :3, 0] = cosine * right + sine * down
    world_from_cam[:, :3, 1] = cosine * down - sine * right
    world_from_cam[:, :3, 2] = forward
    world_from_cam[:, :3, 3] = cameras
    return world_from_cam
