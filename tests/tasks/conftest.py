"""What tests of tasks share: places of their own, and outputs that are sealed without being computed."""

import os
from collections.abc import Callable

import pytest

from pipeline.manifest import DATA_ROOT_VARIABLE, OUT_VARIABLE
from pipeline.sealing import begin, seal
from tasks.context import forget
from tasks.stage import SealedTask


@pytest.fixture
def own_places(monkeypatch):
    """Places come from the manifest alone, and what a verb sets in the environment goes with the test."""
    for name in (DATA_ROOT_VARIABLE, OUT_VARIABLE, "BODYTRUTH_WORKERS"):
        monkeypatch.setenv(name, "recorded, so that it is put back")
        monkeypatch.delenv(name)
    forget()
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
