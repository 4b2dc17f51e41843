"""Fused depth to zero-median depth, base and detail."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cameras import Float32
from pipeline.layers import split_base_detail, zero_median
from pipeline.prepared import Prepared
from pipeline.spread import Spread, figure
from pipeline.store import FrameWriter
from pipeline.target_settings import LayersSettings
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.stage import CaptureStage, SealedTask
from tasks.surface import surface_of


class Layers(CaptureStage):
    """Tang 2019, eq. (1), on every frame of one capture."""

    NAME = "layers"
    VERSION = 2

    def upstream(self) -> dict[str, SealedTask]:
        surface = surface_of(self)
        return {surface.NAME: surface}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        settings = inputs.manifest.stages.layers
        frames = inputs.joined({surface_of(self).NAME: ("depth_m", "mask")})
        spread = Spread(low=0.0, high=1.0, bins=10_000)
        signed = Spread(low=-1.0, high=1.0, bins=2)
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:

            def split(row: dict[str, Any]) -> tuple[Prepared, Float32]:
                sample = _layers(row, settings)
                return writer.prepare(sample), sample["detail_m"][row["mask"]]

            for done, (sample, detail_m) in enumerate(frames.map(split, threads=inputs.threads)):
                writer.append(sample)
                spread.add(np.abs(detail_m))
                signed.add(detail_m)
                progress(done + 1, len(frames))
        stats = {
            "detail, standard deviation": figure(signed.std(), "m"),
            "detail, p99 of |detail|": figure(spread.quantile(0.99), "m"),
            "detail, share over 5 cm": figure(spread.share_above(0.05), "1"),
        }
        return StageResult(samples=len(frames), stats=stats)


def _layers(row: dict[str, Any], settings: LayersSettings) -> dict[str, Any]:
    zeroed_m, median_m = zero_median(row["depth_m"], row["mask"])
    base_m, detail_m = split_base_detail(
        zeroed_m,
        row["mask"],
        sigma_space_px=settings.sigma_space_px,
        sigma_depth_m=settings.sigma_depth_m,
        window_px=settings.window_px,
    )
    return {
        "frame": np.int32(row["frame"]),
        "depth_median_m": np.float32(median_m),
        "base_m": base_m,
        "detail_m": detail_m,
    }
