"""Sums over steps: means for the log, seconds and samples by phase."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Meter:
    """What has been counted; a checkpoint records it, so that an interrupted run logs the same means.

    Attributes:
        window: sums since the means were last taken.
        clocks: steps, samples, seconds of training and other seconds (validation, saving) by phase.
    """

    window: dict[str, float] = field(default_factory=dict)
    clocks: dict[str, dict[str, float]] = field(default_factory=dict)
    _tick_s: float = field(default_factory=time.perf_counter)

    def count_step(self, phase: str, samples: int, figures: Mapping[str, float]) -> None:
        """Add one step; the time since the last count was spent on it."""
        counts = {"steps": 1, "samples": samples, "train_s": self._lap()}
        _add(self._clock(phase), counts)
        _add(self.window, {**counts, **figures})

    def count_other(self, phase: str) -> None:
        """The time since the last count was not spent on training."""
        _add(self._clock(phase), {"other_s": self._lap()})

    def take_means(self) -> dict[str, float]:
        """Mean figures of the steps since this was last called, and `samples_per_s`."""
        window, self.window = self.window, {}
        steps, samples, train_s = (window.pop(name) for name in ("steps", "samples", "train_s"))
        means = {name: total / steps for name, total in window.items()}
        return {**means, "samples_per_s": samples / train_s}

    def _clock(self, phase: str) -> dict[str, float]:
        return self.clocks.setdefault(phase, {"steps": 0, "samples": 0, "train_s": 0.0, "other_s": 0.0})

    def _lap(self) -> float:
        before, self._tick_s = self._tick_s, time.perf_counter()
        return self._tick_s - before


def _add(sums: dict[str, float], values: Mapping[str, float]) -> None:
    for name, value in values.items():
        sums[name] = sums.get(name, 0) + value
