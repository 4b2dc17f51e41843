"""Time, memory and disk that a task will take: from its own history on this dataset, else as calibrated."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.manifest import Manifest
from pipeline.sealing import RECORD, read_record
from tasks.context import capture_frames
from tasks.render_chunk import RenderChunk
from tasks.scan import Scan
from tasks.stage import CaptureStage, SealedTask


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Estimate for one task. `source` says where it comes from: history or calibration."""

    seconds: float
    peak_rss_mb: float
    disk_mb: float
    source: str

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {"name": "time", "value": self.seconds, "unit": "s", "source": self.source},
            {"name": "peak memory", "value": self.peak_rss_mb, "unit": "MB", "source": self.source},
            {"name": "disk", "value": self.disk_mb, "unit": "MB", "source": self.source},
        ]


class Estimator:
    """Costs of a manifest's tasks; history and frame counts are read once."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._history = _per_frame(manifest.folder)
        self._calibration = json.loads((Path(__file__).parent / "stage_costs.json").read_text())
        self._frames = {capture: capture_frames(str(manifest.path), capture) for capture in manifest.captures}

    def cost(self, task: SealedTask) -> Cost | None:
        """Cost of one task to build, or None for a stage that neither history nor calibration knows."""
        history = self._history.get(task.NAME)
        per_frame = history or self._calibration.get(task.NAME)
        if per_frame is None:
            return None
        frames = self._units(task)
        return Cost(
            seconds=frames * per_frame["s_per_frame"],
            peak_rss_mb=per_frame["peak_rss_mb"],
            disk_mb=frames * per_frame["mb_per_frame"],
            source="history" if history else "calibration",
        )

    def _units(self, task: SealedTask) -> float:
        """Frames that a task works on; a scan is one, however many pictures are taken of it."""
        if not isinstance(task, CaptureStage):
            return sum(self._frames.values())
        if isinstance(task, RenderChunk):
            return task.share() * self._frames[task.capture]
        return 1 if isinstance(task, Scan) else self._frames[task.capture]


def _per_frame(folder: Path) -> dict[str, dict[str, float]]:
    """By stage, medians over a dataset's sealed outputs: seconds and MB on disk a frame, peak memory in MB."""
    figures: dict[str, list[tuple[float, float, float]]] = {}
    for pattern in ("stages/*/*/*", "versions/*", "versions/*/report"):
        for path in folder.glob(f"{pattern}/{RECORD}"):
            record = read_record(path.parent)
            if record is not None and record["samples"]:
                size_mb = sum(entry["bytes"] for entry in record["files"].values()) / 1e6
                run, samples = record["run"], record["samples"]
                figures.setdefault(record["stage"], []).append(
                    (run["seconds"] / samples, run["peak_rss_mb"], size_mb / samples)
                )
    names = ("s_per_frame", "peak_rss_mb", "mb_per_frame")
    return {
        stage: {name: median(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
        for stage, rows in figures.items()
    }


if __name__ == "__main__":  # writes stage_costs.json from the outputs of the shipped datasets
    merged: dict[str, dict[str, float]] = {}
    for dataset in sys.argv[1:]:
        merged = _per_frame(Path(dataset)) | merged
    rounded = {
        stage: {name: float(f"{value:.3g}") for name, value in row.items()} for stage, row in merged.items()
    }
    sys.stdout.write(json.dumps(rounded, indent=1, sort_keys=True) + "\n")
