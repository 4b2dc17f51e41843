"""Compiled loops behind `pipeline.fusion.tracking.maps` and `pipeline.fusion.tracking.align`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Point = tuple[float, float, float, float, float]  # x, y, z and u, v in the model's camera

SYSTEM = 27  # upper triangle of A (21), then b (6)
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


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def accumulate(
    live: tuple[Float32, Float32, Float64],
    model: tuple[Float32, Float32, Float32, Float64],
    model_from_live: Float64,
    measures: Float64,
    stride: int,
    system: Float64,
) -> tuple[int, int, float, float, float]:
    """Normal equations of one alignment step; see `align.linearise`.

    Args:
        live: depth (h w), grey (h w) or (0 0), fx fy cx cy.
        model: depth (H W), normals (H W 3), grey (H W) or (0 0), fx fy cx cy.
        measures: floor_m, square_per_m, gate in sigmas, Huber's bend in sigmas, sigma of grey, grey offset.
        system: (27,) is added to.

    Returns:
        valid live pixels, matched ones, sum of their robust weights, sum of weighted squared residuals in
        sigmas, mean grey difference over those that could be compared.
    """
    live_m, live_grey, lens = live
    model_grey, model_lens = model[2], model[3]
    floor_m, square, gate_sigmas, bend, grey_sigma, offset = measures
    coloured = live_grey.shape[0] > 0 and model_grey.shape[0] > 0
    J = np.zeros(6)
    valid, matched, weights, squares, differences, compared = 0, 0, 0.0, 0.0, 0.0, 0
    for v in range(stride // 2, live_m.shape[0], stride):
        for u in range(stride // 2, live_m.shape[1], stride):
            z = live_m[v, u]
            if not z > 0:
                continue
            valid += 1
            point = _carry(model_from_live, lens, model_lens, u, v, z)
            sigma = floor_m + square * z * z
            gate = min(gate_sigmas * sigma, WIDEST_M)
            met, r = _meet(model, point, gate, J)
            if not met:
                continue
            share = 1.0 - (r / gate) ** 2  # Tukey's biweight, within Huber's bend
            robust = share * share * min(1.0, bend * sigma / max(abs(r), 1e-12))
            _add(system, J, robust / (sigma * sigma), r)
            matched += 1
            weights += robust
            squares += robust * (r / sigma) ** 2
            if not coloured:
                continue
            lit, seen = _light(model, point, J)
            if lit:
                compared += 1
                differences += seen - live_grey[v, u]
                e = seen - live_grey[v, u] - offset
                _add(system, J, min(1.0, grey_sigma / max(abs(e), 1e-12)) / (grey_sigma * grey_sigma), e)
    return valid, matched, weights, squares, differences / max(compared, 1)


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _carry(T: Float64, lens: Float64, model_lens: Float64, u: int, v: int, z: float) -> Point:
    """A live pixel's point in the model's camera, and its pixel there; the pixel is -1 behind the camera."""
    px, py = (u - lens[2]) / lens[0] * z, (v - lens[3]) / lens[1] * z
    x = T[0, 0] * px + T[0, 1] * py + T[0, 2] * z + T[0, 3]
    y = T[1, 0] * px + T[1, 1] * py + T[1, 2] * z + T[1, 3]
    w = T[2, 0] * px + T[2, 1] * py + T[2, 2] * z + T[2, 3]
    if w <= NEAREST_M:
        return x, y, w, -1.0, -1.0
    return x, y, w, model_lens[0] * x / w + model_lens[2], model_lens[1] * y / w + model_lens[3]


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _meet(
    model: tuple[Float32, Float32, Float32, Float64], point: Point, gate: float, J: Float64
) -> tuple[bool, float]:
    """Whether a point meets the model's surface within the gate, its distance from the tangent plane, its J."""
    model_m, normals, _, lens = model
    x, y, w, mu, mv = point
    if not (mu >= 1 and mv >= 1 and mu < model_m.shape[1] - 2 and mv < model_m.shape[0] - 2):
        return False, 0.0
    u, v = int(mu + 0.5), int(mv + 0.5)
    z = model_m[v, u]
    if not z > 0:
        return False, 0.0
    n0, n1, n2 = normals[v, u, 0], normals[v, u, 1], normals[v, u, 2]
    rx, ry = (u - lens[2]) / lens[0], (v - lens[3]) / lens[1]
    if -(n0 * rx + n1 * ry + n2) < LEAST_COSINE * np.sqrt(rx * rx + ry * ry + 1.0):
        return False, 0.0
    dx, dy, dz = x - rx * z, y - ry * z, w - z
    r = n0 * dx + n1 * dy + n2 * dz
    if abs(r) >= gate or dx * dx + dy * dy + dz * dz > 9.0 * gate * gate:
        return False, 0.0
    J[0], J[1], J[2] = y * n2 - w * n1, w * n0 - x * n2, x * n1 - y * n0
    J[3], J[4], J[5] = n0, n1, n2
    return True, r


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _light(model: tuple[Float32, Float32, Float32, Float64], point: Point, J: Float64) -> tuple[bool, float]:
    """Whether the model's grey around a point can be interpolated, its value there, and the J of it."""
    model_m, _, grey, lens = model
    x, y, w, mu, mv = point
    u, v = int(mu), int(mv)
    z = model_m[v, u]
    for dv in range(2):
        for du in range(2):
            # Beside an outline the picture belongs to two surfaces.
            if abs(model_m[v + dv, u + du] - z) > OUTLINE_SHARE * w or not grey[v + dv, u + du] > 0:
                return False, 0.0
    fu, fv = mu - u, mv - v
    g00, g01, g10, g11 = grey[v, u], grey[v, u + 1], grey[v + 1, u], grey[v + 1, u + 1]
    gu = ((1 - fv) * (g01 - g00) + fv * (g11 - g10)) * lens[0] / w
    gv = ((1 - fu) * (g10 - g00) + fu * (g11 - g01)) * lens[1] / w
    gw = -(gu * x + gv * y) / w
    J[0], J[1], J[2] = y * gw - w * gv, w * gu - x * gw, x * gv - y * gu
    J[3], J[4], J[5] = gu, gv, gw
    return True, (1 - fv) * ((1 - fu) * g00 + fu * g01) + fv * ((1 - fu) * g10 + fu * g11)


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def _add(system: Float64, J: Float64, k: float, r: float) -> None:
    place = 0
    for i in range(6):
        weighted = k * J[i]
        for j in range(i, 6):
            system[place] += weighted * J[j]
            place += 1
        system[21 + i] -= weighted * r


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
