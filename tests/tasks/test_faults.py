"""Captures with one fault each: every fault leaves its row and no other, and nothing is lost but what it spoils.

`python tests/tasks/test_faults.py` writes docs/faults.md, which says what came of each.
"""

import importlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.shards import read_index
from pipeline.store import FrameReader
from tasks.checking import CheckedCapture, checked_captures
from tasks.context import forget

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
NUMBER = r"-?\b\d+(?:\.\d+)?\b"
CLOSE = 0.1  # of what a fault is known to measure: pixels at outlines, and JPEG


def beside(name: str) -> ModuleType:
    """A module of the folder beside this file."""
    folder = str(Path(__file__).with_name("faults"))
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


matrix = beside("fault_matrix")
KINECT2, WRITE = matrix.FORMATS[0], matrix.FORMATS[0].write
NAMED = {fault.name: fault for fault in KINECT2.faults}


def look_through(manifest: Path) -> dict[str, CheckedCapture]:
    return {checked.capture: checked for checked in checked_captures(str(manifest))}


@pytest.fixture(scope="module")
def no_places() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in [name for name in os.environ if name.startswith("BODYTRUTH_")]:
            monkeypatch.delenv(name)
        forget()
        yield
    forget()


@pytest.fixture(scope="module")
def planted(tmp_path_factory, no_places) -> Path:
    return matrix.plant(tmp_path_factory.mktemp("faults") / "all")


@pytest.fixture(scope="module")
def checked(planted) -> dict[str, CheckedCapture]:
    return look_through(planted)


@pytest.mark.parametrize("case", [case for case in matrix.CASES if case.fault], ids=lambda case: case.name)
def test_a_fault_leaves_its_rows_and_no_other(case, checked) -> None:
    found, fault = checked[case.capture], case.fault
    rows = [(finding.reason, finding.frame) for finding in found.findings]
    assert len(rows) == len(set(rows)) and set(rows) == case.rows()
    assert found.exit_code == fault.code
    assert found.usable == found.frames - fault.lost
    if fault.value is not None:
        assert matrix.main_finding(case, found.findings).value == pytest.approx(fault.value, rel=CLOSE)
    for finding in found.findings:
        assert (finding.value is None) == (finding.limit is None) and finding.message.endswith(".")
        assert finding.value is None or finding.value != finding.limit


@pytest.mark.parametrize(
    "case", [case for case in matrix.CASES if not case.fault], ids=lambda case: case.name
)
def test_a_sound_capture_leaves_none(case, checked) -> None:
    found = checked[case.capture]
    assert (found.findings, found.exit_code) == ([], 0)
    assert found.usable == found.frames == case.format.count


def test_the_page_says_what_came_of_each_fault(checked) -> None:
    told, now = PAGE.read_text(encoding="utf-8"), matrix.page(checked)
    assert re.sub(NUMBER, "", told) == re.sub(NUMBER, "", now), f"Run `{matrix.COMMAND}`."
    # Another decoder of JPEG may round the second digit the other way.
    numbers = [list(map(float, re.findall(NUMBER, text))) for text in (told, now)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.06), f"Run `{matrix.COMMAND}`."


def spoiled(sound: Path, place: Path, faults: dict[int, str]) -> None:
    """A copy of a sound capture with a named fault in each of some frames."""
    shutil.copytree(sound, place)
    for frame, name in faults.items():
        NAMED[name].write(place, frame)


