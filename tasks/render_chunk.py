"""Blender's images of some frames of a capture: a task of its own, so that a killed build repeats no others."""

from pathlib import Path
from typing import Any

import luigi
import numpy as np

from pipeline.meshes import read_ply
from pipeline.store import FrameWriter
from renderers.blender import render_views
from renderers.views import RenderedView, View
from tasks.context import capture_frames, manifest_of
from tasks.foreground import Foreground
from tasks.fuse import MESH_FILE, Fuse
from tasks.inputs import FRAMES_FILE, Inputs, JoinedFrames
from tasks.job import Progress, StageResult
from tasks.stage import CaptureStage, SealedTask
from tasks.track import pose_stage, with_poses


class RenderChunk(CaptureStage):
    """One run of a capture's frames, in a Blender process of its own; `render` judges and merges them."""

    NAME = "render_chunk"
    chunk = luigi.Parameter(description="which run of the frames, such as 2-of-5")

    def upstream(self) -> dict[str, SealedTask]:
        return {"foreground": self.sibling(Foreground), "fuse": self.sibling(Fuse), **pose_stage(self)}

    def identity(self) -> dict[str, Any]:
        return {"chunk": self.chunk}

    def settings(self) -> dict[str, Any]:
        return {}  # those of `render` judge what comes out

    def place(self) -> Path:
        # A folder for each chunk, so that what lies there before is of the same frames.
        folder = self.loaded().folder / "stages" / self.NAME / f"{self.capture}.{self.chunk}"
        return folder / self.fingerprint()

    def share(self) -> float:
        """Of the capture's frames."""
        return 1 / self._place_in_line()[1]

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        size_px = inputs.manifest.dataset.image_size_px
        number, chunks = self._place_in_line()
        vertices, faces, _ = read_ply(inputs.folder("fuse") / MESH_FILE)
        fields = with_poses(self, {"foreground": ("K",), "fuse": ()})
        views = crop_views(inputs.joined(fields))
        mine = views[(number - 1) * len(views) // chunks : number * len(views) // chunks]
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            for rendered in render_views(
                vertices,
                faces,
                mine,
                height=size_px,
                width=size_px,
                threads=inputs.threads,
                memory_limit_gb=inputs.manifest.stages.render.memory_limit_gb,
                scratch_dir=part,
            ):
                writer.append(sample_of(rendered))
                progress(writer.samples, len(mine))
        return StageResult(samples=len(mine))

    def _place_in_line(self) -> tuple[int, int]:
        number, _, chunks = str(self.chunk).partition("-of-")
        return int(number), int(chunks)


def render_chunks(manifest: str, capture: str) -> list[RenderChunk]:
    """A capture's chunks: as many as its chosen frames fill, whichever of them are left out later."""
    chunk_frames = manifest_of(manifest).stages.render.chunk_frames
    count = max(1, -(-capture_frames(manifest, capture) // chunk_frames))
    return [
        RenderChunk(manifest=manifest, capture=capture, chunk=f"{number}-of-{count}")
        for number in range(1, count + 1)
    ]


def crop_views(frames: JoinedFrames) -> list[View]:
    """The crop's camera of every frame."""
    return [View(frame=int(row["frame"]), K=row["K"], world_from_cam=row["world_from_cam"]) for row in frames]


def sample_of(image: RenderedView) -> dict[str, Any]:
    """A rendered frame as fields."""
    return {
        "frame": np.int32(image.frame),
        "depth_m": image.depth_m,
        "mask": image.mask,
        "normal_rendered": image.normal,
    }


def image_of(sample: dict[str, Any]) -> RenderedView:
    """The frame that `sample_of` gave."""
    return RenderedView(
        frame=int(sample["frame"]),
        depth_m=sample["depth_m"],
        normal=sample["normal_rendered"],
        mask=sample["mask"],
    )
