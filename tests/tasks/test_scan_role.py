"""Scans go from a mesh to pictures with exact labels; the body below a drawn person is known in each."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.bodies.model import default_body
from pipeline.bodies.parts import SURREAL24_NAMES, TANG14_NAMES
from pipeline.cameras import backproject, project, transform
from pipeline.errors import InputError
from pipeline.meshes import write_ply
from pipeline.scan_files import read_portrayable
from pipeline.settings import PortraySettings
from pipeline.shards import ShardReader, read_index
from pipeline.voxels.packing import unpack
from renderers.proof import icosphere
from tasks.portray import draw_shots

ROOT = Path(__file__).parents[2]
LABELS = ("part14", "part24", "surface_part", "surface_uv")
BODY = (
    "joints_smpl24_cam_m",
    "joints_tang16_cam_m",
    "joints_tang16_px",
    "body_pose_rad",
    "body_betas",
    "body_transl_m",
)
RADIUS_MM, SIZE = 500.0, 96
TABLE = f"""
[dataset]
name = "scans"
seed = 4
image_size_px = {SIZE}
data_root = "raw"
output = "out"

[[capture]]
id = "ball"
format = "scan"
path = "ball.ply"
scan = {{ unit_m = 0.001, up = "z" }}
role = "scan"
targets = ["voxels"]
count = 2
split = "test"

[[capture]]
id = "{{subject}}-{{pose}}"
subject = ["ann"]
pose = ["waving"]
format = "simulated"
role = "scan"
count = 2
split = "train"

[stages.portray]
samples = 4

