"""Joints and surface of people in pictures and films, written as files, with an overlay to look at."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import BODY25, COCO17, MPII16
from pipeline.pictures import part_picture
from training.figures import save_png
from training.landmark_joints import LANDMARK27, read_out
from training.landmark_predictor import (
    LandmarkModel,
    Person,
    load_landmark_model,
    picture_facts,
    predict_person,
)
from training.landmark_reading import Reading
from training.person import Box
from training.pictures_in import picture_inputs, pictures_of
from training.plots import LINES

LOG = logging.getLogger(__name__)

UInt8 = NDArray[np.uint8]

READ_OUT = (COCO17, MPII16, BODY25)
SURE = 0.3  # confidence from which a joint is drawn
PARTS_WEIGHT = 0.45
TILE_PX = 256


def predict_landmark_pictures(
    checkpoint: Path,
    paths: Sequence[Path],
    out: Path,
    *,
    box: Box | None = None,
    device: str = "auto",
) -> list[dict[str, Any]]:
    """Predict every picture and every frame of every film, and write what came out.

    Per picture: STEM.joints.json, with `landmark27` and what is read out of it as `coco17`, `mpii16` and `body25`,
    each by joint's name as column, row (px) and confidence, and how the person was found; STEM.iuv.png, whose red,
    green and blue are V, U (times 255) and the part, as DensePose writes them; STEM.overlay.png. Where nobody is
    seen, the record says so and no confidence is above 0.

    Args:
        checkpoint: a checkpoint's folder, a run's, or the name of a shipped one.
        paths, out, box, device: as of `training.predict.predict_images`.

    Returns:
        What the STEM.joints.json files hold.

    Raises:
        InputError: for a missing checkpoint, an unreadable picture or film, and two inputs of one name.
    """
    model = load_landmark_model(checkpoint, device=device)
    inputs = picture_inputs(paths)
    out.mkdir(parents=True, exist_ok=True)
    records = []
    for path in inputs:
        for stem, image in pictures_of(path):
            person = predict_person(model, np.ascontiguousarray(image), box=box)
            records.append(_write(out / stem, np.ascontiguousarray(image), person, model))
            if not person.people:
                LOG.warning("%s: no person seen (presence %.2f)", stem, person.presence)
            elif person.people > 1:
                LOG.warning("%s: %d people seen, the largest is taken", stem, person.people)
    LOG.info("%d predictions from %d inputs into %s", len(records), len(inputs), out)
    return records


def overlay(image: UInt8, person: Person) -> UInt8:
    """The picture (H W 3) with parts tinted and the joints that are likely right joined by bones."""
    return _drawn(image, person.part, person.joints_px, person.confidence)


def sample_picture(image: UInt8, reading: Reading, confidence: NDArray[Any]) -> UInt8:
    """A network's own square with its reading laid over it, enlarged to `TILE_PX`."""
    import cv2

    def enlarged(picture: UInt8, how: int) -> UInt8:
        return np.asarray(cv2.resize(picture, (TILE_PX, TILE_PX), interpolation=how), np.uint8)

    factor = TILE_PX / len(image)
    joints_px = (reading.joints_px + 0.5) * factor - 0.5
    plain = enlarged(image, cv2.INTER_LINEAR)
    return np.hstack([plain, _drawn(plain, enlarged(reading.part, cv2.INTER_NEAREST), joints_px, confidence)])


def _drawn(image: UInt8, part: UInt8, joints_px: NDArray[Any], confidence: NDArray[Any]) -> UInt8:
    import cv2

    picture = image.astype(np.float32)
    body = part > 0
    picture[body] += PARTS_WEIGHT * (part_picture(part)[body] - picture[body])
    drawn = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    thick = max(1, round(max(image.shape[:2]) / 300))
    sure = confidence >= SURE
    at = [tuple(int(value) for value in np.rint(place)) for place in joints_px]
    for first, second in LANDMARK27.edges:
        if sure[first] and sure[second]:
            cv2.line(drawn, at[first], at[second], (255, 255, 255), thick, cv2.LINE_AA)
    for row, name in enumerate(LANDMARK27.names):
        if sure[row]:
            color = LINES[1] if "left" in name else LINES[0] if "right" in name else LINES[4]
            cv2.circle(drawn, at[row], 2 * thick, color, -1, cv2.LINE_AA)
    return drawn


def iuv_picture(person: Person) -> UInt8:
    """(H W 3) as RGB: V and U times 255, and the part; OpenCV reads it as part, U, V."""
    levels = np.rint(255 * person.uv).astype(np.uint8)
    return np.dstack([levels[..., 1], levels[..., 0], person.part])


def _write(stem: Path, image: UInt8, person: Person, model: LandmarkModel) -> dict[str, Any]:
    files = {
        key: stem.with_name(stem.name + ending)
        for key, ending in {"iuv": ".iuv.png", "overlay": ".overlay.png"}.items()
    }
    save_png(files["iuv"], iuv_picture(person))
    save_png(files["overlay"], overlay(image, person))
    joints = {LANDMARK27.name: _named(person.joints_px, person.confidence, LANDMARK27.names)}
    for joint_set in READ_OUT:
        places, sure = read_out(person.joints_px, person.confidence, joint_set)
        joints[joint_set.name] = _named(places, sure, joint_set.names)
    record = {
        **picture_facts(person, model),
        "size_px": [image.shape[1], image.shape[0]],
        "joints": joints,
        "files": {key: file.name for key, file in files.items()},
    }
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    stem.with_name(stem.name + ".joints.json").write_text(text, encoding="utf-8")
    return record


def _named(places: NDArray[Any], confidence: NDArray[Any], names: Sequence[str]) -> dict[str, list[float]]:
    """Column, row and confidence of each joint by its name."""
    rows = np.column_stack([np.round(places, 2), np.round(confidence, 4)]).tolist()
    return dict(zip(names, rows, strict=True))
