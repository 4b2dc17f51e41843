"""RUN.json: what is wrong is said with file, key and finding; what cannot change an answer names no other run."""

import copy
import json
from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from training.run import load_run


@pytest.fixture
def content(tiny, tmp_path):
    second = tiny.phase(name="two", epochs=2, schedule={"name": "step", "at": [1], "factor": 0.1})
    init = {"checkpoint": "elsewhere/best", "sha256": "ab"}
    return tiny.content(tmp_path / "data", tmp_path / "out", phases=[tiny.phase(init=init), second])


def changed(content, place, value):
    """A copy with the value at a dotted place; None removes it."""
    content = copy.deepcopy(content)
    *parents, key = [int(part) if part.isdigit() else part for part in place.split(".")]
    table = content
    for part in parents:
        table = table[part]
    if value is None:
        del table[key]
    else:
        table[key] = value
    return content


def load(tmp_path, content):
    path = tmp_path / "RUN.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return load_run(path)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("batch_sise", 4, ["batch_sise: unknown key", "Did you mean 'batch_size'"]),
        ("zzz", 4, ["zzz: unknown key", "Known keys: accept_fingerprints"]),
        ("seed", None, ["seed: must be given, is missing"]),
        ("schema", 2, ["schema: must be 1", "is 2"]),
        ("batch_size", 0, ["batch_size: must be a whole number of at least 1, is 0"]),
        ("batch_size", True, ["batch_size", "is True"]),
        ("workers", 1.5, ["workers", "is 1.5"]),
        ("device", "gpu", ["device: must be one of auto, cpu, cuda, is 'gpu'"]),
        ("amp", "yes", ["amp: must be true or false"]),
        ("phases", [], ["phases: must be a list of one or more tables"]),
        ("model", "depth-net", ["model: must be a table"]),
        ("model.nam", "x", ["model.nam: unknown key", "'name'"]),
        ("data.datasets.0", 3, ["data.datasets.0: must be a table, is 3"]),
        ("data.datasets.0.weight", 0, ["data.datasets.0.weight: must be a number above 0"]),
        ("phases.0.losses", {}, ["phases.0.losses: must be one or more losses"]),
        ("phases.0.losses", {"base": -1}, ["phases.0.losses", "weight above 0"]),
        ("phases.0.losses", {"base": float("nan")}, ["phases.0.losses"]),
        ("phases.0.epochs", 3, ["phases.0.epochs: must be given, or steps, and not both"]),
        ("phases.0.steps", None, ["phases.0.epochs: must be given, or steps"]),
        ("phases.0.train", "trunk", ["phases.0.train", '"all" or a list of parts']),
        ("phases.0.clip_norm", 0, ["phases.0.clip_norm", "above 0, or null"]),
        (
            "phases.0.optimizer.name",
            "sgd",
            ["phases.0.optimizer.name: must be one of rmsprop, adam, is 'sgd'"],
        ),
        ("phases.0.optimizer.momentum", 0.9, ["phases.0.optimizer.momentum: unknown key"]),
        ("phases.0.optimizer.lr", 0, ["phases.0.optimizer.lr"]),
        ("phases.0.optimizer.beta1", 1, ["phases.0.optimizer.beta1", "below 1"]),
        ("phases.1.schedule.factor", None, ["phases.1.schedule.factor: must be given"]),
        ("phases.1.schedule.at", [0], ["phases.1.schedule.at: must be a list of positive numbers"]),
        ("phases.0.init.sha256", None, ["phases.0.init.sha256: must be given"]),
    ],
)
def test_each_mistake_is_one_sentence_with_file_key_and_finding(tmp_path, content, place, value, words):
    with pytest.raises(ManifestError) as error:
        load(tmp_path, changed(content, place, value))
    message = str(error.value)
    assert message.startswith(str(tmp_path / "RUN.json")) and "\n" not in message
    for word in words:
        assert word in message


def test_a_file_that_is_no_run_is_said_so(tmp_path):
    with pytest.raises(ManifestError, match="must be a RUN.json, is not there"):
        load_run(tmp_path / "none.json")
    with pytest.raises(ManifestError, match="must be readable JSON"):
        load(tmp_path, "{")
    with pytest.raises(ManifestError, match="the whole: must be a table"):
        load(tmp_path, "[]")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("out", "other"),
        ("device", "auto"),
        ("workers", 7),
        ("log_every", 99),
        ("keep_last", 9),
        ("accept_fingerprints", ["x"]),
        ("data.datasets.0.path", "moved"),
        ("phases.0.init.checkpoint", "moved"),
        ("phases.0.clip_norm", None),
    ],
)
def test_what_cannot_change_an_answer_is_the_same_run(tmp_path, content, place, value):
    content["phases"][0]["clip_norm"] = None  # absent and null are one
    assert load(tmp_path, changed(content, place, value)).folder.name == load(tmp_path, content).folder.name


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("model.options", {"width": 0.5}),
        ("seed", 6),
        ("batch_size", 3),
        ("amp", True),
        ("validate_every", 7),
        ("data.datasets.0.fingerprint", "feed"),
        ("data.datasets.0.weight", 2.0),
        ("data.val_split", "test"),
        ("data.subset", {"subjects": ["ann"]}),
        ("phases.0.losses", {"base": 2.0}),
        ("phases.0.steps", 5),
        ("phases.0.clip_norm", 1.0),
        ("phases.0.init.sha256", "cd"),
        ("phases.1.optimizer", {"name": "rmsprop", "lr": 0.01}),
        ("phases.1.schedule.factor", 0.5),
    ],
)
def test_what_can_change_an_answer_is_another_run(tmp_path, content, place, value):
    assert load(tmp_path, changed(content, place, value)).folder != load(tmp_path, content).folder


def test_relative_places_start_at_the_file(tmp_path, content):
    content = changed(changed(content, "out", "results"), "data.datasets.0.path", "../data/demo")
    (tmp_path / "jobs").mkdir()
    run = load(tmp_path / "jobs", content)
    assert run.folder.parent == tmp_path / "jobs" / "results" / "runs" / "tiny"
    assert run.datasets[0].path == tmp_path / "data" / "demo"
    assert run.phases[0].init.checkpoint == tmp_path / "jobs" / "elsewhere" / "best"


def test_a_runs_own_record_is_the_same_run_wherever_it_lies(tmp_path, content):
    content = changed(content, "out", "results")
    run = load(tmp_path, content)
    (tmp_path / "deep" / "down").mkdir(parents=True)
    again = load(tmp_path / "deep" / "down", dict(run.content))
    assert again.folder == run.folder and again.phases == run.phases
    assert isinstance(again.folder, Path) and again.phases[1].schedule["factor"] == 0.1
