"""Joints and surface maps of whole pictures, by Landmark-Net, in the pictures' own pixels.

Where the person is, the network's own maps tell: `training.landmark_person`. A picture in which it sees nobody gets
no joints at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import crop_resize
from pipeline.errors import InputError
from pipeline.person_square import Square
from training.calibration import FILE, Calibration, read_calibration
from training.landmark_person import find_people, square_of
from training.landmark_reading import Reading, read_outputs
from training.models import CHECKPOINTS, Trained, load_trained
from training.person import Box

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

SHIPPED = CHECKPOINTS / "landmark-net-small"
SUREST = 8  # joints whose mean confidence says whether there is a person: half of one may be cut off
PRESENT = 0.5  # of that mean: below it there is nobody


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Person:
    """What is known of one picture's person; at its full size.

    Attributes:
        joints_px: (27 2) column and row of `training.landmark_joints.LANDMARK27`, integer pixel centres; they may lie
            beyond the border. 0 where there is nobody.
        confidence: (27) share of such joints that are right, within 0.2 of the torso; 0 where there is nobody, and
            where the joint lies beyond the picture's border.
        part: (H W) uint8, 1..24 as of the field `surface_part`; 0 the background.
        uv: (H W 2) float32 as of the field `surface_uv`; 0 the background.
        presence: from 0 to 1, how sure it is that there is anybody.
        square: what the network saw, in pixel edge coordinates; None where no square was worth a look.
        people: how many were seen; the largest is the one told of.
    """

    joints_px: Float64
    confidence: Float64
    part: NDArray[np.uint8]
    uv: Float32
    presence: float
    square: Square | None
    people: int


class Landmarks(NamedTuple):
    """Of B pictures: joints_px (B 27 2), confidence (B 27), and a list each of part (H W) and uv (H W 2)."""

    joints_px: Float64
    confidence: Float64
    part: list[NDArray[np.uint8]]
    uv: list[Float32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LandmarkModel:
    """A trained Landmark-Net with its calibration, None where it was never measured."""

    trained: Trained
    calibration: Calibration | None

    @property
    def size_px(self) -> int:
        """Side of the square that the network sees."""
        return int(self.trained.state["model"]["options"]["size_px"])

    def read(self, images: NDArray[np.uint8]) -> list[Reading]:
        """Readings of pictures (B H W 3) RGB whose sides are multiples of 32 px."""
        import torch

        with torch.inference_mode():
            batch = {"image": torch.as_tensor(np.ascontiguousarray(images)).to(self.trained.device)}
            return read_outputs(self.trained.module(self.trained.recipe.inputs(batch)))

    def confidence(self, reading: Reading) -> Float64:
        """Of each joint (27), calibrated where the model is."""
        return reading.mass if self.calibration is None else self.calibration(reading.mass)


def load_landmark_model(checkpoint: Path = SHIPPED, *, device: str = "auto") -> LandmarkModel:
    """A Landmark-Net from a checkpoint's or run's folder, or by the name of a shipped one.

    Raises:
        InputError: when there is none, it is damaged, or it is another model's.
    """
    trained = load_trained(checkpoint, device=device)
    if trained.recipe.name != "landmark-net":
        raise InputError(
            "no-landmarks",
            f"{checkpoint}: must be a landmark-net, is a {trained.recipe.name}. Name another checkpoint.",
        )
    return LandmarkModel(trained=trained, calibration=read_calibration(trained.folder / FILE))


def predict_landmarks(
    images: Sequence[NDArray[np.uint8]],
    *,
    model: LandmarkModel | None = None,
    boxes: Sequence[Box | None] | None = None,
) -> Landmarks:
    """Joints, calibrated confidences, parts and surface coordinates of the person in each picture.

    What a fit to landmarks needs in place of a file: `read_out(joints_px[i], confidence[i], COCO17)` of
    `training.landmark_joints` gives another set's joints, with the confidence as weight. `part` and `uv` are those
    of the fields `surface_part` and `surface_uv`.

    Args:
        images: (H W 3) uint8 RGB, of any sizes.
        model: the shipped one unless given.
        boxes: left, top, right and bottom of each person, px, such as a mask's; None has it found.

    Returns:
        Confidences of 0, and no part, where nobody is seen.

    Raises:
        InputError: when there is no checkpoint.
        ValueError: for a picture that is none, or another number of boxes.
    """
    if boxes is not None and len(boxes) != len(images):
        raise ValueError(f"predict_landmarks: there must be {len(images)} boxes, are {len(boxes)}")
    model = model or load_landmark_model()
    people = [
        predict_person(model, image, box=None if boxes is None else boxes[row])
        for row, image in enumerate(images)
    ]
    return Landmarks(
        joints_px=np.stack([each.joints_px for each in people]),
        confidence=np.stack([each.confidence for each in people]),
        part=[each.part for each in people],
        uv=[each.uv for each in people],
    )


def predict_person(model: LandmarkModel, image: NDArray[np.uint8], *, box: Box | None = None) -> Person:
    """The person of one picture (H W 3) uint8 RGB.

    Args:
        box: of the person, px; else the largest that is found.

    Raises:
        ValueError: unless the picture is (H W 3) uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"predict_person: image must be (H W 3) uint8, is {image.dtype} of shape {image.shape}"
        )
    if box is None:
        found = find_people(model.read, image, model.size_px)
        square, people = found.square, found.people
    else:
        square, people = square_of(box), 1
    if square is None:
        return _nobody(image.shape[:2], 0.0, None)
    cut, _ = crop_resize({"image": image}, np.eye(3), square, model.size_px)
    reading = model.read(cut["image"][None])[0]
    confidence = model.confidence(reading)
    presence = float(np.sort(confidence)[-SUREST:].mean())
    if presence < PRESENT:
        return _nobody(image.shape[:2], presence, square)
    u0, v0, side = square
    joints_px = (reading.joints_px + 0.5) * side / model.size_px + [u0 - 0.5, v0 - 0.5]
    shown = ((joints_px > -0.5) & (joints_px < np.array(image.shape[1::-1]) - 0.5)).all(axis=1)
    part, uv = _whole(reading, square, image.shape[:2])
    return Person(
        joints_px=joints_px,
        confidence=np.where(shown, confidence, 0.0),
        part=part,
        uv=uv,
        presence=presence,
        square=square,
        people=people,
    )


