"""Lit colour renders of painted meshes by Blender, with what each pixel sees read from a layer of one sample.

Colours are antialiased; depth, normals, faces and weights never are: each of their pixels is one ray through
its centre, so that no label is mixed at an edge. Importable without bpy.
"""

import itertools
import logging
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.color_space import srgb_from_linear
from renderers.backgrounds import paint_background
from renderers.blender import RECYCLE_FRACTION, proven_process
from renderers.looks import PATTERNS, Look
from renderers.scene_files import Scene, geometry_of, scene_of, take, write_scene
from renderers.views import View, Visibility, check_mesh, check_view
from renderers.worker_process import WorkerProcess

SHOTS_AHEAD = 2  # requests that wait in the worker, so that it renders while the caller makes the next shot
SHOULDER = 0.7  # of the display's white: what is brighter is compressed, not clipped
WHITE_SHARE = 0.75  # of the display's white that a lit white surface has at 0 EV
BEHIND = 0.15  # how much a lamp behind the subject counts, to an incident light meter, of one before it

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """A mesh, its paint, its camera and its look.

    Attributes:
        vertices: (V 3) float64, world frame, +Y up, metres.
        faces: (F 3) int32, counter-clockwise seen from outside.
        colors: linear RGB in [0, 1], of vertices (V 3) or of faces' corners (F 3 3).
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    colors: NDArray[Any]
    view: View
    look: Look


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorView:
    """One rendered shot.

    Attributes:
        rgb: (H W 3) uint8 sRGB, antialiased, with its background.
        normal: (H W 3) float32, unit, camera frame, facing the camera; 0 where nothing was hit.
        seen: of the mesh alone, one sample a pixel; face_index is a row of the shot's faces.
    """

    frame: int
    rgb: NDArray[np.uint8]
    normal: NDArray[np.float32]
    seen: Visibility


def render_color(
    shots: Iterable[Shot],
    *,
    height: int,
    width: int,
    threads: int,
    samples: int = 24,
    memory_limit_gb: float = 6.0,
    shots_per_process: int = 500,
    scratch_dir: Path | None = None,
) -> Iterator[ColorView]:
    """Yield each shot's render, in order; shots are taken from the iterable a few ahead, while Blender works.

    Call and consume in one thread: on Linux a child dies with the thread that started it.

    Args:
        threads: of Blender; no pixel depends on it.
        samples: of light per pixel; grain falls with their square root.
        memory_limit_gb, shots_per_process, scratch_dir: as for `renderers.blender.render_views`.

    Raises:
        ValueError: if a count, or on its turn a shot, is malformed.
        StageError: if Blender cannot start, follows another convention, needs too much memory or dies.
    """
    if min(height, width, threads, samples, shots_per_process) < 1:
        raise ValueError(
            "renderers.color: height, width, threads, samples and shots_per_process must be at least 1, "
            f"are {height}, {width}, {threads}, {samples}, {shots_per_process}"
        )
    asked = (_asked(number, shot, height, width, samples) for number, shot in enumerate(shots))
    return _render(asked, scratch_dir, threads, int(memory_limit_gb * 1e9), shots_per_process)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """A checked shot, as its scene, and the arrays of its look."""

    shot: Shot
    scene: Scene
    look: dict[str, NDArray[np.generic]]


def _asked(number: int, shot: Shot, height: int, width: int, samples: int) -> _Asked:
    check_mesh(shot.vertices, shot.faces, where="renderers.color")
    check_view(shot.view, where="renderers.color")
    if shot.colors.shape not in (shot.vertices.shape, (*shot.faces.shape, 3)):
        raise ValueError(
            f"renderers.color: frame {shot.view.frame}: colors must be {shot.vertices.shape} or "
            f"{(*shot.faces.shape, 3)}, are {shot.colors.shape}"
        )
    name = f"shot-{number}"
    scene = scene_of(name, shot.vertices, shot.faces, [shot.view], height=height, width=width)
    look = _look_arrays(shot, scene) | {"grain": np.array([samples, shot.look.grain_seed])}
    return _Asked(shot=shot, scene=scene, look=look)


def _look_arrays(shot: Shot, scene: Scene) -> dict[str, NDArray[np.generic]]:
    """The look as the worker's LOOK names it, around the middle of the mesh."""
    look, ground = shot.look, shot.look.ground
    lamps = [
        [lamp.kind == "disc", *lamp.direction, *lamp.irradiance, lamp.size, lamp.distance_m]
        for lamp in look.lamps
    ]
    floor_m = shot.vertices[:, 1].min()
    row: list[float] = []
    if ground is not None and shot.view.world_from_cam[1, 3] > floor_m:
        pattern = PATTERNS.index(ground.pattern)
        height_m = floor_m - scene.centre_m[1]
        row = [height_m, ground.half_side_m, *ground.colors.ravel(), pattern, ground.pattern_m]
    return {
        "lamps": np.array(lamps, dtype=np.float64).reshape(-1, 9),
        "sky": np.asarray(look.sky, dtype=np.float64),
        "surface": np.array([look.roughness, look.specular]),
        "ground": np.array(row, dtype=np.float64),
    }