[stages.layers]
window_px = 15
"""


def write_manifest(folder):
    (folder / "raw").mkdir(parents=True)
    directions, faces = icosphere(5)
    write_ply(folder / "raw" / "ball.ply", RADIUS_MM * directions + [7e4, 0, 0], faces, {})
    manifest = folder / "scans.toml"
    manifest.write_text(TABLE)
    return manifest


@pytest.fixture(scope="module")
def built(forge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    ended = forge.run("build", write_manifest(folder))
    assert ended.code == 0, ended.err + ended.out
    return folder / "out" / "scans"


def test_volume_of_a_measured_scan_is_the_scan_itself(built):
    fields = ("occupancy_128", "occupancy_128_world_from_vox", "occupancy_128_share_cut")
    reader = ShardReader(built, split="test", fields=fields)
    assert len(reader) == 2
    for row in (reader[0], reader[1]):
        inside = np.argwhere(unpack(row["occupancy_128"], 128))
        world_from_vox = row["occupancy_128_world_from_vox"]
        voxel_m3 = abs(np.linalg.det(world_from_vox[:3, :3]))
        radius_m = (len(inside) * voxel_m3 * 3 / (4 * np.pi)) ** (1 / 3)
        # The ball's polygons lie within 0.1 % of its radius; 100,000 voxels of a rim of half voxels.
        assert radius_m == pytest.approx(0.5, rel=0.005) and row["occupancy_128_share_cut"] == 0
        centre_m = world_from_vox[:3, :3] @ inside.mean(axis=0) + world_from_vox[:3, 3]
        np.testing.assert_allclose(
            centre_m, [0, 0.5, 0], atol=0.002
        )  # it lies on the floor, above the origin


def rows(built, split, fields):
    reader = ShardReader(built, split=split, fields=list(fields))
    return [reader[index] for index in range(len(reader))]


def test_depth_of_a_scan_is_that_of_its_mesh_in_metres(built):
    for row in rows(built, "test", ("depth_m", "mask", "K", "world_from_cam", "normal")):
        seen = row["mask"]
        assert seen.sum() > 1500 and (row["depth_m"][~seen] == 0).all()
        points = transform(row["world_from_cam"], backproject(row["depth_m"], row["K"])[seen])
        radius_m = np.linalg.norm(points - [0, RADIUS_MM / 1e3, 0], axis=1)
        # A facet of 20,480 lies up to 0.2 mm below the sphere; the rest is float32's.
        assert radius_m.min() > 0.4995 and radius_m.max() < 0.50005
        # Fitted over 7 px, and the ball is some 60 px wide.
        outward = (points - [0, RADIUS_MM / 1e3, 0]) / radius_m[:, None]
        fitted = row["normal"][seen] @ row["world_from_cam"][:3, :3].T
        assert np.median(np.sum(outward * fitted, axis=1)) > np.cos(np.radians(3))


def test_a_file_brings_no_labels_and_a_drawn_person_all(built):
    index = read_index(built)
    assert set(LABELS + BODY) <= set(index["fields"]) and "depth_raw_m" not in index["fields"]
    person = rows(built, "train", (*LABELS, *BODY, "depth_median_m", "normal_residual_m", "fused_residual_m"))
    assert len(person) == 2 and person[0]["fused_residual_m"] == -1
    with pytest.raises(InputError, match="part14 of ball"):
        rows(built, "test", ("part14",))
    assert not set(LABELS + BODY) & set(index["captures"]["ball"]["fields"])


def test_body_parameters_give_the_very_joints_of_the_picture(built):
    for row in rows(built, "train", (*BODY, "world_from_cam", "K")):
        posed = default_body().posed(row["body_pose_rad"][None], row["body_betas"], row["body_transl_m"])
        joints_m = transform(row["world_from_cam"], row["joints_smpl24_cam_m"].astype(np.float64))
        # float32 at some metres, and the body model's own float32 shape directions
        np.testing.assert_allclose(joints_m, posed.joints_m[0], atol=2e-5)
        pixels = project(row["joints_tang16_cam_m"].astype(np.float64), row["K"])
        np.testing.assert_allclose(row["joints_tang16_px"], pixels, atol=1e-3)


def test_labels_lie_where_the_joints_are_seen(built):
    for row in rows(built, "train", (*LABELS, *BODY, "mask", "depth_m", "K", "image")):
        mask = row["mask"]
        for name in LABELS[:3]:
            np.testing.assert_array_equal(row[name] > 0, mask)
        assert (row["surface_uv"][~mask] == 0).all() and row["surface_uv"].max() <= 1
        joints_px = project(row["joints_smpl24_cam_m"].astype(np.float64), row["K"])
        found = 0
        for side in ("left", "right"):
            v, u = np.nonzero(row["part14"] == TANG14_NAMES.index(f"{side}_foot") + 1)
            if len(u) > 5:
                foot_px = joints_px[SURREAL24_NAMES.index(f"{side}_foot")]
                found += 1
                assert np.hypot(u.mean() - foot_px[0], v.mean() - foot_px[1]) < 4
        assert found
        # The head's joint is inside the head, behind what is seen before it.
        u, v = np.rint(joints_px[SURREAL24_NAMES.index("head")]).astype(int)
        assert 0.02 < row["joints_smpl24_cam_m"][15, 2] - row["depth_m"][v, u] < 0.2
        assert row["image"][mask].std() > 5


def test_the_graph_is_the_scan_the_pictures_and_what_stands_on_them(built):
    stages = sorted(path.name for path in (built / "stages").iterdir())
    assert stages == ["layers", "normals", "portray", "scan", "voxels"]
    page = (built / "report" / "index.html").read_text()
    assert "ann-waving" in page and "Parts, 14".lower() in page.lower()
    entry = read_index(built)["captures"]["ball"]
    assert entry["raw"] and entry["K_source"] == "drawn" and entry["role"] == "scan"
    assert "default body" in read_index(built)["licences"]["body model"]


def test_more_pictures_change_none_that_was_there(built):
    (place,) = built.glob("stages/scan/ann-waving/*/scan.npz")
    surface, settings = read_portrayable(place), PortraySettings()
    drawn = {"settings": settings, "seed": 4, "image_size_px": SIZE}
    two = draw_shots(surface, capture="ann-waving", count=2, **drawn)
    three = draw_shots(surface, capture="ann-waving", count=3, **drawn)
    other = draw_shots(surface, capture="bob-waving", count=2, **drawn)
    views = [[shot.view.world_from_cam for shot in shots] for shots in (two, three[:2], other)]
    np.testing.assert_array_equal(views[0], views[1])
    assert [shot.look.grain_seed for shot in two] == [shot.look.grain_seed for shot in three[:2]]
    assert not np.allclose(views[0], views[2]) and not np.allclose(*views[0])


def test_check_names_what_is_wrong_with_a_scan_and_plan_counts_it_once(bodytruth, tmp_path):
    manifest = write_manifest(tmp_path)
    assert bodytruth("check", manifest).code == 0
    manifest.write_text(TABLE.replace("unit_m = 0.001", "unit_m = 1"))
    said = bodytruth("check", manifest)
    assert said.code == 3 and "must be 0.8 to 2.3 m tall" in said.out + said.err
    (tmp_path / "raw" / "ball.ply").unlink()
    said = bodytruth("check", manifest)
    assert said.code == 3 and "is not there" in said.out + said.err
    planned = bodytruth("plan", manifest)
    assert planned.code == 0 and "11 of 11 to build" in planned.out
    assert bodytruth("why", manifest, "ann-waving").code == 0


@pytest.mark.slow
def test_the_same_manifest_gives_the_same_bytes(forge, built, tmp_path):
    ended = forge.run("build", write_manifest(tmp_path / "again"))
    assert ended.code == 0, ended.err + ended.out
    again = tmp_path / "again" / "out" / "scans"
    files = sorted(
        path.relative_to(built) for path in built.glob("stages/*/*/*/*") if path.name != "stage.json"
    )
    assert len(files) == 8
    for file in files:
        assert (built / file).read_bytes() == (again / file).read_bytes(), file


@pytest.mark.slow
@pytest.mark.real_data
def test_real_meshes_become_pictures(forge, data_root, tmp_path):
    if not (data_root / "ccby_bodies").is_dir():
        pytest.skip("ccby_bodies is not below BODYTRUTH_DATA_ROOT")
    text = (ROOT / "manifests" / "ccby-bodies.toml").read_text()
    manifest = tmp_path / "bodies.toml"
    manifest.write_text(text.replace("count = 4", "count = 1").replace("256", "96"))
    ended = forge.run("build", manifest, "--data-root", data_root, "--out", tmp_path / "out")
    assert ended.code == 0 and "5 samples of 5 captures sealed" in ended.out, ended.err + ended.out
    for place in (tmp_path / "out").glob("ccby-bodies/stages/scan/*/*/scan.npz"):
        surface = read_portrayable(place)
        low, high = surface.vertices_m.min(axis=0), surface.vertices_m.max(axis=0)
        # Upright and in metres: taller than wide but for stretched arms, a tenth as deep as tall or more.
        assert abs(low[1]) < 1e-6 and 1.6 < high[1] < 1.85 and high[2] - low[2] < 0.35
