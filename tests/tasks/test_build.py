"""The whole line on captures of a sphere on a wall: what is sealed, and what a change rebuilds."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.shards import ShardReader, read_index

CAPTURES = {"ann": "train", "bob": "test"}


@pytest.fixture(scope="module")
def built(forge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    for capture in CAPTURES:
        forge.capture(folder / "raw" / capture)
    manifest = forge.manifest(folder, CAPTURES)
    ended = forge.run("build", manifest)
    assert ended.code == 0, ended.err + ended.out
    return folder, manifest, ended


@pytest.fixture
def copy(built, tmp_path):
    """A built dataset of one's own to change; times are kept, so that it is still sealed."""
    folder = tmp_path / "copy"
    shutil.copytree(built[0], folder, symlinks=True)
    return folder, folder / "spheres.toml"


def data_bytes(out: Path) -> dict[str, str]:
    """sha256 of every data file; stage.json holds times and hosts and is no data."""
    files = [path for path in out.rglob("*") if path.is_file() and not path.is_symlink()]
    kept = [path for path in files if path.name not in ("stage.json", "build.lock", "raw-hashes.sqlite")]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def planned(forge, manifest):
    ended = forge.run("plan", manifest, "--json")
    assert ended.code == 0, ended.err
    return {(row["stage"], row["capture"]): row for row in json.loads(ended.out)["rows"]}


def test_last_line_counts_samples_and_the_report_lies_where_it_says(built):
    folder, _, ended = built
    assert "6 samples of 2 captures sealed, 0 frames and 0 captures quarantined, 0 tasks failed" in ended.out
    assert (folder / "out" / "spheres" / "report" / "index.html").stat().st_size > 10_000
    assert "report/index.html" in ended.out


def test_samples_keep_the_laws_of_their_fields(built):
    out = built[0] / "out" / "spheres"
    fields = [
        "image",
        "mask",
        "depth_m",
        "depth_median_m",
        "base_m",
        "detail_m",
        "normal",
        "depth_raw_m",
        "K",
    ]
    reader = ShardReader(out, split="train", fields=[*fields, "frame", "subject", "world_from_cam"])
    assert [reader[i]["frame"] for i in range(len(reader))] == [0, 1, 2]
    for index in range(len(reader)):
        row = reader[index]
        mask = row["mask"]
        assert mask.mean() > 0.8 and row["subject"] == "ann"
        rebuilt = row["base_m"] + row["detail_m"] + row["depth_median_m"]
        np.testing.assert_allclose(rebuilt[mask], row["depth_m"][mask], atol=1e-6)
        assert not row["depth_m"][~mask].any() and not row["detail_m"][~mask].any()
        # Voxels of 10 mm and three frames: the fused surface lies well within a voxel of the raw depth.
        both = mask & (row["depth_raw_m"] > 0)
        assert np.median(np.abs(row["depth_m"] - row["depth_raw_m"])[both]) < 0.002
        lengths = np.linalg.norm(row["normal"][row["normal"].any(-1)], axis=-1)
        np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_fused_depth_of_the_middle_frame_is_the_sphere_in_closed_form(built):
    out = built[0] / "out" / "spheres"
    row = ShardReader(out, split="test", fields=["depth_m", "K"])[1]
    u0, v0 = np.round(row["K"][:2, 2]).astype(int)
    assert abs(row["depth_m"][v0, u0] - 0.9) < 0.003  # centre of the sphere's front, 1.2 - 0.3 m


def test_index_tells_the_truth_about_its_shards(built):
    out = built[0] / "out" / "spheres"
    index = read_index(out)
    assert {split: entry["samples"] for split, entry in index["splits"].items()} == {"train": 3, "test": 3}
    for entry in index["shards"]:
        content = (out / entry["path"]).read_bytes()
        assert len(content) == entry["bytes"]
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert index["quarantine"] == [] and (out / "current" / "CARD.md").read_text().startswith("# spheres")


def test_second_build_runs_nothing(forge, built):
    ended = forge.run("build", built[1])
    assert ended.code == 0 and "0 tasks run" in ended.out
    assert all(row["state"] == "done" for row in planned(forge, built[1]).values())


def test_changed_sigma_rebuilds_the_split_and_what_follows_and_says_why(forge, copy):
    folder, manifest = copy
    text = manifest.read_text()
    manifest.write_text(text.replace("window_px = 15", "window_px = 15\nsigma_depth_m = 0.2"))
    rows = planned(forge, manifest)
    waiting = {name for name, row in rows.items() if row["state"] == "build"}
    assert waiting == {("layers", "ann"), ("layers", "bob"), ("shards", None), ("report", None)}
    assert rows["layers", "ann"]["why"] == "settings.sigma_depth_m 0.1 -> 0.2"
    assert "after layers" in rows["shards", None]["why"]
    before = (folder / "out" / "spheres" / "current").resolve()
    ended = forge.run("build", manifest)
    assert ended.code == 0 and "5 tasks run" in ended.out, ended.out  # two splits, shards, report, switch
    out = folder / "out" / "spheres"
    assert (out / "current").resolve() != before and before.is_dir()  # a running reader keeps its version
    manifest.write_text(text)
    assert "1 tasks run" in forge.run("build", manifest).out  # only the switch back
    assert (out / "current").resolve() == before
    ended = forge.run("clean", manifest)
    assert ended.code == 0 and "removed" in ended.out
    assert all(row["state"] == "done" for row in planned(forge, manifest).values())


