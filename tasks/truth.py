"""Every stage of a simulated capture held against what was really there."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bodies.model import default_body
from pipeline.cameras import invert_rigid, transform
from pipeline.captures.kinect2 import CALIBRATION_FILE
from pipeline.captures.kinect2_calibration import read_kinect2_calibration
from pipeline.captures.truth import Truth as Known
from pipeline.captures.truth import read_truth
from pipeline.comparison import angle_rad, depth_difference
from pipeline.layers import split_base_detail, zero_median
from pipeline.meshes import read_ply
from pipeline.normals import normals_from_depth
from pipeline.seeds import stream
from pipeline.simulation.kinect_writer import TRUTH_FOLDER
from pipeline.spread import Spread, figure
from pipeline.store import FrameWriter
from pipeline.truth_scores import (
    SURFACE_POINTS,
    body_errors,
    pose_error,
    surface_points,
    world_alignment,
)
from pipeline.visibility import normals_from_visibility, vertex_normals
from renderers.raycast import RaycastScene
from renderers.views import View
from tasks.body import BODY, Body, posed_row
from tasks.fit import Fit
from tasks.foreground import Foreground
from tasks.fuse import MESH_FILE, Fuse
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.layers import Layers
from tasks.motion import Motion
from tasks.normals import Normals
from tasks.simulate import RAW_FOLDER, Simulate
from tasks.stage import CaptureStage, SealedTask
from tasks.surface import surface_of
from tasks.target_truth import target_figures
from tasks.track import Track, pose_stage, with_poses
from tasks.voxels import Voxels

NEAR_M = 0.005  # of the fused surface: what is nearer of the true one counts as complete


class Truth(CaptureStage):
    """Scores by ray casting the true surface, which no stage under test has touched."""

    NAME = "truth"
    VERSION = 5

    def upstream(self) -> dict[str, SealedTask]:
        stages: list[CaptureStage] = [
            self.sibling(stage) for stage in (Simulate, Foreground, Layers, Normals)
        ]
        stages.append(surface_of(self))
        if self._is_fused():
            stages.append(self.sibling(Fuse))
        table = self.table()
        if table.body_targets:
            stages.append(self.sibling(Body if table.fitted_to is None else Fit))
            stages += [self.sibling(stage) for stage in (Voxels, Motion) if stage.NAME in table.targets]
        return {stage.NAME: stage for stage in stages} | pose_stage(self)

    def _is_fused(self) -> bool:
        return self.table().role == "static"

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        raw = inputs.folder("simulate") / RAW_FOLDER
        known = read_truth(raw / TRUTH_FOLDER)
        depth_from_color = invert_rigid(read_kinect2_calibration(raw / CALIBRATION_FILE).color_from_depth)
        scores = _Scores()
        fields = with_poses(
            self,
            {
                "foreground": ("K",),
                surface_of(self).NAME: ("depth_m", "mask"),
                "layers": ("base_m", "detail_m"),
                "normals": ("normal",),
            },
        )
        frames = inputs.joined(fields)
        # Frames are of the depth's moment; colour was exposed some milliseconds aside.
        cameras = {
            frame: known.world_from_depth[at] @ depth_from_color for at, frame in enumerate(known.frames)
        }
        true_from_world = self._alignment(inputs, cameras)
        surfaces = _TrueSurfaces(known, inputs.threads)
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            for done, row in enumerate(frames):
                row["world_from_cam"] = true_from_world @ row["world_from_cam"]
                true_m, normal = surfaces.seen(row)
                scores.add_camera(row["world_from_cam"], cameras[int(row["frame"])])
                scores.add_layers(row, true_m, inputs.manifest.stages.layers)
                scores.add_normals(row, true_m, inputs.manifest.stages.normals)
                writer.append({"frame": np.int32(row["frame"]), **scores.add_surface(row, true_m, normal)})
                progress(done + 1, len(frames))
        stats = scores.figures()
        if self._is_fused():
            stats |= self._surface_figures(known, surfaces.shown, true_from_world, inputs)
        if self.table().fitted_to is not None:
            stats |= _body_figures(known, inputs)
        stats |= target_figures(known, inputs, true_bodies=self.table().fitted_to is None)
        return StageResult(samples=len(frames), stats=stats)

    def _alignment(self, inputs: Inputs, cameras: dict[int, np.ndarray]) -> np.ndarray:
        """The rigid true_from_world; given poses are of the true world, tracked ones of the first camera's."""
        if not inputs.has(Track.NAME):
            return np.eye(4)
        tracked = inputs.joined({Track.NAME: ("world_from_cam",)})
        found, true = zip(*((row["world_from_cam"], cameras[row["frame"]]) for row in tracked), strict=True)
        return world_alignment(np.stack(found), np.stack(true))

    def _surface_figures(
        self, known: Known, shown: np.ndarray, true_from_world: np.ndarray, inputs: Inputs
    ) -> dict[str, dict[str, Any]]:
        """Distances between the fused surface and the faces (F, bool) of the true one that some frame shows."""
        fused, fused_faces, _ = read_ply(inputs.folder("fuse") / MESH_FILE)
        fused = transform(true_from_world, fused)
        true = known.vertices_m(known.frames[0]).astype(np.float64)
        rng = stream(self.loaded().dataset.seed, "truth", self.capture)
        accuracy_m = RaycastScene(true, known.faces, threads=inputs.threads).distance_m(
            surface_points(fused, fused_faces, SURFACE_POINTS, rng)
        )
        completeness_m = RaycastScene(fused, fused_faces, threads=inputs.threads).distance_m(
            surface_points(true, known.faces[shown], SURFACE_POINTS, rng)
        )
        return {
            "truth surface accuracy, median": figure(float(np.median(accuracy_m)), "m"),
            "truth surface accuracy, p90": figure(float(np.quantile(accuracy_m, 0.9)), "m"),
            "truth surface completeness, median": figure(float(np.median(completeness_m)), "m"),
            "truth surface within 5 mm": figure(float(np.mean(completeness_m < NEAR_M)), "1"),
        }


