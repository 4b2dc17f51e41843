"""Compiled loops behind `pipeline.fusion.tracking.maps` and `pipeline.fusion.tracking.align`."""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Point = tuple[float, float, float, float, float]  # x, y, z and u, v in the model's camera
Vector = tuple[float, float, float]
Model = tuple[Float32, Float32, Float32, Float64]

# Of one alignment step: upper triangle of A (21), b (6), and these.
VALID, MATCHED, WEIGHT, SQUARES, DIFFERENCE, COMPARED = 27, 28, 29, 30, 31, 32
SUMS = 33
PARTS = 8  # of an image's lines, added up side by side
PENDING = 1024  # equations
NEAREST_M = 0.05
WIDEST_M = 0.12  # of a gate, however far the pixel and noisy the sensor
PLANE_REACH_M = 0.1  # beyond it a tangent plane says nothing
OUTLINE_SHARE = 0.05  # of the depth
LEAST_COSINE = 0.2  # between a model's normal and its ray: beyond 78 degrees, depth says little


@njit(cache=True, nogil=True, error_model="numpy")
def halve(depth_m: Float32, grey: Float32, step_share: float, half_m: Float32, half_grey: Float32) -> None:
    """Mean of each 2x2 pixels; 0 where they do not lie on one surface: beside an outline depth is mixed."""
    height, width = half_m.shape
    coloured = grey.shape[0] > 0
    for v in range(height):
        for u in range(width):
            nearest = np.float32(0)
            for dv in range(2):
                for du in range(2):
                    z = depth_m[2 * v + dv, 2 * u + du]
                    if z > 0 and (nearest == 0 or z < nearest):
                        nearest = z
            total, light, count = 0.0, 0.0, 0
            for dv in range(2):
                for du in range(2):
                    z = depth_m[2 * v + dv, 2 * u + du]
                    if z > 0 and z <= nearest * (1 + step_share):
                        total += z
                        count += 1
                        if coloured:
                            light += grey[2 * v + dv, 2 * u + du]
            if count >= 4:
                half_m[v, u] = total / count
                if coloured:
                    half_grey[v, u] = light / count


