"""Fused depth to zero-median depth, base and detail."""

from pathlib import Path

import numpy as np

from pipeline.layers import split_base_detail, zero_median
from pipeline.spread import Spread, figure
from pipeline.store import FrameWriter
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
            for done, row in enumerate(frames):
                zeroed_m, median_m = zero_median(row["depth_m"], row["mask"])
                base_m, detail_m = split_base_detail(
                    zeroed_m,
                    row["mask"],
                    sigma_space_px=settings.sigma_space_px,
                    sigma_depth_m=settings.sigma_depth_m,
                    window_px=settings.window_px,
                )
                writer.append(
                    {
                        "frame": np.int32(row["frame"]),
                        "depth_median_m": np.float32(median_m),
                        "base_m": base_m,
                        "detail_m": detail_m,
                    }
                )
                spread.add(np.abs(detail_m[row["mask"]]))
                signed.add(detail_m[row["mask"]])
                progress(done + 1, len(frames))
        stats = {
            "detail, standard deviation": figure(signed.std(), "m"),
            "detail, p99 of |detail|": figure(spread.quantile(0.99), "m"),
            "detail, share over 5 cm": figure(spread.share_above(0.05), "1"),
        }
        return StageResult(samples=len(frames), stats=stats)