def test_changed_capture_moves_no_other_and_its_shards_are_linked(forge, copy):
    folder, manifest = copy
    (folder / "raw" / "bob" / "002.color.png").write_bytes(
        (folder / "raw" / "bob" / "001.color.png").read_bytes()
    )
    rows = planned(forge, manifest)
    assert rows["ingest", "bob"]["why"] == "the raw files have changed"
    assert {capture for (_, capture), row in rows.items() if row["state"] == "build"} == {"bob", None}
    out = folder / "out" / "spheres"
    before = (out / "shards" / "train-00000.h5").resolve()
    assert forge.run("build", manifest).code == 0
    assert (out / "shards" / "train-00000.h5").resolve() != before
    assert (out / "shards" / "train-00000.h5").samefile(before)


@pytest.mark.slow
def test_fresh_build_gives_the_same_bytes(forge, built, tmp_path):
    manifest = tmp_path / "spheres.toml"
    manifest.write_text(built[1].read_text())
    ended = forge.run("build", manifest, "--data-root", built[0] / "raw", "--workers", 1)
    assert ended.code == 0, ended.err + ended.out
    assert data_bytes(tmp_path / "out") == data_bytes(built[0] / "out")


def test_flipped_bit_is_found_marked_and_rebuilt(forge, copy):
    folder, manifest = copy
    file = next((folder / "out" / "spheres" / "stages" / "layers" / "ann").glob("*/frames.h5"))
    before, stat = file.read_bytes(), file.stat()
    content = bytearray(before)
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    ended = forge.run("verify", manifest, "--json")
    rows = json.loads(ended.out)["rows"]
    assert ended.code == 5 and len(rows) == 1 and "frames.h5" in rows[0]["message"]
    assert planned(forge, manifest)["layers", "ann"]["why"] == "the sealed output is damaged"
    assert forge.run("build", manifest).code == 0
    assert file.read_bytes() == before and forge.run("verify", manifest).code == 0


def test_status_and_why_show_where_a_capture_stands(forge, built):
    status = json.loads(forge.run("status", built[1], "--json").out)
    assert status["ok"] and [row["state"] for row in status["rows"]] == ["sealed"] * 3
    rows = json.loads(forge.run("why", built[1], "ann", "--json").out)["rows"]
    assert [row["stage"] for row in rows] == ["ingest", "foreground", "fuse", "render", "layers", "normals"]
    assert rows[4]["recipe"]["settings"]["sigma_space_px"] == 75.0
    assert rows[4]["recipe"]["upstream"] == {"render": rows[3]["fingerprint"]}
    ended = forge.run("why", built[1], "anna")
    assert ended.code == 2 and "Did you mean 'ann'?" in ended.err


def test_inspect_shows_ranges_and_draws_a_sheet(forge, built, tmp_path):
    shard = built[0] / "out" / "spheres" / "shards" / "train-00000.h5"
    ended = forge.run("inspect", shard, "--sheet", tmp_path / "sheet.png", "--json")
    rows = {row.get("field"): row for row in json.loads(ended.out)["rows"]}
    assert rows["depth_m"]["shape"] == "(3, 64, 64)" and 1.5 < rows["depth_m"]["max"] < 1.9
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert forge.run("inspect", tmp_path).code == 3


def test_report_prints_its_figures(forge, built):
    ended = forge.run("report", built[1], "--json")
    rows = json.loads(ended.out)["rows"]
    assert ended.code == 0 and Path(rows[0]["path"]).is_file()
    assert {"name", "value", "unit"} <= set(rows[1])


def test_every_stage_runs_as_a_plain_luigi_task(built, tmp_path):
    import subprocess
    import sys

    manifest = tmp_path / "spheres.toml"
    manifest.write_text(built[1].read_text())
    environment = {**os.environ, "BODYTRUTH_DATA_ROOT": str(built[0] / "raw")}
    words = ["--module", "tasks.graph", "Foreground", "--manifest", str(manifest), "--local-scheduler"]
    for capture, code in (("ann", 0), ("nobody", 1)):
        done = subprocess.run(
            [sys.executable, "-m", "luigi", *words, "--capture", capture],
            capture_output=True,
            env=environment,
        )
        assert (done.returncode == 0) == (code == 0), done.stderr.decode()
    assert len(list(tmp_path.glob("out/spheres/stages/foreground/ann/*/stage.json"))) == 1
