"""The process that schedules a build stays small and clean; heavy libraries live in the stage process alone."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("bpy", "cv2", "matplotlib", "numba", "open3d", "scipy.spatial", "torch", "trimesh")

# VmHWM is this program's own peak; getrusage would give that of the test run that started it.
SCHEDULER = f"""
import json, re, sys
from tasks import cli, stage_process

pids = []
start = stage_process._Worker.__init__
def watched(self):
    start(self)
    pids.append(self.process.pid)
stage_process._Worker.__init__ = watched

sys.argv = ["bodytruth", *sys.argv[1:]]
try:
    cli.main()
    code = 0
except SystemExit as end:
    code = end.code or 0
status = open("/proc/self/status").read()
facts = {{
    "code": code,
    "peak_mb": int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024,
    "heavy": [name for name in {HEAVY!r} if name in sys.modules],
    "stage_processes": len(pids),
}}
print("FACTS " + json.dumps(facts))
"""


@dataclass(frozen=True)
class Scheduled:
    code: int
    peak_mb: float
    heavy: list[str]
    stage_processes: int


def schedule(*words: object) -> Scheduled:
    """Run a verb in a fresh interpreter and return what its process was like at the end."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BODYTRUTH_")}
    ended = subprocess.run(
        [sys.executable, "-c", SCHEDULER, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    assert ended.returncode == 0, ended.stderr
    return Scheduled(**json.loads(ended.stdout.rpartition("FACTS ")[2]))


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def built(forge, tmp_path_factory) -> tuple[Path, Scheduled]:
    folder = tmp_path_factory.mktemp("scheduled")
    forge.capture(folder / "raw" / "ann", count=2)
    manifest = forge.manifest(folder, {"ann": "train"})
    return manifest, schedule("build", manifest)


def test_scheduler_of_a_build_loads_nothing_heavy(built):
    manifest, scheduled = built
    assert scheduled.code == 0
    assert (manifest.parent / "out" / "spheres" / "report" / "index.html").is_file()
    assert scheduled.heavy == []


def test_scheduler_of_a_build_stays_below_300_mb(built):
    manifest, scheduled = built
    assert scheduled.peak_mb < 300
    # The stages did run, elsewhere, and were larger.
    records = [json.loads(path.read_text()) for path in manifest.parent.glob("out/**/stage.json")]
    assert max(record["run"]["peak_rss_mb"] for record in records) > scheduled.peak_mb


def test_one_stage_process_serves_a_whole_small_build(built):
    assert built[1].stage_processes == 1


def test_second_build_starts_no_stage_process(built):
    again = schedule("build", built[0])
    assert (again.code, again.stage_processes, again.heavy) == (0, 0, [])
    assert again.peak_mb < 300


@pytest.mark.parametrize(
    "verb", ["plan", *(pytest.param(v, marks=pytest.mark.slow) for v in ("status", "verify"))]
)
def test_reading_verbs_are_as_clean(built, verb):
    read = schedule(verb, built[0])
    assert (read.code, read.stage_processes, read.heavy) == (0, 0, [])
    assert read.peak_mb < 300
