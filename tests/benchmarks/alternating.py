"""Calls timed side by side, so that a busy moment is everyone's."""

import statistics
import time
from collections.abc import Callable
from typing import Any


def alternate(
    calls: dict[str, Callable[[], Any] | None], rounds: int
) -> tuple[dict[str, float], dict[str, Any]]:
    """Median milliseconds and results of the calls that are there, one after the other in each round."""
    present = {name: call for name, call in calls.items() if call is not None}
    results = {name: call() for name, call in present.items()}  # compiles and warms
    seconds: dict[str, list[float]] = {name: [] for name in present}
    for _ in range(rounds):
        for name, call in present.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(times) for name, times in seconds.items()}, results
