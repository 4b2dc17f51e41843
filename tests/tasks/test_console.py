"""How verbs answer: plain lines that can be searched, or one JSON object."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.store import FrameWriter
from tasks import console
from tasks.context import forget
from tasks.graph import all_tasks
from tasks.layers import Layers
from tasks.make_report import MakeReport

READING = ["check", "inspect", "plan", "report", "status", "verify", "why"]


@pytest.fixture
def sealed(sealed) -> Path:
    """The shared stand-ins, and a report with figures."""
    figures = [
        {"section": "overview", "capture": "ann", "name": "fused coverage", "value": 0.98765, "unit": "1"},
        {"section": "overview", "capture": None, "name": "size", "value": None, "unit": "bytes"},
        {"section": "detail", "capture": "ann", "name": "unseen", "value": 1.0, "unit": "m"},
    ]
    place = MakeReport(manifest=str(sealed)).place()
    (place / "report.json").write_text(json.dumps({"figures": figures}))
    return sealed


@pytest.fixture
def frames(tmp_path) -> Path:
    path = tmp_path / "frames.h5"
    with FrameWriter(path, {"capture": "ann"}) as writer:
        for frame in range(3):
            depth_m = np.full((40, 40), 1 + frame, np.float32)
            writer.append({"frame": np.int32(frame), "depth_m": depth_m, "subject": "ann"})
    return path


def words_of(verb: str, manifest: Path, frames: Path) -> list[object]:
    """A call of a reading verb that works on the fixtures."""
    return [verb, *{"inspect": [frames], "why": [manifest, "ann"]}.get(verb, [manifest])]


# JSON


def strict(text: str) -> dict:
    """Read one JSON object; NaN and infinities, which JSON does not know, fail."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize("verb", READING)
def test_json_of_a_reading_verb_is_one_object_with_verb_ok_and_rows(bodytruth, sealed, frames, verb):
    said = bodytruth(*words_of(verb, sealed, frames), "--json")
    answer = strict(said.out)
    assert (said.code, said.err) == (0, "")
    assert list(answer) == ["verb", "ok", "rows"]
    assert (answer["verb"], answer["ok"]) == (verb, True)
    assert isinstance(answer["rows"], list) and all(isinstance(row, dict) for row in answer["rows"])
    assert (answer["rows"] == []) == (verb in ("check", "verify"))


def test_figures_in_json_have_name_value_and_unit(bodytruth, sealed, stand_in):
    sealed.write_text(sealed.read_text().replace("window_px = 15", "window_px = 9"))
    forget()
    stats = {"detail, p99": {"value": 0.01, "unit": "m"}}
    stand_in(Layers(manifest=str(sealed), capture="ann"), stats=stats)
    figures = strict(bodytruth("why", sealed, "ann", "--json").out)["rows"][4]["stats"]
    rows = strict(bodytruth("plan", sealed, "--json").out)["rows"]
    figures += [figure for row in rows for figure in row["estimate"]]
    assert len(figures) > 3
    assert all({"name", "value", "unit"} <= set(figure) for figure in figures)


def test_json_says_not_ok_where_the_code_or_the_state_does(bodytruth, sealed):
    def answer(*words: object) -> tuple[int, bool, int]:
        said = bodytruth(*words, "--json")
        read = strict(said.out)
        return said.code, read["ok"], len(read["rows"])

    (sealed.parent / "raw" / "ann" / "001.depth.png").write_bytes(b"")
    assert answer("check", sealed) == (3, False, 1)
    assert answer("status", sealed) == (0, False, 3)
    place = Layers(manifest=str(sealed), capture="bob").place()
    (place / "data.bin").write_bytes(b"x" * 1000)
    assert answer("verify", sealed) == (5, False, 1)


def test_inspect_of_an_index_gives_shapes_with_their_leading_axis(bodytruth, tmp_path):
    field = {"shape": "H W", "dtype": "float32", "unit": "m", "frame": "cam", "invalid": "0", "doc": "z"}
    head = {"name": "x", "fingerprint": "f", "generator": "g", "schema": "1.0", "seed": 1, "settings": {}}
    index = {**head, "fields": {"depth_m": field}, "shards": [], "quarantine": []}
    (tmp_path / "dataset.json").write_text(json.dumps(index))
    rows = strict(bodytruth("inspect", tmp_path, "--json").out)["rows"]
    assert rows[1]["field"] == "depth_m" and rows[1]["shape"] == "N H W"


