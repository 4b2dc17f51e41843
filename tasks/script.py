"""What a manifest says of one simulated capture, as the stages that cast and film it need it."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bodies.bvh import read_bvh
from pipeline.bodies.bvh_retarget import retarget
from pipeline.bodies.model import default_body
from pipeline.bodies.proportions import proportions_of
from pipeline.simulation.casting import Script
from tasks.stage import CaptureStage

SCRIPT_KEYS = ("subject", "outfit", "pose", "count")


def identity_of(stage: CaptureStage) -> dict[str, Any]:
    """All that decides who does what before which cameras; how cloth moves stands upstream."""
    table = stage.table()
    found = {
        "seed": stage.loaded().dataset.seed,
        "capture": stage.capture,
        **{key: getattr(table, key) for key in SCRIPT_KEYS},
        **table.simulated.model_dump(mode="json", exclude={"cloth"}),
    }
    path = motion_file(stage)
    return found if path is None else {**found, "motion_sha256": _digest(path)}


def script_of(stage: CaptureStage) -> Script:
    """The script of a capture."""
    table, simulated = stage.table(), stage.table().simulated
    return Script(
        capture=stage.capture,
        **{key: getattr(table, key) for key in SCRIPT_KEYS},
        motion=motion_file(stage) or simulated.motion,
        camera=simulated.camera,
        cameras=simulated.cameras,
        distance_m=stage.loaded().stages.simulate.radius_m,
    )


def motion_file(stage: CaptureStage) -> Path | None:
    """The user's motion capture that a capture names; None where it names none."""
    return stage.loaded().motion_file(stage.capture)


def check_motion(path: Path) -> None:
    """Read a motion capture without anybody to perform it.

    Raises:
        InputError: motion-missing, motion-malformed or motion-joints.
    """
    body = default_body()
    retarget(read_bvh(path), proportions_of(body, np.zeros(body.arrays.shape_dirs_m.shape[2])))


def _digest(path: Path) -> str:
    # A file that may not be read says so when the motion is read; bringing it changes the digest.
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "unreadable"
