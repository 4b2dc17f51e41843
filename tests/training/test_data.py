"""Shards through PyTorch's own loader: what was stored comes out, and nothing else is read."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pipeline.errors import DamagedError, InputError
from pipeline.shards import pack_capture
from pipeline.subsets import Subset
from training.augment import Augmentation
from training.data import ShardDataset, TrainingSamples
from training.order import epoch_order, in_batches

ROOT = Path(__file__).resolve().parents[2]
COUNT, SIZE = 7, 48
FIELDS = ("frame", "capture", "subject", "timestamp_s", "image", "mask", "depth_m", "normal", "K")
ARRAYS = tuple(name for name in FIELDS if name not in ("capture", "subject"))


def stored(index: int) -> dict[str, object]:
    """What sample `index` holds; drawn again for every comparison."""
    rng = np.random.default_rng(index)
    return {
        "frame": np.int32(10 * index),
        "capture": "ann-1" if index < 4 else "zoë-2",
        "subject": "ann" if index < 4 else "zoë",
        "timestamp_s": np.float64(index / 30),
        "image": rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8),
        "mask": rng.random((SIZE, SIZE)) < 0.5,
        "depth_m": rng.random((SIZE, SIZE), dtype=np.float32),
        "normal": rng.random((SIZE, SIZE, 3), dtype=np.float32),
        "K": rng.random((3, 3)),
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Two captures in several shards."""
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "shards").mkdir()
    names = (f"train-{number:05d}.h5" for number in range(99))
    entries = []
    for capture, indices in (("ann-1", range(4)), ("zoë-2", range(4, COUNT))):
        samples = (stored(index) for index in indices)
        packed = pack_capture(
            samples, folder / "shards", names=names, shard_bytes=60_000, fingerprint=capture
        )
        entries += [{**entry, "split": "train", "captures": [capture]} for entry in packed]
    assert len(entries) > 2, "more shards than captures"
    index = {
        "schema": "1.0",
        "fields": {name: {} for name in FIELDS},
        "splits": {"train": {"samples": COUNT}},
        "shards": entries,
    }
    (folder / "dataset.json").write_text(json.dumps(index))
    return folder


def assert_stored(sample: dict[str, object], index: int, fields=FIELDS) -> None:
    expected = stored(index)
    assert set(sample) == set(fields)
    for name in fields:
        if isinstance(expected[name], str):
            assert sample[name] == expected[name] and isinstance(sample[name], str)
            continue
        array = np.asarray(expected[name])
        assert isinstance(sample[name], torch.Tensor), name
        assert (sample[name].numpy().dtype, sample[name].shape) == (array.dtype, array.shape), name
        np.testing.assert_array_equal(sample[name].numpy(), array)


def test_samples_are_tensors_of_the_stored_dtype_shape_and_value(dataset):
    samples = ShardDataset(dataset, split="train", fields=FIELDS)
    assert len(samples) == COUNT
    for index in range(COUNT):
        assert_stored(samples[index], index)


