"""Raw capture to checked frames."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cameras import nearest_rigid
from pipeline.capture_tables import CaptureTable
from pipeline.captures.capture import Capture, Frame
from pipeline.captures.opening import open_capture
from pipeline.captures.tang2019 import shifted
from pipeline.errors import InputError, StageError
from pipeline.manifest import select_frames
from pipeline.quality import QuarantineRow
from pipeline.settings import IngestSettings
from pipeline.spread import figure
from pipeline.store import FrameWriter
from tasks.context import forget, raw_digest, without_places
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.simulate import RAW_FOLDER, Simulate
from tasks.stage import CaptureStage, SealedTask


class Ingest(CaptureStage):
    """Reads a raw capture frame by frame; what cannot be used becomes a quarantine row."""

    NAME = "ingest"

    def upstream(self) -> dict[str, SealedTask]:
        return {"simulate": self.sibling(Simulate)} if self.table().format == "simulated" else {}

    def identity(self) -> dict[str, Any]:
        table = self.table()
        read_as = table.model_dump(mode="json", include={"format", "files", "frames"})
        return {"raw": raw_digest(self.manifest, self.capture), **read_as}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        capture = open_raw(inputs)
        frames = chosen_frames(capture, inputs.capture)
        rows: list[QuarantineRow] = []
        rounding = 0.0
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            for done, number in enumerate(frames):
                frame = self._read(capture, number, inputs.manifest.stages.ingest, rows)
                if frame is not None:
                    sample = _sample(frame)
                    correction = np.abs(sample["world_from_cam"] - frame.world_from_cam).max()
                    rounding = max(rounding, float(correction))
                    writer.append(sample)
                progress(done + 1, len(frames))
            kept = writer.samples
        self._refuse_if_empty(kept, rows)
        self._refuse_if_changed(inputs)
        known = sorted(set(frames) & set(capture.frames))
        files = [path for path in capture.files(known) if path.is_file()]
        stats = {
            "largest pose correction to rigid": figure(rounding, "1"),
            "raw files": figure(len(files), "files"),
            "raw size": figure(sum(path.stat().st_size for path in files), "bytes"),
        }
        return StageResult(samples=kept, stats=stats, quarantine=rows)

    def _read(
        self, capture: Capture, number: int, settings: IngestSettings, rows: list[QuarantineRow]
    ) -> Frame | None:
        try:
            frame = capture.read(number)
        except InputError as error:
            message = without_places(str(error), self.loaded(), self.capture)
            rows.append(self._row(number, error.reason, message))
            return None
        if self.table().format == "tang2019":
            frame = replace(frame, depth_m=shifted(frame.depth_m, settings.tang2019_shift_px))
        share = float(np.count_nonzero(frame.depth_m) / frame.depth_m.size)
        least = settings.min_valid_share
        if share < least:
            message = (
                f"capture {self.capture}, frame {number}: at least {least:.1%} of the depth pixels "
                f"must be valid, {share:.1%} are. Left out; lower stages.ingest.min_valid_share to keep it."
            )
            rows.append(self._row(number, "too-little-depth", message, value=share, limit=least))
            return None
        return frame

    def _row(self, frame: int, reason: str, message: str, **measured: float) -> QuarantineRow:
        return QuarantineRow(
            capture=self.capture, stage=self.NAME, reason=reason, message=message, frame=frame, **measured
        )

    def _refuse_if_empty(self, kept: int, rows: list[QuarantineRow]) -> None:
        if kept == 0:
            reasons = ", ".join(sorted({row.reason for row in rows}))
            raise InputError(
                rows[0].reason,
                f"capture {self.capture}: at least one frame must be readable, none of {len(rows)} is "
                f"({reasons}). First: {rows[0].message}",
                rows=rows,
            )

    def _refuse_if_changed(self, inputs: Inputs) -> None:
        forget()
        planned = inputs.record["recipe"]["inputs"]["raw"]
        if raw_digest(self.manifest, self.capture) != planned:
            raise StageError("raw files must stay as they are during a build, changed. Build again.")


def open_raw(inputs: Inputs) -> Capture:
    """Open the capture where it lies: below the data root, or in the simulator's output."""
    table = inputs.capture
    folder = inputs.manifest.capture_folder(table.id)
    if folder is None:
        folder = inputs.folder("simulate") / RAW_FOLDER
        return open_capture(folder, "kinect2", None)
    return open_capture(folder, table.format, table.files)


def chosen_frames(capture: Capture, table: CaptureTable) -> list[int]:
    """Numbers of the frames that the manifest chooses, ascending; one that it lists need not be there.

    Raises:
        InputError: no-frames where it chooses none.
    """
    frames = select_frames(capture.frames, table.frames)
    if not frames:
        raise InputError(
            "no-frames",
            f"capture {table.id}: frames {table.frames!r} must choose some of {len(capture.frames)}, "
            "chooses none. Mend capture.frames.",
        )
    return frames


def _sample(frame: Frame) -> dict[str, Any]:
    sample = {
        "frame": np.int32(frame.frame),
        "timestamp_s": np.float64(frame.timestamp_s),
        "sensor_image": frame.image,
        "sensor_depth_m": frame.depth_m,
        "sensor_K": frame.K,
        "world_from_cam": nearest_rigid(frame.world_from_cam),
    }
    return sample if frame.mask is None else {**sample, "sensor_mask_given": frame.mask}