def _render(
    asked: Iterator[_Asked], scratch_dir: Path | None, threads: int, limit_bytes: int, shots_per_process: int
) -> Iterator[ColorView]:
    with tempfile.TemporaryDirectory(prefix="render-", dir=scratch_dir) as folder:
        following = next(asked, None)
        while following is not None:
            with proven_process(Path(folder), threads, limit_bytes) as worker:
                batch = itertools.chain([following], itertools.islice(asked, shots_per_process - 1))
                yield from _shots(worker, batch, RECYCLE_FRACTION * limit_bytes)
                logger.info("Blender rendered in colour, peak %.2f GB", worker.peak_bytes / 1e9)
            following = next(asked, None)


def _shots(worker: WorkerProcess, batch: Iterator[_Asked], recycle_bytes: float) -> Iterator[ColorView]:
    """Keep a few requests ahead; ask for no more once the process has grown too large."""
    waiting: deque[_Asked] = deque()
    done = False
    while waiting or not done:
        while not done and len(waiting) < SHOTS_AHEAD:
            one = next(batch, None)
            if one is None:
                done = True
                break
            _request(worker, one)
            waiting.append(one)
            done = worker.rss_bytes > recycle_bytes
        if waiting:
            worker.await_answer()
            yield _read(worker, waiting.popleft())


def _request(worker: WorkerProcess, one: _Asked) -> None:
    folder = worker.folder / one.scene.name
    write_scene(one.scene, worker.folder)
    colors = one.shot.colors
    if colors.ndim == 3:
        colors = colors[one.scene.whole]
    np.save(folder / "colors.npy", colors.astype(np.float32))
    np.savez(folder / "look-0.npz", **one.look)
    worker.request("color", one.scene.name, 0)


def _read(worker: WorkerProcess, one: _Asked) -> ColorView:
    raw = take(worker.folder, one.scene.name, 0)
    shutil.rmtree(worker.folder / one.scene.name)
    geometry = geometry_of(one.scene, 0, raw[..., 4:8])
    mask = geometry.mask
    rows = one.scene.whole[np.where(mask, np.rint(raw[..., 10]), 0).astype(np.int64)]
    height, width = mask.shape
    background = paint_background(one.shot.look.background, height, width)
    return ColorView(
        frame=geometry.frame,
        rgb=develop(raw[..., :3], raw[..., 3], background, gain=metered_gain(one.shot.look, one.shot.view)),
        normal=geometry.normal,
        seen=Visibility(
            face_index=np.where(mask, rows, -1).astype(np.int32),
            bary=np.where(mask[..., None], raw[..., 8:10], np.float32(0)),
            depth_m=geometry.depth_m,
        ),
    )


def metered_gain(look: Look, view: View) -> float:
    """What to multiply radiance with so that a white subject in this light is nearly the display's white.

    An incident meter looks at the light, not at the subject: dark skin and dark cloth stay dark. Lamps
    behind the subject count less than those before it.
    """
    towards_camera = -view.world_from_cam[:3, 2]
    lamps = sum(
        float(lamp.irradiance.mean()) * max(BEHIND, (1 + float(lamp.direction @ towards_camera)) / 2)
        for lamp in look.lamps
    )
    white_radiance = lamps / np.pi + float(look.sky.mean())
    return float(WHITE_SHARE * 2.0**look.exposure_ev / white_radiance) if white_radiance > 0 else 1.0


def develop(
    radiance: NDArray[np.float32],
    coverage: NDArray[np.float32],
    background: NDArray[np.float32],
    *,
    gain: float,
) -> NDArray[np.uint8]:
    """Expose the subject, put it before its background, and code it as sRGB (H W 3).

    Up to SHOULDER of the display's white the curve is straight; beyond, it nears white without reaching it.

    Args:
        radiance: (H W 3) linear RGB, already multiplied by coverage.
        coverage: (H W) share of the pixel that the subject and its ground cover.
        background: (H W 3) linear RGB of the display.
    """
    linear = gain * radiance + (1 - coverage[..., None]) * background
    over = np.maximum(linear - SHOULDER, 0) / (1 - SHOULDER)
    return srgb_from_linear(np.minimum(linear, SHOULDER) + (1 - SHOULDER) * (1 - np.exp(-over)))
