"""Ingested frames to the subject's mask and square crop."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cameras import crop_resize
from pipeline.captures.capture import Frame
from pipeline.errors import GateError, InputError
from pipeline.foreground import ForegroundKind, crop_box, foreground_mask
from pipeline.quality import QuarantineRow
from pipeline.store import FrameWriter
from tasks.ingest import Ingest
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.stage import CaptureStage, SealedTask


class Foreground(CaptureStage):
    """Mask at the sensor's resolution; image, depth and intrinsics of the crop."""

    NAME = "foreground"

    def upstream(self) -> dict[str, SealedTask]:
        return {"ingest": self.sibling(Ingest)}

    def identity(self) -> dict[str, Any]:
        size_px = self.loaded().dataset.image_size_px
        return {"foreground": self.table().foreground, "image_size_px": size_px}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        least_px = inputs.manifest.stages.foreground.min_foreground_px
        rows: list[QuarantineRow] = []
        with (
            inputs.frames("ingest") as ingested,
            FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer,
        ):
            for done, row in enumerate(ingested.rows(ingested.fields)):
                mask = self._mask(row, inputs.capture.foreground, least_px, rows)
                if mask is not None:
                    size_px = inputs.manifest.dataset.image_size_px
                    writer.append(_crop(row, mask, inputs.capture.foreground, size_px))
                progress(done + 1, len(ingested))
            kept = writer.samples
        if kept == 0:
            wanted = f"at least one frame must show {least_px} px of foreground"
            limit = float(least_px)
            raise GateError.none_passed(f"capture {self.capture}: {wanted}", rows, unit="px", limit=limit)
        return StageResult(samples=kept, quarantine=rows)

    def _mask(
        self, row: dict[str, Any], kind: ForegroundKind, least_px: int, rows: list[QuarantineRow]
    ) -> np.ndarray | None:
        """The frame's mask; None, and a row, where it shows too little."""
        frame = int(row["frame"])
        try:
            mask = foreground_mask(_frame(row), kind)
        except InputError as error:
            rows.append(self._row(frame, error.reason, str(error)))
            return None
        count_px = int(np.count_nonzero(mask))
        if count_px >= least_px:
            return mask
        message = (
            f"capture {self.capture}, frame {frame}: foreground must have at least {least_px} px, has "
            f"{count_px} px. Left out; lower stages.foreground.min_foreground_px to keep it."
        )
        measured = {"value": float(count_px), "unit": "px", "limit": float(least_px)}
        rows.append(self._row(frame, "too-little-foreground", message, **measured))
        return None

    def _row(self, frame: int, reason: str, message: str, **measured: Any) -> QuarantineRow:
        return QuarantineRow(
            capture=self.capture, stage=self.NAME, reason=reason, message=message, frame=frame, **measured
        )


def _frame(row: dict[str, Any]) -> Frame:
    return Frame(
        frame=int(row["frame"]),
        timestamp_s=float(row["timestamp_s"]),
        image=row["sensor_image"],
        depth_m=row["sensor_depth_m"],
        K=row["sensor_K"],
        world_from_cam=row["world_from_cam"],
        mask=row.get("sensor_mask_given"),
    )


def _crop(row: dict[str, Any], mask: np.ndarray, kind: ForegroundKind, size_px: int) -> dict[str, Any]:
    depth_m = np.where(mask, row["sensor_depth_m"], np.float32(0))
    box_px = crop_box(mask, kind)
    crop, K = crop_resize(
        {"image": row["sensor_image"], "depth_raw_m": depth_m}, row["sensor_K"], box_px, size_px
    )
    return {
        **crop,
        "K": K,
        "frame": row["frame"],
        "timestamp_s": row["timestamp_s"],
        "world_from_cam": row["world_from_cam"],
        "sensor_mask": mask,
    }
