"""An orderly end on Ctrl-C and SIGTERM: the first asks, the second ends at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class Stopped(Exception):
    """A run was told to end and has saved; `signal` is what told it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


@dataclass
class Stop:
    """The signal that has asked this process to end, if any."""

    signal: int | None = None


@contextmanager
def stopping() -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM into a note; a second one acts as it does by default."""
    stop = Stop()

    def note(number: int, _: object) -> None:
        stop.signal = number
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
