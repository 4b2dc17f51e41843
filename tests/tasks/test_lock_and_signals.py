"""One build at a time, and builds that are interrupted or lose a process: told in one sentence, then finished."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from pipeline.sealing import PART_MARK
from pipeline.shards import read_index

ROOT = Path(__file__).resolve().parents[2]
MARK = "BODYTRUTH_TEST_MARK"
PATIENCE_S = 60.0
Found = TypeVar("Found")


class Build:
    """A build that runs beside the test, with a mark by which all of its processes are found."""

    def __init__(self, manifest: Path) -> None:
        self.mark = uuid.uuid4().hex
        environment = {key: value for key, value in os.environ.items() if not key.startswith("BODYTRUTH_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tasks", "build", str(manifest)],
            env={**environment, MARK: self.mark},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def processes(self) -> list[psutil.Process]:
        """All that still run, this one and what it started."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def stage_process(self) -> psutil.Process | None:
        """The process that works on stages, known by how multiprocessing starts it."""
        return next((found for found in self.processes() if "spawn_main" in " ".join(found.cmdline())), None)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err

    def kill(self) -> None:
        for process in self.processes():
            process.kill()
        self.process.communicate()


def wait_for(find: Callable[[], Found]) -> Found:
    """What `find` gives as soon as it gives anything."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := find()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found


@pytest.fixture
def manifest(forge, tmp_path) -> Path:
    forge.capture(tmp_path / "raw" / "ann")
    return forge.manifest(tmp_path, {"ann": "train"})


@pytest.fixture
def manifest_of_two(forge, tmp_path) -> Path:
    for capture in ("ann", "bob"):
        forge.capture(tmp_path / "raw" / capture, 2)
    return forge.manifest(tmp_path, {"ann": "train", "bob": "test"})


@pytest.fixture
def started() -> Iterator[Callable[[Path], Build]]:
    builds: list[Build] = []

    def start(manifest: Path) -> Build:
        builds.append(Build(manifest))
        return builds[-1]

    yield start
    for build in builds:
        build.kill()


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path with size and time."""
    stats = {str(path): path.lstat() for path in [folder, *folder.rglob("*")]}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def parts(manifest: Path, stage: str = "*") -> list[Path]:
    return list(manifest.parent.glob(f"out/spheres/stages/{stage}/*/*{PART_MARK}*"))


def test_second_build_is_refused_and_touches_nothing_until_the_first_is_killed(forge, manifest, started):
    build = started(manifest)
    wait_for(lambda: parts(manifest, "fuse"))
    for process in (psutil.Process(build.process.pid), wait_for(build.stage_process)):
        process.suspend()
    before = snapshot(manifest.parent)
    for verb in ("build", "clean"):
        ended = forge.run(verb, manifest)
        assert ended.code == 6 and ended.out == "" and len(ended.err.splitlines()) == 1, ended.err
        assert f"another build (process {build.process.pid}) works on it" in ended.err
        assert "Wait for it, or end it, and build again." in ended.err
    assert snapshot(manifest.parent) == before
    build.process.send_signal(signal.SIGKILL)
    build.process.wait()
    # The stage process is suspended too, and dies with its parent all the same.
    wait_for(lambda: not build.processes())
    ended = forge.run("clean", manifest)
    assert ended.code == 0 and parts(manifest) == [], "the lock is free, and what is half-done is swept"


def interrupt(build: Build, processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        process.send_signal(number)
    code, out, err = build.end()
    assert code == 130, err
    last = err.splitlines()[-1]
    assert last == "interrupted; what is sealed stays, the rest is swept by the next build"
    assert "Traceback" not in out + err
    wait_for(lambda: not build.processes())


@pytest.mark.slow
def test_interrupted_build_says_so_leaves_no_process_and_is_finished_by_the_next(forge, manifest, started):
    build = started(manifest)
    wait_for(lambda: parts(manifest, "render"))
    interrupt(build, build.processes(), signal.SIGINT)  # a terminal sends it to all of them
    assert not (manifest.parent / "out" / "spheres" / "dataset.json").exists()
    ended = forge.run("build", manifest)
    assert ended.code == 0 and "3 samples of 1 captures sealed" in ended.out, ended.out + ended.err
    assert "fuse ann" not in ended.err and parts(manifest) == []


def test_terminated_build_takes_its_children_with_it(manifest, started):
    build = started(manifest)
    wait_for(lambda: parts(manifest, "ingest"))
    interrupt(build, [psutil.Process(build.process.pid)], signal.SIGTERM)


@pytest.mark.slow
def test_killed_stage_process_costs_one_capture_and_the_others_go_on(manifest_of_two, started):
    manifest = manifest_of_two
    build = started(manifest)
    (part, *_) = wait_for(lambda: parts(manifest, "fuse"))
    hit = part.parent.name
    other = "bob" if hit == "ann" else "ann"
    wait_for(build.stage_process).kill()
    code, out, err = build.end()
    assert code == 4 and "Traceback" not in out + err, out + err
    (sentence,) = [line for line in out.splitlines() if line.startswith(f"fuse {hit}:")]
    assert "the stage process must live to the end, ended with signal SIGKILL" in sentence
    assert "ran out of memory: use a coarser stages.fuse.voxel_m or more memory." in sentence
    assert "of 1 captures sealed" in out and "1 tasks failed" in out
    assert f"normals {other}: sealed" in err
    assert list(manifest.parent.glob(f"out/spheres/stages/normals/{other}/*/stage.json"))
    assert not list(manifest.parent.glob(f"out/spheres/stages/fuse/{hit}/*/stage.json"))


BROKEN_MANIFESTS = {
    "unknown key": (("[dataset]", "[dataset]\nimage_size = 64"), "Did you mean 'image_size_px'?"),
    "unknown setting": (("voxel_m", "voxel"), "Did you mean 'voxel_m'?"),
    "subject in two splits": (
        ('format = "rgbd-folder"', 'subject = "eve"\nformat = "rgbd-folder"'),
        "a subject must stay in one split, 'eve' is in 'train' (capture ann) and 'test' (capture bob). Move",
    ),
    "no TOML": (("[dataset]", "[dataset"), "must be readable TOML"),
}


@pytest.mark.parametrize("what", BROKEN_MANIFESTS)
def test_mistake_in_the_manifest_is_told_before_anything_is_written(forge, manifest_of_two, what):
    manifest = manifest_of_two
    (before, after), sentence = BROKEN_MANIFESTS[what]
    manifest.write_text(manifest.read_text().replace(before, after))
    ended = forge.run("build", manifest)
    assert ended.code == 2 and ended.out == "" and str(manifest) in ended.err, ended.err
    assert sentence in ended.err and "Traceback" not in ended.err
    assert sorted(path.name for path in manifest.parent.iterdir()) == ["raw", "spheres.toml"]


@pytest.mark.slow
def test_missing_capture_beside_a_killed_stage_gives_the_graver_code(forge, manifest_of_two, started):
    manifest = manifest_of_two
    manifest.write_text(manifest.read_text().replace('path = "bob"', 'path = "bobby"'))
    build = started(manifest)
    wait_for(lambda: parts(manifest, "fuse"))
    wait_for(build.stage_process).kill()
    code, out, _ = build.end()
    assert code == 3 and "fuse ann:" in out and "capture-missing" in out
    assert not (manifest.parent / "out" / "spheres" / "dataset.json").exists()
    ended = forge.run("build", manifest)
    assert ended.code == 3
    assert read_index(manifest.parent / "out" / "spheres")["splits"]["train"]["samples"] == 2
