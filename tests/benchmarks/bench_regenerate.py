"""Masks, layers, normals, voxels and shards of 256x256 frames, made again by `bodytruth build` with two workers.

What a changed setting leaves alone lies there sealed: ingested frames of 512x424 with colour, bodies, and what
simulated captures are scored by. The build then runs its own graph over captures of up to 1,000 frames: each stage
reads, works, writes, checks and seals as ever. Beside each stage's time stands the time of all cores, which other
work on the machine does not touch. 20,000 frames have 300 s on 2 cores: 15 ms a frame, 30 ms of core time.

The frames are made up, of the size of real ones: a few bodies before a wall, noise on both. The captures share one
file of ingested frames by hard links, so that it is read from memory and no disk is measured but by what is written,
some 0.9 MB a frame. `python tests/benchmarks/bench_regenerate.py 20000` goes through that many, with 19 GB of room.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bodies.model import default_body
from pipeline.bodies.pose_sampler import draw_poses
from pipeline.bodies.proportions import proportions_of
from pipeline.cameras import crop_intrinsics, invert_rigid, transform
from pipeline.foreground import crop_box
from pipeline.sealing import begin, seal
from pipeline.simulation.label_view import bare_figure, label_view
from pipeline.store import FrameWriter
from pipeline.zbuffer import visible_faces
from tasks.context import forget
from tasks.graph import all_tasks
from tasks.inputs import FRAMES_FILE
from tasks.stage import CaptureStage
from tasks.stage_process import host_facts

Row = dict[str, Any]
Sample = dict[str, Any]

FRAMES, CAPTURE_FRAMES, DISTINCT, SIZE_PX = 400, 1000, 8, 256
WANTED_FRAMES, LIMIT_S, WORKERS = 20_000, 300.0, 2
TIMED = ("foreground", "adopt", "layers", "normals", "voxels", "shards")
HEIGHT, WIDTH = 424, 512
SENSOR_K = np.array([[365.4, 0, 255.5], [0, 365.4, 211.5], [0, 0, 1]])
WORLD_FROM_CAM = np.diag([1.0, -1.0, -1.0, 1.0])
AWAY_M, WALL_M, NOISE_M = 2.6, 3.4, 0.002
CAPTURE = """
[[capture]]
id = "{id}"
format = "simulated"
role = "moving"
count = {count}
foreground = "given"
targets = ["body", "voxels"]
split = "train"
[capture.simulation]
motion = "walk"
"""


def rows(*, frames: int = FRAMES) -> list[Row]:
    """All rows: each stage by the clock, the whole build, and 20,000 frames; a build's start counts once."""
    _, short_core_s, _ = _regenerate(DISTINCT)
    wall_s, core_s, seconds = _regenerate(frames)
    found = [_row(f"{name}, by the clock", 1e3 * seconds[name] / frames, "ms/frame") for name in TIMED]
    found.append(_row(f"build of {frames} frames", wall_s, "s"))
    found.append(_row(f"build of {frames} frames, time of all cores", core_s, "s"))
    more = WANTED_FRAMES - frames
    whole_s = wall_s + more * sum(seconds.values()) / frames
    whole_core_s = core_s + more * (core_s - short_core_s) / (frames - DISTINCT)
    how = "" if frames == WANTED_FRAMES else " at this rate"
    found.append(_row(f"{WANTED_FRAMES} frames{how}, by the clock", whole_s, "s", LIMIT_S))
    found.append(
        _row(
            f"{WANTED_FRAMES} frames{how}, core time by {WORKERS} cores", whole_core_s / WORKERS, "s", LIMIT_S
        )
    )
    return found


