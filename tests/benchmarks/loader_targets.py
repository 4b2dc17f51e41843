"""Targets that the loader makes: the time of each, and samples read with and without them. One thread.

A sample is a posed body at 256 x 256 px with image, parts, joints, parameters and both volumes. The peer of each
target is the plain way: every voxel of a Gaussian, all bits at once, all vertices for sixteen joints.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from alternating import alternate
from numpy.typing import NDArray

from pipeline.bodies.joints import MPII16, joints_of
from pipeline.bodies.model import default_body
from pipeline.cameras import invert_rigid, project, transform
from pipeline.shards import pack_capture
from pipeline.simulation.label_view import bare_figure, label_view
from pipeline.voxels.grids import CUBE, TALL, alignment_depth, orthographic_grid
from pipeline.voxels.packing import pack
from pipeline.voxels.voxelise import voxelise
from training.augment import Augmentation
from training.data import ShardDataset, TrainingSamples
from training.made_targets import TARGETS, stored_fields, with_targets
from training.skeleton_targets import BINS, SIZE, joint_places

Row = dict[str, Any]
Sample = dict[str, Any]

SIZE_PX, COUNT = 256, 24
K = np.array([[277.0, 0, 127.5], [0, 277.0, 127.5], [0, 0, 1]])
SHAPES = {"occupancy_128": CUBE, "occupancy_128x256x96": TALL}
COMPACT = ("image", "mask", "part14", "joints_tang16_px", "joints_tang16_cam_m")
# One each of what four papers' networks learn from; the others are variants of these.
TRAINED = ("joint_places", "joint_seen", "part_target", "landmarks", "volume_128")


def rows(*, rounds: int = 9) -> list[Row]:
    """Rows of the benchmark `loader` that concern targets, in ms and in samples/s."""
    sample = _sample(0)
    found = []
    for name in TARGETS:
        calls = {"ours": lambda name=name: with_targets(sample, [name]), "peer": _peer(name, sample)}
        milliseconds, _ = alternate(calls, rounds)
        found.append(
            _row(f"target {name}", milliseconds, "ms", None if calls["peer"] is None else "plain numpy")
        )
    return [*found, *_rate_rows(rounds)]


def _rate_rows(rounds: int) -> list[Row]:
    """Samples/s of one reader, augmented, beside the same fields without targets."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        held = _write(place)
        found = []
        for title, targets in (("of each paper", TRAINED), ("all", tuple(TARGETS))):
            names = ("image", "mask", *targets)
            stored = ("mask", *stored_fields(names[:1] + targets, held, where=folder))
            rates: dict[str, list[float]] = {"ours": [], "peer": []}
            readers = {"ours": _reader(place, names), "peer": _reader(place, stored)}
            for _ in range(rounds):
                for name, reader in readers.items():
                    rates[name].append(_rate(reader))
            medians = {name: statistics.median(all_) for name, all_ in rates.items()}
            found.append(
                _row(f"samples read with targets, {title}", medians, "samples/s", "their fields alone")
            )
    return found


def _reader(place: Path, names: tuple[str, ...]) -> TrainingSamples:
    part = ShardDataset(place, split="train", fields=tuple(dict.fromkeys(names)), verify_rows=True)
    return TrainingSamples([part], augmentation=Augmentation(flip=0.5), seed=0)


def _rate(samples: TrainingSamples) -> float:
    start = time.perf_counter()
    for index in range(len(samples)):
        samples[0, index]
    return len(samples) / (time.perf_counter() - start)


def _peer(name: str, sample: Sample) -> Callable[[], Any] | None:
    """The same by formula, without a thought for time; none for what takes microseconds."""
    if name == "joint_volumes":
        return lambda: _gaussian_volumes(sample)
    if name == "landmarks":
        return lambda: _gaussian_maps(sample)
    if name.startswith("volume"):
        packed = sample[name.replace("volume", "occupancy")]
        return lambda: np.ascontiguousarray(np.unpackbits(packed, axis=-1).view(bool).transpose(2, 1, 0))
    return None


