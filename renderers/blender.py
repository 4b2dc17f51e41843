"""Depth and normals of a mesh by Blender (Cycles, one ray a pixel), in processes of its own.

Importable without bpy, which lives in `renderers.blender_worker` alone. A process proves its conventions on
known scenes first, is replaced after a number of frames or when its memory has grown, dies with its parent.
"""

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from renderers import proof
from renderers.scene_files import Scene, geometry_of, scene_of, take, write_scene
from renderers.views import RenderedView, View, check_mesh, check_view
from renderers.worker_process import WorkerProcess

FRAMES_AHEAD = 4  # requests that wait in the worker, so that it renders while the caller works
RECYCLE_FRACTION = 0.75  # of the memory limit: past it, a process is replaced before its next frame

logger = logging.getLogger(__name__)


def render_views(  # noqa: PLR0913 - what to render, how large, and within which means
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    views: Sequence[View],
    *,
    height: int,
    width: int,
    threads: int,
    memory_limit_gb: float = 6.0,
    frames_per_process: int = 500,
    scratch_dir: Path | None = None,
) -> Iterator[RenderedView]:
    """Yield depth and normals of a still mesh from each view, in order, while Blender works on the next ones.

    Normals are interpolated from angle-weighted vertex normals, as `pipeline.visibility` does it. A pixel whose
    ray first meets a face from behind sees nothing, as in `renderers.fused`. Call and consume in one thread: on
    Linux a child dies with the thread that started it.

    Args:
        vertices: (V 3) float64, world frame, metres; may lie far from the world's origin.
        faces: (F 3) int32, counter-clockwise seen from outside; a face that repeats a vertex is left out.
        threads: of Blender; no pixel depends on it.
        memory_limit_gb: resident memory (10^9 bytes) at which a render process is killed mid-frame; from
            three quarters of it on, it is replaced between frames.
        frames_per_process: after so many frames a fresh process takes over.
        scratch_dir: where the job's folder is made; it holds the mesh and a few frames, and stays behind only
            if this process is killed. The system's temporary folder unless given.

    Raises:
        ValueError: if the mesh, a view or a count is malformed; on the call itself.
        StageError: if Blender cannot start, follows another convention, needs too much memory or dies.
    """
    check_mesh(vertices, faces, where="renderers.blender")
    for view in views:
        check_view(view, where="renderers.blender")
    if min(height, width, threads, frames_per_process) < 1:
        raise ValueError(
            "renderers.blender: height, width, threads and frames_per_process must be at least 1, "
            f"are {height}, {width}, {threads}, {frames_per_process}"
        )
    job = scene_of("job", vertices, faces, views, height=height, width=width)
    limit_bytes = int(memory_limit_gb * 1e9)
    return _render(job, scratch_dir, threads, limit_bytes, frames_per_process)


def _render(
    job: Scene, scratch_dir: Path | None, threads: int, limit_bytes: int, frames_per_process: int
) -> Iterator[RenderedView]:
    with tempfile.TemporaryDirectory(prefix="render-", dir=scratch_dir) as folder:
        write_scene(job, Path(folder))
        done = 0
        while done < len(job.views):
            with proven_process(Path(folder), threads, limit_bytes) as worker:
                last = min(done + frames_per_process, len(job.views))
                for rendered in _frames(worker, job, range(done, last)):
                    yield rendered
                    done += 1
                    if done < last and worker.rss_bytes > RECYCLE_FRACTION * limit_bytes:
                        logger.warning("Blender is near its memory limit and starts afresh")
                        break
                peak_gb = worker.peak_bytes / 1e9
                logger.info("Blender rendered %d of %d frames, peak %.2f GB", done, len(job.views), peak_gb)


@contextlib.contextmanager
def proven_process(folder: Path, threads: int, limit_bytes: int) -> Iterator[WorkerProcess]:
    """A Blender process that has shown on known scenes that it follows our conventions.

    Raises:
        StageError: if it does not, or cannot start.
    """
    with WorkerProcess(folder, threads, limit_bytes) as worker:
        for known in proof.proof_scenes():
            size = {"height": proof.HEIGHT, "width": proof.WIDTH}
            scene = scene_of(known.name, known.vertices, known.faces, [known.view], **size)
            write_scene(scene, folder)
            for rendered in _frames(worker, scene, range(1)):
                proof.check_proof(known, rendered)
            shutil.rmtree(folder / known.name)
        yield worker


def _frames(worker: WorkerProcess, scene: Scene, indices: range) -> Iterator[RenderedView]:
    """Keep a few requests ahead of the frame that is waited for."""
    asked = indices.start
    for index in indices:
        while asked < min(indices.stop, index + FRAMES_AHEAD):
            worker.request("geometry", scene.name, asked)
            asked += 1
        worker.await_answer()
        yield geometry_of(scene, index, take(worker.folder, scene.name, index))
