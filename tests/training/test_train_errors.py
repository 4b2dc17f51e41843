"""How a run ends when something is wrong or somebody says so: one sentence, the last checkpoint intact."""

import dataclasses
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest
import torch

from pipeline.errors import BodytruthError, DamagedError, LockHeldError, ManifestError, StageError
from training import __main__ as command
from training.checkpoint import newest
from training.logs import read_log
from training.recipes import RECIPES
from training.run import load_run
from training.session import opened
from training.stopping import Stop
from training.train import train

ROOT = Path(__file__).resolve().parents[2]


def poisoned(tiny, *, gradient):
    """A recipe whose loss (or only its gradient) is not a number from the fourth call on."""
    calls = []

    def losses(outputs, targets):
        found = tiny.losses(outputs, targets)
        calls.append(outputs)
        if outputs["base_m"].requires_grad and len(calls) >= 4:
            weight = 0 * outputs["base_m"].sum()
            found["base"] = found["base"] + (weight.sqrt() if gradient else weight / 0)
        return found

    return dataclasses.replace(tiny.TINY, losses=losses)


@pytest.mark.parametrize(
    ("gradient", "found"), [(False, "loss nan, .*base nan"), (True, "gradient_norm nan")]
)
def test_a_loss_that_is_no_number_ends_the_run_before_the_step(tiny, run_of, gradient, found):
    run = run_of(phases=[tiny.phase(epochs=2)], validate_every=3, batch_size=2)
    with pytest.raises(StageError) as error:
        train(run, poisoned(tiny, gradient=gradient))
    message = str(error.value)
    assert "\n" not in message and "step 4: losses and gradient must be finite" in message
    assert re.search(found, message)
    assert message.count("ann-1 frame ") == 2 and "step-0000003" in message
    assert newest(run.folder).name == "step-0000003"
    assert all(value.isfinite().all() for value in tiny.tensors(run).values())
    train(run, tiny.TINY)  # it can go on from there
    assert newest(run.folder).name == "step-0000006"


def test_a_validation_that_is_no_number_is_one_sentence(tiny, run_of):
    run = run_of()
    with pytest.raises(StageError, match="step 4: validation must be finite, is .*mae_m nan") as error:
        train(
            run, dataclasses.replace(tiny.TINY, predict_depth=lambda outputs: outputs["base_m"] * torch.nan)
        )
    assert "\n" not in str(error.value) and newest(run.folder).name == "step-0000004"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phases": [{"losses": {"bse": 1.0}}]}, "phase one: losses: .*base, detail.*names 'bse'"),
        (
            {"phases": [{}, {"name": "late", "losses": {"gan": 1.0}}]},
            "phase late: losses: .*names 'gan'",
        ),
        ({"phases": [{"train": ["head"]}]}, "phase one: train: .*trunk, base_head.*names 'head'"),
        ({"model": {"name": "tiny", "options": {"depth": 3}}}, "model.options: .*depth"),
        ({"data": {"val_split": "test"}}, "split must be one of train, val, is 'test'"),
        ({"data": {"subset": {"subjects": ["eve"]}}}, "must leave samples of split 'train', leaves none"),
    ],
)
def test_what_does_not_fit_is_said_before_the_first_step(tiny, tiny_dataset, run_of, changes, message):
    if "phases" in changes:
        changes = {"phases": [tiny.phase(**each) for each in changes["phases"]]}
    if "data" in changes:
        changes = {"data": tiny.data(tiny_dataset, **changes["data"])}
    run = run_of(**changes)
    with pytest.raises(Exception, match=message) as error:
        train(run, tiny.TINY)
    assert error.value.exit_code in (2, 3)
    assert newest(run.folder) is None


def test_a_rebuilt_dataset_is_refused_unless_accepted(tiny, run_of, tmp_path):
    dataset = tiny.write_dataset(tmp_path / "rebuilt")
    index = json.loads((dataset / "dataset.json").read_text())
    (dataset / "dataset.json").write_text(json.dumps({**index, "fingerprint": "feed"}))
    data = tiny.data(dataset)
    refused = run_of(data=data)
    with pytest.raises(ManifestError, match=f"must have fingerprint {tiny.FINGERPRINT}, has feed"):
        train(refused, tiny.TINY)
    accepted = run_of(data=data, accept_fingerprints=["feed"])
    assert accepted.folder == refused.folder
    train(accepted, tiny.TINY)
    state = json.loads((newest(accepted.folder) / "state.json").read_text())
    assert state["datasets"] == ["feed"]

    # The checkpoint remembers, should the first dataset come back.
    (dataset / "dataset.json").write_text(json.dumps(index))
    with pytest.raises(ManifestError, match="was on feed"):
        train(refused, tiny.TINY)
    train(accepted, tiny.TINY)


def test_a_cut_shard_is_one_sentence_from_a_worker_too(tiny, run_of, tmp_path):
    dataset = tiny.write_dataset(tmp_path / "damaged")
    shard = sorted((dataset / "shards").glob("train-*.h5"))[0]
    shard.write_bytes(shard.read_bytes()[:-100])
    for workers in (0, 1):
        with pytest.raises(BodytruthError, match=f"{shard.name}: must have .* bytes") as error:
            train(run_of(data=tiny.data(dataset), workers=workers), tiny.TINY)
        assert error.value.exit_code == 5 and "\n" not in str(error.value)


