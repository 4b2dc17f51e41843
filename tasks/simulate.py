"""A simulated capture: raw files as a Kinect writes them, and the truth beside them."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.seeds import stream
from pipeline.simulation.casting import Script, draw_take
from pipeline.simulation.filming import film_take, vertex_rgb
from pipeline.simulation.kinect_writer import TRUTH_FOLDER, KinectFrame, write_kinect2_capture
from tasks.inputs import Inputs
from tasks.job import Progress, StageResult
from tasks.stage import CaptureStage

__all__ = ["RAW_FOLDER", "TRUTH_FOLDER", "Simulate"]

RAW_FOLDER = "raw"


class Simulate(CaptureStage):
    """A person drawn from the subject's own seed, filmed in a room by a virtual Kinect v2."""

    NAME = "simulate"
    VERSION = 2

    def identity(self) -> dict[str, Any]:
        table = self.table()
        seed = self.loaded().dataset.seed
        script = {key: getattr(table, key) for key in ("subject", "outfit", "pose", "count")}
        return {"seed": seed, "capture": self.capture, **script, **table.simulated.model_dump(mode="json")}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        identity = self.identity()
        seed = identity.pop("seed")
        distance_m = inputs.manifest.stages.simulate.radius_m
        take = draw_take(seed, Script(**identity, distance_m=distance_m))
        count = len(take.times.depth_s) * len(take.paths)

        def counted(frame: KinectFrame) -> KinectFrame:
            progress(frame.frame + 1, count)
            return frame

        draw = partial(_stream, seed, self.capture)
        write_kinect2_capture(
            part / RAW_FOLDER,
            map(counted, film_take(take, draw, threads=inputs.threads)),
            take.calibration,
            faces=take.wardrobe.faces,
            vertex_rgb=vertex_rgb(take.wardrobe),
        )
        return StageResult(samples=count)


def _stream(seed: int, capture: str, purpose: str, frame: int | None) -> np.random.Generator:
    return stream(seed, f"simulate {purpose}", capture, frame)
