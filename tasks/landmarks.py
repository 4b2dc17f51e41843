"""Where the landmarks of a capture's frames come from: the truth of a drawn person, annotations, or files beside it."""

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.bodies.joints import JointSet, joints_of
from pipeline.bodies.model import default_body
from pipeline.body_fields import ANNOTATED_SETS
from pipeline.cameras import invert_rigid, transform
from pipeline.capture_tables import CaptureTable
from pipeline.captures.landmark_files import LandmarkReader, best_on_mask, landmark_paths, open_landmarks
from pipeline.captures.truth import read_truth
from pipeline.errors import InputError
from pipeline.fingerprints import FileHashes
from pipeline.fitting.drawn import drawn_landmarks
from pipeline.fitting.landmarks import joint_set_named
from pipeline.manifest import Manifest
from pipeline.seeds import stream
from pipeline.simulation.kinect_writer import TRUTH_FOLDER
from tasks.context import unwritable
from tasks.inputs import Inputs
from tasks.simulate import RAW_FOLDER

Sample = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Landmarks:
    """Landmarks of a capture's frames.

    Attributes:
        source: truth or file.
        of: from a row of the stages in `fields` to `joints_<set>_px`, `_confidence` and `_visible` in the crop;
            raises InputError where a frame has none that can be read.
        fields: what a row must hold, by stage.
        own: whether these fields are new, and not those of a stage above.
    """

    source: str
    joint_set: JointSet
    of: Callable[[Sample], Sample]
    fields: dict[str, tuple[str, ...]]
    own: bool


def landmarks_of(inputs: Inputs) -> Landmarks:
    """Open what the capture's bodies are fitted to.

    Raises:
        InputError: no-keypoints, where nothing brings landmarks; or as `open_landmarks`.
    """
    table = inputs.capture
    if table.fitted_to == "truth":
        return _drawn(inputs)
    if table.role == "image":
        return _annotated(inputs)
    return _from_files(inputs)


def _drawn(inputs: Inputs) -> Landmarks:
    known = read_truth(inputs.folder("simulate") / RAW_FOLDER / TRUTH_FOLDER)
    settings = inputs.manifest.stages.fit
    joint_set, body = joint_set_named(settings.joint_set), default_body()

    def of(row: Sample) -> Sample:
        at = known.frames.index(int(row["frame"]))
        posed = body.posed(known.pose_rad[at][None], known.betas[at], known.transl_m[at])
        joints_m = transform(invert_rigid(row["world_from_cam"]), joints_of(body, posed, joint_set)[0])
        rng = stream(inputs.manifest.dataset.seed, "fit", inputs.capture.id, int(row["frame"]))
        noise_px = settings.landmark_noise_px
        return landmark_sample(
            joint_set, *drawn_landmarks(joints_m, row["K"], row["depth_raw_m"], noise_px=noise_px, rng=rng)
        )

    fields = {"foreground": ("K", "world_from_cam", "depth_raw_m")}
    return Landmarks(source="truth", joint_set=joint_set, of=of, fields=fields, own=True)


def _annotated(inputs: Inputs) -> Landmarks:
    written = inputs.fields("annotated")
    name = next((name for name in ANNOTATED_SETS if f"joints_{name}_px" in written), None)
    if name is None:
        raise InputError(
            "no-keypoints",
            f"capture {inputs.capture.id}: annotations must bring key points to fit bodies to, bring none. Leave "
            "targets out.",
        )
    fields = tuple(f"joints_{name}_{part}" for part in ("px", "confidence", "visible"))
    return Landmarks(
        source="file",
        joint_set=joint_set_named(name),
        of=lambda row: {field: row[field] for field in fields},
        fields={"annotated": fields},
        own=False,
    )


def _from_files(inputs: Inputs) -> Landmarks:
    table = inputs.capture
    place = inputs.manifest.capture_folder(table.id)
    if place is None or table.landmark_files is None:
        raise ValueError(f"capture {table.id}: landmarks from files must be named, are not.")
    reader = open_landmarks(place if place.is_dir() else place.parent, table.landmark_files)
    sensor_K = dict(_sensor_K(inputs))
    shape_hw = inputs.frames("foreground").row(0, ["sensor_mask"])["sensor_mask"].shape

    def of(row: Sample) -> Sample:
        return _in_crop(reader, row, sensor_K[int(row["frame"])], shape_hw)

    fields = {"foreground": ("K", "depth_raw_m")}
    return Landmarks(source="file", joint_set=reader.joint_set, of=of, fields=fields, own=True)


def _sensor_K(inputs: Inputs) -> list[tuple[int, np.ndarray]]:
    frames = inputs.frames("ingest")
    return list(zip(frames.column("frame").tolist(), frames.column("sensor_K"), strict=True))


def _in_crop(reader: LandmarkReader, row: Sample, sensor_K: np.ndarray, shape_hw: tuple[int, int]) -> Sample:
    """The person of a frame whose landmarks lie best on its mask, in the crop's pixels."""
    crop_from_sensor = row["K"] @ np.linalg.inv(sensor_K)
    mask = row["depth_raw_m"] > 0
    people = []
    for joints in reader.people(int(row["frame"]), shape_hw):
        px = joints.px @ crop_from_sensor[:2, :2].T + crop_from_sensor[:2, 2]
        people.append((px, joints.confidence, joints.visible))
    px, confidence, visible = best_on_mask(people, mask)
    placed = np.where(confidence[:, None] > 0, px, 0).astype(np.float32)
    return landmark_sample(reader.joint_set, placed, confidence, visible)


def landmark_sample(
    joint_set: JointSet, px: np.ndarray, confidence: np.ndarray, visible: np.ndarray
) -> Sample:
    stem = f"joints_{joint_set.name}"
    return {f"{stem}_px": px, f"{stem}_confidence": confidence, f"{stem}_visible": visible}


def landmark_digest(manifest: Manifest, table: CaptureTable) -> str:
    """One hash over the names and contents of a capture's landmark files; empty where it names none."""
    place = manifest.capture_folder(table.id)
    if place is None or table.landmark_files is None:
        return ""
    root = place if place.is_dir() else place.parent
    files = landmark_paths(root, table.landmark_files).values()
    try:
        hashes = FileHashes(manifest.folder / "raw-hashes.sqlite")
        try:
            # A file that may not be read is as good as missing here; reading it says so.
            return hashes.digest([file for file in files if os.access(file, os.R_OK)], root=root)
        finally:
            hashes.close()
    except (OSError, sqlite3.Error) as error:
        raise unwritable(manifest.folder, error) from error
