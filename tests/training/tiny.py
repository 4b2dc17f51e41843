"""A network so small that a test trains it in a moment, shards for it, and runs of it.

As a script, `python tiny.py RUN.json FOLDER` trains in each of the processes that `torchrun` started and leaves
every rank's weights in FOLDER.
"""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.shards import pack_capture
from training.checkpoint import newest
from training.losses import huber
from training.recipes import RECIPES, Recipe
from training.run import Run, load_run
from training.train import train

SIZE = 32
TRAIN, VAL = 6, 3
FINGERPRINT = "0123456789abcdef"
FIELDS = (
    "capture", "subject", "frame", "image", "mask", "depth_m", "depth_median_m", "base_m", "detail_m",
    "row_crc32",
)  # fmt: skip


class Tiny(nn.Module):
    """Two layers and two heads; dropout draws at every step, so that resuming must restore the draws."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.Tanh(), nn.Dropout(dropout))
        self.base_head = nn.Sequential(nn.BatchNorm2d(6, affine=False), nn.Conv2d(6, 1, 1))
        self.detail_head = nn.Conv2d(6, 1, 1)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        features = self.trunk(inputs)
        return {"base_m": self.base_head(features)[:, 0], "detail_m": self.detail_head(features)[:, 0]}


class TinyWithoutBatches(Tiny):
    """No sample's answer depends on the others in its batch, so a batch may be parted over processes."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__(dropout)
        self.base_head = nn.Sequential(nn.Conv2d(6, 1, 1))


def losses(outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
    mask = targets["mask"]
    return {
        name: huber(outputs[f"{name}_m"], targets[f"{name}_m"], mask, alpha=0.2)
        for name in ("base", "detail")
    }


TINY: Recipe = replace(
    RECIPES["depth-net"],
    name="tiny",
    defaults={"dropout": 0.2},
    build=lambda options: Tiny(**options),
    losses=losses,
    predict_depth=lambda outputs: outputs["base_m"] + outputs["detail_m"],
)
SPLITTABLE: Recipe = replace(
    TINY, defaults={"dropout": 0.0}, build=lambda options: TinyWithoutBatches(**options)
)


def sample(subject: str, frame: int) -> dict[str, Any]:
    """A tilted plane with ripples in a square mask, and an image that tells the tilt."""
    tilt = (frame - 3) / 10
    v, u = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    mask = np.maximum(abs(u), abs(v)) < 0.4
    base_m = np.where(mask, tilt * u, 0).astype(np.float32)
    detail_m = np.where(mask, 0.01 * np.sin(40 * v), 0).astype(np.float32)
    image = np.stack([128 + 200 * tilt * u, 128 + 100 * v, 0 * u + 20 * frame], axis=-1)
    return {
        "capture": f"{subject}-1",
        "subject": subject,
        "frame": np.int32(frame),
        "image": np.clip(image, 0, 255).astype(np.uint8),
        "mask": mask,
        "depth_m": np.where(mask, 2 + base_m + detail_m, 0).astype(np.float32),
        "depth_median_m": np.float32(2),
        "base_m": base_m,
        "detail_m": detail_m,
    }


def write_dataset(folder: Path) -> Path:
    """TRAIN samples of one person and VAL of another, in real shards."""
    (folder / "shards").mkdir(parents=True)
    entries = []
    for split, subject, count in (("train", "ann", TRAIN), ("val", "bob", VAL)):
        packed = pack_capture(
            (sample(subject, frame) for frame in range(count)),
            folder / "shards",
            names=(f"{split}-{number:05d}.h5" for number in range(9)),
            shard_bytes=10_000,
            fingerprint=subject,
        )
        entries += [{**entry, "split": split, "captures": [f"{subject}-1"]} for entry in packed]
    index = {
        "schema": "1.0",
        "fingerprint": FINGERPRINT,
        "fields": {name: {} for name in FIELDS},
        "splits": {"train": {"samples": TRAIN}, "val": {"samples": VAL}},
        "shards": entries,
    }
    (folder / "dataset.json").write_text(json.dumps(index))
    return folder


def data(*datasets: Path, **changes: Any) -> dict[str, Any]:
    """The `data` of RUN.json."""
    sources = [{"path": str(path), "fingerprint": FINGERPRINT, "weight": 1.0} for path in datasets]
    plain = {"datasets": sources, "train_split": "train", "val_split": "val", "subset": {}}
    return {**plain, "augmentation": None, **changes}


ADAM = {"name": "adam", "lr": 0.01}


def phase(**changes: Any) -> dict[str, Any]:
    """One [[phase]] of RUN.json: four steps, unless told otherwise."""
    length = {} if "epochs" in changes else {"steps": 4}
    plain = {"name": "one", "losses": {"base": 1.0, "detail": 10.0}, "optimizer": ADAM}
    return {**plain, **length, **changes}


def content(dataset: Path, out: Path, **changes: Any) -> dict[str, Any]:
    """RUN.json of a tiny run."""
    return {
        "schema": 1,
        "model": {"name": "tiny", "options": {}},
        "data": data(dataset),
        "seed": 5,
        "batch_size": 2,
        "workers": 0,
        "device": "cpu",
        "amp": False,
        "phases": [phase()],
        "log_every": 3,
        "validate_every": 100,
        "keep_last": 2,
        "out": str(out),
        **changes,
    }


def write_run(folder: Path, dataset: Path, **changes: Any) -> Path:
    """FOLDER/RUN.json, whose output goes to FOLDER/out."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "RUN.json"
    path.write_text(json.dumps(content(dataset, folder / "out", **changes)))
    return path


def tensors(run: Run, kind: str = "model") -> dict[str, Tensor]:
    """What the newest checkpoint of a run holds."""
    checkpoint = newest(run.folder)
    assert checkpoint is not None
    return load_file(checkpoint / f"{kind}.safetensors")


def signalling(recipe: Recipe, calls: set[int], number: int = signal.SIGTERM) -> Recipe:
    """The recipe, sending this process a signal while the given calls of its losses in training run."""
    seen: list[int] = []

    def signalled(outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        if outputs["base_m"].requires_grad:
            seen.append(len(seen))
            if seen[-1] + 1 in calls:
                os.kill(os.getpid(), number)
        return recipe.losses(outputs, targets)

    return replace(recipe, losses=signalled)


if __name__ == "__main__":
    built = []

    def build(options: dict[str, Any]) -> nn.Module:
        built.append(TinyWithoutBatches(**options))
        return built[-1]

    train(load_run(Path(sys.argv[1])), replace(SPLITTABLE, build=build))
    torch.save(built[0].state_dict(), Path(sys.argv[2]) / f"rank-{os.environ.get('RANK', 0)}.pt")
