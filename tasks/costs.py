"""Time, memory and disk that a task will take: from its own history on this dataset, else as calibrated."""

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.captures.opening import open_capture
from pipeline.errors import InputError
from pipeline.manifest import frames_slice
from pipeline.sealing import RECORD
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


def estimate(task: SealedTask) -> Cost | None:
    """Cost of one task to build, or None for a stage that neither history nor calibration knows."""
    frames = _frames(task)
    history = _history(task)
    if history is None:
        calibrated = _calibration().get(task.NAME)
        if calibrated is None:
            return None
        return Cost(
            seconds=calibrated["s"] + frames * calibrated["s_per_frame"],
            peak_rss_mb=calibrated["peak_rss_mb"],
            disk_mb=frames * calibrated["mb_per_frame"],
            source="calibration",
        )
    seconds, peak_rss_mb, disk_mb = history
    return Cost(seconds=frames * seconds, peak_rss_mb=peak_rss_mb, disk_mb=frames * disk_mb, source="history")


def _history(task: SealedTask) -> tuple[float, float, float] | None:
    """Medians per frame over sealed outputs of the same stage: seconds, peak MB, MB on disk."""
    folder = task.loaded().folder
    pattern = f"stages/{task.NAME}/*/*/{RECORD}" if isinstance(task, CaptureStage) else f"versions/*/{RECORD}"
    figures = []
    for path in folder.glob(pattern):
        record = json.loads(path.read_text())
        samples = record.get("samples") or 0
        if samples and record["stage"] == task.NAME:
            size_mb = sum(entry["bytes"] for entry in record["files"].values()) / 1e6
            run = record["run"]
            figures.append((run["seconds"] / samples, run["peak_rss_mb"], size_mb / samples))
    if not figures:
        return None
    columns = list(zip(*figures, strict=True))
    return median(columns[0]), median(columns[1]), median(columns[2])


def _frames(task: SealedTask) -> int:
    manifest = task.loaded()
    captures = [task.table()] if isinstance(task, CaptureStage) else list(manifest.captures.values())
    return sum(_capture_frames(task, table.id) for table in captures)


def _capture_frames(task: SealedTask, capture: str) -> int:
    manifest = task.loaded()
    table = manifest.captures[capture]
    if table.count is not None:
        return table.count
    if isinstance(table.frames, tuple):
        return len(table.frames)
    folder = manifest.capture_folder(capture)
    try:
        listed = open_capture(folder, table.format, table.files).frames if folder else []
    except InputError:
        return 0
    return len(listed[frames_slice(table.frames)] if table.frames else listed)


def _calibration() -> dict[str, dict[str, float]]:
    """Figures of stage_costs.json: measured on a real capture of 150 frames of 640x480 px, two cores."""
    return dict(json.loads((Path(__file__).parent / "stage_costs.json").read_text()))
