"""Landmarks and charts that a trained network finds in a capture's pictures, with its own calibrated confidence."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.bodies.joints import COCO17
from pipeline.errors import InputError
from pipeline.manifest import Manifest
from tasks.context import file_digest
from tasks.inputs import Inputs
from tasks.landmarks import Landmarks, Sample, landmark_sample

if TYPE_CHECKING:
    from training.landmark_predictor import Person


class PictureNetwork:
    """The network that `stages.fit.checkpoint` names, over the crops of one capture.

    Attributes:
        fields: what it reads of a row, by stage.

    Raises:
        InputError: no-colour, where the capture's frames have no picture; or as `load_landmark_model`.
    """

    def __init__(self, inputs: Inputs) -> None:
        from training.landmark_predictor import load_landmark_model

        view = "annotated" if inputs.capture.role == "image" else "foreground"
        written = inputs.fields(view)
        if "image" not in written:
            raise InputError(
                "no-colour",
                f"capture {inputs.capture.id}: a network needs colour pictures, the capture has none. Name files of "
                "landmarks instead.",
            )
        self._model = load_landmark_model(checkpoint_folder(inputs.manifest), device="cpu")
        self.fields = {view: ("K", "image", *(("depth_raw_m",) if "depth_raw_m" in written else ()))}

    def person(self, row: Sample) -> "Person":
        """What the network sees of a crop's person, in the crop's pixels.

        Raises:
            InputError: nobody-seen, where it is not sure of one.
        """
        from training.landmark_predictor import predict_person

        person = predict_person(self._model, row["image"], box=_box(row))
        if not person.people:
            raise InputError(
                "nobody-seen",
                f"frame {row['frame']}: the network must see a person, is {person.presence:.0%} sure of one. "
                "Left out; look at the picture.",
            )
        return person


def network_landmarks(inputs: Inputs) -> Landmarks:
    """What bodies are fitted to with landmarks = "network"; raises as `PictureNetwork`."""
    network = PictureNetwork(inputs)
    return Landmarks(
        source="network",
        joint_set=COCO17,
        of=lambda row: joints_sample(network.person(row)),
        fields=network.fields,
        own=inputs.capture.role != "image",
    )


def joints_sample(person: "Person") -> Sample:
    """The fields `joints_coco17_*` of what the network saw."""
    from training.landmark_joints import read_out

    px, confidence = read_out(person.joints_px, person.confidence, COCO17)
    px = np.where(confidence[:, None] > 0, px, 0)
    return landmark_sample(COCO17, px.astype(np.float32), confidence.astype(np.float32), confidence > 0)


def checkpoint_folder(manifest: Manifest) -> Path:
    """A run's folder below the output's root, or the bare name of a network that is shipped."""
    named = Path(manifest.stages.fit.checkpoint)
    return named if len(named.parts) == 1 else manifest.folder.parent / named


def checkpoint_digest(manifest: Manifest) -> str:
    """Hashes of the network's weights and of the calibration of its confidences."""
    from training.models import checkpoint_folder as found

    try:
        folder = found(checkpoint_folder(manifest))
    except InputError:
        return "missing"  # the stage says so
    return " ".join(file_digest(folder / name) for name in ("model.safetensors", "calibration.json"))


def _box(row: Sample) -> tuple[float, float, float, float] | None:
    """The measured person's box in the crop, px, edges of pixels; None where nothing was measured."""
    if "depth_raw_m" not in row:
        return None
    v, u = np.nonzero(row["depth_raw_m"] > 0)
    return (float(u.min()), float(v.min()), float(u.max()) + 1, float(v.max()) + 1) if len(u) else None
