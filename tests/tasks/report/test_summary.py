import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.quality import QuarantineRow
from tasks.report.data import CaptureReport, Metric, ReportData
from tasks.report.summary import count, to_json, verdict

Make = Callable[..., ReportData]


def capture(name: str, samples: int, *metrics: Metric, split: str = "train") -> CaptureReport:
    return CaptureReport(
        capture=name, subject=name, split=split, role="static", samples=samples, overview=metrics
    )


def data(*captures: CaptureReport, quarantine: tuple[QuarantineRow, ...] = ()) -> ReportData:
    return ReportData(name="d", fingerprint="f", generator="g", captures=captures, quarantine=quarantine)


def limited(value: float | None, name: str = "m") -> Metric:
    return Metric(name=name, unit="mm", value=value, limit=6.0)


def kept_out(name: str, frame: int | None, reason: str = "r") -> QuarantineRow:
    return QuarantineRow(capture=name, frame=frame, stage="s", reason=reason, message="m")


def test_a_frame_kept_out_for_two_reasons_counts_once() -> None:
    rows = (kept_out("a", 1, "x"), kept_out("a", 1, "y"), kept_out("a", 2), kept_out("b", None))
    counts = count(data(capture("a", 5), capture("b", 0), capture("c", 7, split="test"), quarantine=rows))
    assert (counts.frames, counts.frames_by_capture, counts.whole, counts.lost) == (
        2,
        {"a": 2},
        ("b",),
        ("b",),
    )
    assert (counts.samples, counts.samples_by_split) == (12, {"train": 5, "test": 7})


def test_the_verdict_is_good_only_when_all_captures_and_limits_hold() -> None:
    good = verdict(data(capture("a", 5, limited(2.0)), capture("b", 1)))
    assert (good.state, good.sentence) == (
        "good",
        "All 2 captures gave samples; every figure with a limit keeps it.",
    )
    frames = verdict(data(capture("a", 5), quarantine=(kept_out("a", 3),)))
    assert frames.state == "good"
    assert frames.sentence == "The one capture gave samples; 1 frame is quarantined; no figure has a limit."


def test_the_verdict_names_lost_captures_broken_and_unchecked_limits() -> None:
    mixed = verdict(
        data(capture("a", 5, limited(7.0), limited(None, "n"), limited(6.0, "o")), capture("b", 0))
    )
    assert mixed.state == "mixed"
    assert mixed.sentence == (
        "1 of 2 captures gave no sample; 1 of 3 figures with a limit broke it; 1 limit was not checked."
    )


def test_a_figure_shown_in_two_tables_is_judged_once() -> None:
    twice = replace(capture("a", 5, limited(7.0)), against_raw=(limited(7.0),))
    assert "1 of 1 figure with a limit broke it" in verdict(data(twice)).sentence


def test_limits_of_a_lost_capture_do_not_count_as_unchecked() -> None:
    assert (
        "not checked"
        not in verdict(data(capture("a", 5, limited(1.0)), capture("b", 0, limited(None)))).sentence
    )


def test_without_samples_the_verdict_is_bad() -> None:
    judged = verdict(data(capture("a", 0)))
    assert (judged.state, judged.sentence) == ("bad", "No sample: none of 1 captures gave one.")


def test_json_holds_every_figure_with_its_unit_and_null_where_not_measured(dataset: Make) -> None:
    document = json.loads(to_json(dataset()))
    figures = document["figures"]
    assert all({"name", "value", "unit"} <= set(row) for row in figures)
    (coverage,) = [
        row for row in figures if (row["section"], row["capture"], row["unit"]) == ("overview", "p01", "%")
    ]
    assert coverage == {
        "name": "coverage",
        "unit": "%",
        "value": 71.25,
        "limit": 80.0,
        "bound": "at least",
        "holds": False,
        "section": "overview",
        "capture": "p01",
        "frame": None,
    }
    truth = [
        row["value"] for row in figures if row["section"] == "overview" and row["name"].startswith("truth")
    ]
    assert truth == [0.93, None]
    worst = [(row["capture"], row["frame"], row["value"]) for row in figures if row["section"] == "worst"]
    assert worst == [("p01", 11, 61.0)]
    assert [row["reason"] for row in document["quarantine"]] == ["poses-inverted", "empty-depth"]


def test_json_takes_the_numbers_of_numpy() -> None:
    numbers = (limited(np.float32(0.5)), limited(np.int64(3), "n"))  # type: ignore[arg-type]
    values = [row["value"] for row in json.loads(to_json(data(capture("a", 1, *numbers))))["figures"][-2:]]
    assert values == [0.5, 3]
