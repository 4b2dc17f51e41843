"""Compiled loops of posing clothes: normals, pushing out, fold heights."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

SIDES = 0.35  # of the folds where cloth is pressed, how much there is at a right angle to it


@njit(cache=True)
def _normals(points: Any, faces: Any, out: Any) -> None:
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (a, b, c):
            out[v, 0] += nx
            out[v, 1] += ny
            out[v, 2] += nz
    for v in range(len(out)):
        length = np.sqrt(out[v, 0] ** 2 + out[v, 1] ** 2 + out[v, 2] ** 2)
        if length > 0:
            out[v] /= length


@njit(cache=True)
def _push(points: Any, at: Any, normals: Any, anchor: Any, gap_m: Any, soft_m: float) -> None:
    for v in range(len(points)):
        a = anchor[v]
        nx, ny, nz = normals[a, 0], normals[a, 1], normals[a, 2]
        above = (
            (points[v, 0] - at[a, 0]) * nx + (points[v, 1] - at[a, 1]) * ny + (points[v, 2] - at[a, 2]) * nz
        )
        x = (gap_m[v] - above) / soft_m
        if x < -20.0:
            continue
        lift = soft_m * (x if x > 20.0 else np.log1p(np.exp(x)))
        points[v, 0] += lift * nx
        points[v, 1] += lift * ny
        points[v, 2] += lift * nz


@njit(cache=True)
def _fold(
    standing_m: Any, joint: Any, toward: Any, rise_m: Any, bend: Any, still_rad: float, out: Any
) -> None:
    size = np.zeros(len(bend))
    for j in range(len(bend)):
        size[j] = np.sqrt(bend[j, 0] ** 2 + bend[j, 1] ** 2 + bend[j, 2] ** 2 + still_rad**2) - still_rad
    for v in range(len(out)):
        height = standing_m[v]
        for k in range(joint.shape[1]):
            j = joint[v, k]
            press = bend[j, 0] * toward[v, k, 0] + bend[j, 1] * toward[v, k, 1] + bend[j, 2] * toward[v, k, 2]
            # Folds reach around to the sides of a limb, where it is neither pressed nor stretched.
            press += SIDES * size[j]
            # A smooth ramp: nothing where the cloth is stretched, straight where it is pressed.
            ramp = 0.5 * (press - still_rad + np.sqrt((press - still_rad) ** 2 + still_rad**2))
            height += rise_m[v, k] * ramp
        out[v] = height


@njit(cache=True)
def _relax(points: Any, indptr: Any, indices: Any, data: Any, step: float, out: Any) -> None:
    for v in range(len(points)):
        x, y, z = 0.0, 0.0, 0.0
        for e in range(indptr[v], indptr[v + 1]):
            w, n = data[e], indices[e]
            x += w * points[n, 0]
            y += w * points[n, 1]
            z += w * points[n, 2]
        out[v, 0] = points[v, 0] + step * (x - points[v, 0])
        out[v, 1] = points[v, 1] + step * (y - points[v, 1])
        out[v, 2] = points[v, 2] + step * (z - points[v, 2])


def normals_of(points_m: Float64, faces: NDArray[np.int32]) -> Float64:
    """Return area-weighted unit normals (V 3); 0 for a vertex that no face has."""
    out = np.zeros_like(points_m)
    _normals(points_m, faces, out)
    return out


def pushed_out(
    points_m: Float64,
    anchor: NDArray[np.int32],
    *,
    ground_m: Float64,
    ground_normals: Float64,
    gap_m: Float64,
    soft_m: float,
) -> Float64:
    """Return points (N 3) lifted along their anchor's normal until they lie `gap_m` (N) above its plane.

    The lift is a softplus of width `soft_m` of what is missing: never less than that, and smooth.
    """
    out = points_m.copy()
    _push(out, ground_m, ground_normals, anchor, gap_m, soft_m)
    return out


def fold_heights(
    standing_m: Float64,
    joint: NDArray[np.uint8],
    toward: Float64,
    rise_m: Float64,
    *,
    bend: Float64,
    still_rad: float,
) -> Float64:
    """Return the height (N) of all folds for bends (24 3): standing ones, and per joint those it presses."""
    out = np.zeros_like(standing_m)
    _fold(standing_m, joint, toward, rise_m, bend, still_rad, out)
    return out


def relaxed(points_m: Float64, mean: Any, *, step: float, rounds: int) -> Float64:
    """Return points moved `rounds` times by `step` of the way to the mean (sparse, V V) of their neighbours."""
    here, there = points_m.copy(), np.zeros_like(points_m)
    for _ in range(rounds):
        _relax(here, mean.indptr, mean.indices, mean.data, step, there)
        here, there = there, here
    return here