@njit(parallel=True, cache=True, fastmath=True, error_model="numpy")
def accumulate(
    live: tuple[Float32, Float32, Float64],
    model: Model,
    model_from_live: Float64,
    measures: Float64,
    stride: int,
) -> Float64:
    """Normal equations of one alignment step; see `align.linearise`.

    Args:
        live: depth (h w), grey (h w) or (0 0), fx fy cx cy.
        model: depth (H W), normals (H W 3), grey (H W) or (0 0), fx fy cx cy.
        measures: floor_m, square_per_m, gate in sigmas, Huber's bend in sigmas, sigma of grey, grey offset.

    Returns:
        (32): upper triangle of A (21), b (6), valid live pixels, matched ones, sum of their robust weights, sum
        of weighted squared residuals in sigmas, and mean grey difference over those that could be compared.
    """
    lines = (live[0].shape[0] - stride // 2 + stride - 1) // stride
    # The parts are the same for any number of threads, so that the sum is.
    sums = np.zeros((PARTS, SUMS))
    for part in prange(PARTS):
        begin, end = lines * part // PARTS, lines * (part + 1) // PARTS
        _accumulate_lines(live, model, model_from_live, (measures, stride, begin, end), sums[part])
    total = np.zeros(SUMS)
    for part in range(PARTS):
        total += sums[part]
    found = total[: SUMS - 1].copy()
    found[SUMS - 2] = total[SUMS - 2] / max(total[SUMS - 1], 1.0)
    return found


@njit(cache=True, fastmath=True, error_model="numpy")
def _accumulate_lines(
    live: tuple[Float32, Float32, Float64],
    model: Model,
    T: Float64,
    how: tuple[Float64, int, int, int],
    sums: Float64,
) -> None:
    """Add up the equations of some lines of pixels, `PENDING` at a time: in rows that vector registers can add."""
    live_m, live_grey, lens = live
    measures, stride, begin, end = how
    floor_m, square, gate_sigmas, bend, grey_sigma, offset = measures
    coloured = live_grey.shape[0] > 0 and model[2].shape[0] > 0
    rows, pending = np.zeros((8, PENDING), np.float32), 0
    for line in range(begin, end):
        v = stride // 2 + line * stride
        for u in range(stride // 2, live_m.shape[1], stride):
            z = live_m[v, u]
            if not z > 0:
                continue
            sums[VALID] += 1
            point = _carry(T, lens, model[3], u, v, z)
            sigma = floor_m + square * z * z
            gate = min(gate_sigmas * sigma, WIDEST_M)
            met, r, normal = _meet(model, point, gate)
            if not met:
                continue
            share = 1.0 - (r / gate) ** 2  # Tukey's biweight, within Huber's bend
            robust = share * share * min(1.0, bend * sigma / max(abs(r), 1e-12))
            _note(rows, pending, point, normal, (robust / (sigma * sigma), r))
            pending += 1
            sums[MATCHED] += 1
            sums[WEIGHT] += robust
            sums[SQUARES] += robust * (r / sigma) ** 2
            if coloured:
                lit, seen, gradient = _light(model, point)
                if lit:
                    e = seen - live_grey[v, u]
                    sums[DIFFERENCE] += e
                    sums[COMPARED] += 1
                    e -= offset
                    k = min(1.0, grey_sigma / max(abs(e), 1e-12)) / (grey_sigma * grey_sigma)
                    _note(rows, pending, point, gradient, (k, e))
                    pending += 1
            if pending >= PENDING - 1:
                _add(rows, pending, sums)
                pending = 0
    _add(rows, pending, sums)


@njit(cache=True, fastmath=True, inline="always")
def _carry(T: Float64, lens: Float64, model_lens: Float64, u: int, v: int, z: float) -> Point:
    """A live pixel's point in the model's camera, and its pixel there; the pixel is -1 behind the camera."""
    px, py = (u - lens[2]) / lens[0] * z, (v - lens[3]) / lens[1] * z
    x = T[0, 0] * px + T[0, 1] * py + T[0, 2] * z + T[0, 3]
    y = T[1, 0] * px + T[1, 1] * py + T[1, 2] * z + T[1, 3]
    w = T[2, 0] * px + T[2, 1] * py + T[2, 2] * z + T[2, 3]
    if w <= NEAREST_M:
        return x, y, w, -1.0, -1.0
    return x, y, w, model_lens[0] * x / w + model_lens[2], model_lens[1] * y / w + model_lens[3]


@njit(cache=True, fastmath=True, inline="always")
def _meet(model: Model, point: Point, gate: float) -> tuple[bool, float, Vector]:
    """Whether a point meets the model's surface within the gate, its distance from the tangent plane, the normal."""
    model_m, normals, _, lens = model
    x, y, w, mu, mv = point
    none = (0.0, 0.0, 0.0)
    if not (mu >= 1 and mv >= 1 and mu < model_m.shape[1] - 2 and mv < model_m.shape[0] - 2):
        return False, 0.0, none
    u, v = int(mu + 0.5), int(mv + 0.5)
    z = model_m[v, u]
    if not z > 0:
        return False, 0.0, none
    n0, n1, n2 = float(normals[v, u, 0]), float(normals[v, u, 1]), float(normals[v, u, 2])
    rx, ry = (u - lens[2]) / lens[0], (v - lens[3]) / lens[1]
    if -(n0 * rx + n1 * ry + n2) < LEAST_COSINE * np.sqrt(rx * rx + ry * ry + 1.0):
        return False, 0.0, none
    dx, dy, dz = x - rx * z, y - ry * z, w - z
    r = n0 * dx + n1 * dy + n2 * dz
    met = abs(r) < gate and dx * dx + dy * dy + dz * dz <= 9.0 * gate * gate
    return met, r, (n0, n1, n2)


@njit(cache=True, fastmath=True, inline="always")
def _light(model: Model, point: Point) -> tuple[bool, float, Vector]:
    """Whether the model's grey around a point can be interpolated, its value there, and its gradient in space."""
    model_m, _, grey, lens = model
    x, y, w, mu, mv = point
    u, v = int(mu), int(mv)
    z = model_m[v, u]
    for dv in range(2):
        for du in range(2):
            # Beside an outline the picture belongs to two surfaces.
            if abs(model_m[v + dv, u + du] - z) > OUTLINE_SHARE * w or not grey[v + dv, u + du] > 0:
                return False, 0.0, (0.0, 0.0, 0.0)
    fu, fv = mu - u, mv - v
    g00, g01, g10, g11 = grey[v, u], grey[v, u + 1], grey[v + 1, u], grey[v + 1, u + 1]
    gu = ((1 - fv) * (g01 - g00) + fv * (g11 - g10)) * lens[0] / w
    gv = ((1 - fu) * (g10 - g00) + fu * (g11 - g01)) * lens[1] / w
    seen = (1 - fv) * ((1 - fu) * g00 + fu * g01) + fv * ((1 - fu) * g10 + fu * g11)
    return True, seen, (gu, gv, -(gu * x + gv * y) / w)


@njit(cache=True, fastmath=True, inline="always")
def _note(rows: Float32, place: int, point: Point, gradient: Vector, weighted: tuple[float, float]) -> None:
    """Put down what a residual does under a small motion, by its gradient in space; its weight, and itself."""
    x, y, w, _, _ = point
    g0, g1, g2 = gradient
    rows[0, place], rows[1, place], rows[2, place] = y * g2 - w * g1, w * g0 - x * g2, x * g1 - y * g0
    rows[3, place], rows[4, place], rows[5, place] = g0, g1, g2
    rows[6, place], rows[7, place] = weighted


@njit(cache=True, fastmath=True, error_model="numpy")
def _add(rows: Float32, count: int, sums: Float64) -> None:
    """Add the equations put down so far: short sums in float32, the sum of them in float64."""
    weight, residual, place = rows[6], rows[7], 0
    scaled = np.zeros(PENDING, np.float32)
    for i in range(6):
        first = rows[i]
        for n in range(count):
            scaled[n] = weight[n] * first[n]
        for j in range(i, 6):
            second, total = rows[j], np.float32(0)
            for n in range(count):
                total += scaled[n] * second[n]
            sums[place] += total
            place += 1
        total = np.float32(0)
        for n in range(count):
            total += scaled[n] * residual[n]
        sums[21 + i] -= total


@njit(cache=True, nogil=True, error_model="numpy")
def misfits(
    live_m: Float32,
    lens: Float64,
    model: tuple[Float32, Float32, Float64],
    model_from_live: Float64,
    stride: int,
    found_m: Float32,
) -> None:
    """Distance (h w) of live points from the model's tangent planes; see `align.misfit`."""
    model_m, normals, model_lens = model
    height, width = model_m.shape
    for v in range(stride // 2, live_m.shape[0], stride):
        for u in range(stride // 2, live_m.shape[1], stride):
            if not live_m[v, u] > 0:
                continue
            x, y, w, mu, mv = _carry(model_from_live, lens, model_lens, u, v, live_m[v, u])
            if not (mu > -0.5 and mv > -0.5 and mu < width - 0.5 and mv < height - 0.5):
                continue
            ui, vi = int(mu + 0.5), int(mv + 0.5)
            z = model_m[vi, ui]
            if not z > 0:
                continue
            n = normals[vi, ui]
            rx, ry = (ui - model_lens[2]) / model_lens[0], (vi - model_lens[3]) / model_lens[1]
            known = n[0] != 0 or n[1] != 0 or n[2] != 0
            along = w - z
            if known and abs(along) < PLANE_REACH_M:
                found_m[v, u] = n[0] * (rx * z - x) + n[1] * (ry * z - y) - n[2] * along
            else:
                found_m[v, u] = along
