"""Figures and curves of how well a fused capture holds together, from frames' fields to the page."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fields import FIELDS
from tasks.report import page
from tasks.report.data import ReportData
from tasks.report.figures import FIDELITY_COLUMNS, recorded
from tasks.report.frame_curves import SOURCES, TRACKED, FrameCurve, Traces
from tasks.report.frame_plots import draw_frames
from tasks.report.plots import BOTTOM, LEFT, RIGHT, TOP
from tasks.report.summary import to_json

STATS = {
    "tracked frames": {"value": 0.975, "unit": "1"},
    "tracking residual, median": {"value": 0.0031, "unit": "m", "limit": 0.01},
    "loop ties": {"value": 4, "unit": "1"},
    "loop error before, median": {"value": 0.0312, "unit": "m"},
    "loop error after, median": {"value": 0.0008, "unit": "m"},
    "loop turn before, median": {"value": math.radians(1.25), "unit": "rad"},
    "truth camera error, root mean square": {"value": 0.0018, "unit": "m"},
}


def curve(frames: list[int], values: list[float], **more: Any) -> FrameCurve:
    told = {"metric": "fused − raw, median", "unit": "mm", **more}
    return FrameCurve(frames=np.array(frames), values=np.array(values), **told)


def row_of(frame: int, **fields: float) -> dict[str, Any]:
    return {"frame": np.int32(frame), "depth_m": np.zeros((4, 4)), **fields}


def traced(*rows: dict[str, Any]) -> dict[str, FrameCurve]:
    traces = Traces()
    for row in rows:
        traces.see(row)
    return {found.metric: found for found in traces.curves()}


# from fields to curves


def test_curves_come_from_fields_of_the_table_in_readable_units() -> None:
    assert set(SOURCES) | set(TRACKED) <= set(FIELDS)
    for name, source in SOURCES.items():
        expected = {("m", "mm"): 1e3, ("1", "%"): 100, ("rad", "deg"): 180 / math.pi}
        assert source.factor == pytest.approx(expected[FIELDS[name].unit, source.unit])


def test_a_frame_without_a_value_is_left_out_of_its_curve_alone() -> None:
    rows = [
        row_of(4, fused_residual_m=0.002, track_residual_m=-1.0, track_keyframe=True),
        row_of(5, fused_residual_m=-1.0, track_residual_m=0.003, track_keyframe=False),
        row_of(9, fused_residual_m=0.004, track_residual_m=0.001, track_keyframe=True),
    ]
    found = traced(*rows)
    assert found["fused − raw, median"].frames.tolist() == [4, 9]
    assert found["fused − raw, median"].values == pytest.approx([2.0, 4.0])
    tracking = found["frame − model while tracking, median"]
    assert tracking.frames.tolist() == [5, 9] and tracking.marked == (9,) and tracking.marks == "keyframe"
    assert set(found) == {"fused − raw, median", "frame − model while tracking, median"}


def test_captures_that_were_not_fused_have_no_curve() -> None:
    assert traced(row_of(0, truth_depth_error_m=0.003), row_of(1, fused_residual_m=-1.0)) == {}


@pytest.mark.parametrize(
    ("frames", "values"), [([], []), ([1, 2], [1.0]), ([2, 1], [1.0, 1.0]), ([1, 2], [1.0, math.nan])]
)
def test_curves_that_cannot_be_drawn_are_refused(frames: list[int], values: list[float]) -> None:
    with pytest.raises(ValueError, match="fused − raw"):
        curve(frames, values)


# worst frames


def test_worst_frames_are_the_largest_or_where_high_is_good_the_least() -> None:
    assert curve([3, 5, 8, 9], [1, 7, 7, 4]).worst(3) == [(5, 7), (8, 7), (9, 4)]
    assert curve([3, 5, 8], [90, 70, 80], better="high").worst(2) == [(5, 70), (8, 80)]
    assert curve([3], [2]).worst(3) == [(3, 2)]


# drawing


def test_a_line_runs_from_the_first_frame_to_the_last_and_its_worst_is_highest() -> None:
    plot = draw_frames(curve([10, 11, 12, 13], [1.0, 2.0, 4.0, 0.0]))
    points = [tuple(map(float, pair)) for pair in re.findall(r"[ML]([\d.]+) ([\d.]+)", plot.path)]
    assert len(points) == 4 and plot.path.count("M") == 1
    step = (RIGHT - LEFT) / 4
    assert [x for x, _ in points] == pytest.approx([LEFT + step * (k + 0.5) for k in range(4)], abs=0.06)
    assert points[3][1] == pytest.approx(BOTTOM) and points[2][1] == pytest.approx(plot.worst[1], abs=0.06)
    assert min(y for _, y in points) > TOP
    assert [tick.text for tick in plot.x_ticks] == ["10", "11", "12", "13"]


def test_lost_frames_break_the_line_and_one_between_two_gaps_is_a_dot() -> None:
    plot = draw_frames(curve([0, 2, 4, 10, 16, 18], [1.0] * 6))
    assert plot.path.count("M") == 2 and plot.path.count("L") == 3 and len(plot.dots) == 1


def test_marks_stand_at_their_frames() -> None:
    plot = draw_frames(curve([0, 1, 2, 3], [1.0] * 4, marked=(0, 3), marks="keyframe"))
    step = (RIGHT - LEFT) / 4
    assert plot.marks == pytest.approx((LEFT + step / 2, RIGHT - step / 2), abs=0.01)


@given(
    frames=st.sets(st.integers(0, 5000), min_size=1, max_size=40).map(sorted),
    seed=st.integers(0, 99),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 1e4]),
    better=st.sampled_from(["low", "high"]),
)
def test_everything_is_drawn_inside_the_axes(frames: list[int], seed: int, scale: float, better: str) -> None:
    values = scale * np.random.default_rng(seed).uniform(size=len(frames))
    plot = draw_frames(curve(frames, list(values), better=better, marked=tuple(frames[:2])))
    drawn = [tuple(map(float, pair)) for pair in re.findall(r"[ML]([\d.]+) ([\d.]+)", plot.path)]
    assert len(drawn) + len(plot.dots) == len(frames)
    for x, y in [*drawn, *plot.dots, plot.worst]:
        assert LEFT - 0.1 <= x <= RIGHT + 0.1 and TOP - 0.1 <= y <= BOTTOM + 0.1
    assert all("." not in tick.text for tick in plot.x_ticks)


# the page and the figures as JSON


@pytest.fixture
def tracked(dataset: Callable[..., ReportData]) -> ReportData:
    data = dataset()
    first = replace(
        data.captures[0],
        fidelity=recorded(FIDELITY_COLUMNS, STATS),
        curves=(curve([3, 4, 7, 8], [2.5, 3.25, 9.125, 2.0], marked=(4,), marks="keyframe"),),
    )
    return replace(data, captures=(first, *data.captures[1:]))


def test_the_page_shows_figures_curves_and_worst_frames(tracked, read_page) -> None:
    parsed = read_page(page.render(tracked))
    assert parsed.nesting == []
    heads, row = parsed.cells["Tracking, loops and cameras"]
    by_name = dict(zip(heads, row, strict=True))
    assert by_name["tracked (%)"] == "97.50"
    assert by_name["loop error before (mm)"] == "31.20" and by_name["loop error after (mm)"] == "0.80"
    assert by_name["loop turn before (deg)"] == "1.25" and by_name["loop turn after (deg)"] == "no loop"
    assert by_name["camera path, RMSE (mm)"] == "1.80" and by_name["seen through (%)"] == "one camera"
    assert by_name["tracking residual (mm)"].startswith("3.10 ≤ 10")
    assert "Worst: frame 7 (9.12 mm), frame 4 (3.25 mm), frame 3 (2.50 mm)." in parsed.text
    assert "1 marked on the axis: keyframe" in parsed.text
    labels = [attributes.get("aria-label") or "" for tag, attributes in parsed.elements if tag == "svg"]
    assert any(label.startswith("fused − raw, median of sim-01, over 4 frames") for label in labels)


def test_a_dataset_without_such_figures_has_no_such_section(dataset, read_page) -> None:
    html = page.render(dataset())
    assert 'id="fidelity"' not in html and "#fidelity" not in html


def test_captures_without_a_sheet_bring_figures_and_no_curves(tracked) -> None:
    first = replace(tracked.captures[0], sheet=None)
    html = page.render(replace(tracked, captures=(first, *tracked.captures[1:])))
    assert 'id="fidelity"' in html and "frame by frame" not in html


def test_json_has_every_value_of_every_curve_and_the_figures(tracked) -> None:
    told = json.loads(to_json(tracked))
    (row,) = told["curves"]
    assert row == {
        "name": "fused − raw, median", "unit": "mm", "capture": "sim-01", "frames": [3, 4, 7, 8],
        "values": [2.5, 3.25, 9.125, 2.0],
    }  # fmt: skip
    values = {one["name"]: one["value"] for one in told["figures"] if one["section"] == "fidelity"}
    assert values["tracked"] == pytest.approx(97.5) and values["loop turn after"] is None
