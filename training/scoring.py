"""How each kind of network is scored: which shard fields hold its truth, which pixels count, which figures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.metrics import (
    ALIGNMENTS,
    CDF_M,
    Metric,
    depth_errors,
    depth_metrics,
    erode,
    error_cdf,
    flicker_mm,
    joint_metrics,
    metric,
    normal_metrics,
    part_metrics,
)
from training.models import Sample

Bool = NDArray[np.bool_]

PARTS = 14
PELVIS = 0  # in SMPL's order of joints


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of prediction.

    Attributes:
        fields: shard fields that hold the truth.
        score: prediction, sample and eroded mask to figures.
        headline: the figure that stands for the model where there is room for one.
    """

    fields: tuple[str, ...]
    score: Callable[[NDArray[Any], Sample, Bool], list[Metric]]
    headline: str


def _depth(prediction: NDArray[Any], sample: Sample, mask: Bool) -> list[Metric]:
    return depth_metrics(prediction, sample["depth_m"], mask)


def _normal(prediction: NDArray[Any], sample: Sample, mask: Bool) -> list[Metric]:
    return normal_metrics(prediction, sample["normal"], mask)


def _parts(prediction: NDArray[Any], sample: Sample, mask: Bool) -> list[Metric]:
    return part_metrics(prediction, sample["part14"], parts=PARTS)


def _joints(prediction: NDArray[Any], sample: Sample, mask: Bool) -> list[Metric]:
    truth_m = sample["joints_smpl24_cam_m"]
    return joint_metrics(prediction, truth_m, np.ones(len(truth_m), bool), root=PELVIS)


KINDS: dict[str, Kind] = {
    "depth": Kind(fields=("depth_m", "mask"), score=_depth, headline="MAE, median"),
    "normal": Kind(fields=("normal", "mask"), score=_normal, headline="normal error, mean"),
    # A label map is whole: background that is taken for a part must count.
    "parts": Kind(fields=("part14", "mask"), score=_parts, headline="parts, mean IoU"),
    "joints": Kind(fields=("joints_smpl24_cam_m", "mask"), score=_joints, headline="MPJPE"),
}


def score_mask(sample: Sample, erosion_px: int) -> Bool:
    """The pixels (H W) of a sample that count: its mask without this many outer rings, where truth stands."""
    mask = erode(np.asarray(sample["mask"]), erosion_px)
    return mask & (sample["depth_m"] > 0) if "depth_m" in sample else mask


class DepthTrace:
    """What only a whole split tells of a depth predictor: the error's distribution, and how much it flickers."""

    def __init__(self) -> None:
        self._shares = {alignment: np.zeros(len(CDF_M)) for alignment in ALIGNMENTS}
        self._counted = 0
        self._before: tuple[str, int, NDArray[np.float64], Bool] | None = None
        self._changes: dict[str, list[tuple[int, float]]] = {}  # by capture: step in frames, flicker in mm

    def add(self, prediction: NDArray[Any], sample: Sample, mask: Bool) -> None:
        """Take in the next sample of the split."""
        for alignment in ALIGNMENTS:
            errors_m = depth_errors(prediction, sample["depth_m"], mask, alignment=alignment)
            if len(errors_m):
                self._shares[alignment] += error_cdf(errors_m)
        image_m = np.zeros(mask.shape)
        if mask.any():
            self._counted += 1
            image_m[mask] = errors_m - np.median(errors_m)
        capture, frame = str(sample["capture"]), int(sample["frame"])
        if self._before is not None and self._before[0] == capture:
            change_mm = flicker_mm(image_m, self._before[2], mask & self._before[3])
            if change_mm is not None:
                self._changes.setdefault(capture, []).append((frame - self._before[1], change_mm))
        self._before = (capture, frame, image_m, mask)

    def cdf(self) -> dict[str, Any]:
        """Mean over the samples of the share of pixels with a smaller error, on a fixed grid."""
        shares = {
            alignment: (total / self._counted).tolist() if self._counted else None
            for alignment, total in self._shares.items()
        }
        return {"errors": {"name": "error", "value": CDF_M.tolist(), "unit": "m"}, "shares": shares}

    def flicker(self) -> list[Metric]:
        """Mean of `flicker_mm` over all neighbouring frames, and how many pairs there are.

        Neighbours are two samples of one capture as many frames apart as that capture's closest two.
        """
        pairs = [
            change_mm
            for changes in self._changes.values()
            for step, change_mm in changes
            if step == min(step for step, _ in changes)
        ]
        mean = float(np.mean(pairs)) if pairs else None
        return [metric("flicker", mean, "mm"), metric("flicker, pairs of frames", len(pairs), "1")]
