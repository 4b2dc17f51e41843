"""Evaluation: scores of predictors whose errors are known, and what a run's folder holds afterwards."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.errors import BodytruthError, InputError
from pipeline.shards import pack_capture
from training.checkpoint import link, save_checkpoint
from training.evaluate import comparability, evaluate_predictor, evaluate_run, mean_metrics
from training.metrics import erode, metric
from training.models import Trained, depth_predictor, load_trained
from training.recipes import RECIPES
from training.scoring import KINDS
from training.sheets import WORST, Picked, Scored
from training.suite import score_runs
from training.tables import suite_table, to_json
from training.trivial import FLAT, MEAN_SHAPE, OFFSET

SIZE = 32
OPTIONS = {"width": 1 / 32, "levels": 2}
K = np.array([[35.0, 0, 15.5], [0, 35.0, 15.5], [0, 0, 1]])
FIELDS = (
    "capture", "frame", "subject", "image", "mask", "depth_m", "depth_median_m", "base_m", "detail_m", "K", "normal"
)  # fmt: skip
CAPTURES = {
    "ann-1": {"subject": "ann", "split": "train", "format": "simulated", "pose": "standing", "outfit": None},
    "bob-1": {"subject": "bob", "split": "test", "format": "simulated", "pose": "standing", "outfit": "coat"},
    "cid-1": {"subject": "cid", "split": "test", "format": "simulated", "pose": "sitting", "outfit": None},
}
FRAMES = {"ann-1": (0, 1, 2), "bob-1": (0, 1, 2, 5), "cid-1": (6, 8)}


def a_sample(capture: str, frame: int) -> dict[str, object]:
    """A dome in an oval mask; cid's oval is half as large."""
    v, u = np.mgrid[:SIZE, :SIZE]
    wide = 6 if capture == "cid-1" else 11
    r2 = ((u - 15.5) / wide) ** 2 + ((v - 15.5) / (wide + 3)) ** 2
    mask = r2 < 1
    relief = 0.01 * np.sin(u + frame)
    depth_m = np.where(mask, 2 + 0.2 * r2 + relief, 0).astype(np.float32)
    median_m = np.float32(np.median(depth_m[mask]))
    normal = np.zeros((SIZE, SIZE, 3), np.float32)
    normal[mask] = [0, 0, -1]
    base_m = np.where(mask, depth_m - median_m - relief, 0).astype(np.float32)
    return {
        "capture": capture,
        "frame": np.int32(frame),
        "subject": CAPTURES[capture]["subject"],
        "image": np.where(mask[..., None], 40 + 8 * u[..., None], 0)
        .repeat(3, -1)
        .clip(0, 255)
        .astype(np.uint8),
        "mask": mask,
        "depth_m": depth_m,
        "depth_median_m": median_m,
        "base_m": base_m,
        "detail_m": np.where(mask, depth_m - median_m - base_m, 0).astype(np.float32),
        "K": K,
        "normal": normal,
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "shards").mkdir()
    entries, counts = [], {"train": 0, "test": 0, "val": 0}
    for number, (capture, frames) in enumerate(FRAMES.items()):
        split = CAPTURES[capture]["split"]
        names = iter([f"{split}-{number:05d}.h5"])
        samples = (a_sample(capture, frame) for frame in frames)
        packed = pack_capture(samples, folder / "shards", names=names, shard_bytes=10**9, fingerprint=capture)
        entries += [{**entry, "split": split, "captures": [capture]} for entry in packed]
        counts[split] += len(frames)
    index = {
        "schema": "1.0",
        "name": "domes",
        "fingerprint": "f00d",
        "fields": {name: {} for name in FIELDS},
        "splits": {split: {"samples": count} for split, count in counts.items()},
        "shards": entries,
        "captures": CAPTURES,
    }
    (folder / "dataset.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory) -> Path:
    """A run's folder whose best checkpoint, an untrained network, is not its last one."""
    out = tmp_path_factory.mktemp("out")
    folder = out / "runs" / "depth-net" / "0123"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    model = RECIPES["depth-net"].build(OPTIONS)
    state = {"step": 7, "model": {"name": "depth-net", "options": OPTIONS}}
    optimizer = torch.optim.Adam(model.parameters())
    best = save_checkpoint(folder, model=model, optimizer=optimizer, state=state, keep=2)
    save_checkpoint(folder, model=model, optimizer=optimizer, state={**state, "step": 9}, keep=2)
    link(folder, "best", best)
    record = {
        "schema": 1,
        "model": state["model"],
        "data": {
            "datasets": [{"path": str(dataset), "fingerprint": "f00d", "weight": 1.0}],
            "train_split": "train",
            "val_split": "test",
            "subset": {},
        },
        "seed": 0,
        "batch_size": 1,
        "workers": 0,
        "device": "cpu",
        "amp": False,
        "phases": [
            {
                "name": "stage-1",
                "train": "all",
                "losses": {"base": 1.0},
                "optimizer": {"name": "adam", "lr": 1e-4},
                "schedule": {"name": "constant"},
                "steps": 7,
            }
        ],
        "log_every": 1,
        "validate_every": 1,
        "keep_last": 1,
        "out": str(out),
    }
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def value(metrics: list[dict], name: str) -> float | None:
    return next(one["value"] for one in metrics if one["name"] == name)


def score(predict, dataset: Path, **more):
    return evaluate_predictor(predict, dataset, split="test", fields=["depth_m", "mask"], **more)


# any predictor


def test_truth_at_another_distance_scores_full_on_every_sample(dataset):
    records, (result,) = score(lambda sample: {"truth": sample["depth_m"] - 1.5}, dataset)
    assert [(one["capture"], one["frame"]) for one in records] == [
        ("bob-1", 0), ("bob-1", 1), ("bob-1", 2), ("bob-1", 5), ("cid-1", 6), ("cid-1", 8)
    ]  # fmt: skip
    for metrics in [*(record["metrics"] for record in records), result["metrics"]]:
        assert value(metrics, "accuracy at 1.25 cm, median") == 100
        assert value(metrics, "MAE, median+best shift") == pytest.approx(0, abs=1e-5)  # cm, float32 near 2 m
    assert value(result["metrics"], "samples") == 6
    assert result["cdf"]["shares"]["median"][1:] == [1.0] * 200
    assert json.loads(json.dumps([records, result], allow_nan=False))


def test_scores_are_means_over_samples_and_break_down_by_who_and_how(dataset):
    def predict(sample):
        u = np.arange(SIZE)
        stripes = np.where((u % 2 == 0), 0.01, -0.01) * (2 if sample["subject"] == "cid" else 1)
        return {"stripes": sample["depth_m"] + stripes[None]}

    records, (result,) = score(predict, dataset)
    by_sample = [value(record["metrics"], "MAE, median") for record in records]
    # cid's masks hold a third of bob's pixels and still count the same
    assert value(result["metrics"], "MAE, median") == pytest.approx(np.mean(by_sample))
    assert np.mean(by_sample[4:]) > 1.5 * np.mean(by_sample[:4])
    assert {key: sorted(groups) for key, groups in result["by"].items()} == {
        "subject": ["bob", "cid"], "pose": ["sitting", "standing"], "outfit": ["coat"]
    }  # fmt: skip
    assert value(result["by"]["subject"]["cid"], "MAE, median") == pytest.approx(np.mean(by_sample[4:]))
    assert value(result["by"]["outfit"]["coat"], "samples") == 4
    assert records[0]["outfit"] == "coat" and "outfit" not in records[4]


def test_outermost_ring_counts_only_without_erosion(dataset):
    def predict(sample):
        ring = sample["mask"] & ~erode(sample["mask"], 1)
        return {"ring": np.where(ring, 0, sample["depth_m"])}

    errors = [
        value(score(predict, dataset, erosion_px=pixels)[1][0]["metrics"], "MAE, median") for pixels in (0, 1)
    ]
    assert errors[0] > 20 and errors[1] == pytest.approx(0, abs=1e-5)


def test_several_predictors_are_scored_in_one_pass_each_on_its_own(dataset):
    alone = score(lambda sample: {"flat": np.zeros((SIZE, SIZE))}, dataset)[1][0]
    both = score(lambda sample: {"truth": sample["depth_m"], "flat": np.zeros((SIZE, SIZE))}, dataset)
    assert [result["predictor"] for result in both[1]] == ["truth", "flat"]
    assert both[1][1] == alone and len(both[0]) == 12


def test_flicker_is_the_change_of_the_error_within_a_capture(dataset):
    ramp_m = 0.001 * (np.arange(SIZE) - 15.5)[None]  # its median is 0 on every mask here

    def steady(sample):
        return {"steady": sample["depth_m"] + 3 * ramp_m}

    def swapping(sample):
        sign = 1 if int(sample["frame"]) in (0, 2, 5, 6) else -1
        return {"swapping": sample["depth_m"] + sign * ramp_m + 0.1 * int(sample["frame"])}

    (still,), (jumping,) = score(steady, dataset)[1], score(swapping, dataset)[1]
    assert value(still["metrics"], "flicker") == pytest.approx(0, abs=1e-3)  # mm, float32 near 2 m
    across_px = [
        np.median(np.abs(np.nonzero(erode(a_sample(capture, 0)["mask"], 1))[1] - 15.5))
        for capture in ("bob-1", "bob-1", "cid-1")
    ]
    # bob's frames 0 to 1 and 1 to 2, not 2 to 5; cid's 6 to 8, his closest; and none from bob to cid
    assert value(jumping["metrics"], "flicker, pairs of frames") == 3
    assert value(jumping["metrics"], "flicker") == pytest.approx(2 * np.mean(across_px), abs=1e-3)


def test_sample_that_erosion_leaves_nothing_of_is_kept_without_a_figure(dataset):
    # after 9 px nothing is left of cid's oval, which is 12 px wide
    records, (result,) = score(lambda sample: {"truth": sample["depth_m"]}, dataset, erosion_px=9)
    assert [value(record["metrics"], "MAE, median") is None for record in records] == [False] * 4 + [True] * 2
    assert value(result["metrics"], "samples") == 6
    assert value(result["metrics"], "MAE, median") == pytest.approx(0, abs=1e-5)


def test_other_kinds_of_networks_have_their_own_figures(dataset):
    tilted = np.array([0, np.sin(np.radians(20)), -np.cos(np.radians(20))])
    records, (result,) = evaluate_predictor(
        lambda sample: {"tilted": np.broadcast_to(tilted, (SIZE, SIZE, 3))},
        dataset,
        split="test",
        fields=["mask"],
        kind="normal",
    )
    assert value(result["metrics"], "normal error, mean") == pytest.approx(20, abs=1e-4)
    assert "cdf" not in result and len(records) == 6
    parts = np.zeros((4, 4), np.uint8)
    parts[:, 2:] = 3
    found = KINDS["parts"].score(parts, {"part14": parts}, parts > 0)
    assert value(found, KINDS["parts"].headline) == 100
    joints_m = np.random.default_rng(0).random((24, 3))
    found = KINDS["joints"].score(joints_m + 1, {"joints_smpl24_cam_m": joints_m}, parts > 0)
    assert value(found, KINDS["joints"].headline) == pytest.approx(0, abs=1e-9)


def test_split_without_samples_or_unknown_is_named(dataset):
    with pytest.raises(InputError, match="split val must hold a sample, holds none"):
        evaluate_predictor(lambda sample: {}, dataset, split="val", fields=["mask"])
    with pytest.raises(InputError, match="split must be one of train, test, val, is 'all'"):
        evaluate_predictor(lambda sample: {}, dataset, split="all", fields=["mask"])


def test_mean_of_figures_that_nobody_measured_is_none():
    empty = [{"metrics": [metric("MAE", None, "cm")]}] * 2
    assert mean_metrics(empty) == [metric("MAE", None, "cm"), metric("samples", 2, "1")]


# a run


@pytest.fixture(scope="module", autouse=True)
def small_tiles():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.sheets.EXAMPLE_PX", 64)
        patch.setattr("training.sheets.WORST_PX", 48)
        yield


@pytest.fixture(scope="module")
def summary(run) -> dict:
    return evaluate_run(run, device="cpu")


def test_run_is_scored_beside_the_trivial_predictors(run, summary):
    names = [result["predictor"] for result in summary["results"]]
    assert names == ["depth-net", "depth-net, base shape", FLAT, MEAN_SHAPE, OFFSET]
    assert [result["kind"] for result in summary["results"]] == ["model"] * 2 + ["trivial"] * 3
    scores = {result["predictor"]: result["metrics"][:8] for result in summary["results"]}
    for one, other in zip(scores[FLAT], scores[OFFSET], strict=True):
        assert one["value"] == pytest.approx(other["value"])
    assert summary["headline"]["name"] == "MAE, median" and summary["headline"]["unit"] == "cm"
    assert summary["dataset"] == {"name": "domes", "fingerprint": "f00d", "split": "test", "samples": 6}
    assert summary["protocol"]["mask"] == "mask eroded by 1 px" and summary["checkpoint"]["step"] == 7
    assert summary["subjects_seen_in_training"] == []
    row = to_json(suite_table(run.parents[1]))["rows"][0]
    assert row["value"] == summary["headline"] and row["best trivial"] == MEAN_SHAPE


def test_every_file_of_an_evaluation_stands_and_a_second_one_writes_the_same_bytes(run, summary):
    folder = run / "evaluation"
    contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}
    assert sorted(contents) == [
        "cdf.png", "figures/examples.png", "metrics.json", "samples.jsonl", "table.json", "table.md", "table.tex",
        "worst.png",
    ]  # fmt: skip
    assert json.loads(contents["metrics.json"]) == summary
    assert len(contents["samples.jsonl"].splitlines()) == 6 * 5
    table = contents["table.md"].decode()
    assert "mask eroded by 1 px" in table and "Ours (Final Shape)" in table and "not comparable" in table
    for name in ("cdf.png", "worst.png", "figures/examples.png"):
        assert cv2.imread(str(folder / name)).std() > 5
    evaluate_run(run, device="cpu")
    assert {name: (folder / name).read_bytes() for name in contents} == contents


