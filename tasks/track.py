"""Where the camera stood in each frame of a static capture that brings no poses."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cameras import LEVEL
from pipeline.fusion.tracking import FrameRecord, TrackFrame, TrackSettings
from pipeline.fusion.tracking import Track as Tracked
from pipeline.fusion.tracking.track import track
from pipeline.spread import figure
from pipeline.store import FrameWriter
from tasks.foreground import Foreground
from tasks.ingest import Ingest
from tasks.inputs import FRAMES_FILE, Inputs, JoinedFrames
from tasks.job import Progress, StageResult
from tasks.rows import refuse, refuse_if_empty, rows_of
from tasks.stage import CaptureStage, SealedTask


class Track(CaptureStage):
    """Poses of all frames that can be placed; the others are left out with the figures that say why."""

    NAME = "track"

    def upstream(self) -> dict[str, SealedTask]:
        return {"ingest": self.sibling(Ingest), "foreground": self.sibling(Foreground)}

    def identity(self) -> dict[str, Any]:
        return {"foreground": self.table().foreground}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        told = inputs.manifest.stages.track
        settings = TrackSettings(**told.model_dump(), memory_limit_gb=told.memory_limit_gb)
        colour = ("sensor_image",) if "sensor_image" in inputs.fields("ingest") else ()
        ingested = ("sensor_depth_m", "sensor_K", *colour)
        frames = inputs.joined({"ingest": ingested, "foreground": ("sensor_mask",)})
        # The world is the first camera's, turned so that +Y is up where that camera was held level.
        unplaced = _Unplaced(frames, masked=inputs.capture.foreground != "all")
        found = track(unplaced, settings, start=LEVEL)
        rows = rows_of(self, found.findings)
        refuse(self, found.findings, rows)
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            for done, (record, pose) in enumerate(zip(found.records, found.world_from_cam, strict=True)):
                if record.found:
                    writer.append(_sample(record, pose))
                progress(done + 1, len(frames))
            kept = writer.samples
        refuse_if_empty(str(self.capture), kept, rows)
        return StageResult(samples=kept, stats=_figures(found, settings), quarantine=rows)


def pose_stage(stage: CaptureStage) -> dict[str, SealedTask]:
    """The stage that finds a filmed capture's poses, by its name; none where the frames bring them."""
    return {Track.NAME: stage.sibling(Track)} if stage.table().poses == "tracked" else {}


def with_poses(stage: CaptureStage, fields: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The fields of a filmed capture, by stage, and `world_from_cam` from the one that brings it."""
    if stage.table().poses == "tracked":
        return {**fields, Track.NAME: ("world_from_cam",)}
    return {**fields, "foreground": (*fields.get("foreground", ()), "world_from_cam")}


class _Unplaced:
    """The frames of a capture without poses, decoded when asked for."""

    def __init__(self, frames: JoinedFrames, *, masked: bool) -> None:
        self._frames, self._masked = frames, masked

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> TrackFrame:
        row = self._frames[index]
        return TrackFrame(
            frame=int(row["frame"]),
            depth_m=row["sensor_depth_m"],
            mask=row["sensor_mask"] if self._masked else None,
            rgb=row.get("sensor_image"),
            K=row["sensor_K"],
        )


def _sample(record: FrameRecord, world_from_cam: np.ndarray) -> dict[str, Any]:
    return {
        "frame": np.int32(record.frame),
        "world_from_cam": world_from_cam,
        "track_residual_m": np.float32(record.residual_m if np.isfinite(record.residual_m) else -1),
        "track_fitness": np.float32(record.fitness if np.isfinite(record.fitness) else -1),
        "track_sigma_m": np.float32(record.sigma_m),
        "track_sigma_rad": np.float32(record.sigma_rad),
        "track_keyframe": np.bool_(record.keyframe),
        "track_loop_edges": np.int32(record.loop_edges),
    }


def _figures(found: Tracked, settings: TrackSettings) -> dict[str, dict[str, Any]]:
    residuals_m = [record.residual_m for record in found.records if np.isfinite(record.residual_m)]
    stats = {
        "tracked frames": figure(float(np.mean(found.found)), "1"),
        "tracking residual, median": figure(
            float(np.median(residuals_m)) if residuals_m else None, "m", limit=settings.max_residual_m
        ),
        "keyframes": figure(sum(record.keyframe for record in found.records), "frames"),
        "camera path": figure(found.path_m, "m"),
        "loop ties": figure(found.loops, "1"),
    }
    if found.loops:
        stats |= {
            "loop error before, median": figure(found.loop_before_m, "m"),
            "loop error after, median": figure(found.loop_after_m, "m"),
            "loop turn before, median": figure(found.loop_before_rad, "rad"),
            "loop turn after, median": figure(found.loop_after_rad, "rad"),
        }
    return stats
