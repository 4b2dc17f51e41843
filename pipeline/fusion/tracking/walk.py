"""Frame after frame against the growing model: predict, look at the model, align, judge, add."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, nearest_rigid
from pipeline.fusion import DepthView
from pipeline.fusion.tracking import TrackFrame, TrackFrames, TrackSettings
from pipeline.fusion.tracking.align import TRACKING, Alignment, Level, align
from pipeline.fusion.tracking.graph import Edge
from pipeline.fusion.tracking.maps import GREY, NO_GREY, Maps, live_maps, tracked_depth, with_normals
from pipeline.fusion.tracking.relocalise import relocalise
from pipeline.fusion.tracking.se3 import adjoint, transform_of, twist_of
from pipeline.fusion.tracking.verdict import LEAST_PIXELS, Doubt, doubt, empty_finding, lost_finding
from pipeline.fusion.volume import Volume
from pipeline.gates.finding import Finding

Float64 = NDArray[np.float64]

VIEW_M, VIEW_RAD = 0.05, 0.04  # within which the model need not be looked at anew
NARROW = (Level(4, 6, 12.0), *TRACKING[-1:])  # for a start that is nearly right
LIKE_BEFORE = 0.9  # share of the last frame's fitness that shows a frame to be placed as well
DAMPING = 0.9  # share of the last motion that the next one is expected to show


@dataclass(kw_only=True, slots=True, eq=False)
class Walk:
    """What a walk through the frames has found so far.

    Attributes:
        maps: of every frame, half size; those of keyframes with normals.
        poses: (4 4) world_from_cam of every frame; the identity where not found.
        found, relocalised: of every frame.
        keyframes: rows, ascending.
        edges: each found frame tied to the one before it, or to the keyframe that it was found at.
        alignments: of every frame; None for the first and for those that were not found.
        findings: frames that could not be placed.
        view: what was last seen of the model, and from where.
    """

    maps: list[Maps] = field(default_factory=list)
    poses: list[Float64] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    relocalised: list[bool] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    alignments: list[Alignment | None] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    view: tuple[Maps, Float64] | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fit:
    """Where a frame was found.

    Attributes:
        world_from_cam: (4 4).
        anchor: the row that it was found from.
        again: whether it was searched for among the keyframes.
    """

    world_from_cam: Float64
    alignment: Alignment
    anchor: int
    again: bool


def walk(frames: TrackFrames, settings: TrackSettings, start: Float64) -> Walk:
    """Place every frame that can be placed; the first that holds enough gets the pose `start`."""
    state = Walk()
    with_colour = settings.colour_weight > 0 and frames[0].rgb is not None
    volume = Volume(
        voxel_m=settings.voxel_m,
        trunc_m=settings.trunc_m,
        limit_gb=settings.memory_limit_gb,
        with_colour=with_colour,
    )
    for row in range(len(frames)):
        frame = frames[row]
        live = live_maps(frame, settings)
        state.maps.append(live)
        pixels = int(np.count_nonzero(live.depth_m))
        if pixels < LEAST_PIXELS:
            state.findings.append(empty_finding(frame.frame, pixels))
            _leave_out(state)
            continue
        if not state.keyframes:
            _accept(state, start, settings)
        else:
            fit = _place(live, state, volume, settings)
            if isinstance(fit, Doubt):
                state.findings.append(lost_finding(frame.frame, fit))
                _leave_out(state)
                continue
            _accept(state, fit.world_from_cam, settings, fit=fit)
        _integrate(volume, frame, state.poses[-1], settings)
    return state


def _place(live: Maps, state: Walk, volume: Volume, settings: TrackSettings) -> Fit | Doubt:
    """Follow the motion; where that fails, look among the keyframes."""
    last = int(np.flatnonzero(state.found)[-1])
    why: Doubt | None = None
    if last == len(state.found) - 1:
        predicted, fitted, pose = _follow(live, state, volume, settings, last)
        why = doubt(fitted, twist_of(invert_rigid(predicted) @ pose), settings)
        if why is None:
            return Fit(world_from_cam=pose, alignment=fitted, anchor=last, again=False)
    return _search(live, state, volume, settings, why)


def _follow(
    live: Maps, state: Walk, volume: Volume, settings: TrackSettings, last: int
) -> tuple[Float64, Alignment, Float64]:
    """The prediction, alignment and pose that match best of those from where the motion leads, or none does.

    Narrow gates come first: wide ones can lead away from a start that was good. What matches about as well as the
    frame before did is taken at once.
    """
    before = state.alignments[last]
    enough = LIKE_BEFORE * before.fitness if before is not None else 1.0
    best: tuple[Float64, Alignment, Float64] | None = None
    for levels in (NARROW, TRACKING):
        for motion in _motions(state, last):
            predicted = state.poses[last] @ motion
            fitted, pose = _fit_view(live, state, volume, settings, predicted, levels=levels)
            if best is None or fitted.fitness > best[1].fitness:
                best = predicted, fitted, pose
            if best[1].fitness >= enough:
                return best
    assert best is not None
    return best


def _motions(state: Walk, last: int) -> list[Float64]:
    """Motions since the last frame to start from: the one before, damped, and none."""
    if last == 0 or not state.found[last - 1]:
        return [np.eye(4)]
    before = invert_rigid(state.poses[last - 1]) @ state.poses[last]
    return [transform_of(DAMPING * twist_of(before)), np.eye(4)]


def _search(
    live: Maps, state: Walk, volume: Volume, settings: TrackSettings, why: Doubt | None
) -> Fit | Doubt:
    found = relocalise(live, state.maps, state.keyframes, settings)
    if found is not None:
        anchor, coarse = found
        predicted = state.poses[anchor] @ coarse.model_from_live
        fitted, pose = _fit_view(live, state, volume, settings, predicted)
        why = doubt(fitted, twist_of(invert_rigid(predicted) @ pose), settings)
        if why is None:
            return Fit(world_from_cam=pose, alignment=fitted, anchor=anchor, again=True)
    text = f"{100 * settings.min_fitness:.0f} % of its pixels must match some keyframe, fewer do"
    return why or Doubt(what=text, value=None, unit="1", limit=settings.min_fitness)


def _fit_view(
    live: Maps,
    state: Walk,
    volume: Volume,
    settings: TrackSettings,
    predicted: Float64,
    *,
    levels: Sequence[Level] = TRACKING,
) -> tuple[Alignment, Float64]:
    """Align with the model as seen from where the camera is expected, or from close by; and the pose found."""
    view = state.view
    if view is None or not _beside(view[1], predicted, VIEW_M, VIEW_RAD):
        view = state.view = model_view(volume, live, predicted, settings), predicted
    fitted = align(live, view[0], invert_rigid(view[1]) @ predicted, settings, levels=levels)
    # Views and predictions are inverses of each other's products: rounding would double with every frame.
    return fitted, nearest_rigid(view[1] @ fitted.model_from_live)


def _beside(first: Float64, second: Float64, reach_m: float, reach_rad: float) -> bool:
    away = twist_of(invert_rigid(first) @ second)
    return bool(np.linalg.norm(away[3:]) <= reach_m and np.linalg.norm(away[:3]) <= reach_rad)


def model_view(volume: Volume, live: Maps, world_from_cam: Float64, settings: TrackSettings) -> Maps:
    """What a camera like the live maps' would see of the volume."""
    height, width = live.depth_m.shape
    view = volume.raycast(
        live.K, world_from_cam, height=height, width=width,
        depth_min_m=settings.depth_min_m, depth_max_m=settings.depth_max_m,
    )  # fmt: skip
    grey = NO_GREY if view.rgb is None else view.rgb.astype(np.float32) @ GREY
    return Maps(depth_m=view.depth_m, normal=view.normal, grey=grey, K=live.K)


