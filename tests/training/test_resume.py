"""A run that is ended and goes on gives the bytes of one that is not."""

import dataclasses
import json

import pytest
import torch

from training.checkpoint import newest
from training.logs import read_log
from training.run import load_run
from training.stopping import Stopped
from training.train import train


def timeless(run):
    """The log without what depends on the clock."""
    return [{key: row[key] for key in row if key != "samples_per_s"} for row in read_log(run.folder)]


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def two_phases(tiny, tiny_dataset):
    # 6 samples in batches of 2: the first phase ends within its second epoch.
    rmsprop = {"name": "rmsprop", "lr": 0.001, "momentum": 0.9}
    cosine = {"name": "cosine", "final": 0.1}
    second = tiny.phase(name="two", epochs=2, optimizer=rmsprop, schedule=cosine, clip_norm=0.01)
    data = tiny.data(tiny_dataset, augmentation={"flip": 0.5, "scale": [0.8, 1.2]})
    return {"phases": [tiny.phase(), second], "validate_every": 5, "data": data}


@pytest.fixture(scope="module")
def ten_steps(tiny, tiny_dataset, two_phases, tmp_path_factory):
    """An uninterrupted run of ten steps."""
    folder = tmp_path_factory.mktemp("ten")
    run = load_run(tiny.write_run(folder, tiny_dataset, **two_phases))
    train(run, tiny.TINY)
    return run


@pytest.mark.parametrize(
    "ends",
    [(5,), (4,), (2, 3, 9)],
    ids=["5 + 5", "between phases", "within epochs"],
)
def test_a_run_in_pieces_gives_the_bytes_and_the_log_of_one_in_one_go(
    tiny, run_of, two_phases, ten_steps, ends
):
    run = run_of(**two_phases)
    assert run.folder.name == ten_steps.folder.name
    steps = [0, *ends]
    for before, end in zip(steps, steps[1:], strict=False):
        with pytest.raises(Stopped):
            train(run, tiny.signalling(tiny.TINY, {end - before}))
        assert newest(run.folder).name == f"step-{end:07d}"
    train(run, tiny.TINY)
    assert newest(run.folder).name == newest(ten_steps.folder).name == "step-0000010"
    for kind in ("model", "optimizer"):
        assert equal(tiny.tensors(run, kind), tiny.tensors(ten_steps, kind)), kind
    assert timeless(run) == timeless(ten_steps)
    states = [json.loads((newest(each.folder) / "state.json").read_text()) for each in (run, ten_steps)]
    for key in ("position", "metrics", "best", "validated", "files"):
        assert states[0][key] == states[1][key], key


def test_seed_and_augmentation_do_matter_for_these_bytes(tiny, tiny_dataset, run_of, two_phases, ten_steps):
    for name, changes in (("seed", {"seed": 6}), ("plain", {"data": tiny.data(tiny_dataset)})):
        run = run_of(name, **{**two_phases, **changes})
        train(run, tiny.TINY)
        assert not equal(tiny.tensors(run), tiny.tensors(ten_steps)), name


def test_rows_that_a_killed_process_logged_after_its_checkpoint_are_not_logged_twice(
    tiny, run_of, two_phases, ten_steps
):
    run = run_of(**two_phases)
    with pytest.raises(Stopped):
        train(run, tiny.signalling(tiny.TINY, {5}))
    with (run.folder / "log.jsonl").open("a") as file:
        file.write(json.dumps({"step": 6, "loss": 0.5}) + "\n" + '{"step": 7, "lo')
    train(run, tiny.TINY)
    assert timeless(run) == timeless(ten_steps)


def test_validation_that_a_kill_cut_off_is_made_up_for(tiny, run_of, two_phases, ten_steps):
    run = run_of(**two_phases)

    def fall(outputs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run, dataclasses.replace(tiny.TINY, predict_depth=fall))
    assert newest(run.folder).name == "step-0000004"
    train(run, tiny.TINY)
    assert timeless(run) == timeless(ten_steps)


def test_worker_processes_change_nothing(tiny, run_of, two_phases, ten_steps):
    run = run_of(**two_phases, workers=1)
    assert run.folder.name == ten_steps.folder.name
    train(run, tiny.TINY)
    assert equal(tiny.tensors(run), tiny.tensors(ten_steps))
    assert timeless(run) == timeless(ten_steps)


def test_a_trained_run_is_left_as_it_is(tiny, ten_steps):
    before = {path: path.read_bytes() for path in ten_steps.folder.rglob("*.safetensors")}
    train(ten_steps, tiny.TINY)
    assert {path: path.read_bytes() for path in ten_steps.folder.rglob("*.safetensors")} == before
