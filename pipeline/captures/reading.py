"""Frames of a capture in order, the next ones decoded while the last one is worked on."""

from collections.abc import Iterator, Sequence

from pipeline.captures.capture import Capture, Frame
from pipeline.errors import InputError
from pipeline.in_order import in_order

# Decoding lets go of the interpreter, so that a second core is of use; a third waits for what follows.
THREADS = 2


def read_in_order(capture: Capture, numbers: Sequence[int]) -> Iterator[tuple[int, Frame | InputError]]:
    """Yield each frame, or the error in its place; holds no more than a few frames at a time.

    Any other error than `InputError` is raised, at its frame's turn.
    """

    def read(number: int) -> tuple[int, Frame | InputError]:
        try:
            return number, capture.read(number)
        except InputError as error:
            return number, error

    return in_order(read, numbers, threads=THREADS)
