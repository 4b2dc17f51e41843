"""Scans come in metres, upright, with their vertices in order, or with one clear word."""

import os
from pathlib import Path

import numpy as np
import pytest
import trimesh

from pipeline.captures.scan import read_scan
from pipeline.errors import InputError


def a_person() -> trimesh.Trimesh:
    """A block of 0.5 x 1.8 x 0.3 m (x y z) whose vertices are in no order that a library would choose."""
    mesh = trimesh.creation.box(extents=[0.5, 1.8, 0.3])
    turn = np.random.default_rng(0).permutation(len(mesh.vertices))
    return trimesh.Trimesh(mesh.vertices[turn], np.argsort(turn)[mesh.faces], process=False)


@pytest.mark.parametrize("suffix", ["obj", "ply", "glb"])
@pytest.mark.parametrize(("unit_m", "up"), [(1.0, "y"), (0.001, "z"), (0.01, "x")])
def test_every_format_unit_and_up_axis_gives_the_same_person(tmp_path, suffix, unit_m, up):
    mesh = a_person()
    upright = mesh.vertices - [0, mesh.vertices[:, 1].min(), 0]
    order = {"x": [1, 2, 0], "y": [0, 1, 2], "z": [2, 0, 1]}[up]
    mesh.vertices = mesh.vertices[:, order] / unit_m + 3
    mesh.export(tmp_path / f"p.{suffix}")
    scan = read_scan(tmp_path / f"p.{suffix}", unit_m=unit_m, up=up)
    np.testing.assert_allclose(scan.vertices, upright, atol=2e-6)  # float32 a few metres off
    np.testing.assert_array_equal(scan.faces, mesh.faces)
    assert scan.vertex_rgb is None
    volume = trimesh.Trimesh(scan.vertices, scan.faces, process=False).volume
    assert volume == pytest.approx(0.5 * 1.8 * 0.3, rel=1e-5)  # outwards, so not mirrored


def test_colours_of_vertices_are_kept(tmp_path):
    mesh = a_person()
    colors = np.random.default_rng(1).integers(0, 255, (len(mesh.vertices), 3), np.uint8)
    mesh.visual.vertex_colors = colors
    mesh.export(tmp_path / "p.ply")
    np.testing.assert_array_equal(read_scan(tmp_path / "p.ply", unit_m=1, up="y").vertex_rgb, colors)


def test_wrong_unit_is_named_with_the_height_it_gives(tmp_path):
    a_person().export(tmp_path / "p.ply")
    with pytest.raises(InputError, match=r"is 0.0018 m with unit_m = 0.001") as caught:
        read_scan(tmp_path / "p.ply", unit_m=0.001, up="y")
    assert caught.value.reason == "scan-scale"


def test_what_is_no_mesh_is_refused(tmp_path):
    whole = tmp_path / "p.glb"
    a_person().export(whole)
    (tmp_path / "cut.glb").write_bytes(whole.read_bytes()[:200])
    (tmp_path / "empty.ply").write_bytes(b"")
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 0 1.7 0\n")
    (tmp_path / "far.obj").write_text("v 0 0 0\nv 0 1.7 0\nv 1 0 0\nf 1 2 9\n")
    (tmp_path / "p.stl").write_bytes(b"solid")
    reasons = {}
    for name in ("cut.glb", "empty.ply", "points.obj", "far.obj", "p.stl", "none.obj"):
        with pytest.raises(InputError) as caught:
            read_scan(tmp_path / name, unit_m=1, up="y")
        reasons[name] = caught.value.reason
    assert reasons["cut.glb"] == reasons["empty.ply"] == reasons["p.stl"] == "unreadable-mesh"
    assert reasons["none.obj"] == "capture-missing"
    assert reasons["points.obj"] in ("no-faces", "unreadable-mesh")
    assert reasons["far.obj"] in ("mesh-malformed", "unreadable-mesh")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "vertices"), [("human_man", 6890), ("human_woman", 6890), ("human_neutral", 10475)]
)
def test_open_body_meshes_keep_their_vertices(name, vertices):
    root = os.environ.get("BODYTRUTH_DATA_ROOT")
    if not root:
        pytest.skip("BODYTRUTH_DATA_ROOT is not set")
    path = Path(root) / "ccby_bodies" / f"{name}.obj"
    scan = read_scan(path, unit_m=1.0, up="y")
    assert len(scan.vertices) == vertices
    first = next(line for line in path.open() if line.startswith("v ")).split()[1:4]
    stored = np.array([float(value) for value in first])
    assert np.linalg.norm((scan.vertices[0] - stored)[[0, 2]]) < 0.5  # moved sideways to the origin at most
    assert 1.5 < np.ptp(scan.vertices[:, 1]) < 2.0
