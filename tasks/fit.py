"""The body in each frame, fitted to its landmarks and, where there is some, its depth (Bogo et al., ECCV 2016)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bodies.model import default_body
from pipeline.cameras import LEVEL, invert_rigid
from pipeline.captures.capture import Frame
from pipeline.errors import InputError, StageError
from pipeline.fitting.acceptance import AcceptSettings, Judged
from pipeline.fitting.batches import How, judge_in_batches, one_thread, smooth_clips
from pipeline.fitting.clip import SmoothSettings, clips_of
from pipeline.fitting.fit import LANDMARKS_ALONE, default_tables, make_tables
from pipeline.fitting.fit import FitSettings as Search
from pipeline.fitting.observed import Observed
from pipeline.fitting.placing import in_world
from pipeline.fitting.priors import read_prior
from pipeline.manifest import Manifest
from pipeline.motion.pairs import silhouette_iou
from pipeline.quality import QuarantineRow
from pipeline.settings import FitSettings
from pipeline.spread import figure
from pipeline.store import FrameWriter
from tasks.annotated import Annotated
from tasks.body import BODY, SILHOUETTES, body_sample
from tasks.context import file_digest
from tasks.foreground import Foreground
from tasks.ingest import Ingest
from tasks.inputs import FRAMES_FILE, Inputs
from tasks.job import Progress, StageResult
from tasks.landmarks import Landmarks, landmark_digest, landmarks_of
from tasks.picture_network import checkpoint_digest, network_landmarks
from tasks.rows import refuse_if_empty, rejected_pictures, row_of, rows_of
from tasks.simulate import Simulate
from tasks.stage import CaptureStage, SealedTask
from tasks.track import Track


class Fit(CaptureStage):
    """Bodies in the true, or assumed, camera; a frame whose fit is not accepted is left out with its reason."""

    NAME = "fit"

    def upstream(self) -> dict[str, SealedTask]:
        table = self.table()
        stages: list[type[CaptureStage]] = [Annotated if table.role == "image" else Foreground]
        if table.fitted_to == "truth":
            stages.append(Simulate)
        elif table.landmark_files is not None:
            stages.append(Ingest)
        if table.poses == "tracked":
            stages.append(Track)
        return {stage.NAME: self.sibling(stage) for stage in stages}

    def identity(self) -> dict[str, Any]:
        table = self.table()
        told = table.model_dump(mode="json", include={"landmark_files"}, exclude_none=True)
        told |= {
            "landmarks": table.fitted_to,
            "role": table.role,
            "files": landmark_digest(self.loaded(), table),
        }
        if table.fitted_to == "network":
            told["network"] = checkpoint_digest(self.loaded())
        if (prior := prior_file(self.loaded())) is not None:
            told["pose_prior"] = file_digest(prior)
        drawn = {"capture": table.id, "seed": self.loaded().dataset.seed}  # of the landmarks' noise
        return {**told, **(drawn if table.fitted_to == "truth" else {})}

    def write(self, part: Path, inputs: Inputs, progress: Progress) -> StageResult:
        rows: list[QuarantineRow] = []
        fitted_to = network_landmarks if inputs.capture.fitted_to == "network" else landmarks_of
        seen = _Seen(self, inputs, fitted_to(inputs), rows)
        with one_thread():
            judged = _judged(seen, inputs, progress) if seen.numbers else None
        if judged is not None:
            rows += rows_of(self, judged.findings)
        rows.sort(key=lambda row: -1 if row.frame is None else row.frame)
        kept = [] if judged is None else np.flatnonzero(judged.accepted).tolist()
        _keep_pictures(self, part, seen, rows)
        refuse_if_empty(str(self.capture), len(kept), rows)
        assert judged is not None
        overlap = []
        with FrameWriter(part / FRAMES_FILE, {"capture": self.capture}) as writer:
            for sample in _samples(seen, judged, kept, inputs.manifest.dataset.image_size_px):
                person = seen.person(int(sample["frame"]))
                if person is not None:
                    overlap.append(silhouette_iou(sample["body_depth_m"] > 0, person))
                writer.append(sample)
        stats = _figures(judged, kept, seen.frames_in_all, inputs.manifest.stages.fit)
        if self.identity() != inputs.record["recipe"]["inputs"]:
            raise StageError(
                "files of landmarks and of the pose prior must stay as they are during a build, changed. Build again."
            )
        if overlap:
            stats[SILHOUETTES] = figure(float(np.median(overlap)), "1")
        return StageResult(samples=len(kept), stats=stats, quarantine=rows)


class _Seen:
    """What the frames of a capture show: landmarks and cameras are held, depth is read when asked for."""

    def __init__(self, stage: Fit, inputs: Inputs, landmarks: Landmarks, rows: list[QuarantineRow]) -> None:
        self.landmarks = landmarks
        self._view = "annotated" if inputs.capture.role == "image" else "foreground"
        self._fields = inputs.fields(self._view)
        self.has_depth = "depth_raw_m" in self._fields
        cameras = [name for name in ("K", "world_from_cam") if name in self._fields]
        fields = {self._view: tuple({*cameras, *landmarks.fields.get(self._view, ())})}
        if inputs.has(Track.NAME):
            fields[Track.NAME] = ("world_from_cam",)
        self._frames = inputs.joined(fields)
        self.frames_in_all = len(self._frames)
        self.numbers: list[int] = []
        self.told: list[dict[str, Any]] = []
        views = []
        for row in self._frames:
            try:
                self.told.append(landmarks.of(row))
            except InputError as error:
                rows.append(row_of(stage, int(row["frame"]), error.reason, str(error)))
                continue
            self.numbers.append(int(row["frame"]))
            views.append((row["K"], row.get("world_from_cam", LEVEL)))
        self.K = np.array([K for K, _ in views])
        self.world_from_cam = np.array([world_from_cam for _, world_from_cam in views])
        # Only a drawn world is sure to have +Y up; any other camera counts as upright.
        self._levelled = inputs.capture.format == "simulated"

    def observed(self, rows: Sequence[int]) -> Observed:
        """Some of the frames, as fits take them."""
        chosen = np.array(rows)
        stem = f"joints_{self.landmarks.joint_set.name}"
        depth_m = None
        if self.has_depth:
            depth_m = np.stack([self._map("depth_raw_m", self.numbers[row]) for row in rows])
        up_cam = None
        if self._levelled:
            up_cam = np.array([invert_rigid(self.world_from_cam[row])[:3, 1] for row in rows])
        return Observed(
            joint_set=self.landmarks.joint_set,
            joints_px=np.stack([self.told[row][f"{stem}_px"] for row in rows]).astype(np.float64),
            confidence=np.stack([self.told[row][f"{stem}_confidence"] for row in rows]).astype(np.float64),
            K=self.K[chosen],
            depth_m=depth_m,
            mask=None if depth_m is None else depth_m > 0,
            up_cam=up_cam,
            frames=tuple(self.numbers[row] for row in rows),
        )

    def person(self, frame: int) -> np.ndarray | None:
        """The person's mask (H W) as measured or annotated; None where there is neither."""
        if self.has_depth:
            return np.asarray(self._map("depth_raw_m", frame) > 0)
        return self._map("person_mask", frame) if "person_mask" in self._fields else None

    def picture(self, frame: int) -> Frame:
        """What there is to show of a frame."""
        return Frame(
            frame=frame,
            timestamp_s=-1.0,
            image=self._map("image", frame) if "image" in self._fields else None,
            depth_m=self._map("depth_raw_m", frame) if self.has_depth else None,
            K=None,
            world_from_cam=None,
            mask=None,
        )

    def _map(self, name: str, frame: int) -> np.ndarray:
        return np.asarray(self._frames.read(frame, {self._view: (name,)})[name])


