"""What varies between renders of one subject: lamps, sky, surface, ground, background, exposure, camera.

All directions and places are in the world frame, +Y up. Every draw comes from the generator it is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, project, transform
from renderers.backgrounds import Background
from renderers.views import View

Float64 = NDArray[np.float64]

Pattern = Literal["plain", "noise", "checker", "planks"]
PATTERNS: tuple[Pattern, ...] = ("plain", "noise", "checker", "planks")  # in the worker's order
WARM, WHITE, COOL = np.array([1.0, 0.70, 0.42]), np.ones(3), np.array([0.62, 0.80, 1.0])
REFINEMENTS = 12  # of a camera's distance and aim; each leaves a tenth of the error or less


@dataclass(frozen=True, kw_only=True, slots=True)
class Lamp:
    """One lamp.

    Attributes:
        kind: a sun shines from infinity; a disc faces the subject's middle.
        direction: (3,) unit, from the subject towards the lamp.
        irradiance: (3,) linear RGB on a surface at the subject's middle that faces the lamp.
        size: a sun's angle in radians, a disc's diameter in metres; the larger, the softer the shadows.
        distance_m: of a disc.
    """

    kind: Literal["sun", "disc"]
    direction: Float64
    irradiance: Float64
    size: float
    distance_m: float = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """A square under the subject's lowest vertex; never in front of a camera that is below it.

    Attributes:
        colors: (2 3) linear RGB of the pattern.
        pattern_m: how large it repeats.
        half_side_m: from its middle, below the subject's, to its rim.
    """

    colors: Float64
    pattern: Pattern
    pattern_m: float
    half_side_m: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """How one frame is lit, backed and exposed.

    Attributes:
        sky: (3 3) linear radiance from straight below, the horizon and straight above.
        roughness: 0 is a mirror, 1 is chalk.
        specular: 0 reflects diffusely alone, 0.5 as most things do.
        exposure_ev: in stops, on top of what an incident light meter at the subject asks for.
        grain_seed: of the noise that few samples of light leave, below 2^31.
    """

    lamps: tuple[Lamp, ...]
    sky: Float64
    roughness: float
    specular: float
    ground: Ground | None
    background: Background
    exposure_ev: float
    grain_seed: int = 0


def draw_look(rng: np.random.Generator, pictures: Sequence[NDArray[np.uint8]] = ()) -> Look:
    """Draw a look: from an overcast sky to one hard lamp, three in four with a ground under the subject.

    Args:
        pictures: (H W 3) uint8 sRGB backgrounds; given some, every second look has one of them.
    """
    key_light = np.exp(rng.uniform(np.log(0.4), np.log(6.0)))
    lamps = [_draw_lamp(rng, key_light)]
    lamps += [_draw_lamp(rng, key_light * rng.uniform(0.1, 0.6)) for _ in range(rng.integers(0, 3))]
    ambient = rng.uniform(0.08, 0.35) * _light_color(rng)
    sky = ambient * np.array([[rng.uniform(0.2, 0.6)], [rng.uniform(0.6, 1.2)], [rng.uniform(0.8, 1.6)]])
    return Look(
        lamps=tuple(lamps),
        sky=sky,
        roughness=rng.uniform(0.35, 1.0),
        specular=rng.uniform(0.1, 0.5),
        ground=_draw_ground(rng) if rng.random() < 0.75 else None,
        background=_draw_background(rng, pictures),
        exposure_ev=rng.normal(0.0, 0.4),
        grain_seed=int(rng.integers(2**31)),
    )


def _draw_lamp(rng: np.random.Generator, strength: float) -> Lamp:
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(10, 75))
    flat = np.cos(elevation)
    direction = np.array([flat * np.sin(azimuth), np.sin(elevation), flat * np.cos(azimuth)])
    irradiance = strength * _light_color(rng)
    if rng.random() < 0.5:
        size = np.radians(np.exp(rng.uniform(np.log(0.5), np.log(20))))
        return Lamp(kind="sun", direction=direction, irradiance=irradiance, size=size)
    size, distance_m = rng.uniform(0.3, 2.5), rng.uniform(2.5, 6.0)
    return Lamp(kind="disc", direction=direction, irradiance=irradiance, size=size, distance_m=distance_m)


def _light_color(rng: np.random.Generator) -> Float64:
    """From a bulb's orange over white to a blue sky; most are near white."""
    warmth = np.clip(rng.normal(0.1, 0.35), -1, 1)
    return np.asarray(WHITE + abs(warmth) * ((WARM if warmth > 0 else COOL) - WHITE))


