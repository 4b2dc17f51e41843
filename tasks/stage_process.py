"""The process that does the heavy work of stages: spawned clean, reused, recycled, dead with its parent."""

import contextlib
import ctypes
import multiprocessing
import os
import platform
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from pipeline.errors import StageError
from tasks.executing import execute
from tasks.job import Job, Outcome
from tasks.stage import SealedTask

RECYCLE_JOBS = 64
RECYCLE_MB = 3000.0

Listener = Callable[[SealedTask, int, int], None]


class _Worker:
    """One spawned process and the pipe to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, far_end = context.Pipe()
        # Idle BLAS and OpenMP threads that spin would take the other core's time.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self.process: BaseProcess = context.Process(
            target=_serve, args=(far_end, os.getpid()), name="bodytruth-stage", daemon=False
        )
        self.process.start()
        far_end.close()
        self.jobs = 0
        self.peak_rss_mb = 0.0

    def stop(self) -> None:
        self.pipe.close()
        self.process.join(timeout=2)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


_current: list[_Worker] = []
_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Have a function called with (task, done, total) while stages work; it replaces the one before."""
    _listeners[:] = [listener]


def run_job(job: Job, task: SealedTask) -> Outcome:
    """Run one job in the stage process and wait for it; a process that dies gives a failed outcome."""
    worker = _ready_worker()
    try:
        answers = _answers(worker, job)
        for kind, content in answers:
            if kind == "outcome":
                worker.jobs += 1
                worker.peak_rss_mb = content[1]
                return content[0]
            for listener in _listeners:
                listener(task, *content)
    except BaseException:
        worker.process.kill()  # interrupted: the half-done job must not go on behind our back
        stop_worker()
        raise
    worker.process.join(timeout=10)
    return _died(job, worker.process.exitcode)


def _answers(worker: _Worker, job: Job) -> Iterator[tuple[str, Any]]:
    """Everything that the process says of one job; ends early when it dies."""
    try:
        worker.pipe.send(job)
        while True:
            yield worker.pipe.recv()
    except (EOFError, OSError):
        return


def stop_worker() -> None:
    """End the stage process, if there is one."""
    while _current:
        _current.pop().stop()


def host_facts() -> dict[str, Any]:
    """Facts of this process and machine, kept apart from all data."""
    return {
        "host": socket.gethostname(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "peak_rss_mb": round(_peak_rss_mb(), 1),
    }


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def _ready_worker() -> _Worker:
    if _current:
        worker = _current[0]
        if not worker.process.is_alive() or worker.jobs >= RECYCLE_JOBS or worker.peak_rss_mb > RECYCLE_MB:
            stop_worker()
    if not _current:
        # Before multiprocessing joins its children at exit, in processes that Luigi forked too.
        Finalize(None, stop_worker, exitpriority=10)
        _current.append(_Worker())
    return _current[0]


def _serve(pipe: Connection, parent: int) -> None:
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and kills
    while True:
        try:
            job: Job = pipe.recv()
        except EOFError:
            return
        _forget_peak()
        outcome = execute(job, lambda done, total: pipe.send(("progress", (done, total))))
        pipe.send(("outcome", (outcome, _peak_rss_mb())))


def _forget_peak() -> None:
    """Have the kernel count this process's peak memory anew, so that a job answers for itself alone."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_rss_mb() -> float:
    """Peak memory since the last `_forget_peak`; Blender's process is not in it."""
    own_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        own_kb = int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return own_kb / 1024


def _died(job: Job, code: int | None) -> Outcome:
    stop_worker()
    name = f"{job.record['stage']} {job.parameters.get('capture', '')}".strip()
    how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
    hint = "Most likely the machine ran out of memory: use a coarser stages.fuse.voxel_m or more memory."
    if code != -signal.SIGKILL:
        hint = "Look at its last lines above."
    message = f"{name}: the stage process must live to the end, ended with {how}. {hint}"
    return Outcome(status="failed", message=message, exit_code=StageError.exit_code)
