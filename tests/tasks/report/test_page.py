import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.report import page
from tasks.report.data import CaptureReport, Metric, ReportData, WorstCase
from tasks.report.figures import measured

HOSTILE = "<script>alert(1)</script>\"'&<img src=https://example.com/x>"
REFERENCES = {"src", "href", "srcset", "action", "formaction", "poster", "data", "xlink:href", "background"}

Make = Callable[..., ReportData]
Read = Callable[[str], Any]


def empty_dataset() -> ReportData:
    return ReportData(name="empty", fingerprint="00", generator="bodytruth 0.1.0", captures=())


def test_the_page_is_well_formed_and_refers_to_nothing_outside_itself(dataset: Make, read_page: Read) -> None:
    html = page.render(dataset())
    parsed = read_page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert parsed.nesting == []
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for tag, attributes in parsed.elements:
        assert tag not in {"script", "iframe", "object", "embed", "form", "base"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in REFERENCES:
                inline = value.startswith("data:image/png;base64," if tag == "img" else "data:,")
                assert inline or (tag == "a" and value.removeprefix("#") in ids), (tag, name, value[:60])
    assert not re.search(r"url\(|@import|https?:|file:", html)


def test_the_page_forbids_itself_every_request_and_script(dataset: Make, read_page: Read) -> None:
    policies = [a["content"] for _, a in read_page(page.render(dataset())).elements if "http-equiv" in a]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_a_reader_who_does_not_see_finds_his_way(dataset: Make, read_page: Read) -> None:
    elements = read_page(page.render(dataset())).elements
    levels = [int(tag[1]) for tag, _ in elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    assert all(a.get("alt") and a.get("width") and a.get("height") for tag, a in elements if tag == "img")
    assert all(a.get("scope") in {"col", "row"} for tag, a in elements if tag == "th")
    tags = [tag for tag, _ in elements]
    assert tags.count("table") == tags.count("caption") >= 8
    assert all(a.get("aria-label") or a.get("aria-hidden") for tag, a in elements if tag == "svg")


def test_hostile_text_stays_text_wherever_it_stands(dataset: Make, read_page: Read) -> None:
    tame, hostile = (read_page(page.render(dataset(name))) for name in ("tame", HOSTILE))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in tame.elements]
    assert hostile.text == tame.text.replace("tame", HOSTILE)
    alts = [
        (a["alt"], b["alt"])
        for (_, a), (_, b) in zip(tame.elements, hostile.elements, strict=True)
        if "alt" in a
    ]
    assert all(b == a.replace("tame", HOSTILE) for a, b in alts)


def test_the_overview_has_a_row_for_every_capture_with_units_and_limits(
    dataset: Make, read_page: Read
) -> None:
    head, built, broken, lost = read_page(page.render(dataset())).cells["All captures"]
    assert head[4:] == [
        "Samples",
        "Quarantined (frames)",
        "fused − raw, median (mm)",
        "coverage (%)",
        "truth error, median (mm)",
    ]
    assert built == [
        "sim-01",
        "subject of sim-01",
        "train",
        "static",
        "120",
        "0",
        "2.71 ≤ 6 ✓",
        "97.50 ≥ 80 ✓",
        "0.93",
    ]
    assert broken[5:] == ["1", "2.71 ≤ 6 ✓", "71.25 ≥ 80 ✗ broken", "no truth"]
    assert lost[4:] == ["0", "whole capture", "not measured", "not measured", "no truth"]


def test_a_missing_figure_is_never_a_zero(read_page: Read) -> None:
    names = ("overview", "against_raw", "against_truth", "detail")
    missing = {name: (Metric(name=f"m {name}", unit="mm", value=None),) for name in names}
    capture = CaptureReport(capture="a", subject="s", split="train", role="static", samples=1, **missing)
    data = replace(
        empty_dataset(),
        captures=(capture,),
        key_figures=missing["detail"],
        worst=(WorstCase(capture="a", frame=5, metric=missing["detail"][0]),),
    )
    parsed = read_page(page.render(data))
    for caption in ("Fused against raw", "Fused against truth"):
        assert parsed.cells[caption][1] == ["a", "not measured"]
    assert parsed.cells["All captures"][1] == ["a", "s", "train", "static", "1", "0", "not measured"]
    assert parsed.cells["Detail statistics, with published references below"][1][:2] == ["a", "not measured"]
    assert parsed.text.count("m detail not measured") == 1
    assert "1 not measured a , frame 5" in parsed.text
    assert "0.00" not in parsed.text


def test_an_empty_dataset_says_so_section_by_section(read_page: Read) -> None:
    parsed = read_page(page.render(empty_dataset()))
    assert parsed.nesting == []
    for sentence in (
        "No sample: none of 0 captures gave one.",
        "The dataset has no capture.",
        "No distribution was measured.",
        "No frame was ranked.",
        "Fused against raw: not measured.",
        "Fused against truth: no capture has truth.",
        "Nothing was quarantined.",
        "no shard",
    ):
        assert sentence in parsed.text


def test_the_sheet_names_frames_ranges_and_gaps(dataset: Make, read_page: Read) -> None:
    parsed = read_page(page.render(dataset()))
    head, image, depth, detail, _ = parsed.cells["Contact sheet of sim-01"]
    assert head == ["Field", "frame 3", "frame 11"]
    assert image == ["image", "", ""]
    assert re.fullmatch(r"\d\.\d\d to \d\.\d\d m", depth[1]) and depth[2] == "not measured"
    assert detail[0] == "detail −10 10 mm positive lies behind"
    alts = [a["alt"] for tag, a in parsed.elements if tag == "img"]
    assert "sim-01, frame 3, image" in alts
    assert f"sim-01, frame 3, fused depth, {depth[1]}" in alts
    assert "colour bar from −10 to 10 mm" in alts
    assert "No picture: no frame of this capture got far enough to be shown." in parsed.text


def test_worst_frames_quarantine_references_and_provenance_are_listed(dataset: Make, read_page: Read) -> None:
    parsed = read_page(page.render(dataset()))
    assert "1 61.00 % ≥ 80 ✗ broken p01 , frame 11 fused − raw" in parsed.text
    _, whole, frame = parsed.cells["Quarantined frames and captures"]
    assert whole == ["p02", "whole capture", "fuse", "poses-inverted", "not measured", "–", "of sim-01"]
    assert frame == ["p01", "7", "ingest", "empty-depth", "0.25 %", "2 %", "empty"]
    references = parsed.cells["Detail statistics, with published references below"][3:]
    assert [row[1:] for row in references] == [
        ["41.2", "103", "22.4"],
        ["12.4", "42", "0.55"],
        ["7.7", "26", "not measured"],
    ]
    assert parsed.cells["Fingerprints of the sealed outputs by stage"][1] == ["sim-01", "ab12"]
    assert parsed.cells["Shards"][1] == ["shards/train-00000.h5", "train", "240", "999 B", "5ead"]
    assert parsed.cells["Raw inputs"][1] == ["sim-01", "241", "83.2 MB", "c0ffee"]
    for text in ("fuse version 2 voxel_m 0.004", "numpy 1.26.4", "sim-01 recorded with consent"):
        assert text in parsed.text


def test_a_plot_states_what_lies_beyond_its_axis(dataset: Make, read_page: Read) -> None:
    text = read_page(page.render(dataset())).text
    assert "sim-01: 20 pixels, 25.00 % beyond the axis" in text
    assert "limit 6" in text and "nothing counted (mm) not measured" in text


def test_the_same_data_gives_the_same_bytes(dataset: Make, tmp_path: Path) -> None:
    written = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        page.write_report(dataset(), folder / "index.html")
        assert sorted(path.name for path in folder.iterdir()) == ["index.html", "report.json"]
        written.append([path.read_bytes() for path in sorted(folder.iterdir())])
    assert written[0] == written[1]
    assert json.loads(written[0][1])["fingerprint"] == "0123456789abcdef"


def test_one_figure_with_two_units_is_refused(dataset: Make) -> None:
    data = dataset()
    odd = replace(data.captures[1], overview=(replace(measured("residual_median_mm", 1.0), unit="m"),))
    with pytest.raises(
        ValueError, match=r"'fused − raw, median' must have one unit, is in mm and, for p01, in m"
    ):
        page.render(replace(data, captures=(data.captures[0], odd, data.captures[2])))


@given(st.floats(min_value=-1e6, max_value=1e6), st.sampled_from(["mm", "m", "%", "deg", "1", "fps"]))
def test_a_figure_reads_back_as_itself_and_never_as_zero(value: float, unit: str) -> None:
    text = page.format_figure(value, unit)
    read = float(text.replace("−", "-").replace(page.NARROW_SPACE, ""))
    assert (read == 0) == (value == 0)
    assert "-" not in text.replace("e-", "") and not (value == 0 and "−" in text)
    # Two decimals or four digits: half a unit in the last place.
    assert abs(read - value) <= max(0.0051, 0.00051 * abs(value))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.714, "mm", "2.71"),
        (0.0041, "mm", "0.004"),
        (1234567, "1", "1 234 567"),
        (-0.0, "mm", "0.00"),
        (2.3, "m", "2.300"),
    ],
)
def test_figures_are_rounded_to_what_their_unit_needs(value: float, unit: str, text: str) -> None:
    assert page.format_figure(value, unit).replace(page.NARROW_SPACE, " ") == text
