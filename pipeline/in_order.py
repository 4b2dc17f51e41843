"""Work on one item after the other by several threads at once; results come in the items' order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 3  # results that wait for their turn, a thread: so many frames are in memory at once


def in_order(work: Callable[[Item], Result], items: Iterable[Item], *, threads: int) -> Iterator[Result]:
    """Yield work(item) of each item in turn; an error of one is raised at its turn, and ends it all.

    Items are drawn by the calling thread, so that an iterator with a state may give them.

    Args:
        work: must give the same in whatever thread and order; of use where it lets go of the interpreter, as array
            operations, compression and compiled loops do.
        threads: that work besides the calling one; 1 works in the calling thread alone.
    """
    if threads == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, "in-order", initializer=_one_core_each) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _one_core_each() -> None:
    """Keep a compiled loop to its own thread: it would wait for cores that the other threads work on."""
    import numba

    numba.set_num_threads(1)
