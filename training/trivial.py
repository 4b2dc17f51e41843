"""Predictors that have seen no image: what a trained network has to beat.

All give zero-median depth (H W) in metres by name, as a network's predictor does.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.shards import ShardReader
from training.models import Predictor, Sample

FLAT, MEAN_SHAPE, OFFSET = TRIVIAL = "flat median plane", "mean training shape", "constant offset"


def mean_shape(training: Sequence[tuple[Path, str]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The mean body: per pixel, the mean zero-median depth of all training samples whose mask covers it.

    Args:
        training: datasets and their splits; each sample counts once.

    Returns:
        mean_m (H W), 0 where no sample has a depth, and the number of samples (H W) behind each pixel.

    Raises:
        InputError: when there is no sample, or images are of different sizes.
    """
    total, count = np.zeros((0, 0)), np.zeros((0, 0), np.int64)
    for dataset, split in training:
        samples = ShardReader(dataset, split=split, fields=["depth_m", "depth_median_m", "mask"])
        for index in range(len(samples)):
            sample = samples[index]
            mask = sample["mask"]
            if not total.size:
                total, count = np.zeros(mask.shape), np.zeros(mask.shape, np.int64)
            if mask.shape != total.shape:
                raise InputError(
                    "sizes-differ",
                    f"{dataset}: samples must be of {total.shape} px like those before, one is {mask.shape} px. "
                    "Build the datasets at one image size.",
                )
            total[mask] += sample["depth_m"][mask].astype(np.float64) - float(sample["depth_median_m"])
            count += mask
    if not total.size:
        names = ", ".join(f"{dataset} ({split})" for dataset, split in training)
        raise InputError(
            "no-samples", f"mean_shape: {names} must hold a sample, hold none. Name another split."
        )
    return total / np.maximum(count, 1), count


def trivial_predictor(training: Sequence[tuple[Path, str]]) -> Predictor:
    """All three in one: a plane at the median, the mean training shape, a constant offset from the median.

    The offset is the mean zero-median depth of all training pixels. Every alignment takes it away, so it
    scores exactly as the plane does; a table in which the two differ was made with a broken alignment.

    Raises:
        InputError: as `mean_shape`; when called with a sample of another size than the training's.
    """
    mean_m, count = mean_shape(training)
    offset_m = float((mean_m * count).sum() / max(count.sum(), 1))

    def predict(sample: Sample) -> dict[str, NDArray[Any]]:
        shape = sample["mask"].shape
        if shape != mean_m.shape:
            raise InputError(
                "sizes-differ",
                f"mean training shape: samples must be of {mean_m.shape} px as in training, one is {shape} px. "
                "Score on a dataset of that image size.",
            )
        return {FLAT: np.zeros(shape), MEAN_SHAPE: mean_m, OFFSET: np.full(shape, offset_m)}

    return predict
