"""What is trained, by how much, from where, and what is recorded of it."""

import dataclasses
import itertools
import json
import os

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import ManifestError
from training.checkpoint import load_weights, newest
from training.logs import read_log
from training.train import train


def test_training_beats_the_flat_plane(tiny, run_of):
    run = run_of(phases=[tiny.phase(steps=60, losses={"base": 1.0, "detail": 1.0})], batch_size=3)
    train(run, tiny.SPLITTABLE)
    metrics = json.loads((newest(run.folder) / "state.json").read_text())["metrics"]
    people = [tiny.sample("bob", frame) for frame in range(tiny.VAL)]
    flat = [abs(person["base_m"] + person["detail_m"])[person["mask"]].mean() for person in people]
    assert metrics["mae_m"] < 0.5 * sum(flat) / len(flat)


def test_log_rows_are_means_over_the_steps_since_the_last(tiny, run_of):
    fine, coarse = run_of("fine", log_every=1), run_of("coarse", log_every=4)
    for run in (fine, coarse):
        train(run, tiny.TINY)
    rows = [row for row in read_log(fine.folder) if "loss" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    (row,) = [row for row in read_log(coarse.folder) if "loss" in row]
    assert row["loss"] == pytest.approx(sum(each["loss"] for each in rows) / 4, rel=1e-12)
    weighted = row["losses"]["base"] + 10 * row["losses"]["detail"]
    assert row["loss"] == pytest.approx(weighted, rel=1e-6)  # float32 sums


def test_parts_that_a_phase_does_not_name_stay_as_they_are(tiny, run_of):
    first = tiny.phase(name="one", steps=1)
    frozen = tiny.phase(name="two", train=["detail_head"], steps=3)
    run = run_of(phases=[first, frozen], keep_last=9)
    train(run, tiny.TINY)
    before = load_file(run.folder / "checkpoints/step-0000001/model.safetensors")
    after = tiny.tensors(run)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"detail_head.weight", "detail_head.bias"}  # not even the batch statistics
    assert "base_head.0.running_mean" in after


def test_a_loss_that_a_phase_does_not_name_pulls_nothing(tiny, run_of):
    run = run_of(phases=[tiny.phase(losses={"base": 1.0}, steps=1)], keep_last=9)
    train(run, tiny.TINY)
    torch.manual_seed(run.seed)
    first = tiny.TINY.build({}).state_dict()
    after = tiny.tensors(run)
    assert torch.equal(first["detail_head.weight"], after["detail_head.weight"])
    assert not torch.equal(first["trunk.0.weight"], after["trunk.0.weight"])


def test_clipping_bounds_the_whole_gradient(tiny, run_of):
    # eps 1 makes a step of RMSProp no longer than lr times its gradient.
    optimizer = {"name": "rmsprop", "lr": 1.0, "eps": 1.0}
    moved = {}
    for name, clip_norm in (("clipped", 1e-4), ("free", None)):
        run = run_of(name, phases=[tiny.phase(steps=1, optimizer=optimizer, clip_norm=clip_norm)])
        train(run, tiny.TINY)
        torch.manual_seed(run.seed)
        first, after = dict(tiny.TINY.build({}).named_parameters()), tiny.tensors(run)
        moved[name] = torch.cat([(first[key] - after[key]).flatten() for key in first]).norm().item()
    assert 0.5e-4 < moved["clipped"] <= 1e-4 < 1e-2 < moved["free"]


def test_the_schedule_sets_the_rate_of_every_step(tiny, run_of):
    stops = {"name": "step", "at": [2], "factor": 1e-9}
    run = run_of(phases=[tiny.phase(schedule=stops)], validate_every=1, keep_last=9, log_every=1)
    train(run, tiny.TINY)
    weights = [
        load_file(run.folder / f"checkpoints/step-{step:07d}/model.safetensors")["trunk.0.weight"]
        for step in (1, 2, 3, 4)
    ]
    moved = [(after - before).abs().max().item() for before, after in itertools.pairwise(weights)]
    assert moved[0] > 1e-3 and max(moved[1:]) < 1e-9
    rates = [row["lr"] for row in read_log(run.folder) if "lr" in row]
    assert rates == pytest.approx([0.01, 0.01, 1e-11, 1e-11])


def test_validation_is_the_mean_over_samples_whatever_the_batches(tiny, run_of):
    still = tiny.phase(steps=1, optimizer={"name": "adam", "lr": 1e-12})
    model = tiny.TinyWithoutBatches()
    errors = []
    for batch_size in (1, 2, 3):  # of three samples: the last batch of two is short
        run = run_of(str(batch_size), phases=[still], batch_size=batch_size)
        train(run, tiny.SPLITTABLE)
        errors.append(json.loads((newest(run.folder) / "state.json").read_text())["metrics"])
    assert errors[1] == pytest.approx(errors[0], rel=1e-5)
    assert errors[2] == pytest.approx(errors[0], rel=1e-5)
    load_weights(newest(run.folder), model)
    by_hand = []
    for frame in range(tiny.VAL):
        person = tiny.sample("bob", frame)
        batch = {name: torch.as_tensor(person[name])[None] for name in ("image", "mask")}
        outputs = model(tiny.SPLITTABLE.inputs(batch))
        depth_m = (outputs["base_m"] + outputs["detail_m"])[0].detach().numpy()
        inner = (
            cv2.erode(person["mask"].astype(np.uint8), np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8))
            > 0
        )
        by_hand.append(abs(depth_m - (person["depth_m"] - 2))[inner].mean())
    assert errors[0]["mae_m"] == pytest.approx(np.mean(by_hand), rel=1e-5)


