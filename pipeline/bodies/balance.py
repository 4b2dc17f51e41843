"""Standing on the floor y = 0: contact, support, balance, and settling like a rigid body."""

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.leg_reach import shortest_turn

Float64 = NDArray[np.float64]

# Soles and knees are soft and give by about this much under a body's weight, so all that is so near bears it.
CONTACT_BAND_M = 0.015
# How far the centre of mass may lie outside the support: segment tables and the solid body's own centre differ by
# about 2 cm (tests compare them), so nearer than that "outside" means nothing.
BALANCE_TOLERANCE_M = 0.020
_DIRECTIONS = 64
# Hull facets that a settling body may come to lie on start no higher; the body is 0.6 m wide, 20 degrees tilt it 0.2 m.
_HULL_BAND_M = 0.30


def outside_support_m(vertices_m: Float64, centre_m: Float64, *, also: NDArray[np.bool_]) -> Float64:
    """Return how far each centre of mass lies outside its support polygon seen from above; negative inside.

    The polygon is the convex hull of all vertices within CONTACT_BAND_M of the floor y = 0, described by its
    support in 64 directions: the distance outside is too small by 0.1 % at most.

    Args:
        vertices_m: (N V 3), +Y up.
        centre_m: (N 3).
        also: (N V) vertices that bear the body elsewhere, such as on a stool.
    """
    angle_rad = np.arange(_DIRECTIONS) * (2.0 * np.pi / _DIRECTIONS)
    directions = np.stack([np.cos(angle_rad), np.sin(angle_rad)])
    bears = (vertices_m[..., 1] < CONTACT_BAND_M) | also
    outside_m = np.zeros(len(vertices_m))
    for row, mask in enumerate(bears):
        reach_m = (vertices_m[row, mask][:, [0, 2]] @ directions).max(axis=0)
        outside_m[row] = (centre_m[row, [0, 2]] @ directions - reach_m).max()
    return outside_m


def settling_turn(vertices_m: Float64, centre_m: Float64) -> tuple[Float64, float]:
    """Return the least turn (3 3) after which a rigid body rests on the floor, and its angle in degrees.

    A rigid body rests on a facet of its convex hull that its centre of mass stands over. The angle is infinite
    where no such facet is near.

    Args:
        vertices_m: (V 3), +Y up.
        centre_m: (3).
    """
    low_m = vertices_m[vertices_m[:, 1] < vertices_m[:, 1].min() + _HULL_BAND_M]
    from scipy.spatial import ConvexHull

    hull = ConvexHull(low_m)
    normals, offsets = hull.equations[:, :3], hull.equations[:, 3]
    below_m = centre_m - (normals @ centre_m + offsets)[:, None] * normals
    corners_m = low_m[hull.simplices]
    sides = np.roll(corners_m, -1, axis=1) - corners_m
    turning = np.einsum("fkc,fc->fk", np.cross(sides, below_m[:, None] - corners_m), normals)
    stands = (turning >= 0).all(axis=1) | (turning <= 0).all(axis=1)
    down = np.where(stands, -normals[:, 1], -1.0)
    best = int(np.argmax(down))
    if down[best] <= 0:
        return np.eye(3), np.inf
    turn = shortest_turn(normals[best][None], np.array([[0.0, -1.0, 0.0]]))[0]
    return turn, float(np.degrees(np.arccos(min(down[best], 1.0))))
