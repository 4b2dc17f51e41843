from pathlib import Path

import pytest

from pipeline.capture_tables import frames_slice
from pipeline.errors import InputError, ManifestError
from pipeline.manifest import load_manifest, select_frames

ROOT = Path(__file__).parents[2]
DATASET = '[dataset]\nname = "d"\n'
CAPTURE = '[[capture]]\nid = "c1"\nformat = "7scenes"\npath = "room"\nsplit = "train"\n'


def load(tmp_path, text):
    path = tmp_path / "m.toml"
    path.write_text(text)
    return load_manifest(path)


@pytest.fixture(autouse=True)
def no_places(monkeypatch):
    monkeypatch.delenv("BODYTRUTH_DATA_ROOT", raising=False)
    monkeypatch.delenv("BODYTRUTH_OUT", raising=False)


DATASETS = [
    path for path in sorted((ROOT / "manifests").glob("*.toml")) if not path.name.startswith("train-")
]


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: path.name)
def test_every_shipped_manifest_is_valid(path):
    assert load_manifest(path).captures


def test_defaults_are_the_papers(tmp_path):
    manifest = load(tmp_path, DATASET + CAPTURE)
    layers = manifest.stages.layers
    assert (layers.sigma_space_px, layers.sigma_depth_m, layers.window_px) == (75.0, 0.10, "full")
    assert manifest.captures["c1"].subject == "c1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            DATASET + CAPTURE + "[stages.layers]\nsigma_depth = 0.1\n",
            ["sigma_depth", "Did you mean 'sigma_depth_m'"],
        ),
        (DATASET.replace("name", "nam") + CAPTURE, ["dataset.name", "must be given", "'name'"]),
        (DATASET + CAPTURE + "subjekt = 'x'\n", ["subjekt", "Did you mean 'subject'"]),
        (DATASET + CAPTURE.replace("7scenes", "kinect9"), ["capture.0.format", "kinect9", "7scenes"]),
        (
            DATASET + CAPTURE + "[stages.layers]\nsigma_depth_m = -1.0\n",
            ["sigma_depth_m", "greater than 0", "-1.0"],
        ),
        (DATASET + CAPTURE + "[stages.layers]\nwindow_px = 8\n", ["window_px", "must be odd", "8"]),
        (DATASET + CAPTURE + 'frames = "0-5"\n', ["frames must be a list or a slice", "0-5"]),
        (DATASET + CAPTURE + "count = 5\n", ["count goes with format simulated"]),
        (DATASET + CAPTURE + CAPTURE, ["capture.id must be unique", "c1"]),
        (DATASET, ["capture", "must be given"]),
        ("[dataset\n", ["must be readable TOML", "line 1"]),
    ],
)
def test_each_mistake_is_one_sentence_with_file_key_and_finding(tmp_path, text, words):
    with pytest.raises(ManifestError) as error:
        load(tmp_path, text)
    assert "m.toml" in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_all_mistakes_are_told_at_once(tmp_path):
    with pytest.raises(ManifestError) as error:
        load(tmp_path, DATASET + CAPTURE + "splitt = 'x'\n[stages.fuse]\nvoxel_m = 0\n")
    assert len(str(error.value).splitlines()) == 2


def test_one_subject_in_two_splits_names_both_captures(tmp_path):
    second = CAPTURE.replace("c1", "c2").replace("train", "test")
    shared = 'subject = "ann"\n'
    with pytest.raises(ManifestError, match="'ann' is in 'train' .capture c1. and 'test' .capture c2."):
        load(tmp_path, DATASET + CAPTURE + shared + second + shared)


def test_pattern_names_captures_by_their_folders(tmp_path):
    for name in ("ann-hoodie", "bob-coat"):
        (tmp_path / "data" / "takes" / name).mkdir(parents=True)
    text = CAPTURE.replace('"room"', '"takes/{subject}-{outfit}"').replace('"c1"', '"{subject}-{outfit}"')
    captures = load(tmp_path, DATASET + text).captures
    assert list(captures) == ["ann-hoodie", "bob-coat"]
    assert (captures["bob-coat"].subject, captures["bob-coat"].outfit) == ("bob", "coat")
    assert captures["ann-hoodie"].path == "takes/ann-hoodie"


def test_pattern_without_a_match_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="matches none"):
        load(
            tmp_path, DATASET + CAPTURE.replace('"room"', '"takes/{subject}"').replace('"c1"', '"{subject}"')
        )


def test_places_come_from_the_manifest_unless_told(tmp_path, monkeypatch):
    text = DATASET + 'data_root = "raw"\noutput = "made"\n' + CAPTURE
    manifest = load(tmp_path, text)
    assert manifest.capture_folder("c1") == tmp_path / "raw" / "room"
    assert manifest.folder == tmp_path / "made" / "d"
    monkeypatch.setenv("BODYTRUTH_DATA_ROOT", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("BODYTRUTH_OUT", str(tmp_path / "o"))
    manifest = load(tmp_path, text)
    assert manifest.capture_folder("c1") == tmp_path / "elsewhere" / "room"
    assert manifest.folder == tmp_path / "o" / "d"


def test_what_cannot_change_an_answer_stays_out_of_the_fingerprint(tmp_path):
    small = load(tmp_path, DATASET + CAPTURE + "[stages.fuse]\nmemory_limit_gb = 1.0\n").stages.of("fuse")
    assert small == load(tmp_path, DATASET + CAPTURE).stages.of("fuse")


def test_frames_are_chosen_by_position_or_by_number():
    frames = [15, 17, 19, 21, 23]
    assert select_frames(frames, None) == frames
    assert select_frames(frames, "1:4:2") == [17, 21]
    assert select_frames(frames, (23, 15, 99)) == [15, 23, 99]
    assert frames_slice(":") == slice(None, None)
