"""Tables that stand for many captures, and what each format and role must have."""

from pathlib import Path

import pytest

from pipeline.capture_names import names_between
from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest

ROOT = Path(__file__).parents[2]
DRAWN = '[[capture]]\nformat = "simulated"\nsplit = "train"\ncount = 4\n'
SCAN = '[[capture]]\nid = "a"\nformat = "scan"\npath = "a.ply"\nrole = "scan"\ncount = 4\nsplit = "train"\n'
UNIT = "scan = { unit_m = 0.001 }\n"


def load(tmp_path: Path, text: str):
    path = tmp_path / "m.toml"
    path.write_text('[dataset]\nname = "d"\n' + text)
    return load_manifest(path)


@pytest.fixture(autouse=True)
def no_places(monkeypatch):
    monkeypatch.delenv("BODYTRUTH_DATA_ROOT", raising=False)


def test_ranges_count_with_their_zeros_and_hold_both_ends():
    assert names_between("p08..p11") == ("p08", "p09", "p10", "p11")
    assert names_between("s9..s10") == ("s9", "s10")
    assert names_between("7..7") == ("7",)
    assert names_between("anna.2") == ("anna.2",)


@pytest.mark.parametrize("text", ["p3..p1", "a1..b2", "p..q", "..", "p1..", "p1..p3..p5"])
def test_a_range_that_does_not_count_up_is_refused(text):
    with pytest.raises(ValueError, match="must be like"):
        names_between(text)


def test_lists_stand_for_all_their_combinations(tmp_path):
    text = DRAWN + (
        'id = "{subject}-{pose}-{outfit}"\nsubject = ["ann", "p1..p2"]\npose = ["waving", "walking"]\noutfit = "coat"\n'
    )
    captures = load(tmp_path, text).captures
    assert list(captures) == [
        f"{who}-{pose}-coat" for who in ("ann", "p1", "p2") for pose in ("walking", "waving")
    ]
    one = captures["p2-waving-coat"]
    assert (one.subject, one.pose, one.outfit, one.count) == ("p2", "waving", "coat", 4)


def test_the_grid_of_tang_is_a_short_manifest():
    path = ROOT / "manifests" / "tang-grid.toml"
    captures = load_manifest(path).captures.values()
    train = {capture.subject for capture in captures if capture.split == "train"}
    test = {capture.subject for capture in captures if capture.split == "test"}
    assert (len(train), len(test), len(train & test)) == (26, 5, 0)
    assert (
        len({capture.pose for capture in captures}) == 12
        and len({capture.outfit for capture in captures}) == 3
    )
    assert len(captures) == 31 * 12 * 3
    assert len(path.read_text().splitlines()) < 50


def test_the_scans_for_pretraining_are_of_at_least_forty_people():
    captures = load_manifest(ROOT / "manifests" / "pretrain-scans.toml").captures.values()
    assert len({capture.subject for capture in captures}) >= 40
    assert all(capture.is_drawn_scan for capture in captures)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (DRAWN + 'id = "a"\nsubject = "p1..p3"\n', ["capture.0", "id must hold {subject}", "3 names", "'a'"]),
        (DRAWN + 'id = "{pose}"\n', ["placeholder for pose, which is not given"]),
        (DRAWN + 'id = "{id}"\n', ["placeholder for id, which is not given"]),
        (DRAWN + 'id = "{pose}"\npose = ["waving", "wavin"]\n', ["is 'wavin'", "Did you mean 'waving'?"]),
        (DRAWN + 'id = "{subject}"\nsubject = []\n', ["subject", "at least 1 item"]),
        (DRAWN + 'id = "{subject}"\nsubject = "p9..p1"\n', ["subject", "must be like", "'p9..p1'"]),
        (DRAWN + 'id = "{subject}"\nsubject = ["a", "a"]\n', ["capture.id must be unique", "'a' stands twice"]),
        (
            DRAWN + 'id = "{outfit}"\noutfit = ["grey coat", "hat"]\n',
            ["capture.id must hold letters", "'grey coat'"],
        ),
        (DRAWN.replace("4", "1") + 'id = "a"\n', ["count must be at least 2 frames", "is 1"]),
        (SCAN, ["[capture.scan] must be given with format scan"]),
        (SCAN + "scan = { unit_m = 1, upp = 'y' }\n", ["scan.upp", "Did you mean 'up'?"]),
        (SCAN + "scan = { unit_m = 0 }\n", ["scan.unit_m", "greater than 0"]),
        (SCAN + 'scan = { unit_m = 1, up = "w" }\n', ["scan.up", "'w'"]),
        (SCAN.replace("count = 4\n", "") + UNIT, ["count goes with format simulated or scan"]),
        (SCAN.replace('role = "scan"', 'role = "fused"') + UNIT, ['role "scan" alone', '"fused"']),
        (SCAN + UNIT + 'frames = "0:3"\n', ["frames", 'role "scan" has none']),
        (DRAWN + 'id = "a"\nrole = "scan"\nforeground = "given"\n', ["foreground", 'role "scan" has none']),
        (
            SCAN.replace('"scan"', '"7scenes"', 1).replace("count = 4\n", ""),
            ['role "scan" goes with format scan or simulated', '"7scenes"'],
        ),
        (
            SCAN.replace('format = "scan"', 'format = "7scenes"').replace("count = 4\n", "").replace(
                'role = "scan"', 'subject = ["a", "b"]'
            ),
            ["subject may list several names with format simulated alone, lists 2"],
        ),
    ],
)  # fmt: skip
def test_each_mistake_is_one_sentence(tmp_path, text, words):
    with pytest.raises(ManifestError) as error:
        load(tmp_path, text)
    assert len(str(error.value).splitlines()) == 1
    for word in words:
        assert word in str(error.value)


def test_placeholders_of_a_scan_match_files_and_not_folders(tmp_path):
    (tmp_path / "data" / "bodies" / "c.ply").mkdir(parents=True)
    for name in ("ann", "bob"):
        (tmp_path / "data" / "bodies" / f"{name}.ply").write_text("")
    text = SCAN.replace('"a"', '"{subject}"').replace("a.ply", "bodies/{subject}.ply") + UNIT
    manifest = load(tmp_path, text)
    assert list(manifest.captures) == ["ann", "bob"]
    assert manifest.capture_folder("bob") == tmp_path / "data" / "bodies" / "bob.ply"
