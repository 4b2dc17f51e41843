"""The stage that lets a solver move the clothes: who goes through it, what it hands on, what it measures."""

import functools
from pathlib import Path

import numpy as np
import pytest

from pipeline.captures.truth import read_truth
from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from pipeline.sealing import read_record
from pipeline.simulation.casting import draw_take
from pipeline.simulation.draping import read_hung
from pipeline.simulation.dressing import dressed
from tasks import drape, simulate, stage_process
from tasks.checking import checked_captures
from tasks.context import forget
from tasks.drape import CLOTH_FILE, Drape
from tasks.executing import execute
from tasks.graph import capture_stages
from tasks.script import script_of
from tasks.simulate import Simulate

TABLE = """
[dataset]
name = "cloth"
seed = 3
data_root = "raw"
output = "out"

[[capture]]
id = "one"
format = "simulated"
role = "moving"
count = 2
split = "train"
[capture.simulation]
motion = "{motion}"
cloth = "{cloth}"
"""
TINY = "\n[stages.drape]\nquality = 1\nlead_s = 0.06\nsettle_s = 0.03\n"


@pytest.fixture
def table(tmp_path, own_places):
    def written(*, motion="walk", cloth="simulated", stages=TINY):
        path = tmp_path / "cloth.toml"
        path.write_text(TABLE.format(motion=motion, cloth=cloth) + stages)
        forget()
        return str(path)

    return written


def task(stage, manifest):
    return stage(manifest=manifest, capture="one")


def names(manifest):
    return [stage.NAME for stage in capture_stages(manifest, "one")]


def test_only_captures_that_ask_for_it_are_draped(table):
    assert names(table())[:2] == ["drape", "simulate"]
    assert names(table(cloth="folded"))[0] == "simulate"


def test_the_solvers_settings_touch_no_capture_with_drawn_folds(table):
    quick, folded = (task(Simulate, table(cloth=cloth)).fingerprint() for cloth in ("simulated", "folded"))
    finer = TINY.replace("quality = 1", "quality = 9")
    assert task(Simulate, table(stages=finer)).fingerprint() != quick
    assert task(Simulate, table(cloth="folded", stages=finer)).fingerprint() == folded


def test_another_distance_of_the_camera_drapes_nothing_again(table):
    before = task(Drape, table()).fingerprint()
    assert task(Drape, table(stages=TINY + "[stages.simulate]\nradius_m = 3.0\n")).fingerprint() == before


def test_another_content_of_a_motion_capture_is_another_capture(table, tmp_path):
    manifest = table(motion="a.bvh", cloth="folded")
    (tmp_path / "raw").mkdir()
    found = set()
    for text in (None, "HIERARCHY", "HIERARCHY "):
        if text is not None:
            (tmp_path / "raw" / "a.bvh").write_text(text)
        forget()
        found.add(task(Simulate, manifest).fingerprint())
    assert len(found) == 3


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "motion-missing"), ("HIERARCHY\nROOT Hips\n", "motion-malformed")]
)
def test_check_names_a_motion_capture_that_cannot_be_read(table, tmp_path, text, reason):
    manifest = table(motion="walks/a.bvh", cloth="folded")
    (tmp_path / "raw" / "walks").mkdir(parents=True)
    if text is not None:
        (tmp_path / "raw" / "walks" / "a.bvh").write_text(text)
    (checked,) = checked_captures(manifest)
    (found,) = checked.findings
    assert (checked.capture, found.frame, found.reason) == ("one", None, reason)
    assert "walks/a.bvh" in found.message and checked.exit_code == 3


def test_check_reads_a_whole_motion_capture(table, tmp_path):
    joints = "Hips LeftUpLeg LeftLeg LeftFoot"  # no head, no arms
    nested = "".join(f"{'JOINT' if i else 'ROOT'} {name}\n{{\nOFFSET 0 -4 0\nCHANNELS 1 Xrotation\n" for i, name in
                     enumerate(joints.split()))  # fmt: skip
    text = "HIERARCHY\n" + nested + "}\n" * 4
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.bvh").write_text(text + "MOTION\nFrames: 1\nFrame Time: 0.1\n0 0 0 0\n")
    (checked,) = checked_captures(table(motion="a.bvh", cloth="folded"))
    (found,) = checked.findings
    assert found.reason == "motion-joints" and "Head" in found.message


