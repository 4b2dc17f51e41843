"""Captures whose depth is taken as it is: the trusted pixels of the crop become the surface."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.adoption import trusted_mask
from pipeline.errors import GateError
from pipeline.prepared import Prepared
from pipeline.quality import QuarantineRow
from pipeline.settings import AdoptSettings
from pipeline.spread import figure
from pipeline.store import FrameWriter
from tasks.foreground import Foreground
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.stage import CaptureStage, SealedTask


class Adopt(CaptureStage):
    """Takes the place of fusion and rendering where `role` is moving or fused."""

    NAME = "adopt"

    def upstream(self) -> dict[str, SealedTask]:
        return {"foreground": self.sibling(Foreground)}

    def identity(self) -> dict[str, Any]:
        return {"role": self.table().role}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        settings = inputs.manifest.stages.adopt
        frames = inputs.joined({"foreground": ("depth_raw_m", "K")})
        moving = self.table().role == "moving"
        rows: list[QuarantineRow] = []
        kept_px = valid_px = 0
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:

            def trusted(row: dict[str, Any]) -> tuple[int, int, int, Prepared | None]:
                sample = _adopted(row, settings, moving=moving)
                count_px = int(np.count_nonzero(sample["mask"]))
                prepared = writer.prepare(sample) if count_px >= settings.min_mask_px else None
                return int(row["frame"]), count_px, int(np.count_nonzero(row["depth_raw_m"])), prepared

            for done, (frame, count_px, given_px, sample) in enumerate(
                frames.map(trusted, threads=inputs.threads)
            ):
                if sample is None:
                    rows.append(self._too_little(frame, count_px, settings.min_mask_px))
                else:
                    kept_px += count_px
                    valid_px += given_px
                    writer.append(sample)
                progress(done + 1, len(frames))
            samples = writer.samples
        if samples == 0:
            wanted = f"at least one frame must hold {settings.min_mask_px} trusted px"
            limit = float(settings.min_mask_px)
            raise GateError.none_passed(f"capture {self.capture}: {wanted}", rows, unit="px", limit=limit)
        stats = {"trusted share of the given depth": figure(kept_px / valid_px, "1")}
        return StageResult(samples=samples, stats=stats, quarantine=rows)

    def _too_little(self, frame: int, count_px: int, least_px: int) -> QuarantineRow:
        return QuarantineRow(
            capture=self.capture,
            stage=self.NAME,
            reason="too-little-depth",
            message=f"capture {self.capture}, frame {frame}: the largest piece of depth must have {least_px} px after "
            f"erosion, has {count_px} px. Left out; lower stages.adopt.min_mask_px or erode_px to keep it.",
            frame=frame,
            value=float(count_px),
            unit="px",
            limit=float(least_px),
        )


def _adopted(row: dict[str, Any], settings: AdoptSettings, *, moving: bool) -> dict[str, Any]:
    mask = trusted_mask(
        row["depth_raw_m"],
        erode_px=settings.erode_px,
        max_from_median_m=settings.max_from_median_m,
        least_piece_share=settings.least_piece_share if moving else 1.0,
    )
    return {
        "frame": np.int32(row["frame"]),
        "K": row["K"],
        "mask": mask,
        "depth_m": np.where(mask, row["depth_raw_m"], np.float32(0)),
        # There is nothing that this depth could be held against.
        "fused_residual_m": np.float32(-1),
        "fused_coverage": np.float32(-1),
    }
