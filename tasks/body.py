"""The body in each frame: parameters, joints, parts and charts, from the truth of a simulated capture."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bodies.model import default_body
from pipeline.cameras import invert_rigid, transform
from pipeline.captures.truth import read_truth
from pipeline.motion.pairs import silhouette_iou
from pipeline.simulation.kinect_writer import TRUTH_FOLDER
from pipeline.simulation.label_view import bare_figure, label_view
from pipeline.spread import figure
from pipeline.store import FrameWriter
from tasks.foreground import Foreground
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.simulate import RAW_FOLDER, Simulate
from tasks.stage import CaptureStage, SealedTask

BODY = ("body_pose_rad", "body_betas", "body_transl_m")
SILHOUETTES = "body silhouette against the measured person, median"


class Body(CaptureStage):
    """Labels are of the skin below the clothes, so they end where the body ends and not where the mask does."""

    NAME = "body"

    def upstream(self) -> dict[str, SealedTask]:
        stages = [self.sibling(Simulate), self.sibling(Foreground)]
        return {stage.NAME: stage for stage in stages}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        known = read_truth(inputs.folder("simulate") / RAW_FOLDER / TRUTH_FOLDER)
        frames = inputs.joined({"foreground": ("K", "world_from_cam", "depth_raw_m")})
        size_px = inputs.manifest.dataset.image_size_px
        overlap = []
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            for done, row in enumerate(frames):
                at = known.frames.index(int(row["frame"]))
                parameters = {
                    "body_pose_rad": known.pose_rad[at],
                    "body_betas": known.betas[at],
                    "body_transl_m": known.transl_m[at],
                }
                sample = body_sample(parameters, row["K"], row["world_from_cam"], size_px)
                overlap.append(silhouette_iou(sample["body_depth_m"] > 0, row["depth_raw_m"] > 0))
                writer.append({"frame": np.int32(row["frame"]), **sample})
                progress(done + 1, len(frames))
        stats = {SILHOUETTES: figure(float(np.median(overlap)), "1")}
        return StageResult(samples=len(frames), stats=stats)


def body_sample(
    parameters: dict[str, np.ndarray], K: np.ndarray, world_from_cam: np.ndarray, size_px: int
) -> dict[str, Any]:
    """Fields of a sample's body: its parameters, as `BODY` names them, and what a camera sees of it, bare."""
    figure_m = bare_figure(default_body(), *(parameters[name] for name in BODY))
    _, labels = label_view(figure_m, K, world_from_cam, size_px=size_px)
    del labels["mask"]  # body_depth_m has it
    labels["body_depth_m"] = labels.pop("depth_m")
    return {**parameters, **labels}


def vertices_in_camera(row: dict[str, Any]) -> np.ndarray:
    """Vertices (V 3) of a sample's body in its camera's frame, metres."""
    return transform(invert_rigid(row["world_from_cam"]), posed_row(row)[1])


def posed_row(row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Joints (24 3) and vertices (V 3) of a sample's body in the world, metres."""
    posed = default_body().posed(row["body_pose_rad"][None], row["body_betas"], row["body_transl_m"])
    return posed.joints_m[0], posed.vertices_m[0]
