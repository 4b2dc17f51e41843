"""Order of a mix of datasets; tests/training/test_schedule.py holds the laws of one dataset's batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.order import epoch_order, in_batches

mixes = st.lists(st.tuples(st.integers(1, 30), st.floats(0.1, 10)), min_size=1, max_size=4)


def drawn(order: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    """How often each sample of each dataset comes."""
    return np.split(np.bincount(order, minlength=sum(sizes)), np.cumsum(sizes)[:-1])


@settings(max_examples=50, deadline=None)
@given(mix=mixes, seed=st.integers(0, 2**40), epoch=st.integers(0, 9))
def test_each_dataset_fills_its_share(mix, seed, epoch):
    sizes, weights = zip(*mix, strict=True)
    order = epoch_order(sizes, seed=seed, epoch=epoch, weights=weights)
    assert len(order) == sum(sizes) and order.dtype == np.int64
    wanted = np.array(weights) / sum(weights) * sum(sizes)
    found = [counts.sum() for counts in drawn(order, sizes)]
    assert np.abs(found - wanted).max() < 1  # rounding to whole samples
    np.testing.assert_array_equal(order, epoch_order(sizes, seed=seed, epoch=epoch, weights=weights))


@settings(max_examples=30, deadline=None)
@given(mix=mixes, epochs=st.integers(1, 6))
def test_no_sample_comes_again_before_all_of_its_dataset_came(mix, epochs):
    sizes, weights = zip(*mix, strict=True)
    orders = [epoch_order(sizes, seed=3, epoch=epoch, weights=weights) for epoch in range(epochs)]
    for counts in drawn(np.concatenate(orders), sizes):
        assert counts.max() - counts.min() <= 1


def test_weights_as_the_sizes_give_every_sample_once():
    order = epoch_order([7, 21], seed=0, epoch=4, weights=[1, 3])
    assert sorted(order) == list(range(28)) and sorted(order) != list(order)
    assert (order[:14] < 7).any() and (order[14:] < 7).any()  # the two are mixed, not one after the other


def test_epochs_seeds_and_datasets_are_shuffled_apart():
    orders = [epoch_order([40], seed=seed, epoch=epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert all(orders[i] != orders[j] for i in range(4) for j in range(i))
    twins = epoch_order([40, 40], seed=0, epoch=0, weights=[1, 1])
    assert twins[twins < 40].tolist() != (twins[twins >= 40] - 40).tolist()


def test_sequential_order_is_ascending():
    assert epoch_order([2, 3], seed=5, epoch=1, shuffle=False).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_part_the_order_that_one_process_would_read(ranks):
    order = epoch_order([11, 5], seed=1, epoch=2, weights=[1, 1])
    rows = in_batches(order, 2, ranks)
    assert len({len(rows[rank::ranks]) for rank in range(ranks)}) == 1
    np.testing.assert_array_equal(rows.ravel()[:16], order)
    np.testing.assert_array_equal(rows.ravel()[16:], order[: rows.size - 16])


@pytest.mark.parametrize("ranks", [1, 2])
def test_going_on_in_an_epochs_middle_reads_the_rest(ranks):
    rows = in_batches(epoch_order([23], seed=1, epoch=0), 3, ranks)
    for rank in range(ranks):
        np.testing.assert_array_equal(rows[2 * ranks + rank :: ranks], rows[rank::ranks][2:])


def test_one_dataset_is_read_as_ever():
    rows = np.random.Generator(np.random.PCG64([5, 2])).permutation(7)
    np.testing.assert_array_equal(in_batches(epoch_order([7], seed=5, epoch=2), 1, 1).ravel(), rows)


@pytest.mark.parametrize(
    ("sizes", "weights"), [([3, 0], [1, 1]), ([3, 2], [1]), ([3, 2], [1, 0]), ([3, 2], [-1, 2])]
)
def test_weights_that_do_not_fit_are_refused(sizes, weights):
    with pytest.raises(ValueError, match="each dataset must have a sample and a weight above 0"):
        epoch_order(sizes, seed=0, epoch=0, weights=weights)


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="at least 1 sample, are 0"):
        epoch_order([0], seed=0, epoch=0)
