"""What was measured frame by frame of a capture: values to draw, and the worst of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameCurve:
    """One figure over the frames of one capture.

    Attributes:
        frames: (N,) numbers, ascending; those without a value are left out.
        values: (N,) finite, in `unit`.
        better: which values are good.
        marked: numbers of frames to be marked, all of them among `frames`; `marks` says what they are.
    """

    metric: str
    unit: str
    frames: NDArray[np.int64]
    values: NDArray[np.float64]
    better: Literal["low", "high"] = "low"
    marked: tuple[int, ...] = ()
    marks: str = ""

    def __post_init__(self) -> None:
        if not len(self.frames) or self.frames.shape != self.values.shape:
            raise ValueError(
                f"report: {self.metric!r} must have a value for each of at least one frame, has "
                f"{self.values.shape} for {self.frames.shape}"
            )
        if not np.isfinite(self.values).all() or (np.diff(self.frames) <= 0).any():
            raise ValueError(f"report: {self.metric!r} must be finite, over ascending frames")

    def worst(self, count: int) -> list[tuple[int, float]]:
        """Frames and values of the worst, worst first; of equals the earlier."""
        sign = -1.0 if self.better == "low" else 1.0
        order = np.argsort(sign * self.values, kind="stable")[:count]
        return [(int(self.frames[at]), float(self.values[at])) for at in order]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """Where a curve comes from.

    Attributes:
        factor: from the field's unit to the curve's.
        marks: the field whose frames are marked where it is not 0, and what they are.
    """

    metric: str
    unit: str
    factor: float
    better: Literal["low", "high"] = "low"
    marks: tuple[str, str] | None = None


# By the field of the frames files; -1 in one stands for "not measured".
SOURCES: dict[str, _Source] = {
    "track_residual_m": _Source(
        metric="frame − model while tracking, median", unit="mm", factor=1e3, marks=("track_keyframe", "keyframe")
    ),
    "track_fitness": _Source(
        metric="pixels that found the model while tracking", unit="%", factor=100, better="high"
    ),
    "track_sigma_m": _Source(
        metric="spread of the camera's place", unit="mm", factor=1e3,
        marks=("track_loop_edges", "tied to a frame far away in time"),
    ),
    "track_sigma_rad": _Source(metric="spread of the camera's rotation", unit="deg", factor=180 / np.pi),
    "fused_residual_m": _Source(metric="fused − raw, median", unit="mm", factor=1e3),
    "fused_coverage": _Source(metric="coverage", unit="%", factor=100, better="high"),
    "truth_depth_error_m": _Source(metric="fused − true, median", unit="mm", factor=1e3),
}  # fmt: skip
TRACKED = (*(name for name in SOURCES if name.startswith("track_")), "track_keyframe", "track_loop_edges")


class Traces:
    """Gathers the frames' values of one capture, row by row."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []

    def see(self, row: Mapping[str, Any]) -> None:
        """Take what curves are made of from one frame's fields."""
        names = ("frame", *SOURCES, "track_keyframe", "track_loop_edges")
        self._rows.append({name: float(row[name]) for name in names if name in row})

    def curves(self) -> tuple[FrameCurve, ...]:
        """A curve of each field that was measured, of a capture that was fused."""
        fused = any(row.get("fused_residual_m", -1.0) >= 0 for row in self._rows)
        found = [_curve(name, source, self._rows) for name, source in SOURCES.items()] if fused else []
        return tuple(curve for curve in found if curve is not None)


def _curve(name: str, source: _Source, rows: Sequence[Mapping[str, float]]) -> FrameCurve | None:
    known = [row for row in rows if row.get(name, -1.0) >= 0]
    if not known:
        return None
    field, marks = source.marks or ("", "")
    return FrameCurve(
        metric=source.metric,
        unit=source.unit,
        frames=np.array([row["frame"] for row in known], dtype=np.int64),
        values=source.factor * np.array([row[name] for row in known]),
        better=source.better,
        marked=tuple(int(row["frame"]) for row in known if row.get(field)),
        marks=marks,
    )
