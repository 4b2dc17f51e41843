"""Help, wrong usage and exit codes of the command line."""

import inspect
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from pipeline import errors
from tasks import cli, planning

COMMAND: Any = typer.main.get_command(cli.app)
VERBS = sorted(COMMAND.commands)


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
        "bench": {"--json", "--peer"},
        "build": places | {"--workers"},
        "check": places | {"--json"},
        "clean": places,
        "convert-body": {"-o", "--out"},
        "convert-charts": {"-o", "--out"},
        "demo": {"--out", "--workers"},
        "doctor": {"--out", "--json"},
        "evaluate": {"--out", "--split", "--device"},
        "export": {"-o", "--out", "--format", "--filter"},
        "inspect": {"--sheet", "--json"},
        "plan": places | {"--json", "--rehash"},
        "predict": {"--box", "-o", "--out", "--device"},
        "report": places | {"--json"},
        "status": places | {"--json"},
        "train": {"--out"},
        "verify": places | {"--json"},
        "why": places | {"--json"},
    }
    found = {
        verb: {name for item in command.params if item.param_type_name == "option" for name in item.opts}
        for verb, command in COMMAND.commands.items()
    }
    assert found == expected


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
    said = bodytruth("plan", spheres)
    assert (said.code, said.out, said.err) == (error.exit_code, "", "m\n")


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
