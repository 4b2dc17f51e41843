"""Where a camera goes around a person: once around by hand, a part of that, or nowhere, on a tripod."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Kind = Literal["orbit", "arc", "still"]

TURN_RAD = {"orbit": 2 * np.pi, "arc": 2 * np.pi / 3, "still": 0.0}
HARMONICS = np.arange(1, 6)  # of the sway of a hand; whole numbers, so that a full turn closes

# Spread of the sway: about half of how far the hand strays.
AZIMUTH_RAD, DISTANCE_M, HEIGHT_M, AIM_M, ROLL_RAD = 0.06, 0.10, 0.15, 0.04, 0.03


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CameraPath:
    """A path that can be asked for any moment.

    Attributes:
        start_rad, turn_rad: azimuth at the start, about +Y from +Z, and how far it goes, either way round.
        distance_m, height_m: mean distance from the person's axis, and mean height.
        aim_m: (3,) what the camera looks at; its axis is the one that it goes around.
        sway: (7 5 2) cosine and sine weights of azimuth, distance, height, aim (3) and roll.
    """

    start_rad: float
    turn_rad: float
    distance_m: float
    height_m: float
    aim_m: Float64
    sway: Float64

    def at(self, progress: Float64) -> Float64:
        """Poses world_from_cam (N 4 4) of an OpenCV camera; the world's +Y is up.

        Args:
            progress: (N) from 0 at the start to 1 at the end of the path.
        """
        phase = 2 * np.pi * progress[:, None] * HARMONICS
        waves = np.einsum("nhc,shc->sn", np.stack([np.cos(phase), np.sin(phase)], axis=-1), self.sway)
        azimuth = self.start_rad + self.turn_rad * progress + waves[0]
        distance = self.distance_m + waves[1]
        aims = self.aim_m + waves[3:6].T
        offset = np.stack(
            [distance * np.sin(azimuth), np.zeros(len(azimuth)), distance * np.cos(azimuth)], -1
        )
        cameras = self.aim_m * [1, 0, 1] + offset
        cameras[:, 1] = self.height_m + waves[2]
        return _look_at(cameras, aims, waves[6])


def draw_path(
    rng: np.random.Generator,
    kind: Kind,
    *,
    distance_m: float,
    aim_m: Float64,
    camera: int = 0,
    cameras: int = 1,
) -> CameraPath:
    """Draw the path of one of several cameras that stand evenly around the person.

    Every camera has a stream of its own; what they share, the direction of the first and the way round, must
    come from `rng`s in the same state.

    Args:
        distance_m: mean distance of the camera from the axis through the aim.
    """
    first_rad, clockwise = rng.uniform(-np.pi, np.pi), rng.choice([-1.0, 1.0])
    # A person on a tripod's film is seen from the front, more or less.
    first_rad = first_rad / 6 if kind == "still" else first_rad
    height_m = rng.uniform(0.9, 1.4)
    own = np.random.default_rng([int(rng.integers(2**63)), camera])
    spread = np.array([AZIMUTH_RAD, DISTANCE_M, HEIGHT_M, AIM_M, AIM_M, AIM_M, ROLL_RAD])
    weights = own.normal(size=(len(spread), len(HARMONICS), 2)) / HARMONICS[:, None]
    weights *= (spread / np.linalg.norm(weights, axis=(1, 2)))[:, None, None]
    return CameraPath(
        start_rad=first_rad + 2 * np.pi * camera / cameras,
        turn_rad=clockwise * TURN_RAD[kind],
        distance_m=distance_m,
        height_m=height_m,
        aim_m=aim_m,
        sway=np.zeros_like(weights) if kind == "still" else weights,
    )


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
