"""Compiled shading; import only through `pipeline.simulation.painting` and `.lighting`.

The compiler's cache looks at this file alone: after a change to `material_kernels`, touch this one too.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.simulation.material_kernels import OPTIONS, texture

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

F = np.float32
BLOCK_PX = 16  # of a shadow map, within which the nearest caster is known; no search reaches farther
BORDER_PX = 32  # of a shadow map, where everything counts as lit, so that no tap falls outside
TAPS = 8
# Places (TAPS 2) spread evenly over the unit disc (Vogel's spiral).
_RADII, _ANGLES = np.sqrt((np.arange(TAPS) + 0.5) / TAPS), 2.399963 * np.arange(TAPS)
DISC = np.stack([_RADII * np.cos(_ANGLES), _RADII * np.sin(_ANGLES)], axis=1).astype(np.float32)
# Turns (cosine, sine) of the disc, of which every pixel takes one.
TURNS = 64
TURN = np.stack([np.cos(np.arange(TURNS) * 2 * np.pi / TURNS), np.sin(np.arange(TURNS) * 2 * np.pi / TURNS)])
TURN = TURN.T.astype(np.float32)
STEEPEST = F(8.0)  # slope of a receiver towards the map up to which it does not shade itself
SEARCH_SHARE = F(0.6)  # of the lamp's own size, how wide casters are searched for
SHININESS = F(40.0)
MIN_COSINE = F(0.12)  # below it, a pixel's patch of surface is taken to be no longer

POINT, NORMAL, VIEW, LIGHT, SHINE = range(5)  # rows of what is known at a pixel
OFFSET_M = F(0.012)  # off the surface before asking for shadow, so that no surface shades itself

Mesh = tuple[Int32, Float32, Int32, Float32]
Camera = tuple[Float32, Float32, Float32]
Lamps = tuple[Float32, Float32, Float32]


@njit(**OPTIONS)
def add_open(
    points_cam: Float64,
    cosine: Float64,
    lens: tuple[float, float, float],
    depth_m: Float32,
    sums: tuple[Float64, Float64],
) -> None:
    """Add one direction's cosine to the sum over all directions, and to that over the unhindered ones."""
    focal_px, centre_px, bias_m = lens
    total, open_ = sums
    size = depth_m.shape[0]
    for i in range(len(points_cam)):
        if cosine[i] <= 0.0:
            continue
        total[i] += cosine[i]
        z = points_cam[i, 2]
        u = int(focal_px * points_cam[i, 0] / z + centre_px + 0.5)
        v = int(focal_px * points_cam[i, 1] / z + centre_px + 0.5)
        clear = u < 0 or v < 0 or u >= size or v >= size
        if clear or depth_m[v, u] == 0.0 or depth_m[v, u] > z - bias_m:
            open_[i] += cosine[i]


@njit(**OPTIONS)
def nearest_casters(depth_m: Float32) -> Float32:
    """Least depth of all casters within a block of a map (N N) and the blocks around it; 1e9 where there is none.

    Most of what a camera sees lies before every caster near its ray to the lamp, and needs no taps.
    """
    size = (depth_m.shape[0] + BLOCK_PX - 1) // BLOCK_PX
    nearest_m = np.full((size, size), F(1e9))
    for v in range(depth_m.shape[0]):
        for u in range(depth_m.shape[1]):
            here = depth_m[v, u]
            if here <= F(0):
                continue
            row, column = v // BLOCK_PX, u // BLOCK_PX
            for i in range(max(row - 1, 0), min(row + 2, size)):
                for j in range(max(column - 1, 0), min(column + 2, size)):
                    nearest_m[i, j] = min(nearest_m[i, j], here)
    return nearest_m


