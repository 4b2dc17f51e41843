"""Several still cameras of one person, from folders of their own to one surface."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.cameras import invert_rigid, transform
from pipeline.foreground_screening import learned_finder
from pipeline.meshes import read_ply
from pipeline.sealing import read_record
from pipeline.store import FrameReader
from pipeline.truth_scores import surface_points
from renderers.raycast import RaycastScene
from tasks import stage_process
from tasks.checking import checked_captures
from tasks.context import forget, raw_digest
from tasks.executing import execute
from tasks.foreground import Foreground
from tasks.fuse import MESH_FILE, Fuse
from tasks.ingest import Ingest

_spec = importlib.util.spec_from_file_location("rigs", Path(__file__).with_name("rigs.py"))
rigs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(rigs)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rig")
    rigs.write_cameras(folder / "raw" / "ann", moments=2)
    return folder


@pytest.fixture
def manifest_of(filmed, tmp_path, own_places, monkeypatch):
    """Writes a manifest over the same recordings; every one builds into a folder of its own."""
    monkeypatch.setattr(stage_process, "run_job", lambda job, task: execute(job, lambda done, total: None))

    def write(transforms, more=""):
        path = tmp_path / "rig.toml"
        head = (
            f'[dataset]\nname = "rig"\nimage_size_px = 64\ndata_root = "{filmed / "raw"}"\noutput = "out"\n'
        )
        path.write_text(head + rigs.table(transforms, more))
        forget()
        return str(path)

    return write


def fused(manifest):
    """Run what leads to the fused surface; returns its folder and its record."""
    for stage in (Ingest, Foreground, Fuse):
        task = stage(manifest=manifest, capture="ann")
        task.run()
    return task.place(), read_record(task.place())


def test_three_still_cameras_fuse_to_the_true_surface_in_the_rigs_frame(manifest_of):
    transforms = rigs.rig_from_cams()
    place, record = fused(manifest_of(transforms))
    assert record["rejected"] is None
    vertices, faces, _ = read_ply(place / MESH_FILE)
    true_m, true_faces = rigs.person()
    rig_from_world = invert_rigid(rigs.looking(rigs.ANGLES_DEG[0]))
    scene = RaycastScene(transform(rig_from_world, true_m), true_faces, threads=1)
    away_m = scene.distance_m(surface_points(vertices, faces, 20_000, np.random.default_rng(1)))
    assert np.median(away_m) < 0.0015
    # From all three sides: each camera's own half holds a fair part of the surface.
    toward = vertices - rig_from_world[:3] @ [0, 0.85, 0, 1]
    shares = [np.mean(toward @ -pose[:3, 2] > 0.05) for pose in transforms]
    assert min(shares) > 0.15


def test_frames_are_numbered_by_moment_and_camera(manifest_of):
    transforms = rigs.rig_from_cams()
    task = Ingest(manifest=manifest_of(transforms), capture="ann")
    task.run()
    with FrameReader(task.place() / "frames.h5") as reader:
        rows = list(reader.rows(["frame", "world_from_cam"]))
    assert [int(row["frame"]) for row in rows] == [0, 1, 2, 3, 4, 5]
    for row in rows:
        np.testing.assert_allclose(row["world_from_cam"], transforms[int(row["frame"]) % 3], atol=1e-12)


def test_a_camera_whose_clock_is_off_is_left_out_and_said(tmp_path, manifest_of):
    rigs.write_cameras(tmp_path / "ann", moments=2, late_s=(0.0, 0.05, 0.0))
    path = Path(manifest_of(rigs.rig_from_cams()))
    path.write_text(re.sub("data_root = .*", f'data_root = "{tmp_path}"', path.read_text()))
    forget()
    task = Ingest(manifest=str(path), capture="ann")
    task.run()
    rows = [row for row in read_record(task.place())["quarantine"] if row["drops"]]
    assert [(row["frame"], row["reason"]) for row in rows] == [(1, "cameras-apart"), (4, "cameras-apart")]


def moved(transforms, *, metres=(0.0, 0.0, 0.0), degrees=0.0):
    change = np.eye(4)
    change[:3, :3] = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    change[:3, 3] = metres
    return [transforms[0], transforms[1] @ change, transforms[2]]


WRONG = {
    "one turned by 2 degrees": lambda right: moved(right, degrees=2.0),
    "one moved by 4 cm": lambda right: moved(right, metres=(0.04, 0.0, 0.0)),
    "two exchanged": lambda right: [right[0], right[2], right[1]],
    "all inverted": lambda right: [invert_rigid(one) for one in right],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_transforms_are_refused_and_said(manifest_of, wrong):
    _, record = fused(manifest_of(WRONG[wrong](rigs.rig_from_cams())))
    rejected = record["rejected"]
    assert rejected["reason"] == "cameras-disagree"
    assert rejected["value"] > rejected["limit"] and "transforms" in rejected["message"]


def masks_of(manifest):
    """The sealed masks of all frames (N H W)."""
    for stage in (Ingest, Foreground):
        task = stage(manifest=manifest, capture="ann")
        task.run()
    with FrameReader(task.place() / "frames.h5") as reader:
        return np.stack([row["sensor_mask"] for row in reader.rows(["sensor_mask"])])


def test_each_camera_learns_its_own_room(manifest_of, monkeypatch):
    learned = []

    def learning(*words, **told):
        learned.append(told.get("cameras"))
        return learned_finder(*words, **told)

    monkeypatch.setattr("tasks.foreground.learned_finder", learning)
    monkeypatch.setattr("tasks.checking.learned_finder", learning)
    given = masks_of(manifest_of(rigs.rig_from_cams()))
    path = Path(manifest_of(rigs.rig_from_cams()))
    told = path.read_text().replace('foreground = "given"', 'foreground = "person"\ncamera = "still"')
    path.write_text(told)
    forget()
    (checked,) = checked_captures(str(path))
    assert checked.usable == 6 and not checked.findings
    found = masks_of(str(path))
    assert learned == [3, 3]
    assert np.count_nonzero(given & found) > 0.9 * np.count_nonzero(given | found)


def test_the_fingerprint_covers_every_cameras_files_and_the_transforms(manifest_of, filmed):
    right = rigs.rig_from_cams()
    path = manifest_of(right)
    before = raw_digest(path, "ann"), Ingest(manifest=path, capture="ann").fingerprint()
    for camera in range(3):
        image = sorted((filmed / "raw" / "ann" / f"cam{camera}" / "depth").iterdir())[1]
        kept = image.read_bytes()
        image.write_bytes(kept + b" ")
        forget()
        assert raw_digest(path, "ann") != before[0]
        image.write_bytes(kept)
    forget()
    assert raw_digest(path, "ann") == before[0]
    path = manifest_of(moved(right, degrees=0.1))
    assert Ingest(manifest=path, capture="ann").fingerprint() != before[1]
