"""Key points that a network found in the frames of a capture with depth: files beside it, matched by frame number."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.bodies.joints import BODY25, COCO17, JointSet
from pipeline.captures.annotation import Joints
from pipeline.captures.annotation_files import Shape
from pipeline.captures.annotation_values import (
    joints_of_rows,
    listed,
    numbers,
    read_json,
    table,
    whole_number,
)
from pipeline.captures.coco_keypoints import coco_joints, refuse_crowd
from pipeline.errors import InputError

FRAME = "{frame}"
# A person in the crop: joints (J 2), confidence (J), visible (J).
Marked = tuple[NDArray[Any], NDArray[np.float32], NDArray[np.bool_]]


class LandmarkFiles(BaseModel):
    """Key points of a capture's frames, in pixels of its colour image as ingested; paths relative to the capture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["coco", "openpose"] = Field(
        description="coco: one file of COCO's annotations or results, image_id being the frame's number | "
        "openpose: one file a frame, with the 25 joints of BODY_25"
    )
    file: str = Field(
        min_length=1,
        description="the file; of openpose a pattern with {frame}, the frame's number with any zeros before it",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        wanted = 1 if self.kind == "openpose" else 0
        if self.file.count(FRAME) != wanted:
            raise ValueError(f"file must hold {{frame}} {wanted} times for {self.kind}, is {self.file!r}")
        return self


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LandmarkReader:
    """Open key points of a capture's frames.

    Attributes:
        files: frame to its own file, of openpose; empty else.
        entries: frame to its people and where they are written, of coco; empty else.
    """

    joint_set: JointSet
    where: str
    files: dict[int, Path]
    entries: dict[int, list[tuple[str, dict[str, Any]]]]

    def people(self, frame: int, shape_hw: Shape) -> list[Joints]:
        """Everybody who was found in a frame.

        Raises:
            InputError: no-keypoints, annotation-malformed or crowd-annotation.
        """
        if frame in self.files:
            found = _openpose_people(self.files[frame], shape_hw)
        else:
            found = [_coco_person(where, entry, shape_hw) for where, entry in self.entries.get(frame, [])]
        if not found:
            raise InputError(
                "no-keypoints",
                f"{self.where}: frame {frame} must have the key points of a person, has none. Left out; find them.",
            )
        return found


def open_landmarks(root: Path, options: LandmarkFiles) -> LandmarkReader:
    """Open the key points of a capture.

    Raises:
        InputError: annotation-missing or annotation-malformed.
    """
    where = str(root / options.file)
    if options.kind == "openpose":
        files = landmark_paths(root, options)
        if not files:
            raise InputError(
                "annotation-missing",
                f"{where}: the pattern must match a file of key points, matches none. Mend landmark_files.file.",
            )
        return LandmarkReader(joint_set=BODY25, where=where, files=files, entries={})
    content = read_json(root / options.file)
    if isinstance(content, dict):
        content = content.get("annotations")
    entries: dict[int, list[tuple[str, dict[str, Any]]]] = {}
    for position, value in enumerate(listed(content, "the people", where=where)):
        place = f"{where}, person {position}"
        entry = table(value, "a person", where=place)
        frame = whole_number(entry.get("image_id"), "image_id", where=place)
        entries.setdefault(frame, []).append((place, entry))
    return LandmarkReader(joint_set=COCO17, where=where, files={}, entries=entries)


def landmark_paths(root: Path, options: LandmarkFiles) -> dict[int, Path]:
    """Frame number to file, ascending; -1 to the one file of coco."""
    if options.kind == "coco":
        return {-1: root / options.file}
    before, after = options.file.split(FRAME)
    matches = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    folder = (root / before).parent if not before.endswith("/") else root / before
    found = {}
    for path in sorted(folder.glob("*")) if folder.is_dir() else []:
        match = matches.fullmatch(path.relative_to(root).as_posix())
        if match:
            found[int(match.group(1))] = path
    return dict(sorted(found.items()))


def best_on_mask(people: Sequence[Marked], mask: NDArray[np.bool_]) -> Marked:
    """Of several people, the one most of whose confidence lies on a mask (H W); the first of equals."""
    height, width = mask.shape

    def on_mask(person: Marked) -> float:
        px, confidence, _ = person
        u, v = np.clip(np.round(px), -1, max(height, width)).astype(int).T
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        return float((confidence * (inside & mask[np.where(inside, v, 0), np.where(inside, u, 0)])).sum())

    return max(people, key=on_mask)


def _openpose_people(file: Path, shape_hw: Shape) -> list[Joints]:
    content = table(read_json(file), "the file", where=str(file))
    people = []
    for person, value in enumerate(listed(content.get("people"), "people", where=str(file))):
        where = f"{file}, person {person}"
        entry = table(value, "a person", where=where)
        flat = numbers(entry.get("pose_keypoints_2d"), 75, "pose_keypoints_2d of BODY_25", where=where)
        people.append(joints_of_rows(BODY25, flat.reshape(25, 3), shape_hw, where=where))
    return people


def _coco_person(where: str, entry: dict[str, Any], shape_hw: Shape) -> Joints:
    refuse_crowd(entry, where=where)
    return coco_joints(entry, shape_hw, where=where)
