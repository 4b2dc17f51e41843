"""What is left to do and what it will take, where each capture stands, and what lies behind it."""

from pathlib import Path

import pytest

from pipeline.sealing import read_record
from tasks.context import forget
from tasks.graph import Dataset, all_tasks
from tasks.layers import Layers
from tasks.planning import lineage, lineage_lines, plan, status_rows, totals

CAPTURE_STAGES = ["ingest", "foreground", "fuse", "render", "layers", "normals"]


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


# estimates


def test_costs_of_a_stage_built_before_come_from_its_history(sealed):
    # Stand-ins: 6 s for 3 frames, 700 MB, 1000 bytes for 3 frames; the captures have 2 frames.
    change(sealed, ("window_px = 15", "window_px = 9"))
    cost = planned(sealed)["layers", "ann"].cost
    assert (cost.seconds, cost.peak_rss_mb, cost.source) == (pytest.approx(4.0), 700.0, "history")
    assert cost.disk_mb == pytest.approx(1000 / 3 * 2 / 1e6)
    assert planned(sealed)["shards", None].cost.seconds == pytest.approx(8.0)  # both captures' frames
    assert planned(sealed)["report", None].cost.source == "history"


def test_history_is_the_median_so_that_one_slow_build_does_not_count(sealed, stand_in):
    change(sealed, ("window_px = 15", "window_px = 9"))
    forget()
    stand_in(Layers(manifest=str(sealed), capture="ann"), run={"seconds": 6000.0, "peak_rss_mb": 700.0})
    change(sealed, ("window_px = 9", "window_px = 11"))
    assert planned(sealed)["layers", "ann"].cost.seconds == pytest.approx(4.0)


def test_costs_of_a_stage_never_built_come_from_calibration(spheres):
    rows = planned(spheres)
    assert {item.cost.source for item in rows.values()} == {"calibration"}
    assert rows["fuse", "ann"].cost.seconds > 0


def test_last_line_counts_and_adds_up(sealed):
    change(sealed, ("window_px = 15", "window_px = 9"))
    # Two splits of 4 s, shards and report of 8 s each.
    assert totals(list(planned(sealed).values())) == (
        "4 of 14 to build; about 24 s, 700 MB of memory, 0 MB of disk"
    )


def test_estimates_are_figures_with_units(spheres):
    row = planned(spheres)["fuse", "ann"].to_json()
    assert [(figure["name"], figure["unit"]) for figure in row["estimate"]] == [
        ("time", "s"),
        ("peak memory", "MB"),
        ("disk", "MB"),
    ]
    assert (row["stage"], row["capture"], row["state"]) == ("fuse", "ann", "build")


# where each capture stands


def test_status_goes_from_waiting_to_sealed(spheres, stand_in):
    rows = {row["capture"]: row for row in status_rows(str(spheres))}
    assert [row["state"] for row in rows.values()] == ["waiting"] * 3
    assert rows["ann"]["next"] == "ingest" and rows["(dataset)"]["next"] == "build"
    for task in all_tasks(str(spheres)):
        if getattr(task, "capture", None) == "ann" and task.NAME not in ("layers", "normals"):
            stand_in(task)
    rows = {row["capture"]: row for row in status_rows(str(spheres))}
    assert (rows["ann"]["state"], rows["ann"]["next"], rows["ann"]["samples"]) == ("waiting", "layers", 3)
    for task in all_tasks(str(spheres)):
        if not task.complete():
            stand_in(task)
    rows = {row["capture"]: row for row in status_rows(str(spheres))}
    assert rows["bob"]["state"] == "sealed" and rows["bob"]["next"] == ""
    assert rows["(dataset)"]["state"] == "waiting", "sealed, but not published"
    Dataset(manifest=str(spheres)).run()
    assert {row["state"] for row in status_rows(str(spheres))} == {"sealed"}


def test_quarantined_capture_shows_its_reason_and_no_samples(spheres, stand_in):
    row = {"capture": "ann", "stage": "fuse", "reason": "poses-inverted", "frame": None, "message": "m"}
    for task in all_tasks(str(spheres)):
        mine = getattr(task, "capture", None) == "ann"
        rejected = mine and task.NAME in CAPTURE_STAGES[2:]
        frame = {**row, "stage": "ingest", "reason": "empty-depth", "frame": 1}
        stand_in(
            task,
            samples=0 if rejected else 2,
            rejected={**row, "exit_code": 4} if rejected else None,
            quarantine=[frame] if mine and task.NAME == "ingest" else [],
        )
    rows = {row["capture"]: row for row in status_rows(str(spheres))}
    assert (rows["ann"]["state"], rows["ann"]["next"], rows["ann"]["samples"]) == (
        "quarantined", "poses-inverted", 0,
    )  # fmt: skip
    # The capture's own row once, though four stages carry it, and the frame's.
    assert rows["ann"]["quarantined"] == 2 and rows["bob"]["quarantined"] == 0
    assert planned(spheres)["fuse", "ann"].state == "quarantined"
    assert waiting(spheres) == {}


# lineage


def test_lineage_shows_settings_hashes_and_figures_in_building_order(sealed, stand_in):
    change(sealed, ("window_px = 15", "window_px = 9"))
    forget()
    stats = {"detail, p99": {"value": 0.01, "unit": "m"}}
    stand_in(Layers(manifest=str(sealed), capture="ann"), stats=stats)
    rows = lineage(str(sealed), "ann")
    assert [row["stage"] for row in rows] == CAPTURE_STAGES
    layers = rows[4]
    assert layers["stats"] == [{"name": "detail, p99", "value": 0.01, "unit": "m"}]
    assert layers["recipe"]["upstream"] == {"render": rows[3]["fingerprint"]}
    assert read_record(Path(layers["place"]))["fingerprint"] == layers["fingerprint"]
    lines = list(lineage_lines(rows))
    assert f"layers  {layers['fingerprint']}  done" in lines
    version = f"  version {Layers.VERSION}"
    for line in (version, "  settings.window_px = 9", "  detail, p99: 0.01 m", f"  {layers['place']}"):
        assert line in lines


def test_lineage_of_an_unbuilt_capture_says_why_it_waits(spheres):
    lines = list(lineage_lines(lineage(str(spheres), "bob")))
    assert any(line.startswith("ingest  ") and line.endswith("build  (never built)") for line in lines)