def _draw_ground(rng: np.random.Generator) -> Ground:
    return Ground(
        colors=np.stack([_thing_color(rng), _thing_color(rng)]),
        pattern=PATTERNS[rng.integers(len(PATTERNS))],
        pattern_m=np.exp(rng.uniform(np.log(0.1), np.log(1.0))),
        half_side_m=np.exp(rng.uniform(np.log(1.5), np.log(15.0))),
    )


def _thing_color(rng: np.random.Generator) -> Float64:
    """Linear RGB of walls, floors and furniture: mostly dull, from nearly black to nearly white."""
    grey = np.exp(rng.uniform(np.log(0.03), np.log(0.7)))
    return np.asarray(np.clip(grey * np.exp(rng.normal(0, 0.25, 3)), 0.0, 0.9))


def _draw_background(rng: np.random.Generator, pictures: Sequence[NDArray[np.uint8]]) -> Background:
    colors = np.stack([_thing_color(rng) for _ in range(3)]).astype(np.float32)
    blur = float(rng.choice([0.0, rng.uniform(0.0, 0.02)]))
    if pictures and rng.random() < 0.5:
        picture = pictures[rng.integers(len(pictures))]
        return Background(kind="picture", colors=colors, blur=blur, picture=picture)
    share = rng.random()
    kind: Literal["plain", "gradient", "clutter"] = (
        "plain" if share < 0.15 else "gradient" if share < 0.35 else "clutter"
    )
    return Background(kind=kind, colors=colors, blur=blur, seed=int(rng.integers(2**63)))


def draw_view(
    rng: np.random.Generator,
    vertices: Float64,
    *,
    frame: int,
    height: int,
    width: int,
    fill: tuple[float, float] = (0.55, 0.95),
) -> View:
    """Draw a camera around a subject: from all sides, from the waist's height to well above, slightly rolled.

    The focal length is that of a wide to a long lens, and the distance follows from how much of the frame
    the subject is to fill.

    Args:
        vertices: (V 3) of the subject, world frame, +Y up, metres.
        fill: range of the share of the frame's height or width, whichever is fuller, that the subject's
            bounding box takes; it always lies inside the frame.

    Raises:
        ValueError: if fill is not a range inside (0, 1].
    """
    if not 0 < fill[0] <= fill[1] <= 1:
        raise ValueError(f"renderers.looks: fill must be an ascending range inside (0, 1], is {fill}")
    field_rad = np.radians(rng.uniform(20, 60))
    focal_px = max(height, width) / 2 / np.tan(field_rad / 2)
    K = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(np.clip(rng.normal(10, 14), -12, 50))
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = _towards(azimuth, elevation, np.radians(rng.normal(0, 4)))
    share, aside = rng.uniform(*fill), rng.uniform(-1, 1, 2)
    return View(
        frame=frame, K=K, world_from_cam=_framed(vertices, K, world_from_cam, share=share, aside=aside)
    )


def _towards(azimuth_rad: float, elevation_rad: float, roll_rad: float) -> Float64:
    """Columns right, down, forward of a camera that stands at this azimuth (0 = +Z) and elevation."""
    flat = np.cos(elevation_rad)
    forward = -np.array([flat * np.sin(azimuth_rad), np.sin(elevation_rad), flat * np.cos(azimuth_rad)])
    right = np.array([np.cos(azimuth_rad), 0, -np.sin(azimuth_rad)])
    down = np.cross(forward, right)
    cos, sin = np.cos(roll_rad), np.sin(roll_rad)
    return np.stack([cos * right + sin * down, cos * down - sin * right, forward], axis=1)


def _framed(
    vertices: Float64, K: Float64, world_from_cam: Float64, *, share: float, aside: Float64
) -> Float64:
    """Move a camera that looks the right way until the subject's box has its size and its place.

    Args:
        share: of the frame that the fuller side of the subject's box takes.
        aside: (2,) where the box lies in the room that is left, from -1 (left, top) to 1.
    """
    size_px = 2 * K[:2, 2] + 1
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    reach_m = np.linalg.norm(vertices - middle, axis=1).max()
    placed = world_from_cam.copy()
    placed[:3, 3] = middle - 2 * reach_m * K[0, 0] / size_px.min() / share * placed[:3, 2]
    for _ in range(REFINEMENTS):
        points_cam = transform(invert_rigid(placed), vertices)
        pixels = project(points_cam, K)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        nearer = share / ((high - low) / size_px).max()
        away_m = float(transform(invert_rigid(placed), middle)[2])
        wanted_px = K[:2, 2] + aside * (size_px - (high - low) * nearer).clip(0) / 2
        shift_px = (low + high) / 2 - wanted_px
        placed[:3, 3] += placed[:3, :2] @ (shift_px * away_m / K[0, 0])
        placed[:3, 3] += placed[:3, 2] * away_m * (1 - 1 / nearer)
    return placed
