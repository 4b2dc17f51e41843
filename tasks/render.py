"""Fused mesh and cameras to depth, normals and mask by Blender, held against ray casting."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.comparison import depth_difference
from pipeline.errors import GateError
from pipeline.meshes import read_ply
from pipeline.quality import QuarantineRow
from pipeline.spread import Spread, figure
from pipeline.store import FrameWriter
from renderers.blender import render_views
from renderers.raycast import RaycastScene
from renderers.views import View
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
        differences = Spread(low=0.0, high=0.01, bins=10_000)
        silhouette_px = 0
        rows: list[QuarantineRow] = []
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
                difference_m, edge_px = depth_difference(rendered.depth_m, cast_m)
                row = self._gate(view.frame, rendered.mask, difference_m, settings)
                if row is not None:
                    rows.append(row)
                else:
                    differences.add(np.abs(difference_m))
                    silhouette_px += edge_px
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
        self._refuse_if_empty(kept, rows)
        stats = {
            "Blender against ray cast, median": figure(
                differences.quantile(0.5), "m", limit=settings.max_disagreement_m
            ),
            "Blender against ray cast, p99": figure(differences.quantile(0.99), "m"),
            "pixels seen by one renderer only": figure(silhouette_px / kept, "px per frame"),
        }
        return StageResult(samples=kept, stats=stats, quarantine=rows)

    def _gate(
        self, frame: int, mask: np.ndarray, difference_m: np.ndarray, settings: Any
    ) -> QuarantineRow | None:
        where = f"capture {self.capture}, frame {frame}"
        seen_px = int(np.count_nonzero(mask))
        if seen_px < settings.min_mask_px:
            return QuarantineRow(
                capture=self.capture,
                stage=self.NAME,
                reason="empty-render",
                message=f"{where}: at least {settings.min_mask_px} px must see the fused surface, {seen_px} px do. "
                "Left out; lower stages.render.min_mask_px to keep it.",
                frame=frame,
                value=float(seen_px),
                unit="px",
                limit=float(settings.min_mask_px),
            )
        median_m = float(np.median(np.abs(difference_m))) if difference_m.size else float("inf")
        if median_m > settings.max_disagreement_m:
            return QuarantineRow(
                capture=self.capture,
                stage=self.NAME,
                reason="renderers-disagree",
                message=f"{where}: Blender and ray casting must agree within "
                f"{settings.max_disagreement_m * 1e3:.3f} mm in the median, differ by {median_m * 1e3:.3f} mm. "
                "Left out; one of the two renderers is broken on this machine.",
                frame=frame,
                value=median_m if np.isfinite(median_m) else None,
                unit="m",
                limit=settings.max_disagreement_m,
            )
        return None

    def _refuse_if_empty(self, kept: int, rows: list[QuarantineRow]) -> None:
        if kept == 0:
            raise GateError(
                rows[0].reason,
                f"capture {self.capture}: at least one camera must see the fused surface, none of {len(rows)} "
                f"does. First: {rows[0].message}",
                value=rows[0].value,
                unit=rows[0].unit,
                limit=rows[0].limit,
                rows=rows,
            )


def crop_views(frames: JoinedFrames) -> list[View]:
    """The crop's camera of every frame."""
    return [View(frame=int(row["frame"]), K=row["K"], world_from_cam=row["world_from_cam"]) for row in frames]
