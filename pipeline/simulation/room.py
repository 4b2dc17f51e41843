"""A furnished room around a person: four walls, floor and ceiling, pieces in the corners and on the walls.

World frame: +Y up, the floor at y = 0, the person about the origin. Cameras that stay within the circle that
the room was drawn for stand inside it, and nothing stands between them and the person.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.furniture import draw_door, draw_picture, draw_standing, draw_window
from pipeline.simulation.materials import draw_ceiling, draw_floor, draw_wall, glowing
from pipeline.simulation.solids import box, sheet
from pipeline.simulation.surface import Surface, joined

Float64 = NDArray[np.float64]

BEYOND_M = (0.30, 0.75)  # from the circle to a wall: a depth camera 2 m away still sees most of the far wall
LEAST_ORBIT_M = 1.0  # below it, furniture would leave no room for what hangs on the walls
MARGIN_M = 0.15  # between the circle and any piece
CORNER_M = 0.25  # how far a corner of the room darkens the walls beside it
FINE_M, COARSE_M, FINE_REACH_M = 0.04, 0.25, 1.0  # cells of the floor, near the person and beyond
# Turns of a piece's own axes (x along the wall, z into the room) for the walls at z = -, x = +, z = +, x = -.
WALLS = tuple(
    np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], float) for c, s in ((1, 0), (0, -1), (-1, 0), (0, 1))
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Room:
    """An empty room with its furniture.

    Attributes:
        half_m: (2,) from the origin to the walls at +x and -x, and at +z and -z.
        height_m: of the ceiling.
        lamps: (L 3) below the ceiling, world, metres.
        window_wall: which of WALLS holds the window; -1 where there is none.
        surface: all of it.
    """

    half_m: Float64
    height_m: float
    lamps: Float64
    window_wall: int
    surface: Surface


def draw_room(rng: np.random.Generator, *, orbit_m: float) -> Room:
    """Draw a room for cameras within a circle around the origin.

    Args:
        orbit_m: radius of the circle; cameras and person stay inside it.

    Raises:
        ValueError: if the circle is smaller than LEAST_ORBIT_M.
    """
    if not orbit_m >= LEAST_ORBIT_M:
        raise ValueError(f"draw_room: orbit_m must be at least {LEAST_ORBIT_M} m, is {orbit_m} m")
    half_m = orbit_m + rng.uniform(*BEYOND_M, size=2)
    height_m = float(rng.uniform(2.4, 2.9))
    pieces = _shell(rng, half_m, height_m)
    for wall in range(4):
        pieces += _in_corner(rng, wall, half_m, orbit_m)
    window_wall = int(rng.integers(4)) if rng.uniform() < 0.6 else -1
    for wall in range(4):
        pieces += _on_wall(rng, wall, half_m, has_window=wall == window_wall)
    lamps = _draw_lamps(rng, height_m)
    pieces += [_panel(rng, lamp) for lamp in lamps]
    return Room(
        half_m=half_m, height_m=height_m, lamps=lamps, window_wall=window_wall, surface=joined(pieces)
    )


def _draw_lamps(rng: np.random.Generator, height_m: float) -> Float64:
    """One or two places on the ceiling, neither above the person nor in a corner."""
    count = int(rng.integers(1, 3))
    turn_rad = rng.uniform(0, 2 * np.pi) + np.array([0.0, rng.uniform(2.0, 4.0)])[:count]
    away_m = rng.uniform(0.6, 1.4, count)
    return np.stack([away_m * np.sin(turn_rad), np.full(count, height_m), away_m * np.cos(turn_rad)], axis=1)


def _panel(rng: np.random.Generator, lamp: Float64) -> Surface:
    """A flat bright fixture; it throws no shadow on what its own lamp lights."""
    half_m = np.array([rng.uniform(0.15, 0.6), 0.02, 0.15])
    fixture = box(lamp - half_m, lamp + half_m, glowing(np.ones(3), 3.0))
    return replace(fixture, casts=np.zeros(len(fixture.faces), np.bool_))


def _shell(rng: np.random.Generator, half_m: Float64, height_m: float) -> list[Surface]:
    """Floor, ceiling, walls and skirting; it throws no shadow, since no lamp stands outside."""
    unit, size = np.eye(3), np.append(2 * half_m, height_m)
    low = np.array([-half_m[0], 0.0, -half_m[1]])
    grid = [_floor_lines(half) for half in half_m]
    top = low + [0, height_m, 0]
    sheets = [
        sheet(low, (unit[2], unit[0]), (grid[1] + half_m[1], grid[0] + half_m[0]), draw_floor(rng)),
        sheet(top, (unit[0], unit[2]), (_steps(size[0]), _steps(size[1])), draw_ceiling(rng)),
    ]
    paint, accent = draw_wall(rng), draw_wall(rng)
    accent_wall = int(rng.integers(8))  # every other room has one wall of another colour
    skirting = draw_wall(rng)
    boards = []
    for wall in range(4):
        width_m = size[wall % 2]
        material = accent if wall == accent_wall else paint
        upright = sheet(np.zeros(3), (unit[0], unit[1]), (_steps(width_m), _steps(height_m)), material)
        sheets.append(_placed(upright, wall, half_m, 0.0))
        board = box(np.zeros(3), np.array([width_m, 0.08, 0.012]), skirting)
        boards.append(_placed(board, wall, half_m, 0.0))
    return [*(_shaded_shell(part, half_m, height_m) for part in sheets), *boards]


def _shaded_shell(part: Surface, half_m: Float64, height_m: float) -> Surface:
    """Darken a sheet beside the sheets that meet it: what the walls take from each other's surroundings."""
    to_walls = np.array([half_m[0], height_m / 2, half_m[1]]) - np.abs(part.vertices - [0, height_m / 2, 0])
    own = np.argmax(np.abs(part.normals[0]))
    others = np.delete(to_walls, own, axis=1)
    openness = np.prod(1 - 0.35 * np.exp(-np.maximum(others, 0) / CORNER_M), axis=1)
    return replace(part, openness=openness.astype(np.float32), casts=np.zeros(len(part.faces), np.bool_))


