"""Depth and normals of a mesh by Blender (Cycles, one ray a pixel), in processes of its own.

Importable without bpy, which lives in `renderers.blender_worker` alone. A process proves its conventions on
known scenes first, is replaced after a number of frames or when its memory has grown, dies with its parent.
"""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import psutil
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, pixel_rays, transform
from pipeline.errors import StageError
from pipeline.system_libraries import missing_library
from pipeline.visibility import lean_to_camera
from renderers import proof
from renderers.views import RenderedView, View, check_mesh, check_view

FRAMES_AHEAD = 4  # requests that wait in the worker, so that it renders while the caller works
RECYCLE_FRACTION = 0.75  # of the memory limit: past it, a process is replaced before its next frame
POLL_S = 0.02
MISS_FRACTION = 0.99  # of the far clip plane; where nothing is hit, Cycles writes 1e10 m
SENSOR_MM = 36.0
NEARLY_FULL_BYTES = 1 << 16
EXIT_NO_BLENDER = 3  # as in the worker, which nothing may import

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scene:
    """A mesh, its cameras and its folder inside the job's."""

    name: str
    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    views: Sequence[View]
    height: int
    width: int
    clip_m: NDArray[np.float64]  # (N 2) near and far


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

    Normals are interpolated from angle-weighted vertex normals, as `pipeline.visibility` does it. Call and
    consume in one thread: on Linux a child dies with the thread that started it.

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
    job = _scene("job", vertices, faces, views, height=height, width=width)
    limit_bytes = int(memory_limit_gb * 1e9)
    return _render(job, scratch_dir, threads, limit_bytes, frames_per_process)


def _render(
    job: _Scene, scratch_dir: Path | None, threads: int, limit_bytes: int, frames_per_process: int
) -> Iterator[RenderedView]:
    with tempfile.TemporaryDirectory(prefix="render-", dir=scratch_dir) as folder:
        known = proof.proof_scenes()
        size = {"height": proof.HEIGHT, "width": proof.WIDTH}
        proofs = [_scene(s.name, s.vertices, s.faces, [s.view], **size) for s in known]
        for scene in [*proofs, job]:
            _write(scene, Path(folder))
        done = 0
        while done < len(job.views):
            with _Worker(Path(folder), threads, limit_bytes) as worker:
                for scene, expected in zip(proofs, known, strict=True):
                    for rendered in _frames(worker, scene, range(1)):
                        proof.check_proof(expected, rendered)
                last = min(done + frames_per_process, len(job.views))
                for rendered in _frames(worker, job, range(done, last)):
                    yield rendered
                    done += 1
                    if done < last and worker.rss_bytes > RECYCLE_FRACTION * limit_bytes:
                        logger.warning("Blender is near its memory limit and starts afresh")
                        break
                peak_gb = worker.peak_bytes / 1e9
                logger.info("Blender rendered %d of %d frames, peak %.2f GB", done, len(job.views), peak_gb)


def _frames(worker: "_Worker", scene: _Scene, indices: range) -> Iterator[RenderedView]:
    """Keep a few requests ahead of the frame that is waited for."""
    asked = indices.start
    for index in indices:
        while asked < min(indices.stop, index + FRAMES_AHEAD):
            worker.request(scene.name, asked)
            asked += 1
        worker.await_answer()
        yield _read(scene, worker.folder, index)


def _scene(
    name: str,
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    views: Sequence[View],
    *,
    height: int,
    width: int,
) -> _Scene:
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    corners = np.stack(np.meshgrid(*np.stack([low, high], axis=1)), axis=-1).reshape(8, 3)
    clip_m = np.zeros((len(views), 2))
    for row, view in zip(clip_m, views, strict=True):
        z_m = transform(invert_rigid(view.world_from_cam), corners)[:, 2]
        # All of the mesh lies before 0.91 of the far plane, so that no hit is taken for a miss.
        far_m = 1.1 * z_m.max() if z_m.max() > 0 else 1.0
        row[:] = max(0.5 * z_m.min(), 1e-4 * far_m), far_m
    return _Scene(
        name=name, vertices=vertices, faces=faces, views=views, height=height, width=width, clip_m=clip_m
    )


def _write(scene: _Scene, folder: Path) -> None:
    """Write the folder that the worker's module text describes, around the middle of the mesh for float32."""
    path = folder / scene.name
    path.mkdir()
    centre = (scene.vertices.min(axis=0) + scene.vertices.max(axis=0)) / 2
    a, b, c = scene.faces.T
    np.save(path / "vertices.npy", (scene.vertices - centre).astype(np.float32))
    np.save(path / "faces.npy", scene.faces[(a != b) & (b != c) & (c != a)].astype(np.int32))
    cameras = np.zeros((len(scene.views), 26))
    for row, view, clip_m in zip(cameras, scene.views, scene.clip_m, strict=True):
        world_from_blendercam = view.world_from_cam @ np.diag([1.0, -1.0, -1.0, 1.0])
        world_from_blendercam[:3, 3] -= centre
        row[:10] = *_lens(view.K, scene.height, scene.width), *clip_m
        row[10:] = world_from_blendercam.ravel()
    np.save(path / "cameras.npy", cameras)


