"""Turns that are closed: keyframes far apart in time that see the same are tied to each other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid
from pipeline.fusion.tracking import TrackSettings
from pipeline.fusion.tracking.align import Alignment, Level, align
from pipeline.fusion.tracking.graph import Edge
from pipeline.fusion.tracking.maps import Maps
from pipeline.fusion.tracking.overlap import overlapping, sample_points
from pipeline.fusion.tracking.se3 import twist_of

Float64 = NDArray[np.float64]

FAR_KEYFRAMES = 6  # between two keyframes that a tie closes a loop over
DETOUR = 3.0  # times their distance, that the path between them is long: else it is a wide step, no loop
TIES = 3  # loops per keyframe
DRIFT_M = 0.4  # by which a surface may have wandered before a loop is closed
LEAST_OVERLAP = 0.3
BOTH_WAYS_M, BOTH_WAYS_RAD = 0.02, 0.01  # by which both directions of an alignment may differ
LEVELS = (Level(8, 10, 60.0), Level(4, 8, 24.0), Level(2, 6, 8.0), Level(2, 4, 6.0))
PRIOR_SIGMA = np.array([0.3] * 3 + [0.5] * 3)


def loop_edges(
    maps: Sequence[Maps], keyframes: Sequence[int], world_from_cam: Float64, settings: TrackSettings
) -> list[Edge]:
    """Ties between keyframes that are at least FAR_KEYFRAMES apart and hold both ways round."""
    edges = []
    places = world_from_cam[list(keyframes), :3, 3]
    walked_m = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(places, axis=0), axis=1))])
    for index, row in enumerate(keyframes):
        direct_m = np.linalg.norm(places - places[index], axis=1)
        looped = walked_m[index] - walked_m >= DETOUR * direct_m
        earlier = [keyframes[k] for k in range(index - FAR_KEYFRAMES + 1) if looped[k]]
        kept = 0
        for share, other in overlapping(maps, earlier, world_from_cam, row, near_m=DRIFT_M):
            if share < LEAST_OVERLAP or kept == TIES:
                break
            edge = _tie(maps, other, row, world_from_cam, settings)
            if edge is not None:
                edges.append(edge)
                kept += 1
    return edges


def _tie(
    maps: Sequence[Maps], i: int, j: int, world_from_cam: Float64, settings: TrackSettings
) -> Edge | None:
    """Frame j before keyframe i; None where no start gives a place that holds both ways round."""
    start = invert_rigid(world_from_cam[i]) @ world_from_cam[j]
    for begin in (start, _middles_joined(maps[i], maps[j], start)):
        there = align(maps[j], maps[i], begin, settings, levels=LEVELS, prior_sigma=PRIOR_SIGMA)
        if _fits(there, settings):
            back = align(
                maps[i], maps[j], invert_rigid(there.model_from_live), settings,
                levels=LEVELS[1:], prior_sigma=PRIOR_SIGMA,
            )  # fmt: skip
            differ = twist_of(there.model_from_live @ back.model_from_live)
            alike = np.linalg.norm(differ[:3]) < BOTH_WAYS_RAD and np.linalg.norm(differ[3:]) < BOTH_WAYS_M
            if alike and _fits(back, settings):
                found = there.model_from_live
                return Edge(i=i, j=j, i_from_j=found, information=there.information, loop=True)
    return None


def _fits(alignment: Alignment, settings: TrackSettings) -> bool:
    return alignment.fitness >= settings.min_fitness and alignment.residual_m <= settings.max_residual_m


def _middles_joined(model: Maps, live: Maps, start: Float64) -> Float64:
    """The start, moved so that the middles of what both see coincide."""
    of_model, of_live = (np.median(sample_points(each)[0], axis=0) for each in (model, live))
    joined = start.copy()
    joined[:3, 3] = of_model - start[:3, :3] @ of_live
    return joined