@njit(**OPTIONS)
def light_pixels(
    seen: tuple[Int32, Float32], mesh: Mesh, materials: Float32, camera: Camera, lamps: Lamps, linear: Float32
) -> None:
    """Write linear RGB (H W 3) wherever a face is seen.

    Args:
        seen: face index and weights of `zbuffer.visible_faces`.
        mesh: faces, (V 13) of vertices, normals, texture points, albedo and surround of `Surface`, face
            material, and the colours (3 3) of the surrounding light.
        camera: place (3,), widths of a pixel at 1 m (2,), forward axis (3,).
        lamps: (L 20) of place, colour, radius times focal length of the map, projection (3 4) onto the map and
            its focal length; depths (L N N) of the maps, `nearest_casters` of them.
    """
    # Arrays are unpacked once and handed on one by one: a tuple of them costs more than all the arithmetic.
    face_index, bary = seen
    faces, vertices, face_material, sky = mesh
    place, pixel, forward = camera
    table, depth_m, nearest_m = lamps
    at, carried = np.zeros((5, 3), F), np.zeros(13, F)
    for v in range(face_index.shape[0]):
        for u in range(face_index.shape[1]):
            face = face_index[v, u]
            if face < 0:
                continue
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            _carry(vertices, a, b, c, bary[v, u, 0], bary[v, u, 1], carried)
            for k in range(3):
                at[POINT, k], at[NORMAL, k] = carried[k], carried[3 + k]
                at[VIEW, k] = place[k] - carried[k]
            away = _unit(at, VIEW)
            _unit(at, NORMAL)
            facing = at[VIEW, 0] * at[NORMAL, 0] + at[VIEW, 1] * at[NORMAL, 1] + at[VIEW, 2] * at[NORMAL, 2]
            # At the rim of a round surface, smooth normals lean away although the face is seen from outside.
            if facing < F(0) and _seen_from_behind(vertices, a, b, c, at):
                at[NORMAL] *= F(-1)
            material = materials[face_material[face]]
            along = -(at[VIEW, 0] * forward[0] + at[VIEW, 1] * forward[1] + at[VIEW, 2] * forward[2])
            footprint_m = pixel[0] * away * along / max(abs(facing), MIN_COSINE)
            color = texture(carried[6:9], material, footprint_m)
            _surrounding(at, sky, carried[12])
            _lamplight(at, table, depth_m, nearest_m, material[4], _grain(u, v))
            for k in range(3):
                linear[v, u, k] = carried[9 + k] * color[k] * (at[LIGHT, k] + material[5]) + at[SHINE, k]


@njit(inline="always", **OPTIONS)
def _carry(vertices: Float32, a: int, b: int, c: int, second: Any, third: Any, carried: Float32) -> None:
    first = F(1) - second - third
    for k in range(13):
        carried[k] = first * vertices[a, k] + second * vertices[b, k] + third * vertices[c, k]


@njit(**OPTIONS)
def _seen_from_behind(vertices: Float32, a: int, b: int, c: int, at: Float32) -> bool:
    fx, fy, fz = (
        vertices[b, 0] - vertices[a, 0],
        vertices[b, 1] - vertices[a, 1],
        vertices[b, 2] - vertices[a, 2],
    )
    gx, gy, gz = (
        vertices[c, 0] - vertices[a, 0],
        vertices[c, 1] - vertices[a, 1],
        vertices[c, 2] - vertices[a, 2],
    )
    side = (
        (fy * gz - fz * gy) * at[VIEW, 0]
        + (fz * gx - fx * gz) * at[VIEW, 1]
        + (fx * gy - fy * gx) * at[VIEW, 2]
    )
    return bool(side < F(0))


@njit(inline="always", **OPTIONS)
def _unit(at: Float32, row: int) -> Any:
    """Scale a row to length 1; returns its length."""
    length = F(math.sqrt(at[row, 0] * at[row, 0] + at[row, 1] * at[row, 1] + at[row, 2] * at[row, 2]))
    scale = F(1) / max(length, F(1e-12))
    for k in range(3):
        at[row, k] *= scale
    return length


@njit(inline="always", **OPTIONS)
def _surrounding(at: Float32, sky: Any, open_: Any) -> None:
    """Start the sums of light with what comes from all sides."""
    up = at[NORMAL, 1]
    row = 0 if up > F(0) else 2
    for k in range(3):
        at[LIGHT, k] = open_ * (sky[1, k] + abs(up) * (sky[row, k] - sky[1, k]))
        at[SHINE, k] = F(0)


@njit(inline="always", **OPTIONS)
def _grain(u: int, v: int) -> int:
    """Which of the turns a pixel takes, so that the edge of a shadow is grain and not rings.

    Interleaved gradient noise: Jimenez, "Next Generation Post Processing in Call of Duty", SIGGRAPH 2014.
    """
    value = F(0.06711056) * F(u) + F(0.00583715) * F(v)
    value = F(52.9829189) * (value - F(math.floor(value)))
    return int((value - F(math.floor(value))) * F(TURNS))


