"""Where a run stands, what comes next, and the learning rate there: pure arithmetic."""

import math
from dataclasses import dataclass, replace

from training.run import Phase


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """Where a run stands; with the seed, all that is random follows from it.

    Attributes:
        step: optimiser steps done, over all phases.
        phase: number of the phase that the next step belongs to.
        phase_step, phase_epoch: steps and whole epochs done in that phase.
        epoch: number of the order that the next batch comes from; it runs on over the phases.
        batch: batches of that order that all ranks together have taken.
    """

    step: int = 0
    phase: int = 0
    phase_step: int = 0
    phase_epoch: int = 0
    epoch: int = 0
    batch: int = 0


def advance(position: Position, phase: Phase, *, batches: int, ranks: int) -> Position:
    """The position after one more step, for which every rank took one batch.

    A phase that ends within an epoch leaves the rest of it: the next phase starts a fresh one.

    Args:
        batches: in one epoch's order, for all ranks; a multiple of `ranks`.
    """
    after = replace(
        position,
        step=position.step + 1,
        phase_step=position.phase_step + 1,
        batch=position.batch + ranks,
    )
    if after.batch >= batches:
        after = replace(after, epoch=after.epoch + 1, phase_epoch=after.phase_epoch + 1, batch=0)
    if after.phase_epoch == phase.epochs or after.phase_step == phase.steps:
        left = after.batch > 0
        after = replace(
            after, phase=after.phase + 1, phase_step=0, phase_epoch=0, epoch=after.epoch + left, batch=0
        )
    return after


def learning_rate(phase: Phase, position: Position, *, batches: int) -> float:
    """The learning rate of the phase's next step.

    `step` multiplies by `factor` at each of `at`; `cosine` falls from the full rate to `final` times it.
    Both count in the unit that the phase's length is given in: epochs or steps.
    """
    rate = float(phase.optimizer["lr"])
    schedule = phase.schedule
    if phase.steps is not None:
        done, total = float(position.phase_step), phase.steps
    else:
        assert phase.epochs is not None  # one of the two is given
        done, total = position.phase_epoch + position.batch / batches, phase.epochs
    if schedule["name"] == "step":
        return rate * math.pow(schedule["factor"], sum(done >= each for each in schedule["at"]))
    if schedule["name"] == "cosine":
        final = float(schedule["final"])
        return rate * (final + (1 - final) * (1 + math.cos(math.pi * done / total)) / 2)
    return rate
