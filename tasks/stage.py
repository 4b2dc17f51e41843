"""What every stage shares: its fingerprint, its place, and how it comes to be sealed."""

import errno
import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import luigi

from pipeline.errors import BodytruthError, GateError, InputError, StageError
from pipeline.fingerprints import fingerprint
from pipeline.manifest import CaptureTable, Manifest
from pipeline.quality import QuarantineRow
from pipeline.sealing import begin, read_record, require_undamaged, seal
from pipeline.store import SCHEMA, FrameReader
from tasks.context import PLACE_VARIABLES, forget, manifest_of, unwritable, without_places

FRAMES_FILE = "frames.h5"
PASSING = (errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT)  # may be gone next time
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What a stage says of the folder it wrote.

    Attributes:
        samples: frames (or files) that the folder holds.
        stats: measured figures by name, each {"value", "unit"} and "limit" where a gate stands on it.
        quarantine: what was left out, and why.
    """

    samples: int
    stats: dict[str, dict[str, Any]] = field(default_factory=dict)
    quarantine: list[QuarantineRow] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that the stage process needs; it computes no fingerprint of its own."""

    task: type["SealedTask"]
    parameters: dict[str, str]
    place: Path
    record: dict[str, Any]
    upstream: dict[str, Path]
    threads: int
    places: dict[str, str]
    manifest_sha256: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended. `status` is sealed, rejected (the data are unfit) or failed (something broke)."""

    status: str
    message: str = ""
    exit_code: int = 0
    details: str = ""


class Inputs:
    """What a stage reads: the manifest, its capture, and the sealed folders above it."""

    def __init__(self, job: Job) -> None:
        self.manifest: Manifest = manifest_of(job.parameters["manifest"])
        self.threads = job.threads
        self.record = job.record
        self._capture = job.parameters.get("capture")
        self._folders = job.upstream
        self._checked: set[str] = set()
        self._open = ExitStack()

    @property
    def capture(self) -> CaptureTable:
        return self.manifest.captures[str(self._capture)]

    def folder(self, name: str) -> Path:
        """A sealed folder above, its checksums compared at the first read."""
        if name not in self._checked:
            require_undamaged(self._folders[name])
            self._checked.add(name)
        return self._folders[name]

    def __enter__(self) -> "Inputs":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def frames(self, name: str) -> FrameReader:
        """Rows of a stage above; closed with the job at the latest."""
        return self._open.enter_context(FrameReader(self.folder(name) / FRAMES_FILE))

    def stage_record(self, name: str) -> dict[str, Any]:
        return read_record(self._folders[name]) or {}

    def has(self, name: str) -> bool:
        return name in self._folders

    def joined(self, fields: Mapping[str, Sequence[str]]) -> "JoinedFrames":
        """Rows of several stages joined by frame number, ascending; never by position."""
        return JoinedFrames({name: self.frames(name) for name in fields}, fields)


class JoinedFrames:
    """Samples that stand in every one of several frames files; can be iterated again and again."""

    def __init__(self, readers: Mapping[str, FrameReader], fields: Mapping[str, Sequence[str]]) -> None:
        self._readers, self._fields = readers, fields
        numbers = {name: reader.column("frame").tolist() for name, reader in readers.items()}
        self._row = {name: {frame: row for row, frame in enumerate(found)} for name, found in numbers.items()}
        self.frames: list[int] = sorted(set.intersection(*(set(found) for found in numbers.values())))

    def close(self) -> None:
        """Close the files below; a dataset of many captures would else run out of handles."""
        for reader in self._readers.values():
            reader.close()

    def __enter__(self) -> "JoinedFrames":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.read(self.frames[index], self._fields)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for frame in self.frames:
            yield self.read(frame, self._fields)

    def read(self, frame: int, fields: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """The named fields of one frame, and its number."""
        sample: dict[str, Any] = {"frame": frame}
        for name, names in fields.items():
            sample.update(self._readers[name].row(self._row[name][frame], names))
        return sample


class SealedTask(luigi.Task):
    """A task whose output is one sealed folder, named by a fingerprint of all that its answer depends on."""

    manifest = luigi.Parameter(description="path of the dataset manifest")

    NAME: str
    VERSION: int = 1  # raise it when the answer changes; the golden test reminds you

    def upstream(self) -> "dict[str, SealedTask]":
        """The tasks whose output this one reads, by the name it reads them under."""
        return {}

    def identity(self) -> dict[str, Any]:
        """Whatever else the answer depends on: raw content, frames, seeds."""
        return {}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        """Fill the folder. Runs in the stage process."""
        raise NotImplementedError(type(self).__name__)

    def place(self) -> Path:
        raise NotImplementedError(type(self).__name__)

    def requires(self) -> "dict[str, SealedTask]":
        return self.upstream()

    def output(self) -> "SealedTarget":
        return SealedTarget(self.place(), self.fingerprint())

    def loaded(self) -> Manifest:
        return manifest_of(self.manifest)

    def recipe(self) -> dict[str, Any]:
        """All that the fingerprint covers, readable: `plan` and `why` compare and show it."""
        return {
            "stage": self.NAME,
            "version": self.VERSION,
            "schema": SCHEMA.split(".")[0],
            "settings": self.loaded().stages.of(self.NAME),
            "inputs": self.identity(),
            "upstream": {name: task.fingerprint() for name, task in sorted(self.upstream().items())},
        }

    def fingerprint(self) -> str:
        # Luigi keeps one instance per parameter set; a manifest read anew is another object.
        known = self.__dict__.get("_known")
        if known is None or known[0] is not self.loaded():
            known = (self.loaded(), fingerprint(self.recipe()))
            self.__dict__["_known"] = known
        return known[1]

    def header(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "stage": self.NAME,
            "version": self.VERSION,
            "fingerprint": self.fingerprint(),
            "recipe": self.recipe(),
        }

    def run(self) -> None:
        from tasks.stage_process import run_job

        if self.complete():
            return  # another host was faster, and its readers are at work
        place = self.place()
        upstream = {name: task.place() for name, task in self.upstream().items()}
        job = Job(
            task=type(self),
            parameters=self.to_str_params(),
            place=place,
            record=self.header(),
            upstream=upstream,
            threads=threads(),
            places={name: os.environ[name] for name in PLACE_VARIABLES if name in os.environ},
            manifest_sha256=self.loaded().sha256,
        )
        outcome = run_job(job, self)
        if outcome.status == "failed":
            raise StageFailed(outcome)


class CaptureStage(SealedTask):
    """A stage of one capture."""

    capture = luigi.Parameter(description="id of the capture in the manifest")

    def table(self) -> CaptureTable:
        return self.loaded().captures[self.capture]

    def place(self) -> Path:
        return self.loaded().folder / "stages" / self.NAME / self.capture / self.fingerprint()

    def header(self) -> dict[str, Any]:
        return {**super().header(), "capture": self.capture}

    def sibling(self, stage: "type[CaptureStage]") -> "CaptureStage":
        return stage(manifest=self.manifest, capture=self.capture)


class SealedTarget(luigi.Target):
    """Exists when a sealed folder with this fingerprint stands whole at its place."""

    def __init__(self, place: Path, expected: str) -> None:
        self.path, self._expected = str(place), expected

    def __str__(self) -> str:
        return self.path  # Luigi counts its retries by this text

    def exists(self) -> bool:
        record = read_record(Path(self.path))
        return record is not None and record.get("fingerprint") == self._expected


class StageFailed(Exception):
    """Carries a failed outcome to the one who runs the build."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


def threads() -> int:
    """How many threads and processes one stage may use in all; set by `--workers`."""
    return int(os.environ.get("BODYTRUTH_WORKERS") or os.cpu_count() or 1)


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
                shutil.rmtree(part)
                part.mkdir()
        seal(part, job.place, _record(job, result, rejected, started))
    except Exception as error:
        name = f"{job.record['stage']} {job.parameters.get('capture', '')}".strip()
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        return failure(name, job.place.parent, error)
    if rejected is not None:
        return Outcome(status="rejected", message=rejected["message"])
    return Outcome(status="sealed")


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


def quarantine_rows(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All rows of some records, a rejected capture once, sorted by capture, stage and frame."""
    rows: dict[str, dict[str, Any]] = {}
    for record in records:
        found = list(record["quarantine"])
        if record["rejected"] is not None:
            found.append({key: value for key, value in record["rejected"].items() if key != "exit_code"})
        for row in found:
            rows[f"{row['capture']}\0{row['stage']}\0{row['frame']}\0{row['reason']}"] = row
    return sorted(
        rows.values(),
        key=lambda row: (row["capture"], row["stage"], -1 if row["frame"] is None else row["frame"]),
    )