def test_a_flipped_bit_in_a_shard_is_one_sentence(tiny, run_of, tmp_path):
    dataset = tiny.write_dataset(tmp_path / "flipped")
    shard = sorted((dataset / "shards").glob("train-*.h5"))[0]
    with h5py.File(shard) as file:
        chunk = file["base_m"].id.get_chunk_info(0)
    content = bytearray(shard.read_bytes())
    content[chunk.byte_offset + chunk.size - 1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(BodytruthError, match=f"{shard.name}: base_m, row 0 must") as error:
        train(run_of(data=tiny.data(dataset), phases=[tiny.phase(epochs=1)]), tiny.TINY)
    assert error.value.exit_code == DamagedError.exit_code


# TensorBoard writes in a thread of its own, which falls too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_log_that_cannot_be_written_is_one_sentence(tiny, run_of):
    run = run_of(phases=[tiny.phase(steps=80)], log_every=1, validate_every=20)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, limits[1]))  # some thirty rows
    try:
        with pytest.raises(StageError, match="log.jsonl: must be written, cannot be: File too large"):
            train(run, tiny.TINY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert newest(run.folder).name == "step-0000020"
    train(run, tiny.TINY)
    assert [row["step"] for row in read_log(run.folder) if "loss" in row] == list(range(1, 81))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_that_is_not_there_is_one_sentence(tiny, run_of):
    with pytest.raises(ManifestError, match='device: .* is "cuda" .* sees 0 CUDA devices'):
        train(run_of(device="cuda"), tiny.TINY)
    train(run_of(device="auto"), tiny.TINY)


def test_two_processes_cannot_train_one_run(tiny, run_of):
    from training.distributed import Ranks

    run, ranks = run_of(), Ranks(0, 1, torch.device("cpu"))
    with opened(run, tiny.TINY, ranks, Stop()), pytest.raises(LockHeldError, match="must not be in use"):
        train(run, tiny.TINY)
    train(run, tiny.TINY)


# the command


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_step_and_saves(tiny, tiny_dataset, tmp_path, monkeypatch, capsys, number, code):
    path = tiny.write_run(tmp_path, tiny_dataset)
    monkeypatch.setitem(RECIPES, "tiny", tiny.signalling(tiny.TINY, {2}, number))
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    assert command.main(["train", str(path)]) == code
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert "stopped after a checkpoint" in capsys.readouterr().err
    assert newest(load_run(path).folder).name == "step-0000002"
    monkeypatch.setitem(RECIPES, "tiny", tiny.TINY)
    assert command.main(["train", str(path)]) == 0
    assert newest(load_run(path).folder).name == "step-0000004"


def test_the_command_says_one_sentence_and_gives_its_code(tiny, tiny_dataset, tmp_path, monkeypatch, capsys):
    path = tiny.write_run(tmp_path, tiny_dataset)
    assert command.main(["train", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"{path}: model.name: must be one of {', '.join(RECIPES)}, is 'tiny'. Mend it.\n"
    )
    monkeypatch.setitem(RECIPES, "tiny", poisoned(tiny, gradient=False))
    long = tiny.write_run(tmp_path, tiny_dataset, phases=[tiny.phase(steps=9)])
    assert command.main(["train", str(long)]) == 4
    assert capsys.readouterr().err.count("\n") == 1


def test_every_verb_reaches_its_function(tmp_path, monkeypatch):
    import training.predict
    import training.suite

    called = []
    monkeypatch.setattr(training.suite, "score_runs", lambda *words, **more: called.append((words, more)))
    monkeypatch.setattr(
        training.predict, "predict_images", lambda *words, **more: called.append((words, more))
    )
    assert command.main(["evaluate", "run", "other", "--split", "val", "--device", "cpu"]) == 0
    assert command.main(["predict", "run", "a.jpg", "b.jpg", "-o", "out"]) == 0
    assert called == [
        (([Path("run"), Path("other")],), {"dataset": None, "split": "val", "device": "cpu"}),
        ((Path("run"), [Path("a.jpg"), Path("b.jpg")], Path("out")), {"box": None, "device": "auto"}),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_whole_group_leaves_the_readers_to_the_trainer(
    tiny, tiny_dataset, tmp_path, number, code
):
    model = {"name": "depth-net", "options": {"width": 1 / 32, "levels": 4}}
    phases = [tiny.phase(steps=9999, losses={"base": 1.0, "detail": 1.0})]
    path = tiny.write_run(tmp_path, tiny_dataset, model=model, phases=phases, workers=1, validate_every=9999)
    folder = load_run(path).folder
    started = subprocess.Popen(
        [sys.executable, "-m", "training", "train", path],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while not read_log(folder) and time.monotonic() < until:
        time.sleep(0.1)
    os.killpg(started.pid, number)
    _, said = started.communicate(timeout=60)
    assert (started.returncode, said) == (code, "stopped after a checkpoint; run the same command to go on\n")
    assert newest(folder) is not None
