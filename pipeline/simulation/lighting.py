"""Lamps in a room, their shadows, and the light that comes from all sides.

Shadow maps after Williams, "Casting Curved Shadows on Curved Surfaces", SIGGRAPH 1978, softened with the
distance between caster and receiver (Fernando, "Percentage-Closer Soft Shadows", SIGGRAPH Sketches 2005).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, transform
from pipeline.simulation.room import WALLS, Room
from pipeline.simulation.surface import Surface
from pipeline.zbuffer import visible_faces

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

MAP_PX = 640
MAP_HALF_ANGLE_RAD = np.radians(63.0)  # of a lamp's shadow map; what lies outside it is lit
AIM = np.array([0.0, 0.6, 0.0])  # where lamps' maps look: at the person
SIDES = 40  # directions from which surrounding light is followed
SIDE_PX = 192
SIDE_AWAY_M = 60.0  # so far that rays through a map are parallel to 3 degrees
OUTSIDE_M = 0.9  # of the side lamp, behind its wall
OFFSET_M = 0.015  # off the surface before asking for shadow, so that no surface shades itself


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lights:
    """Lamps and surrounding light.

    Attributes:
        places: (L 3) world, metres.
        colors: (L 3) linear RGB: what a white wall sends back at 1 m, lit face on.
        radius_m: (L) of the lamp; larger is softer.
        surround: (3 3) linear RGB that a white surface sends back where it faces up, sideways, down.
    """

    places: Float64
    colors: Float64
    radius_m: Float64
    surround: Float64


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shadows:
    """Where the lights of a scene do not reach; stays valid until something in the scene moves.

    Attributes:
        cam_from_world: (L 4 4) of the lamps' maps.
        depth_m: (L N N) z from the lamp; 0 where nothing casts.
        surround: (V) float32 in [0, 1], share of the surrounding light at each vertex.
    """

    cam_from_world: Float64
    depth_m: Float32
    surround: Float32


def draw_lights(rng: np.random.Generator, room: Room) -> Lights:
    """Draw the colours of the ceiling's lamps, and a larger, colder one outside the window or a random wall.

    Walls cast no shadow, and what lies behind them lights only what faces it: not the wall itself.
    """
    count = len(room.lamps)
    wall = room.window_wall if room.window_wall >= 0 else int(rng.integers(4))
    inwards = WALLS[wall][:, 2]
    side = -inwards * (room.half_m[(wall + 1) % 2] + OUTSIDE_M) + [0, rng.uniform(1.5, 1.9), 0]
    side += np.cross(inwards, [0.0, 1.0, 0.0]) * rng.uniform(-0.6, 0.6)
    warm = np.array([1.0, 0.80, 0.58]) ** rng.uniform(0.2, 1.0)
    cold = np.array([0.80, 0.92, 1.0]) ** rng.uniform(0.3, 1.5)
    strength = rng.uniform(1.0, 2.0, count) / count
    daylight = rng.uniform(3.0, 7.0) if room.window_wall >= 0 else rng.uniform(0.4, 1.6)
    mixed = 0.5 * (warm + cold)
    return Lights(
        places=np.concatenate([room.lamps, side[None]]),
        colors=np.concatenate([strength[:, None] * warm, daylight * cold[None]]),
        radius_m=np.append(rng.uniform(0.08, 0.18, count), rng.uniform(0.3, 0.5)),
        surround=rng.uniform(0.14, 0.26) * np.array([1.05, 1.0, 0.75])[:, None] * mixed,
    )


def cast_shadows(surface: Surface, lights: Lights) -> Shadows:
    """Follow the light of every lamp, and from all sides, to the surface."""
    faces = surface.faces[surface.casts]
    cam_from_world = np.stack([look(place, AIM - place) for place in lights.places])
    depth_m = [
        visible_depth(surface.vertices, faces, pose, map_intrinsics(), MAP_PX) for pose in cam_from_world
    ]
    return Shadows(
        cam_from_world=cam_from_world, depth_m=np.stack(depth_m), surround=_surround(surface, faces)
    )


def map_intrinsics() -> Float64:
    """(3 3) of a lamp's shadow map."""
    focal_px, centre_px = MAP_PX / 2 / np.tan(MAP_HALF_ANGLE_RAD), (MAP_PX - 1) / 2
    return np.array([[focal_px, 0, centre_px], [0, focal_px, centre_px], [0, 0, 1]])


def visible_depth(
    vertices: Float64, faces: NDArray[np.int32], cam_from_world: Float64, K: Float64, size_px: int
) -> Float32:
    """Depth (N N) of the nearest face, 0 where there is none."""
    points_cam = transform(cam_from_world, vertices)
    return visible_faces(points_cam, faces, K, height=size_px, width=size_px)[2]


def _surround(surface: Surface, faces: NDArray[np.int32]) -> Float32:
    """Cosine-weighted share (V) of directions that see no caster, times what the surface says of itself."""
    from pipeline.simulation.painting_kernels import add_open

    casters = surface.vertices[np.unique(faces)]
    middle = (casters.min(axis=0) + casters.max(axis=0)) / 2
    radius_m = float(np.linalg.norm(casters - middle, axis=1).max()) + 0.1
    focal_px = SIDE_PX / 2 * SIDE_AWAY_M / radius_m
    centre_px = (SIDE_PX - 1) / 2
    K = np.array([[focal_px, 0, centre_px], [0, focal_px, centre_px], [0, 0, 1]])
    texel_m = 2 * radius_m / SIDE_PX
    points = (surface.vertices + (OFFSET_M + texel_m) * surface.normals).astype(np.float64)
    total, open_ = np.zeros((2, len(points)))
    for direction in _directions(SIDES):
        pose = look(middle + SIDE_AWAY_M * direction, -direction)
        depth_m = visible_depth(surface.vertices, faces, pose, K, SIDE_PX)
        cosine = surface.normals.astype(np.float64) @ direction
        add_open(transform(pose, points), cosine, (focal_px, centre_px, texel_m), depth_m, (total, open_))
    share = np.divide(open_, total, out=np.ones_like(total), where=total > 0)
    return np.asarray(share * surface.openness, dtype=np.float32)


def _directions(count: int) -> Float64:
    """Unit vectors (count 3) spread evenly over the sphere (Fibonacci spiral)."""
    index = np.arange(count) + 0.5
    y, turn_rad = 1 - 2 * index / count, index * np.pi * (1 + np.sqrt(5))
    flat = np.sqrt(1 - y**2)
    return np.stack([flat * np.cos(turn_rad), y, flat * np.sin(turn_rad)], axis=1)


def look(place: Float64, forward: Float64) -> Float64:
    """cam_from_world of a camera at a place that looks along a direction."""
    forward = forward / np.linalg.norm(forward)
    helper = np.eye(3)[np.argmin(np.abs(forward))]
    right = np.cross(helper, forward)
    right /= np.linalg.norm(right)
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    world_from_cam[:3, 3] = place
    return np.asarray(invert_rigid(world_from_cam))