def _nobody(shape: tuple[int, ...], presence: float, square: Square | None) -> Person:
    return Person(
        joints_px=np.zeros((27, 2)),
        confidence=np.zeros(27),
        part=np.zeros(shape[:2], np.uint8),
        uv=np.zeros((*shape[:2], 2), np.float32),
        presence=presence,
        square=square,
        people=0,
    )


def _whole(reading: Reading, square: Square, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], Float32]:
    """A square's part and uv as maps of the whole picture, each pixel from the nearest one."""
    u0, v0, side = square
    height, width = shape[:2]
    cells = len(reading.part) / side
    columns = np.floor((np.arange(width) + 0.5 - u0) * cells).astype(np.int64)
    rows = np.floor((np.arange(height) + 0.5 - v0) * cells).astype(np.int64)
    u, v = (np.flatnonzero((at >= 0) & (at < len(reading.part))) for at in (columns, rows))
    part, uv = np.zeros((height, width), np.uint8), np.zeros((height, width, 2), np.float32)
    inside, source = np.ix_(v, u), np.ix_(rows[v], columns[u])
    part[inside], uv[inside] = reading.part[source], reading.uv[source]
    return part, uv


def picture_facts(person: Person, model: LandmarkModel) -> dict[str, Any]:
    """What a record of a prediction tells beside the joints."""
    return {
        "person": person.people > 0,
        "people": person.people,
        "presence": round(person.presence, 4),
        "square": None
        if person.square is None
        else dict(zip(("u0_px", "v0_px", "side_px"), person.square, strict=True)),
        "model": model.trained.recipe.name,
        "step": model.trained.state.get("step"),
        "calibrated": model.calibration.of if model.calibration else None,
    }
