"""Sheets and boxes of which rooms are built, cut finely enough to carry light from vertex to vertex."""

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.materials import Material
from pipeline.simulation.surface import Surface, joined, painted_surface

Float64 = NDArray[np.float64]

CELL_M = 0.15  # of a box; the light that vertices carry is smooth over it
# Axis of a box's side, and the two axes along it, so that their cross product points along the first.
SIDES = ((0, 1, 2), (1, 2, 0), (2, 0, 1))


def sheet(
    corner: Float64, along: tuple[Float64, Float64], lines: tuple[Float64, Float64], material: Material
) -> Surface:
    """A flat rectangle cut by two families of lines; its normal is the cross product of the two directions.

    Args:
        corner: (3,) where both lines' coordinates are 0.
        along: two orthogonal unit vectors (3,).
        lines: ascending coordinates along each, metres.
    """
    u, v = np.meshgrid(*lines, indexing="ij")
    points = corner + u[..., None] * along[0] + v[..., None] * along[1]
    index = np.arange(u.size).reshape(u.shape)
    a, b, c, d = (i.ravel() for i in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)]).astype(np.int32)
    normals = np.broadcast_to(np.cross(*along), (u.size, 3))
    return painted_surface(
        points.reshape(-1, 3), faces, albedo=np.ones(3), material=material, normals=normals
    )


def box(low: Float64, high: Float64, material: Material) -> Surface:
    """An axis-parallel box with sharp edges."""
    sides = []
    for out, first, second in SIDES:
        unit = np.eye(3)
        spans = [_lines(high[axis] - low[axis]) for axis in (first, second)]
        far = low.copy()
        far[out] = high[out]
        sides.append(sheet(far, (unit[first], unit[second]), (spans[0], spans[1]), material))
        sides.append(sheet(low, (unit[second], unit[first]), (spans[1], spans[0]), material))
    return joined(sides)


def _lines(length_m: float) -> Float64:
    return np.linspace(0.0, length_m, max(2, int(np.ceil(length_m / CELL_M)) + 1))
