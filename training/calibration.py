"""Confidences that mean what they say: of all joints given with 0.8, eight in ten are right.

A network's own probabilities are not that: what it was trained on is not what it sees. A monotone map turns them
into shares of joints that were right on people held out (Zadrozny and Elkan, "Transforming Classifier Scores into
Accurate Multiclass Probability Estimates", KDD 2002: isotonic regression by pooling adjacent violators).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

Float64 = NDArray[np.float64]

FILE = "calibration.json"
LEAST_COUNT = 50  # joints in a step of the map: fewer tell little of a share
BINS = 10


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Calibration:
    """A monotone map, linear between its knots and flat beyond them.

    Attributes:
        mass: (K) what the network says, rising.
        confidence: (K) share of joints that were right, never falling.
        of: what it was measured on, in words.
    """

    mass: Float64
    confidence: Float64
    of: str

    def __call__(self, mass: NDArray[Any]) -> Float64:
        return np.interp(mass, self.mass, self.confidence)


def fit_calibration(mass: NDArray[Any], right: NDArray[np.bool_], *, of: str) -> Calibration:
    """The map that fits best of all that never fall, in steps of at least `LEAST_COUNT` joints.

    Args:
        mass: (N) of joints.
        right: (N) which of them were right.

    Raises:
        ValueError: without a joint.
    """
    if not len(mass):
        raise ValueError("fit_calibration: there must be joints to learn from, are none")
    order = np.argsort(mass, kind="stable")
    steps = np.array_split(order, max(1, len(order) // LEAST_COUNT))
    pools: list[tuple[float, float, float]] = []  # count, sum of masses, how many right
    for step in steps:
        pools.append((len(step), float(mass[step].sum()), float(right[step].sum())))
        while len(pools) > 1 and pools[-2][2] / pools[-2][0] >= pools[-1][2] / pools[-1][0]:
            last, before = pools.pop(), pools.pop()
            pools.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    count, total, good = np.array(pools, np.float64).T
    return Calibration(mass=total / count, confidence=good / count, of=of)


def reliability(confidence: NDArray[Any], right: NDArray[np.bool_]) -> tuple[list[dict[str, float]], float]:
    """How often joints of about one confidence were right, by tenths, and the expected calibration error.

    The error is the mean over the joints of |confidence - share right| of their tenth: Guo et al., "On Calibration
    of Modern Neural Networks", ICML 2017, eq. (3).
    """
    rows, error = [], 0.0
    tenth = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    for number in np.unique(tenth):
        here = tenth == number
        said, found = float(confidence[here].mean()), float(right[here].mean())
        rows.append({"confidence": said, "right": found, "joints": int(here.sum())})
        error += abs(said - found) * here.mean()
    return rows, float(error)


def write_calibration(path: Path, calibration: Calibration, facts: Mapping[str, Any]) -> None:
    """Write the map as JSON, with further facts about it."""
    knots = {"mass": calibration.mass.tolist(), "confidence": calibration.confidence.tolist()}
    content = {"schema": 1, "of": calibration.of, **knots, **facts}
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    fresh.replace(path)


def read_calibration(path: Path) -> Calibration | None:
    """The map of a checkpoint; None where there is none.

    Raises:
        InputError: when the file is no such map.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        mass, confidence = (np.asarray(content[key], np.float64) for key in ("mass", "confidence"))
        of = str(content["of"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _malformed(path, repr(error)) from error
    if mass.shape != confidence.shape or mass.ndim != 1 or not len(mass):
        raise _malformed(path, f"{mass.shape} masses and {confidence.shape} confidences")
    if (np.diff(mass) < 0).any() or (np.diff(confidence) < 0).any():
        raise _malformed(path, "knots that fall")
    return Calibration(mass=mass, confidence=confidence, of=of)


def _malformed(path: Path, finding: str) -> InputError:
    return InputError(
        "calibration-malformed",
        f"{path}: must hold rising knots of mass and confidence, holds {finding}. Evaluate the model again.",
    )
