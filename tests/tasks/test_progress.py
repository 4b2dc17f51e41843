"""What a build shows while it works."""

import sys

import pytest

from tasks import console
from tasks.graph import all_tasks


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