def test_scoring_on_the_training_split_says_who_was_known(run, monkeypatch):
    monkeypatch.setattr("training.evaluate.write_figures", lambda *_, **__: None)
    assert evaluate_run(run, split="train", device="cpu")["subjects_seen_in_training"] == ["ann"]


def test_note_says_how_far_a_score_can_stand_beside_the_papers():
    ours = {"name": "domes", "captures": CAPTURES}
    theirs = {
        "captures": {
            "a": {"split": "test", "format": "tang2019"},
            "b": {"split": "train", "format": "tang2019"},
        }
    }
    assert comparability([(theirs, "train")], theirs, "test").startswith(
        "trained on the paper's own test subjects"
    )
    assert "not on the paper's test set: not comparable" in comparability([(ours, "train")], ours, "test")
    assert "roughly comparable" in comparability([(ours, "train")], theirs, "test")


def test_run_without_checkpoint_or_record_is_named(run, tmp_path):
    with pytest.raises(InputError, match=r"must be a checkpoint's folder or a run's, holds no state\.json"):
        evaluate_run(tmp_path, device="cpu")
    (tmp_path / "best").symlink_to((run / "best").resolve())
    with pytest.raises(BodytruthError, match=r"run\.json: must be a RUN\.json, is not there"):
        evaluate_run(tmp_path, device="cpu")


