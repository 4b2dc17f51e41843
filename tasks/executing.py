"""One job from its inputs to its sealed folder, and every way in which it can end."""

import errno
import os
import shutil
import time
import traceback
from pathlib import Path
from typing import Any

from pipeline.errors import BodytruthError, GateError, InputError, StageError
from pipeline.quality import QuarantineRow
from pipeline.sealing import begin, read_record, seal
from pipeline.system_libraries import missing_library
from tasks.context import PLACE_VARIABLES, forget, manifest_of, unwritable, without_places
from tasks.inputs import REJECTED_FILE, Inputs
from tasks.job import Job, Outcome, Progress, StageResult
from tasks.stage import CaptureStage, SealedTask

PASSING = (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT)  # may be gone next time


def execute(job: Job, progress: Progress) -> Outcome:
    """Run one job to its sealed folder. Never raises: what went wrong is in the outcome."""
    started = time.time()
    for name in PLACE_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(job.places)
    task = job.task(**job.parameters)
    part: Path | None = None
    try:
        _require_same_manifest(job)
        rejected = _rejected_above(job)
        part = begin(job.place)
        result = StageResult(samples=0)
        if rejected is None:
            try:
                with Inputs(job) as inputs:
                    result = task.write(part, inputs, progress)
            except (InputError, GateError) as error:
                if not isinstance(task, CaptureStage):
                    raise  # a dataset is never unfit data: something broke
                rejected = _rejection(task, error)
                result = StageResult(samples=0, quarantine=list(error.rows))
                _clear(part)
        seal(part, job.place, _record(job, result, rejected, started))
    except Exception as error:
        name = f"{job.record['stage']} {job.parameters.get('capture', '')}".strip()
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        return failure(name, job.place.parent, error)
    if rejected is not None:
        return Outcome(status="rejected", message=rejected["message"])
    return Outcome(status="sealed")


def _clear(part: Path) -> None:
    """Take away what a rejected capture left, but for the pictures that show why."""
    for path in part.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != REJECTED_FILE:
            path.unlink()


def _require_same_manifest(job: Job) -> None:
    """This process reads the manifest by itself: it must be what the fingerprint was made of."""
    path = job.parameters["manifest"]
    if manifest_of(path).sha256 != job.manifest_sha256:
        forget()  # read for an earlier build
    if manifest_of(path).sha256 != job.manifest_sha256:
        raise StageError(f"{path}: must stay as it is during a build, has changed. Build again.")


def _rejected_above(job: Job) -> dict[str, Any] | None:
    if "capture" not in job.parameters:
        return None  # dataset stages take what is left and list the rest
    for place in job.upstream.values():
        record = read_record(place)
        if record is not None and record["rejected"] is not None:
            return dict(record["rejected"])
    return None


def _rejection(task: SealedTask, error: InputError | GateError) -> dict[str, Any]:
    measured = (
        {"value": error.value, "unit": error.unit, "limit": error.limit}
        if isinstance(error, GateError)
        else {}
    )
    row = QuarantineRow(
        capture=str(getattr(task, "capture", "")),
        stage=task.NAME,
        reason=error.reason,
        message=without_places(str(error), task.loaded(), str(getattr(task, "capture", ""))),
        **measured,
    )
    return {**row.to_json(), "exit_code": error.exit_code}


def _record(job: Job, result: StageResult, rejected: dict[str, Any] | None, started: float) -> dict[str, Any]:
    from tasks.stage_process import host_facts

    return {
        **job.record,
        "samples": result.samples,
        "stats": result.stats,
        "quarantine": [row.to_json() for row in result.quarantine],
        "rejected": rejected,
        # Facts of this run; no data file holds them.
        "run": {"seconds": round(time.time() - started, 3), "threads": job.threads, **host_facts()},
    }


def failure(name: str, folder: Path, error: BaseException) -> Outcome:
    """What broke a task that writes below a folder: one sentence and its exit code, a bug with its traceback."""
    if isinstance(error, BodytruthError):
        return Outcome(status="failed", message=f"{name}: {error}", exit_code=error.exit_code)
    library = missing_library(error)
    if library is not None:
        return failure(name, folder, StageError(library))
    if isinstance(error, MemoryError):
        message = f"{name}: must fit into memory, does not. Use fewer --workers or a larger machine."
        return Outcome(status="failed", message=message, exit_code=StageError.exit_code)
    if isinstance(error, OSError) and _is_no_room(error):
        return failure(name, folder, unwritable(folder, error))
    if isinstance(error, OSError) and error.errno in PASSING:
        passing = StageError(f"the disk must answer, does not ({error}). Check it, and build again.")
        return failure(name, folder, passing)
    return Outcome(
        status="failed",
        message=f"{name}: {type(error).__name__}: {error}",
        exit_code=1,
        details="".join(traceback.format_exception(error)),
    )


def _is_no_room(error: OSError) -> bool:
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG)
    # HDF5 reports the system's error inside its own text, and numpy only that less was written than asked.
    hidden = [f"errno = {number}," for number in numbers]
    return error.errno in numbers or any(text in str(error) for text in [*hidden, " requested and "])
