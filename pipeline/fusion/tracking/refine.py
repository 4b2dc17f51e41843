"""All frames at once: each is aligned with the keyframes that see the same, and all poses move together.

The normal equations of every pair are added up into one system, as in multi-view registration (Pulli, "Multiview
Registration for Large Data Sets", 3DIM 1999), but with matches that are found anew in every step.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid
from pipeline.fusion.tracking import TrackSettings
from pipeline.fusion.tracking.align import Level, linearise
from pipeline.fusion.tracking.graph import solve_step
from pipeline.fusion.tracking.maps import Maps
from pipeline.fusion.tracking.overlap import overlapping
from pipeline.fusion.tracking.se3 import transform_of

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

TIES = 10  # keyframes that each frame is aligned with
NEAR_M = 0.1  # along the ray, within which two frames see one surface
LEAST_OVERLAP = 0.3
WIDE = (Level(4, 3, 16.0), Level(4, 3, 10.0))  # after a loop has moved frames apart that were together
CLOSE = (Level(4, 12, 6.0), Level(2, 3, 6.0))
STILL = 1e-4  # rad and m, of the largest step


def ties(
    maps: Sequence[Maps], keyframes: Sequence[int], world_from_cam: Float64, found: NDArray[np.bool_]
) -> Int64:
    """Pairs (E 2): keyframe i, frame j, that see the same; the TIES best of each frame.

    Both directions hold most of what one does, but not its normals: a pair of keyframes is tied both ways.
    """
    pairs: list[tuple[int, int]] = []
    for j in np.flatnonzero(found).tolist():
        shares = overlapping(maps, keyframes, world_from_cam, j, near_m=NEAR_M)
        pairs += [(i, j) for share, i in shares[:TIES] if share >= LEAST_OVERLAP]
    # By keyframe: its maps stay in the cache while its frames are aligned with it.
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def refine(
    maps: Sequence[Maps],
    keyframes: Sequence[int],
    world_from_cam: Float64,
    found: NDArray[np.bool_],
    settings: TrackSettings,
    *,
    closed: bool = True,
) -> Float64:
    """Move all found poses (N 4 4) together until every frame fits the keyframes around it best.

    Args:
        maps: of all frames; those of keyframes with normals.
        keyframes: rows of maps; the first of them that is tied does not move.
        closed: whether loops were closed; else frames that see the same lie close together already.
    """
    poses = world_from_cam.copy()
    for _ in range(settings.refinements):
        pairs = ties(maps, keyframes, poses, found)
        if len(pairs) == 0:
            break
        for level in (*WIDE, *CLOSE) if closed else CLOSE:
            poses = _settled(maps, pairs, poses, level, settings)
    return poses


def _settled(
    maps: Sequence[Maps], pairs: Int64, poses: Float64, level: Level, settings: TrackSettings
) -> Float64:
    for _ in range(level.iterations):
        systems = [
            linearise(maps[j], maps[i], invert_rigid(poses[i]) @ poses[j], level, settings) for i, j in pairs
        ]
        A, b = np.stack([system.A for system in systems]), np.stack([system.b for system in systems])
        step = solve_step(poses, pairs, A, b, fixed=int(pairs[:, 0].min()))
        poses = transform_of(step) @ poses
        if np.abs(step).max() < STILL:
            break
    return poses
