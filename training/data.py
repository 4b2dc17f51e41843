"""Shards as a PyTorch dataset."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from pipeline.shards import ShardReader


class ShardDataset(Dataset[dict[str, Any]]):
    """Samples of one split, only the asked-for fields, as tensors of the stored dtype and layout.

    Files are opened on first use in each worker process, so it survives fork and spawn. Texts stay texts.

    Args:
        dataset: the built dataset's folder or its dataset.json.

    Raises:
        InputError: without an index, for an unknown split, or when a field is not in the shards.
    """

    def __init__(self, dataset: Path, *, split: str, fields: Sequence[str]) -> None:
        self._reader = ShardReader(dataset, split=split, fields=fields)

    def __len__(self) -> int:
        return len(self._reader)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: _tensor(value) for name, value in self._reader[index].items()}


def _tensor(value: Any) -> Any:
    # Not ascontiguousarray: it would make a scalar a vector of one.
    return value if isinstance(value, str) else torch.from_numpy(np.asarray(value, order="C"))
