"""What would run and why: every reason in its words, and nothing planned that need not be."""

import os
from pathlib import Path

from pipeline.sealing import mark_damaged
from tasks.context import forget, rehash
from tasks.graph import all_tasks
from tasks.layers import Layers
from tasks.planning import differences, plan, totals

CAPTURE_STAGES = ["ingest", "foreground", "fuse", "render", "layers", "normals"]
BOTH = {(stage, capture) for stage in CAPTURE_STAGES for capture in ("ann", "bob")}
DATASET = {("shards", None), ("report", None)}


def planned(manifest: Path) -> dict:
    forget()
    return {(item.task.NAME, getattr(item.task, "capture", None)): item for item in plan(str(manifest))}


def waiting(manifest: Path) -> dict[tuple[str, str | None], str]:
    """Why, for each task that would run."""
    return {name: item.why for name, item in planned(manifest).items() if item.state == "build"}


def change(manifest: Path, *pairs: tuple[str, str]) -> None:
    text = manifest.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    manifest.write_text(text)


# differences of recipes


def test_differences_name_the_place_the_old_and_the_new():
    before = {"version": 1, "settings": {"a_m": 0.1, "b": "full"}, "inputs": {"frames": None}}
    now = {"version": 2, "settings": {"a_m": 0.2, "b": "full"}, "inputs": {"frames": [1, 2]}}
    assert differences(before, now) == [
        "inputs.frames nothing -> [1, 2]",
        "settings.a_m 0.1 -> 0.2",
        "version 1 -> 2",
    ]
    assert differences(now, now) == []


def test_differences_show_what_came_and_what_went():
    assert differences({"a": {"x": 1}}, {"a": {"y": 2}}) == ["a.x 1 -> nothing", "a.y nothing -> 2"]


def test_long_values_are_cut_short():
    (found,) = differences({"files": "x" * 200}, {"files": "y"})
    assert found == f"files {'x' * 57}... -> y"


# reasons


def test_nothing_built_yet_says_so_and_names_what_comes_before(spheres):
    rows = waiting(spheres)
    assert set(rows) == BOTH | DATASET
    assert rows["ingest", "ann"] == "never built"
    assert rows["fuse", "bob"] == "never built; after foreground, ingest"
    assert rows["shards", None] == "never built; after foreground, fuse, ingest and 3 more"


def test_with_everything_sealed_nothing_waits(sealed):
    assert waiting(sealed) == {}
    assert totals(plan(str(sealed))) == "nothing to build"


def test_changed_setting_is_named_with_its_old_and_new_value(sealed):
    change(sealed, ("window_px = 15", "window_px = 9\nsigma_depth_m = 0.2"))
    rows = waiting(sealed)
    both = "settings.sigma_depth_m 0.1 -> 0.2; settings.window_px 15 -> 9"
    assert rows == {
        ("layers", "ann"): both,
        ("layers", "bob"): both,
        ("shards", None): "after layers",
        ("report", None): "after layers, shards",
    }


def test_raised_version_is_named(sealed, monkeypatch):
    before = Layers.VERSION
    monkeypatch.setattr(Layers, "VERSION", before + 1)
    rows = waiting(sealed)
    assert rows["layers", "ann"] == f"version {before} -> {before + 1}"
    assert set(rows) == {("layers", "ann"), ("layers", "bob")} | DATASET


def test_changed_raw_files_are_said_in_words_and_touch_no_other_capture(sealed):
    file = sealed.parent / "raw" / "bob" / "001.color.png"
    file.write_bytes((sealed.parent / "raw" / "bob" / "000.color.png").read_bytes())
    rows = waiting(sealed)
    assert rows["ingest", "bob"] == "the raw files have changed"
    assert rows["foreground", "bob"] == "after ingest"
    assert {capture for _, capture in rows} == {"bob", None}


def test_copied_raw_files_with_another_time_change_nothing(sealed):
    for file in (sealed.parent / "raw" / "bob").iterdir():
        os.utime(file, ns=(1, 1))
    assert waiting(sealed) == {}


