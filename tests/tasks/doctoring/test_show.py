"""Lines, JSON and exit codes of given rows; a check that breaks is a row."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.doctoring import examination
from tasks.doctoring.requirements import Requirement
from tasks.doctoring.row import Row

GOOD = Row(group="Machine", check="memory", state="ok", finding="24 GB", figures=(("free", 24.0, "GB"),))


@pytest.fixture
def diagnosed(bodytruth, monkeypatch) -> Callable[..., Any]:
    """Run the verb in this process on given rows."""

    def run(rows: list[Row], *words: object) -> Any:
        monkeypatch.setattr(examination, "examine", lambda out: iter(rows))
        return bodytruth("doctor", *words)

    return run


@pytest.mark.parametrize(
    ("state", "required", "code"),
    [
        ("ok", True, 0), ("optional", False, 0), ("broken", False, 0), ("missing", False, 0),
        ("broken", True, 4), ("missing", True, 4),
    ],
)  # fmt: skip
def test_code_is_4_where_something_required_is_missing_or_broken(diagnosed, state, required, code):
    rows = [GOOD, replace(GOOD, check="disk", state=state, required=required)]
    assert diagnosed(rows).code == code
    said = diagnosed(rows, "--json")
    assert said.code == code and json.loads(said.out)["ok"] is (code == 0)
    assert [row["check"] for row in json.loads(said.out)["rows"]] == ["memory", "disk"]


def test_last_lines_count_and_name_what_to_mend(diagnosed):
    bad = replace(GOOD, check="numpy", state="broken", next="pip install numpy")
    *_, counts, meaning = diagnosed([GOOD, bad, replace(GOOD, state="optional")]).out.splitlines()
    assert counts == "1 ok, 1 broken, 1 optional; 0 s" and "To mend, from the top: numpy." in meaning
    assert diagnosed([GOOD]).out.splitlines()[-1].endswith("A first dataset: bodytruth demo")


def test_without_a_terminal_a_row_is_a_line_that_starts_with_its_state(diagnosed, colourful):
    long = replace(GOOD, state="broken", finding="must be [bold]x[/bold] :key: " + "far " * 60, next="go on")
    lines = diagnosed([GOOD, long]).out.splitlines()
    assert lines[0] == "ok        memory         24 GB"
    assert lines[1].startswith("broken    memory         must be [bold]x[/bold] :key: far far")
    assert lines[1].endswith("far   next: go on") and lines[2] == ""
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", "".join(lines))


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_findings_are_wrapped_and_commands_are_not(diagnosed, monkeypatch, columns):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", str(columns))
    finding, command = "must be found " * 20, "apt-get install " + "lib " * 60
    disk = replace(GOOD, group="Disk", state="missing", finding=finding, next=command)
    lines = diagnosed([GOOD, disk]).out.splitlines()
    assert [line for line in lines if line in ("Machine", "Disk")] == ["Machine", "Disk"]
    assert f"next: {command}".strip() in [line.strip() for line in lines]
    assert all(len(line) <= columns for line in lines if "next:" not in line)
    assert " ".join(" ".join(lines).split()).count("must be found") == 20


def test_check_that_breaks_is_a_line_and_the_others_are_carried_out(monkeypatch):
    def breaks() -> Row:
        raise ZeroDivisionError("of the check's own")

    listed = [("Machine", "memory", lambda: GOOD), ("Disk", "output", breaks), ("Machine", "x", lambda: GOOD)]
    monkeypatch.setattr(examination, "checks", lambda out, needed, *, threads: listed)
    first, broken, last = examination.examine(Path("out"))
    assert (first, last) == (GOOD, GOOD)
    assert (broken.group, broken.check, broken.state, broken.required) == ("Disk", "output", "broken", True)
    assert "ZeroDivisionError: of the check's own" in broken.finding and broken.fails


def test_requirements_that_cannot_be_read_do_not_stop_the_others(monkeypatch):
    def broken() -> list[Requirement]:
        raise ValueError("no such table")

    monkeypatch.setattr(examination, "requirements", broken)
    monkeypatch.setattr(examination, "checks", lambda out, needed, *, threads: [("g", "c", lambda: GOOD)])
    rows = list(examination.examine(Path("out")))
    assert [row.state for row in rows] == ["broken", "ok"] and "no such table" in rows[0].finding