def _regenerate(frames: int) -> tuple[float, float, dict[str, float]]:
    """Seconds of one build by the clock and of all cores, and of each stage."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = _manifest(Path(folder), frames)
        _seal_what_stays(manifest)
        return *_build(manifest), _stage_seconds(manifest)


def _row(name: str, value: float, unit: str, most: float | None = None) -> Row:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": "",
        "peer_value": None,
        "ratio": None,
        "target": "-" if most is None else f"<= {most:g} {unit}",
        "holds": None if most is None else value <= most,
    }


def _manifest(folder: Path, frames: int) -> Path:
    head = f'[dataset]\nname = "again"\nseed = 7\nimage_size_px = {SIZE_PX}\noutput = "out"\n'
    counts = [min(CAPTURE_FRAMES, frames - first) for first in range(0, frames, CAPTURE_FRAMES)]
    captures = [CAPTURE.format(id=f"c{number:02d}", count=count) for number, count in enumerate(counts)]
    path = folder / "again.toml"
    path.write_text(head + "".join(captures))
    return path


def _seal_what_stays(manifest: Path) -> None:
    """Seal every stage that is not timed; captures of one length share their files."""
    forget()
    makers = {"ingest": _ingested, "body": _body, "truth": _truth}
    written: dict[tuple[str, int], Path] = {}
    people = [_person(number) for number in range(DISTINCT)]
    for task in all_tasks(str(manifest)):
        if not isinstance(task, CaptureStage) or task.NAME in TIMED:
            continue
        count = int(task.table().count or 0)
        part = begin(task.place())
        if task.NAME in makers:
            kind = (task.NAME, count)
            if kind in written:
                os.link(written[kind], part / FRAMES_FILE)
            else:
                _write(part / FRAMES_FILE, people, count, makers[task.NAME])
            written[kind] = task.place() / FRAMES_FILE
        record = {"samples": count, "stats": {}, "quarantine": [], "rejected": None}
        seal(part, task.place(), {**task.header(), **record, "run": {"seconds": 0.0, **host_facts()}})


def _write(path: Path, people: list[Sample], count: int, make: Callable[[Sample], Sample]) -> None:
    made = [make(person) for person in people]
    with FrameWriter(path, {}) as writer:
        for frame in range(count):
            writer.append({"frame": np.int32(frame), **made[frame % len(made)]})


def _person(number: int) -> Sample:
    """One body of the pose sampler's before a wall, as the sensor sees it."""
    rng, body = np.random.default_rng(number), default_body()
    betas = np.zeros(body.betas)
    pose_rad = draw_poses(rng, 1, proportions_of(body, betas)).pose_rad[0]
    parameters = (pose_rad, betas, np.array([0.0, 0.0, -AWAY_M]) - body.arrays.joints_m[0])
    figure = bare_figure(body, *parameters)
    points = transform(invert_rigid(WORLD_FROM_CAM), figure.vertices_m)
    depth_m = visible_faces(points, figure.faces, SENSOR_K, height=HEIGHT, width=WIDTH)[2]
    mask = depth_m > 0
    noise_m = NOISE_M * rng.standard_normal(depth_m.shape)
    ramp = np.linspace(60, 190, WIDTH)[None, :, None] + 3 * rng.standard_normal((HEIGHT, WIDTH, 3))
    return {
        "figure": figure,
        "parameters": parameters,
        "mask": mask,
        "depth_m": (np.where(mask, depth_m, WALL_M) + noise_m).astype(np.float32),
        "image": np.clip(np.where(mask[..., None], 210 - ramp, ramp), 0, 255).astype(np.uint8),
    }


def _ingested(person: Sample) -> Sample:
    return {
        "timestamp_s": np.float64(0.0),
        "sensor_depth_m": person["depth_m"],
        "sensor_K": SENSOR_K,
        "world_from_cam": WORLD_FROM_CAM,
        "sensor_image": person["image"],
        "sensor_mask_given": person["mask"],
    }


def _body(person: Sample) -> Sample:
    K = crop_intrinsics(SENSOR_K, crop_box(person["mask"], "given"), SIZE_PX)
    _, labels = label_view(person["figure"], K, WORLD_FROM_CAM, size_px=SIZE_PX)
    del labels["mask"]
    labels["body_depth_m"] = labels.pop("depth_m")
    pose_rad, betas, transl_m = person["parameters"]
    return {"body_pose_rad": pose_rad, "body_betas": betas, "body_transl_m": transl_m, **labels}


def _truth(_: Sample) -> Sample:
    return {"truth_depth_error_m": np.float32(0), "truth_normal_error_rad": np.float32(0)}


def _build(manifest: Path) -> tuple[float, float]:
    """Seconds of a build by the clock and of all cores, its start included."""
    command = [sys.executable, "-m", "tasks", "build", str(manifest), "--workers", str(WORKERS)]
    start, before = time.perf_counter(), os.times()
    ended = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    wall_s, after = time.perf_counter() - start, os.times()
    if ended.returncode != 0:
        raise RuntimeError(f"the build must end with 0, ended with {ended.returncode}: {ended.stderr}")
    children = after.children_user + after.children_system - before.children_user - before.children_system
    return wall_s, children


def _stage_seconds(manifest: Path) -> dict[str, float]:
    seconds = dict.fromkeys(TIMED, 0.0)
    for task in all_tasks(str(manifest)):
        if task.NAME in seconds:
            seconds[task.NAME] += json.loads((task.place() / "stage.json").read_text())["run"]["seconds"]
    return seconds


if __name__ == "__main__":
    for row in rows(frames=int(sys.argv[1]) if len(sys.argv) > 1 else FRAMES):
        sys.stdout.write(
            f"{row['name']:50} {row['value']:9.4g} {row['unit']:8} {row['target']} {row['holds']}\n"
        )