def _leave_out(state: Walk) -> None:
    state.poses.append(np.eye(4))
    state.found.append(False)
    state.relocalised.append(False)
    state.alignments.append(None)


def _accept(state: Walk, pose: Float64, settings: TrackSettings, *, fit: Fit | None = None) -> None:
    row = len(state.poses)
    state.poses.append(pose)
    state.found.append(True)
    state.relocalised.append(fit is not None and fit.again)
    state.alignments.append(fit.alignment if fit else None)
    if fit is not None:
        moved = invert_rigid(state.poses[fit.anchor]) @ pose
        # The twist is the view's, which is the found camera's to some cm; the edge's is its anchor's.
        carry = adjoint(invert_rigid(moved))
        information = carry.T @ fit.alignment.information @ carry
        state.edges.append(Edge(i=fit.anchor, j=row, i_from_j=moved, information=information, loop=fit.again))
    reach = settings.keyframe_m, settings.keyframe_rad
    if not state.keyframes or not _beside(state.poses[state.keyframes[-1]], pose, *reach):
        state.keyframes.append(row)
        state.maps[row] = with_normals(state.maps[row])


def _integrate(volume: Volume, frame: TrackFrame, pose: Float64, settings: TrackSettings) -> None:
    depth_m = tracked_depth(frame, settings)
    view = DepthView(depth_m=depth_m, K=frame.K, world_from_cam=pose)
    volume.integrate(view, rgb=frame.rgb if volume.with_colour else None)
