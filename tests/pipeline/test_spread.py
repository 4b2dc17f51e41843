"""Quantiles and moments gathered in bins, against numpy on all values at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.spread import Spread, figure

LOW, HIGH, BINS = -1.0, 3.0, 40
WIDTH = (HIGH - LOW) / BINS

inside = st.floats(LOW, HIGH)
anywhere = st.floats(-5, 7) | st.sampled_from([LOW, HIGH, LOW + WIDTH, np.inf, -np.inf])


def spread_of(values) -> Spread:
    spread = Spread(low=LOW, high=HIGH, bins=BINS)
    spread.add(np.array(values, dtype=np.float64))
    return spread


@given(st.lists(inside, min_size=1, max_size=60), st.floats(0.001, 1))
def test_quantile_lies_within_one_bin_above_the_exact_one(values, share):
    exact = np.quantile(values, share, method="inverted_cdf")
    found = spread_of(values).quantile(share)
    # One bin wide, and edges are sums of float64 steps.
    assert exact - 1e-12 <= found <= exact + WIDTH + 1e-12


@given(st.lists(anywhere, min_size=1, max_size=60), st.sampled_from([0.1, 0.5, 0.9]))
def test_values_beyond_the_edges_count_in_a_quantile_that_lies_between_them(values, share):
    exact = np.sort(values)[int(np.ceil(share * len(values))) - 1]
    found = spread_of(values).quantile(share)
    if LOW <= exact <= HIGH:
        assert exact - 1e-12 <= found <= exact + WIDTH + 1e-12
    else:
        assert found is None


@given(st.lists(anywhere, min_size=1, max_size=60))
def test_every_value_is_counted_once(values):
    spread, array = spread_of(values), np.array(values)
    assert spread.total == len(values)
    assert spread.below == np.sum(array < LOW) and spread.above == np.sum(array > HIGH)
    assert spread.counts.sum() == np.sum((array >= LOW) & (array <= HIGH))


@given(st.lists(anywhere, max_size=60))
def test_moments_are_those_of_the_finite_values(values):
    spread = spread_of(values)
    finite = np.array(values)[np.isfinite(values)] if values else np.zeros(0)
    if finite.size == 0:
        assert spread.mean() is None and spread.std() is None
        return
    # Values up to 7: their squares cancel to about 1e-14, whose root is 1e-7.
    assert abs(spread.mean() - finite.mean()) < 1e-13
    assert abs(spread.std() - finite.std()) < 1e-6


@given(st.lists(anywhere, max_size=40), st.lists(anywhere, max_size=40))
def test_adding_frame_by_frame_equals_adding_at_once(first, second):
    parts, whole = spread_of(first), spread_of(first + second)
    parts.add(np.array(second, dtype=np.float64))
    np.testing.assert_array_equal(parts.counts, whole.counts)
    assert (parts.below, parts.above, parts.total) == (whole.below, whole.above, whole.total)
    for share in (0.1, 0.5, 0.9):
        assert parts.quantile(share) == whole.quantile(share)


@given(st.lists(anywhere, min_size=1, max_size=60), st.integers(0, BINS - 1))
def test_share_above_an_edge_is_the_share_of_values_from_there_on(values, index):
    spread = spread_of(values)
    edge = spread.edges[index]
    assert spread.share_above(edge) == pytest.approx(np.mean(np.array(values) >= edge), abs=1e-12)


@given(st.lists(anywhere, max_size=40), st.sampled_from([1, 2, 4, 8, 20, 40]))
def test_grouped_counts_are_those_of_wider_bins(values, bins):
    edges, counts = spread_of(values).grouped(bins)
    array = np.array(values, dtype=np.float64)
    # The same edges, so that a value on one falls on the same side.
    expected = np.histogram(array[np.isfinite(array)], bins=np.array(edges))[0]
    np.testing.assert_array_equal(counts, expected)
    assert (edges[0], edges[-1], len(edges)) == (LOW, HIGH, bins + 1)


def test_quantile_beyond_the_edges_is_none_instead_of_an_edge():
    assert spread_of([5.0, np.inf, 0.0]).quantile(0.5) is None
    assert spread_of([-5.0, -np.inf, 0.0]).quantile(0.5) is None
    assert spread_of([5.0, 0.0, 0.0]).quantile(0.5) == pytest.approx(WIDTH)


def test_infinities_count_at_their_own_end():
    spread = spread_of([np.inf, np.inf, -np.inf])
    assert (spread.above, spread.below, spread.total) == (2, 1, 3)
    assert spread.mean() is None


def test_without_values_nothing_was_measured():
    spread = Spread(low=0.0, high=1.0, bins=4)
    spread.add(np.zeros((0, 3)))
    assert spread.total == 0
    assert (spread.mean(), spread.std(), spread.quantile(0.5), spread.share_above(0.5)) == (None,) * 4


def test_nan_is_refused_and_nothing_of_its_frame_is_counted():
    spread = spread_of([0.5])
    with pytest.raises(ValueError, match="must not be NaN, 2 are"):
        spread.add(np.array([[0.1, np.nan], [np.nan, 0.2]]))
    assert spread.total == 1 and spread.mean() == 0.5


def test_bins_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="must divide 40, is 7"):
        spread_of([]).grouped(7)


def test_figure_names_its_limit_only_where_a_gate_stands():
    assert figure(0.5, "m") == {"value": 0.5, "unit": "m"}
    assert figure(None, "m", limit=0.01) == {"value": None, "unit": "m", "limit": 0.01}
