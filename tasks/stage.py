"""What every stage shares: its fingerprint, its place, and when it is done."""

import os
from pathlib import Path
from typing import Any

import luigi

from pipeline.capture_tables import CaptureTable
from pipeline.fingerprints import fingerprint
from pipeline.manifest import Manifest
from pipeline.sealing import read_record
from pipeline.store import SCHEMA
from tasks.context import PLACE_VARIABLES, manifest_of
from tasks.inputs import Inputs
from tasks.job import Job, Progress, StageFailed, StageResult


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

    def settings(self) -> dict[str, Any]:
        """The manifest's settings that the answer depends on."""
        return self.loaded().stages.of(self.NAME)

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
            "settings": self.settings(),
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


def threads() -> int:
    """How many threads and processes one stage may use in all; set by `--workers`."""
    return int(os.environ.get("BODYTRUTH_WORKERS") or os.cpu_count() or 1)
