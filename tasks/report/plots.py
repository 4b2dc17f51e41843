"""Histograms as curves in an inline SVG's coordinates; the template draws what stands here."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.report.data import Histogram

WIDTH, HEIGHT = 420, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 406, 14, 168
MAX_COLOURS = 6  # more curves than these are not told apart by colour; page.css has one class for each


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A mark on an axis, at a coordinate of the drawing."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One drawn curve.

    Attributes:
        style: class of page.css: `c0` to `c5`, `crowd` for one of many, `pooled` for all captures together.
        label: what the legend says; nothing where a single entry stands for a crowd.
        total: how many were counted, `outside` included.
        outside_percent: share beyond the axis.
    """

    style: str
    label: str
    path: str
    total: int
    outside_percent: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """A histogram, ready to be drawn.

    Attributes:
        limit_at: x of the gate's line; None where there is none, or it lies beyond the axis.
    """

    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    limit_at: float | None


def nice_ticks(low: float, high: float, *, most: int) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten within [low, high], as many as fit below `most`.

    Raises:
        ValueError: unless low < high and most >= 2.
    """
    if not low < high or most < 2:
        raise ValueError(f"ticks: low must be below high and most >= 2, are {low}, {high} and {most}")
    exponent = math.floor(math.log10((high - low) / most))
    steps = (m * 10.0**e for e in (exponent, exponent + 1) for m in (1, 2, 5))
    ranges = ((step, *_multiples(low, high, step)) for step in steps)
    # Twice the larger power always fits, so there is a first one.
    step, first, last = next(r for r in ranges if r[2] - r[1] < most)
    return tuple(index * step for index in range(first, last + 1))


def _multiples(low: float, high: float, step: float) -> tuple[int, int]:
    """First and last multiple of the step; a hair of slack keeps an end that rounding moved just outside."""
    return math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)


def tick_text(value: float, step: float) -> str:
    """The value with as many decimals as its step needs, and a true minus sign."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def draw(histogram: Histogram) -> Plot:
    """Lay a histogram out: x is the metric, y the share of what was counted per bin, in percent."""
    shares = [_percent(curve.counts, curve.outside) for curve in histogram.curves]
    highest = max((float(share.max()) for share in shares), default=0.0) or 1.0
    low, high = float(histogram.edges[0]), float(histogram.edges[-1])
    x = np.interp(histogram.edges, [low, high], [LEFT, RIGHT])
    many = len(shares) > MAX_COLOURS
    lines = [
        Line(
            style="crowd" if many else f"c{index}",
            label="" if many else curve.capture,
            path=_steps(x, share, highest),
            total=int(curve.counts.sum()) + curve.outside,
            outside_percent=_outside_percent(curve.counts, curve.outside),
        )
        for index, (curve, share) in enumerate(zip(histogram.curves, shares, strict=True))
    ]
    if many:
        lines.append(_pooled(histogram, x, highest))
    limit = histogram.limit
    return Plot(
        lines=tuple(lines),
        x_ticks=ticks(low, high, (LEFT, RIGHT), most=7),
        y_ticks=ticks(0.0, highest, (BOTTOM, TOP), most=4),
        limit_at=None
        if limit is None or not low <= limit <= high
        else between(limit, (low, high), (LEFT, RIGHT)),
    )


def _pooled(histogram: Histogram, x: NDArray[np.float64], highest: float) -> Line:
    counts = np.sum([curve.counts for curve in histogram.curves], axis=0)
    outside = sum(curve.outside for curve in histogram.curves)
    return Line(
        style="pooled",
        label=f"all {len(histogram.curves)} captures together",
        path=_steps(x, _percent(counts, outside), highest),
        total=int(counts.sum()) + outside,
        outside_percent=_outside_percent(counts, outside),
    )


def _percent(counts: NDArray[np.int64], outside: int) -> NDArray[np.float64]:
    return np.asarray(100.0 * counts / max(1, int(counts.sum()) + outside), dtype=np.float64)


def _outside_percent(counts: NDArray[np.int64], outside: int) -> float:
    return 100.0 * outside / max(1, int(counts.sum()) + outside)


def _steps(x: NDArray[np.float64], share: NDArray[np.float64], highest: float) -> str:
    y = np.interp(share, [0.0, highest], [BOTTOM, TOP])
    steps = "".join(f"V{top:.1f}H{right:.1f}" for top, right in zip(y, x[1:], strict=True))
    return f"M{x[0]:.1f} {BOTTOM}{steps}V{BOTTOM}"


def ticks(low: float, high: float, span: tuple[float, float], *, most: int) -> tuple[Tick, ...]:
    """Marks at round values of an axis from low to high, at the coordinates of a span."""
    values = nice_ticks(low, high, most=most)
    step = values[1] - values[0] if len(values) > 1 else high - low
    return tuple(Tick(at=between(v, (low, high), span), text=tick_text(v, step)) for v in values)


def between(value: float, source: tuple[float, float], span: tuple[float, float]) -> float:
    """The coordinate of a value: source's ends lie on the span's."""
    fraction = (value - source[0]) / (source[1] - source[0])
    return round(span[0] + fraction * (span[1] - span[0]), 2)
