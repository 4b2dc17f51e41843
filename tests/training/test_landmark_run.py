"""A whole run of the key-point network: trained, scored, calibrated, shipped, and asked about a picture."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from pipeline.errors import ManifestError
from pipeline.shards import pack_capture
from training.__main__ import main
from training.landmark_evaluate import drawn_joints
from training.landmark_predictor import load_landmark_model
from training.made_targets import with_targets
from training.models import load_trained
from training.recipes import RECIPES
from training.run import load_run
from training.train import train

ROOT = Path(__file__).resolve().parents[2]
SIZE, FINGERPRINT = 64, "0123456789abcdef"
MODEL = {
    "name": "landmark-net",
    "options": {"depth": 18, "width": 0.125, "deconvolution": 8, "size_px": 32},
}
PHASE = {
    "name": "one", "losses": {"joints": 1.0, "parts": 1.0, "uv": 4.0}, "optimizer": {"name": "adam", "lr": 2e-3},
    "steps": 3,
}  # fmt: skip


def sample(subject, frame):
    """An upright box of a person in a picture, with COCO's joints on it."""
    rng = np.random.default_rng(frame)
    left = int(rng.integers(8, 28))
    part = np.zeros((SIZE, SIZE), np.uint8)
    part[8:56, left : left + 24] = 2
    image = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    image[part > 0] = (200, 40, 40)
    px = np.stack([rng.uniform(left, left + 24, 17), rng.uniform(8, 56, 17)], axis=1)
    px[[5, 6, 11, 12]] = [(left, 12), (left + 24, 12), (left, 36), (left + 24, 36)]
    return {
        "capture": f"{subject}-1",
        "subject": subject,
        "frame": np.int32(frame),
        "image": image,
        "joints_coco17_px": px.astype(np.float32),
        "joints_coco17_confidence": np.ones(17, np.float32),
        "surface_part": part,
        "surface_uv": np.repeat(0.5 * (part > 0), 2).reshape(SIZE, SIZE, 2).astype(np.float32),
    }


@pytest.fixture(scope="module")
def run_path(tmp_path_factory, tiny):
    """A trained run of three steps."""
    folder = tmp_path_factory.mktemp("landmarks")
    (folder / "data" / "shards").mkdir(parents=True)
    shards, counts = [], {"train": 4, "val": 2, "test": 2}
    for split, count in counts.items():
        packed = pack_capture(
            (sample(split, frame) for frame in range(count)),
            folder / "data" / "shards",
            names=iter([f"{split}.h5"]),
            shard_bytes=10_000_000,
            fingerprint=split,
        )
        shards += [{**entry, "split": split, "captures": [f"{split}-1"]} for entry in packed]
    index = {
        "schema": "1.0",
        "name": "boxes",
        "fingerprint": FINGERPRINT,
        "fields": {name: {} for name in (*sample("a", 0), "row_crc32")},
        "splits": {split: {"samples": count} for split, count in counts.items()},
        "shards": shards,
    }
    (folder / "data" / "dataset.json").write_text(json.dumps(index))
    data = tiny.data(folder / "data", augmentation={"flip": 0.5})
    path = tiny.write_run(folder, folder / "data", model=MODEL, data=data, phases=[PHASE])
    train(load_run(path), RECIPES["landmark-net"])
    return path


def test_scores_calibration_and_pictures_are_written(run_path):
    run = load_run(run_path).folder
    assert main(["evaluate", str(run), "--device", "cpu"]) == 0
    scores = json.loads((run / "evaluation" / "metrics.json").read_text())
    assert scores["headline"]["name"] == "PCK at 0.2 torso" and scores["dataset"]["samples"] == 2
    names = [one["name"] for one in scores["results"][0]["metrics"]]
    assert {"part accuracy", "mask IoU", "geodesic error", "geodesic similarity"} <= set(names)
    assert "part accuracy" in (run / "evaluation" / "table.md").read_text()
    assert len((run / "evaluation" / "samples.jsonl").read_text().splitlines()) == 2
    for name in ("examples", "reliability"):
        assert cv2.imread(str(run / "evaluation" / f"{name}.png")) is not None
    model = load_landmark_model(run, device="cpu")
    assert model.calibration is not None and "val: 2 samples" in model.calibration.of
    assert "landmark-net" in (run.parents[1] / "suite.md").read_text()


def test_what_is_shipped_answers_as_the_run_does(run_path, tmp_path):
    run = load_run(run_path).folder
    assert main(["export", str(run), str(tmp_path / "shipped")]) == 0
    mine, shipped = (load_trained(each, device="cpu") for each in (run, tmp_path / "shipped"))
    pictures = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        one, two = (each.module(pictures).place_logits for each in (mine, shipped))
    # Half precision keeps 11 bits of each weight.
    assert 0 < (one - two).abs().max() < 0.01 * one.abs().max() + 0.01
    weights = tmp_path / "shipped" / "model.safetensors"
    parameters = sum(each.numel() for each in mine.module.state_dict().values())
    assert 2 * parameters <= weights.stat().st_size < 2 * parameters + 40_000
    assert not (tmp_path / "shipped" / "optimizer.safetensors").exists()
    with pytest.raises(ManifestError, match="must not be there"):
        from training.export import export_checkpoint

        export_checkpoint(run, tmp_path / "shipped")


def test_a_picture_is_predicted_from_the_command_line(run_path, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), sample("a", 0)["image"])
    out = tmp_path / "out"
    words = ["predict", str(load_run(run_path).folder), str(tmp_path / "a.png"), "-o", str(out)]
    assert main([*words, "--box", "8", "8", "40", "56", "--device", "cpu"]) == 0
    record = json.loads((out / "a.joints.json").read_text())
    assert record["square"]["side_px"] == pytest.approx(57.6) and "person" in record
    assert sorted(each.name for each in out.iterdir()) == ["a.iuv.png", "a.joints.json", "a.overlay.png"]


def test_where_nobody_is_no_joint_counts_as_right(monkeypatch):
    monkeypatch.setattr("training.landmark_view.EMPTY", 1.0)
    made = with_targets(sample("a", 0), ("image", "landmark_points", "dense_map"))

    class Held:
        stored, given = staticmethod([made].__getitem__), staticmethod(lambda each: each)

        def __len__(self):
            return 1

    reading = SimpleNamespace(joints_px=np.full((27, 2), -32.0), mass=np.full(27, 0.5))
    model = SimpleNamespace(size_px=32, read=lambda images: [reading])
    mass, right = drawn_joints(model, Held(), seed=0)
    assert len(mass) == 3 * 27 and not right.any()


@pytest.mark.slow
def test_training_needs_six_libraries_alone(run_path, tiny, tmp_path):
    content = json.loads(run_path.read_text()) | {"out": str(tmp_path / "out")}
    (tmp_path / "RUN.json").write_text(json.dumps(content))
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("alone.py"), tmp_path / "RUN.json"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr


def test_shipped_checkpoints_are_loaded_by_name(run_path, tmp_path, monkeypatch):
    monkeypatch.setattr("training.models.CHECKPOINTS", tmp_path)
    assert main(["export", str(load_run(run_path).folder), str(tmp_path / "mine")]) == 0
    model = load_landmark_model(Path("mine"), device="cpu")
    assert model.size_px == 32 and model.trained.folder == tmp_path / "mine"