WHOLE = {
    "dark": {frame: "darkness" for frame in range(4)},
    "cut": {frame: "cut person" for frame in range(4)},
    "mixed": {0: "turned camera", 1: "cut person", 2: "cut person", 3: "too little person"},
    "blind": {frame: "no person" for frame in range(4)},
    "broken": {0: "darkness", 1: "truncated depth", 2: "darkness", 3: "darkness"},
    "late": {0: "clocks apart"},
    "lost": {0: "missing calibration"},
}
ROOM = replace(
    KINECT2,
    table='format = "kinect2"\nrole = "moving"\nforeground = "person"\ncamera = "still"\nempty_frames = ":4"\n',
)
ROOMS = {"torn": {0: "truncated depth"}, "dim": {frame: "darkness" for frame in range(4, 8)}}
CODES = {"dim": 4, "dark": 4, "cut": 4, "mixed": 4, "blind": 4, "broken": 3, "late": 4, "lost": 3}
# One fault each of those that spoil one frame and leave the others' times alone.
SINGLE = [
    fault for fault in KINECT2.faults if fault.reason and fault.shift == 0 and fault.name != "clock reset"
]
MANY = 2 * len(SINGLE) + 4  # every other frame is sound, and the last but one is dropped


@pytest.fixture(scope="module")
def several(tmp_path_factory, no_places) -> Path:
    """The manifest of a capture with all faults of single frames, of some of which no frame is left, and of some
    that begin with an empty room."""
    folder = tmp_path_factory.mktemp("faults") / "several"
    (folder / "raw").mkdir(parents=True)
    WRITE(folder / "raw" / "many", MANY)
    NAMED["dropped frame"].write(folder / "raw" / "many", MANY - 2)
    for at, fault in enumerate(SINGLE):
        fault.write(folder / "raw" / "many", 2 * at + 1)
    WRITE(folder / "raw" / "sound", 4)
    for capture, faults in WHOLE.items():
        spoiled(folder / "raw" / "sound", folder / "raw" / capture, faults)
    WRITE(folder / "raw" / "room", 8, empty=4)
    for capture, faults in ROOMS.items():
        spoiled(folder / "raw" / "room", folder / "raw" / capture, faults)
    formats = dict.fromkeys(["many", "sound", *WHOLE], KINECT2) | dict.fromkeys(["room", *ROOMS], ROOM)
    return matrix.write_manifest(folder, formats)


def measured(row: dict) -> tuple:
    return tuple(row[key] for key in ("capture", "frame", "reason", "value", "unit", "limit", "drops"))


def rows_of_check(checked: dict[str, CheckedCapture]) -> set[tuple]:
    return {
        (name, found.frame, found.reason, found.value, found.unit, found.limit, found.drops)
        for name, capture in checked.items()
        for found in capture.findings
    }


@pytest.fixture(scope="module")
def built(several, forge):
    ended = forge.run("build", several)
    return ended, read_index(several.parent / "out" / "faulty"), look_through(several)


def test_a_build_leaves_the_rows_that_check_prints(several, built) -> None:
    ended, index, checked = built
    rows = [
        row for row in index["quarantine"] if row["frame"] is not None or row["capture"] in ("late", "lost")
    ]
    assert len(rows) == len({measured(row) for row in rows})
    assert {measured(row) for row in rows} == rows_of_check(checked)
    stages = {(row["frame"], row["reason"]): row["stage"] for row in rows if row["capture"] == "many"}
    expected = {(2 * at + 1, fault.reason): fault.stage or "ingest" for at, fault in enumerate(SINGLE)}
    assert stages == {**expected, (MANY - 1, "dropped-frames"): "ingest"}
    assert str(several.parent) not in json.dumps(index["quarantine"])
    samples = {name: entry["samples"] for name, entry in index["captures"].items()}
    assert samples == {name: found.usable for name, found in checked.items()}
    assert samples["sound"] == 4 and samples["many"] == MANY - len(SINGLE) - 1
    assert samples["room"] == samples["torn"] == 4