# plain lines


@pytest.mark.parametrize("verb", READING)
def test_without_a_terminal_there_are_no_control_codes(bodytruth, sealed, frames, colourful, verb):
    said = bodytruth(*words_of(verb, sealed, frames))
    assert said.code == 0 and said.out
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", said.out + said.err)
    assert all(line == line.rstrip() for line in said.out.splitlines())


def test_without_a_terminal_a_row_is_a_line_however_long(bodytruth, spheres, colourful):
    said = bodytruth("plan", spheres)
    lines = said.out.splitlines()
    assert len(lines) == 1 + len(list(all_tasks(str(spheres)))) + 1  # head, tasks, totals
    assert re.match(r"stage +capture +state +why$", lines[0])
    columns = [lines[0].index(name) for name in ("capture", "state", "why")]
    for line in lines[1:-1]:
        assert all(line[column - 1] == " " and line[column] != " " for column in columns[1:])
    numbers = ", ".join(str(number) for number in range(4000))
    spheres.write_text(spheres.read_text().replace('id = "ann"', f'id = "ann"\nframes = [{numbers}]'))
    said = bodytruth("why", spheres, "ann")
    assert f"  inputs.frames = [{numbers}]" in said.out.splitlines()


@pytest.mark.parametrize("terminal", [False, True])
def test_what_looks_like_markup_or_an_emoji_is_shown_as_it_is(capsys, monkeypatch, terminal):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "60")
    text = "frames 0:100:2 of [bold]x[/bold] [0] :key:"
    console.print_line(text)
    console.print_table(("what",), [(text,)])
    assert capsys.readouterr().out.count(text) == 2


def test_path_is_not_broken_on_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")  # no colours; 80 columns
    path = "/captures/" + "deep/" * 20 + "frames.h5"
    console.print_line(path)
    assert capsys.readouterr().out == f"{path}\n"


def test_empty_cells_are_empty(capsys):
    console.print_table(("a", "b", "c"), [(None, 0, ""), ("x", None, False)])
    assert capsys.readouterr().out.splitlines() == ["a  b  c", "   0", "x     False"]


def test_verify_and_check_say_in_words_what_they_found(bodytruth, sealed):
    assert bodytruth("check", sealed).out.splitlines()[-1] == "every input is readable, and passes every gate"
    assert bodytruth("verify", sealed).out == "14 sealed folders read, 0 damaged\n"
    (sealed.parent / "raw" / "ann" / "001.pose.txt").unlink()
    said = bodytruth("check", sealed)
    assert said.code == 3 and said.out.startswith("pose-missing: ") and "001.pose.txt" in said.out


def test_report_says_where_it_lies_and_what_was_not_measured(bodytruth, sealed):
    said = bodytruth("report", sealed)
    page = sealed.parent / "out" / "spheres" / "report" / "index.html"
    assert said.out.splitlines() == [
        "ann: fused coverage: 0.9877 1",
        "dataset: size: not measured",
        f"report: {page}",
    ]


def test_report_of_an_unbuilt_dataset_says_to_build_it(bodytruth, spheres):
    said = bodytruth("report", spheres)
    assert said.code == 2 and "must be built before its report" in said.err and said.out == ""


def test_clean_keeps_what_the_manifest_names_and_says_what_it_removed(bodytruth, sealed):
    assert bodytruth("clean", sealed).out == "0 folders removed, 0.0 MB freed\n"
    old = Layers(manifest=str(sealed), capture="ann").place()
    sealed.write_text(sealed.read_text().replace("window_px = 15", "window_px = 9"))
    said = bodytruth("clean", sealed)
    assert f"removed {old}" in said.out.splitlines() and not old.exists()
    # The published version is kept though the manifest has moved on.
    assert said.out.splitlines()[-1] == "2 folders removed, 0.0 MB freed"
    assert (sealed.parent / "out" / "spheres" / "current" / "stage.json").is_file()
