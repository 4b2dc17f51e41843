"""Fused mesh and cameras to depth, normals and mask: by our z-buffer, proved by Blender, or by Blender outright."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from pipeline.meshes import read_ply
from pipeline.store import FrameReader, FrameWriter
from pipeline.visibility import depth_sigma
from renderers.blender import render_views
from renderers.fused import FusedSurface
from renderers.views import RenderedView, View, Visibility
from tasks.agreement import Agreement
from tasks.foreground import Foreground
from tasks.fuse import MESH_FILE, Fuse
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.render_chunk import RenderChunk, crop_views, image_of, render_chunks, sample_of
from tasks.stage import CaptureStage, SealedTask
from tasks.track import pose_stage, with_poses

SIGMA = "sigma_m"  # of the mesh's vertices, metres along the normal; a mesh without it gives no depth_sigma_m

Image = tuple[RenderedView, Visibility]
Blenders = Mapping[int, tuple[FrameReader, int]]  # by frame number


class Render(CaptureStage):
    """The fused surface at every camera of the capture, on the crop."""

    NAME = "render"
    VERSION = 2

    def upstream(self) -> dict[str, SealedTask]:
        stages: list[CaptureStage] = [self.sibling(Foreground), self.sibling(Fuse)]
        return {stage.NAME: stage for stage in stages} | pose_stage(self) | self._chunks()

    def _chunks(self) -> dict[str, RenderChunk]:
        if self.loaded().stages.render.renderer == "fast":
            return {}  # 1,000 frames of a person take some 20 s: less than is worth a task
        chunks = render_chunks(str(self.manifest), str(self.capture))
        return {f"{RenderChunk.NAME}/{chunk.chunk}": chunk for chunk in chunks}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        settings, size_px = inputs.manifest.stages.render, inputs.manifest.dataset.image_size_px
        vertices, faces, attributes = read_ply(inputs.folder("fuse") / MESH_FILE)
        fields = with_poses(self, {"foreground": ("K",), "fuse": ()})
        views = crop_views(inputs.joined(fields))
        surface = FusedSurface(vertices, faces, threads=inputs.threads)
        agreement = Agreement(self.NAME, str(self.capture), settings)
        images = surface.render(views, height=size_px, width=size_px)
        if settings.renderer == "fast":
            judged = _seen_enough(images, agreement)
        else:
            judged = _agreed(images, _blender_rows(inputs, self._chunks()), agreement)
        kept: list[View] = []
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            for done, (view, found) in enumerate(zip(views, judged, strict=True)):
                if found is not None:
                    image, seen = found
                    sample = {"K": view.K, **sample_of(image)}
                    if SIGMA in attributes:
                        sigma_m = surface.painted(seen, attributes[SIGMA])
                        sample["depth_sigma_m"] = depth_sigma(sigma_m, image.normal, view.K)
                    writer.append(sample)
                    kept.append(view)
                progress(done + 1, len(views))
        if settings.renderer == "fast":
            self._prove(evenly(kept, settings.check_frames), surface, agreement, inputs, part)
        return StageResult(samples=len(kept), stats=agreement.figures(), quarantine=agreement.rows)

    def _prove(
        self, views: list[View], surface: FusedSurface, agreement: Agreement, inputs: Inputs, part: Path
    ) -> None:
        """Render some views once more, by Blender."""
        size_px = inputs.manifest.dataset.image_size_px
        images = render_views(
            surface.vertices,
            surface.faces,
            views,
            height=size_px,
            width=size_px,
            threads=inputs.threads,
            memory_limit_gb=inputs.manifest.stages.render.memory_limit_gb,
            scratch_dir=part,
        )
        for view, image in zip(views, images, strict=True):
            seen = surface.seen(view, height=size_px, width=size_px)
            agreement.prove(view.frame, image.depth_m, seen.depth_m)


def evenly(views: list[View], count: int) -> list[View]:
    """The middle one of each of as many equal parts of a list, or all of it."""
    count = min(count, len(views))
    return [views[(2 * k + 1) * len(views) // (2 * count)] for k in range(count)]


def _seen_enough(images: Iterator[Image], agreement: Agreement) -> Iterator[Image | None]:
    for image, seen in images:
        yield (image, seen) if agreement.sees_enough(image.frame, image.depth_m) else None


def _agreed(images: Iterator[Image], by_blender: Blenders, agreement: Agreement) -> Iterator[Image | None]:
    """Blender's images where both renderers see the surface: at its rim one of them may look past it."""
    for fast, seen in images:
        reader, row = by_blender[fast.frame]
        image = image_of(reader.row(row, reader.fields))
        if agreement.keeps(image.frame, image.depth_m, fast.depth_m):
            both = image.mask & fast.mask
            depth_m = np.where(both, image.depth_m, np.float32(0))
            normal = np.where(both[..., None], image.normal, np.float32(0))
            yield RenderedView(frame=image.frame, depth_m=depth_m, normal=normal, mask=both), seen
        else:
            yield None


def _blender_rows(inputs: Inputs, chunks: Iterable[str]) -> Blenders:
    """Where each frame lies in the chunks; one all of whose frames were left out before holds none."""
    rows: dict[int, tuple[FrameReader, int]] = {}
    for name in chunks:
        if inputs.stage_record(name)["samples"]:
            reader = inputs.frames(name)
            rows |= {frame: (reader, row) for row, frame in enumerate(reader.column("frame").tolist())}
    return rows
