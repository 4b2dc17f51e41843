"""The training manifest: what is wrong is said with file, key and finding; what is right becomes a RUN.json."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from pipeline import run_manifest
from pipeline.errors import InputError, ManifestError
from pipeline.run_manifest import (
    AdamTable,
    AugmentationTable,
    CosineTable,
    DataTable,
    ModelTable,
    PhaseTable,
    RmspropTable,
    StepTable,
    SubsetTable,
    TrainingTable,
    load_run_manifest,
)
from training.run import load_run

ROOT = Path(__file__).parents[2]
MODEL = '[model]\nname = "depth-net"\n'
DATA = '[data]\ndataset = "demo"\n'
PHASE = """[[phase]]
name = "one"
losses = { base = 1.0 }
optimizer = { name = "adam", lr = 0.001 }
steps = 5
"""


def resolve(manifest, out):
    """Of the manifest that it names to start from, a run with weights stands beside the output root."""
    return run_manifest.resolve(manifest, out, run_of=lambda path: weights(out / path.stem).parents[1])


def weights(run):
    checkpoint = run / "checkpoints" / "step-0000005"
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    for name in ("best", "last"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to("checkpoints/step-0000005")
    return checkpoint


def load(tmp_path, text):
    path = tmp_path / "train.toml"
    path.write_text(text)
    return load_run_manifest(path)


def index(folder, fingerprint="0123456789abcdef"):
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps({"schema": "1.0", "fingerprint": fingerprint}))
    return folder


def as_run(tmp_path, content):
    path = tmp_path / "RUN.json"
    path.write_text(json.dumps(content))
    return load_run(path)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "manifests").glob("train-*.toml")), ids=lambda path: path.name
)
def test_every_shipped_manifest_becomes_a_run_that_training_accepts(path, tmp_path):
    manifest = load_run_manifest(path)
    index(tmp_path / "out" / manifest.content.data.dataset)
    run = as_run(tmp_path, resolve(manifest, tmp_path / "out"))
    assert run.folder.parent == tmp_path / "out" / "runs" / manifest.content.model.name


def test_full_size_depth_net_is_the_papers():
    content = load_run_manifest(ROOT / "manifests" / "train-depth-net.toml").content
    assert (content.training.batch_size, content.model.options) == (1, {})
    first, second = content.phase
    for phase in (first, second):
        assert (phase.optimizer.name, phase.optimizer.lr, phase.schedule.name) == (
            "rmsprop",
            1e-5,
            "constant",
        )
    assert (first.losses, first.epochs) == ({"base": 1.0, "detail": 1.0}, 12)
    assert (second.losses, second.epochs) == ({"base": 1.0, "detail": 1.0, "composed": 15.0}, 8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MODEL + DATA + PHASE + "stepps = 3\n", ["phase.0.stepps: unknown key", "Did you mean 'steps'"]),
        (MODEL + DATA + PHASE.replace(", lr = 0.001", ""), ["phase.0.optimizer.lr", "must be given"]),
        (MODEL + DATA + PHASE.replace("lr =", "lr = 1, bta1 ="), ["phase.0.optimizer.bta1", "Did you mean 'beta1'"]),
        (
            MODEL + DATA + PHASE.replace("lr =", "momentum = 0.9, lr ="),
            ["phase.0.optimizer.momentum: unknown key. Known keys: beta1, beta2, eps, lr, name, weight_decay"],
        ),
        (
            MODEL + DATA + PHASE.replace('"adam"', '"rmsprop"').replace("lr =", "alfa = 0.9, lr ="),
            ["phase.0.optimizer.alfa", "Did you mean 'alpha'"],
        ),
        (MODEL + DATA + PHASE.replace("adam", "sgd"), ["phase.0.optimizer", "'sgd'", "'rmsprop', 'adam'"]),
        (MODEL + DATA + PHASE.replace("0.001", "-1"), ["phase.0.optimizer.lr", "greater than 0", "-1"]),
        (MODEL + DATA + PHASE + "epochs = 2\n", ["phase.0", "epochs must be given, or steps, and not both"]),
        (MODEL + DATA + PHASE.replace("steps = 5\n", ""), ["epochs must be given, or steps"]),
        (MODEL + DATA + PHASE + PHASE, ["phase", "names must be unique, 'one' stands twice"]),
        (MODEL + DATA + PHASE.replace("base = 1.0", ""), ["phase.0.losses", "at least 1"]),
        (MODEL + DATA + PHASE + "schedule = { name = 'step', at = [2] }", ["phase.0.schedule.factor", "must be given"]),
        (MODEL + DATA + PHASE + "train = []\n", ["phase.0.train"]),
        (MODEL + "[data]\n" + PHASE, ["data", "dataset must be given, or mix, and not both"]),
        (MODEL + DATA + "subset = { subject = ['a'] }\n" + PHASE, ["data.subset.subject", "Did you mean 'subjects'"]),
        (
            MODEL + DATA + "subset = { quality = { depth_m = [0.0, 1.0] } }\n" + PHASE,
            ["data.subset.quality", "depth_m must be a field of the shards that is one number a sample"],
        ),
        (
            MODEL + DATA + "subset = { quality = { fused_coverage = [1.0, 0.5] } }\n" + PHASE,
            ["fused_coverage must go from low to high, goes from 1.0 to 0.5"],
        ),
        (MODEL + DATA + "[training]\nbatchsize = 4\n" + PHASE, ["training.batchsize", "Did you mean 'batch_size'"]),
        (MODEL + DATA + "[training]\nworkers = -1\n" + PHASE, ["training.workers", "-1"]),
        (MODEL + DATA, ["phase: must be given"]),
        (MODEL + DATA + "augmentation = { flop = 1 }\n" + PHASE, ["data.augmentation.flop", "'flip'"]),
        (MODEL + DATA + "augmentation = { gain = [2, 1] }\n" + PHASE, ["data.augmentation.gain", "lowest"]),
    ],
)  # fmt: skip
def test_each_mistake_is_one_sentence_with_file_key_and_finding(tmp_path, text, words):
    with pytest.raises(ManifestError) as error:
        load(tmp_path, text)
    message = str(error.value)
    assert message.startswith(str(tmp_path / "train.toml")) and len(message.splitlines()) == 1, message
    for word in words:
        assert word in message


def test_a_run_has_the_fingerprint_of_the_dataset_that_is_there(tmp_path):
    manifest = load(tmp_path, MODEL + DATA + PHASE)
    with pytest.raises(InputError, match="demo: must be a dataset's index"):
        resolve(manifest, tmp_path / "out")
    demo = index(tmp_path / "out" / "demo", "feed")
    content = resolve(manifest, tmp_path / "out")
    assert content["data"]["datasets"] == [{"path": str(demo), "fingerprint": "feed", "weight": 1.0}]
    before = as_run(tmp_path, content).folder
    (demo / "dataset.json").write_text(json.dumps({"schema": "1.0", "fingerprint": "beef"}))
    assert as_run(tmp_path, resolve(manifest, tmp_path / "out")).folder != before


def test_datasets_are_names_or_paths_from_the_manifest(tmp_path):
    near = index(tmp_path / "near", "a")
    far = index(tmp_path / "out" / "far", "b")
    text = MODEL + '[data]\nmix = [{ dataset = "far", weight = 2.0 }, { dataset = "./near", weight = 1.0 }]\n'
    content = resolve(load(tmp_path, text + PHASE), tmp_path / "out")
    assert content["data"]["datasets"] == [
        {"path": str(far), "fingerprint": "b", "weight": 2.0},
        {"path": str(near), "fingerprint": "a", "weight": 1.0},
    ]
    file = MODEL + '[data]\ndataset = "near/dataset.json"\n' + PHASE
    assert as_run(tmp_path, resolve(load(tmp_path, file), tmp_path / "out")).datasets[0].fingerprint == "a"


def test_weights_to_start_from_are_those_that_stand_there_now(tmp_path):
    index(tmp_path / "out" / "demo")
    text = MODEL + DATA + PHASE + 'init = { run = "runs/depth-net/ab" }\n'
    with pytest.raises(
        ManifestError, match="phase.init: .* must be a run with a checkpoint 'best', has none"
    ):
        resolve(load(tmp_path, text), tmp_path / "out")
    checkpoint = weights(tmp_path / "out" / "runs" / "depth-net" / "ab")
    (phase,) = resolve(load(tmp_path, text), tmp_path / "out")["phases"]
    sha256 = hashlib.sha256(b"weights").hexdigest()
    assert phase["init"] == {"checkpoint": str(checkpoint), "sha256": sha256}


def test_run_to_start_from_may_be_named_by_its_manifest(tmp_path):
    index(tmp_path / "out" / "demo")
    text = MODEL + DATA + PHASE + 'init = { manifest = "first.toml", checkpoint = "last" }\n'
    (phase,) = resolve(load(tmp_path, text), tmp_path / "out")["phases"]
    assert phase["init"]["checkpoint"] == str(tmp_path / "out" / "first" / "checkpoints" / "step-0000005")
    with pytest.raises(
        ManifestError, match=r"checkpoint 'last', has none. Run `bodytruth train .*first.toml` first"
    ):
        run_manifest.resolve(load(tmp_path, text), tmp_path / "out", run_of=lambda path: tmp_path / "none")
    with pytest.raises(ManifestError, match="run must be given, or manifest, and not both"):
        load(tmp_path, text.replace('checkpoint = "last"', 'run = "runs/depth-net/ab"'))


def test_every_default_stands_in_the_run(tmp_path):
    index(tmp_path / "out" / "demo")
    content = resolve(load(tmp_path, MODEL + DATA + PHASE), tmp_path / "out")
    (phase,) = content["phases"]
    assert phase["optimizer"] == {
        "name": "adam", "lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0,
    }  # fmt: skip
    assert phase["schedule"] == {"name": "constant"} and phase["train"] == "all" and phase["init"] is None
    assert content["batch_size"] == 1 and content["accept_fingerprints"] == []
    run = as_run(tmp_path, content)
    assert dict(run.content) == {**content, "model": {"name": "depth-net", "options": {}}}


def section(heading):
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    return page.partition(f"### {heading}\n")[2].partition("\n#")[0]


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("[model]", ModelTable),
        ("[data]", DataTable),
        ("[data.subset]", SubsetTable),
        ("[data.augmentation]", AugmentationTable),
        ("[training]", TrainingTable),
        ("[[phase]]", PhaseTable),
    ],
)
def test_the_page_lists_every_key(heading, model):
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", section(heading), flags=re.MULTILINE)
    assert set(re.findall(r"[a-z_]+", " ".join(rows))) == set(model.model_fields)


def test_the_page_names_every_setting_of_optimisers_and_schedules():
    for model in (RmspropTable, AdamTable, StepTable, CosineTable):
        for key in model.model_fields:
            assert f"`{key}`" in section("[[phase]]"), key


def test_the_pages_example_is_a_manifest(tmp_path):
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", page, flags=re.DOTALL)[1]
    manifest = load(tmp_path, example)
    index(tmp_path / "out" / "studio")
    run = as_run(tmp_path, resolve(manifest, tmp_path / "out"))
    quality = {"fused_residual_m": [0.0, 0.005]}
    assert run.subset == {"subjects": ["p01", "p02"], "captures": None, "quality": quality}
    assert run.augmentation is None
