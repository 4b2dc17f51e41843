"""Garments as surfaces offset from a body in its bind pose: eased, smoothed over hollows, cut at their hems."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.cutting import Sheet, border, clip, compacted, without_slivers
from pipeline.simulation.fine_body import FineBody
from pipeline.simulation.hems import (
    arm_share,
    bottom_level_m,
    looseness,
    top_level_m,
)
from pipeline.simulation.layers import Ground, Layer, averaging, nearest
from pipeline.simulation.outfit import Garment
from pipeline.visibility import vertex_normals

Float64 = NDArray[np.float64]

MARGIN_M = 0.035  # built beyond the hem before it is cut, so that the hem does not curl
ROUNDS, STEPS = 5, 14  # of pushing out, and of smoothing before each: spans hollows of some 8 cm
STEP = 0.6
LEAST_EASE = 0.7  # share of the ease that smoothing leaves
SLEEVE = 0.45  # of the widening towards a free edge, what sleeves have
BAND_M = 0.06  # width over which a band draws the cloth in
WEIGHT_ROUNDS = 10  # of smoothing the skinning: cloth slides over a joint, it does not break there
HEM_M, HEM_ROUNDS = 0.015, 8  # what lies this near a cut is spaced evenly again
SHORTEST_M = 0.004
LINING_M = (0.010, 0.026)  # how far inside the hem its closing meets the ground


def make_garment(body: FineBody, garment: Garment, ground: Ground) -> Layer:
    """Build one garment over what is worn already.

    Returns:
        A soft layer; its hem lines are smooth, being cut and not chosen by faces.
    """
    arms = arm_share(body)
    level_m = garment_level_m(body.bind_m, arms, body, garment)
    inside = level_m > -MARGIN_M
    sheet = body.sheet.chosen(inside[body.sheet.faces].all(axis=1))
    faces, used = compacted(sheet.faces, len(inside))
    arms, weights = arms[used], body.weights[used]
    ease_m = _ease_m(body, garment, arms, used)
    points_m = body.bind_m[used] + body.normals[used] * ease_m[:, None]
    mean = averaging(faces, len(used))
    points_m = _drape(points_m, faces, mean, ease_m=ease_m, ground=ground)
    for _ in range(WEIGHT_ROUNDS):
        weights = 0.5 * weights + 0.5 * (mean @ weights)
    region = "bottom" if garment.kind in ("trousers", "shorts") else "top"
    uncut = Sheet(faces=faces, source=sheet.source, bary=sheet.bary)
    level_m = garment_level_m(points_m, arms, body, garment)
    cut, new = clip(uncut, level_m)
    values = [new.extend(value) for value in (points_m, weights, level_m)]
    cut = without_slivers(cut, values[0], shortest_m=SHORTEST_M)
    faces, used = compacted(cut.faces, len(values[0]))
    points_m, weights, level_m = (value[used] for value in values)
    depth_m = garment_level_m(ground.points_m, ground.arms, body, garment)
    lining = ground.chosen((depth_m > LINING_M[0]) & (depth_m < LINING_M[1]))
    mean, near = averaging(faces, len(used)), (level_m < HEM_M)[:, None]
    for _ in range(HEM_ROUNDS):
        points_m = np.where(near, 0.5 * points_m + 0.5 * (mean @ points_m), points_m)
    return _tied(
        region,
        Sheet(faces=faces, source=cut.source, bary=cut.bary),
        points_m,
        weights,
        level_m,
        ground,
        lining,
    )


def garment_level_m(points_m: Float64, arms: Float64, body: FineBody, garment: Garment) -> Float64:
    """Return the level (N) of a garment, top or bottom; `hems` says what it means."""
    if garment.kind in ("trousers", "shorts"):
        return bottom_level_m(points_m, arms, body, garment)
    return top_level_m(points_m, arms, body, garment)


def _ease_m(body: FineBody, garment: Garment, arms: Float64, used: NDArray[Any]) -> Float64:
    points_m = body.bind_m[used]
    rest_m, free_m = garment.ease_m
    wider = np.where(arms > 0.5, SLEEVE, 1.0) * looseness(points_m, arms, body, garment)
    ease_m = rest_m + (free_m - rest_m) * wider
    if garment.gathered:
        level_m = garment_level_m(points_m, arms, body, garment)
        drawn = np.clip(level_m / BAND_M, 0.0, 1.0)
        ease_m = ease_m * (0.35 + 0.65 * drawn * drawn * (3 - 2 * drawn))
    return np.asarray(ease_m)


def _drape(
    points_m: Float64, faces: NDArray[np.int32], mean: Any, *, ease_m: Float64, ground: Ground
) -> Float64:
    """Smooth a garment and push it out of its ground in turns; its raw border, to be cut off, stays."""
    rim, held_m = np.unique(border(faces)[0]), points_m[np.unique(border(faces)[0])]
    for _ in range(ROUNDS):
        for _ in range(STEPS):
            points_m = (1 - STEP) * points_m + STEP * (mean @ points_m)
            points_m[rim] = held_m
        rows = nearest(ground, points_m, vertex_normals(points_m, faces))
        normals = ground.normals[rows]
        above_m = np.einsum("ij,ij->i", points_m - ground.points_m[rows], normals)
        points_m = points_m + np.maximum(LEAST_EASE * ease_m - above_m, 0.0)[:, None] * normals
    return np.asarray(0.5 * points_m + 0.5 * (mean @ points_m))


def _tied(
    region: str,
    sheet: Sheet,
    points_m: Float64,
    weights: Float64,
    level_m: Float64,
    ground: Ground,
    lining: Ground,
) -> Layer:
    """Tie a cut garment to its ground, by every vertex and, at its hems, by what closes them."""
    faces = sheet.faces
    normals = vertex_normals(points_m, faces)
    anchor = ground.vertex[nearest(ground, points_m, normals)]
    rim = np.unique(border(faces)[0])
    ring_anchor = np.full(len(points_m), -1, np.int32)
    ring_anchor[rim] = lining.vertex[nearest(lining, points_m[rim], normals[rim])]
    return Layer(
        region=region, sheet=sheet, bind_m=points_m, weights=weights, anchor=anchor,
        level_m=level_m, soft=True, ring_anchor=ring_anchor,
    )  # fmt: skip
