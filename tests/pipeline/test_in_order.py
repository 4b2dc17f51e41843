"""Work on several items at once gives what one after the other gives."""

import threading

import numba
import pytest

from pipeline.in_order import AHEAD, in_order


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads):
    last_first = threading.Event()

    def work(item):
        if threads > 1 and item == 0:
            assert last_first.wait(10)  # the first is done after the second
        last_first.set()
        return 2 * item

    assert list(in_order(work, range(50), threads=threads)) == [2 * item for item in range(50)]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_is_raised_at_its_turn_and_ends_it(threads):
    def work(item):
        if item == 4:
            raise ValueError("four")
        return item

    results = in_order(work, range(100), threads=threads)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="four"):
        next(results)
    assert list(results) == []


def test_items_are_drawn_by_the_calling_thread_and_only_a_few_ahead():
    drawn = []

    def items():
        for item in range(100):
            drawn.append(threading.current_thread())
            yield item

    results = in_order(lambda item: item, items(), threads=2)
    next(results)
    assert set(drawn) == {threading.current_thread()}
    assert len(drawn) <= 2 * AHEAD + 1
    results.close()


def test_two_items_are_worked_on_at_once():
    both = threading.Barrier(2, timeout=10)
    assert list(in_order(lambda _: both.wait() >= 0, range(4), threads=2)) == [True] * 4


def test_compiled_loops_keep_to_their_thread():
    assert list(in_order(lambda _: numba.get_num_threads(), range(3), threads=2)) == [1, 1, 1]
