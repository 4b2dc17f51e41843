"""The body as a volume that lines up with the picture (Jackson et al., ECCVW 2018, sections 3.2 and 6)."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bodies.model import default_body
from pipeline.prepared import Prepared
from pipeline.seeds import stream
from pipeline.settings import VoxelsSettings
from pipeline.spread import figure
from pipeline.store import FrameWriter
from pipeline.voxels.grids import CUBE, TALL, alignment_depth, frustum_grid, orthographic_grid
from pipeline.voxels.packing import pack_part
from pipeline.voxels.voxelise import voxelise_part
from tasks.bodies import bodies_upstream, body_fields
from tasks.body import vertices_in_camera
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.stage import CaptureStage, SealedTask

SHAPES = {"occupancy_128": CUBE, "occupancy_128x256x96": TALL}


class Voxels(CaptureStage):
    """Occupancy in both shapes of the paper, each with the map from its voxels to the world."""

    NAME = "voxels"

    def upstream(self) -> dict[str, SealedTask]:
        return bodies_upstream(self)

    def identity(self) -> dict[str, Any]:
        return {"seed": self.loaded().dataset.seed, "capture": self.capture}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        settings = inputs.manifest.stages.voxels
        frames = inputs.joined(body_fields(self))
        size_px = inputs.manifest.dataset.image_size_px
        cut = []
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:

            def fill(row: dict[str, Any]) -> tuple[Prepared, float]:
                rng = stream(inputs.manifest.dataset.seed, "voxels", str(self.capture), int(row["frame"]))
                scale = float(rng.uniform(settings.scale_low, settings.scale_high))
                sample = _sample(row, settings, size_px, scale)
                return writer.prepare(sample), float(sample["occupancy_128_share_cut"])

            for done, (sample, share_cut) in enumerate(frames.map(fill, threads=inputs.threads)):
                writer.append(sample)
                cut.append(share_cut)
                progress(done + 1, len(frames))
        stats = {"body outside of the cube, largest": figure(max(cut), "1")}
        return StageResult(samples=len(frames), stats=stats)


def _sample(row: dict[str, Any], settings: VoxelsSettings, size_px: int, scale: float) -> dict[str, Any]:
    vertices_cam_m = vertices_in_camera(row)
    depth_m = alignment_depth(vertices_cam_m, settings.align)
    grid = orthographic_grid if settings.grid == "orthographic" else frustum_grid
    made: dict[str, Any] = {"frame": np.int32(row["frame"]), "occupancy_scale": np.float32(scale)}
    for name, shape in SHAPES.items():
        cam_from_vox = grid(row["K"], depth_m, shape, size_px=size_px, scale=scale)
        part, first, share_cut = voxelise_part(
            vertices_cam_m, default_body().faces, cam_from_vox, shape, max_open_share=settings.max_open_share
        )
        made |= {
            name: pack_part(part, first, shape),
            f"{name}_world_from_vox": row["world_from_cam"] @ cam_from_vox,
            f"{name}_share_cut": np.float32(share_cut),
        }
    return made
