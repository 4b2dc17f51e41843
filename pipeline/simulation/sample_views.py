"""From where a sample is seen: a camera as somebody would hold a Kinect, and the crop around the person."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import crop_intrinsics, invert_rigid, project, transform
from pipeline.person_square import MARGIN_U, MARGIN_V
from pipeline.simulation.camera_path import CameraPath

Float64 = NDArray[np.float64]

SENSOR_K = np.array([[478.0, 0.0, 431.5], [0.0, 478.0, 242.5], [0.0, 0.0, 1.0]])  # of 864x486 px, as ingested
AIM_SPREAD_M = 0.12  # standard deviation of where the camera points, beside the person's middle
ROLL_RAD = 0.03  # standard deviation
JITTER = 0.03  # of the crop's side: largest shift of the square, either way


@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """From where people are seen.

    Attributes:
        distance_m, height_m: least and greatest, of the camera.
        front_share: of the views from within `front_rad` of the front; the others come from anywhere.
    """

    distance_m: tuple[float, float]
    height_m: tuple[float, float]
    front_share: float
    front_rad: float


ANY_VIEWS = Views(distance_m=(1.7, 3.3), height_m=(0.5, 1.9), front_share=0.4, front_rad=np.radians(50.0))
UPRIGHT_VIEWS = Views(
    distance_m=(1.9, 3.0), height_m=(0.85, 1.35), front_share=1.0, front_rad=np.radians(60.0)
)


def draw_camera(rng: np.random.Generator, vertices_m: NDArray[Any], views: Views) -> Float64:
    """world_from_cam (4 4) of a camera that looks at a person (V 3)."""
    middle_m = (vertices_m.min(axis=0) + vertices_m.max(axis=0)) / 2
    front = rng.uniform() < views.front_share
    sway = np.zeros((7, 5, 2))
    sway[6, 0, 0] = rng.normal(scale=ROLL_RAD)
    path = CameraPath(
        start_rad=float(
            rng.uniform(-views.front_rad, views.front_rad) if front else rng.uniform(-np.pi, np.pi)
        ),
        turn_rad=0.0,
        distance_m=float(rng.uniform(*views.distance_m)),
        height_m=float(rng.uniform(*views.height_m)),
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
