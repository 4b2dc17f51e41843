"""Ingested frames to the subject's mask and square crop."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cameras import crop_resize
from pipeline.capture_tables import CaptureTable
from pipeline.captures.capture import Frame
from pipeline.foreground import ForegroundKind, crop_box
from pipeline.foreground_screening import ForegroundScreening, empty_among, learned_finder
from pipeline.gates.finding import Finding
from pipeline.in_order import in_order
from pipeline.prepared import Prepared
from pipeline.quality import QuarantineRow
from pipeline.settings import ForegroundSettings
from pipeline.spread import figure
from pipeline.store import FrameReader, FrameWriter
from tasks.ingest import Ingest
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.rows import refuse_if_empty, rejected_pictures, rows_of
from tasks.stage import CaptureStage, SealedTask

_Seen = tuple[dict[str, Any], np.ndarray | None, list[Finding]]  # a frame's fields, its mask, what was found


class Foreground(CaptureStage):
    """Mask at the sensor's resolution; image, depth and intrinsics of the crop."""

    NAME = "foreground"
    VERSION = 3

    def upstream(self) -> dict[str, SealedTask]:
        return {"ingest": self.sibling(Ingest)}

    def identity(self) -> dict[str, Any]:
        told = self.table().model_dump(
            mode="json", include={"foreground", "person", "empty_frames", "camera"}, exclude_none=True
        )
        return {**told, "image_size_px": self.loaded().dataset.image_size_px}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        settings, table = inputs.manifest.stages.foreground, inputs.capture
        size_px = inputs.manifest.dataset.image_size_px
        rows: list[QuarantineRow] = []
        with (
            inputs.frames("ingest") as ingested,
            FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer,
            rejected_pictures(part, self.capture) as rejected,
        ):
            numbers: list[int] = ingested.column("frame").tolist()
            left_out = [QuarantineRow(**row) for row in inputs.stage_record("ingest")["quarantine"]]
            # A gap is told under the frame after it, which need not be a chosen one.
            lost = {row.frame for row in left_out if row.frame is not None and row.drops}
            chosen = sorted(lost.union(numbers))
            empty = empty_among(chosen, table.empty_frames)
            screening = _screening(ingested, chosen, table, settings)

            def read(at: int) -> dict[str, Any]:
                return ingested.row(at, ingested.fields)

            def seen() -> Iterator[_Seen]:
                # Frames are judged in their order: some finders follow a person from one to the next.
                for row in in_order(read, range(len(ingested)), threads=inputs.threads):
                    mask, findings = (None, []) if int(row["frame"]) in empty else screening.see(_frame(row))
                    yield row, mask, findings

            def cut(judged: _Seen) -> tuple[_Seen, Prepared | None]:
                row, mask, findings = judged
                if mask is None or any(finding.drops for finding in findings):
                    return judged, None
                return judged, writer.prepare(_crop(row, mask, table.foreground, size_px))

            judged_frames = in_order(cut, seen(), threads=inputs.threads)
            for done, ((row, _, findings), sample) in enumerate(judged_frames):
                if sample is not None:
                    writer.append(sample)
                elif findings:
                    rejected.add(_frame(row), findings[0].reason)
                rows += rows_of(self, findings)
                progress(done + 1, len(ingested))
            kept = writer.samples
        # Where no frame with anybody came through ingest, its rows say why.
        refuse_if_empty(self.capture, kept, rows or [row for row in left_out if row.frame not in empty])
        stats = {"empty frames": figure(len(empty), "frames")} if empty else {}
        return StageResult(samples=kept, stats=stats, quarantine=rows)


def _screening(
    ingested: FrameReader, chosen: list[int], table: CaptureTable, settings: ForegroundSettings
) -> ForegroundScreening:
    if table.foreground != "person":
        return ForegroundScreening(table.foreground, settings, None)
    row_of = {number: row for row, number in enumerate(ingested.column("frame").tolist())}

    def read(number: int) -> Frame | None:
        return _frame(ingested.row(row_of[number], ingested.fields)) if number in row_of else None

    finder = learned_finder(
        read,
        chosen,
        empty_frames=table.empty_frames,
        person=table.person,
        camera=table.camera,
        cameras=table.camera_count,
    )
    return ForegroundScreening(table.foreground, settings, finder)


def _frame(row: dict[str, Any]) -> Frame:
    return Frame(
        frame=int(row["frame"]),
        timestamp_s=float(row["timestamp_s"]),
        image=row.get("sensor_image"),
        depth_m=row["sensor_depth_m"],
        K=row["sensor_K"],
        world_from_cam=row.get("world_from_cam"),
        mask=row.get("sensor_mask_given"),
    )


def _crop(row: dict[str, Any], mask: np.ndarray, kind: ForegroundKind, size_px: int) -> dict[str, Any]:
    maps = {"depth_raw_m": np.where(mask, row["sensor_depth_m"], np.float32(0))}
    if "sensor_image" in row:
        maps["image"] = row["sensor_image"]
    crop, K = crop_resize(maps, row["sensor_K"], crop_box(mask, kind), size_px, depths=("depth_raw_m",))
    kept = {name: row[name] for name in ("frame", "timestamp_s", "world_from_cam") if name in row}
    return {**crop, **kept, "K": K, "sensor_mask": mask}
