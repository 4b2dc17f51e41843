"""Landmarks and charts by a network that has learned nothing: it sees nobody, and that is what is said."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from pipeline.checksums import describe_file
from pipeline.errors import InputError, ManifestError
from pipeline.manifest import load_manifest
from tasks.correspond import Correspond
from tasks.fit import Fit
from tasks.picture_network import PictureNetwork, joints_sample
from training.landmark_joints import LANDMARK27

SIZE_HW = (96, 128)
K = [[110.0, 0, 63.5], [0, 110.0, 47.5], [0, 0, 1]]
TABLE = """
[dataset]
name = "pictures"
seed = 1
image_size_px = 64
data_root = "raw"
output = "out"

[[capture]]
id = "wall"
format = "rgbd-folder"
path = "wall"
role = "moving"
targets = ["body", "surface"]
landmarks = "network"
dense = "network"
split = "train"
[capture.files]
color = "color/{frame}.png"
depth = "depth/{frame}.png"
calibration = "K.json"

[[capture]]
id = "grey"
format = "rgbd-folder"
path = "wall"
role = "moving"
targets = ["body"]
landmarks = "network"
split = "train"
[capture.files]
depth = "depth/{frame}.png"
calibration = "K.json"

[stages.fit]
checkpoint = "runs/untaught"
"""


def write_checkpoint(folder, seed):
    """A narrow network as it is drawn, in the form of a checkpoint."""
    import safetensors.torch

    from training.checkpoint import MODEL, STATE, write_json
    from training.networks.landmark_net import build_landmark_net
    from training.recipes import RECIPES

    torch.manual_seed(seed)
    options = {**RECIPES["landmark-net"].defaults, "depth": 18, "width": 0.125, "size_px": 64}
    model = build_landmark_net(options)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    (folder / MODEL).write_bytes(safetensors.torch.save(weights))
    described = describe_file(folder / MODEL)
    state = {"schema": 1, "model": {"name": "landmark-net", "options": options}, "step": 0}
    write_json(
        folder / STATE, {**state, "files": {MODEL: {key: described[key] for key in ("bytes", "sha256")}}}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    raw = folder / "raw" / "wall"
    for name in ("color", "depth"):
        (raw / name).mkdir(parents=True)
    (raw / "K.json").write_text(json.dumps({"width": SIZE_HW[1], "height": SIZE_HW[0], "K": K}))
    ramp_mm = np.add.outer(np.arange(SIZE_HW[0]), 1500 + 3 * np.arange(SIZE_HW[1])).astype(np.uint16)
    for frame in range(2):
        cv2.imwrite(str(raw / f"color/{frame:03d}.png"), np.full((*SIZE_HW, 3), 90 + frame, np.uint8))
        cv2.imwrite(str(raw / f"depth/{frame:03d}.png"), ramp_mm + frame)
    (folder / "m.toml").write_text(TABLE)
    write_checkpoint(folder / "out" / "runs" / "untaught", seed=1)
    return folder


def test_no_skeleton_is_seen_on_a_wall_and_the_rows_say_so(forge, folder):
    ended = forge.run("build", folder / "m.toml")
    assert ended.code == 3 and "0 tasks failed" in ended.out, ended.out + ended.err
    (listed,) = (folder / "out" / "pictures" / "current").glob("quarantine.csv")
    rows = [line.split(",") for line in listed.read_text().splitlines()[1:]]
    found = {(capture, stage, reason) for capture, _, stage, reason, *_ in rows}
    assert ("wall", "fit", "nobody-seen") in found and ("grey", "fit", "no-colour") in found


def test_weights_are_part_of_the_fingerprint_of_what_they_find(folder, own_places):
    from tasks.context import forget

    def fingerprints():
        forget()
        told = {"manifest": str(folder / "m.toml"), "capture": "wall"}
        return Fit(**told).fingerprint(), Correspond(**told).fingerprint()

    before = fingerprints()
    write_checkpoint(folder / "out" / "runs" / "untaught", seed=2)
    after = fingerprints()
    write_checkpoint(folder / "out" / "runs" / "untaught", seed=1)
    assert not set(before) & set(after) and fingerprints() == before


def test_the_network_is_shown_the_measured_persons_box(monkeypatch):
    shown = {}

    def predict(model, image, *, box):
        shown["box"] = box
        return SimpleNamespace(people=0, presence=0.1)

    monkeypatch.setattr("training.landmark_predictor.predict_person", predict)
    network = PictureNetwork.__new__(PictureNetwork)
    network._model = None
    depth_m = np.zeros((64, 64), np.float32)
    depth_m[10:20, 30:34] = 2.0
    row = {"frame": 7, "image": np.zeros((64, 64, 3), np.uint8), "depth_raw_m": depth_m}
    with pytest.raises(InputError, match="frame 7: the network must see a person, is 10% sure"):
        network.person(row)
    assert shown["box"] == (30, 10, 34, 20)  # edges of pixels


def test_joints_that_are_out_of_sight_have_no_place():
    px = np.arange(54, dtype=np.float64).reshape(27, 2) + 1
    confidence = np.where(np.array(LANDMARK27.names) == "nose", 0.0, 0.75)
    sample = joints_sample(SimpleNamespace(joints_px=px, confidence=confidence))
    assert sample["joints_coco17_px"].dtype == np.float32 and not sample["joints_coco17_px"][0].any()
    assert not sample["joints_coco17_visible"][0] and sample["joints_coco17_visible"][1:].all()
    left_wrist = LANDMARK27.names.index("left_wrist")
    np.testing.assert_array_equal(sample["joints_coco17_px"][9], px[left_wrist])


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('dense = "network"', 'dense = "network" goes with targets "surface"'),
        ('landmarks = "network"', "name targets too"),
        (
            'landmarks = "network"\ntargets = ["body"]\nlandmark_files = { kind = "openpose", file = "{frame}.json" }',
            "remove .capture.landmark_files",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused(tmp_path, keys, said):
    table = TABLE[: TABLE.index("[[capture]]")] + TABLE[TABLE.rindex("[[capture]]") :]
    table = table.replace('targets = ["body"]\nlandmarks = "network"', keys)
    (tmp_path / "m.toml").write_text(table)
    with pytest.raises(ManifestError, match=said):
        load_manifest(tmp_path / "m.toml")