def _floor_lines(half_m: float) -> Float64:
    fine = np.arange(-FINE_REACH_M, FINE_REACH_M + FINE_M / 2, FINE_M)
    outer = np.linspace(FINE_REACH_M, half_m, max(2, int((half_m - FINE_REACH_M) / COARSE_M) + 1))[1:]
    return np.concatenate([-outer[::-1], fine, outer])


def _steps(length_m: float) -> Float64:
    return np.linspace(0.0, length_m, int(np.ceil(length_m / COARSE_M)) + 1)


def _in_corner(rng: np.random.Generator, wall: int, half_m: Float64, orbit_m: float) -> list[Surface]:
    """A piece in the corner where a wall begins, or none; smaller ones are tried where a large one is in the way."""
    if rng.uniform() < 0.15:
        return []
    width_m, depth_m = rng.uniform(0.5, 1.0), rng.uniform(0.3, 0.6)
    along_m, into_m = half_m[wall % 2], half_m[(wall + 1) % 2]
    while np.hypot(along_m - width_m - 0.02, into_m - depth_m - 0.03) < orbit_m + MARGIN_M:
        width_m, depth_m = 0.9 * width_m, 0.9 * depth_m
    if min(width_m, depth_m) < 0.2:
        return []
    return [_placed(p, wall, half_m, 0.02) for p in draw_standing(rng, width_m, depth_m)]


def _on_wall(
    rng: np.random.Generator, wall: int, half_m: Float64, *, has_window: bool
) -> list[Surface]:  # fmt: skip
    """What hangs on a wall, between the pieces in its corners."""
    free_m = 2 * half_m[wall % 2] - 2.2
    if has_window:
        width_m = min(free_m, rng.uniform(0.9, 1.4))
        hung = draw_window(rng, width_m)
    elif rng.uniform() < 0.25:
        width_m = 0.95
        hung = draw_door(rng, width_m)
    elif rng.uniform() < 0.8:
        width_m = min(free_m, rng.uniform(0.35, 1.1))
        hung = draw_picture(rng, width_m, float(rng.uniform(0.4, 1.0)))
    else:
        return []
    start_m = 1.1 + rng.uniform(0, max(free_m - width_m, 0.0))
    return [_placed(piece, wall, half_m, start_m) for piece in hung]


def _placed(piece: Surface, wall: int, half_m: Float64, along_m: float) -> Surface:
    """Move a piece from its own axes to a wall, `along_m` from where the wall begins."""
    turn = WALLS[wall]
    begin = turn @ np.array([-half_m[wall % 2], 0.0, -half_m[(wall + 1) % 2]])
    vertices = (piece.vertices + [along_m, 0.0, 0.0]) @ turn.T + begin
    # Solid textures stay in the piece's own axes, so that wood runs along the boards of every wall.
    return replace(piece, vertices=vertices, normals=(piece.normals @ turn.T).astype(np.float32))
