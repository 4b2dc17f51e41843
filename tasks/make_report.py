"""The report of one dataset version: gathers figures and pictures from the sealed outputs and writes the page."""

from pathlib import Path
from typing import Any

from pipeline.errors import StageError
from pipeline.sealing import read_record
from tasks.inputs import Inputs
from tasks.job import Progress, StageResult
from tasks.report.gather import gather
from tasks.report.page import write_report
from tasks.shards import Shards
from tasks.stage import SealedTask


class MakeReport(SealedTask):
    """One HTML page and its figures as JSON, inside the version that it describes."""

    NAME = "report"
    VERSION = 2

    def upstream(self) -> dict[str, SealedTask]:
        shards = Shards(manifest=self.manifest)
        return {"shards": shards, **shards.upstream()}

    def requires(self) -> SealedTask:
        return Shards(manifest=self.manifest)  # which requires all the others

    def place(self) -> Path:
        return Shards(manifest=self.manifest).place() / "report"

    def recipe(self) -> dict[str, Any]:
        # The shards' fingerprint covers everything above it.
        return {**super().recipe(), "upstream": {"shards": Shards(manifest=self.manifest).fingerprint()}}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        if read_record(inputs.folder("shards")) is None:
            raise StageError("shards: must stay sealed while the report is made, are not. Build again.")
        data = gather(inputs, progress)
        write_report(data, part / "index.html")
        return StageResult(samples=sum(capture.samples for capture in data.captures))
