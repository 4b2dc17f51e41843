"""The order in which samples are seen: a function of seed and epoch alone, whoever reads and however many."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]


def epoch_order(
    sizes: Sequence[int],
    *,
    seed: int,
    epoch: int,
    weights: Sequence[float] | None = None,
    shuffle: bool = True,
) -> Int64:
    """Sample numbers (M,) of one epoch over datasets that stand one after the other; M is the sum of their sizes.

    With weights, each dataset fills its share of the epoch. It deals its samples from a shuffled pack and shuffles
    anew only when all are dealt, also across epochs: so of one dataset no sample comes a third time, in whatever
    epoch, before all came a second. Without weights every sample comes once.

    Args:
        sizes: samples of each dataset.
        weights: share of each dataset, relative to the others'.
        shuffle: False gives ascending numbers, for reading a split from end to end.

    Raises:
        ValueError: if there are no samples, or a weighted dataset is empty, or the weights do not fit.
    """
    total = sum(sizes)
    if total < 1:
        raise ValueError(f"epoch_order: there must be at least 1 sample, are {total}")
    if not shuffle:
        if weights is not None:
            raise ValueError("epoch_order: weights must not be given with shuffle=False, are")
        return np.arange(total, dtype=np.int64)
    if weights is None:
        return _rng(seed, epoch).permutation(total).astype(np.int64)
    counts = _shares(sizes, weights)
    starts = np.cumsum([0, *sizes[:-1]])
    dealt = [
        start + _dealt(size, count, seed=seed, epoch=epoch, number=number)
        for number, (start, size, count) in enumerate(zip(starts, sizes, counts, strict=True))
    ]
    return _rng(seed, epoch).permutation(np.concatenate(dealt)).astype(np.int64)


def in_batches(order: Int64, batch_size: int, ranks: int) -> Int64:
    """An epoch's order as batches (num_batches, batch_size); rank r of R takes rows r, r + R, ...

    The last rows are padded with the first samples of the same order, so that all batches are full and every rank
    gets as many: num_batches is a multiple of `ranks`. To go on after k batches a rank, start at row k * R + r.
    """
    num_batches = -(-len(order) // (batch_size * ranks)) * ranks
    return np.resize(order, (num_batches, batch_size)).astype(np.int64)


def _shares(sizes: Sequence[int], weights: Sequence[float]) -> list[int]:
    """Whole numbers as the weights have it that add up to all samples; the largest remainders are rounded up."""
    if len(weights) != len(sizes) or min(weights) <= 0 or min(sizes) < 1:
        raise ValueError(
            "epoch_order: each dataset must have a sample and a weight above 0, "
            f"sizes are {list(sizes)} and weights {list(weights)}"
        )
    exact = np.asarray(weights, np.float64) / sum(weights) * sum(sizes)
    counts = np.floor(exact).astype(int)
    first = np.argsort(counts - exact, kind="stable")[: sum(sizes) - counts.sum()]
    counts[first] += 1
    return [int(count) for count in counts]


def _dealt(size: int, count: int, *, seed: int, epoch: int, number: int) -> Int64:
    """The epoch's `count` cards of an endless deal of packs of `size`."""
    start, end = epoch * count, (epoch + 1) * count
    packs = range(start // size, -(-end // size))
    cards = [_rng(seed, pack, number + 1).permutation(size) for pack in packs]
    dealt: Int64 = np.concatenate([np.zeros(0, np.int64), *cards])[start - packs.start * size :][:count]
    return dealt


def _rng(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(words))
