"""Predictors that see no image: the mean shape in closed form, and the alignment that two of them must survive."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.shards import pack_capture
from training.metrics import depth_metrics
from training.trivial import FLAT, MEAN_SHAPE, OFFSET, TRIVIAL, mean_shape, trivial_predictor

SIZE = 16


def write_dataset(folder: Path, samples: list[tuple[np.ndarray, np.ndarray]]) -> Path:
    """A dataset with one training capture of these (depth, mask)."""
    (folder / "shards").mkdir(parents=True)
    rows = [
        {
            "frame": np.int32(index),
            "depth_m": np.where(mask, depth_m, 0).astype(np.float32),
            "depth_median_m": np.float32(np.median(depth_m[mask])),
            "mask": mask,
        }
        for index, (depth_m, mask) in enumerate(samples)
    ]
    names = (f"train-{number:05d}.h5" for number in range(9))
    packed = pack_capture(rows, folder / "shards", names=names, shard_bytes=10**9, fingerprint="f")
    index = {
        "schema": "1.0",
        "fields": {name: {} for name in ("frame", "depth_m", "depth_median_m", "mask")},
        "splits": {"train": {"samples": len(rows)}, "val": {"samples": 0}},
        "shards": [{**entry, "split": "train", "captures": ["c"]} for entry in packed],
    }
    (folder / "dataset.json").write_text(json.dumps(index))
    return folder


def halves() -> tuple[np.ndarray, np.ndarray]:
    left, upper = np.zeros((2, SIZE, SIZE), bool)
    left[:, : SIZE // 2], upper[: SIZE // 2] = True, True
    return left, upper


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """A ramp over the left half, and the ramp plus a step of 0.5 m over the upper half, 1 m and 3 m away."""
    left, upper = halves()
    ramp = np.tile(np.linspace(-0.1, 0.1, SIZE), (SIZE, 1)).T
    return write_dataset(tmp_path_factory.mktemp("a"), [(1 + ramp, left), (3 + 2 * ramp, upper)])


def test_mean_shape_is_the_mean_of_those_who_cover_the_pixel(dataset):
    left, upper = halves()
    ramp = np.tile(np.linspace(-0.1, 0.1, SIZE), (SIZE, 1)).T
    first, second = ramp - np.median(ramp[left]), 2 * ramp - np.median(2 * ramp[upper])
    mean_m, count = mean_shape([(dataset, "train")])
    np.testing.assert_array_equal(count, left.astype(int) + upper)
    expected = np.where(left & upper, (first + second) / 2, np.where(left, first, np.where(upper, second, 0)))
    np.testing.assert_allclose(mean_m, expected, atol=1e-6)  # float32 depths of 1 to 3 m


def test_mean_shape_of_one_sample_predicts_it(tmp_path):
    left, _ = halves()
    depth_m = 2 + 0.1 * np.random.default_rng(0).random((SIZE, SIZE))
    one = write_dataset(tmp_path / "one", [(depth_m, left)])
    predicted = trivial_predictor([(one, "train")])({"mask": left})
    found = {x["name"]: x["value"] for x in depth_metrics(predicted[MEAN_SHAPE], depth_m, left)}
    assert found["MAE, median"] == pytest.approx(0, abs=1e-4)  # cm
    twice, _ = mean_shape([(one, "train"), (one, "train")])
    np.testing.assert_allclose(twice, mean_shape([(one, "train")])[0], atol=1e-12)


def test_offset_is_the_mean_over_training_pixels_and_scores_as_the_plane(dataset):
    left, upper = halves()
    mean_m, count = mean_shape([(dataset, "train")])
    predicted = trivial_predictor([(dataset, "train")])({"mask": left})
    assert tuple(predicted) == TRIVIAL
    assert np.ptp(predicted[OFFSET]) == 0 and not predicted[FLAT].any()
    assert predicted[OFFSET][0, 0] == pytest.approx(np.repeat(mean_m.ravel(), count.ravel()).mean())
    truth_m = 2 + np.random.default_rng(1).random((SIZE, SIZE))
    plane, offset = (depth_metrics(predicted[name], truth_m, upper) for name in (FLAT, OFFSET))
    assert [x["value"] for x in plane] == pytest.approx([x["value"] for x in offset])


def test_sizes_that_differ_and_empty_splits_are_named(dataset, tmp_path):
    small = write_dataset(tmp_path / "small", [(np.ones((8, 8)), np.ones((8, 8), bool))])
    with pytest.raises(InputError, match=r"samples must be of \(16, 16\) px .* one is \(8, 8\) px"):
        mean_shape([(dataset, "train"), (small, "train")])
    with pytest.raises(InputError, match=r"as in training, one is \(8, 8\) px"):
        trivial_predictor([(dataset, "train")])({"mask": np.ones((8, 8), bool)})
    with pytest.raises(InputError, match="must hold a sample, hold none"):
        mean_shape([(dataset, "val")])