def test_model_without_depth_is_named(run):
    from dataclasses import replace

    trained = load_trained(run, device="cpu")
    mute = Trained(
        folder=trained.folder,
        recipe=replace(trained.recipe, predict_depth=None),
        module=trained.module,
        state=trained.state,
        device="cpu",
    )
    with pytest.raises(InputError, match="model must give depth, depth-net gives none"):
        depth_predictor(mute)


def test_predictor_gives_what_the_network_gives(run, dataset):
    sample = a_sample("bob-1", 1)
    trained = load_trained(run / "best", device="cpu")
    found = depth_predictor(trained)(sample)
    batch = {name: torch.as_tensor(sample[name])[None] for name in ("image", "mask")}
    outputs = trained.module(trained.recipe.inputs(batch))
    np.testing.assert_array_equal(found["depth-net"], outputs.composed_m[0].detach().numpy())
    np.testing.assert_array_equal(found["depth-net, base shape"], outputs.base_m[0].detach().numpy())
    assert not trained.module.training


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none_is_named(run):
    with pytest.raises(InputError, match="PyTorch sees no CUDA device"):
        load_trained(run, device="cuda")


# what is drawn


def test_worst_samples_are_those_of_the_largest_errors_and_examples_are_spread_evenly():
    errors = np.random.default_rng(0).permutation(50) / 10
    picked = Picked(50)
    for index, error in enumerate(errors):
        known = None if error == 4.9 else float(error)
        picked.add(
            index, Scored(sample={"index": index}, mask=np.zeros(0, bool), predictions={}, error=known)
        )
    worst = [scored.error for scored in picked.worst]
    assert worst == pytest.approx(np.sort(errors)[::-1][1 : WORST + 1])
    assert [scored.sample["index"] for scored in picked.examples] == [0, 10, 20, 29, 39, 49]


def test_runs_scored_together_are_compared_and_join_the_table_of_all_models(run, tmp_path):
    runs = [tmp_path / "depth-net" / name for name in ("aa", "bb")]
    for one in runs:
        shutil.copytree(run, one)
    score_runs(runs, dataset=None, split="test", device="cpu")
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert names == [f"{table}.{kind}" for table in ("comparison", "suite") for kind in ("json", "md", "tex")]
    first, second = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert (first["run"], second["run"]) == ("depth-net/aa", "depth-net/bb")
    assert second["difference (cm)"]["value"] == 0  # the same weights
    suite = json.loads((tmp_path / "suite.json").read_text())["rows"]
    scored = json.loads((runs[0] / "evaluation/metrics.json").read_text())["headline"]
    assert [row["run"] for row in suite] == ["aa", "bb"] and suite[0]["value"] == scored
