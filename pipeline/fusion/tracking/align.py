"""One frame against one model's view: dense point-to-plane alignment with a grey-value term, coarse to fine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid
from pipeline.fusion.tracking import TrackSettings
from pipeline.fusion.tracking.maps import Maps
from pipeline.fusion.tracking.se3 import transform_of, twist_of

Float64 = NDArray[np.float64]

BEND_SIGMAS = 2.0  # from here on, residuals count by their size instead of its square
GREY_SIGMA = 0.06  # of grey values in 0..1: noise, and light that changes with the view
STILL_RAD_M = 1e-5  # a step below it ends a level
# What a step is worth before anything was seen: keeps directions that nothing holds where the motion went.
PRIOR_SIGMA = np.array([0.1, 0.1, 0.1, 0.2, 0.2, 0.2])
UPPER = np.triu_indices(6)


@dataclass(frozen=True, slots=True)
class Level:
    """One step from coarse to fine.

    Attributes:
        stride_px: between the pixels that are read, in maps of half the size.
        iterations: at most.
        gate_sigmas: distance beyond which a pixel does not match, in spreads of its depth.
    """

    stride_px: int
    iterations: int
    gate_sigmas: float


TRACKING = (Level(4, 10, 40.0), Level(2, 6, 16.0), Level(1, 4, 6.0))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class System:
    """Normal equations of a small motion exp(x) before model_from_live: A x = b.

    Attributes:
        A: (6 6), b: (6), of twists (rad, m) in the model's frame, scaled by the spread of depth.
        valid, matched: pixels that have depth, and those that met the model.
        square: mean squared residual of the matched pixels, in spreads.
        grey: mean grey difference, model minus live.
    """

    A: Float64
    b: Float64
    valid: int
    matched: int
    square: float
    grey: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Alignment:
    """A frame's place before a model.

    Attributes:
        model_from_live: (4 4).
        information: (6 6) of exp(x) model_from_live, of the twist x, scaled by the residuals as found.
        fitness: matched share of the valid pixels at the finest level.
        residual_m: median |distance| of the matched pixels; NaN where none matched.
    """

    model_from_live: Float64
    information: Float64
    fitness: float
    residual_m: float


def linearise(
    live: Maps,
    model: Maps,
    model_from_live: Float64,
    level: Level,
    settings: TrackSettings,
    *,
    grey: float = 0.0,
) -> System:
    """Match each live pixel with the model's pixel that it falls on and add up its equations.

    Args:
        grey: mean grey difference as known so far; a camera's exposure may change.
    """
    from pipeline.fusion.tracking.align_kernels import accumulate

    grey_sigma = GREY_SIGMA / max(np.sqrt(settings.colour_weight), 1e-6)
    measures = np.array(
        [
            settings.noise_floor_m,
            settings.noise_square_per_m,
            level.gate_sigmas,
            BEND_SIGMAS,
            grey_sigma,
            grey,
        ]
    )
    found = accumulate(
        (live.depth_m, live.grey, live.lens),
        (model.depth_m, model.normal, model.grey, model.lens),
        np.ascontiguousarray(model_from_live),
        measures,
        level.stride_px,
    )
    A = np.zeros((6, 6))
    A[UPPER] = found[:21]
    A = A + np.triu(A, 1).T
    valid, matched, weights, squares, seen_grey = found[27:].tolist()
    square = squares / max(weights, 1e-9)
    return System(A=A, b=found[21:27], valid=int(valid), matched=int(matched), square=square, grey=seen_grey)


def align(
    live: Maps,
    model: Maps,
    start: Float64,
    settings: TrackSettings,
    *,
    levels: Sequence[Level] = TRACKING,
    prior_sigma: Float64 = PRIOR_SIGMA,
) -> Alignment:
    """Find model_from_live near a start, by iteratively reweighted least squares.

    Args:
        start: (4 4) model_from_live as predicted; also what directions that nothing holds stay at.
        prior_sigma: (6) rad and m, spread of the prediction.
    """
    place, grey = start, 0.0
    prior = np.diag(1 / prior_sigma**2)
    system = None
    for level in levels:
        for _ in range(level.iterations):
            system = linearise(live, model, place, level, settings, grey=grey)
            grey = system.grey
            if system.matched < 50:
                break
            away = twist_of(start @ invert_rigid(place))
            step = np.linalg.solve(system.A + prior, system.b + prior @ away)
            place = transform_of(step) @ place
            if np.abs(step).max() < STILL_RAD_M:
                break
    assert system is not None
    return _judged(live, model, place, system, levels[-1], settings)


def _judged(
    live: Maps, model: Maps, place: Float64, system: System, level: Level, settings: TrackSettings
) -> Alignment:
    found = misfit(live, model, place, stride_px=max(2, level.stride_px))
    depth_m = live.depth_m[np.isfinite(found)]
    absolute = np.abs(found[np.isfinite(found)])
    gate_m = level.gate_sigmas * (settings.noise_floor_m + settings.noise_square_per_m * depth_m**2)
    matched = absolute < gate_m
    return Alignment(
        model_from_live=place,
        information=system.A / max(system.square, 1e-6),
        fitness=system.matched / max(system.valid, 1),
        residual_m=float(np.median(absolute[matched])) if matched.any() else float("nan"),
    )


def misfit(live: Maps, model: Maps, model_from_live: Float64, *, stride_px: int) -> NDArray[np.float32]:
    """Signed distance (h w) of live points from the model's surface, positive behind it; NaN where not met."""
    from pipeline.fusion.tracking.align_kernels import misfits

    found = np.full(live.depth_m.shape, np.nan, np.float32)
    misfits(
        live.depth_m, live.lens, (model.depth_m, model.normal, model.lens),
        np.ascontiguousarray(model_from_live), stride_px, found,
    )  # fmt: skip
    return found