def _body_figures(known: Known, inputs: Inputs) -> dict[str, dict[str, Any]]:
    """How far fitted bodies lie from the true ones, over the frames that were fitted."""
    body, size_px = default_body(), inputs.manifest.dataset.image_size_px
    errors = []
    for row in inputs.joined({"foreground": ("K",), "fit": ("world_from_cam", *BODY)}):
        at = known.frames.index(int(row["frame"]))
        true = body.posed(known.pose_rad[at][None], known.betas[at], known.transl_m[at])
        cam_from_world = invert_rigid(row["world_from_cam"])
        errors.append(
            body_errors(
                tuple(transform(cam_from_world, part[0]) for part in (true.joints_m, true.vertices_m)),
                tuple(transform(cam_from_world, part) for part in posed_row(row)),
                body.faces,
                row["K"],
                size_px=size_px,
            )
        )
    joints_m, aligned_m, vertices_m, iou = np.array(errors).T
    return {
        "truth body joint error, mean": figure(float(joints_m.mean()), "m"),
        "truth body joint error about the root, mean": figure(float(aligned_m.mean()), "m"),
        "truth body surface error, mean": figure(float(vertices_m.mean()), "m"),
        "truth body volume overlap, median": figure(float(np.median(iou)), "1"),
    }


class _TrueSurfaces:
    """The true person of each frame, its search tree kept while the mesh stays the same."""

    def __init__(self, known: Known, threads: int) -> None:
        self._known, self._threads, self._mesh = known, threads, ""
        self.shown = np.zeros(len(known.faces), dtype=np.bool_)  # faces that some frame has shown

    def seen(self, row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """True depth (H W) and normals (H W 3) at a crop's pixels; 0 where the person is not."""
        frame = int(row["frame"])
        if self._known.files[frame][0] != self._mesh:
            self._mesh = self._known.files[frame][0]
            self._vertices = self._known.vertices_m(frame).astype(np.float64)
            self._scene = RaycastScene(self._vertices, self._known.faces, threads=self._threads)
            self._normals = vertex_normals(self._vertices, self._known.faces)
        view = View(frame=frame, K=row["K"], world_from_cam=row["world_from_cam"])
        height, width = row["depth_m"].shape
        seen = self._scene.visibility(view, height=height, width=width)
        self.shown[seen.face_index[seen.face_index >= 0]] = True
        normal = normals_from_visibility(
            seen.face_index,
            seen.bary,
            vertices=self._vertices,
            faces=self._known.faces,
            normals_world=self._normals,
            cam_from_world=invert_rigid(view.world_from_cam),
        )
        return seen.depth_m, normal


class _Scores:
    """Differences gathered frame by frame in fixed memory."""

    def __init__(self) -> None:
        self._signed = Spread(low=-0.05, high=0.05, bins=10_000)
        self._absolute, self._base, self._detail = (Spread(low=0.0, high=0.05, bins=5_000) for _ in range(3))
        self._true_detail = Spread(low=-0.5, high=0.5, bins=2)
        self._angles, self._noise = (Spread(low=0.0, high=np.pi, bins=3600) for _ in range(2))
        self._cameras: list[tuple[float, float]] = []
        self._missed_px = self._true_px = 0

    def add_camera(self, world_from_cam: np.ndarray, truth: np.ndarray) -> None:
        self._cameras.append(pose_error(world_from_cam, truth))

    def add_surface(self, row: dict[str, Any], true_m: np.ndarray, normal: np.ndarray) -> dict[str, Any]:
        error_m, _ = depth_difference(row["depth_m"], true_m)
        both = row["normal"].any(axis=-1) & normal.any(axis=-1)
        error_rad = angle_rad(row["normal"][both], normal[both])
        self._signed.add(error_m)
        self._absolute.add(np.abs(error_m))
        self._angles.add(error_rad)
        self._true_px += int(np.count_nonzero(true_m))
        self._missed_px += int(np.count_nonzero((true_m > 0) & (row["depth_m"] == 0)))
        return {
            "depth_truth_m": true_m,
            "truth_depth_error_m": _median(np.abs(error_m)),
            "truth_normal_error_rad": _median(error_rad),
        }

    def add_layers(self, row: dict[str, Any], true_m: np.ndarray, settings: Any) -> None:
        """The same split of the true depth, over the pixels that both have."""
        both = row["mask"] & (true_m > 0)
        if not both.any():
            return
        zeroed_m, _ = zero_median(true_m, both)
        base_m, detail_m = split_base_detail(
            zeroed_m,
            both,
            sigma_space_px=settings.sigma_space_px,
            sigma_depth_m=settings.sigma_depth_m,
            window_px=settings.window_px,
        )
        self._base.add(np.abs(row["base_m"][both] - base_m[both]))
        self._detail.add(np.abs(row["detail_m"][both] - detail_m[both]))
        self._true_detail.add(detail_m[both])

    def add_normals(self, row: dict[str, Any], true_m: np.ndarray, settings: Any) -> None:
        """The same fit to the true depth: what is left is what sensor and fusion did, without the smoothing."""
        both = row["mask"] & (true_m > 0)
        normal, _ = normals_from_depth(
            true_m,
            both,
            row["K"],
            window_px=settings.window_px,
            max_step_m=settings.max_step_m,
            model=settings.model,
        )
        there = normal.any(axis=-1) & row["normal"].any(axis=-1)
        self._noise.add(angle_rad(row["normal"][there], normal[there]))

    def figures(self) -> dict[str, dict[str, Any]]:
        covered = 1 - self._missed_px / self._true_px if self._true_px else None
        apart_m, turned_rad = np.array(self._cameras).T
        return {
            "truth depth error, median": figure(self._absolute.quantile(0.5), "m"),
            "truth depth error, p90": figure(self._absolute.quantile(0.9), "m"),
            "truth depth bias, mean": figure(self._signed.mean(), "m"),
            "truth normal error, median": figure(self._angles.quantile(0.5), "rad"),
            "truth normal error, of noise alone, median": figure(self._noise.quantile(0.5), "rad"),
            "true surface covered": figure(covered, "1"),
            "truth base error, median": figure(self._base.quantile(0.5), "m"),
            "truth detail error, median": figure(self._detail.quantile(0.5), "m"),
            "true detail, standard deviation": figure(self._true_detail.std(), "m"),
            "truth camera error, median": figure(float(np.median(apart_m)), "m"),
            "truth camera error, max": figure(float(apart_m.max()), "m"),
            "truth camera error, root mean square": figure(_rms(apart_m), "m"),
            "truth camera turn, median": figure(float(np.median(turned_rad)), "rad"),
            "truth camera turn, root mean square": figure(_rms(turned_rad), "rad"),
        }


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _median(values: np.ndarray) -> np.float32:
    """Median, or -1 where there is no value."""
    return np.float32(np.median(values) if values.size else -1)
