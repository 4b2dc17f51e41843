"""From frames to poses: walk, close turns, optimise, refine; with figures for every frame."""

import numpy as np
from numpy.typing import NDArray

from pipeline.fusion.tracking import FrameRecord, Track, TrackFrames, TrackSettings
from pipeline.fusion.tracking.graph import Edge, edge_errors, optimise
from pipeline.fusion.tracking.hold import slide_finding
from pipeline.fusion.tracking.loops import loop_edges
from pipeline.fusion.tracking.refine import refine
from pipeline.fusion.tracking.rigidity import rigidity_findings
from pipeline.fusion.tracking.verdict import mostly_lost
from pipeline.fusion.tracking.walk import Walk, walk

Float64 = NDArray[np.float64]

LOOP_ROUNDS = 2  # poses that one round has closed show more ties to the next
KEPT_WEIGHT = 0.25  # of a tie, from where on it counts as one


def track(frames: TrackFrames, settings: TrackSettings, *, start: Float64 | None = None) -> Track:
    """Find where the camera was in every frame.

    The same frames give the same poses, whatever the number of threads.

    Args:
        frames: in order of time.
        start: (4 4) world_from_cam of the first frame that is found, such as one that knows where up is.

    Raises:
        ValueError: without frames.
        StageError: where the model would outgrow `settings.memory_limit_gb`.
    """
    if len(frames) == 0:
        raise ValueError("track: there must be frames to track, are 0")
    state = walk(frames, settings, np.eye(4) if start is None else start)
    walked, found = np.stack(state.poses), np.array(state.found)
    poses, loops, weights = _closed(state, walked, settings)
    if settings.refinements:
        poses = refine(state.maps, state.keyframes, poses, found, settings, closed=len(loops) > 0)
    kept = [edge for edge, weight in zip(loops, weights, strict=True) if weight >= KEPT_WEIGHT]
    before, after = (_disagreement(path, kept) for path in (walked, poses))
    steps_m = np.linalg.norm(np.diff(poses[found][:, :3, 3], axis=0), axis=1)
    return Track(
        world_from_cam=poses,
        found=found,
        records=_records(frames, state, kept),
        findings=(
            *state.findings,
            *mostly_lost(found),
            *slide_finding(state.maps, state.keyframes, poses, found, settings),
            *rigidity_findings(frames, poses, found, settings),
        ),
        loops=len(kept),
        loop_before_m=before[1],
        loop_before_rad=before[0],
        loop_after_m=after[1],
        loop_after_rad=after[0],
        path_m=float(steps_m.sum()),
    )


def _closed(state: Walk, walked: Float64, settings: TrackSettings) -> tuple[Float64, list[Edge], Float64]:
    """Poses with turns closed, the ties that close them, and the ties' weights."""
    poses, weights = walked, np.zeros(0)
    loops: list[Edge] = []
    if not state.keyframes:
        return poses, loops, weights
    for _ in range(LOOP_ROUNDS):
        loops = loop_edges(state.maps, state.keyframes, poses, settings)
        if not loops:
            break
        poses, weights = optimise(walked, [*state.edges, *loops], fixed=state.keyframes[0])
        weights = weights[len(state.edges) :]
    return poses, loops, weights


def _disagreement(poses: Float64, loops: list[Edge]) -> tuple[float, float]:
    """Median rotation (rad) and shift (m) between the loops' ties and a path; NaN without loops."""
    if not loops:
        return float("nan"), float("nan")
    errors = edge_errors(poses, loops)
    turn_rad, shift_m = (np.linalg.norm(part, axis=1) for part in (errors[:, :3], errors[:, 3:]))
    return float(np.median(turn_rad)), float(np.median(shift_m))


def _records(frames: TrackFrames, state: Walk, loops: list[Edge]) -> tuple[FrameRecord, ...]:
    tied = np.bincount([row for edge in loops for row in (edge.i, edge.j)], minlength=len(state.poses))
    records = []
    for row, fitted in enumerate(state.alignments):
        spread = np.zeros(6) if fitted is None else np.sqrt(np.diag(np.linalg.pinv(fitted.information)))
        records.append(
            FrameRecord(
                frame=frames[row].frame,
                found=state.found[row],
                residual_m=float("nan") if fitted is None else fitted.residual_m,
                fitness=float("nan") if fitted is None else fitted.fitness,
                sigma_m=float(np.linalg.norm(spread[3:])),
                sigma_rad=float(np.linalg.norm(spread[:3])),
                keyframe=row in state.keyframes,
                loop_edges=int(tied[row]),
                relocalised=state.relocalised[row],
            )
        )
    return tuple(records)
