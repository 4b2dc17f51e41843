"""What the report of a dataset build shows: plain values and coloured tiles, filled from sealed outputs.

A figure that was not measured is a Metric whose value is None: never left out, never a zero.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.pictures import Picture
from pipeline.quality import QuarantineRow
from tasks.report.frame_curves import FrameCurve
from tasks.report.records import Provenance


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One figure.

    Attributes:
        unit: "1" for counts and pure numbers.
        value: finite; None where it was not measured.
        limit: the gate's bound in the same unit; None where there is no gate.
        bound: which side of the limit is good.
        absent: what the page says in place of a value of None.
        meaning: one sentence for the reader, or nothing.
    """

    name: str
    unit: str
    value: float | None
    limit: float | None = None
    bound: Literal["at most", "at least"] = "at most"
    absent: str = "not measured"
    meaning: str = ""

    def __post_init__(self) -> None:
        for what, number in (("value", self.value), ("limit", self.limit)):
            if number is not None and not math.isfinite(number):
                raise ValueError(
                    f"report: {what} of {self.name!r} must be finite, is {number}. "
                    "Give None where it was not measured."
                )

    @property
    def holds(self) -> bool | None:
        """Whether the value keeps its limit; None without a value or a limit."""
        if self.value is None or self.limit is None:
            return None
        return bool(self.value <= self.limit if self.bound == "at most" else self.value >= self.limit)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tile:
    """One picture of a sheet.

    Attributes:
        image: (H W 3) uint8 RGB, already coloured; inlined as it is, so its size is the page's size.
        caption: what stands under it, such as the range of its values with their unit.
    """

    image: Picture
    caption: str = ""

    def __post_init__(self) -> None:
        if (
            self.image.dtype != np.uint8
            or self.image.ndim != 3
            or self.image.shape[2] != 3
            or not self.image.size
        ):
            raise ValueError(
                f"report: a tile must be uint8 (H W 3) with H, W > 0, is {self.image.dtype} "
                f"{self.image.shape}. Colour it first."
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ColourScale:
    """The colour bar of a row of tiles.

    Attributes:
        low: value of the first colour, in `unit`; a word, such as "near", where each tile has its own range.
        high: value of the last colour, or a word.
        colours: (N 3) uint8 RGB, equally spaced from low to high.
    """

    low: float | str
    high: float | str
    unit: str
    colours: Picture


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetRow:
    """One field of a contact sheet, a tile per frame; None where the frame has no such field."""

    label: str
    tiles: tuple[Tile | None, ...]
    scale: ColourScale | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """A contact sheet: fields as rows, frames (by their own number) as columns."""

    frames: tuple[int, ...]
    rows: tuple[SheetRow, ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.tiles) != len(self.frames):
                raise ValueError(
                    f"report: row {row.label!r} must have a tile or None for each of {len(self.frames)} frames, "
                    f"has {len(row.tiles)}"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptureReport:
    """One capture of the manifest, quarantined ones too; `samples` are those that it put into the shards.

    Attributes:
        overview: its cells of the overview table; all captures' cells of one name share a unit.
        against_raw, against_truth: fused depth against the sensor's, and the simulated surface's if there is one.
        fidelity: how well tracking, its closed loops, and the cameras hold together.
        curves: what was measured frame by frame of it.
        targets: how exact what is made from bodies is.
        detail: statistics of the detail layer; names as in DETAIL_REFERENCES stand beside the papers'.
        sheet: None where there is no picture; `no_sheet` says why.
    """

    capture: str
    subject: str
    split: str
    role: str
    samples: int
    overview: tuple[Metric, ...] = ()
    against_raw: tuple[Metric, ...] = ()
    against_truth: tuple[Metric, ...] = ()
    fidelity: tuple[Metric, ...] = ()
    curves: tuple[FrameCurve, ...] = ()
    targets: tuple[Metric, ...] = ()
    detail: tuple[Metric, ...] = ()
    sheet: Sheet | None = None
    no_sheet: str = "no frame of this capture got far enough to be shown"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curve:
    """One capture's counts in a histogram.

    Attributes:
        counts: (bins,) what fell into each bin.
        outside: what fell beyond the outer edges; it stays in the total.
    """

    capture: str
    counts: NDArray[np.int64]
    outside: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Histogram:
    """One small plot: how a metric is distributed, a curve per capture.

    Attributes:
        edges: (bins + 1,) ascending, equally spaced, in `unit`.
        counted: what is counted, in the plural: "pixels" or "frames".
        limit: drawn as a line where there is a gate.
    """

    metric: str
    unit: str
    edges: NDArray[np.float64]
    curves: tuple[Curve, ...]
    counted: str = "pixels"
    limit: float | None = None

    def __post_init__(self) -> None:
        widths = np.diff(self.edges)
        if widths.size < 1 or (widths <= 0).any() or not np.allclose(widths, widths[0], rtol=1e-6):
            raise ValueError(f"report: edges of {self.metric!r} must ascend in equal steps, are {self.edges}")
        for curve in self.curves:
            if curve.counts.shape != widths.shape:
                raise ValueError(
                    f"report: {self.metric!r} of {curve.capture} must have {widths.size} counts, "
                    f"has {curve.counts.shape}"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class WorstCase:
    """One of the worst frames of a metric, worst first among those of the same metric name."""

    capture: str
    frame: int
    metric: Metric
    tiles: tuple[Tile, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectedFrame:
    """A frame that was left out, with its picture."""

    capture: str
    frame: int
    reason: str
    tile: Tile


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportData:
    """Everything that the report of one dataset shows.

    Attributes:
        generator: name and version of what built it.
        captures: every capture of the manifest, in its order.
        key_figures: the few figures that stand in the head.
        rejected: some of the quarantined frames, as they looked.
        detail_settings: the settings of the base/detail split in words, to read the references by.
    """

    name: str
    fingerprint: str
    generator: str
    captures: tuple[CaptureReport, ...]
    key_figures: tuple[Metric, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    worst: tuple[WorstCase, ...] = ()
    quarantine: tuple[QuarantineRow, ...] = ()
    rejected: tuple[RejectedFrame, ...] = ()
    detail_settings: str = ""
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        ids = [capture.capture for capture in self.captures]
        if len(set(ids)) != len(ids):
            raise ValueError(f"report: captures must have distinct ids, are {', '.join(ids)}")
        named = [row.capture for row in self.quarantine] + [case.capture for case in self.worst]
        for capture in named:
            if capture not in ids:
                raise ValueError(
                    f"report: quarantine and worst cases must name captures of the report, name {capture!r}"
                )