@njit(**OPTIONS)
def _lamplight(
    at: Float32, table: Float32, depth_m: Float32, nearest_m: Float32, gloss: Any, turn: int
) -> None:
    """Add what the lamps send: Lambert's law, and Blinn's highlight where the surface is glossy."""
    for lamp in range(len(table)):
        x, y, z = table[lamp, 0] - at[POINT, 0], table[lamp, 1] - at[POINT, 1], table[lamp, 2] - at[POINT, 2]
        square = x * x + y * y + z * z
        inverse = F(1) / F(math.sqrt(square))
        x, y, z = x * inverse, y * inverse, z * inverse
        cosine = x * at[NORMAL, 0] + y * at[NORMAL, 1] + z * at[NORMAL, 2]
        if cosine <= F(0):
            continue
        lit = _lit(at, table, depth_m, nearest_m, (lamp, turn), square * inverse * cosine)
        if lit <= F(0):
            continue
        strength = lit * cosine / max(square, F(0.05))
        for k in range(3):
            at[LIGHT, k] += strength * table[lamp, 3 + k]
        if gloss > F(0):
            hx, hy, hz = x + at[VIEW, 0], y + at[VIEW, 1], z + at[VIEW, 2]
            half = hx * at[NORMAL, 0] + hy * at[NORMAL, 1] + hz * at[NORMAL, 2]
            half = max(half / F(math.sqrt(hx * hx + hy * hy + hz * hz + F(1e-12))), F(0))
            spread = gloss * SHININESS * F(0.25) * half**SHININESS * strength
            for k in range(3):
                at[SHINE, k] += spread * table[lamp, 3 + k]


@njit(**OPTIONS)
def _lit(at: Float32, table: Float32, depth_m: Float32, nearest_m: Float32, which: Any, facing_m: Any) -> Any:
    """Share of a lamp that a point sees: casters are searched for first, their distance sets the softness.

    Args:
        which: the lamp, and the turn of the disc of taps.
        facing_m: the lamp's distance times the cosine at which its light falls in.
    """
    lamp, turn = which
    x, y, z = (
        at[POINT, 0] + OFFSET_M * at[NORMAL, 0],
        at[POINT, 1] + OFFSET_M * at[NORMAL, 1],
        at[POINT, 2] + OFFSET_M * at[NORMAL, 2],
    )
    w = table[lamp, 15] * x + table[lamp, 16] * y + table[lamp, 17] * z + table[lamp, 18]
    if w <= F(0.05):
        return F(1)
    u = (table[lamp, 7] * x + table[lamp, 8] * y + table[lamp, 9] * z + table[lamp, 10]) / w
    v = (table[lamp, 11] * x + table[lamp, 12] * y + table[lamp, 13] * z + table[lamp, 14]) / w
    if min(u, v) < F(BORDER_PX) or max(u, v) > F(depth_m.shape[1] - BORDER_PX - 1):
        return F(1)
    limit = w - F(0.01)
    if nearest_m[lamp, int(v) // BLOCK_PX, int(u) // BLOCK_PX] >= limit:
        return F(1)
    steep_m = _steepness(at, table, lamp, w, facing_m)
    cosine, sine, size_px = TURN[turn, 0], TURN[turn, 1], table[lamp, 6] / w
    reach_px = min(max(SEARCH_SHARE * size_px, F(2)), F(BLOCK_PX))
    count, mean = _casters(
        depth_m, lamp, (u, v, limit - steep_m * reach_px), (reach_px * cosine, reach_px * sine)
    )
    if count == 0:
        return F(1)
    mean /= F(count)
    soft_px = min(max(size_px * (w - mean) / mean, F(1.2)), F(BORDER_PX - 1))
    if count == TAPS and soft_px <= reach_px:
        return F(0)
    count, mean = _casters(
        depth_m, lamp, (u, v, limit - steep_m * soft_px), (soft_px * cosine, soft_px * sine)
    )
    return F(1) - F(count) / F(TAPS)


@njit(inline="always", **OPTIONS)
def _steepness(at: Float32, table: Float32, lamp: int, w: Any, facing_m: Any) -> Any:
    """Depth of the receiver's own plane from one texel to the next, and a little more.

    A plane with normal n has dz/du = -z n_x / (f n.r) along the ray r of texel u.
    """
    along = (
        table[lamp, 15] * at[NORMAL, 0] + table[lamp, 16] * at[NORMAL, 1] + table[lamp, 17] * at[NORMAL, 2]
    )
    tilt = F(math.sqrt(max(F(1) - along * along, F(0)))) * w / facing_m
    return min(tilt, STEEPEST) * w / table[lamp, 19] + F(0.001)


@njit(**OPTIONS)
def _casters(depth_m: Any, lamp: int, at: Any, turn: Any) -> tuple[int, Any]:
    """How many taps of a disc meet a caster, and the sum of the casters' depths."""
    u, v, limit = at[0] + F(0.5), at[1] + F(0.5), at[2]
    count, total = 0, F(0)
    for tap in range(TAPS):
        x, y = DISC[tap, 0], DISC[tap, 1]
        here = depth_m[lamp, int(v + turn[1] * x + turn[0] * y), int(u + turn[0] * x - turn[1] * y)]
        casts = (here > F(0)) & (here < limit)  # no branches: the loop runs in vector registers
        count += casts
        total += here * F(casts)
    return count, total
