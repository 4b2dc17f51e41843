"""Pictures of people with what was annotated on them: a square crop of each person, and its annotation moved along."""

from pathlib import Path
from typing import Any

from pipeline.annotated_crops import annotated_crop
from pipeline.errors import InputError
from pipeline.gates.annotated import annotation_findings
from pipeline.quality import QuarantineRow
from pipeline.spread import figure
from pipeline.store import FrameWriter
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.raw_stage import RawStage, chosen_frames, open_raw
from tasks.rows import refuse_if_empty, rejected_pictures, row_of, rows_of

ASSUMED_CAMERAS = "assumed cameras"  # a figure: samples whose set brings no intrinsics


class Annotated(RawStage):
    """The first stage of captures whose role is image; there is no depth, so nothing stands on it but bodies."""

    NAME = "annotated"
    VERSION = 2

    def identity(self) -> dict[str, Any]:
        size_px = self.loaded().dataset.image_size_px
        told = self.table().model_dump(mode="json", include={"foreground", "fov_deg"}, exclude_none=True)
        return {**super().identity(), **told, "image_size_px": size_px}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        capture = open_raw(inputs)
        frames = chosen_frames(capture, inputs.capture)
        size_px = inputs.manifest.dataset.image_size_px
        rows: list[QuarantineRow] = []
        assumed = 0
        with (
            FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer,
            rejected_pictures(part, self.capture) as rejected,
        ):
            for done, number in enumerate(frames):
                try:
                    frame = capture.read(number)
                except InputError as error:
                    rows.append(row_of(self, number, error.reason, str(error)))
                    continue
                findings = annotation_findings(
                    frame,
                    inputs.manifest.stages.annotated,
                    needs_mask=inputs.capture.foreground == "given",
                )
                if findings:
                    rejected.add(frame, findings[0].reason)
                else:
                    assumed += frame.K is None
                    table = inputs.capture
                    writer.append(annotated_crop(frame, table.foreground, size_px, fov_deg=table.fov_deg))
                rows += rows_of(self, findings)
                progress(done + 1, len(frames))
            kept = writer.samples
        refuse_if_empty(self.capture, kept, rows)
        stats = {
            "frames chosen": figure(len(frames), "frames"),
            ASSUMED_CAMERAS: figure(assumed, "frames"),
            **self.raw_figures(capture, frames),
        }
        return StageResult(samples=kept, stats=stats, quarantine=rows)
