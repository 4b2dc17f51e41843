"""People who stand shoulder to shoulder are one surface in a depth map: parted by their heads.

Seen along the floor from the camera, a group's highest places rise to a head over each person and fall to the
shoulders between them. Pixels go to the head that is nearer along the surface, steps in depth counting as way.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.segmentation.touching_kernels import nearest_along

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Bool = NDArray[np.bool_]

BIN_M = 0.04
WIDE_M = 0.75  # a group is wider than one person with arms at the sides
HEAD_APART_M, NECK_M = 0.28, 0.12  # between heads, and how far the shoulders between lie below the lower one
LEAST_SHARE = 0.15  # of the group's area, that each person has: a raised hand is no head
CORE_M, HEAD_M = 0.10, 0.45  # beside a head's axis and below its top, is that person's own
FOREHEAD_M = 0.12  # below the top, a head is as wide as it gets
STEP_COST, STEP_FREE = 100.0, 0.004  # way per metre of a step in depth; what is free per metre of depth


def parted(depth_m: Float32, K: Float64, piece: Bool, up: Float64) -> list[Bool]:
    """The people (H W) that a piece is made of, from the left; the piece alone where it is one.

    Args:
        piece: (H W) pixels of one surface.
        up: (4,) such that up . (x, y, z, 1) is the height above the floor.
    """
    v, u = np.nonzero(piece)
    z = depth_m[v, u].astype(np.float64)
    points = np.stack([(u - K[0, 2]) / K[0, 0] * z, (v - K[1, 2]) / K[1, 1] * z, z, np.ones_like(z)], axis=1)
    sideways = np.cross(up[:3], [0.0, 0.0, -1.0])  # to the right
    across_m = points[:, :3] @ (sideways / np.linalg.norm(sideways))
    low_m, high_m = np.quantile(across_m, (0.01, 0.99))
    if high_m - low_m < WIDE_M:
        return [piece]
    bins = ((across_m - across_m.min()) / BIN_M).astype(np.int64)
    heights_m = points @ up
    profile = np.full(bins.max() + 1, -np.inf)
    np.maximum.at(profile, bins, heights_m)
    heads = _heads(profile, np.bincount(bins, weights=z**2).astype(np.float64))
    if len(heads) < 2:
        return [piece]
    tops_m = profile[heads]
    heads_mid = [_middle(profile, head) for head in heads]
    axes_m = across_m.min() + (np.array(heads_mid) + 0.5) * BIN_M
    nearest = np.abs(across_m[:, None] - axes_m).argmin(axis=1)
    core = (np.abs(across_m - axes_m[nearest]) < CORE_M) & (heights_m > tops_m[nearest] - HEAD_M)
    seeds = np.zeros(piece.shape, dtype=np.int32)
    seeds[v[core], u[core]] = 1 + nearest[core]
    costs = np.array([1 / K[0, 0], STEP_COST, STEP_FREE])
    owner = nearest_along(depth_m, np.ascontiguousarray(piece), seeds, costs)
    return [np.asarray(owner == index + 1) for index in range(len(heads))]


def _middle(profile: Float64, head: int) -> float:
    """The middle, in bins, of what is as high as a head around a peak."""
    high = np.flatnonzero(profile > profile[head] - FOREHEAD_M)
    around = high[np.abs(high - head) * BIN_M < FOREHEAD_M + BIN_M]
    return float(around.mean())


def _heads(profile: Float64, area: Float64) -> list[int]:
    """Bins of the heads, ascending, by the highest place of each bin and its seen area."""
    apart = round(HEAD_APART_M / BIN_M)
    heads: list[int] = []
    for peak in np.argsort(-profile, kind="stable"):
        between = [profile[min(peak, head) : max(peak, head) + 1].min() for head in heads]
        far = all(abs(peak - head) >= apart for head in heads)
        if np.isfinite(profile[peak]) and far and all(low < profile[peak] - NECK_M for low in between):
            heads.append(int(peak))
    return _heavy(sorted(heads), profile, area)


def _heavy(heads: list[int], profile: NDArray[Any], area: Float64) -> list[int]:
    """Those heads that have a body below them: from valley to valley, the lightest falls first."""
    while len(heads) > 1:
        valleys = [a + int(profile[a : b + 1].argmin()) for a, b in zip(heads, heads[1:], strict=False)]
        parts = [part.sum() for part in np.split(area, valleys)]
        lightest = int(np.argmin(parts))
        if parts[lightest] >= LEAST_SHARE * area.sum():
            break
        heads = heads[:lightest] + heads[lightest + 1 :]
    return heads
