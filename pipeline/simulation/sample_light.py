"""Simple light for samples: lamps without a place, the shadow of the first of them, and light from all around.

Hollows get less of the surrounding light, as told by the depth image itself: Shanmugam and Arikan, "Hardware
Accelerated Ambient Occlusion Techniques on GPUs", I3D 2007, by their idea of comparing depths, here with the
depth's own blur.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import transform
from pipeline.simulation.lighting import look, visible_depth

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

SHADOW_PX = 192
AWAY_M = 40.0  # of the shadow's lamp, so far that its rays are parallel to 2 degrees
BIAS_M = 0.02  # off the surface along its normal before asking for shadow
HOLLOW_M = 0.03  # depth behind its own blur at which about two thirds of the surrounding light are gone
HOLLOW_SHARES = (0.012, 0.035)  # standard deviations of the blurs, as shares of the image's width


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SampleLight:
    """Light on one sample.

    Attributes:
        towards: (L 3) unit vectors to the lamps, world frame.
        colors: (L 3) linear RGB that white sends back, lit face on.
        wrap: (L) how far beyond the terminator light reaches: 0 for a point, more for a window.
        surround: (3 3) linear RGB that white sends back where it faces up, sideways, down.
    """

    towards: Float64
    colors: Float64
    wrap: Float64
    surround: Float64


def draw_light(rng: np.random.Generator) -> SampleLight:
    """One to four lamps, most of them above, of warm or cold light."""
    count = int(rng.integers(1, 5))
    azimuth, height = rng.uniform(-np.pi, np.pi, count), rng.uniform(-0.15, 1.0, count)
    flat = np.sqrt(1 - height**2)
    towards = np.stack([flat * np.sin(azimuth), height, flat * np.cos(azimuth)], axis=1)
    strength = rng.uniform(0.2, 1.0, count) ** 1.5
    return SampleLight(
        towards=towards,
        colors=strength[:, None] * np.stack([_tint(rng) for _ in range(count)]),
        wrap=rng.uniform(0.0, 0.5, count),
        surround=rng.uniform(0.15, 0.7) * np.array([1.1, 1.0, 0.7])[:, None] * _tint(rng),
    )


def light_on(
    light: SampleLight,
    points_m: Float64,
    normals: Float64,
    *,
    depth_m: Float32,
    casters: tuple[NDArray[Any], NDArray[np.int32]],
) -> Float64:
    """Linear RGB (N 3) that white surface points would send back.

    Args:
        points_m, normals: (N 3) world, of the pixels of `depth_m` that are not 0, in row-major order.
        depth_m: (H W), 0 where nothing is seen.
        casters: vertices (V 3) and faces (F 3) that cast shadows.
    """
    up = normals[:, 1:2]
    above, aside, below = light.surround
    open_ = _openness(depth_m)[depth_m > 0][:, None]
    received = open_ * (np.maximum(up, 0) * above + (1 - np.abs(up)) * aside + np.maximum(-up, 0) * below)
    for lamp in range(len(light.towards)):
        wrap = light.wrap[lamp]
        facing = np.clip((normals @ light.towards[lamp] + wrap) / (1 + wrap), 0, 1)
        if lamp == 0:
            facing *= _lit(points_m + BIAS_M * normals, light.towards[lamp], casters)
        received += facing[:, None] * light.colors[lamp]
    return np.asarray(received)


def _tint(rng: np.random.Generator) -> Float64:
    ends = np.array([[1.0, 0.78, 0.55], [1.0, 1.0, 1.0], [0.78, 0.90, 1.0]])
    return np.asarray(ends[1] + rng.uniform(0, 1) * (ends[rng.integers(3)] - ends[1]))


def _lit(points_m: Float64, towards: Float64, casters: tuple[NDArray[Any], NDArray[np.int32]]) -> Float64:
    """Share (N) of a far lamp that points see, softened over nine places of its shadow map."""
    vertices_m, faces = casters
    middle = (vertices_m.min(axis=0) + vertices_m.max(axis=0)) / 2
    radius_m = float(np.linalg.norm(vertices_m - middle, axis=1).max()) + 0.1
    focal_px, centre_px = SHADOW_PX / 2 * AWAY_M / radius_m, (SHADOW_PX - 1) / 2
    K = np.array([[focal_px, 0, centre_px], [0, focal_px, centre_px], [0, 0, 1]])
    cam_from_world = look(middle + AWAY_M * towards, -towards)
    map_m = visible_depth(vertices_m, faces, cam_from_world, K, SHADOW_PX)
    map_m = np.pad(np.where(map_m > 0, map_m, np.float32(np.inf)), 2, constant_values=np.inf)
    at = transform(cam_from_world, points_m)
    u, v = (np.rint(at[:, axis] / at[:, 2] * focal_px + centre_px).astype(int) + 2 for axis in (0, 1))
    near = [(du, dv) for du in (-1, 0, 1) for dv in (-1, 0, 1)]
    return np.asarray(sum((map_m[v + dv, u + du] > at[:, 2]) for du, dv in near) / len(near))


def _openness(depth_m: Float32) -> Float32:
    """Share (H W) of the surrounding light that hollows leave, 1 on the outside of bulges."""
    import cv2

    inside = (depth_m > 0).astype(np.float32)
    behind_m = np.zeros_like(depth_m)
    for share in HOLLOW_SHARES:
        sigma_px = share * depth_m.shape[1]
        total, weight = (cv2.GaussianBlur(image, (0, 0), sigma_px) for image in (depth_m, inside))
        behind_m += np.maximum(depth_m - total / np.maximum(weight, 1e-3), 0) * inside
    return np.asarray(np.exp(-behind_m / HOLLOW_M), dtype=np.float32)
