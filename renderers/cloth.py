"""Cloth on moving bodies, simulated by Blender in a process of its own. Importable without bpy."""

import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StageError
from renderers.scene_files import take
from renderers.views import check_mesh
from renderers.worker_process import WorkerProcess

SCENE = "garment"
FRAMES_AHEAD = 4  # requests that wait in the worker


@dataclass(frozen=True, kw_only=True, slots=True)
class Collider:
    """A moving surface that cloth stays outside of: a body, or a garment simulated before.

    Attributes:
        vertices: (T C 3) metres, +Y up, one row per frame.
        faces: (F 3) int32, outward.
    """

    vertices: NDArray[Any]
    faces: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClothSettings:
    """How the cloth moves.

    Attributes:
        fps: frames per second of the given motion; fewer make the same poses slower.
        quality: steps of the simulation per frame.
        collision_quality: rounds of pushing apart per step.
        mass_kg: of a vertex, as Blender counts it; 0.15 is silk, 0.3 cotton, 1 denim.
        tension: stiffness of the cloth against stretching and compression; 15 gives cotton.
        shear: stiffness against skewing.
        bending: stiffness against folding; 0.5 gives cotton, 10 denim.
        damping: of stretching and skewing; the more, the sooner the cloth rests.
        air: drag.
        friction: on colliders, from 0 to 80.
        gap_m: distance that the cloth keeps from colliders.
        self_gap_m: distance that the cloth keeps from itself; 0 lets it pass through itself, twice as fast.
    """

    fps: float = 30.0
    quality: int = 8
    collision_quality: int = 3
    mass_kg: float = 0.3
    tension: float = 15.0
    shear: float = 5.0
    bending: float = 0.5
    damping: float = 5.0
    air: float = 1.0
    friction: float = 5.0
    gap_m: float = 0.006
    self_gap_m: float = 0.0


def simulate_cloth(
    targets: NDArray[Any],
    faces: NDArray[np.int32],
    held: NDArray[Any],
    colliders: Sequence[Collider],
    *,
    settings: ClothSettings,
    threads: int,
    memory_limit_gb: float = 6.0,
    scratch_dir: Path | None = None,
) -> NDArray[np.float32]:
    """Simulate one garment over a motion; simulate the inner ones first and pass them on as colliders.

    In the first frame the garment is as given and without strain: let a motion begin in the pose in which
    the garment was made, outside of all colliders, and move on from there.

    Args:
        targets: (T V 3) metres, +Y up, some metres from the origin at most: where the garment would be if it
            only followed the body; of vertices that are not held, only the first frame counts.
        faces: (F 3) int32.
        held: (V,) from 0, free, to 1, at its target in every frame.
        threads: of Blender.
        memory_limit_gb: resident memory (10^9 bytes) at which the process is killed.

    Returns:
        (T V 3) positions in each frame.

    Raises:
        ValueError: if an array is malformed or colliders have other frames than the garment.
        StageError: if Blender cannot start, needs too much memory, dies, or the cloth flies apart.
    """
    _check(targets, faces, held, colliders)
    limit_bytes = int(memory_limit_gb * 1e9)
    with tempfile.TemporaryDirectory(prefix="cloth-", dir=scratch_dir) as folder:
        _write(Path(folder) / SCENE, targets, faces, held, colliders, settings)
        with WorkerProcess(Path(folder), threads, limit_bytes) as worker:
            frames = _frames(worker, len(targets))
    return frames


def _check(
    targets: NDArray[Any],
    faces: NDArray[np.int32],
    held: NDArray[Any],
    colliders: Sequence[Collider],
) -> None:
    for name, places in [
        ("targets", targets),
        *((f"collider {k}", c.vertices) for k, c in enumerate(colliders)),
    ]:
        if places.ndim != 3 or len(places) != len(targets) or len(places) == 0:
            raise ValueError(
                f"renderers.cloth: {name} must be ({len(targets)} V 3), a row per frame, is {places.shape}"
            )
        if not np.isfinite(places).all():
            raise ValueError(f"renderers.cloth: {name} must be finite in every frame, is not")
    check_mesh(targets[0], faces, where="renderers.cloth: garment")
    for number, collider in enumerate(colliders):
        check_mesh(collider.vertices[0], collider.faces, where=f"renderers.cloth: collider {number}")
    if held.shape != targets.shape[1:2] or not ((held >= 0) & (held <= 1)).all():
        raise ValueError(
            f"renderers.cloth: held must be {targets.shape[1:2]} weights in [0, 1], is {held.shape}, "
            f"{held.min()}..{held.max()}"
        )


def _write(
    path: Path,
    targets: NDArray[Any],
    faces: NDArray[np.int32],
    held: NDArray[Any],
    colliders: Sequence[Collider],
    settings: ClothSettings,
) -> None:
    """Write the folder that the worker's `cloth` describes."""
    path.mkdir()
    np.save(path / "targets.npy", targets.astype(np.float32))
    np.save(path / "faces.npy", faces.astype(np.int32))
    np.save(path / "held.npy", held.astype(np.float64))
    for number, collider in enumerate(colliders):
        np.save(path / f"collider-{number}.npy", collider.vertices.astype(np.float32))
        np.save(path / f"collider-{number}-faces.npy", collider.faces.astype(np.int32))
    np.save(path / "settings.npy", np.array(astuple(settings), dtype=np.float64))


def _frames(worker: WorkerProcess, count: int) -> NDArray[np.float32]:
    frames = []
    asked = 0
    for index in range(count):
        while asked < min(count, index + FRAMES_AHEAD):
            worker.request("cloth", SCENE, asked)
            asked += 1
        worker.await_answer()
        frames.append(take(worker.folder, SCENE, index))
        if not np.isfinite(frames[-1]).all():
            raise StageError(
                f"renderers.cloth: every vertex must have a place, {np.count_nonzero(~np.isfinite(frames[-1]))} "
                f"have none in frame {index}. Raise quality or start farther from the colliders."
            )
    return np.stack(frames)
