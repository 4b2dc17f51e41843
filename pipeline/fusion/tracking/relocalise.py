"""Where a frame is that the motion did not lead to: tried against keyframes, from several starts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.fusion.tracking import TrackSettings
from pipeline.fusion.tracking.align import Alignment, Level, align
from pipeline.fusion.tracking.maps import Maps
from pipeline.fusion.tracking.overlap import sample_points
from pipeline.fusion.tracking.se3 import transform_of

Float64 = NDArray[np.float64]

TRIED = 24  # keyframes: half of them the latest, half spread over the others
STARTS_RAD = (0.0, 0.2, -0.2, 0.4, -0.4)  # turns about the middle of what is seen
QUICK = (Level(8, 8, 60.0), Level(4, 6, 24.0), Level(4, 3, 8.0))


def relocalise(
    live: Maps, maps: Sequence[Maps], keyframes: Sequence[int], settings: TrackSettings
) -> tuple[int, Alignment] | None:
    """The keyframe that a frame fits best, and its place before it.

    Returns:
        Row of the keyframe and the alignment with it; None where none reaches `settings.min_fitness`.
    """
    points, _ = sample_points(live)
    middle = np.median(points, axis=0) if len(points) else np.zeros(3)
    best: tuple[int, Alignment] | None = None
    for row in tried(keyframes):
        for turn_rad in STARTS_RAD:
            fitted = align(live, maps[row], turned_about(middle, turn_rad), settings, levels=QUICK)
            if np.isfinite(fitted.residual_m) and (best is None or fitted.fitness > best[1].fitness):
                best = row, fitted
    return best if best is not None and best[1].fitness >= settings.min_fitness else None


def tried(keyframes: Sequence[int]) -> list[int]:
    """Rows of the keyframes to try, the latest first."""
    if len(keyframes) <= TRIED:
        return list(keyframes)[::-1]
    latest, others = list(keyframes[-TRIED // 2 :])[::-1], keyframes[: -TRIED // 2]
    chosen = np.linspace(0, len(others) - 1, TRIED // 2).astype(int)
    return latest + [others[index] for index in chosen]


def turned_about(point_m: Float64, turn_rad: float) -> Float64:
    """A turn (4 4) about the camera's vertical through a point (3): how an orbit moves what it looks at."""
    found = transform_of(np.array([0.0, turn_rad, 0.0, 0.0, 0.0, 0.0]))
    found[:3, 3] = point_m - found[:3, :3] @ point_m
    return found
