"""Two processes train one run: as one process with batches of twice the size would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training.checkpoint import newest, read_state
from training.logs import read_log
from training.run import load_run
from training.train import train

ROOT = Path(__file__).resolve().parents[2]


def torchrun(*words):
    """Start two processes on this machine and wait for both."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            *map(str, words),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        timeout=200,
    )


@pytest.fixture(scope="module")
def phases(tiny):
    """Three phases: all parts; a loss that leaves one part without gradient; one part alone."""
    # With eps 1 a step is a smooth function of the gradient: Adam's and RMSProp's usual ones are its sign at
    # first, and round a gradient of 1e-9 either way.
    smooth = {"name": "rmsprop", "lr": 0.3, "eps": 1.0}
    return [
        tiny.phase(steps=3, optimizer=smooth),
        tiny.phase(name="two", steps=2, optimizer=smooth, losses={"base": 1.0}),
        tiny.phase(name="three", steps=2, optimizer=smooth, train=["detail_head"]),
    ]


@pytest.fixture(scope="module")
def pair(tiny, tiny_dataset, phases, tmp_path_factory):
    """The run of two processes with one sample each a step, and the folder with each rank's weights."""
    folder = tmp_path_factory.mktemp("pair")
    options = {"name": "tiny", "options": {"dropout": 0.0}}
    path = tiny.write_run(folder, tiny_dataset, phases=phases, batch_size=1, model=options, log_every=1)
    done = torchrun(tiny.__file__, path, folder)
    assert done.returncode == 0, done.stderr
    return load_run(path), folder


def test_both_ranks_end_with_the_same_weights(pair):
    run, folder = pair
    ranks = [torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)]
    saved = load_file(newest(run.folder) / "model.safetensors")
    for name, value in saved.items():
        assert torch.equal(ranks[0][name], value) and torch.equal(ranks[1][name], value), name


def test_two_processes_do_what_one_does_with_batches_of_twice_the_size(
    tiny, tiny_dataset, phases, pair, tmp_path
):
    options = {"name": "tiny", "options": {"dropout": 0.0}}
    path = tiny.write_run(tmp_path, tiny_dataset, phases=phases, batch_size=2, model=options, log_every=1)
    single = load_run(path)
    train(single, tiny.SPLITTABLE)
    torch.manual_seed(single.seed)
    first = tiny.SPLITTABLE.build({}).state_dict()
    ours, theirs = (load_file(newest(run.folder) / "model.safetensors") for run in (pair[0], single))
    for name, value in theirs.items():
        assert (value - first[name]).abs().max() > 1e-3, name  # it has moved
        # float32 means in another order: some 1e-7 of a gradient of about 1, times lr and steps
        torch.testing.assert_close(ours[name], value, rtol=0, atol=3e-6)
    rows = [[row for row in read_log(run.folder) if "loss" in row] for run in (pair[0], single)]
    assert [row["step"] for row in rows[0]] == list(range(1, 8))
    for pair_row, single_row in zip(*rows, strict=True):
        for key in ("loss", "gradient_norm"):
            assert pair_row[key] == pytest.approx(single_row[key], rel=1e-4), (key, pair_row["step"])
    metrics = [read_state(newest(run.folder))["metrics"] for run in (pair[0], single)]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-4)


def test_only_the_leading_rank_writes_and_counts_the_samples_of_both(pair):
    run, _ = pair
    state = read_state(newest(run.folder))
    assert state["clocks"]["one"]["samples"] == 6 and state["clocks"]["one"]["steps"] == 3
    assert len([path for path in (run.folder / "tensorboard").iterdir()]) <= 1
    assert sorted(path.name for path in run.folder.iterdir() if path.suffix) == [
        "log.jsonl",
        "phases.json",
        "run.json",
        "run.lock",
    ]


@pytest.mark.slow
def test_depth_net_trains_under_torchrun(tiny, tiny_dataset, tmp_path):
    model = {"name": "depth-net", "options": {"width": 1 / 32, "levels": 4}}
    losses = {"base": 1.0, "detail": 1.0, "composed": 15.0}
    phases = [
        tiny.phase(steps=2, losses=losses),
        tiny.phase(name="two", steps=2, train=["base_head"], losses=losses),
    ]
    path = tiny.write_run(tmp_path, tiny_dataset, model=model, phases=phases, workers=1)
    done = torchrun("-m", "training", "train", path)
    assert done.returncode == 0, done.stderr
    assert newest(load_run(path).folder).name == "step-0000004"
    assert done.stdout.count("trained; best") == 1
    # Trained again, it says so and leaves everything as it is.
    assert torchrun("-m", "training", "train", path).returncode == 0
