"""What follows from a report's data: counts, the verdict, and all figures as JSON."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

from tasks.report.data import Metric, ReportData
from tasks.report.frame_curves import FrameCurve


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How much there is.

    Attributes:
        samples_by_split: split to samples, in the manifest's order of splits.
        lost: ids of captures that gave no sample, quarantined as a whole or frame by frame.
        frames: quarantined frames, counted once each; those of wholly quarantined captures are not listed.
        whole: ids of captures that are quarantined as a whole.
    """

    samples: int
    samples_by_split: dict[str, int]
    lost: tuple[str, ...]
    frames: int
    frames_by_capture: dict[str, int]
    whole: tuple[str, ...]


def count(data: ReportData) -> Counts:
    """Count samples and quarantine."""
    by_split: Counter[str] = Counter()
    for capture in data.captures:
        by_split[capture.split] += capture.samples
    kept_out = {(row.capture, row.frame) for row in data.quarantine if row.frame is not None and row.drops}
    by_capture = Counter(capture for capture, _ in kept_out)
    whole = {row.capture for row in data.quarantine if row.frame is None}
    return Counts(
        samples=sum(by_split.values()),
        samples_by_split=dict(by_split),
        lost=tuple(capture.capture for capture in data.captures if capture.samples == 0),
        frames=len(kept_out),
        frames_by_capture=dict(by_capture),
        whole=tuple(capture.capture for capture in data.captures if capture.capture in whole),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One line on the whole build; `state` colours it and the words repeat it."""

    state: Literal["good", "mixed", "bad"]
    sentence: str


def verdict(data: ReportData) -> Verdict:
    """Judge the build by captures lost, frames kept out and limits broken, in that order."""
    counts = count(data)
    if counts.samples == 0:
        return Verdict(state="bad", sentence=f"No sample: none of {len(data.captures)} captures gave one.")
    limited = _limited(data, without=counts.lost)
    broken = sum(metric.holds is False for metric in limited)
    open_ = sum(metric.holds is None for metric in limited)
    parts = [_captures_clause(len(data.captures), len(counts.lost))]
    if counts.frames:
        parts.append(f"{_plural(counts.frames, 'frame is', 'frames are')} quarantined")
    if not limited:
        parts.append("no figure has a limit")
    elif broken or open_:
        parts.append(f"{broken} of {_plural(len(limited), 'figure', 'figures')} with a limit broke it")
    else:
        parts.append("every figure with a limit keeps it")
    if open_:
        parts.append(f"{_plural(open_, 'limit was', 'limits were')} not checked")
    state: Literal["good", "mixed"] = "mixed" if counts.lost or broken or open_ else "good"
    return Verdict(state=state, sentence="; ".join(parts) + ".")


def _limited(data: ReportData, *, without: tuple[str, ...]) -> list[Metric]:
    """Every capture's figures with a limit, once each although several tables may show them."""
    limited = {
        (capture, metric.name): metric
        for _, capture, metric in _metrics(data)
        if metric.limit is not None and capture is not None and capture not in without
    }
    return list(limited.values())


def _captures_clause(total: int, lost: int) -> str:
    if lost:
        return f"{lost} of {_plural(total, 'capture', 'captures')} gave no sample"
    return "The one capture gave samples" if total == 1 else f"All {total} captures gave samples"


def _plural(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _metrics(data: ReportData) -> Iterator[tuple[str, str | None, Metric]]:
    """(section, capture, metric) of every figure of a capture or of the whole; worst cases not."""
    for metric in data.key_figures:
        yield "key", None, metric
    for capture in data.captures:
        for section in ("overview", "against_raw", "against_truth", "fidelity", "targets", "detail"):
            for metric in getattr(capture, section):
                yield section, capture.capture, metric


def to_json(data: ReportData) -> str:
    """All figures as one JSON object; deterministic, ends with a newline.

    Returns:
        `name`, `fingerprint`, `generator`, `verdict`, and `figures`: a list of objects with `name`, `unit`,
        `value` (null where not measured), `limit`, `bound`, `holds`, `section`, `capture`, `frame`; `curves`: a
        list of objects with `name`, `unit`, `capture`, and `frames` and `values` side by side.
    """
    counts = count(data)
    judged = verdict(data)
    figures = [
        _row("captures", len(data.captures)),
        _row("samples", counts.samples),
        *(_row(f"samples in {split}", number) for split, number in counts.samples_by_split.items()),
        _row("quarantined frames", counts.frames),
        _row("quarantined captures", len(counts.whole)),
    ]
    figures += [_row("samples", c.samples, section="overview", capture=c.capture) for c in data.captures]
    figures += [_metric_row(metric, section, capture) for section, capture, metric in _metrics(data)]
    figures += [_metric_row(case.metric, "worst", case.capture, case.frame) for case in data.worst]
    document = {
        "name": data.name,
        "fingerprint": data.fingerprint,
        "generator": data.generator,
        "verdict": {"state": judged.state, "sentence": judged.sentence},
        "figures": figures,
        "curves": [
            _curve_row(capture.capture, curve) for capture in data.captures for curve in capture.curves
        ],
        "quarantine": [row.to_json() for row in data.quarantine],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _row(name: str, value: int, *, section: str = "counts", capture: str | None = None) -> dict[str, Any]:
    metric = Metric(name=name, unit="1", value=value)
    return _metric_row(metric, section, capture)


def _metric_row(
    metric: Metric, section: str, capture: str | None, frame: int | None = None
) -> dict[str, Any]:
    return {
        "name": metric.name,
        "unit": metric.unit,
        "value": _plain(metric.value),
        "limit": _plain(metric.limit),
        "bound": metric.bound,
        "holds": metric.holds,
        "section": section,
        "capture": capture,
        "frame": frame,
    }


def _curve_row(capture: str, curve: FrameCurve) -> dict[str, Any]:
    frames, values = curve.frames.tolist(), curve.values.tolist()
    return {"name": curve.metric, "unit": curve.unit, "capture": capture, "frames": frames, "values": values}


def _plain(number: float | None) -> int | float | None:
    """Python's own number, for JSON knows none of numpy's."""
    if number is None:
        return None
    return int(number) if isinstance(number, Integral) else float(number)
