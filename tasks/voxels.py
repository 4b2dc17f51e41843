"""The body as a volume that lines up with the picture (Jackson et al., ECCVW 2018, sections 3.2 and 6)."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bodies.model import default_body
from pipeline.cameras import invert_rigid, transform
from pipeline.prepared import Prepared
from pipeline.scan_files import Portrayable, read_portrayable
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
from tasks.portray import Portray
from tasks.scan import SCAN_FILE, Scan
from tasks.stage import CaptureStage, SealedTask

Surface = tuple[np.ndarray, np.ndarray]  # vertices (V 3) in the camera frame, metres, and faces (F 3)
SHAPES = {"occupancy_128": CUBE, "occupancy_128x256x96": TALL}


class Voxels(CaptureStage):
    """Occupancy in both shapes of the paper, each with the map from its voxels to the world."""

    NAME = "voxels"

    def upstream(self) -> dict[str, SealedTask]:
        if self._is_measured_scan():
            return {stage.NAME: self.sibling(stage) for stage in (Scan, Portray)}
        return bodies_upstream(self)

    def _is_measured_scan(self) -> bool:
        return self.table().is_scan and not self.table().is_drawn_scan

    def identity(self) -> dict[str, Any]:
        return {"seed": self.loaded().dataset.seed, "capture": self.capture}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        settings = inputs.manifest.stages.voxels
        scan = None
        if self._is_measured_scan():
            scan = read_portrayable(inputs.folder(Scan.NAME) / SCAN_FILE)
            frames = inputs.joined({Portray.NAME: ("K", "world_from_cam")})
        else:
            frames = inputs.joined(body_fields(self))
        size_px = inputs.manifest.dataset.image_size_px
        cut = []
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:

            def fill(row: dict[str, Any]) -> tuple[Prepared, float]:
                rng = stream(inputs.manifest.dataset.seed, "voxels", str(self.capture), int(row["frame"]))
                scale = float(rng.uniform(settings.scale_low, settings.scale_high))
                surface = _body(row) if scan is None else _scanned(scan, row)
                sample = _sample(row, surface, settings, size_px, scale)
                return writer.prepare(sample), float(sample["occupancy_128_share_cut"])

            for done, (sample, share_cut) in enumerate(frames.map(fill, threads=inputs.threads)):
                writer.append(sample)
                cut.append(share_cut)
                progress(done + 1, len(frames))
        stats = {"body outside of the cube, largest": figure(max(cut), "1")}
        return StageResult(samples=len(frames), stats=stats)


def _body(row: dict[str, Any]) -> Surface:
    return vertices_in_camera(row), default_body().faces


def _scanned(scan: Portrayable, row: dict[str, Any]) -> Surface:
    """A scan from a file is its own solid: nothing is known of a body below."""
    return transform(invert_rigid(row["world_from_cam"]), scan.vertices_m.astype(np.float64)), scan.faces


def _sample(
    row: dict[str, Any], surface: Surface, settings: VoxelsSettings, size_px: int, scale: float
) -> dict[str, Any]:
    vertices_cam_m, faces = surface
    depth_m = alignment_depth(vertices_cam_m, settings.align)
    grid = orthographic_grid if settings.grid == "orthographic" else frustum_grid
    made: dict[str, Any] = {"frame": np.int32(row["frame"]), "occupancy_scale": np.float32(scale)}
    for name, shape in SHAPES.items():
        cam_from_vox = grid(row["K"], depth_m, shape, size_px=size_px, scale=scale)
        part, first, share_cut = voxelise_part(
            vertices_cam_m, faces, cam_from_vox, shape, max_open_share=settings.max_open_share
        )
        made |= {
            name: pack_part(part, first, shape),
            f"{name}_world_from_vox": row["world_from_cam"] @ cam_from_vox,
            f"{name}_share_cut": np.float32(share_cut),
        }
    return made