@pytest.mark.parametrize("motion", ["stroll", "/tmp/a.bvh", "a.bvh.txt"])
def test_a_motion_is_a_name_or_a_bvh_file_below_the_data_root(table, motion):
    with pytest.raises(ManifestError, match="motion"):
        load_manifest(Path(table(motion=motion)))


@pytest.fixture
def here(monkeypatch):
    """Jobs run in this process, and a take is drawn once."""
    monkeypatch.setattr(stage_process, "run_job", lambda job, task: execute(job, lambda *_: None))
    once = functools.cache(draw_take)
    for module in (drape, simulate):
        monkeypatch.setattr(module, "draw_take", once)
    return monkeypatch


@pytest.mark.slow
def test_the_film_has_the_cloth_that_the_solver_gave(table, here):
    """A solver that lifts every garment by a centimetre, straight away from its middle axis."""
    asked, takes = [], []

    def solver(targets, faces, held, colliders, **settings):
        asked.append((len(targets), held.mean(), len(colliders)))
        outward = targets - targets.mean(axis=1, keepdims=True)
        outward[..., 1] = 0
        return (targets + 0.01 * outward / np.linalg.norm(outward, axis=-1, keepdims=True)).astype(np.float32)

    here.setattr(drape, "simulate_cloth", solver)
    here.setattr(drape, "CHECKED_STEPS", 1)
    here.setattr(drape, "_worn", lambda *arguments: {})  # slow
    here.setattr(simulate, "film_take", lambda take, draw, threads: takes.append(take))
    here.setattr(simulate, "map", lambda counted, film: film, raising=False)
    here.setattr(simulate, "write_kinect2_capture", lambda *arguments, **facts: None)
    manifest = table()
    for stage in (Drape, Simulate):
        task(stage, manifest).run()
    (steps, held, first), (_, _, second) = asked
    assert steps >= 5 and 0 < held < 1 and (first, second) == (1, 2)  # the top lies on the trousers too
    record = read_record(task(Drape, manifest).place())
    assert record["samples"] == steps - 3  # what is before the film is not kept
    assert record["stats"]["drape skin through trousers, share"]["value"] < 0.01
    (take,) = takes
    for away_m in take.hanging_m(float(take.times.depth_s[1])):
        # Inside of the thighs that is into the skin, and is brought back.
        moved_m = np.quantile(np.linalg.norm(away_m, axis=1), [0.5, 0.99])
        np.testing.assert_allclose(moved_m, 0.01, atol=2e-4)


@pytest.mark.slow
def test_a_person_who_holds_a_pose_is_draped_once(table, here):
    here.setattr(drape, "simulate_cloth", lambda targets, *rest, **settings: targets.astype(np.float32))
    for figures in ("_penetrations", "_worn"):
        here.setattr(drape, figures, lambda *arguments: {})  # slow
    manifest = Path(table())
    text = manifest.read_text().replace('role = "moving"', 'pose = "standing"').replace('motion = "walk"', "")
    manifest.write_text(text)
    forget()
    task(Drape, str(manifest)).run()
    hung = read_hung(task(Drape, str(manifest)).place() / CLOTH_FILE)
    for away_m in hung.away_m:
        assert len(away_m) == 1 and not away_m.any()


@pytest.mark.slow
def test_blenders_cloth_is_simulated_filmed_and_measured(table, here):
    manifest = table(stages="\n[stages.drape]\nlead_s = 0.2\nsettle_s = 0.1\n")
    for stage in (Drape, Simulate):
        task(stage, manifest).run()
    stats = read_record(task(Drape, manifest).place())["stats"]
    for pair in ("skin through trousers", "skin through top", "trousers through top"):
        assert stats[f"drape {pair}, share"]["value"] < 0.03  # of whole sequences, up to 0.031 was measured
    for under in ("skin", "trousers"):
        assert stats[f"drape worn, {under} through cloth, worst share"]["value"] < 0.002
    # Figures go into the dataset's index: what took how long is of the machine and stands apart.
    assert not [name for name, stat in stats.items() if stat["unit"] == "s"]
    known = read_truth(task(Simulate, manifest).place() / "raw" / "truth")
    take = draw_take(3, script_of(task(Simulate, manifest)))
    hung = read_hung(task(Drape, manifest).place() / CLOTH_FILE)
    for frame, time_s in enumerate(take.times.depth_s):
        worn = dressed(take.wardrobe, *take.action(time_s), hanging_m=hung.at(time_s))
        np.testing.assert_allclose(known.vertices_m(frame), worn.vertices_m, atol=1e-6)  # float32 of metres
