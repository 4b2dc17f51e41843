"""How the command line speaks: plain lines, one JSON object, worked examples, codes that tell the truth."""

import inspect
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from pipeline import errors
from pipeline.store import FrameWriter
from tasks import cli, console, planning
from tasks.context import forget
from tasks.graph import Dataset, all_tasks
from tasks.layers import Layers
from tasks.make_report import MakeReport

COMMAND: Any = typer.main.get_command(cli.app)
VERBS = sorted(COMMAND.commands)
READING = ["check", "inspect", "plan", "report", "status", "verify", "why"]


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def bodytruth(capsys, monkeypatch, own_places) -> Callable[..., Said]:
    """Run the command line in this process, as `main` does it."""
    monkeypatch.setenv("COLUMNS", "80")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["bodytruth", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def spheres(forge, tmp_path) -> Path:
    for capture in ("ann", "bob"):
        forge.capture(tmp_path / "raw" / capture, count=2)
    return forge.manifest(tmp_path, {"ann": "train", "bob": "test"})


@pytest.fixture
def sealed(spheres, stand_in) -> Path:
    """Every output of the spheres sealed and published, none of them computed."""
    for task in all_tasks(str(spheres)):
        stand_in(task)
    figures = [
        {"section": "overview", "capture": "ann", "name": "fused coverage", "value": 0.98765, "unit": "1"},
        {"section": "overview", "capture": None, "name": "size", "value": None, "unit": "bytes"},
        {"section": "detail", "capture": "ann", "name": "unseen", "value": 1.0, "unit": "m"},
    ]
    place = MakeReport(manifest=str(spheres)).place()
    (place / "report.json").write_text(json.dumps({"figures": figures}))
    Dataset(manifest=str(spheres)).run()
    return spheres


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


# help


def example_of(verb: str) -> list[str]:
    (line,) = re.findall(r"^ *Example: (.+)$", inspect.getdoc(COMMAND.commands[verb].callback), re.MULTILINE)
    return shlex.split(line)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_holds_a_worked_example(bodytruth, verb):
    said = bodytruth(verb, "--help")
    (line,) = re.findall(r"^ *Example: (bodytruth .+)$", said.out, re.MULTILINE)
    assert said.code == 0 and said.err == ""
    assert shlex.split(line) == example_of(verb), "an example must stand on one line of 80 columns"


@pytest.mark.parametrize("verb", VERBS)
def test_worked_example_is_a_call_that_the_verb_takes(verb):
    program, called, *words = example_of(verb)
    assert (program, called) == ("bodytruth", verb)
    context = COMMAND.commands[verb].make_context(verb, words)
    assert context.params


def test_help_of_the_program_starts_with_examples_and_ends_with_exit_codes(bodytruth):
    text = bodytruth("--help").out
    calls = re.findall(r"^ +bodytruth (\w+)(.*)$", text, re.MULTILINE)
    assert len(calls) >= 3 and text.index("Examples:") < text.index("Options:")
    for verb, rest in calls:
        assert COMMAND.commands[verb].make_context(verb, shlex.split(rest)).params is not None
    codes = {error.exit_code for error in vars(errors).values() if hasattr(error, "exit_code")}
    for code in codes | {0, 130}:
        assert re.search(rf"(^|\s){code} \w", text), f"exit code {code} is not in the help"


def test_options_of_every_verb_are_these_and_no_others():
    places = {"--data-root", "--out"}
    expected = {
        "bench": {"--json"},
        "build": places | {"--workers"},
        "check": places | {"--json"},
        "clean": places,
        "demo": {"--out", "--workers"},
        "inspect": {"--sheet", "--json"},
        "plan": places | {"--json", "--rehash"},
        "report": places | {"--json"},
        "status": places | {"--json"},
        "verify": places | {"--json"},
        "why": places | {"--json"},
    }
    found = {
        verb: {name for item in command.params if item.param_type_name == "option" for name in item.opts}
        for verb, command in COMMAND.commands.items()
    }
    assert found == expected


# codes


@pytest.mark.parametrize(
    "words",
    [
        ["biuld"],
        ["plan"],
        ["plan", "manifests/demo.toml", "--jsn"],
        ["build", "manifests/demo.toml", "--workers", "0"],
        ["build", "manifests/demo.toml", "--workers", "many"],
        ["plan", "nowhere.toml"],
        ["why", "nowhere.toml", "ann"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_a_sentence(bodytruth, words):
    said = bodytruth(*words)
    assert said.code == 2 and said.out == "" and said.err
    assert "Traceback" not in said.err


def test_mistyped_verb_and_option_are_answered_with_the_right_ones(bodytruth):
    assert "'build'" in bodytruth("biuld").err
    assert "--json" in bodytruth("plan", "demo.toml", "--jsn").err


def test_unknown_key_of_a_manifest_is_a_sentence_with_the_nearest_one(bodytruth, spheres):
    spheres.write_text(spheres.read_text().replace("voxel_m", "voxl_m"))
    said = bodytruth("plan", spheres)
    assert said.code == 2 and "stages.fuse.voxl_m: unknown key. Did you mean 'voxel_m'?" in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(("asked", "hint"), [("anna", "Did you mean 'ann'?"), ("zzz", "It names ann, bob.")])
def test_unknown_capture_is_answered_with_those_there_are(bodytruth, spheres, asked, hint):
    said = bodytruth("why", spheres, asked)
    assert said.code == 2 and hint in said.err and repr(asked) in said.err


@pytest.mark.parametrize(
    "error",
    [
        errors.ManifestError("m"),
        errors.InputError("depth-missing", "m"),
        errors.GateError("poses-inverted", "m", value=1.0, unit="m", limit=0.5),
        errors.StageError("m"),
        errors.DamagedError("m"),
        errors.LockHeldError("m"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_kind_of_failure_is_its_sentence_and_its_code(bodytruth, spheres, monkeypatch, error):
    monkeypatch.setattr(planning, "plan", lambda path: (_ for _ in ()).throw(error))
    assert bodytruth("plan", spheres) == Said(error.exit_code, "", "m\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_ends_with_130_and_says_what_stays(number):
    code = "import os; from tasks import cli; cli.app = lambda **_: os.kill(os.getpid(), {0}); cli.main()"
    ended = subprocess.run(
        [sys.executable, "-c", code.format(int(number))],
        capture_output=True,
        text=True,
        cwd=Path(cli.__file__).parents[1],
    )
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr == "interrupted; what is sealed stays, the rest is swept by the next build\n"


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


@pytest.fixture
def colourful(monkeypatch):
    """An environment that asks for colours, as some build servers set it."""
    for name, value in (("FORCE_COLOR", "1"), ("CLICOLOR_FORCE", "1"), ("TERM", "xterm-256color")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "40")


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
    assert bodytruth("check", sealed).out == "every input is readable\n"
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


# progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when told."""
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def tasks_of_ann(spheres, own_places):
    return {task.NAME: task for task in all_tasks(str(spheres)) if getattr(task, "capture", "ann") == "ann"}


def test_long_work_gives_a_line_each_ten_seconds(capsys, clock, colourful, tasks_of_ann):
    with console.BuildProgress() as progress:
        progress.planned(2)
        for done in range(1, 41):
            progress.working(tasks_of_ann["fuse"], done, 40)
            clock[0] += 1.0  # one sample a second
        progress.finished(tasks_of_ann["fuse"], 40.0, "sealed")
        progress.finished(tasks_of_ann["shards"], 1.25, "quarantined: no-frames")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "fuse ann: 11 of 40 samples, 1.0/s, 29 s left",
        "fuse ann: 21 of 40 samples, 1.0/s, 19 s left",
        "fuse ann: 31 of 40 samples, 1.0/s, 9 s left",
        "[1/2] fuse ann: sealed, 40.0 s",
        "[2/2] shards: quarantined: no-frames, 1.2 s",
    ]


def test_short_work_gives_its_last_line_alone(capsys, clock, tasks_of_ann):
    with console.BuildProgress() as progress:
        progress.planned(1)
        for done in range(1, 9):
            clock[0] += 1.0
            progress.working(tasks_of_ann["fuse"], done, 8)
        progress.finished(tasks_of_ann["fuse"], 8.0, "sealed")
    assert capsys.readouterr().err == "[1/1] fuse ann: sealed, 8.0 s\n"


def test_each_stage_is_timed_from_its_own_start(capsys, clock, tasks_of_ann):
    with console.BuildProgress() as progress:
        progress.planned(2)
        progress.working(tasks_of_ann["fuse"], 1, 4)
        clock[0] += 9.0
        progress.working(tasks_of_ann["render"], 1, 4)
        clock[0] += 9.0
        progress.working(tasks_of_ann["render"], 2, 4)
        clock[0] += 1.0
        progress.working(tasks_of_ann["render"], 3, 4)
    assert capsys.readouterr().err == "render ann: 3 of 4 samples, 0.2/s, 5 s left\n"


def test_failed_stage_does_not_count_as_done(capsys, clock, tasks_of_ann):
    with console.BuildProgress() as progress:
        progress.planned(3)
        progress.finished(tasks_of_ann["fuse"], 0.0, "failed")
        progress.finished(tasks_of_ann["render"], 2.0, "sealed")
    assert capsys.readouterr().err.splitlines() == [
        "[0/3] fuse ann: failed, 0.0 s",
        "[1/3] render ann: sealed, 2.0 s",
    ]


def test_terminal_shows_a_bar_and_still_a_line_for_each_finished_stage(capsys, monkeypatch, tasks_of_ann):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with console.BuildProgress() as progress:
        progress.planned(1)
        progress.working(tasks_of_ann["fuse"], 1, 2)
        progress.working(tasks_of_ann["render"], 1, 2)
        progress.finished(tasks_of_ann["render"], 1.0, "sealed")
    said = capsys.readouterr().err
    assert "[1/1] render ann: sealed, 1.0 s" in said and "1/2" in said
