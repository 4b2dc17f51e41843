"""Which versions fit, and what becomes of a library that hangs, dies or is not needed."""

import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from tasks.doctoring import libraries, trying
from tasks.doctoring.requirements import Requirement, fits, parse_requirement, requirements

ROOT = Path(__file__).resolve().parents[3]


releases = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
clauses = st.one_of(
    st.tuples(st.sampled_from(["==", "!=", ">=", "<=", ">", "<"]), releases).map("".join),
    st.tuples(st.sampled_from(["==", "!="]), releases, st.just(".*")).map("".join),
    st.tuples(st.just("~="), st.integers(0, 3), st.just("."), releases).map(lambda t: "".join(map(str, t))),
)


@given(releases, st.lists(clauses, max_size=2).map(",".join), st.sampled_from(["", "+cpu"]))
def test_versions_fit_as_packaging_says(version, versions, local):
    assert fits(version + local, versions) == (version + local in SpecifierSet(versions))


def test_requirements_are_the_projects_own():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = requirements()
    required = [f"{r.name}{r.versions}" for r in found if r.extra is None]
    assert required == [line.replace(" ", "") for line in project["dependencies"]]
    extras = set(project["optional-dependencies"]) - {"dev"}
    assert {r.extra for r in found} == extras | {None}
    assert {r.name for r in found if r.extra} == set(libraries.PURPOSES) & {r.name for r in found}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("numpy<2,>=1.26", ("numpy", "<2,>=1.26", None)),
        ('tensorboard>=2.18; extra == "board"', ("tensorboard", ">=2.18", "board")),
        ("safetensors", ("safetensors", "", None)),
    ],
)
def test_requirement_lines_are_read_as_pip_writes_them(line, expected):
    found = parse_requirement(line)
    assert (found.name, found.versions, found.extra) == expected


def test_library_that_hangs_is_broken_after_the_limit(monkeypatch, tmp_path):
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(100)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(trying, "LIMIT_S", 1)
    started = time.monotonic()
    row = libraries.library_row(Requirement(name="endless", versions=">=1", extra=None))
    assert time.monotonic() - started < 15
    assert row.state == "broken" and "must end within 1 s, does not" in row.finding


def test_optional_library_is_optional_when_missing_and_not_required_when_broken(monkeypatch, tmp_path):
    (tmp_path / "shaky.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    gone = libraries.library_row(Requirement(name="gone-away", versions=">=1", extra="formats"))
    assert gone.state == "optional" and not gone.fails and gone.next.endswith("[formats]'")
    shaky = libraries.library_row(Requirement(name="shaky", versions=">=1", extra="formats"))
    assert shaky.state == "broken" and not shaky.fails and "ZeroDivisionError" in shaky.finding


@pytest.mark.parametrize(
    ("code", "stderr", "said"),
    [
        (-signal.SIGKILL, "", "no memory left"),
        (-signal.SIGILL, "x\ny\n", "died of SIGILL: y"),
        (3, "", "ended with exit code 3"),
    ],
)
def test_how_a_probe_died_is_said(code, stderr, said):
    with pytest.raises(trying.ProbeError, match=said):
        trying._answer(subprocess.CompletedProcess([], code, stdout="", stderr=stderr))
