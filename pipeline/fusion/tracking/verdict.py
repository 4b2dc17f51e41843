"""Whether a frame's place can be believed, and what is said of those that cannot."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.fusion.tracking import TrackSettings
from pipeline.fusion.tracking.align import Alignment
from pipeline.gates.finding import Finding

Float64 = NDArray[np.float64]

LEAST_PIXELS = 500  # of half size: below it a frame holds too little to be placed
MOST_LOST = 0.5  # share of the frames, beyond which the rest is no capture
LOST = "tracking-lost"


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """A figure of an alignment beyond its limit.

    Attributes:
        what: the expectation and the figure, such as "35 % of its pixels must match the model, 12 % do".
        value, limit: in `unit`.
    """

    what: str
    value: float | None
    unit: str
    limit: float


def doubt(alignment: Alignment, jump: Float64 | None, settings: TrackSettings) -> Doubt | None:
    """The first limit that an alignment breaks; None where it can be believed.

    Args:
        jump: (6) twist from the predicted to the found place, rad and m; None without a prediction.
    """
    if alignment.fitness < settings.min_fitness:
        found, limit = alignment.fitness, settings.min_fitness
        text = f"{100 * limit:.0f} % of its pixels must match the model, {100 * found:.0f} % do"
        return Doubt(what=text, value=found, unit="1", limit=limit)
    if not alignment.residual_m <= settings.max_residual_m:
        value, limit = alignment.residual_m, settings.max_residual_m
        text = (
            f"half of its matched pixels must lie within {1e3 * limit:.1f} mm of the model, "
            f"the median is {1e3 * value:.1f} mm"
        )
        return Doubt(what=text, value=value if np.isfinite(value) else None, unit="m", limit=limit)
    if jump is None:
        return None
    turn_rad, shift_m = (float(np.linalg.norm(part)) for part in (jump[:3], jump[3:]))
    for what, found, unit, limit in (
        ("must lie", shift_m, "m", settings.max_jump_m),
        ("must be turned", turn_rad, "rad", settings.max_jump_rad),
    ):
        if found > limit:
            text = f"its camera {what} within {limit:.2f} {unit} of where the motion led, is {found:.2f} {unit} off"
            return Doubt(what=text, value=found, unit=unit, limit=limit)
    return None


def lost_finding(frame: int, why: Doubt) -> Finding:
    """The finding of a frame that fits nowhere."""
    return Finding(
        frame=frame,
        reason=LOST,
        value=why.value,
        unit=why.unit,
        limit=why.limit,
        message=f"frame {frame}: {why.what}, and it fits no keyframe either. Left out; film slower, "
        "or keep more of the scene in view.",
    )


def empty_finding(frame: int, pixels: int) -> Finding:
    """The finding of a frame with next to nothing in it."""
    return Finding(
        frame=frame,
        reason=LOST,
        value=float(pixels),
        unit="px",
        limit=float(LEAST_PIXELS),
        message=f"frame {frame}: at half size {LEAST_PIXELS} px must have depth to be tracked, {pixels} have. "
        "Left out; check mask and range.",
    )


def mostly_lost(found: NDArray[np.bool_]) -> list[Finding]:
    """The finding of a capture of which too few frames could be placed; empty where enough were."""
    share = float(1 - np.mean(found))
    if share <= MOST_LOST:
        return []
    return [
        Finding(
            frame=None,
            reason=LOST,
            value=share,
            unit="1",
            limit=MOST_LOST,
            message=f"tracking: at most {100 * MOST_LOST:.0f} % of the frames may fit nowhere, "
            f"{100 * share:.0f} % do not. Film slower, or bring poses.",
        )
    ]
