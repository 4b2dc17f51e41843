"""The virtual Kinect v2: its two cameras, its clocks, and what its depth camera makes of true depth.

A time-of-flight camera measures phase against background light, so that the spread of its depth goes with the
inverse of the amplitude that comes back (Lange and Seitz, "Solid-State Time-of-Flight Range Camera", IEEE J.
Quantum Electronics 2001). Here that amplitude is reflectance x cos(slant) / z^2, with z in metres: 1 for white,
face on, at 1 m. Its share of the spread is set for 1.9 mm in all at 2.2 m on a surface of reflectance 0.5.
All figures are set to the size of published ones; they are no fit to any one device. Left out: offsets that go
with phase (wiggling), temperature and colour, and light that returns by way of another surface.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.distortion import LensCamera, distorted_rays
from pipeline.captures.kinect2_calibration import Kinect2Calibration

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

DEPTH_CAMERA = LensCamera(
    width=512,
    height=424,
    fx_px=365.4,
    fy_px=365.4,
    cx_px=257.2,
    cy_px=206.1,
    distortion=(0.091, -0.270, 0.0004, -0.0003, 0.095),
)
COLOR_CAMERA = LensCamera(
    width=1920,
    height=1080,
    fx_px=1063.2,
    fy_px=1062.6,
    cx_px=955.4,
    cy_px=538.7,
    distortion=(0.025, -0.026, -0.0005, 0.0004, 0.0),
)
# The colour camera sits 52 mm beside the depth camera and looks a third of a degree elsewhere.
TURN_RAD = np.array([0.003, -0.004, 0.002])
SHIFT_M = np.array([-0.052, -0.0005, 0.001])

FLOOR_MM = 1.0  # spread however much light returns
AMPLITUDE_MM = 0.167  # spread at amplitude 1; in inverse proportion to it
FAILS_FROM, FAILS_ALL = 0.02, 0.006  # amplitudes where returns begin to fail, and all do: black cloth at 2 m
LOST_FROM_RAD, LOST_ALL_RAD = np.radians(75.0), np.radians(86.0)  # slants likewise, at any amplitude
NEAR_M, FAR_M = 0.5, 4.5  # nothing is reported outside
# Neighbours farther apart than this share of the nearer belong to two surfaces: 44 mm at 2.2 m, which one
# surface would show at 82 degrees of slant.
STEP_SHARE = 0.02
MIXED_SHARE = 0.5  # an outline between two pixels lies on either of them alike, and mixes that one
MIXED_LOSS = 0.5  # share of the mixed pixels that the camera itself rejects

RATE_HZ = 30.0
DEPTH_JITTER_S, COLOR_JITTER_S = 0.0003, 0.001
MAX_OFFSET_S = 0.008  # of colour against depth, constant through a capture


def virtual_kinect() -> Kinect2Calibration:
    """The calibration of the one virtual device."""
    from scipy.spatial.transform import Rotation

    color_from_depth = np.eye(4)
    color_from_depth[:3, :3] = Rotation.from_rotvec(TURN_RAD).as_matrix()
    color_from_depth[:3, 3] = SHIFT_M
    return Kinect2Calibration(
        device="virtual Kinect v2",
        serial="virtual-1",
        depth=DEPTH_CAMERA,
        color=COLOR_CAMERA,
        color_from_depth=color_from_depth,
    )


@dataclass(frozen=True, slots=True, eq=False)
class FrameTimes:
    """When the two streams of a capture were exposed.

    Attributes:
        depth_s: (N) seconds, ascending.
        color_s: (N) seconds on the same clock; NaN where the colour image was dropped.
    """

    depth_s: Float64
    color_s: Float64


def draw_times(rng: np.random.Generator, count: int, *, drop_share: float) -> FrameTimes:
    """Draw the times of a capture: 30 Hz, an unknown start, jitter, and colour a few milliseconds aside.

    Args:
        drop_share: probability that a frame's colour is dropped.
    """
    start_s, offset_s = rng.uniform(0.0, 10.0), rng.uniform(-MAX_OFFSET_S, MAX_OFFSET_S)
    # Jitter is cut at three sigmas, so that frames keep their order and colour stays within its skew.
    jitter = np.clip(rng.normal(size=(2, count)), -3.0, 3.0)
    depth_s = start_s + np.arange(count) / RATE_HZ + DEPTH_JITTER_S * jitter[0]
    color_s = depth_s + offset_s + COLOR_JITTER_S * jitter[1]
    color_s[rng.uniform(size=count) < drop_share] = np.nan
    return FrameTimes(depth_s, color_s)


def measure_depth(
    depth_m: NDArray[Any],
    normal_cam: NDArray[Any],
    reflectance: NDArray[Any],
    camera: LensCamera,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """Measure true depth as the sensor would.

    Args:
        depth_m: (H W) true z along the optical axis through the raw pixel centres (`distorted_rays`); 0 where
            nothing is hit.
        normal_cam: (H W 3) unit normals facing the camera; not read where depth_m is 0.
        reflectance: (H W) of infrared light, 0 to 1; not read where depth_m is 0.

    Returns:
        (H W) whole millimetres. 0 where nothing is hit or the value lies outside NEAR_M to FAR_M, and by
        chance on dark and on grazing surfaces and at outlines, where other pixels hold a depth between both
        surfaces.
    """
    hit = depth_m > 0
    noise, luck = rng.normal(size=hit.shape), rng.uniform(size=hit.shape)
    cosine = cosine_to_ray(normal_cam, hit, camera)
    returned = np.zeros(hit.shape)
    returned[hit] = amplitude(depth_m[hit], cosine[hit], reflectance[hit])
    seen_m, mixed = mix_at_outlines(depth_m, rng)
    lost = loss_share(returned, cosine)
    lost = np.where(mixed, 1 - (1 - lost) * (1 - MIXED_LOSS), lost)
    measured_m = seen_m + noise * noise_sigma_m(returned)
    reported = hit & (luck >= lost) & (measured_m >= NEAR_M) & (measured_m <= FAR_M)
    # metres to millimetres
    return np.where(reported, np.rint(1000.0 * measured_m), 0).astype(np.uint16)


def amplitude(depth_m: NDArray[Any], cosine: NDArray[Any], reflectance: NDArray[Any]) -> Float64:
    """Light that returns, 1 for white, face on, at 1 m; depth must not be 0."""
    return np.asarray(reflectance * cosine / np.square(depth_m, dtype=np.float64), dtype=np.float64)


def noise_sigma_m(returned: NDArray[Any]) -> Float64:
    """Standard deviation of depth in metres at an amplitude; where all returns fail it grows no more."""
    sigma_mm = np.hypot(FLOOR_MM, AMPLITUDE_MM / np.maximum(returned, FAILS_ALL))
    return np.asarray(sigma_mm / 1000.0, dtype=np.float64)  # millimetres to metres


def loss_share(returned: NDArray[Any], cosine: NDArray[Any]) -> Float64:
    """Probability that nothing is reported, from too little light or too much slant."""
    dark = np.clip((FAILS_FROM - returned) / (FAILS_FROM - FAILS_ALL), 0.0, 1.0)
    slant_rad = np.arccos(np.clip(cosine, 0.0, 1.0))
    grazing = np.clip((slant_rad - LOST_FROM_RAD) / (LOST_ALL_RAD - LOST_FROM_RAD), 0.0, 1.0)
    return np.asarray(1 - (1 - dark) * (1 - grazing), dtype=np.float64)


def cosine_to_ray(normal_cam: NDArray[Any], hit: Bool, camera: LensCamera) -> Float64:
    """Cosine (H W) between the normal and the ray back to the camera, at least 0; 0 outside `hit`."""
    rays = distorted_rays(camera)[hit]
    cosine = np.zeros(hit.shape)
    along = -np.einsum("ij,ij->i", normal_cam[hit], rays) / np.linalg.norm(rays, axis=1)
    cosine[hit] = np.clip(along, 0.0, 1.0)
    return cosine


def mix_at_outlines(depth_m: NDArray[Any], rng: np.random.Generator) -> tuple[Float64, Bool]:
    """Depth (H W) with some pixels beside a step drawn towards its other side, and which those are.

    A pixel's own surface fills its centre, hence more than half of it. Beside nothing (0), nothing mixes.
    """
    other_m = across_step(depth_m)
    draws = rng.uniform(size=(2, *depth_m.shape))
    mixed = (other_m > 0) & (draws[0] < MIXED_SHARE)
    weight = np.where(mixed, 0.5 * draws[1], 0.0)
    return np.asarray(depth_m + weight * (other_m - depth_m), dtype=np.float64), mixed


def across_step(depth_m: NDArray[Any]) -> Float64:
    """Depth (H W) of the left, right, upper or lower neighbour across the largest step; 0 where there is none."""
    depth = np.asarray(depth_m, dtype=np.float64)
    padded = np.pad(depth, 1)
    other, largest = np.zeros_like(depth), np.zeros_like(depth)
    for neighbour in (padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]):
        nearer = np.minimum(depth, neighbour)  # 0 beside nothing
        step = np.where(nearer > 0, np.abs(neighbour - depth), 0.0)
        take = (step > STEP_SHARE * nearer) & (step > largest)
        other, largest = np.where(take, neighbour, other), np.where(take, step, largest)
    return other
