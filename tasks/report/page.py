"""Write the report of a dataset build: one HTML file that needs nothing else, and its figures as JSON."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.pictures import Picture, png_bytes
from tasks.report import figures, plots, summary
from tasks.report.data import CaptureReport, ColourScale, Metric, ReportData, WorstCase
from tasks.report.frame_curves import FrameCurve
from tasks.report.frame_plots import FramePlot, draw_frames
from tasks.report.records import StageRecord

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
DECIMALS = {"mm": 2, "%": 2, "deg": 2, "px": 2, "m": 3, "s": 2}
NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    """One row of a table of figures.

    Attributes:
        capture: the capture whose row it is; None for a reference row.
        cells: one figure for each column.
    """

    label: str
    capture: CaptureReport | None
    cells: tuple[Metric, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Figures of one kind side by side; `columns` are figures without values."""

    columns: tuple[Metric, ...]
    rows: tuple[TableRow, ...]


def write_report(data: ReportData, path: Path) -> None:
    """Write the page at `path`, and `report.json` beside it.

    The same data gives the same bytes: no time and no host stands in them.

    Raises:
        ValueError: if one figure has two units.
    """
    html, figures_json = render(data), summary.to_json(data)
    path.write_bytes(html.encode())
    path.with_name("report.json").write_bytes(figures_json.encode())


def render(data: ReportData) -> str:
    """The whole page as text.

    Raises:
        ValueError: if one figure has two units.
    """
    detail = [(c.capture, c, c.detail) for c in data.captures if c.detail]
    references = [(label, None, metrics) for label, metrics in figures.detail_references()]
    return (
        _environment()
        .get_template("page.html")
        .render(
            data=data,
            css=(HERE / "page.css").read_text(encoding="utf-8"),
            counts=summary.count(data),
            verdict=summary.verdict(data),
            overview=tabulate([(c.capture, c, c.overview) for c in data.captures]),
            against_raw=tabulate([(c.capture, c, c.against_raw) for c in data.captures]),
            against_truth=tabulate([(c.capture, c, c.against_truth) for c in data.captures]),
            fidelity=tabulate([(c.capture, c, c.fidelity) for c in data.captures if c.fidelity]),
            frame_plots=curves_of_pictured(data.captures),
            targets=tabulate([(c.capture, c, c.targets) for c in data.captures if c.targets]),
            detail=tabulate([*detail, *references]),
            plots=[(histogram, plots.draw(histogram)) for histogram in data.histograms],
            worst=group_by_metric(data.worst),
            anchors={capture.capture: f"capture-{i}" for i, capture in enumerate(data.captures, start=1)},
            fingerprints=fingerprint_rows(data.provenance.stages),
            wording=figures,
            drawing=plots,
        )
    )


def _environment() -> "Environment":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=format_figure,
        size=format_size,
        short=format_short,
        png=png_uri,
        bar=scale_uri,
        unit=format_unit,
        count=format_count,
    )
    return environment


def tabulate(rows: Sequence[tuple[str, CaptureReport | None, tuple[Metric, ...]]]) -> Table:
    """Line figures up by name, in the order in which the names first appear; gaps become absent figures.

    Args:
        rows: label, capture or None, figures.

    Raises:
        ValueError: if one name stands with two units.
    """
    columns: dict[str, Metric] = {}
    for label, _, metrics in rows:
        for metric in metrics:
            first = columns.setdefault(metric.name, replace(metric, value=None, limit=None))
            if metric.unit != first.unit:
                raise ValueError(
                    f"report: {metric.name!r} must have one unit, is in {first.unit} and, for {label}, "
                    f"in {metric.unit}"
                )
    table = []
    for label, capture, metrics in rows:
        by_name = {metric.name: metric for metric in metrics}
        cells = tuple(by_name.get(name, column) for name, column in columns.items())
        table.append(TableRow(label=label, capture=capture, cells=cells))
    return Table(columns=tuple(columns.values()), rows=tuple(table))


def group_by_metric(cases: Iterable[WorstCase]) -> dict[str, list[WorstCase]]:
    """Worst cases by the metric's name, both in the given order."""
    groups: dict[str, list[WorstCase]] = {}
    for case in cases:
        groups.setdefault(case.metric.name, []).append(case)
    return groups


def curves_of_pictured(
    captures: Iterable[CaptureReport],
) -> dict[str, list[tuple[FrameCurve, FramePlot]]]:
    """Capture to its curves, as they are and ready to be drawn; of captures with a contact sheet alone."""
    shown = [capture for capture in captures if capture.curves and capture.sheet is not None]
    return {one.capture: [(curve, draw_frames(curve)) for curve in one.curves] for one in shown}


def fingerprint_rows(stages: Sequence[StageRecord]) -> dict[str, tuple[str | None, ...]]:
    """Output name to its fingerprint in each stage; None where the stage has no such output."""
    names = dict.fromkeys(name for stage in stages for name in stage.fingerprints)
    return {name: tuple(stage.fingerprints.get(name) for stage in stages) for name in names}


def format_figure(value: float, unit: str) -> str:
    """A number for reading, without its unit; a value that is not zero is never shown as zero."""
    value = value + 0  # minus zero is zero
    if isinstance(value, Integral) or (unit == "1" and float(value).is_integer()):
        return format_count(int(value))
    decimals = DECIMALS.get(unit)
    text = f"{value:.4g}" if decimals is None else f"{value:,.{decimals}f}".replace(",", NARROW_SPACE)
    if value != 0 and not text.strip("-0."):
        text = f"{value:.1g}"
    return text.replace("-", "−")


def format_count(number: int) -> str:
    """An integer with its thousands apart."""
    return f"{number:,}".replace(",", NARROW_SPACE).replace("-", "−")


def format_short(value: float | str) -> str:
    """A limit or the end of a scale, in as few digits as it needs, six at most; words stay."""
    return value if isinstance(value, str) else f"{value:.6g}".replace("-", "−")


def format_unit(unit: str) -> str:
    """The unit for reading; pure numbers have none."""
    return "" if unit == "1" else unit


def format_size(size_bytes: int) -> str:
    """A file size in the largest decimal unit that it reaches."""
    for name, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {name}"
    return f"{size_bytes} B"


def png_uri(image: Picture) -> str:
    """An RGB image as the data: address of a PNG."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode("ascii")


def scale_uri(scale: ColourScale) -> str:
    """A colour bar as the data: address of a PNG one pixel high."""
    return png_uri(scale.colours[None])