def _gaussian_volumes(sample: Sample) -> NDArray[Any]:
    places = joint_places(sample["joints_tang16_px"], sample["joints_tang16_cam_m"], image_px=SIZE_PX).places
    bins, v, u = np.ogrid[:BINS, :SIZE, :SIZE]
    volumes = np.zeros((len(places), BINS, SIZE, SIZE), np.float32)
    for volume, (column, row, deep) in zip(volumes, places, strict=True):
        volume[:] = np.exp(-((u - column) ** 2 + (v - row) ** 2) / 8 - (bins - deep) ** 2 / 2)
        volume /= volume.sum()
    return volumes


def _gaussian_maps(sample: Sample) -> NDArray[Any]:
    posed = default_body().posed(sample["body_pose_rad"][None], sample["body_betas"], sample["body_transl_m"])
    joints_m = joints_of(default_body(), posed, MPII16)[0]
    pixels = project(transform(invert_rigid(sample["world_from_cam"]), joints_m), K)
    v, u = np.ogrid[:SIZE_PX, :SIZE_PX]
    return np.stack([np.exp(-((u - x) ** 2 + (v - y) ** 2) / 2) for x, y in pixels]).astype(np.float32)


def _write(place: Path) -> list[str]:
    """Shards of the samples; the names of their fields."""
    (place / "shards").mkdir()
    samples = [_sample(index) for index in range(COUNT)]
    entries = pack_capture(
        samples, place / "shards", names=iter(["train-00000.h5"]), shard_bytes=10**10, fingerprint="bench"
    )
    index = {
        "schema": "1.1",
        "fields": dict.fromkeys(samples[0], {}),
        "splits": {"train": {"samples": COUNT}},
        "shards": [{**entry, "split": "train", "captures": ["bench"]} for entry in entries],
    }
    (place / "dataset.json").write_text(json.dumps(index))
    return list(samples[0])


def _sample(index: int) -> Sample:
    rng = np.random.default_rng(index)
    pose_rad, betas = rng.normal(scale=0.2, size=(24, 3)), rng.normal(size=10)
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3], world_from_cam[:3, 3] = np.diag([1.0, -1, -1]), [0.0, 0.9, 2.3]
    body = {"body_pose_rad": pose_rad, "body_betas": betas, "body_transl_m": np.array([0.0, 0.9, 0])}
    _, labels = label_view(bare_figure(default_body(), *body.values()), K, world_from_cam, size_px=SIZE_PX)
    posed = default_body().posed(pose_rad[None], betas, body["body_transl_m"])
    vertices_cam_m = transform(invert_rigid(world_from_cam), posed.vertices_m[0])
    sample = {
        **{name: labels[name] for name in COMPACT if name != "image"},
        **body,
        "image": rng.integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8),
        "K": K,
        "world_from_cam": world_from_cam,
        "occupancy_scale": np.float32(1),
    }
    for name, shape in SHAPES.items():
        grid = orthographic_grid(K, alignment_depth(vertices_cam_m, "mean"), shape, size_px=SIZE_PX)
        sample[name] = pack(voxelise(vertices_cam_m, default_body().faces, grid, shape)[0])
    return sample


def _row(name: str, values: dict[str, float], unit: str, peer: str | None) -> Row:
    """One figure beside its peer's; ratio = ours / peer's. Nothing is promised, so nothing holds."""
    value, peer_value = values["ours"], values.get("peer")
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer,
        "peer_value": peer_value,
        "ratio": None if peer_value is None else value / peer_value,
        "target": None,
        "holds": None,
    }


if __name__ == "__main__":
    import sys

    for row in rows():
        figures = ["-" if row[key] is None else f"{row[key]:.3g}" for key in ("value", "peer_value", "ratio")]
        sys.stdout.write(
            f"{row['name']:44} {figures[0]:>8} {figures[1]:>8} {row['unit']:9} {figures[2]:>6}\n"
        )
