"""A simulated capture of three Kinects, and the same raw files as three recordings, are one and the same."""

import shutil

import numpy as np
import pytest

from pipeline.captures.kinect2 import open_kinect2
from pipeline.meshes import read_ply
from pipeline.sealing import read_record
from tasks import stage_process
from tasks.context import forget
from tasks.executing import execute
from tasks.foreground import Foreground
from tasks.fuse import MESH_FILE, Fuse
from tasks.ingest import Ingest
from tasks.simulate import RAW_FOLDER, Simulate

CAMERAS, MOMENTS = 3, 2
HEAD = '[dataset]\nname = "kinects"\nimage_size_px = 64\ndata_root = "raw"\noutput = "out"\n'
KEYS = '[[capture]]\nid = "eva"\nforeground = "given"\nsplit = "train"\n'
SIMULATED = (
    f'{KEYS}format = "simulated"\npose = "standing"\ncount = {CAMERAS * MOMENTS}\n[capture.simulation]\n'
    f'camera = "still"\ncameras = {CAMERAS}\n'
)


def ran(manifest, *stages):
    for stage in stages:
        task = stage(manifest=str(manifest), capture="eva")
        task.run()
    return task.place()


def split_cameras(raw, folder) -> None:
    """What each Kinect's own recorder would have written: its files, numbered from 0, and no pose."""
    rows = (raw / "timestamps.csv").read_text().splitlines()
    for camera in range(CAMERAS):
        place = folder / f"cam{camera}"
        for stream, suffix in (("depth", "png"), ("color", "jpg"), ("mask", "png")):
            (place / stream).mkdir(parents=True)
            for moment in range(MOMENTS):
                number = moment * CAMERAS + camera
                name = raw / stream / f"{number:06d}.{suffix}"
                shutil.copy(name, place / stream / f"{moment:06d}.{suffix}")
        shutil.copy(raw / "calibration.json", place)
        of_camera = [
            ",".join([str(int(row.split(",")[0]) // CAMERAS), *row.split(",")[1:]])
            for row in rows[1:]
            if int(row.split(",")[0]) % CAMERAS == camera
        ]
        (place / "timestamps.csv").write_text("\n".join([rows[0], *of_camera]) + "\n")


@pytest.mark.slow  # films six frames of a Kinect v2
def test_three_recordings_fuse_to_the_surface_of_the_capture_they_were_taken_from(
    tmp_path, own_places, monkeypatch
):
    monkeypatch.setattr(stage_process, "run_job", lambda job, task: execute(job, lambda done, total: None))
    whole = tmp_path / "whole.toml"
    whole.write_text(HEAD + SIMULATED)
    raw = ran(whole, Simulate) / RAW_FOLDER
    place = ran(whole, Ingest, Foreground, Fuse)
    known = open_kinect2(raw)
    split_cameras(raw, tmp_path / "raw" / "eva")
    cameras = "".join(
        f'[[capture.rig.cameras]]\npath = "cam{camera}"\n'
        f"rig_from_cam = {known.read(camera).world_from_cam.tolist()}\n"
        for camera in range(CAMERAS)
    )
    parted = tmp_path / "parted.toml"
    parted.write_text(f'{HEAD}{KEYS}format = "kinect2"\npath = "eva"\n{cameras}'.replace('"out"', '"out2"'))
    forget()
    again = ran(parted, Ingest, Foreground, Fuse)
    (vertices, faces, _), (parted_vertices, parted_faces, _) = (
        read_ply(one / MESH_FILE) for one in (place, again)
    )
    np.testing.assert_array_equal(faces, parted_faces)
    np.testing.assert_allclose(vertices, parted_vertices, atol=1e-6)
    assert read_record(place)["stats"] == read_record(again)["stats"]