def _lens(K: NDArray[np.float64], height: int, width: int) -> tuple[float, ...]:
    """Blender's camera for K: width, height, pixel aspects, lens, sensor, shifts.

    Blender has one focal length, in millimetres of a sensor as wide as the image, and stretches the pixels
    for the other; its shifts are fractions of the image's width, to the right and up.
    """
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    aspect_x, aspect_y = max(1.0, fy / fx), max(1.0, fx / fy)  # Blender takes no aspect below 1
    shift_x = ((width - 1) / 2 - cx) / width
    shift_y = (cy - (height - 1) / 2) / width * (aspect_y / aspect_x)
    return width, height, aspect_x, aspect_y, fx * SENSOR_MM / width, SENSOR_MM, shift_x, shift_y


def _read(scene: _Scene, folder: Path, index: int) -> RenderedView:
    """Take one answered frame off the disk: misses to 0, normals from the world to the camera's frame."""
    path = folder / scene.name / f"{index}.npy"
    raw = np.load(path, allow_pickle=False)
    path.unlink()
    view, far_m = scene.views[index], scene.clip_m[index, 1]
    mask = raw[..., 0] < MISS_FRACTION * far_m
    normals_cam = raw[mask][:, 1:].astype(np.float64) @ view.world_from_cam[:3, :3]
    normals_cam /= np.linalg.norm(normals_cam, axis=1, keepdims=True)
    normal = np.zeros((scene.height, scene.width, 3), dtype=np.float32)
    normal[mask] = lean_to_camera(normals_cam, pixel_rays(view.K, scene.height, scene.width)[mask])
    depth_m = np.where(mask, raw[..., 0], np.float32(0))
    return RenderedView(frame=view.frame, depth_m=depth_m, normal=normal, mask=mask)


class _Worker:
    """One render process, watched for its memory; killed at the end, since it has nothing to save."""

    def __init__(self, folder: Path, threads: int, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        self.rss_bytes = self.peak_bytes = 0
        self.log = folder / "blender.log"
        command = [sys.executable, "-P", "-m", "renderers.blender_worker"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, str(folder), str(os.getpid()), str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(folder),
            )
        assert self.process.stdin and self.process.stdout
        self._requests, self._answers = self.process.stdin, self.process.stdout
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._watcher.join()
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def request(self, scene: str, index: int) -> None:
        with contextlib.suppress(BrokenPipeError):  # the worker is dead: awaiting its answer says why
            self._requests.write(f"{scene} {index}\n".encode())
            self._requests.flush()

    def await_answer(self) -> None:
        if not self._answers.readline():
            raise StageError(self._epitaph())

    def _watch(self) -> None:
        """Runs in a thread of its own, so that a caller who is busy between two frames is covered too."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.process.pid)
            while self.process.poll() is None:
                self.rss_bytes = process.memory_info().rss
                self.peak_bytes = max(self.peak_bytes, self.rss_bytes)
                if self.rss_bytes > self.limit_bytes:
                    self.process.kill()
                    return
                time.sleep(POLL_S)

    def _epitaph(self) -> str:
        code = self.process.wait()
        self._watcher.join()
        if self.peak_bytes > self.limit_bytes:
            return (
                f"renderers.blender: the render process must stay below {self.limit_bytes / 1e9:.2f} GB, "
                f"reached {self.peak_bytes / 1e9:.2f} GB and was killed. "
                "Raise memory_limit_gb or simplify the mesh."
            )
        left_bytes = shutil.disk_usage(self.folder).free
        if left_bytes < NEARLY_FULL_BYTES:  # then not even its last words were kept
            return (
                f"renderers.blender: {self.folder.parent} must be writable with free space, is not ({left_bytes} "
                "bytes left). Free the disk or choose another --out, and build again."
            )
        words = self.log.read_text(errors="replace").strip().splitlines()[-5:]
        if code == EXIT_NO_BLENDER:
            return _no_blender(words[-1] if words else "bpy cannot be imported")
        if code == -signal.SIGKILL:
            words.append("where nobody sent this signal, the machine had no memory left")
        how = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
        return (
            f"renderers.blender: the render process must answer, ended by {how} after "
            f"{self.peak_bytes / 1e9:.2f} GB. Its last words: {' | '.join(words) or 'none'}."
        )


def _no_blender(reason: str) -> str:
    library = missing_library(ImportError(reason))
    if library is None:
        return f"renderers.blender: bpy must be importable by {sys.executable}, is not ({reason}). Install bpy==5.0.1."
    return f"renderers.blender: {library}"


def _environment(folder: Path) -> dict[str, str]:
    """The worker finds this package wherever it lies, and no user's Blender settings find the worker."""
    here = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {
        "PYTHONPATH": path, "BLENDER_USER_RESOURCES": str(folder / "user"), "TMPDIR": str(folder)
    }  # fmt: skip
