"""Compiled solid textures; import only through `pipeline.simulation.painting`.

Whatever is finer than the patch of surface that a pixel covers fades into its mean, so that distant planks and
tiles do not flicker.
"""

import math
from typing import Any

import numpy as np
from numba import njit

OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": True, "error_model": "numpy"}
F = np.float32
PLAIN, PLASTER, WOOD, TILES, CARPET, POSTER, STRIPES, CHECKS = range(8)  # `materials.Pattern`


@njit(inline="always", **OPTIONS)
def _hash(x: Any, y: Any, z: Any) -> Any:
    """A number in [0, 1) of three integers."""
    h = (np.uint32(x) * np.uint32(0x8DA6B343)) ^ (np.uint32(y) * np.uint32(0xD8163841))
    h ^= np.uint32(z) * np.uint32(0xCB1AB31F)
    h = np.uint32(h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    h = np.uint32(h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39)
    h = np.uint32(h ^ (h >> np.uint32(15)))
    return F(h >> np.uint32(8)) * F(1.0 / 16777216.0)


@njit(**OPTIONS)
def noise(x: Any, y: Any, z: Any) -> Any:
    """Smooth random function of mean 0 in [-1, 1] whose lattice has the step 1."""
    fx, fy, fz = math.floor(x), math.floor(y), math.floor(z)
    i, j, k = np.int64(fx), np.int64(fy), np.int64(fz)
    a, b, c = F(x - fx), F(y - fy), F(z - fz)
    a, b, c = a * a * (F(3) - F(2) * a), b * b * (F(3) - F(2) * b), c * c * (F(3) - F(2) * c)
    low = (_hash(i, j, k) * (F(1) - a) + _hash(i + 1, j, k) * a) * (F(1) - b)
    low += (_hash(i, j + 1, k) * (F(1) - a) + _hash(i + 1, j + 1, k) * a) * b
    k += 1
    high = (_hash(i, j, k) * (F(1) - a) + _hash(i + 1, j, k) * a) * (F(1) - b)
    high += (_hash(i, j + 1, k) * (F(1) - a) + _hash(i + 1, j + 1, k) * a) * b
    return F(2) * (low * (F(1) - c) + high * c) - F(1)


@njit(inline="always", **OPTIONS)
def _octave(x: Any, y: Any, z: Any, wavelength_m: Any, footprint_m: Any) -> Any:
    """Noise of one wavelength, gone where a pixel covers the wavelength."""
    share = F(1.5) - F(1.5) * footprint_m / wavelength_m
    if share <= F(0):
        return F(0)
    return min(share, F(1)) * noise(x / wavelength_m, y / wavelength_m, z / wavelength_m)


@njit(inline="always", **OPTIONS)
def _band(distance: Any, half_width: Any, footprint_m: Any) -> Any:
    """How much of a pixel a line covers whose middle is `distance` away."""
    cover = (half_width - abs(distance)) / footprint_m + F(0.5)
    return min(max(cover, F(0)), F(1)) * min(F(1), F(2) * half_width / footprint_m)


@njit(**OPTIONS)
def _wood(u: Any, v: Any, w: Any, row: Any, footprint_m: Any) -> tuple[Any, Any]:
    """Share of the second colour, and brightness: planks side by side along v, joints shifted at random."""
    width, contrast, seed = row[1], row[2], np.int64(row[3])
    lane = math.floor(v / width)
    length = width * F(9)
    along = u / length + F(7) * _hash(np.int64(lane), seed, 1)
    plank = _hash(np.int64(lane), np.int64(math.floor(along)), seed)
    z = w + F(50) * plank
    grain = _octave(u * F(0.06), v, z, F(0.012), footprint_m)
    grain += F(0.6) * _octave(u * F(0.15), v, z, F(0.05), footprint_m)
    to_side = v - width * F(round(v / width))
    to_end = (along - F(round(along))) * length
    gap = max(_band(to_side, F(0.001), footprint_m), _band(to_end, F(0.001), footprint_m))
    share = F(0.5) + contrast * (F(1.1) * (plank - F(0.5)) + F(0.45) * grain)
    return share, F(1) - F(0.6) * gap


@njit(**OPTIONS)
def _tiles(u: Any, v: Any, w: Any, row: Any, footprint_m: Any) -> tuple[Any, Any]:
    side, contrast, seed = row[1], row[2], np.int64(row[3])
    tile = _hash(np.int64(math.floor(u / side)), np.int64(math.floor(v / side)), seed)
    to_joint = min(abs(u - side * F(round(u / side))), abs(v - side * F(round(v / side))))
    z = w + F(20) * tile
    cloud = _octave(u, v, z, F(0.12), footprint_m) + F(0.5) * _octave(u, v, z, F(0.03), footprint_m)
    return _band(to_joint, F(0.002), footprint_m), F(1) + contrast * (tile - F(0.5) + F(0.3) * cloud)


@njit(**OPTIONS)
def _poster(u: Any, v: Any, w: Any, row: Any, footprint_m: Any) -> tuple[Any, Any]:
    size, seed = row[1], np.int64(row[3])
    hills = _octave(u, F(0.3) * v, w, size, footprint_m) + F(0.3) * _octave(
        u, v, w, size * F(0.3), footprint_m
    )
    level = F(2.5) * (F(seed % 3) * v / size + hills) + F(1.5) * hills
    step = math.floor(level)
    soft = min((level - step) / F(0.08), F(1))
    shade = _hash(np.int64(step), 5, seed)
    before = _hash(np.int64(step) - 1, 5, seed)
    return before + (shade - before) * soft, F(1)


@njit(**OPTIONS)
def _even(x: Any, y: Any, z: Any, row: Any, footprint_m: Any) -> tuple[Any, Any]:
    """Plaster, carpet and plain surfaces, which have no direction."""
    contrast = row[2]
    if row[0] == F(PLASTER):
        blotch = _octave(x, y, z, F(0.9), footprint_m) + F(0.5) * _octave(x, y, z, row[1], footprint_m)
        return F(0), F(1) + contrast * (blotch + F(0.5) * _octave(x, y, z, F(0.012), footprint_m))
    if row[0] == F(CARPET):
        pile = _octave(x, y, z, F(0.008), footprint_m) + F(0.5) * _octave(x, y, z, F(0.03), footprint_m)
        return F(0.5) + contrast * (pile + F(0.08) * _octave(x, y, z, F(0.4), footprint_m)), F(1)
    if contrast > F(0):
        return F(0), F(1) + contrast * _octave(x, y, z, F(0.006), footprint_m)
    return F(0), F(1)


@njit(**OPTIONS)
def _woven(u: Any, v: Any, row: Any, footprint_m: Any) -> Any:
    """Share of the second colour in stripes along u, or in checks."""
    width = row[1]
    across = _band(v - F(2) * width * F(round(F(0.5) * v / width)), F(0.5) * width, footprint_m)
    if row[0] == F(STRIPES):
        return across
    along = _band(u - F(2) * width * F(round(F(0.5) * u / width)), F(0.5) * width, footprint_m)
    return across + along - F(2) * across * along


@njit(**OPTIONS)
def texture(point: Any, row: Any, footprint_m: Any) -> tuple[Any, Any, Any]:
    """Linear RGB of a material (a row of `material_table`) at a point in metres.

    Args:
        footprint_m: width of the patch that a pixel covers.
    """
    seed = row[3]
    u = point[0] * row[12] + point[1] * row[13] + point[2] * row[14]
    v = point[0] * row[15] + point[1] * row[16] + point[2] * row[17]
    offset = F(0.37) * (seed - F(64) * F(math.floor(seed / F(64))))
    w = point[0] + point[1] + point[2] - u - v + F(17.3) + offset
    kind = int(row[0])
    share, gain = F(0), F(1)
    if kind == WOOD:
        share, gain = _wood(u, v, w, row, footprint_m)
    elif kind == TILES:
        share, gain = _tiles(u, v, w, row, footprint_m)
    elif kind == POSTER:
        share, gain = _poster(u, v, w, row, footprint_m)
    elif kind in (STRIPES, CHECKS):
        share = _woven(u, v, row, footprint_m)
        gain += row[2] * _octave(point[0], point[1], point[2], F(0.006), footprint_m)
    else:
        share, gain = _even(point[0], point[1], point[2] + offset, row, footprint_m)
    share = min(max(share, F(0)), F(1))
    return (
        gain * (row[6] + share * (row[9] - row[6])),
        gain * (row[7] + share * (row[10] - row[7])),
        gain * (row[8] + share * (row[11] - row[8])),
    )
