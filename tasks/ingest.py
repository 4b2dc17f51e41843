"""Raw capture to checked frames."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cameras import nearest_rigid
from pipeline.capture_tables import CaptureTable
from pipeline.captures.capture import Capture, Frame
from pipeline.quality import QuarantineRow
from pipeline.screening import Screening
from pipeline.settings import IngestSettings
from pipeline.spread import figure
from pipeline.store import FrameWriter
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.raw_stage import RawStage, chosen_frames, open_raw
from tasks.rows import refuse, refuse_if_empty, rejected_pictures, rows_of
from tasks.simulate import Simulate
from tasks.stage import SealedTask


class Ingest(RawStage):
    """Reads a raw capture frame by frame; what cannot be used becomes a quarantine row."""

    NAME = "ingest"
    VERSION = 3

    def upstream(self) -> dict[str, SealedTask]:
        return {"simulate": self.sibling(Simulate)} if self.table().format == "simulated" else {}

    def identity(self) -> dict[str, Any]:
        poses = self.table().model_dump(mode="json", include={"poses"}, exclude_defaults=True)
        return {**super().identity(), "masked": self.table().foreground == "given", **poses}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        capture = open_raw(inputs)
        frames = chosen_frames(capture, inputs.capture)
        screening = screening_of(capture, inputs.capture, inputs.manifest.stages.ingest)
        rows: list[QuarantineRow] = []
        rounding = 0.0
        with (
            FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer,
            rejected_pictures(part, self.capture) as rejected,
        ):
            for done, screened in enumerate(screening.frames(frames)):
                frame = screened.frame
                if frame is not None and not screened.dropped:
                    if inputs.capture.poses == "tracked":
                        frame = replace(frame, world_from_cam=None)
                    sample = sample_of(frame, masked=inputs.capture.foreground == "given")
                    if frame.world_from_cam is not None:
                        correction = np.abs(sample["world_from_cam"] - frame.world_from_cam).max()
                        rounding = max(rounding, float(correction))
                    writer.append(sample)
                elif frame is not None:
                    rejected.add(frame, screened.findings[0].reason)
                rows += rows_of(self, screened.findings)
                progress(done + 1, len(frames))
            kept = writer.samples
        of_capture = screening.of_capture()
        rows += rows_of(self, of_capture)
        refuse(self, of_capture, rows)
        refuse_if_empty(self.capture, kept, rows)
        self.refuse_if_changed(inputs)
        stats = {
            "frames chosen": figure(len(frames), "frames"),
            "largest pose correction to rigid": figure(rounding, "1"),
            **self.raw_figures(capture, frames),
        }
        return StageResult(samples=kept, stats=stats, quarantine=rows)


def screening_of(capture: Capture, table: CaptureTable, settings: IngestSettings) -> Screening:
    """The checks that a capture's frames go through, as its format and role ask for."""
    return Screening(
        capture,
        settings,
        needs_poses=table.role == "static" and table.poses == "given",
        needs_masks=table.foreground == "given",
        recorded=table.role != "fused",
        shift_px=settings.tang2019_shift_px if table.format == "tang2019" else 0,
        cameras=table.camera_count,
        max_camera_skew_s=None if table.rig is None else table.rig.max_time_skew_s,
    )


def sample_of(frame: Frame, *, masked: bool) -> dict[str, Any]:
    """What is written of a frame that passed.

    Args:
        masked: whether the capture's own mask is the foreground.
    """
    sample: dict[str, Any] = {
        "frame": np.int32(frame.frame),
        "timestamp_s": np.float64(frame.timestamp_s),
        "sensor_depth_m": frame.depth_m,
        "sensor_K": frame.K,
    }
    # What a capture does not bring is no field: no pose is not the identity, no colour is not black.
    if frame.world_from_cam is not None:
        sample["world_from_cam"] = nearest_rigid(frame.world_from_cam)
    if frame.image is not None:
        sample["sensor_image"] = frame.image
    if masked:
        sample["sensor_mask_given"] = frame.mask
    return sample
