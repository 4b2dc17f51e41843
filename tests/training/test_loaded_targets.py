"""Targets as a dataset gives them: to the trainer, to a predictor, and with a word on what is missing."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pipeline.errors import InputError, ManifestError
from pipeline.shards import pack_capture
from training.augment import Augmentation, flip
from training.data import ShardDataset, TrainingSamples
from training.evaluate import evaluate_predictor
from training.made_targets import stored_fields, with_targets

_spec = importlib.util.spec_from_file_location("bodies", Path(__file__).with_name("bodies.py"))
bodies = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bodies)

NAMES = ("joint_places", "joint_seen", "part_target", "landmarks", "volume_128", "mask", "capture")


@pytest.fixture(scope="module")
def body() -> dict:
    return bodies.seen_body()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, body) -> Path:
    """Two captures of two frames; the second has no joints."""
    folder = tmp_path_factory.mktemp("made-targets")
    (folder / "shards").mkdir()
    names = (f"train-{number:05d}.h5" for number in range(9))
    entries = []
    for capture in ("ann", "bob"):
        samples = [
            {"capture": capture, "subject": capture, "frame": np.int32(frame), **body} for frame in range(2)
        ]
        for sample in samples:
            sample["densepose_points_px"] = np.zeros((196, 2), np.float32)
            sample["depth_median_m"] = np.float32(np.median(body["depth_m"][body["mask"]]))
            if capture == "bob":
                del sample["joints_tang16_px"]
        packed = pack_capture(samples, folder / "shards", names=names, shard_bytes=10**8, fingerprint=capture)
        entries += [
            {**e, "split": "train" if capture == "ann" else "odd", "captures": [capture]} for e in packed
        ]
    index = {
        "schema": "1.1",
        "fields": {
            name: {}
            for name in ("capture", "subject", "frame", "depth_median_m", "densepose_points_px", *body)
        },
        "splits": {"train": {"samples": 2}, "odd": {"samples": 2}},
        "shards": entries,
    }
    (folder / "dataset.json").write_text(json.dumps(index))
    return folder


def test_a_dataset_gives_targets_as_it_gives_fields(dataset, body):
    samples = ShardDataset(dataset, split="train", fields=NAMES)
    expected = with_targets({**body, "capture": "ann"}, NAMES)
    loader = DataLoader(samples, batch_size=2, num_workers=1, multiprocessing_context="fork")
    (batch,) = list(loader)
    assert set(batch) == set(samples[0]) == set(NAMES)
    for name in set(NAMES) - {"capture"}:
        assert batch[name].shape == (2, *expected[name].shape)
        np.testing.assert_array_equal(batch[name][1].numpy(), expected[name], name)


def test_targets_are_made_of_what_was_augmented(dataset, body):
    part = ShardDataset(dataset, split="train", fields=NAMES)
    mirrored = TrainingSamples([part], augmentation=Augmentation(flip=1.0, gain=(1, 1)), seed=0)[0, 1]
    expected = with_targets(flip({**body, "capture": "ann"}), NAMES)
    assert set(mirrored) == set(NAMES)
    for name in set(NAMES) - {"capture"}:
        assert torch.equal(mirrored[name], torch.from_numpy(np.ascontiguousarray(expected[name]))), name
    plain = TrainingSamples([part], augmentation=None, seed=0)[0, 1]
    assert torch.equal(plain["volume_128"].flip(2), mirrored["volume_128"])


def test_a_capture_without_what_a_target_is_made_from_is_named(dataset):
    with pytest.raises(InputError, match="target joint_seen must find joints_tang16_px") as found:
        index = json.loads((dataset / "dataset.json").read_text())
        del index["fields"]["joints_tang16_px"]
        stored_fields(["joint_seen"], index["fields"], where="d")
    assert found.value.reason == "field-missing"
    samples = ShardDataset(dataset, split="odd", fields=["joint_seen", "mask"])
    with pytest.raises(
        InputError, match="joints_tang16_px of bob are not .* joint_seen is made from joints_tang16_px"
    ):
        samples[0]


def test_augmentation_that_a_target_cannot_have_is_refused_before_the_first_sample(dataset):
    part = ShardDataset(dataset, split="train", fields=["volume_128", "image"])
    with pytest.raises(ManifestError, match=r"scale must be \[1, 1\] where occupancy_128 is read"):
        TrainingSamples([part], augmentation=Augmentation(scale=(0.9, 1.1)), seed=0)
    TrainingSamples([part], augmentation=Augmentation(scale=[1.0, 1.0]), seed=0)
    part = ShardDataset(dataset, split="train", fields=["densepose_points_px"])
    with pytest.raises(ManifestError, match="flip must be 0 where densepose_points_px is read"):
        TrainingSamples([part], augmentation=Augmentation(flip=0.5), seed=0)


def test_a_predictor_is_scored_with_the_targets_that_it_reads(dataset):
    seen = []

    def predict(sample):
        seen.append(sample["joint_places"].shape)
        return {"flat": np.zeros_like(sample["depth_m"])}

    records, _ = evaluate_predictor(predict, dataset, split="train", fields=["joint_places"])
    assert seen == [(16, 3)] * 2 and len(records) == 2
