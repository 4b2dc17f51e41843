"""Shards as PyTorch datasets."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from pipeline.shards import EVERYTHING, ShardReader
from pipeline.subsets import Subset
from training.augment import Augmentation, augment


class ShardDataset(Dataset[dict[str, Any]]):
    """Samples of one split, only the asked-for fields, as tensors of the stored dtype and layout.

    Files are opened on first use in each worker process, so it survives fork and spawn. Texts stay texts.

    Args:
        dataset: the built dataset's folder or its dataset.json.
        subset, verify_rows: as of `ShardReader`.

    Raises:
        InputError: without an index, for an unknown split, when a field is not in the shards, or when the subset
            leaves no sample.
    """

    def __init__(
        self,
        dataset: Path,
        *,
        split: str,
        fields: Sequence[str],
        subset: Subset = EVERYTHING,
        verify_rows: bool = False,
    ) -> None:
        self._reader = ShardReader(
            dataset, split=split, fields=fields, subset=subset, verify_rows=verify_rows
        )

    def __len__(self) -> int:
        return len(self._reader)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: _tensor(value) for name, value in self._reader[index].items()}


class TrainingSamples(Dataset[dict[str, Any]]):
    """Samples of several datasets one after the other, as `training.order.epoch_order` numbers them, augmented.

    Keys are (epoch, sample number), since the same sample is augmented otherwise in every epoch.

    Args:
        parts: all with the same fields.
        augmentation: None leaves the samples as they are stored.
        seed: of the augmentation.
    """

    def __init__(
        self, parts: Sequence[ShardDataset], *, augmentation: Augmentation | None, seed: int
    ) -> None:
        self._parts, self._augmentation, self._seed = list(parts), augmentation, seed
        self.sizes = [len(part) for part in parts]
        self._ends = list(accumulate(self.sizes))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        part, row = self.place(index)
        sample = self._parts[part][row]
        if self._augmentation is None:
            return sample
        arrays = {name: _array(value) for name, value in sample.items()}
        changed = augment(arrays, self._augmentation, seed=self._seed, epoch=epoch, index=index)
        return {name: _tensor(value) for name, value in changed.items()}

    def place(self, index: int) -> tuple[int, int]:
        """Dataset and row of a sample number."""
        if not 0 <= index < len(self):
            raise IndexError(f"TrainingSamples: sample must be below {len(self)}, is {index}")
        part = bisect_right(self._ends, index)
        return part, index - self._ends[part] + self.sizes[part]


def _tensor(value: Any) -> Any:
    # Not ascontiguousarray: it would make a scalar a vector of one.
    return value if isinstance(value, str) else torch.from_numpy(np.asarray(value, order="C"))


def _array(value: Any) -> Any:
    return value if isinstance(value, str) else value.numpy()
