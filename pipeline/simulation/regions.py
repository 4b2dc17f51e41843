"""Signed distances to the regions of a dressed person: skin, hair, shirt, trousers and shoes.

Lengths written as numbers are metres on a person of 1.75 m and scale with stature; widths with girth too.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.distance import (
    capsule,
    ellipsoid,
    elliptic_column,
    smooth_cut,
    smooth_union,
)
from pipeline.simulation.figure import SIDES, Person
from pipeline.simulation.folds import fold_height
from pipeline.simulation.noise import wave_noise

Float64 = NDArray[np.float64]

REGIONS = ("skin", "hair", "shirt", "trousers", "shoes")
FOLDED = [REGIONS.index("shirt"), REGIONS.index("trousers")]
STATURE_M = 1.75  # that the lengths below are written for
FOLD_LIMIT_M = 0.02  # farther from the cloth than folds reach, they are left out
BLEND_M = 0.004  # between regions: an edge of cloth, not a crease of one skin


def straighten(person: Person, points: Float64) -> Float64:
    """Undo the sway of the trunk: body frame to the straight stance that the solids are written in."""
    bend = np.clip(points[:, 1] / person.height_m, 0.0, 1.0)
    # Feet stay, the hips go furthest, the head comes halfway back.
    shift = np.sin(np.pi * np.minimum(bend, 1.0) ** 0.8) + 0.3 * bend
    straight = points.copy()
    straight[:, [0, 2]] -= shift[:, None] * person.sway_m
    return straight


def region_distances(person: Person, points: Float64) -> Float64:
    """Signed distance (N 5) of points (N 3) in the straight stance to each of REGIONS, before any folds."""
    legs = _trouser_legs(person, points)
    return np.column_stack(
        [
            _skin(person, points),
            _hair(person, points),
            _shirt(person, points, legs),
            _trousers(person, points, legs),
            _shoes(person, points),
        ]
    )


def surface_distance(person: Person, points: Float64) -> Float64:
    """Signed distance (N) to the whole person, negative inside, flat at the ground."""
    straight = straighten(person, points)
    regions = region_distances(person, straight)
    near = np.flatnonzero(np.abs(regions[:, FOLDED]).min(axis=1) < FOLD_LIMIT_M)
    regions[near[:, None], FOLDED] -= fold_height(straight[near], person.folds)[:, None]
    whole = regions[:, 0]
    for column in regions.T[1:]:
        whole = smooth_union(whole, column, BLEND_M)
    return np.maximum(whole, -points[:, 1])


def _blend(distances: Sequence[Float64], blend_m: float) -> Float64:
    whole = distances[0]
    for distance in distances[1:]:
        whole = smooth_union(whole, distance, blend_m)
    return whole


def _chain(points: Float64, nodes: Sequence[Float64], radii_m: Sequence[float], blend_m: float) -> Float64:
    pieces = [
        capsule(points, (nodes[i], nodes[i + 1]), (radii_m[i], radii_m[i + 1])) for i in range(len(nodes) - 1)
    ]
    return _blend(pieces, blend_m)


def _skin(person: Person, points: Float64) -> Float64:
    return _blend([_head(person, points), *(_bare_arm(person, points, side) for side in SIDES)], 0.01)


def _head(person: Person, points: Float64) -> Float64:
    s = person.height_m / STATURE_M
    head = person.joints["head"]

    def place(x: float, y: float, z: float) -> Float64:
        return np.asarray(head + s * np.array([x, y, z]), dtype=np.float64)

    skull = ellipsoid(points, place(0, 0.022, -0.008), s * np.array([0.074, 0.092, 0.093]))
    jaw = ellipsoid(points, place(0, -0.045, 0.022), s * np.array([0.055, 0.066, 0.066]))
    chin = ellipsoid(points, place(0, -0.092, 0.066), s * np.array([0.022, 0.018, 0.018]))
    face = _blend([skull, jaw, chin], s * 0.03)
    sockets = np.minimum(
        *(ellipsoid(points, place(x, 0.008, 0.092), s * np.full(3, 0.019)) for x in (-0.032, 0.032))
    )
    face = smooth_cut(face, -sockets, s * 0.02)
    nose = capsule(points, (place(0, 0.012, 0.080), place(0, -0.026, 0.100)), (s * 0.007, s * 0.012))
    lips = capsule(
        points, (place(-0.016, -0.060, 0.077), place(0.016, -0.060, 0.077)), (s * 0.008, s * 0.008)
    )
    face = _blend([face, nose, lips], s * 0.012)
    ears = [
        ellipsoid(points, place(x, -0.006, -0.012), s * np.array([0.010, 0.030, 0.018]))
        for x in (-0.078, 0.078)
    ]
    throat = capsule(points, (person.joints["neck"], place(0, -0.03, -0.018)), (s * 0.064, s * 0.055))
    return _blend([_blend([face, *ears], s * 0.006), throat], s * 0.02)


def _hair(person: Person, points: Float64) -> Float64:
    s = person.height_m / STATURE_M
    head = person.joints["head"]
    cap = ellipsoid(points, head + s * np.array([0, 0.030, -0.014]), s * np.array([0.084, 0.100, 0.100]))
    cap = cap - s * 0.003 * wave_noise(points, person.hair)
    # A plane from the hairline over the forehead down to the nape leaves face and throat bare.
    inward = np.array([0.0, -0.62, 0.78])
    return smooth_cut(cap, (points - head - s * np.array([0, 0.045, 0.045])) @ inward, s * 0.01)


def _arm_nodes(person: Person, side: str) -> list[Float64]:
    return [person.joints[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist")]


def _bare_arm(person: Person, points: Float64, side: str) -> Float64:
    s = person.height_m / STATURE_M
    g = s * person.girth
    shoulder, elbow, wrist = _arm_nodes(person, side)
    belly = elbow + 0.3 * (wrist - elbow)
    arm = _chain(points, [shoulder, elbow, belly, wrist], [g * 0.048, g * 0.038, g * 0.040, g * 0.026], 0.01)
    return smooth_union(arm, _hand(person, points, side), s * 0.02)


def _hand(person: Person, points: Float64, side: str) -> Float64:
    s = person.height_m / STATURE_M
    wrist, fingers = person.joints[f"{side}_wrist"], person.joints[f"{side}_fingers"]
    down = (fingers - wrist) / np.linalg.norm(fingers - wrist)
    # The palm faces the thigh: it is flat along `outward`.
    outward = np.array([SIDES[side], 0.0, 0.0])
    outward = outward - (outward @ down) * down
    outward = outward / np.sqrt(outward @ outward)
    axes = np.stack([outward, down, np.cross(outward, down)])
    flat = (points - wrist) @ axes.T * np.array([1.9, 1.0, 1.0])
    length_m = float(np.linalg.norm(fingers - wrist))
    palm = capsule(flat, ([0, 0.015, 0], [0, 0.55 * length_m, 0]), (s * 0.036, s * 0.043)) / 1.9
    tips = capsule(flat, ([0, 0.5 * length_m, 0], [-0.03, 1.05 * length_m, 0]), (s * 0.040, s * 0.026)) / 1.9
    front = np.sign(axes[2, 2])
    thumb = capsule(
        (points - wrist) @ axes.T,
        ([0, s * 0.02, front * s * 0.02], [-s * 0.012, s * 0.085, front * s * 0.058]),
        (s * 0.015, s * 0.010),
    )
    return _blend([palm, tips, thumb], s * 0.012)


def _shirt(person: Person, points: Float64, legs: Float64) -> Float64:
    s = person.height_m / STATURE_M
    outfit = person.outfit
    # Below the widest part of the hips the cloth hangs straight.
    hanging = points.copy()
    hanging[:, 1] = np.maximum(points[:, 1], 0.525 * person.height_m)
    trunk = elliptic_column(hanging, person.torso) - outfit.ease_m
    yokes, sleeves = [], []
    for side in SIDES:
        shoulder = person.joints[f"{side}_shoulder"]
        root = person.joints["neck"] + s * np.array([SIDES[side] * 0.035, 0.000, -0.010])
        yokes.append(capsule(points, (root, shoulder), (s * 0.052, s * 0.050)))
        sleeves.append(_sleeve(person, points, side))
    # It is worn over the trousers.
    trunk = smooth_union(trunk, legs - 0.6 * outfit.ease_m, s * 0.04)
    cloth = smooth_union(_blend([trunk, *yokes], s * 0.05), np.minimum(*sleeves), s * 0.035)
    cloth = smooth_cut(cloth, outfit.hem_y * person.height_m - points[:, 1], 0.004)
    # The collar lies in a plane that falls to the front.
    collar = (points - person.joints["neck"] - s * np.array([0, 0.022, 0])) @ np.array([0.0, 0.88, 0.48])
    return smooth_cut(cloth, collar, 0.004)


def _sleeve(person: Person, points: Float64, side: str) -> Float64:
    g = person.height_m / STATURE_M * person.girth
    shoulder, elbow, wrist = _arm_nodes(person, side)
    ease_m = person.outfit.ease_m
    radii_m = [g * 0.052 + ease_m, g * 0.042 + ease_m, g * 0.030 + ease_m]
    sleeve = _chain(points, [shoulder, elbow, wrist], radii_m, 0.012)
    upper_m, fore_m = np.linalg.norm(elbow - shoulder), np.linalg.norm(wrist - elbow)
    end_m = person.outfit.sleeve * (upper_m + fore_m)
    bone, start, along_m = (
        (elbow - shoulder, shoulder, end_m) if end_m < upper_m else (wrist - elbow, elbow, end_m - upper_m)
    )
    beyond = (points - start) @ (bone / np.linalg.norm(bone)) - along_m
    return smooth_cut(sleeve, beyond, 0.004)


def _trouser_legs(person: Person, points: Float64) -> Float64:
    g = person.height_m / STATURE_M * person.girth
    legs = []
    for side in SIDES:
        hip, knee, ankle = (person.joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        calf = knee + 0.32 * (ankle - knee) + np.array([0, 0, -0.012])
        radii_m = [g * r + person.outfit.ease_m for r in (0.084, 0.058, 0.056, 0.050)]
        legs.append(_chain(points, [hip, knee, calf, ankle], radii_m, 0.012))
    return np.minimum(*legs)


def _trousers(person: Person, points: Float64, legs: Float64) -> Float64:
    s = person.height_m / STATURE_M
    seat = elliptic_column(points, person.torso) - 0.3 * person.outfit.ease_m
    waist = points[:, 1] - 0.60 * person.height_m
    cloth = smooth_union(np.maximum(seat, waist), legs, s * 0.05)
    return smooth_cut(cloth, s * 0.035 - points[:, 1], 0.004)


def _shoes(person: Person, points: Float64) -> Float64:
    s = person.height_m / STATURE_M
    shoes = []
    for side in SIDES:
        ankle, toe = person.joints[f"{side}_ankle"], person.joints[f"{side}_toe"]
        ahead = (toe - ankle) * [1, 0, 1]
        ahead /= np.linalg.norm(ahead)
        ground = ankle * [1, 0, 1]
        nodes = [
            ground + s * (z * ahead + [0, y, 0]) for z, y in ((-0.045, 0.036), (0.10, 0.030), (0.160, 0.024))
        ]
        upper = _chain(points, nodes, [s * 0.038, s * 0.046, s * 0.038], s * 0.012)
        instep = ground + s * (0.09 * ahead + [0, 0.040, 0])
        shaft = capsule(points, (ankle + s * np.array([0, 0.035, 0]), instep), (s * 0.044, s * 0.030))
        sole = smooth_cut(upper - 0.006 * s, points[:, 1] - s * 0.022, 0.004)
        shoes.append(np.minimum(smooth_union(upper, shaft, s * 0.04), sole))
    return np.minimum(*shoes)
