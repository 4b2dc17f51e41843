"""All frames of a static capture to one surface, held against every raw pixel in range."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.fusion import DepthView
from pipeline.fusion.bounds import check_volume, estimate_volume
from pipeline.fusion.integrate import FuseOptions, fuse
from pipeline.fusion.marching import FusedMesh
from pipeline.fusion.mesh_parts import find_holes
from pipeline.fusion.pose_check import check_pose_direction
from pipeline.fusion.residual import ResidualStats, check_residual, depth_residual, residual_stats
from pipeline.meshes import is_watertight, write_ply
from pipeline.settings import FuseSettings
from pipeline.spread import figure
from pipeline.store import FrameWriter
from renderers.fused import FusedSurface
from renderers.views import View
from tasks.cameras import check_cameras
from tasks.foreground import Foreground
from tasks.ingest import Ingest
from tasks.inputs import FRAMES_FILE, Inputs, JoinedFrames
from tasks.job import Progress, StageResult
from tasks.stage import CaptureStage, SealedTask
from tasks.track import pose_stage, with_poses

MESH_FILE = "mesh.ply"


class MaskedViews:
    """The foreground's depth of every frame, and its colour if it was joined, decoded when asked for."""

    def __init__(self, frames: JoinedFrames) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> DepthView:
        row = self._frames[index]
        return DepthView(
            depth_m=np.where(row["sensor_mask"], row["sensor_depth_m"], np.float32(0)),
            K=row["sensor_K"],
            world_from_cam=row["world_from_cam"],
            rgb=row.get("sensor_image"),
        )


class Fuse(CaptureStage):
    """Fused mesh of one capture, and how well it fits each frame."""

    NAME = "fuse"
    VERSION = 3

    def upstream(self) -> dict[str, SealedTask]:
        return {"ingest": self.sibling(Ingest), "foreground": self.sibling(Foreground), **pose_stage(self)}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        settings = inputs.manifest.stages.fuse
        colour = ("sensor_image",) if settings.vertex_colour else ()
        ingested = ("sensor_depth_m", "sensor_K", *colour)
        fields = with_poses(self, {"ingest": ingested, "foreground": ("sensor_mask",)})
        frames = inputs.joined(fields)
        views = MaskedViews(frames)
        agreement = check_cameras(frames, inputs.capture)
        check_pose_direction(views, depth_min_m=settings.depth_min_m, depth_max_m=settings.depth_max_m)
        mesh = _fuse(views, settings)
        write_ply(part / MESH_FILE, mesh.vertices, mesh.faces, _of_vertices(mesh))
        surface = FusedSurface(mesh.vertices, mesh.faces, threads=inputs.threads)
        counts = np.zeros(0, dtype=np.int64)
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            for index, frame in enumerate(frames.frames):
                of_frame = _residual(surface, views[index], frame, settings)
                stats = residual_stats(of_frame)
                counts = of_frame + counts if counts.size else of_frame
                writer.append(
                    {
                        "frame": np.int32(frame),
                        "fused_residual_m": np.float32(_finite(stats.median_m, otherwise=-1)),
                        "fused_coverage": np.float32(stats.coverage),
                    }
                )
                progress(index + 1, len(frames))
        overall = residual_stats(counts)
        check_residual(overall.median_m, settings.max_residual_m)
        stats = {**_figures(overall, mesh, settings), **agreement}
        return StageResult(samples=len(frames), stats=stats)


def _fuse(views: MaskedViews, settings: FuseSettings) -> FusedMesh:
    reach = {
        "voxel_m": settings.voxel_m,
        "trunc_m": settings.trunc_m,
        "depth_min_m": settings.depth_min_m,
        "depth_max_m": settings.depth_max_m,
    }
    options = FuseOptions(
        limit_gb=settings.memory_limit_gb,
        band_sigmas=settings.band_sigmas,
        with_colour=settings.vertex_colour,
        min_component_faces=settings.min_component_faces,
        max_faces=settings.max_faces,
    )
    estimate = estimate_volume(
        views, **reach, band_sigmas=options.band_sigmas, with_colour=options.with_colour
    )
    check_volume(
        estimate,
        voxel_m=settings.voxel_m,
        trunc_m=settings.trunc_m,
        depth_max_m=settings.depth_max_m,
        limit_gb=settings.memory_limit_gb,
    )
    return fuse(views, **reach, min_weight=settings.min_weight, block_count=estimate.blocks, options=options)


def _of_vertices(mesh: FusedMesh) -> dict[str, np.ndarray]:
    """What the mesh file holds for each vertex, by name."""
    colour = dict(zip(("red", "green", "blue"), mesh.rgb.T, strict=True)) if len(mesh.rgb) else {}
    return {"weight": mesh.weight, "sigma_m": mesh.sigma_m, **colour}


def _residual(surface: FusedSurface, view: DepthView, frame: int, settings: FuseSettings) -> np.ndarray:
    height, width = view.depth_m.shape
    seen = surface.seen(
        View(frame=frame, K=view.K, world_from_cam=view.world_from_cam), height=height, width=width
    )
    return depth_residual(
        view.depth_m, seen.depth_m, depth_min_m=settings.depth_min_m, depth_max_m=settings.depth_max_m
    )


def _figures(overall: ResidualStats, mesh: FusedMesh, settings: FuseSettings) -> dict[str, dict[str, Any]]:
    holes = find_holes(mesh.vertices, mesh.faces)
    return {
        "fused residual, median": figure(_finite(overall.median_m), "m", limit=settings.max_residual_m),
        "fused residual, p90": figure(_finite(overall.p90_m), "m"),
        "fused residual, bias": figure(_finite(overall.bias_m), "m"),
        "fused coverage": figure(overall.coverage, "1"),
        "fused misses": figure(1 - overall.coverage, "1"),
        "raw pixels in range": figure(overall.pixels, "px"),
        "raw pixels within 20 mm": figure(overall.close, "1"),
        "mesh faces": figure(len(mesh.faces), "faces"),
        "mesh holes": figure(holes.count, "holes"),
        "mesh holes, length of rims": figure(holes.rim_m, "m"),
        "mesh holes, longest rim": figure(holes.largest_m, "m"),
        "mesh sigma, median": figure(float(np.median(mesh.sigma_m)), "m"),
        "mesh closed": figure(float(is_watertight(mesh.vertices, mesh.faces)), "1"),
    }


def _finite(value: float, *, otherwise: float | None = None) -> float | None:
    return value if np.isfinite(value) else otherwise
