"""A simulated capture: raw files as a Kinect writes them, and the truth beside them."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.seeds import stream
from pipeline.simulation.casting import draw_take
from pipeline.simulation.draping import read_hung
from pipeline.simulation.filming import film_take, vertex_rgb
from pipeline.simulation.kinect_writer import KinectFrame, write_kinect2_capture
from tasks.drape import CLOTH_FILE, Drape
from tasks.inputs import Inputs
from tasks.job import Progress, StageResult
from tasks.script import identity_of, script_of
from tasks.stage import CaptureStage, SealedTask

RAW_FOLDER = "raw"


class Simulate(CaptureStage):
    """A person drawn from the subject's own seed, filmed in a room by a virtual Kinect v2."""

    NAME = "simulate"
    VERSION = 2

    def upstream(self) -> dict[str, SealedTask]:
        return {Drape.NAME: self.sibling(Drape)} if self.table().has_simulated_cloth else {}

    def identity(self) -> dict[str, Any]:
        return identity_of(self)

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        seed = self.loaded().dataset.seed
        take = draw_take(seed, script_of(self))
        if inputs.has(Drape.NAME):
            take = replace(take, hanging_m=read_hung(inputs.folder(Drape.NAME) / CLOTH_FILE).at)
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
