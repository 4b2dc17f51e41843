"""What carries the body's surface of each frame into other frames of its clip (Tan et al., CVPR 2020, step 2)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bodies.model import default_body
from pipeline.motion.base_depth import base_depth
from pipeline.motion.motion_map import MotionMap, motion_map
from pipeline.motion.pairs import choose_pairs, frame_findings, pair_findings, silhouette_iou
from pipeline.motion.rings import one_rings, two_rings
from pipeline.quality import QuarantineRow
from pipeline.settings import MotionSettings
from pipeline.spread import figure
from pipeline.store import FrameWriter
from tasks.bodies import bodies_upstream, body_fields
from tasks.body import vertices_in_camera
from tasks.fit import Fit
from tasks.inputs import FRAMES_FILE, Inputs, JoinedFrames
from tasks.job import Progress, StageResult
from tasks.rows import rows_of
from tasks.stage import CaptureStage, SealedTask


class Motion(CaptureStage):
    """Motion maps of each frame to a few others; a frame without a partner has a row that says so."""

    NAME = "motion"

    def upstream(self) -> dict[str, SealedTask]:
        return bodies_upstream(self)

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        settings = inputs.manifest.stages.motion
        (views, of_view), (bodies, of_body) = body_fields(self).items()
        residual = ("body_fit_landmark_residual_px",) if bodies == Fit.NAME else ()
        frames = inputs.joined(
            {views: (*of_view, "depth_raw_m"), bodies: (*of_body, "body_depth_m", *residual)}
        )
        clip = _Clip(frames, settings)
        rows: list[QuarantineRow] = []
        pairs = 0
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            for target, number in enumerate(frames.frames):
                findings = clip.findings[target]
                maps = []
                for reference in clip.references[target]:
                    made = clip.motion(target, reference)
                    odd = pair_findings(
                        number,
                        frames.frames[reference],
                        made,
                        min_pair_baseline_m=settings.min_pair_baseline_m,
                        min_pixel_baseline_m=settings.min_pixel_baseline_m,
                        min_valid_px=settings.min_valid_px,
                    )
                    findings = [*findings, *odd]
                    if not odd:
                        maps.append((frames.frames[reference], made))
                pairs += len(maps)
                sample = {"frame": np.int32(number), **_sample(maps, settings, clip.size_px)}
                writer.append(sample | clip.base(target))
                # What is left out is the pair: the frame stays, and says that it has none.
                rows += rows_of(self, [replace(finding, drops=False) for finding in findings])
                progress(target + 1, len(frames))
        stats = {"motion pairs per frame": figure(pairs / len(frames), "1")}
        return StageResult(samples=len(frames), stats=stats, quarantine=rows)


class _Clip:
    """Bodies of all frames, and which of them make pairs."""

    def __init__(self, frames: JoinedFrames, settings: MotionSettings) -> None:
        self._settings, body = settings, default_body()
        self._faces, self._rings = body.faces, two_rings(body)
        vertices, self._K, self.findings = [], [], []
        self.size_px = 0
        for row in frames:
            vertices.append(vertices_in_camera(row).astype(np.float32))
            self._K.append(row["K"])
            self.size_px = len(row["depth_raw_m"])
            known = row.get("body_fit_landmark_residual_px")
            found = frame_findings(
                int(row["frame"]),
                silhouette_iou(row["body_depth_m"] > 0, row["depth_raw_m"] > 0),
                None if known is None else float(known),
                min_silhouette_iou=settings.min_silhouette_iou,
                max_keypoint_residual_px=settings.max_keypoint_residual_px,
            )
            self.findings.append(found)
        self._vertices = np.stack(vertices)
        chosen = choose_pairs(
            self._vertices,
            np.array([not found for found in self.findings]),
            self._rings,
            references=settings.references,
            max_gap_frames=settings.max_gap_frames,
            min_pair_baseline_m=settings.min_pair_baseline_m,
        )
        self.references: list[list[int]] = [[] for _ in vertices]
        for target, reference in chosen.tolist():
            self.references[target].append(reference)

    def base(self, target: int) -> dict[str, Any]:
        """The base depth of the authors' code, where asked for; the paper's is `body_depth_m`."""
        steps, inflate_m = self._settings.base_smoothing_steps, self._settings.base_inflate_m
        if not steps and not inflate_m:
            return {}
        depth_m = base_depth(
            self._vertices[target],
            self._faces,
            one_rings(default_body()),
            K=self._K[target],
            size_px=self.size_px,
            smoothing_steps=steps,
            inflate_m=inflate_m,
        )
        return {"motion_base_depth_m": depth_m}

    def motion(self, target: int, reference: int) -> MotionMap:
        return motion_map(
            self._vertices[target],
            self._vertices[reference],
            self._faces,
            self._rings,
            K_target=self._K[target],
            K_reference=self._K[reference],
            size_px=self.size_px,
            occlusion_m=self._settings.occlusion_m,
        )


def _sample(maps: list[tuple[int, MotionMap]], settings: MotionSettings, size_px: int) -> dict[str, Any]:
    """Fields of one target frame; places without a partner hold -1 and 0."""
    count = settings.references
    sample = {
        "motion_reference_frame": np.full(count, -1, np.int32),
        "motion_rotvec_rad": np.zeros((count, size_px, size_px, 3), np.float32),
        "motion_t_m": np.zeros((count, size_px, size_px, 3), np.float32),
        "motion_valid": np.zeros((count, size_px, size_px), np.bool_),
    }
    for place, (reference, made) in enumerate(maps):
        sample["motion_reference_frame"][place] = reference
        sample["motion_rotvec_rad"][place] = made.rotvec_rad
        sample["motion_t_m"][place] = made.t_m
        sample["motion_valid"][place] = made.valid(settings.min_pixel_baseline_m)
    return sample
