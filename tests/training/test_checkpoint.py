"""Checkpoints: whole or not there, read back bit for bit, refused when they are damaged or another model's."""

import json
import os
import resource
import shutil

import pytest
import torch
from torch import nn

from pipeline.errors import DamagedError, ManifestError, StageError
from training.checkpoint import (
    amend_checkpoint,
    link,
    load_model,
    load_optimizer,
    load_weights,
    newest,
    read_state,
    save_checkpoint,
    sweep_parts,
)
from training.recipes import RECIPES
from training.run import load_run
from training.train import train


def stepped(make_optimizer, steps=3, hidden=5):
    """A model and its optimiser after some steps; one parameter never gets a gradient."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, hidden), nn.BatchNorm1d(hidden), nn.Linear(hidden, 2))
    model.register_parameter("unused", nn.Parameter(torch.ones(3)))
    optimizer = make_optimizer(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(6, 4)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.01)


def rmsprop(parameters):
    return torch.optim.RMSprop(parameters, lr=0.01, momentum=0.9)


def save(folder, model, optimizer, step=1, keep=9):
    return save_checkpoint(folder, model=model, optimizer=optimizer, state={"step": step}, keep=keep)


@pytest.mark.parametrize("make_optimizer", [adam, rmsprop])
def test_what_is_saved_comes_back_bit_for_bit(tmp_path, make_optimizer):
    model, optimizer = stepped(make_optimizer)
    place = save(tmp_path, model, optimizer)
    other, fresh = stepped(make_optimizer, steps=1)
    load_weights(place, other)
    load_optimizer(place, fresh, other)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    ours, theirs = optimizer.state_dict()["state"], fresh.state_dict()["state"]
    assert ours.keys() == theirs.keys()  # the parameter without gradient has none in both
    for number, values in ours.items():
        assert values.keys() == theirs[number].keys()
        for kind, value in values.items():
            assert torch.equal(theirs[number][kind], value) and theirs[number][kind].dtype == value.dtype, (
                kind
            )


def test_the_same_state_is_the_same_bytes(tmp_path):
    places = [save(tmp_path / name, *stepped(adam)) for name in ("a", "b")]
    files = [{path.name: path.read_bytes() for path in place.iterdir()} for place in places]
    assert files[0] == files[1] and len(files[0]) == 3


@pytest.mark.parametrize("limit_bytes", [100, 1000, 3000])
def test_a_full_disk_leaves_the_last_checkpoint_intact(tmp_path, limit_bytes):
    model, optimizer = stepped(adam, hidden=40)
    place = save(tmp_path, model, optimizer)
    before = {path: path.read_bytes() for path in place.iterdir()}
    assert sorted(len(content) > limit_bytes for content in before.values()) != [False] * 3
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on file size is the nearest to a full disk that needs no disk: the write fails half way.
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limits[1]))
    try:
        with pytest.raises(StageError) as error:
            save(tmp_path, model, optimizer, step=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "step-0000002: must be written, cannot be: File too large" in str(error.value)
    assert f"goes on from {place}" in str(error.value)
    assert {path: path.read_bytes() for path in place.iterdir()} == before
    assert newest(tmp_path) == place and os.readlink(tmp_path / "last") == "checkpoints/step-0000001"
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-0000001"]
    assert save(tmp_path, model, optimizer, step=2) == newest(tmp_path)


def test_a_state_that_cannot_be_amended_stays_as_it_was(tmp_path):
    place = save(tmp_path, *stepped(adam))
    before = (place / "state.json").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        with pytest.raises(StageError, match="state.json: must be written"):
            amend_checkpoint(place, {"metrics": {"mae_m": 0.1}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (place / "state.json").read_bytes() == before
    amend_checkpoint(place, {"metrics": {"mae_m": 0.1}})
    assert read_state(place)["metrics"] == {"mae_m": 0.1} and read_state(place)["step"] == 1


def test_what_a_kill_left_half_written_counts_for_nothing_and_is_swept(tmp_path):
    place = save(tmp_path, *stepped(adam))
    shutil.copytree(place, place.with_name(".part-step-0000002"))
    place.with_name(".part-step-0000001.json").write_text("{")
    assert newest(tmp_path) == place
    sweep_parts(tmp_path)
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip_a_bit, os.remove])
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors"])
def test_damage_is_found_and_named(tmp_path, damage, name):
    model, optimizer = stepped(adam)
    place = save(tmp_path, model, optimizer)
    damage(place / name)
    with pytest.raises(DamagedError, match=f"{name}: must be as it was written") as error:
        load_weights(place, model)
        load_optimizer(place, optimizer, model)
    assert f"Remove the folder {place}" in str(error.value)


def test_a_checkpoint_of_another_model_is_one_sentence(tmp_path):
    place = save(tmp_path, *stepped(adam, hidden=6))
    with pytest.raises(
        ManifestError, match="is another's: 0 tensors are missing, 0 unknown, 7 of another shape"
    ):
        load_weights(place, stepped(adam)[0])
    with pytest.raises(ManifestError, match="7 tensors are missing, 10 unknown"):
        load_weights(place, nn.ModuleDict({"a": stepped(adam)[0][1], "b": nn.Linear(2, 2)}))
    cut(place / "state.json")
    with pytest.raises(DamagedError, match="state.json: must be as it was written, cannot be read"):
        read_state(place)
    with pytest.raises(ManifestError, match="must be a checkpoint with state.json, is none"):
        read_state(tmp_path)


def test_a_run_refuses_another_models_checkpoint_and_goes_on_from_the_one_before_a_damaged_one(
    tiny, tiny_dataset, tmp_path
):
    run = load_run(tiny.write_run(tmp_path, tiny_dataset, validate_every=2))
    train(run, tiny.TINY)
    last = newest(run.folder)
    state = json.loads((last / "state.json").read_text())
    assert state["model"] == {"name": "tiny", "options": {"dropout": 0.2}}
    whole = (last / "model.safetensors").read_bytes()

    (last / "state.json").write_text(json.dumps({**state, "model": {"name": "depth-net", "options": {}}}))
    with pytest.raises(ManifestError, match="must be a checkpoint of .*tiny.*, is one of .*depth-net"):
        train(run, tiny.TINY)

    (last / "state.json").write_text(json.dumps(state))
    cut(last / "model.safetensors")
    with pytest.raises(DamagedError, match="Remove the folder"):
        train(run, tiny.TINY)
    shutil.rmtree(last)
    train(run, tiny.TINY)
    assert (newest(run.folder) / "model.safetensors").read_bytes() == whole


def test_old_checkpoints_go_but_the_best_stays(tmp_path):
    model, optimizer = stepped(adam)
    for step in range(1, 6):
        place = save(tmp_path, model, optimizer, step=step, keep=2)
        if step == 2:
            link(tmp_path, "best", place)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step-0000002",
        "step-0000004",
        "step-0000005",
    ]


def test_links_hold_when_the_run_is_moved(tmp_path):
    place = save(tmp_path / "here", *stepped(adam))
    link(tmp_path / "here", "best", place)
    (tmp_path / "here").rename(tmp_path / "there")
    for name in ("best", "last"):
        assert read_state(tmp_path / "there" / name)["step"] == 1


def test_a_model_comes_back_from_its_checkpoint_alone(tiny, tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "tiny", tiny.TINY)
    run = load_run(tiny.write_run(tmp_path, tiny_dataset))
    train(run, tiny.TINY)
    model, state = load_model(run.folder / "best")
    assert isinstance(model, tiny.Tiny) and state["datasets"] == [tiny.FINGERPRINT]
    monkeypatch.delitem(RECIPES, "tiny")
    with pytest.raises(ManifestError, match="model must be one of .*, is tiny"):
        load_model(run.folder / "best")
