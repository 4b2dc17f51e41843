"""Where a run stands: every sample once an epoch on any number of ranks, and rates in closed form."""

import math
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.order import epoch_order, in_batches
from training.run import Phase
from training.schedule import Position, advance, learning_rate


def phase(*, epochs=None, steps=None, schedule=None):
    return Phase(
        name="p",
        train=None,
        losses={"base": 1.0},
        optimizer={"name": "adam", "lr": 0.1},
        schedule=schedule or {"name": "constant"},
        epochs=epochs,
        steps=steps,
        clip_norm=None,
        init=None,
    )


def walk(phases, *, batches, ranks):
    """All positions of a run, the end included."""
    positions = [Position()]
    while positions[-1].phase < len(phases):
        now = positions[-1]
        positions.append(advance(now, phases[now.phase], batches=batches, ranks=ranks))
    return positions


sizes = st.integers(1, 40)


@settings(max_examples=60, deadline=None)
@given(length=sizes, batch_size=st.integers(1, 7), ranks=st.integers(1, 4), epoch=st.integers(0, 5))
def test_ranks_share_each_sample_of_an_epoch_and_take_as_many_batches(length, batch_size, ranks, epoch):
    order = epoch_order([length], seed=3, epoch=epoch)
    rows = in_batches(order, batch_size, ranks)
    assert len(rows) % ranks == 0 and rows.shape[1] == batch_size
    counts = np.bincount(rows.ravel(), minlength=length)
    assert counts.min() >= 1 and len(counts) == length
    # Padding alone makes a sample come again: less than one row for each rank.
    assert counts.sum() - length < batch_size * ranks


@settings(max_examples=60, deadline=None)
@given(
    per_rank=st.integers(1, 6),
    ranks=st.integers(1, 3),
    lengths=st.lists(st.tuples(st.booleans(), st.integers(1, 7)), min_size=1, max_size=3),
)
def test_phases_take_their_length_and_never_an_epochs_order_twice(per_rank, ranks, lengths):
    phases = [phase(epochs=n) if by_epochs else phase(steps=n) for by_epochs, n in lengths]
    positions = walk(phases, batches=per_rank * ranks, ranks=ranks)
    wanted = [n * per_rank if by_epochs else n for by_epochs, n in lengths]
    assert [sum(each.phase == number for each in positions[:-1]) for number in range(len(phases))] == wanted
    assert [each.step for each in positions] == list(range(len(positions)))
    taken = [(each.epoch, each.batch) for each in positions[:-1]]
    assert len(set(taken)) == len(taken) and all(batch < per_rank * ranks for _, batch in taken)
    starts = [each for each in positions[:-1] if each.phase_step == 0]
    assert all(each.batch == 0 and each.phase_epoch == 0 for each in starts)
    assert positions[-1] == replace(positions[-1], phase_step=0, phase_epoch=0, batch=0)


def test_constant_rate_is_constant():
    assert {
        learning_rate(phase(steps=9), each, batches=3) for each in walk([phase(steps=9)], batches=3, ranks=1)
    } == {0.1}


def test_steps_fall_where_they_are_told():
    schedule = {"name": "step", "at": [2, 3], "factor": 0.1}
    by_step = phase(steps=5, schedule=schedule)
    rates = [learning_rate(by_step, Position(phase_step=step), batches=9) for step in range(5)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.001, 0.001])
    by_epoch = phase(epochs=4, schedule=schedule)
    positions = walk([by_epoch], batches=2, ranks=1)[:-1]
    rates = [learning_rate(by_epoch, each, batches=2) for each in positions]
    np.testing.assert_allclose(rates, [0.1] * 4 + [0.01] * 2 + [0.001] * 2)


def test_cosine_falls_to_its_final_share_in_either_unit():
    schedule = {"name": "cosine", "final": 0.2}
    wanted = [0.1 * (0.2 + 0.8 * (1 + math.cos(math.pi * done / 6)) / 2) for done in range(6)]
    for each in (phase(steps=6, schedule=schedule), phase(epochs=3, schedule=schedule)):
        positions = walk([each], batches=4, ranks=2)[:-1]
        rates = [learning_rate(each, position, batches=4) for position in positions]
        np.testing.assert_allclose(rates, wanted)