def _judged(seen: _Seen, inputs: Inputs, progress: Progress) -> Judged:
    settings, table = inputs.manifest.stages.fit, inputs.capture
    search = search_settings(settings, seen.landmarks, with_depth=seen.has_depth)
    joint_set, prior = seen.landmarks.joint_set, prior_file(inputs.manifest)
    how = How(
        body=default_body(),
        tables=default_tables(joint_set.name, search)
        if prior is None
        else make_tables(default_body(), read_prior(prior), joint_set, search),
        settings=search,
        limits=AcceptSettings(**settings.model_dump(include=set(AcceptSettings.__dataclass_fields__))),
    )
    count = len(seen.numbers)
    judged = judge_in_batches(seen.observed, count, how, progress=lambda done: progress(done, count))
    if table.role != "moving" or not settings.smooth:
        return judged
    cameras = table.simulated.cameras if table.format == "simulated" else 1
    clips = clips_of(seen.numbers, judged.accepted.tolist(), cameras=cameras)
    smooth = SmoothSettings(
        turn_sigma_rad=settings.smooth_turn_sigma_rad, place_sigma_m=settings.smooth_place_sigma_m
    )
    return smooth_clips(seen.observed, judged, clips, how, smooth)


def prior_file(manifest: Manifest) -> Path | None:
    """The user's file of likely poses, where the settings name one."""
    named = manifest.stages.fit.pose_prior
    return None if named is None else manifest.data_root / named


