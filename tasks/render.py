"""Fused mesh and cameras to depth, normals and mask by Blender, held against ray casting."""

from pathlib import Path

import numpy as np

from pipeline.meshes import read_ply
from pipeline.store import FrameWriter
from renderers.blender import render_views
from renderers.raycast import RaycastScene
from renderers.views import View
from tasks.agreement import Agreement
from tasks.foreground import Foreground
from tasks.fuse import MESH_FILE, Fuse
from tasks.inputs import FRAMES_FILE, Inputs, JoinedFrames
from tasks.job import Progress, StageResult
from tasks.stage import CaptureStage, SealedTask


class Render(CaptureStage):
    """The fused surface at every camera of the capture, on the crop."""

    NAME = "render"

    def upstream(self) -> dict[str, SealedTask]:
        return {"foreground": self.sibling(Foreground), "fuse": self.sibling(Fuse)}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        settings = inputs.manifest.stages.render
        size_px = inputs.manifest.dataset.image_size_px
        vertices, faces, _ = read_ply(inputs.folder("fuse") / MESH_FILE)
        frames = inputs.joined({"foreground": ("K", "world_from_cam"), "fuse": ()})
        views = crop_views(frames)
        scene = RaycastScene(vertices, faces, threads=inputs.threads)
        agreement = Agreement(self.NAME, str(self.capture), settings)
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            rendered_views = render_views(
                vertices,
                faces,
                views,
                height=size_px,
                width=size_px,
                threads=inputs.threads,
                memory_limit_gb=settings.memory_limit_gb,
                scratch_dir=part,
            )
            for done, (view, rendered) in enumerate(zip(views, rendered_views, strict=True)):
                cast_m = scene.visibility(view, height=size_px, width=size_px).depth_m
                if agreement.keeps(view.frame, rendered.depth_m, cast_m):
                    writer.append(
                        {
                            "frame": np.int32(view.frame),
                            "K": view.K,
                            "depth_m": rendered.depth_m,
                            "mask": rendered.mask,
                            "normal_rendered": rendered.normal,
                        }
                    )
                progress(done + 1, len(views))
            kept = writer.samples
        return StageResult(samples=kept, stats=agreement.figures(), quarantine=agreement.rows)


def crop_views(frames: JoinedFrames) -> list[View]:
    """The crop's camera of every frame."""
    return [View(frame=int(row["frame"]), K=row["K"], world_from_cam=row["world_from_cam"]) for row in frames]