def test_rehash_finds_what_changed_behind_the_same_size_and_time(sealed):
    assert waiting(sealed) == {}
    file = sealed.parent / "raw" / "ann" / "000.pose.txt"
    stat = file.stat()
    content = bytearray(file.read_bytes())
    content[content.index(b".") + 1] ^= 1  # another digit
    with file.open("r+b") as handle:  # the same inode too
        handle.write(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert waiting(sealed) == {}
    forget()
    rehash(str(sealed))
    assert waiting(sealed)["ingest", "ann"] == "the raw files have changed"


def test_damaged_and_broken_outputs_are_told_apart_and_what_stands_on_them_is_kept(sealed):
    place = Layers(manifest=str(sealed), capture="ann").place()
    mark_damaged(place, ["data.bin"])
    (Layers(manifest=str(sealed), capture="bob").place() / "data.bin").write_bytes(b"cut")
    assert waiting(sealed) == {
        ("layers", "ann"): "the sealed output is damaged",
        ("layers", "bob"): "the sealed output is not whole: a file is missing or has changed",
    }


def test_broken_record_is_a_reason_not_a_crash(sealed):
    (Layers(manifest=str(sealed), capture="ann").place() / "stage.json").write_text("{ half")
    rows = waiting(sealed)
    assert list(rows) == [("layers", "ann")] and "not whole" in rows["layers", "ann"]


def test_output_of_an_older_setting_is_kept_and_serves_again(sealed):
    text = sealed.read_text()
    change(sealed, ("window_px = 15", "window_px = 9"))
    assert waiting(sealed)
    sealed.write_text(text)
    assert waiting(sealed) == {}


def test_reason_is_what_differs_from_the_newest_output_not_from_the_oldest(sealed, stand_in):
    change(sealed, ("window_px = 15", "window_px = 9"))
    forget()
    stand_in(Layers(manifest=str(sealed), capture="ann"))
    change(sealed, ("window_px = 9", "window_px = 11"))
    rows = waiting(sealed)
    assert rows["layers", "ann"] == "settings.window_px 9 -> 11"
    assert rows["layers", "bob"] == "settings.window_px 15 -> 11"


def test_build_that_was_cut_short_still_has_a_reason_for_every_stage(sealed, stand_in):
    change(sealed, ("voxel_m = 0.01", "voxel_m = 0.02"))
    built = [task for task in all_tasks(str(sealed)) if task.NAME == "fuse"]
    for task in built:
        stand_in(task)
    rows = waiting(sealed)
    assert rows["render", "ann"] == "after fuse"
    assert all(rows.values())


# what a change of the manifest rebuilds


def test_changed_split_rebuilds_no_stage_of_any_capture(sealed):
    change(sealed, ('split = "test"', 'split = "val"'))
    assert waiting(sealed) == {
        ("shards", None): "inputs.captures.bob.split test -> val",
        ("report", None): "after shards",
    }


def test_changed_subject_of_a_real_capture_rebuilds_the_shards_alone(sealed):
    change(sealed, ('id = "bob"', 'id = "bob"\nsubject = "robert"'))
    assert waiting(sealed) == {
        ("shards", None): "inputs.captures.bob.subject bob -> robert",
        ("report", None): "after shards",
    }


def test_changed_subject_of_a_simulated_capture_is_another_person(simulated):
    change(simulated, ('subject = "flo"', 'subject = "gil"'))
    rows = waiting(simulated)
    assert rows["simulate", "two"] == "inputs.subject flo -> gil"
    assert {capture for _, capture in rows} == {"two", None}
    assert rows["truth", "two"] == "after foreground, fuse, layers and 3 more"


def test_changed_image_size_cuts_the_crop_anew_but_reads_no_raw_file(sealed):
    change(sealed, ("image_size_px = 64", "image_size_px = 80"))
    rows = waiting(sealed)
    assert set(rows) == {name for name in BOTH if name[0] != "ingest"} | DATASET
    assert rows["foreground", "ann"] == "inputs.image_size_px 64 -> 80"


def test_changed_seed_draws_simulated_captures_again_and_no_real_one(sealed, simulated):
    change(simulated, ("seed = 3", "seed = 4"))
    rows = waiting(simulated)
    assert rows["simulate", "one"] == rows["simulate", "two"] == "inputs.seed 3 -> 4"
    change(sealed, ("seed = 3", "seed = 4"))
    # The index names the seed, so it is written again.
    assert waiting(sealed) == {("shards", None): "inputs.seed 3 -> 4", ("report", None): "after shards"}


def test_added_capture_builds_itself_and_the_shards(forge, sealed):
    forge.capture(sealed.parent / "raw" / "cal", count=2)
    forge.manifest(sealed.parent, {"ann": "train", "bob": "test", "cal": "val"})
    rows = waiting(sealed)
    assert set(rows) == {(stage, "cal") for stage in CAPTURE_STAGES} | DATASET
    assert rows["shards", None].startswith("inputs.captures.cal nothing -> {")


def test_removed_capture_rebuilds_the_shards_alone(forge, sealed):
    forge.manifest(sealed.parent, {"ann": "train"})
    assert set(waiting(sealed)) == DATASET


def test_changed_report_setting_rebuilds_the_report_alone(sealed):
    change(sealed, ("worst_frames = 1", "worst_frames = 2"))
    assert waiting(sealed) == {("report", None): "settings.worst_frames 1 -> 2"}


def test_memory_limit_rebuilds_nothing(sealed):
    change(sealed, ("[stages.fuse]", "[stages.fuse]\nmemory_limit_gb = 3.0"))
    assert waiting(sealed) == {}
