"""Frames of a capture in order, the next one decoded while the last one is worked on."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.captures.capture import Capture, Frame
from pipeline.errors import InputError

# Decoding lets go of the interpreter, so that a second core is of use; a third waits for what follows.
THREADS, AHEAD = 2, 3


def read_in_order(capture: Capture, numbers: Sequence[int]) -> Iterator[tuple[int, Frame | InputError]]:
    """Yield each frame, or the error in its place; holds no more than a few frames at a time.

    Any other error than `InputError` is raised, at its frame's turn.
    """
    waiting: deque[tuple[int, Future[Frame]]] = deque()
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="reading") as pool:
        try:
            for number in numbers:
                waiting.append((number, pool.submit(capture.read, number)))
                if len(waiting) > AHEAD:
                    yield _done(*waiting.popleft())
            while waiting:
                yield _done(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()


def _done(number: int, future: "Future[Frame]") -> tuple[int, Frame | InputError]:
    try:
        return number, future.result()
    except InputError as error:
        return number, error
