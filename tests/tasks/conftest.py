"""What tests of tasks share: places of their own, and datasets that are sealed without being computed."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.manifest import DATA_ROOT_VARIABLE, OUT_VARIABLE
from pipeline.sealing import begin, seal
from tasks import cli
from tasks.context import forget
from tasks.graph import Dataset, all_tasks
from tasks.stage import SealedTask


def forget_places(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (DATA_ROOT_VARIABLE, OUT_VARIABLE, "BODYTRUTH_WORKERS"):
        monkeypatch.setenv(name, "recorded, so that it is put back")
        monkeypatch.delenv(name)
    forget()


@pytest.fixture
def own_places(monkeypatch) -> Iterator[None]:
    """Places come from the manifest alone, and what a verb sets in the environment goes with the test."""
    forget_places(monkeypatch)
    yield
    forget()


def seal_stand_in(task: SealedTask, **record: object) -> None:
    """Seal an output of 1000 bytes at a task's place, as if three frames had taken six seconds."""
    part = begin(task.place())
    (part / "data.bin").write_bytes(os.urandom(1000))
    facts = {
        "samples": 3,
        "stats": {},
        "quarantine": [],
        "rejected": None,
        "run": {"seconds": 6.0, "peak_rss_mb": 700.0},
    }
    seal(part, task.place(), {**task.header(), **facts, **record})


@pytest.fixture
def stand_in(own_places) -> Callable[..., None]:
    return seal_stand_in


def publish_stand_ins(manifest: Path) -> None:
    """Seal every output of a manifest and publish the dataset."""
    for task in all_tasks(str(manifest)):
        seal_stand_in(task)
    Dataset(manifest=str(manifest)).run()


@pytest.fixture
def spheres(forge, tmp_path, own_places) -> Path:
    """A manifest of two sphere captures of two frames, nothing built."""
    for capture in ("ann", "bob"):
        forge.capture(tmp_path / "raw" / capture, count=2)
    return forge.manifest(tmp_path, {"ann": "train", "bob": "test"})


@pytest.fixture(scope="session")
def published_spheres(forge, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    for capture in ("ann", "bob"):
        forge.capture(folder / "raw" / capture, count=2)
    manifest = forge.manifest(folder, {"ann": "train", "bob": "test"})
    with pytest.MonkeyPatch.context() as monkeypatch:
        forget_places(monkeypatch)
        publish_stand_ins(manifest)
    return folder


@pytest.fixture
def sealed(published_spheres, tmp_path, own_places) -> Path:
    """The manifest of such spheres, all outputs sealed and published, none computed; a test's own to change."""
    shutil.copytree(published_spheres, tmp_path / "sealed", symlinks=True)  # times are kept
    return tmp_path / "sealed" / "spheres.toml"


@pytest.fixture
def simulated(tmp_path, own_places) -> Path:
    """The same of two simulated captures."""
    path = tmp_path / "people.toml"
    captures = "".join(
        f'[[capture]]\nid = "{name}"\nsubject = "{subject}"\nformat = "simulated"\ncount = 9\nsplit = "train"\n'
        for name, subject in (("one", "eva"), ("two", "flo"))
    )
    path.write_text('[dataset]\nname = "people"\nseed = 3\noutput = "out"\n' + captures)
    publish_stand_ins(path)
    return path


@dataclass(frozen=True)
class Said:
    """What one run of the command line said."""

    code: int
    out: str
    err: str


@pytest.fixture
def bodytruth(capsys, monkeypatch, own_places) -> Iterator[Callable[..., Said]]:
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
def colourful(monkeypatch) -> None:
    """An environment that asks for colours, as some build servers set it."""
    for name, value in (("FORCE_COLOR", "1"), ("CLICOLOR_FORCE", "1"), ("TERM", "xterm-256color")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "40")