def test_several_datasets_are_drawn_from_by_weight(tiny, tiny_dataset, run_of, tmp_path):
    other = tiny.write_dataset(tmp_path / "other")
    data = tiny.data(tiny_dataset, other)
    data["datasets"][1]["weight"] = 2.0
    run = run_of(data=data, batch_size=3, phases=[tiny.phase(epochs=1)])
    seen = []

    def prepare(batch):
        if batch["base_m"].shape[0] == 3 and len(seen) < 12:
            seen.extend(batch["index"].tolist())
        return tiny.TINY.prepare(batch)

    train(run, dataclasses.replace(tiny.TINY, prepare=prepare))
    assert [number < tiny.TRAIN for number in seen].count(True) == 4  # a third of twelve
    state = json.loads((newest(run.folder) / "state.json").read_text())
    assert state["datasets"] == [tiny.FINGERPRINT] * 2 and state["step"] == 4


def test_a_subset_of_the_training_split_is_trained_on(tiny, tiny_dataset, run_of):
    run = run_of(
        data=tiny.data(tiny_dataset, subset={"subjects": ["ann"], "quality": {"frame": [1, 4]}}),
        phases=[tiny.phase(epochs=1)],
    )
    train(run, tiny.TINY)
    assert newest(run.folder).name == "step-0000002"  # four samples in batches of two


def test_a_phase_starts_from_the_weights_of_another_run(tiny, run_of):
    first = run_of("first")
    train(first, tiny.TINY)
    checkpoint = newest(first.folder)
    sha256 = json.loads((checkpoint / "state.json").read_text())["files"]["model.safetensors"]["sha256"]
    init = {"checkpoint": str(checkpoint), "sha256": sha256}
    slow = {"name": "adam", "lr": 1e-12}
    run = run_of("from", phases=[tiny.phase(steps=1, optimizer=slow, init=init)])
    train(run, tiny.TINY)
    ours, theirs = tiny.tensors(run), tiny.tensors(first)
    assert torch.allclose(ours["trunk.0.weight"], theirs["trunk.0.weight"], atol=1e-9)

    other = run_of("other", phases=[tiny.phase(init={**init, "sha256": "0" * 64})])
    with pytest.raises(ManifestError, match="phase one: init: .* must have sha256 0000"):
        train(other, tiny.TINY)


def test_best_is_the_lowest_validation_error_and_survives(tiny, run_of):
    # The rate is so high that the error comes and goes.
    wild = tiny.phase(steps=12, optimizer={"name": "adam", "lr": 0.3})
    run = run_of(phases=[wild], validate_every=1, keep_last=1)
    train(run, tiny.TINY)
    errors = {row["step"]: row["validation"]["mae_m"] for row in read_log(run.folder) if "validation" in row}
    best = min(errors, key=errors.get)
    assert len(errors) == 12 and best != 12
    assert os.readlink(run.folder / "best") == f"checkpoints/step-{best:07d}"
    assert os.readlink(run.folder / "last") == "checkpoints/step-0000012"
    assert len(list((run.folder / "checkpoints").iterdir())) == 2
    state = json.loads((run.folder / "best" / "state.json").read_text())
    assert state["best"] == {"metric": "mae_m", "value": errors[best], "step": best, "phase": "one"}


def test_without_depth_the_best_is_the_last_phases_lowest_loss(tiny, run_of):
    # The second phase weighs its losses ten times as much: its best is best although its loss is higher.
    heavy = tiny.phase(name="two", steps=2, losses={"base": 10.0, "detail": 100.0})
    run = run_of(phases=[tiny.phase(), heavy], validate_every=2)
    train(run, dataclasses.replace(tiny.TINY, predict_depth=None))
    state = json.loads((run.folder / "best" / "state.json").read_text())
    assert (state["best"]["metric"], state["best"]["phase"]) == ("loss", "two")


def test_phases_json_stands_beside_the_paper(tiny, run_of):
    paper = {"source": "A paper", "phases": {"one": {"epochs": 12, "hours": 10.0}}}
    run = run_of(phases=[tiny.phase(), tiny.phase(name="two", steps=2)])
    train(run, dataclasses.replace(tiny.TINY, paper=paper))
    record = json.loads((run.folder / "phases.json").read_text())
    assert [row["name"] for row in record["phases"]] == ["one", "two"]
    assert [(row["steps"], row["samples"]) for row in record["phases"]] == [(4, 8), (2, 4)]
    assert record["phases"][0]["paper"] == {"epochs": 12, "hours": 10.0}
    assert record["phases"][1]["paper"] is None
    assert all(row["samples_per_s"] > 0 and row["train_s"] > 0 for row in record["phases"])
    assert record["device"].startswith("CPU")


def test_pictures_and_curves_go_to_tensorboard(tiny, run_of):
    pytest.importorskip("tensorboard", reason="TensorBoard is optional")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = run_of()
    train(run, tiny.TINY)
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    assert {"loss", "losses/base", "validation/mae_m", "lr"} <= set(events.Tags()["scalars"])
    (image,) = events.Images("image, truth, predicted")
    assert (image.width, image.height) == (3 * tiny.SIZE, 2 * tiny.SIZE)  # a batch of two
