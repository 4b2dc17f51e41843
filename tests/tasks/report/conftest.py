"""A small dataset as the report sees it, and a reader of the page."""

from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np
import pytest

from pipeline.pictures import depth_picture, mask_picture, signed_picture
from pipeline.quality import QuarantineRow
from tasks.report.data import (
    CaptureReport,
    ColourScale,
    Curve,
    Histogram,
    ReportData,
    Sheet,
    SheetRow,
    Tile,
    WorstCase,
)
from tasks.report.figures import measured
from tasks.report.records import InputRecord, Provenance, ShardRecord, StageRecord

MARKER = (255, 0, 200)  # a colour that nothing else on the page has
VOID = {"meta", "link", "img", "br"}


def bumpy_sphere_sheet() -> Sheet:
    v, u = np.mgrid[-1:1:48j, -1:1:48j]
    mask = u**2 + v**2 < 0.8
    bumps_m = (0.01 * np.sin(12 * u) * np.cos(12 * v)).astype(np.float32)
    depth_m = (2.3 - 0.3 * np.sqrt(np.clip(1 - u**2 - v**2, 0, 1)) + bumps_m).astype(np.float32)
    picture, (near_m, far_m) = depth_picture(depth_m, mask)
    depth = Tile(image=picture, caption=f"{near_m:.2f} to {far_m:.2f} m")
    detail = Tile(image=signed_picture(bumps_m, mask, 0.01))
    ramp_m = np.linspace(-0.01, 0.01, 64, dtype=np.float32)[None]
    bar = signed_picture(ramp_m, np.ones_like(ramp_m, dtype=bool), 0.01)[0]
    marker = Tile(image=np.full((48, 48, 3), MARKER, np.uint8))
    return Sheet(
        frames=(3, 11),
        rows=(
            SheetRow(label="image", tiles=(marker, marker)),
            SheetRow(label="fused depth", tiles=(depth, None)),
            SheetRow(
                label="detail",
                tiles=(detail, detail),
                scale=ColourScale(low=-10.0, high=10.0, unit="mm", colours=bar),
                note="positive lies behind",
            ),
            SheetRow(label="mask", tiles=(Tile(image=mask_picture(mask)),) * 2),
        ),
    )


def built_capture(name: str, *, truth: bool, coverage_percent: float = 97.5) -> CaptureReport:
    shared = (
        measured("residual_median_mm", 2.714, limit=6.0),
        measured("coverage_percent", coverage_percent, limit=80.0),
    )
    against_truth = (measured("truth_median_mm", 0.93), measured("truth_bias_mm", -0.02)) if truth else ()
    return CaptureReport(
        capture=name,
        subject=f"subject of {name}",
        split="train",
        role="static",
        samples=120,
        overview=(*shared, measured("truth_median_mm", 0.93 if truth else None)),
        against_raw=(*shared, measured("raw_pixels", 1234567)),
        against_truth=against_truth,
        detail=(measured("detail_std_mm", 40.1),),
        sheet=bumpy_sphere_sheet(),
    )


@pytest.fixture
def dataset() -> Callable[..., ReportData]:
    """Build a report's data of two built captures and a lost one; `name` becomes the first one's id."""

    def make(name: str = "sim-01") -> ReportData:
        captures = (
            built_capture(name, truth=True),
            built_capture("p01", truth=False, coverage_percent=71.25),
            CaptureReport(capture="p02", subject="p02", split="test", role="static", samples=0),
        )
        edges = np.linspace(0.0, 10.0, 6)
        curves = tuple(
            Curve(capture=c.capture, counts=np.array([5, 4, 3, 2, 1]), outside=5) for c in captures[:2]
        )
        return ReportData(
            name=f"dataset of {name}",
            fingerprint="0123456789abcdef",
            generator="bodytruth 0.1.0",
            captures=captures,
            key_figures=(measured("residual_median_mm", 2.714, limit=6.0),),
            histograms=(
                Histogram(metric="|fused − raw|", unit="mm", edges=edges, curves=curves, limit=6.0),
                Histogram(metric="nothing counted", unit="mm", edges=edges, curves=()),
            ),
            worst=(
                WorstCase(
                    capture="p01",
                    frame=11,
                    metric=measured("coverage_percent", 61.0, limit=80.0),
                    tiles=(Tile(image=np.zeros((8, 8, 3), np.uint8), caption="fused − raw"),),
                ),
            ),
            quarantine=(
                QuarantineRow(capture="p02", stage="fuse", reason="poses-inverted", message=f"of {name}"),
                QuarantineRow(
                    capture="p01",
                    frame=7,
                    stage="ingest",
                    reason="empty-depth",
                    message="empty",
                    value=0.25,
                    unit="%",
                    limit=2.0,
                ),
            ),
            detail_settings="full support",
            provenance=Provenance(
                stages=(
                    StageRecord(
                        stage="fuse", version=2, settings={"voxel_m": 0.004}, fingerprints={name: "ab12"}
                    ),
                ),
                versions={"numpy": "1.26.4"},
                inputs=(InputRecord(capture=name, files=241, size_bytes=83_221_114, digest="c0ffee"),),
                licences={name: "recorded with consent"},
                shards=(
                    ShardRecord(
                        path="shards/train-00000.h5",
                        split="train",
                        samples=240,
                        size_bytes=999,
                        sha256="5ead",
                    ),
                ),
            ),
        )

    return make


@dataclass(slots=True)
class Page:
    """What a parser saw.

    Attributes:
        elements: (tag, attributes) in order.
        cells: per table, by caption: rows of cell texts.
        text: everything between tags, a space for each tag, spaces collapsed.
        nesting: complaints about tags that do not match.
    """

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    cells: dict[str, list[list[str]]] = field(default_factory=dict)
    text: str = ""
    nesting: list[str] = field(default_factory=list)


class PageReader(HTMLParser):
    """Reads a page into Page; strict about nesting."""

    def __init__(self) -> None:
        super().__init__()
        self.page, self.stack, self.rows = Page(), list[str](), list[list[str]]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "table":
            self.rows = []
        elif tag == "caption":
            self.rows.append([""])
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.stack or self.stack.pop() != tag:
            self.page.nesting.append(f"</{tag}> at {self.getpos()}")
        if tag == "table":
            (caption,), *rows = ([" ".join(cell.split()) for cell in row] for row in self.rows)
            self.page.cells[caption] = rows

    def handle_data(self, data: str) -> None:
        if "style" in self.stack:
            return
        self.page.text += " " + data
        if {"td", "th", "caption"} & set(self.stack):
            self.rows[-1][-1] += " " + data


@pytest.fixture
def read_page() -> Callable[[str], Page]:
    def read(html: str) -> Page:
        reader = PageReader()
        reader.feed(html)
        reader.close()
        reader.page.nesting += [f"<{tag}> never closed" for tag in reader.stack]
        reader.page.text = " ".join(reader.page.text.split())
        return reader.page

    return read
