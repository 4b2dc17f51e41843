"""The colour image of a simulated person: Lambert's law, one lamp and a sky, before a textured backdrop."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import pixel_rays
from pipeline.simulation.colors import linear_from_srgb, srgb_from_linear
from pipeline.simulation.noise import Waves, draw_waves, wave_noise

Float64 = NDArray[np.float64]

BACKDROP_PERIOD = 0.5  # of the backdrop's texture, on the unit sphere of directions


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Light and surroundings that stay put while the camera moves.

    Attributes:
        lamp_world: (3,) unit vector towards the lamp.
        lamp, sky: (3,) linear RGB intensity; the sky's is full from above and half from below.
        backdrop: (2 3) linear RGB between which the backdrop varies.
    """

    lamp_world: Float64
    lamp: Float64
    sky: Float64
    backdrop: Float64
    texture: Waves


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draw a lamp above the horizon, a dimmer sky and a backdrop."""
    azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.9)
    flat = np.sqrt(1 - height**2)
    return Scene(
        lamp_world=np.array([flat * np.sin(azimuth), height, flat * np.cos(azimuth)]),
        lamp=rng.uniform(0.6, 1.0) * rng.uniform(0.85, 1.0, 3),
        sky=rng.uniform(0.25, 0.45) * rng.uniform(0.85, 1.0, 3),
        backdrop=rng.uniform(0.1, 0.6) * rng.uniform(0.5, 1.0, (2, 3)),
        texture=draw_waves(rng, BACKDROP_PERIOD),
    )


def shade(
    albedo: NDArray[np.uint8],
    normal_cam: NDArray[Any],
    hit: NDArray[np.bool_],
    scene: Scene,
    *,
    K: Float64,
    world_from_cam: Float64,
) -> NDArray[np.uint8]:
    """The picture that a camera takes, sRGB (H W 3).

    Args:
        albedo: (H W 3) sRGB, such as `person_colors` of the points that the rays hit.
        normal_cam: (H W 3) unit normals facing the camera.
        hit: (H W) where a ray hits the person; albedo and normal are not read elsewhere.
    """
    R_world_cam = world_from_cam[:3, :3]
    rays = pixel_rays(K, *hit.shape) @ R_world_cam.T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    share = 0.5 + 0.5 * np.tanh(wave_noise(rays.reshape(-1, 3), scene.texture)).reshape(*hit.shape, 1)
    linear = scene.backdrop[0] * share + scene.backdrop[1] * (1 - share)
    normal_world = normal_cam[hit] @ R_world_cam.T
    lamp = np.clip(normal_world @ scene.lamp_world, 0.0, None)[:, None] * scene.lamp
    sky = (0.75 + 0.25 * normal_world[:, 1:2]) * scene.sky
    linear[hit] = linear_from_srgb(albedo[hit]) * (lamp + sky)
    return srgb_from_linear(linear)