def test_a_capture_of_which_nothing_is_left_ends_as_check_says(several, built) -> None:
    ended, index, checked = built
    assert ended.code == 3, ended.err + ended.out
    records = [
        json.loads(path.read_text()) for path in several.parent.glob("out/faulty/stages/*/*/*/stage.json")
    ]
    rejected = [record["rejected"] for record in records if record["rejected"]]
    assert {(row["capture"], row["exit_code"]) for row in rejected} == set(CODES.items())
    assert {name: checked[name].exit_code for name in CODES} == CODES
    whole = {row["capture"]: measured(row) for row in index["quarantine"] if row["frame"] is None}
    assert whole.keys() == CODES.keys()
    # What is measured of a capture is of the reason that it is left out for: the first of its frames'.
    for name in CODES.keys() - {"late", "lost"}:
        reason, *figures = whole[name][2:]
        said = [
            measured(row)
            for row in index["quarantine"]
            if row["capture"] == name and row["frame"] is not None
        ]
        assert [reason, *figures] in [list(row[2:]) for row in said if row[2] == reason]


def test_the_report_shows_what_the_gates_left_out(several, built) -> None:
    out = several.parent / "out" / "faulty"
    page = (out / "report" / "index.html").read_text(encoding="utf-8")
    pictured = set()
    for path in out.glob("stages/*/*/*/rejected.h5"):
        with FrameReader(path) as reader:
            pictured |= {(path.parents[1].name, number) for number in reader.column("frame").tolist()}
            assert all(picture.std() > 0 for picture in reader.column("rejected_picture"))
    # Four pictures of a reason are kept of each capture; what cannot be read gives none.
    judged = {
        (row["capture"], row["frame"], row["reason"])
        for row in built[1]["quarantine"]
        if row["frame"] is not None and row["value"] is not None and row["drops"]
    }
    assert pictured == {(capture, frame) for capture, frame, _ in judged}
    pictures = page.partition('<div class="strip rejected">')[2].partition("</section>")[0]
    alts = re.findall(r'alt="([\w-]+), frame (\d+), ([\w-]+)"', pictures)
    shown = {(capture, int(frame), reason) for capture, frame, reason in alts}
    assert shown <= judged and {reason for *_, reason in shown} == {reason for *_, reason in judged}


def test_check_prints_what_was_found_for_people_and_for_programs(several, built, bodytruth) -> None:
    said = bodytruth("check", several, "--json")
    rows = json.loads(said.out)["rows"]
    assert said.code == 3 and {measured(row) for row in rows} == rows_of_check(built[2])
    said = bodytruth("check", several)
    lines = said.out.splitlines()
    assert said.code == 3
    for row in rows:
        assert f"{row['reason']}: {row['message']}" in lines
    counts = [line.split() for line in lines[len(rows) :]]
    assert counts[0] == ["capture", "frames", "usable"]
    seen = {name: found for name, found in built[2].items() if found.frames}
    assert counts[1:] == [[name, str(found.frames), str(found.usable)] for name, found in seen.items()]


@pytest.mark.parametrize(("capture", "code"), [*CODES.items(), ("sound", 0)])
def test_check_ends_with_the_code_of_what_is_left(several, bodytruth, capture, code) -> None:
    manifest = matrix.write_manifest(
        several.parent, {capture: ROOM if capture in ROOMS else KINECT2}, f"{capture}.toml"
    )
    said = bodytruth("check", manifest)
    assert said.code == code
    assert ("passes every gate" in said.out) == (capture == "sound")


@pytest.mark.slow
def test_every_fault_leaves_its_rows_in_a_build(planted, checked, forge) -> None:
    ended = forge.run("build", planted)
    index = read_index(planted.parent / "out" / "faulty")
    assert ended.code == 3, ended.err + ended.out
    rows = {measured(row): row["stage"] for row in index["quarantine"]}
    expected = rows_of_check(checked)
    # A capture of which no frame is left has a row of its own.
    extra = {row for row in rows if row not in expected}
    assert expected <= rows.keys() and all(row[1] is None and checked[row[0]].usable == 0 for row in extra)
    for case in matrix.CASES:
        assert index["captures"][case.capture]["samples"] == checked[case.capture].usable, case.name
        stages = {stage for row, stage in rows.items() if row[0] == case.capture}
        assert stages <= {case.stage}, case.name


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        PAGE.write_text(matrix.page(look_through(matrix.plant(Path(place) / "all"))), encoding="utf-8")
