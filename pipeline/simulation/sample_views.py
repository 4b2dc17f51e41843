"""From where a sample is seen: a camera as somebody would hold a Kinect, and the crop around the person."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import crop_intrinsics, invert_rigid, project, transform
from pipeline.foreground import MARGIN_U, MARGIN_V
from pipeline.simulation.camera_path import CameraPath

Float64 = NDArray[np.float64]

SENSOR_K = np.array([[478.0, 0.0, 431.5], [0.0, 478.0, 242.5], [0.0, 0.0, 1.0]])  # of 864x486 px, as ingested
DISTANCE_M = (1.7, 3.3)
HEIGHT_M = (0.5, 1.9)
AIM_SPREAD_M = 0.12  # standard deviation of where the camera points, beside the person's middle
ROLL_RAD = 0.03  # standard deviation
FRONT_SHARE = 0.4  # of the views from within FRONT_RAD of the front; the others come from anywhere
FRONT_RAD = np.radians(50.0)
JITTER = 0.03  # of the crop's side: largest shift of the square, either way


def draw_camera(rng: np.random.Generator, vertices_m: NDArray[Any]) -> Float64:
    """world_from_cam (4 4) of a camera that looks at a person (V 3) from about 2.5 m."""
    middle_m = (vertices_m.min(axis=0) + vertices_m.max(axis=0)) / 2
    front = rng.uniform() < FRONT_SHARE
    sway = np.zeros((7, 5, 2))
    sway[6, 0, 0] = rng.normal(scale=ROLL_RAD)
    path = CameraPath(
        start_rad=float(rng.uniform(-FRONT_RAD, FRONT_RAD) if front else rng.uniform(-np.pi, np.pi)),
        turn_rad=0.0,
        distance_m=float(rng.uniform(*DISTANCE_M)),
        height_m=float(rng.uniform(*HEIGHT_M)),
        aim_m=middle_m + rng.normal(scale=AIM_SPREAD_M, size=3),
        sway=sway,
    )
    return np.asarray(path.at(np.zeros(1))[0])


def draw_crop(
    rng: np.random.Generator, vertices_m: NDArray[Any], world_from_cam: Float64, size_px: int
) -> Float64:
    """K (3 3) of the square around a person with the margins of `pipeline.foreground`, shifted a little."""
    pixels = project(transform(invert_rigid(world_from_cam), vertices_m), SENSOR_K) + 0.5  # edge coordinates
    (left, top), (right, bottom) = pixels.min(axis=0), pixels.max(axis=0)
    side = max((right - left) * (1 + 2 * MARGIN_U), (bottom - top) * (1 + 2 * MARGIN_V))
    shift_u, shift_v = rng.uniform(-JITTER, JITTER, 2) * side
    box = ((left + right - side) / 2 + shift_u, (top + bottom - side) / 2 + shift_v, float(side))
    return crop_intrinsics(SENSOR_K, box, size_px)
