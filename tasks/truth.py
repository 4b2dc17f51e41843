"""Fused depth and normals of a simulated capture held against the known surface."""

from pathlib import Path

import numpy as np

from pipeline.cameras import invert_rigid
from pipeline.comparison import angle_rad, depth_difference
from pipeline.meshes import read_ply
from pipeline.spread import Spread, figure
from pipeline.store import FrameWriter
from pipeline.visibility import normals_from_visibility, vertex_normals
from renderers.raycast import RaycastScene
from renderers.views import View
from tasks.foreground import Foreground
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.normals import Normals
from tasks.render import Render
from tasks.simulate import TRUTH_MESH, Simulate
from tasks.stage import CaptureStage, SealedTask


class Truth(CaptureStage):
    """Scores by ray casting the true surface, which no stage under test has touched."""

    NAME = "truth"

    def upstream(self) -> dict[str, SealedTask]:
        stages = (Simulate, Foreground, Render, Normals)
        return {stage.NAME: self.sibling(stage) for stage in stages}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        vertices, faces, _ = read_ply(inputs.folder("simulate") / TRUTH_MESH)
        scene = RaycastScene(vertices, faces, threads=inputs.threads)
        normals_world = vertex_normals(vertices, faces)
        size_px = inputs.manifest.dataset.image_size_px
        frames = inputs.joined(
            {"foreground": ("K", "world_from_cam"), "render": ("depth_m",), "normals": ("normal",)}
        )
        signed = Spread(low=-0.05, high=0.05, bins=10_000)
        absolute = Spread(low=0.0, high=0.05, bins=5_000)
        angles = Spread(low=0.0, high=np.pi, bins=3600)
        missed_px = true_px = 0
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            for done, row in enumerate(frames):
                view = View(frame=row["frame"], K=row["K"], world_from_cam=row["world_from_cam"])
                seen = scene.visibility(view, height=size_px, width=size_px)
                normal = normals_from_visibility(
                    seen.face_index,
                    seen.bary,
                    vertices=vertices,
                    faces=faces,
                    normals_world=normals_world,
                    cam_from_world=invert_rigid(view.world_from_cam),
                )
                error_m, _ = depth_difference(row["depth_m"], seen.depth_m)
                both = row["normal"].any(axis=-1) & normal.any(axis=-1)
                error_rad = angle_rad(row["normal"][both], normal[both])
                signed.add(error_m)
                absolute.add(np.abs(error_m))
                angles.add(error_rad)
                true_px += int(np.count_nonzero(seen.depth_m))
                missed_px += int(np.count_nonzero((seen.depth_m > 0) & (row["depth_m"] == 0)))
                writer.append(
                    {
                        "frame": np.int32(view.frame),
                        "depth_truth_m": seen.depth_m,
                        "truth_depth_error_m": _median(np.abs(error_m)),
                        "truth_normal_error_rad": _median(error_rad),
                    }
                )
                progress(done + 1, len(frames))
        stats = {
            "truth depth error, median": figure(absolute.quantile(0.5), "m"),
            "truth depth error, p90": figure(absolute.quantile(0.9), "m"),
            "truth depth bias, mean": figure(signed.mean(), "m"),
            "truth normal error, median": figure(angles.quantile(0.5), "rad"),
            "true surface covered": figure(1 - missed_px / true_px if true_px else None, "1"),
        }
        return StageResult(samples=len(frames), stats=stats)


def _median(values: np.ndarray) -> np.float32:
    """Median, or -1 where there is no value."""
    return np.float32(np.median(values) if values.size else -1)
