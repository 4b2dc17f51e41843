"""From sealed stage outputs to what the report shows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.body_fields import BODY_FIELDS
from pipeline.comparison import angle_rad, depth_difference
from pipeline.quality import QuarantineRow
from pipeline.shards import read_index
from pipeline.spread import Spread
from tasks.inputs import Inputs, JoinedFrames
from tasks.job import Progress
from tasks.report.data import (
    CaptureReport,
    Curve,
    Histogram,
    Metric,
    ReportData,
    WorstCase,
)
from tasks.report.figures import (
    DETAIL_COLUMNS,
    FIDELITY_COLUMNS,
    FIGURES,
    OVERVIEW_COLUMNS,
    RAW_COLUMNS,
    TARGET_COLUMNS,
    TRUTH_COLUMNS,
    measured,
    recorded,
)
from tasks.report.frame_curves import TRACKED, Traces
from tasks.report.provenance import provenance_of
from tasks.report.rejected import rejected_frames
from tasks.report.tiles import sheet_of, worst_tiles

# What one pass over all frames measures, and what a few frames are drawn from as well.
MEASURED: dict[str, tuple[str, ...]] = {
    "foreground": ("depth_raw_m",),
    "track": TRACKED,
    "fuse": ("fused_residual_m", "fused_coverage"),
    "render": ("depth_m", "mask", "normal_rendered"),
    "adopt": ("depth_m", "mask"),
    "portray": ("depth_m", "mask", "normal_rendered"),
    "annotated": (),
    "layers": ("detail_m",),
    "normals": ("normal",),
    "truth": ("depth_truth_m", "truth_depth_error_m"),
}
DRAWN: dict[str, tuple[str, ...]] = {
    "foreground": ("image", "K", "world_from_cam"),
    "portray": ("image", "K", "world_from_cam", *BODY_FIELDS),
    "annotated": ("image", "K", "world_from_cam", *BODY_FIELDS),
    "fit": ("world_from_cam", *BODY_FIELDS),
    "body": tuple(BODY_FIELDS),
    "surface": tuple(BODY_FIELDS),
    "voxels": ("occupancy_128", "occupancy_128_world_from_vox", "occupancy_scale"),
    "motion": ("motion_rotvec_rad", "motion_t_m", "motion_valid", "motion_reference_frame"),
    "layers": ("base_m",),
}
PLOT_BINS = 60

# metric -> unit of the report, what one pixel gives, edges in that unit
PLOTS: dict[str, tuple[str, float, float]] = {
    "fused − raw, on the crop": ("mm", -15.0, 15.0),
    "detail": ("mm", -60.0, 60.0),
    "normals fitted − rendered": ("deg", 0.0, 60.0),
    "fused − true": ("mm", -15.0, 15.0),
}
WORST = {
    "fused_residual_m": ("fused − raw, median", "mm", 1e3),
    "normal_angle_rad": ("normals fitted − rendered, median", "deg", 180 / math.pi),
    "truth_depth_error_m": ("fused − true, median", "mm", 1e3),
}


@dataclass
class CaptureFindings:
    """What one pass over a capture's frames finds."""

    spreads: dict[str, Spread] = field(default_factory=dict)
    per_frame: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    traces: Traces = field(default_factory=Traces)

    def note(self, name: str, frame: int, value: float) -> None:
        if value >= 0:  # -1 stands for "not measured"
            self.per_frame.setdefault(name, []).append((frame, value))


def gather(inputs: Inputs, progress: Progress) -> ReportData:
    """Read every sealed output of the dataset and fill the report."""
    index = read_index(inputs.folder("shards"))
    settings = inputs.manifest.stages
    captures: list[CaptureReport] = []
    findings: dict[str, CaptureFindings] = {}
    pictured = _pictured(index, settings.report.sheets)
    for done, (name, entry) in enumerate(index["captures"].items()):
        sheet = None
        if entry["rejected"] is None:
            with _frames(inputs, name, MEASURED) as frames:
                findings[name] = _look_through(frames)
            if name in pictured:
                with _frames(inputs, name, MEASURED, DRAWN) as frames:
                    sheet = sheet_of(frames, settings.report.frames_per_sheet)
        captures.append(_capture(name, entry, sheet, findings.get(name, CaptureFindings())))
        progress(done + 1, len(index["captures"]))
    return ReportData(
        name=index["name"],
        fingerprint=index["fingerprint"],
        generator=index["generator"],
        captures=tuple(captures),
        key_figures=_key_figures(index),
        histograms=_histograms(findings),
        worst=_worst(inputs, findings, settings.report.worst_frames),
        quarantine=tuple(QuarantineRow(**row) for row in index["quarantine"]),
        rejected=rejected_frames(inputs, index),
        detail_settings=(
            f"σ space {settings.layers.sigma_space_px:g} px, σ depth {settings.layers.sigma_depth_m:g} m, "
            f"window {settings.layers.window_px}"
        ),
        provenance=provenance_of(inputs, index),
    )


def _pictured(index: Mapping[str, Any], count: int) -> set[str]:
    """The captures that get a contact sheet: pictures of hundreds would make a page that no browser opens."""

    def residual(name: str) -> float:
        value = index["captures"][name]["stats"].get("fused residual, median", {}).get("value")
        return float("inf") if value is None else float(value)

    return set(sorted(index["captures"], key=lambda name: (-residual(name), name))[:count])


