"""Compiled rays through the sparse volume; import only through `pipeline.fusion.raycast`."""

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from pipeline.fusion.bounds_kernels import SIDE
from pipeline.fusion.packing_kernels import WEIGHT_STEPS

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

TILE = 8  # px
NEAR_VOXELS = 1.0  # closer to the surface the distance is interpolated; farther it only sets the step
LEAST_STEP, STEP_SHARE = 0.5, 0.8  # voxels; of the distance
REFINEMENTS, CLOSE_VOXELS = 8, 1e-3
BEYOND = 0.01  # voxels behind a border
PRIOR_VIEWS = 1.0  # how many views the sensor's assumed noise counts as beside the measured spread

# index (I J K), its first coordinate (3), distance, spread, weight, count (C 512), colour (C 3 512),
# whether a block holds surface (C)
State = Any


@njit(cache=True, error_model="numpy")
def tile_depths(
    blocks: tuple[Int32, UInt8],
    camera: tuple[Float64, Float64],
    sizes: tuple[float, float, float],
    tiles: Float32,
) -> None:
    """Where rays may meet surface: smallest and largest z (2 h w) per tile of 8 px; inf, 0 for nowhere.

    Args:
        blocks: coordinates (M 3), and whether a block holds surface (M).
        camera: fx, fy, cx, cy in px; cam_from_world (4 4).
        sizes: voxel_m, and the z at which rays begin and end.
    """
    K, T = camera
    coordinates, near_surface = blocks
    voxel_m, least_m, most_m = sizes
    radius = 0.5 * np.sqrt(3.0) * SIDE * voxel_m
    height, width = tiles.shape[1], tiles.shape[2]
    for block in range(len(coordinates)):
        if not near_surface[block]:
            continue
        i = (coordinates[block, 0] * SIDE + 0.5 * (SIDE - 1)) * voxel_m
        j = (coordinates[block, 1] * SIDE + 0.5 * (SIDE - 1)) * voxel_m
        k = (coordinates[block, 2] * SIDE + 0.5 * (SIDE - 1)) * voxel_m
        z = T[2, 0] * i + T[2, 1] * j + T[2, 2] * k + T[2, 3]
        if z + radius < least_m or z - radius > most_m:
            continue
        x = T[0, 0] * i + T[0, 1] * j + T[0, 2] * k + T[0, 3]
        y = T[1, 0] * i + T[1, 1] * j + T[1, 2] * k + T[1, 3]
        near, far = max(z - radius, 1e-3), z + radius
        left, right = x - radius, x + radius
        top, bottom = y - radius, y + radius
        u0 = K[0] * left / (near if left < 0 else far) + K[2]
        u1 = K[0] * right / (far if right < 0 else near) + K[2]
        v0 = K[1] * top / (near if top < 0 else far) + K[3]
        v1 = K[1] * bottom / (far if bottom < 0 else near) + K[3]
        if u1 < -1 or v1 < -1 or u0 > TILE * width or v0 > TILE * height:
            continue
        rows: Any = (max(np.int64(v0) // TILE, 0), min(np.int64(v1) // TILE + 1, height))
        columns: Any = (max(np.int64(u0) // TILE, 0), min(np.int64(u1) // TILE + 1, width))
        near, far = max(near, least_m), min(far, most_m)
        for row in range(rows[0], rows[1]):
            for column in range(columns[0], columns[1]):
                tiles[0, row, column] = min(tiles[0, row, column], near)
                tiles[1, row, column] = max(tiles[1, row, column], far)


@njit(inline="always")
def _block_of(state: State, i: Any, j: Any, k: Any) -> Any:
    """The block that holds voxel i j k, or -1."""
    index, first = state[0], state[1]
    a, b, c = (i >> 3) - first[0], (j >> 3) - first[1], (k >> 3) - first[2]
    if a < 0 or b < 0 or c < 0 or a >= index.shape[0] or b >= index.shape[1] or c >= index.shape[2]:
        return -1
    return index[a, b, c]


@njit(inline="always")
def _place(i: Any, j: Any, k: Any) -> Any:
    return (i & 7) + 8 * (j & 7) + 64 * (k & 7)


@njit(forceinline=True, error_model="numpy")
def interpolate(state: State, x: float, y: float, z: float) -> tuple[float, bool]:
    """Distance in steps between the eight voxels around a point (in voxels), if all were seen."""
    distance, count = state[2], state[5]
    i, j, k = np.int64(np.floor(x)), np.int64(np.floor(y)), np.int64(np.floor(z))
    a, b, c = x - i, y - j, z - k
    block = _block_of(state, i, j, k)
    if block < 0:
        return 0.0, False
    if (i & 7) < 7 and (j & 7) < 7 and (k & 7) < 7:
        d, seen, n = distance[block], count[block], _place(i, j, k)
        known = (
            min(
                min(min(seen[n], seen[n + 1]), min(seen[n + 8], seen[n + 9])),
                min(min(seen[n + 64], seen[n + 65]), min(seen[n + 72], seen[n + 73])),
            )
            > 0
        )
        low = (1 - b) * (d[n] + a * (d[n + 1] - d[n])) + b * (d[n + 8] + a * (d[n + 9] - d[n + 8]))
        n += 64
        high = (1 - b) * (d[n] + a * (d[n + 1] - d[n])) + b * (d[n + 8] + a * (d[n + 9] - d[n + 8]))
        return 0.5 + low + c * (high - low), known
    total = 0.5
    for corner in range(8):
        di, dj, dk = corner & 1, (corner >> 1) & 1, corner >> 2
        block = _block_of(state, i + di, j + dj, k + dk)
        if block < 0:
            return 0.0, False
        n = _place(i + di, j + dj, k + dk)
        if count[block, n] == 0:
            return 0.0, False
        share = (a if di else 1.0 - a) * (b if dj else 1.0 - b) * (c if dk else 1.0 - c)
        total += share * distance[block, n]
    return total, True


@njit(cache=True, error_model="numpy")
def _first_hit(state: State, ray: Any, limits: Any, unit: float) -> Any:
    """z of the first crossing from before to behind the surface along a ray; 0 for none.

    Blocks that hold no surface are passed in one step, like those that are not there.

    Args:
        ray: origin and direction per metre of z, in voxels.
        limits: z where the ray begins and ends, m.
        unit: voxels per step of distance.
    """
    ox, oy, oz, dx, dy, dz = ray
    z, end = limits
    distance, count, near = state[2], state[5], state[7]
    shorter = 1.0 / np.sqrt(dx * dx + dy * dy + dz * dz)
    before, z_before = 0.0, 0.0  # the last known distance, in voxels; 0 for none
    inverse = (1.0 / dx if dx != 0 else 1e9, 1.0 / dy if dy != 0 else 1e9, 1.0 / dz if dz != 0 else 1e9)
    while z < end:
        x, y, w = ox + dx * z, oy + dy * z, oz + dz * z
        i, j, k = np.int64(np.floor(x + 0.5)), np.int64(np.floor(y + 0.5)), np.int64(np.floor(w + 0.5))
        block = _block_of(state, i, j, k)
        if block < 0 or not near[block]:
            out = min(_to_exit(x, inverse[0], i), min(_to_exit(y, inverse[1], j), _to_exit(w, inverse[2], k)))
            z += max(out, 0.0) + BEYOND * shorter
            before = 0.0
            continue
        n = _place(i, j, k)
        now = 0.0
        if count[block, n] > 0:
            now = (distance[block, n] + 0.5) * unit
            if abs(now) < NEAR_VOXELS:
                found, known = interpolate(state, x, y, w)
                now = found * unit if known else 0.0
        if now < 0.0 < before:
            return _refine(state, ray, (z_before, before), (z, now), unit)
        if before < 0.0 < now:
            return 0.0  # out of a back
        before, z_before = now, z
        z += max(STEP_SHARE * now, LEAST_STEP) * shorter
    return 0.0


@njit(inline="always")
def _to_exit(x: Any, inverse: Any, i: Any) -> Any:
    """Metres of z until a coordinate leaves the block of voxel i."""
    return ((i & -8) + (7.5 if inverse > 0 else -0.5) - x) * inverse


@njit(cache=True, error_model="numpy")
def _refine(state: State, ray: Any, front: Any, back: Any, unit: float) -> Any:
    """Root of the interpolated distance between two z on either side, by regula falsi with halving (Illinois)."""
    a, fa = front
    b, fb = back
    side = 0
    for _ in range(REFINEMENTS):
        m = a + (b - a) * fa / (fa - fb)
        found, known = interpolate(state, ray[0] + ray[3] * m, ray[1] + ray[4] * m, ray[2] + ray[5] * m)
        if not known:
            return 0.0
        f = found * unit
        if abs(f) < CLOSE_VOXELS:
            return m
        if f > 0:
            a, fa = m, f
            fb = fb * 0.5 if side == 1 else fb
            side = 1
        else:
            b, fb = m, f
            fa = fa * 0.5 if side == -1 else fa
            side = -1
    return a + (b - a) * fa / (fa - fb)


@njit(cache=True, error_model="numpy")
def _gradient(state: State, x: float, y: float, z: float) -> tuple[float, float, float, bool]:
    """Differences between the corners of a tetrahedron, or of a smaller one where those are not known."""
    for reach in (0.7, 0.2):
        gx, gy, gz, known = 0.0, 0.0, 0.0, True
        for corner in range(4):
            sx = 1.0 if corner < 2 else -1.0
            sy = 1.0 if corner % 2 == 0 else -1.0
            sz = sx * sy
            found, seen = interpolate(state, x + reach * sx, y + reach * sy, z + reach * sz)
            known = known and seen
            gx, gy, gz = gx + sx * found, gy + sy * found, gz + sz * found
        if known:
            return gx, gy, gz, True
    return 0.0, 0.0, 0.0, False


@njit(cache=True, error_model="numpy")
def surface_sigma(count: Any, weight: Any, spread_m: Any, view_floor_m: float, mean_floor_m: float) -> Any:
    """Standard deviation of a mean distance, m, from how many views there were and how far they lay apart.

    Args:
        weight: sum of weights, in steps.
        view_floor_m: of one view at weight 1.
        mean_floor_m: of the mean, however many views there are.
    """
    assumed = view_floor_m * view_floor_m * count * WEIGHT_STEPS / max(weight, 1.0)
    variance = (PRIOR_VIEWS * assumed + count * spread_m * spread_m) / (PRIOR_VIEWS + count)
    return np.sqrt(variance / max(count, 1.0) + mean_floor_m * mean_floor_m)


@njit(parallel=True, cache=True, error_model="numpy")
def cast(state: State, camera: Any, scale: Any, tiles: Float32, out: Any) -> None:
    """Fill depth, normal, weight, sigma and colour of every pixel whose ray meets the surface.

    Args:
        camera: fx, fy, cx, cy in px; world_from_cam (4 4).
        scale: voxel_m; voxels per step of distance; metres per step of spread; floors of
            sigma for one view and for a mean, m.
        tiles: of `tile_depths`.
        out: depth_m (H W), normal (H W 3), weight (H W), sigma_m (H W), rgb (H W 3) or (0 0 3).
    """
    K, P = camera
    voxel_m, unit, spread_unit, view_floor_m, mean_floor_m = scale
    depth_m, normal, weight, sigma_m, rgb = out
    for row in prange(depth_m.shape[0]):
        v: Any = np.int64(row)
        for u in range(depth_m.shape[1]):
            begin, end = tiles[0, v // TILE, u // TILE], tiles[1, v // TILE, u // TILE]
            if not begin < end:
                continue
            xn, yn = (u - K[2]) / K[0], (v - K[3]) / K[1]
            dx = (P[0, 0] * xn + P[0, 1] * yn + P[0, 2]) / voxel_m
            dy = (P[1, 0] * xn + P[1, 1] * yn + P[1, 2]) / voxel_m
            dz = (P[2, 0] * xn + P[2, 1] * yn + P[2, 2]) / voxel_m
            ray = (P[0, 3] / voxel_m, P[1, 3] / voxel_m, P[2, 3] / voxel_m, dx, dy, dz)
            z = _first_hit(state, ray, (np.float64(begin), np.float64(end)), unit)
            if z == 0.0:
                continue
            x, y, w = ray[0] + dx * z, ray[1] + dy * z, ray[2] + dz * z
            gx, gy, gz, known = _gradient(state, x, y, w)
            norm = np.sqrt(gx * gx + gy * gy + gz * gz)
            if not known or norm == 0.0:
                continue
            depth_m[v, u] = z
            facing = (gx * dx + gy * dy + gz * dz) < 0.0
            norm = norm if facing else -norm
            for axis in range(3):
                normal[v, u, axis] = (P[0, axis] * gx + P[1, axis] * gy + P[2, axis] * gz) / norm
            i, j, k = np.int64(np.floor(x + 0.5)), np.int64(np.floor(y + 0.5)), np.int64(np.floor(w + 0.5))
            block, n = _block_of(state, i, j, k), _place(i, j, k)
            seen = np.float64(state[5][block, n])
            weight[v, u] = seen
            spread_m = state[3][block, n] * spread_unit
            weighed = np.float64(state[4][block, n])
            sigma_m[v, u] = surface_sigma(seen, weighed, spread_m, view_floor_m, mean_floor_m)
            if rgb.size > 0:
                _colour(state, x, y, w, rgb[v, u])


@njit(cache=True, error_model="numpy")
def _colour(state: State, x: float, y: float, z: float, rgb: NDArray[np.uint8]) -> None:
    """Interpolate the colour of a point whose eight voxels were seen."""
    i, j, k = np.int64(np.floor(x)), np.int64(np.floor(y)), np.int64(np.floor(z))
    a, b, c = x - i, y - j, z - k
    red, green, blue = 0.5, 0.5, 0.5
    for corner in range(8):
        di, dj, dk = corner & 1, (corner >> 1) & 1, corner >> 2
        block, n = _block_of(state, i + di, j + dj, k + dk), _place(i + di, j + dj, k + dk)
        share = (a if di else 1.0 - a) * (b if dj else 1.0 - b) * (c if dk else 1.0 - c) / 256.0
        red += share * state[6][block, 0, n]
        green += share * state[6][block, 1, n]
        blue += share * state[6][block, 2, n]
    rgb[0], rgb[1], rgb[2] = (
        np.uint8(min(red, 255.0)),
        np.uint8(min(green, 255.0)),
        np.uint8(min(blue, 255.0)),
    )
