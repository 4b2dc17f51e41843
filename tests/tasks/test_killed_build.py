"""A build that is killed at any moment and run again ends in the same data, and leaves no process behind."""

import hashlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest

MARK = "BODYTRUTH_TEST_MARK"
CAPTURES = {"ann": "train", "bob": "test"}


def data_bytes(out: Path) -> dict[str, str]:
    files = [path for path in out.rglob("*") if path.is_file() and not path.is_symlink()]
    kept = [path for path in files if path.name not in ("stage.json", "build.lock", "raw-hashes.sqlite")]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def start(manifest: Path, raw: Path, mark: str) -> subprocess.Popen:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BODYTRUTH_")}
    words = [sys.executable, "-m", "tasks", "build", str(manifest), "--data-root", str(raw)]
    return subprocess.Popen(
        words, env={**environment, MARK: mark}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def marked_processes(mark: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.fixture(scope="module")
def undisturbed(forge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    for capture in CAPTURES:
        forge.capture(folder / "raw" / capture)
    manifest = forge.manifest(folder, CAPTURES)
    started = time.monotonic()
    assert start(manifest, folder / "raw", "undisturbed").wait() == 0
    return folder, manifest, time.monotonic() - started, data_bytes(folder / "out")


def after(seconds: float):
    """Wait for a moment in time."""
    return lambda place: time.sleep(seconds)


def inside_write(number: int):
    """Wait until a stage has begun to write for the number-th time, and a little more."""

    def wait(place: Path) -> None:
        seen: set[str] = set()
        deadline = time.monotonic() + 60
        while len(seen) < number and time.monotonic() < deadline:
            seen |= {path.name for path in place.glob("out/*/stages/*/*/*.part-*")}
            seen |= {path.name for path in place.glob("out/*/versions/**/*.part-*")}
            time.sleep(0.001)
        time.sleep(0.002 * (number % 4))

    return wait


def kill_and_finish(undisturbed, place, wait) -> bool:
    """Kill a fresh build at some moment, build again, compare; True if the kill came inside a write."""
    folder, manifest, _, expected = undisturbed
    place.mkdir()
    own = place / manifest.name
    own.write_text(manifest.read_text())
    mark = uuid.uuid4().hex
    build = start(own, folder / "raw", mark)
    wait(place)
    build.send_signal(signal.SIGKILL)
    build.wait()
    deadline = time.monotonic() + 10
    while marked_processes(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marked_processes(mark) == [], "a child outlived its killed parent"
    inside = any(place.glob("out/**/*.part-*"))
    assert start(own, folder / "raw", mark).wait() == 0
    assert data_bytes(place / "out") == expected
    assert not list(place.glob("out/**/*.part-*")), "leftovers of a dead process must be swept"
    return inside


@pytest.mark.timeout(120)
def test_build_killed_inside_a_write_ends_in_the_same_bytes(undisturbed, tmp_path):
    assert kill_and_finish(undisturbed, tmp_path / "killed", inside_write(6))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_build_killed_at_any_of_26_moments_ends_in_the_same_bytes(undisturbed, tmp_path):
    seconds = undisturbed[2]
    moments = [
        inside_write(number) for number in range(1, 15)
    ]  # every stage of both captures, shards, report
    moments += [after((moment + 0.5) / 12 * seconds) for moment in range(12)]
    inside = [kill_and_finish(undisturbed, tmp_path / f"{i}", wait) for i, wait in enumerate(moments)]
    assert sum(inside) > len(inside) / 2, f"most must lie inside a stage's write, {sum(inside)} do"
