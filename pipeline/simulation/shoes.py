"""Shoes lofted around the feet of a body in its bind pose: a sole with an upright edge, and an upper."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.cutting import Sheet
from pipeline.simulation.fine_body import FineBody
from pipeline.simulation.layers import Layer
from pipeline.simulation.outfit import Outfit

Float64 = NDArray[np.float64]

SECTIONS, AROUND = 36, 40
SOLE_M, WELT_M, UPPER_M = 0.024, 0.005, 0.004  # sole's height; how far it stands out; thickness of the upper
ENDS_M = 0.010  # the shoe reaches this far beyond heel and toes
COLLAR_M = (0.004, 0.040)  # top of the shoe above the ankle joint, for collar 0 and 1
SOLE_ROWS = 12  # points around a section that belong to the sole


def make_shoes(body: FineBody, outfit: Outfit) -> list[Layer]:
    """Build both shoes, uppers and soles, as closed shells that move with the feet."""
    return [layer for side in ("left", "right") for layer in _shoe(body, side, outfit.collar)]


def shoe_level_m(body: FineBody, outfit: Outfit) -> Float64:
    """Return how deep (N) below the rim of its shoe a vertex of the foot lies; negative off the feet."""
    level_m = np.full(len(body.bind_m), -1.0)
    for side in ("left", "right"):
        foot = body.share(f"{side}_ankle", f"{side}_foot") > 0.3
        level_m[foot] = body.joint_m(f"{side}_ankle")[1] + _top_m(outfit.collar) - body.bind_m[foot, 1]
    return level_m


def _top_m(collar: float) -> float:
    return COLLAR_M[0] + collar * (COLLAR_M[1] - COLLAR_M[0])


def _shoe(body: FineBody, side: str, collar: float) -> tuple[Layer, Layer]:
    ankle, toes = body.joint_m(f"{side}_ankle"), body.joint_m(f"{side}_foot")
    forward = (toes - ankle) * np.array([1.0, 0.0, 1.0])
    forward /= np.linalg.norm(forward)
    axes = np.stack([np.array([forward[2], 0.0, -forward[0]]), np.array([0.0, 1.0, 0.0]), forward])
    rows = np.flatnonzero(body.share(f"{side}_ankle", f"{side}_foot") > 0.3)
    local = (body.bind_m[rows] - ankle) @ axes.T
    points = _loft(local, _top_m(collar))
    points_m = points.reshape(-1, 3) @ axes + ankle
    faces, sole = _tube_faces()
    from scipy.spatial import cKDTree

    near, body_rows = cKDTree(body.bind_m[rows]).query(points_m, k=6)
    share = 1.0 / (near + 0.005) ** 2
    weights = np.einsum("nk,nkj->nj", share / share.sum(axis=1, keepdims=True), body.weights[rows[body_rows]])
    place = _places(body, rows[body_rows[:, 0]])
    return (
        _shell("shoes", faces[~sole], points_m, weights, place),
        _shell("sole", faces[sole], points_m, weights, place),
    )


def _shell(
    region: str, faces: NDArray[np.int32], points_m: Float64, weights: Float64, place: tuple[Any, Any]
) -> Layer:
    source, bary = place
    first = faces[:, 0]
    return Layer(
        region=region,
        sheet=Sheet(faces=faces, source=source[first], bary=np.repeat(bary[first][:, None], 3, axis=1)),
        bind_m=points_m,
        weights=weights,
        anchor=np.full(len(points_m), -1, np.int32),
        level_m=np.full(len(points_m), 0.01),
        soft=False,
        ring_anchor=np.full(len(points_m), -1, np.int32),
    )


def _places(body: FineBody, rows: NDArray[Any]) -> tuple[NDArray[np.int32], Float64]:
    """Return, for vertices of the fine body, a coarse face that holds each and its weights (N 3) there."""
    source = np.zeros(len(body.bind_m), np.int32)
    bary = np.zeros((len(body.bind_m), 3))
    for corner in range(3):
        vertices = body.sheet.faces[:, corner]
        source[vertices], bary[vertices] = body.sheet.source, body.sheet.bary[:, corner]
    return source[rows], bary[rows]


def _loft(local: Float64, top_m: float) -> Float64:
    """Return the shoe's points (S A 3): sections from heel to toe, each from the sole's middle around."""
    from scipy.ndimage import gaussian_filter1d

    low_y, back, front = local[:, 1].min(), local[:, 2].min(), local[:, 2].max()
    at = np.linspace(back, front, SECTIONS - 2)
    foot = local[local[:, 1] < top_m]
    sizes = np.array([_section(foot, z, 0.012, low_y) for z in at])
    sizes = gaussian_filter1d(sizes, 1.3, axis=0, mode="nearest")
    # A half ellipse closes heel and tip.
    span = front - back
    taper = np.sqrt(np.clip(1 - np.clip(1 - (at - back) / (0.12 * span), 0, 1) ** 2.4, 0.02, 1))
    taper *= np.sqrt(np.clip(1 - np.clip(1 - (front - at) / (0.16 * span), 0, 1) ** 2.4, 0.02, 1))
    z = back - ENDS_M + (at - back) * (span + 2 * ENDS_M) / span
    rings = [_ring(size, share, low_y) for size, share in zip(sizes, taper, strict=True)]
    points = np.stack(
        [np.column_stack([ring, np.full(AROUND, depth)]) for ring, depth in zip(rings, z, strict=True)]
    )
    ends = points[[0, -1]].copy()
    ends[..., 0] = ends[..., 0].mean(axis=1, keepdims=True)  # an end closes to an upright line
    return np.concatenate([ends[:1], points, ends[1:]])


def _section(foot: Float64, z: float, half_m: float, low_y: float) -> tuple[float, float, float]:
    """Return leftmost x, rightmost x and height of the foot near one place along it."""
    while True:
        near = foot[np.abs(foot[:, 2] - z) < half_m]
        if len(near) > 12:
            break
        half_m *= 1.5
    right, left = np.percentile(near[:, 0], [2, 98])
    return float(right), float(left), float(np.percentile(near[:, 1], 99) - low_y)


def _ring(size: tuple[float, float, float], taper: float, low_y: float) -> Float64:
    """Return one section (A 2) in x and y: sole with upright edges, then a rounded upper."""
    right, left, height = size
    middle, half = 0.5 * (left + right), 0.5 * (left - right) + UPPER_M
    half_sole = (half + WELT_M) * taper
    bottom = low_y - SOLE_M
    sole = [
        (s * half_sole, y) for s, y in ((0.0, bottom), (0.55, bottom), (0.96, bottom), (1.0, bottom + 0.003))
    ]
    sole += [(half_sole, bottom + SOLE_M * 0.8), (half_sole - 0.002, bottom + SOLE_M)]
    angle = np.linspace(0.0, np.pi / 2, AROUND // 2 - len(sole) + 1)
    upper_half = half * taper**0.7
    base = bottom + SOLE_M
    rise = (height + UPPER_M) * (0.35 + 0.65 * taper)
    upper = np.column_stack([upper_half * np.cos(angle) ** 0.75, base + rise * np.sin(angle) ** 0.8])
    side = np.concatenate([np.array(sole), upper])
    other = side[1:-1][::-1] * np.array([-1.0, 1.0])
    return np.asarray(np.concatenate([side, other]) + np.array([middle, 0.0]))


def _tube_faces() -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the faces between sections, outward, and which of them belong to the sole."""
    i, j = np.meshgrid(np.arange(SECTIONS - 1), np.arange(AROUND), indexing="ij")
    following = (j + 1) % AROUND
    a, b = i * AROUND + j, i * AROUND + following
    c, d = a + AROUND, b + AROUND
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    low = (j < SOLE_ROWS // 2) | (j >= AROUND - SOLE_ROWS // 2)
    return faces.astype(np.int32), np.tile(low.ravel(), 2)