def _frames(inputs: Inputs, capture: str, *tables: Mapping[str, tuple[str, ...]]) -> JoinedFrames:
    """A capture's frames with the fields of some tables, as far as its stages wrote them."""
    taken = {}
    for stage in {name: None for table in tables for name in table}:
        if inputs.has(f"{stage}/{capture}"):
            written = inputs.fields(f"{stage}/{capture}")
            names = [name for table in tables for name in table.get(stage, ())]
            taken[f"{stage}/{capture}"] = [name for name in names if name in written]
    return inputs.joined(taken)


def _look_through(frames: JoinedFrames) -> CaptureFindings:
    found = CaptureFindings()
    for name, (_, low, high) in PLOTS.items():
        found.spreads[name] = Spread(low=low, high=high, bins=PLOT_BINS)
    for row in frames:
        found.traces.see(row)
        if "detail_m" in row:
            found.spreads["detail"].add(1e3 * row["detail_m"][row["mask"]])
        if "normal_rendered" in row:
            both = row["normal"].any(axis=-1) & row["normal_rendered"].any(axis=-1)
            angles_rad = angle_rad(row["normal"][both], row["normal_rendered"][both])
            found.spreads["normals fitted − rendered"].add(np.degrees(angles_rad))
            found.note("normal_angle_rad", row["frame"], _median(angles_rad))
        if "fused_residual_m" in row and "depth_raw_m" in row:
            difference_m, _ = depth_difference(row["depth_m"], row["depth_raw_m"])
            found.spreads["fused − raw, on the crop"].add(1e3 * difference_m)
            found.note("fused_residual_m", row["frame"], float(row["fused_residual_m"]))
        if "depth_truth_m" in row:
            error_m, _ = depth_difference(row["depth_m"], row["depth_truth_m"])
            found.spreads["fused − true"].add(1e3 * error_m)
            found.note("truth_depth_error_m", row["frame"], float(row["truth_depth_error_m"]))
    return found


def _capture(name: str, entry: Mapping[str, Any], sheet: Any, found: CaptureFindings) -> CaptureReport:
    stats = entry["stats"]
    curves = found.traces.curves()
    tracked = FIGURES["tracked_percent"].stat in stats
    has_truth = FIGURES["truth_median_mm"].stat in stats
    return CaptureReport(
        capture=name,
        subject=entry["subject"],
        split=entry["split"],
        role=entry["role"],
        samples=entry["samples"],
        overview=recorded(OVERVIEW_COLUMNS, stats),
        against_raw=recorded(RAW_COLUMNS, stats),
        against_truth=recorded(TRUTH_COLUMNS, stats) if has_truth else (),
        fidelity=recorded(FIDELITY_COLUMNS, stats) if curves or tracked else (),
        curves=curves,
        targets=tuple(metric for metric in recorded(TARGET_COLUMNS, stats) if metric.value is not None),
        detail=recorded(DETAIL_COLUMNS, stats),
        sheet=sheet,
        **({"no_sheet": "other captures fit worse and are shown"} if entry["rejected"] is None else {}),
    )


def _key_figures(index: Mapping[str, Any]) -> tuple[Metric, ...]:
    """The worst capture's figure of each kind."""
    worst = {"residual_median_mm": max, "coverage_percent": min, "truth_median_mm": max}
    found = []
    for key, choose in worst.items():
        columns = [recorded([key], entry["stats"])[0] for entry in index["captures"].values()]
        known = [metric.value for metric in columns if metric.value is not None]
        plain = measured(key, choose(known) if known else None)
        name = f"worst capture: {plain.name}"
        found.append(Metric(name=name, unit=plain.unit, value=plain.value, absent=plain.absent))
    return tuple(found)


def _histograms(findings: Mapping[str, CaptureFindings]) -> tuple[Histogram, ...]:
    made = []
    for metric, (unit, low, high) in PLOTS.items():
        curves = tuple(
            Curve(capture=capture, counts=spread.counts, outside=spread.below + spread.above)
            for capture, found in findings.items()
            if (spread := found.spreads[metric]).total
        )
        if curves:
            edges: NDArray[np.float64] = np.linspace(low, high, PLOT_BINS + 1)
            made.append(Histogram(metric=metric, unit=unit, edges=edges, curves=curves))
    return tuple(made)


def _worst(inputs: Inputs, findings: Mapping[str, CaptureFindings], count: int) -> tuple[WorstCase, ...]:
    cases = []
    for key, (name, unit, factor) in WORST.items():
        values = [
            (value, capture, frame)
            for capture, found in findings.items()
            for frame, value in found.per_frame.get(key, [])
        ]
        for value, capture, frame in sorted(values, key=lambda item: (-item[0], item[1], item[2]))[:count]:
            metric = Metric(name=name, unit=unit, value=factor * value)
            with _frames(inputs, capture, MEASURED, DRAWN) as frames:
                tiles = worst_tiles(frames, frame, key)
            cases.append(WorstCase(capture=capture, frame=frame, metric=metric, tiles=tiles))
    return tuple(cases)


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if values.size else -1.0
