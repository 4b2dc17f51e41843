"""Pieces that stand in a room's corners or hang on its walls; boxes all, of drawn sizes and materials.

A standing piece is built with its corner at the origin and its back to the planes x = 0 and z = 0, filling
0 <= x <= width, 0 <= z <= depth; the room turns it into its place. A hanging piece lies in 0 <= x <= width,
y from the floor, and grows out of the wall z = 0.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.materials import (
    Material,
    Pattern,
    draw_board,
    draw_poster,
    glowing,
    muted_color,
)
from pipeline.simulation.solids import box, sheet
from pipeline.simulation.surface import Surface

Float64 = NDArray[np.float64]

STANDING = ("cabinet", "table", "seat", "shelf", "crates")
UPRIGHT = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def draw_standing(rng: np.random.Generator, width_m: float, depth_m: float) -> list[Surface]:
    """One piece of furniture of this ground plan."""
    kind = str(rng.choice(STANDING))
    if kind == "cabinet":
        return _cabinet(rng, width_m, depth_m)
    if kind == "table":
        return _table(rng, width_m, depth_m)
    if kind == "seat":
        return _seat(rng, width_m, depth_m)
    if kind == "shelf":
        return _shelf(rng, width_m, depth_m)
    return _crates(rng, width_m, depth_m)


def _cabinet(rng: np.random.Generator, width_m: float, depth_m: float) -> list[Surface]:
    board, height_m = draw_board(rng), rng.uniform(0.7, 1.9)
    body = _box((0, 0.06, 0), (width_m, height_m, depth_m - 0.02), board)
    plinth = _box((0.03, 0, 0.03), (width_m - 0.03, 0.06, depth_m - 0.05), board)
    half_m, gap_m = width_m / 2, 0.003
    doors = [
        _box((x + gap_m, 0.08, depth_m - 0.02), (x + half_m - gap_m, height_m - 0.01, depth_m), board)
        for x in (0.0, half_m)
    ]
    knob = _paint(0.5 * np.ones(3))
    knobs = [
        _box((half_m + s - 0.012, 0.5 * height_m, depth_m), (half_m + s + 0.012, 0.62 * height_m, depth_m + 0.02), knob)
        for s in (-0.05, 0.05)
    ]  # fmt: skip
    return [body, plinth, *doors, *knobs]


def _table(rng: np.random.Generator, width_m: float, depth_m: float) -> list[Surface]:
    board, height_m, leg_m = draw_board(rng), rng.uniform(0.45, 0.75), rng.uniform(0.03, 0.06)
    legs = [
        _box((x, 0, z), (x + leg_m, height_m, z + leg_m), board)
        for x in (0.02, width_m - leg_m - 0.02)
        for z in (0.02, depth_m - leg_m - 0.02)
    ]
    top = _box((0, height_m, 0), (width_m, height_m + 0.03, depth_m), board)
    return [*legs, top, *_books(rng, width_m * 0.8, height_m + 0.03, depth_m * 0.6)]


def _seat(rng: np.random.Generator, width_m: float, depth_m: float) -> list[Surface]:
    cloth, seat_m, arm_m = _cloth(rng), rng.uniform(0.36, 0.44), 0.1
    return [
        _box((0, 0.05, 0), (width_m, seat_m - 0.1, depth_m), cloth),
        _box((arm_m, seat_m - 0.1, 0.12), (width_m - arm_m, seat_m, depth_m + 0.02), cloth),
        _box((0, seat_m - 0.1, 0), (width_m, seat_m + 0.4, 0.14), cloth),
        _box((0, seat_m - 0.1, 0.14), (arm_m, seat_m + 0.18, depth_m), cloth),
        _box((width_m - arm_m, seat_m - 0.1, 0.14), (width_m, seat_m + 0.18, depth_m), cloth),
    ]


def _shelf(rng: np.random.Generator, width_m: float, depth_m: float) -> list[Surface]:
    board, height_m, count = draw_board(rng), rng.uniform(1.2, 2.0), int(rng.integers(3, 6))
    pieces = [
        _box((x, 0, 0), (x + 0.025, height_m, depth_m), board) for x in (0.0, width_m - 0.025)
    ] + [_box((0, 0, 0), (width_m, height_m, 0.012), board)]  # fmt: skip
    for y in np.linspace(0.05, height_m - 0.025, count):
        pieces.append(_box((0.025, y, 0.012), (width_m - 0.025, y + 0.025, depth_m), board))
        if y < height_m - 0.2:
            pieces += _books(rng, width_m - 0.03, float(y) + 0.025, depth_m)
    return pieces


def _crates(rng: np.random.Generator, width_m: float, depth_m: float) -> list[Surface]:
    pieces, y = [], 0.0
    for _ in range(int(rng.integers(1, 4))):
        height_m, shrink = rng.uniform(0.2, 0.4), rng.uniform(0.7, 1.0)
        card = np.array([0.36, 0.23, 0.12]) * rng.uniform(0.7, 1.2)
        paint = _paint(card if rng.uniform() < 0.6 else muted_color(rng, 0.05, 0.6))
        pieces.append(_box((0, y, 0), (width_m * shrink, y + height_m, depth_m * shrink), paint))
        y += height_m
    return pieces


def _books(rng: np.random.Generator, width_m: float, y: float, depth_m: float) -> list[Surface]:
    """A row that starts and ends somewhere, each upright, none as thick or as tall as the next."""
    x, stop = rng.uniform(0.03, 0.5 * width_m), rng.uniform(0.55, 1.0) * width_m
    books = []
    while x + 0.05 < stop:
        thick_m, tall_m = rng.uniform(0.015, 0.05), rng.uniform(0.14, 0.24)
        deep_m = min(depth_m - 0.01, rng.uniform(0.12, 0.2))
        cover = _paint(muted_color(rng, 0.04, 0.6))
        books.append(_box((x, y, 0.014), (x + thick_m, y + tall_m, deep_m), cover))
        x += thick_m + 0.001
    return books


def draw_picture(rng: np.random.Generator, width_m: float, height_m: float) -> list[Surface]:
    """A framed print, its middle at eye height."""
    low_m, edge_m = 1.55 - height_m / 2, rng.uniform(0.015, 0.04)
    frame = _box(
        (0, low_m, 0), (width_m, low_m + height_m, 0.02), _paint(rng.uniform(0.02, 0.6) * np.ones(3))
    )
    unit = np.eye(3)
    lines = np.array([0.0, width_m - 2 * edge_m]), np.array([0.0, height_m - 2 * edge_m])
    corner = np.array([edge_m, low_m + edge_m, 0.021])
    return [frame, sheet(corner, (unit[0], unit[1]), lines, draw_poster(rng, UPRIGHT))]


def draw_door(rng: np.random.Generator, width_m: float) -> list[Surface]:
    """A closed door in its frame."""
    board, height_m, jamb_m = draw_board(rng), 2.02, 0.07
    frame = _paint(rng.uniform(0.5, 0.8) * np.ones(3))
    return [
        _box((0, 0, 0), (jamb_m, height_m, 0.03), frame),
        _box((width_m - jamb_m, 0, 0), (width_m, height_m, 0.03), frame),
        _box((0, height_m, 0), (width_m, height_m + jamb_m, 0.03), frame),
        _box((jamb_m + 0.003, 0.008, 0), (width_m - jamb_m - 0.003, height_m - 0.003, 0.018), board),
        _box((width_m - 0.2, 1.0, 0.018), (width_m - 0.09, 1.02, 0.06), _paint(0.55 * np.ones(3))),
    ]


def draw_window(rng: np.random.Generator, width_m: float) -> list[Surface]:
    """A window before bright sky."""
    low_m, high_m, bar_m = 0.9, 2.1, 0.06
    frame = _paint(rng.uniform(0.6, 0.8) * np.ones(3))
    sky = rng.uniform(0.7, 0.9) * np.array([0.85, 0.95, 1.0])
    pane = glowing(sky, float(rng.uniform(0.8, 1.3)))
    middle = width_m / 2
    bars = [(0.0, bar_m), (middle - bar_m / 2, middle + bar_m / 2), (width_m - bar_m, width_m)]
    return [
        _box((0, low_m, 0), (width_m, high_m, 0.012), pane),
        *(_box((a, low_m, 0), (b, high_m, 0.05), frame) for a, b in bars),
        *(_box((0, y, 0), (width_m, y + bar_m, 0.05), frame) for y in (low_m, high_m - bar_m)),
        _box((-0.04, low_m - 0.03, 0), (width_m + 0.04, low_m, 0.14), frame),
    ]


def _box(low: tuple[float, ...], high: tuple[float, ...], material: Material) -> Surface:
    return box(np.array(low, dtype=np.float64), np.array(high, dtype=np.float64), material)


def _paint(color: Float64) -> Material:
    return Material(
        pattern=Pattern.PLASTER, colors=np.array([color, color]), axes=UPRIGHT, contrast=0.03, gloss=0.03
    )


def _cloth(rng: np.random.Generator) -> Material:
    dark = rng.uniform(0.04, 0.4) * rng.uniform(0.5, 1.0, 3)
    return Material(
        pattern=Pattern.CARPET, colors=np.array([dark, 1.4 * dark]), axes=UPRIGHT, contrast=0.4,
        seed=int(rng.integers(1 << 20)),
    )  # fmt: skip
