"""A process that runs Blender: asked by lines, watched for its memory, never left behind.

Importable without bpy, which lives in `renderers.blender_worker` alone.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

import psutil

from pipeline.errors import StageError
from pipeline.system_libraries import missing_library

POLL_S = 0.02
NEARLY_FULL_BYTES = 1 << 16
EXIT_NO_BLENDER = 3  # as in the worker, which nothing may import


class WorkerProcess:
    """One process of Blender; killed at the end, since it has nothing to save.

    Args:
        folder: of the job; scenes lie in it, and the process's log.
        threads: of Blender.
        limit_bytes: resident memory at which it is killed.
    """

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

    def __enter__(self) -> "WorkerProcess":
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

    def request(self, job: str, scene: str, index: int) -> None:
        """Ask for SCENE/INDEX.npy in the folder; the job is one of the worker's modules."""
        with contextlib.suppress(BrokenPipeError):  # the worker is dead: awaiting its answer says why
            self._requests.write(f"{job} {scene} {index}\n".encode())
            self._requests.flush()

    def await_answer(self) -> None:
        """Wait for the oldest request; raises StageError if the process dies instead."""
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
                f"renderers.blender: the process must stay below {self.limit_bytes / 1e9:.2f} GB, "
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
            f"renderers.blender: the process must answer, ended by {how} after "
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
