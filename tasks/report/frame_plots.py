"""Curves over frames in an inline SVG's coordinates; the template draws what stands here."""

from dataclasses import dataclass

import numpy as np

from tasks.report.frame_curves import FrameCurve
from tasks.report.plots import BOTTOM, LEFT, RIGHT, TOP, Tick, between, ticks

GAP_STEPS = 1.5  # of the usual step between frames: where more lie between two, the line breaks
HEADROOM = 0.05  # of the range of values, that is kept free above and below


@dataclass(frozen=True, kw_only=True, slots=True)
class FramePlot:
    """A curve over frames, ready to be drawn.

    Attributes:
        path: the line, broken where frames are missing.
        dots: (x, y) of frames that stand alone between two gaps.
        marks: x of the marked frames.
        worst: (x, y) of the worst frame.
    """

    path: str
    dots: tuple[tuple[float, float], ...]
    marks: tuple[float, ...]
    worst: tuple[float, float]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def draw_frames(curve: FrameCurve) -> FramePlot:
    """Lay a curve out: x is the frame's number, y the value, from 0 where low is good."""
    first, last = float(curve.frames[0]) - 0.5, float(curve.frames[-1]) + 0.5
    low, high = _range(curve)
    x = [between(frame, (first, last), (LEFT, RIGHT)) for frame in curve.frames.tolist()]
    y = [between(value, (low, high), (BOTTOM, TOP)) for value in curve.values.tolist()]
    steps = np.diff(curve.frames)
    usual = float(np.median(steps)) if len(steps) else 1.0
    runs = np.split(np.arange(len(x)), np.flatnonzero(steps > GAP_STEPS * usual) + 1)
    at = curve.frames.tolist()
    worst = at.index(curve.worst(1)[0][0])
    return FramePlot(
        path="".join("M" + "L".join(f"{x[k]:.1f} {y[k]:.1f}" for k in run) for run in runs if len(run) > 1),
        dots=tuple((x[run[0]], y[run[0]]) for run in runs if len(run) == 1),
        marks=tuple(x[at.index(frame)] for frame in curve.marked),
        worst=(x[worst], y[worst]),
        x_ticks=tuple(tick for tick in ticks(first, last, (LEFT, RIGHT), most=7) if "." not in tick.text),
        y_ticks=ticks(low, high, (BOTTOM, TOP), most=4),
    )


def _range(curve: FrameCurve) -> tuple[float, float]:
    lowest, highest = float(curve.values.min()), float(curve.values.max())
    if curve.better == "low":
        return 0.0, (1 + HEADROOM) * highest or 1.0
    free = HEADROOM * (highest - lowest) or HEADROOM * abs(highest) or 1.0
    return lowest - free, highest + free
