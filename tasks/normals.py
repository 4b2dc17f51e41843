"""Fused depth to least-squares normals."""

from pathlib import Path

import numpy as np

from pipeline.comparison import angle_rad
from pipeline.normals import normals_from_depth
from pipeline.spread import Spread, figure
from pipeline.store import FrameWriter
from tasks.adopt import Adopt
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.stage import CaptureStage, SealedTask
from tasks.surface import surface_of


class Normals(CaptureStage):
    """Tang 2019, section 6.1, on every frame of one capture; compared with the rendered normals.

    Of scans too, whose rendered normals are exact: a network that is trained on both must find the same
    smoothing by the same window in `normal`, wherever the depth came from.
    """

    NAME = "normals"
    VERSION = 2

    def upstream(self) -> dict[str, SealedTask]:
        surface = surface_of(self)
        return {surface.NAME: surface}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        settings = inputs.manifest.stages.normals
        surface = surface_of(self).NAME
        rendered = () if surface == Adopt.NAME else ("normal_rendered",)
        frames = inputs.joined({surface: ("depth_m", "mask", "K", *rendered)})
        angles = Spread(low=0.0, high=np.pi, bins=3600)
        fitted = masked = 0
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            for done, row in enumerate(frames):
                normal, residual_m = normals_from_depth(
                    row["depth_m"],
                    row["mask"],
                    row["K"],
                    window_px=settings.window_px,
                    max_step_m=settings.max_step_m,
                )
                writer.append(
                    {"frame": np.int32(row["frame"]), "normal": normal, "normal_residual_m": residual_m}
                )
                if rendered:
                    both = normal.any(axis=-1) & row["normal_rendered"].any(axis=-1)
                    angles.add(angle_rad(normal[both], row["normal_rendered"][both]))
                fitted += int(np.count_nonzero(normal.any(axis=-1)))
                masked += int(np.count_nonzero(row["mask"]))
                progress(done + 1, len(frames))
        stats = {"pixels with a normal": figure(fitted / masked, "1")}
        if rendered:
            stats["fitted against rendered normals, median"] = figure(angles.quantile(0.5), "rad")
            stats["fitted against rendered normals, p90"] = figure(angles.quantile(0.9), "rad")
        return StageResult(samples=len(frames), stats=stats)