def search_settings(settings: FitSettings, landmarks: Landmarks, *, with_depth: bool) -> Search:
    """The stage's settings as `pipeline.fitting` has them; the drawn person's hips are exact."""
    alone = {
        "starts": settings.starts_without_depth,
        "kept": settings.kept_without_depth,
        "steps": LANDMARKS_ALONE.steps,
    }
    shared = settings.model_dump(include=set(Search.__dataclass_fields__))
    hip_weight = 1.0 if landmarks.source == "truth" else None
    return Search(**{**shared, **({} if with_depth else alone), "hip_weight": hip_weight})


def _samples(seen: _Seen, judged: Judged, kept: list[int], size_px: int) -> Any:
    """Samples of the accepted fits, in the order of their frames."""
    fits = in_world(judged.fits, default_body(), seen.world_from_cam)
    for row in kept:
        body = dict(zip(BODY, (fits.pose_rad[row], fits.betas[row], fits.transl_m[row]), strict=True))
        K, world_from_cam = seen.K[row], seen.world_from_cam[row]
        yield {
            "frame": np.int32(seen.numbers[row]),
            "world_from_cam": world_from_cam,
            **body_sample(body, K, world_from_cam, size_px),
            **(seen.told[row] if seen.landmarks.own else {}),
            "body_fit_landmark_residual_px": np.float32(judged.landmark_px[row]),
            "body_fit_depth_residual_m": np.float32(judged.depth_m[row]),
            "body_fit_energy": np.float32(judged.fits.energy[row]),
            "body_fit_source": seen.landmarks.source,
        }


def _keep_pictures(stage: Fit, part: Path, seen: _Seen, rows: list[QuarantineRow]) -> None:
    with rejected_pictures(part, str(stage.capture)) as rejected:
        shown: set[int] = set()
        for row in rows:
            if row.frame is not None and row.drops and row.frame not in shown:
                rejected.add(seen.picture(row.frame), row.reason)
                shown.add(row.frame)


def _figures(
    judged: Judged, kept: list[int], frames: int, settings: FitSettings
) -> dict[str, dict[str, Any]]:
    stats = {
        "body fits accepted": figure(len(kept) / frames, "1"),
        "body fit landmark residual, median": figure(float(np.median(judged.landmark_px[kept])), "px"),
    }
    measured_m = judged.depth_m[kept][judged.depth_m[kept] >= 0]
    if measured_m.size:
        median_m = float(np.median(measured_m))
        stats["body fit depth residual, median"] = figure(median_m, "m", limit=settings.max_depth_m)
    return stats
