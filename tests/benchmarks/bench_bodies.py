"""The body model, and what the simulator makes of it. Run as a script for a table.

No peer is timed: the one that reads SMPL files is not free to use, the one that made the default body is no
dependency. Each figure is the best of several rounds, as a machine that does other things too allows.
"""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bodies.model import default_body
from pipeline.seeds import stream
from pipeline.simulation.casting import Script, draw_take
from pipeline.simulation.filming import film_take, vertex_rgb
from pipeline.simulation.kinect_writer import write_kinect2_capture
from pipeline.simulation.label_view import bare_figure, label_view
from pipeline.simulation.sample_views import ANY_VIEWS, draw_camera, draw_crop
from pipeline.simulation.samples import SAMPLES_PER_WARDROBE, draw_sample

Row = dict[str, Any]

POSES = 32
SIZE_PX = 256
FRAMES = 60
SEED = 1


def rows(*, rounds: int = 20) -> list[Row]:
    """All rows of the benchmark `bodies`, in ms and s."""
    return [*_body_rows(rounds), _label_row(rounds), _sample_row(), _capture_row()]


def _body_rows(rounds: int) -> list[Row]:
    import torch

    body = default_body()
    rng = np.random.default_rng(0)
    shapes = ((POSES, 24, 3), (POSES, 10), (POSES, 3))
    arrays = [rng.normal(0, 0.3, shape).astype(np.float32) for shape in shapes]
    tensors = [torch.from_numpy(array) for array in arrays]
    name = f"forward of {POSES} poses, {len(body.arrays.template_m)} vertices"
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    ours = {
        "numpy": 1e3 * _best_s(lambda: body.posed(*arrays), rounds),
        "torch": 1e3 * _best_s(lambda: body.posed(*tensors), rounds),
    }
    torch.set_num_threads(threads)
    used = {"numpy": "1 thread", "torch": "2 threads"}
    return [_row(f"{name}, {kind}, {used[kind]}", value, "ms", 15.0) for kind, value in ours.items()]


def _label_row(rounds: int) -> Row:
    """From a pose to depth, mask, three label images, chart coordinates and joints of a body without clothes."""
    rng = stream(SEED, "bench", "labels")
    body = default_body()
    pose_rad, betas, place_m = rng.normal(0, 0.3, (24, 3)), rng.normal(0, 1, 10), np.array([0.0, 0.9, 0.0])
    vertices_m = bare_figure(body, pose_rad, betas, place_m).vertices_m
    world_from_cam = draw_camera(rng, vertices_m, ANY_VIEWS)
    K = draw_crop(rng, vertices_m, world_from_cam, SIZE_PX)

    def sample() -> None:
        label_view(bare_figure(body, pose_rad, betas, place_m), K, world_from_cam, size_px=SIZE_PX)

    name = f"labels and depth of one {SIZE_PX}x{SIZE_PX} sample, 1 thread"
    return _row(name, 1e3 * _best_s(sample, rounds), "ms", 15.0)


def _sample_row() -> Row:
    """All samples of a wardrobe, its making included, shared out among them."""
    import cv2
    import numba

    draw_sample(SEED, 0, size_px=SIZE_PX)  # compiles and warms
    threads = cv2.getNumThreads(), numba.get_num_threads()
    cv2.setNumThreads(1)
    numba.set_num_threads(1)
    per_sample_s = [_wardrobe_s(wardrobe) / SAMPLES_PER_WARDROBE for wardrobe in range(1, 4)]
    cv2.setNumThreads(threads[0])
    numba.set_num_threads(threads[1])
    name = f"dressed coloured {SIZE_PX}x{SIZE_PX} sample, 1 thread"
    return _row(name, 1e3 * min(per_sample_s), "ms", 150.0)


def _wardrobe_s(wardrobe: int) -> float:
    begin_s = time.perf_counter()
    for row in range(SAMPLES_PER_WARDROBE):
        draw_sample(SEED, wardrobe * SAMPLES_PER_WARDROBE + row, size_px=SIZE_PX)
    return time.perf_counter() - begin_s


def _capture_row() -> Row:
    """From the words of a manifest to a folder of raw files with the truth beside them; 2 threads."""
    script = Script(
        capture="bench", subject="bench", outfit=None, pose="standing", motion=None, camera="orbit",
        cameras=1, count=FRAMES, distance_m=2.2,
    )  # fmt: skip

    def capture() -> None:
        with tempfile.TemporaryDirectory() as folder:
            take = draw_take(SEED, script)
            write_kinect2_capture(
                Path(folder) / "capture",
                film_take(take, partial(_draw, script.capture), threads=2),
                take.calibration,
                faces=take.wardrobe.faces,
                vertex_rgb=vertex_rgb(take.wardrobe),
            )

    name = f"static capture of {FRAMES} frames, colour and depth"
    return _row(name, _best_s(capture, 1), "s", 90.0)


def _draw(capture: str, purpose: str, frame: int | None) -> np.random.Generator:
    return stream(SEED, purpose, capture, frame)


def _best_s(call: Callable[[], Any], rounds: int) -> float:
    """Least time of a call; where there are several rounds, after one that compiles and warms."""
    if rounds > 1:
        call()
    seconds = []
    for _ in range(rounds):
        begin_s = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin_s)
    return min(seconds)


def _row(name: str, value: float, unit: str, most: float) -> Row:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": None,
        "peer_value": None,
        "ratio": None,
        "target": f"<= {most:g} {unit}",
        "holds": value <= most,
    }


def table(found: list[Row]) -> str:
    """The rows as aligned text."""
    return "\n".join(
        f"{row['name']:60} {row['value']:10.4g} {row['unit']:3} {row['target']} {row['holds']}"
        for row in found
    )


if __name__ == "__main__":
    import sys

    sys.stdout.write(table(rows()) + "\n")
