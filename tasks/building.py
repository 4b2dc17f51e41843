"""One build: lock, sweep, run the graph, and say how it ended."""

import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import luigi

from pipeline.errors import LockHeldError, StageError
from pipeline.sealing import PART_MARK, leftovers, read_record
from tasks import stage_process
from tasks.context import manifest_of, unwritable
from tasks.executing import failure
from tasks.graph import Dataset, all_tasks, capture_stages, output_folders
from tasks.job import Outcome, StageFailed
from tasks.planning import plan
from tasks.stage import SealedTask


@dataclass
class BuildResult:
    """How a build ended.

    Attributes:
        failed: what broke, by task; nothing that depends on it was built.
        rejected: captures that were found unfit as a whole: the quarantine row with its exit code.
        captures: how many are sealed to their last stage.
        frames: quarantined frames over all captures.
    """

    failed: dict[str, Outcome] = field(default_factory=dict)
    rejected: dict[str, dict[str, Any]] = field(default_factory=dict)
    captures: int = 0
    frames: int = 0
    samples: int = 0
    built: int = 0
    published: bool = False

    @property
    def exit_code(self) -> int:
        """The first of 1, 5, 3, 4 that holds (docs/exit-codes.md)."""
        codes = {outcome.exit_code for outcome in self.failed.values()}
        codes |= {int(row["exit_code"]) for row in self.rejected.values()}
        if not self.published and not codes:
            codes.add(1)
        return next((code for code in (1, 5, 3, 4) if code in codes), max(codes, default=0))


def build(
    manifest: str, *, planned: Callable[[int], None], progress: stage_process.Listener, finished: Any
) -> BuildResult:
    """Build a dataset; what is sealed already is kept, what fails stops only what depends on it.

    Args:
        planned: called with the number of tasks to build before the first of them.
        progress: called with (task, done, total) while a stage works.
        finished: called with (task, seconds, outcome text) after each task.

    Raises:
        LockHeldError: when another build works on this dataset.
    """
    folder = manifest_of(manifest).folder
    result = BuildResult()
    logging.getLogger("luigi-interface").setLevel(logging.CRITICAL)
    logging.getLogger("luigi").setLevel(logging.CRITICAL)
    with locked(folder):
        sweep(folder)
        planned(sum(item.state == "build" for item in plan(manifest)))
        stage_process.listen(progress)
        watch = _Watch(result, finished)
        try:
            with watch.attached():
                luigi.build(
                    [Dataset(manifest=manifest)], local_scheduler=True, workers=1, log_level="CRITICAL"
                )
        finally:
            stage_process.stop_worker()
        result.built = watch.built
        _summarise(manifest, result)
    return result


def sweep(folder: Path) -> None:
    """Remove temporary folders whose owner is provably gone."""
    parts = [path for path in output_folders(folder) if PART_MARK in path.name]
    for part in leftovers(parts):
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the dataset's build lock; the system frees it when this process ends, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "build.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 100, 0).decode(errors="replace").strip() or "unknown"
            raise LockHeldError(
                f"{folder}: must not be in use, another build (process {owner}) works on it. "
                "Wait for it, or end it, and build again."
            ) from None
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
        except OSError as error:
            raise unwritable(folder, error) from error
        yield
    finally:
        os.close(handle)


class _Watch:
    """Collects what Luigi's events say of one build."""

    def __init__(self, result: BuildResult, finished: Any) -> None:
        self._result, self._finished = result, finished
        self.built = 0

    @contextmanager
    def attached(self) -> Iterator[None]:
        luigi.Task.event_handler(luigi.Event.PROCESSING_TIME)(self._timed)
        luigi.Task.event_handler(luigi.Event.FAILURE)(self._failed)
        luigi.Task.event_handler(luigi.Event.BROKEN_TASK)(self._failed)
        try:
            yield
        finally:
            for event in (luigi.Event.PROCESSING_TIME, luigi.Event.FAILURE, luigi.Event.BROKEN_TASK):
                callbacks = luigi.Task._event_callbacks.get(luigi.Task, {}).get(event, set())
                callbacks -= {self._timed, self._failed}

    def _timed(self, task: luigi.Task, seconds: float) -> None:
        self.built += 1
        if isinstance(task, SealedTask):
            record = read_record(task.place()) or {}
            rejected = record.get("rejected")
            self._finished(task, seconds, f"quarantined: {rejected['reason']}" if rejected else "sealed")

    def _failed(self, task: luigi.Task, error: BaseException) -> None:
        if isinstance(error, StageFailed):
            outcome = error.outcome
        elif "Unfulfilled depend" in str(error):
            # An output above was damaged while we worked: its own failure is told already.
            message = f"{task.task_family}: what it stands on must stay sealed, did not. Build again."
            outcome = Outcome(status="failed", message=message, exit_code=StageError.exit_code)
        else:
            outcome = failure(task.task_family, manifest_of(task.manifest).folder, error)
        self._result.failed[task.task_id] = outcome
        if isinstance(task, SealedTask):
            self._finished(task, 0.0, "failed")


def _summarise(manifest: str, result: BuildResult) -> None:
    result.published = not result.failed and Dataset(manifest=manifest).complete()
    frames: set[tuple[str, str, int]] = set()
    for capture in manifest_of(manifest).captures:
        records = [read_record(task.place()) for task in capture_stages(manifest, capture)]
        sealed = [record for record in records if record is not None]
        for record in sealed:
            if record["rejected"] is not None:
                result.rejected.setdefault(capture, record["rejected"])
            frames |= {
                (capture, row["stage"], row["frame"])
                for row in record["quarantine"]
                if row.get("drops", True)
            }
        result.captures += len(sealed) == len(records) and capture not in result.rejected
    result.frames = len(frames)
    shards = [task for task in all_tasks(manifest) if task.NAME == "shards"]
    result.samples = (read_record(shards[0].place()) or {}).get("samples", 0)
