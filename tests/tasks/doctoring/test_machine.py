"""Too little room, memory, processor time and files, and another Python."""

import json
import os
import resource
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.doctoring import control_groups, machine

ROOT = Path(__file__).resolve().parents[3]


def test_output_place_that_is_a_file_is_broken(tmp_path):
    (tmp_path / "taken").write_text("a file stands here")
    row = machine.out_row(tmp_path / "taken" / "out")
    assert row.state == "broken" and str(tmp_path / "taken") in row.finding
    assert machine.out_row(tmp_path / "new" / "out").state == "ok" and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("check", "needed_gb"),
    [
        (lambda folder: machine.out_row(folder / "out"), machine.NEEDED_OUT_GB),
        (lambda folder: machine.temporary_row(), machine.NEEDED_TEMPORARY_GB),
        (lambda folder: machine.shared_memory_row(folder), machine.NEEDED_SHARED_GB),
    ],
    ids=["output", "temporary", "shared memory"],
)
def test_disk_with_less_room_than_needed_is_missing(tmp_path, monkeypatch, check, needed_gb):
    for share, state in ((1.01, "ok"), (0.99, "missing")):
        usage = SimpleNamespace(free=share * needed_gb * 1e9)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, usage=usage: usage)
        row = check(tmp_path)
        assert row.state == state and row.figures[1] == ("needed", needed_gb, "GB")
        assert row.fails == (state == "missing" and row.check != "shared memory")  # training can do without
        assert bool(row.next) == (state == "missing")


@pytest.fixture
def limited() -> Iterator[Callable[[int, int], None]]:
    """Lower one of this process's limits for the length of a test."""
    before: dict[int, tuple[int, int]] = {}

    def lower(which: int, soft: int) -> None:
        before[which] = resource.getrlimit(which)
        resource.setrlimit(which, (soft, before[which][1]))

    yield lower
    for which, limits in before.items():
        resource.setrlimit(which, limits)


def test_temporary_folder_that_takes_no_file_is_broken(limited):
    limited(resource.RLIMIT_FSIZE, machine.TRIAL_BYTES // 2)
    row = machine.temporary_row()
    assert row.state == "broken" and "File too large" in row.finding and "TMPDIR" in row.next


def test_too_few_open_files_are_missing_with_the_command_that_raises_them(limited):
    limited(resource.RLIMIT_NOFILE, machine.NEEDED_FILES)
    assert machine.open_files_row().state == "ok"
    limited(resource.RLIMIT_NOFILE, machine.NEEDED_FILES - 1)
    row = machine.open_files_row()
    assert row.state == "missing" and "511 a process (needs 512)" in row.finding
    assert row.next.startswith("ulimit -n 512") or "administrator" in row.next


def test_needs_hold_the_demo():
    costs = json.loads((ROOT / "tasks" / "stage_costs.json").read_text())
    demo = tomllib.loads((ROOT / "manifests" / "demo.toml").read_text())
    frames = sum(capture["count"] for capture in demo["capture"])
    of_others = {"drape", "portray", "scan"}
    stages_gb = (
        frames * sum(row["mb_per_frame"] for name, row in costs.items() if name not in of_others) / 1e3
    )
    assert 1.5 * stages_gb < machine.NEEDED_OUT_GB < 5 * stages_gb
    assert max(row["peak_rss_mb"] for row in costs.values()) / 1e3 + 0.5 < machine.NEEDED_MEMORY_GB


@pytest.mark.parametrize(
    ("files", "memory_bytes", "cores"),
    [
        ({"proc/self/cgroup": "0::/a/b\n"}, None, None),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/cpu.max": "150000 100000",  # the outer groups may be the tighter ones
                "sys/fs/cgroup/a/cpu.max": "300000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000",
                "sys/fs/cgroup/a/b/memory.max": "5000",
                "sys/fs/cgroup/a/b/memory.current": "3000",
                "sys/fs/cgroup/a/b/memory.stat": "anon 2000\ninactive_file 700\n",
                "sys/fs/cgroup/a/memory.max": "6000",
                "sys/fs/cgroup/a/memory.current": "4000",
                "sys/fs/cgroup/memory.max": "max",
                "sys/fs/cgroup/memory.current": "9000",
            },
            2000,
            1.5,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/job\n2:cpu,cpuacct:/job\n0::/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "1",
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "900",
                "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "1000",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            0,
            0.5,
        ),
    ],
    ids=["unbound", "version 2", "version 1"],
)
def test_limits_of_containers_are_the_tightest_of_all_groups(tmp_path, files, memory_bytes, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert control_groups.memory_left_bytes(tmp_path) == memory_bytes
    assert control_groups.cores_allowed(tmp_path) == cores


def test_little_memory_and_few_cores_are_said(monkeypatch):
    monkeypatch.setattr(machine, "memory_left_bytes", lambda: 1_000_000_000)
    row = machine.memory_row()
    assert row.state == "missing" and "1.0 GB available within this container's limit" in row.finding
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(machine, "cores_allowed", lambda: 1.5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)))
    row = machine.processor_row()
    assert row.state == "ok" and row.finding.startswith("2 of 64 cores") and "--workers 2" in row.next


def test_another_python_is_broken(monkeypatch):
    monkeypatch.setattr(machine.platform, "python_version", lambda: "3.12.1")
    row = machine.python_row()
    assert row.state == "broken" and "must be ==3.11.*, is 3.12.1" in row.finding and row.next