@pytest.mark.parametrize(
    ("workers", "context"),
    [(0, None), (2, "fork")],  # spawned workers take seconds to start: one test below has them
)
def test_loader_gives_every_sample_once_and_in_order(dataset, workers, context):
    samples = ShardDataset(dataset, split="train", fields=FIELDS)
    assert_stored(samples[0], 0)  # handles of this process are open when the workers start
    loader = DataLoader(samples, batch_size=3, num_workers=workers, multiprocessing_context=context)
    batches = list(loader)
    assert [len(batch["frame"]) for batch in batches] == [3, 3, 1]
    assert batches[0]["frame"].shape == (3,) and batches[0]["image"].shape == (3, SIZE, SIZE, 3)
    for index in range(COUNT):
        batch, row = batches[index // 3], index % 3
        assert_stored({name: batch[name][row] for name in FIELDS}, index)


def test_shuffled_loader_reads_across_shards(dataset):
    samples = ShardDataset(dataset, split="train", fields=["frame", "depth_m"])
    generator = torch.Generator().manual_seed(0)
    batches = list(DataLoader(samples, batch_size=2, shuffle=True, generator=generator))
    frames = torch.cat([batch["frame"] for batch in batches]).tolist()
    assert sorted(frames) == [10 * index for index in range(COUNT)] and frames != sorted(frames)
    for batch in batches:
        for frame, depth_m in zip(batch["frame"], batch["depth_m"], strict=True):
            np.testing.assert_array_equal(depth_m.numpy(), stored(int(frame) // 10)["depth_m"])


def test_tensors_are_the_readers_own_to_change(dataset):
    samples = ShardDataset(dataset, split="train", fields=["depth_m"])
    samples[2]["depth_m"].zero_()
    np.testing.assert_array_equal(samples[2]["depth_m"].numpy(), stored(2)["depth_m"])


def test_fields_that_are_not_asked_for_are_not_read(dataset, tmp_path):
    for path in (dataset / "shards").iterdir():
        (tmp_path / "shards").mkdir(exist_ok=True)
        (tmp_path / "shards" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "dataset.json").write_bytes((dataset / "dataset.json").read_bytes())
    for path in (tmp_path / "shards").iterdir():
        with h5py.File(path) as file:
            chunks = [file["image"].id.get_chunk_info(row) for row in range(len(file["image"]))]
        with path.open("r+b") as handle:
            for chunk in chunks:
                handle.seek(chunk.byte_offset)
                handle.write(b"\xff" * chunk.size)
    others = [name for name in FIELDS if name != "image"]
    for index in range(COUNT):
        sample = ShardDataset(tmp_path, split="train", fields=others)[index]
        assert_stored(sample, index, others)
    with pytest.raises(DamagedError, match="image, row 0 must be readable"):
        ShardDataset(tmp_path, split="train", fields=["image"])[0]


def test_wrong_split_or_field_is_named(dataset):
    with pytest.raises(InputError, match="split must be one of train, is 'val'"):
        ShardDataset(dataset, split="val", fields=["frame"])
    with pytest.raises(InputError, match="normals are not"):
        ShardDataset(dataset, split="train", fields=["frame", "normals"])


def mix(dataset: Path, augmentation: Augmentation | None) -> TrainingSamples:
    """The whole split, and one person of it again as a second dataset."""
    fields = ("frame", "image", "mask", "depth_m", "normal", "K")
    whole = ShardDataset(dataset, split="train", fields=fields, verify_rows=True)
    part = ShardDataset(dataset, split="train", fields=fields, subset=Subset(subjects=["zoë"]))
    return TrainingSamples([whole, part], augmentation=augmentation, seed=7)


def test_mix_numbers_its_datasets_one_after_the_other(dataset):
    samples = mix(dataset, None)
    assert samples.sizes == [COUNT, 3] and len(samples) == 10
    frames = [int(samples[0, index]["frame"]) // 10 for index in range(10)]
    assert frames == [*range(COUNT), 4, 5, 6]
    assert [samples.place(index) for index in (0, 6, 7, 9)] == [(0, 0), (0, 6), (1, 0), (1, 2)]
    for index in (-1, 10):
        with pytest.raises(IndexError, match="below 10"):
            samples[0, index]
    assert_stored(samples[3, 8], 5, ("frame", "image", "mask", "depth_m", "normal", "K"))


@pytest.mark.parametrize(("workers", "context", "ranks"), [(2, "fork", 2), (0, None, 2), (1, "spawn", 1)])
def test_batches_are_the_same_whatever_workers_and_ranks(dataset, workers, context, ranks):
    samples = mix(dataset, Augmentation(flip=0.5, scale=(0.8, 1.25)))
    assert samples[2, 0] and samples[2, 9]  # handles of this process are open when the workers start
    order = epoch_order(samples.sizes, seed=7, epoch=2, weights=[1, 2])
    rows = in_batches(order, 2, ranks)
    for rank in range(ranks):
        # From the second batch on, as after a resume.
        keys = [[(2, index) for index in row] for row in rows[rank::ranks][1:].tolist()]
        loader = DataLoader(samples, batch_sampler=keys, num_workers=workers, multiprocessing_context=context)
        found = list(loader)
        assert len(found) == len(rows) // ranks - 1 > 0
        for batch, key in zip(found, keys, strict=True):
            alone = mix(dataset, Augmentation(flip=0.5, scale=(0.8, 1.25)))
            for name, value in batch.items():
                expected = torch.stack([alone[each][name] for each in key])
                assert value.dtype == expected.dtype and torch.equal(value, expected), name


def test_sample_is_augmented_otherwise_in_every_epoch_and_every_seed(dataset):
    samples = mix(dataset, Augmentation())
    images = [samples[epoch, 1]["image"] for epoch in (0, 1)]
    assert not torch.equal(*images) and torch.equal(samples[1, 1]["image"], images[1])
    assert images[0].dtype == torch.uint8 and torch.equal(samples[0, 1]["depth_m"], samples[1, 1]["depth_m"])


BLOCKED = (
    "pydantic", "luigi", "open3d", "bpy", "psutil", "typer", "rich", "jinja2", "cv2", "scipy", "numba",
    "trimesh", "matplotlib", "tasks", "renderers",
)  # fmt: skip

LONELY_READER = """
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Absent())
for name in {blocked!r}:
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(name + " is not blocked")

from training.data import ShardDataset
samples = ShardDataset(Path({dataset!r}), split="train", fields={fields!r})
read = [samples[index] for index in range(len(samples))]
print(len(read), read[4]["subject"], float(read[4]["depth_m"].double().sum()))
"""


def test_training_reads_where_only_numpy_h5py_and_torch_are_installed(dataset):
    code = LONELY_READER.format(blocked=BLOCKED, dataset=str(dataset), fields=FIELDS)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    total = float(stored(4)["depth_m"].astype(np.float64).sum())
    words = done.stdout.splitlines()[0].split()
    assert words[:2] == [str(COUNT), "zoë"] and float(words[2]) == pytest.approx(total, rel=1e-12)
