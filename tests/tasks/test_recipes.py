"""What the fingerprint of a stage covers, and what it does not."""

from pathlib import Path

import pytest

from tasks.context import forget
from tasks.graph import all_tasks
from tasks.layers import Layers


def fingerprints(manifest: Path) -> dict[tuple[str, str | None], str]:
    forget()
    return {
        (task.NAME, getattr(task, "capture", None)): task.fingerprint() for task in all_tasks(str(manifest))
    }


def moved(before: dict, after: dict) -> set[str]:
    """Stages whose fingerprint differs, with the capture where not both moved."""
    keys = {key for key in before if before[key] != after[key]}
    both = {stage for stage, _ in keys if {(stage, "ann"), (stage, "bob")} <= keys}
    single = {(stage, capture) for stage, capture in keys if stage not in both}
    return both | {stage if capture is None else f"{stage} {capture}" for stage, capture in single}


BELOW = ["ingest", "foreground", "fuse", "render", "layers", "normals", "shards", "report"]


@pytest.mark.parametrize(
    ("table", "key", "expected"),
    [
        ("ingest", "min_valid_share = 0.03", set(BELOW)),
        ("foreground", "min_foreground_px = 900", set(BELOW[1:])),
        ("fuse", "voxel_m = 0.02", set(BELOW[2:])),
        ("render", "min_mask_px = 400", set(BELOW[3:])),
        ("layers", "sigma_depth_m = 0.2", {"layers", "shards", "report"}),
        ("normals", "max_step_m = 0.02", {"normals", "shards", "report"}),
        ("shards", "shard_bytes = 1000", {"shards", "report"}),
        ("report", "worst_frames = 3", {"report"}),
        ("simulate", "radius_m = 3.0", set()),  # nothing here is simulated
    ],
)
def test_setting_moves_its_stage_and_what_stands_on_it(spheres, table, key, expected):
    before = fingerprints(spheres)
    text = spheres.read_text()
    name = key.split(" ")[0]
    lines = [line for line in text.splitlines() if not line.startswith(f"{name} =")]
    if f"[stages.{table}]" not in lines:
        lines.append(f"[stages.{table}]")
    lines.insert(lines.index(f"[stages.{table}]") + 1, key)
    spheres.write_text("\n".join(lines) + "\n")
    assert moved(before, fingerprints(spheres)) == expected


def test_version_moves_its_stage_and_what_stands_on_it(spheres, monkeypatch):
    before = fingerprints(spheres)
    monkeypatch.setattr(Layers, "VERSION", Layers.VERSION + 1)
    assert moved(before, fingerprints(spheres)) == {"layers", "shards", "report"}


def test_raw_content_moves_its_own_capture_alone(spheres):
    before = fingerprints(spheres)
    pose = spheres.parent / "raw" / "bob" / "001.pose.txt"
    pose.write_text(pose.read_text().replace("e-01", "e-02", 1))
    expected = {f"{stage} bob" for stage in BELOW[:6]} | {"shards", "report"}
    assert moved(before, fingerprints(spheres)) == expected


def test_raw_file_that_no_chosen_frame_needs_moves_nothing(spheres):
    before = fingerprints(spheres)
    (spheres.parent / "raw" / "bob" / "notes.txt").write_text("filmed on a rainy day")
    assert fingerprints(spheres) == before


def test_memory_limits_key_order_and_spelt_out_defaults_move_nothing(forge, spheres):
    before = fingerprints(spheres)
    captures = {"bob": "test", "ann": "train"}
    stages = (
        "[stages.normals]\nmax_step_m = 0.03\nwindow_px = 7\n"
        "[stages.render]\nmemory_limit_gb = 1.5\n"
        "[stages.fuse]\nmin_weight = 1.0\nmemory_limit_gb = 2.0\ntrunc_m = 0.04\nvoxel_m = 0.01\n"
    )
    forge.manifest(spheres.parent, captures, stages)
    assert fingerprints(spheres) == before


def test_workers_and_places_move_nothing(spheres, monkeypatch):
    before = fingerprints(spheres)
    monkeypatch.setenv("BODYTRUTH_WORKERS", "7")
    monkeypatch.setenv("BODYTRUTH_OUT", str(spheres.parent / "elsewhere"))
    assert fingerprints(spheres) == before
    assert str(Layers(manifest=str(spheres), capture="ann").place()).startswith(
        str(spheres.parent / "elsewhere")
    )
