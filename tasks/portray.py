"""A scan to pictures, each under a light, from a view and before a background of its own, with exact labels."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bodies.model import default_body
from pipeline.labels import body_joints, body_labels, body_places
from pipeline.scan_files import BodyBelow, Portrayable, read_portrayable
from pipeline.seeds import stream
from pipeline.settings import PortraySettings
from pipeline.simulation.color_space import linear_from_srgb
from pipeline.store import FrameWriter
from renderers.color import ColorView, Shot, render_color
from renderers.looks import draw_look, draw_view
from renderers.raycast import RaycastScene
from renderers.views import View, Visibility
from tasks.agreement import Agreement
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.scan import SCAN_FILE, Scan
from tasks.stage import CaptureStage, SealedTask


class Portray(CaptureStage):
    """`count` pictures of a scan; light, view, scale and background are drawn for each frame by itself."""

    NAME = "portray"
    VERSION = 2

    def upstream(self) -> dict[str, SealedTask]:
        return {"scan": self.sibling(Scan)}

    def identity(self) -> dict[str, Any]:
        loaded = self.loaded()
        return {
            "seed": loaded.dataset.seed,
            "capture": self.capture,
            "count": self.table().count,
            "image_size_px": loaded.dataset.image_size_px,
        }

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        settings = inputs.manifest.stages.portray
        identity = self.identity()
        surface = read_portrayable(inputs.folder("scan") / SCAN_FILE)
        shots = draw_shots(surface, settings, **identity)
        size = {"height": identity["image_size_px"], "width": identity["image_size_px"]}
        scene = RaycastScene(shots[0].vertices, surface.faces, threads=inputs.threads)
        agreement = Agreement(self.NAME, str(self.capture), settings)
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            rendered_views = render_color(
                shots,
                **size,
                threads=inputs.threads,
                samples=settings.samples,
                memory_limit_gb=settings.memory_limit_gb,
                scratch_dir=part,
            )
            for done, (shot, rendered) in enumerate(zip(shots, rendered_views, strict=True)):
                cast_m = scene.visibility(shot.view, **size).depth_m
                if agreement.keeps(rendered.frame, rendered.seen.depth_m, cast_m):
                    writer.append(_sample(surface, shot.view, rendered))
                progress(done + 1, len(shots))
            kept = writer.samples
        return StageResult(samples=kept, stats=agreement.figures(), quarantine=agreement.rows)


def draw_shots(
    surface: Portrayable,
    settings: PortraySettings,
    *,
    seed: int,
    capture: str,
    count: int,
    image_size_px: int,
) -> list[Shot]:
    """Draw camera and look of each picture from the stream of its frame; more of them change none."""
    vertices = surface.vertices_m.astype(np.float64)
    colors = linear_from_srgb(surface.vertex_rgb)
    shots = []
    for frame in range(count):
        rng = stream(seed, "portray", capture, frame)
        view = draw_view(
            rng,
            vertices,
            frame=frame,
            height=image_size_px,
            width=image_size_px,
            fill=(settings.fill_min, settings.fill_max),
        )
        look = draw_look(rng)
        shots.append(Shot(vertices=vertices, faces=surface.faces, colors=colors, view=view, look=look))
    return shots


def _sample(surface: Portrayable, view: View, rendered: ColorView) -> dict[str, Any]:
    sample = {
        "frame": np.int32(view.frame),
        "image": rendered.rgb,
        "mask": rendered.seen.face_index >= 0,
        "depth_m": rendered.seen.depth_m,
        "normal_rendered": rendered.normal,
        "K": view.K,
        "world_from_cam": view.world_from_cam,
        # There is nothing that this depth could be held against.
        "fused_residual_m": np.float32(-1),
        "fused_coverage": np.float32(-1),
    }
    return sample if surface.body is None else sample | _of_body(surface.body, view, rendered.seen)


def _of_body(below: BodyBelow, view: View, seen: Visibility) -> dict[str, Any]:
    face, bary = body_places(seen.face_index, seen.bary, body_face=below.body_face, body_bary=below.body_bary)
    return {
        **body_labels(face, bary, default_body()),
        **body_joints(below.joints_m, view.K, view.world_from_cam),
        "body_pose_rad": below.pose_rad,
        "body_betas": below.betas,
        "body_transl_m": below.transl_m,
    }
