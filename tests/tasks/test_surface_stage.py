"""Dense correspondences from pixels to the body's surface: of drawn people by their charts, of pictures by a file."""

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from pipeline.bodies.model import default_body
from pipeline.captures.truth import read_truth
from pipeline.correspondences.chart_file import convert_densepose_mat
from pipeline.correspondences.charts import own_charts
from pipeline.correspondences.geodesic import body_surface
from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from pipeline.shards import ShardReader, read_index
from pipeline.simulation.label_view import bare_figure, label_view
from pipeline.subsets import Subset

PLACE = Path(__file__).parents[1] / "pipeline" / "correspondences" / "densepose_like.py"
SPEC = importlib.util.spec_from_file_location("densepose_like", PLACE)
assert SPEC and SPEC.loader
like = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(like)

SIZE_PX = 256
K = np.array([[330.0, 0, 127.5], [0, 330.0, 127.5], [0, 0, 1]])
WORLD_FROM_CAM = np.array([[1.0, 0, 0, 0], [0, -1, 0, -0.2], [0, 0, -1, 2.6], [0, 0, 0, 1]])
NAMES = ("px", "part", "uv", "face", "bary", "vertex", "reason", "charts", "body")
FIELDS = [f"surface_points_{name}" for name in NAMES]
HEAD = '[dataset]\nname = "points"\nseed = 2\nimage_size_px = 128\ndata_root = "raw"\noutput = "out"\n'
WALK = """
[[capture]]
id = "walk"
format = "simulated"
role = "moving"
count = 2
foreground = "given"
targets = ["surface"]
split = "train"
[capture.simulation]
motion = "walk"
"""
PICTURES = """
[[capture]]
id = "points"
format = "densepose-coco"
path = "pictures"
role = "image"
targets = ["surface"]
chart_file = "charts.npz"
split = "test"
annotations = { kind = "points", file = "people.json" }

[[capture]]
id = "charts"
format = "densepose-coco"
path = "pictures"
role = "image"
targets = ["surface"]
chart_file = "charts.npz"
split = "test"
annotations = { kind = "iuv", file = "{name}_IUV.png", images = "{name}.png" }
"""
ONE = PICTURES.partition('\n[[capture]]\nid = "charts"')[0]
SCAN = """
[[capture]]
id = "drawn"
format = "simulated"
role = "scan"
count = 2
targets = ["surface"]
split = "train"
[stages.portray]
samples = 4
[stages.layers]
window_px = 15
"""


def seen_person():
    body = default_body()
    pose_rad = np.random.default_rng(0).normal(0, 0.15, (24, 3))
    pose_rad[0] = [0, 0.3, 0]
    figure = bare_figure(body, pose_rad, np.zeros(body.betas), np.zeros(3))
    return label_view(figure, K, WORLD_FROM_CAM, size_px=SIZE_PX)


@pytest.fixture(scope="module")
def person():
    return seen_person()


def write_pictures(raw, person):
    """A body's picture with an annotator's points and a network's charts, a mirrored one, and the atlas of both."""
    seen, labels = person
    (raw / "pictures").mkdir(parents=True)
    savemat(raw / "UV.mat", like.mat_arrays(default_body(), own_charts(default_body())))
    convert_densepose_mat(raw / "UV.mat", raw / "charts.npz")
    part, uv = labels["surface_part"], (labels["surface_uv"] * [-1, 1] + [1, 0]) * labels["mask"][..., None]
    cv2.imwrite(str(raw / "pictures" / "a.png"), np.full((SIZE_PX, SIZE_PX, 3), 90, np.uint8))
    iuv = np.concatenate([part[..., None], np.rint(255 * uv)], axis=-1).astype(np.uint8)
    cv2.imwrite(str(raw / "pictures" / "a_IUV.png"), iuv)
    cv2.imwrite(str(raw / "pictures" / "b.png"), np.full((SIZE_PX, SIZE_PX, 3), 90, np.uint8))
    cv2.imwrite(str(raw / "pictures" / "b_IUV.png"), iuv[:, ::-1])
    v, u = np.argwhere(labels["mask"])[::97][:150].T
    people = [
        {
            "image": "a.png", "width": SIZE_PX, "height": SIZE_PX, "bbox": [0, 0, SIZE_PX, SIZE_PX],
            "dp_x": (u + 0.5).tolist(), "dp_y": (v + 0.5).tolist(), "dp_I": part[v, u].tolist(),
            "dp_U": uv[v, u, 0].tolist(), "dp_V": uv[v, u, 1].tolist(),
        }
    ]  # fmt: skip
    (raw / "pictures" / "people.json").write_text(json.dumps(people[0]))
    return v, u


@pytest.fixture(scope="module")
def built(forge, person, tmp_path_factory):
    folder = tmp_path_factory.mktemp("surface")
    chosen = write_pictures(folder / "raw", person)
    (folder / "raw" / "broken.npz").write_bytes(b"PK\x03\x04 no charts")
    bad = [
        ONE.replace('id = "points"', f'id = "{name}"').replace("charts.npz", f"{name}.npz")
        for name in ("missing", "broken")
    ]
    (folder / "points.toml").write_text(HEAD + PICTURES + "".join(bad))
    ended = forge.run("build", folder / "points.toml")
    assert ended.code == 3, ended.err + ended.out
    return folder / "out" / "points", chosen


def rows(dataset, capture, *more):
    split = read_index(dataset)["captures"][capture]["split"]
    reader = ShardReader(
        dataset, split=split, fields=[*FIELDS, "frame", *more], subset=Subset(captures=[capture])
    )
    return [reader[index] for index in range(len(reader))]


def stats(dataset, capture):
    found = read_index(dataset)["captures"][capture]["stats"]
    return {name: stat["value"] for name, stat in found.items()}


def error_m(truth, row, on):
    places = row["surface_points_face"][on], row["surface_points_bary"][on]
    return body_surface(default_body()).distances_between(truth, places)


@pytest.mark.slow
def test_points_of_a_moving_person_lie_where_the_true_body_is_seen(forge, tmp_path):
    (tmp_path / "points.toml").write_text(HEAD + WALK)
    ended = forge.run("build", tmp_path / "points.toml")
    assert ended.code == 0, ended.err + ended.out
    dataset = tmp_path / "out" / "points"
    (raw,) = dataset.glob("stages/simulate/walk/*/raw/truth")
    known = read_truth(raw)
    for row in rows(dataset, "walk", "K", "world_from_cam"):
        at = known.frames.index(int(row["frame"]))
        figure = bare_figure(default_body(), known.pose_rad[at], known.betas[at], known.transl_m[at])
        seen, _ = label_view(figure, row["K"], row["world_from_cam"], size_px=128)
        u, v = row["surface_points_px"].astype(int).T
        off_m = error_m((seen.face_index[v, u], seen.bary[v, u]), row, row["surface_points_reason"] == 0)
        assert len(off_m) == 196 and np.median(off_m) < 1e-6 and off_m.max() < 1e-4
    found = stats(dataset, "walk")
    assert found["surface points placed"] == 1 and found["surface error along the body, median"] < 1e-6
    assert found["surface point similarity (GPS)"] > 0.9999
    # Where a leg or an arm passes before the other, the other's joints may lie nearer in the picture.
    assert found["surface sides right, by the key points"] > 0.9
    assert found["surface sides right, by the way that charts turn"] > 0.98


def test_points_of_an_annotator_go_through_the_users_charts_to_the_true_place(built, person):
    dataset, (v, u) = built
    (row,) = rows(dataset, "points")
    there = row["surface_points_reason"] == 0
    assert there.sum() == len(u) and (row["surface_points_reason"][~there] == 1).all()
    truth = person[0].face_index[v, u], person[0].bary[v, u]
    # Two toe faces have no chart: a point there goes to the rim of a face beside it.
    off_m = error_m(truth, row, there)
    assert np.median(off_m) < 1e-5 and np.quantile(off_m, 0.99) < 1e-4
    assert (row["surface_points_charts"], row["surface_points_body"]) == ("densepose", "anny-adult")
    found = stats(dataset, "points")
    assert found["surface points placed"] == 1
    assert found["surface sides right, by the way that charts turn"] > 0.8
    assert "surface error along the body, median" not in found  # nothing is known of a picture


def test_charts_of_a_network_go_through_the_users_charts_to_the_true_part(built):
    dataset, _ = built
    (row,) = rows(dataset, "charts", "densepose_part", "densepose_uv")
    u, v = row["surface_points_px"].astype(int).T
    np.testing.assert_array_equal(row["surface_points_part"], row["densepose_part"][v, u])
    part, uv = own_charts(default_body()).atlas.at(row["surface_points_face"], row["surface_points_bary"])
    np.testing.assert_array_equal(part, row["surface_points_part"])
    off = np.abs([1, 0] + [-1, 1] * uv - row["densepose_uv"][v, u]).max(axis=1)
    # At the rim, half a step of 8 bit may lie beyond the chart.
    assert np.quantile(off, 0.9) < 1e-6 and off.max() < 2 / 255


def test_a_mirrored_picture_becomes_a_row_and_no_sample(built):
    dataset, _ = built
    (row,) = (row for row in read_index(dataset)["quarantine"] if row["frame"] is not None)
    assert (row["capture"], row["frame"], row["stage"]) == ("charts", 1, "surface")
    assert row["reason"] == "sides-swapped" and row["value"] < 0.05
    assert abs(stats(dataset, "charts")["surface sides right, by the way that charts turn"] - 0.5) < 0.05


def test_other_charts_make_the_points_again_and_nothing_before_them(built, forge):
    dataset, _ = built
    manifest = dataset.parents[1] / "points.toml"
    place = manifest.parent / "raw" / "charts.npz"
    whole = place.read_bytes()
    try:
        savemat(
            manifest.parent / "raw" / "other.mat",
            like.mat_arrays(default_body(), own_charts(default_body()), seed=1),
        )
        convert_densepose_mat(manifest.parent / "raw" / "other.mat", place)
        planned = json.loads(forge.run("plan", manifest, "--json").out)
    finally:
        place.write_bytes(whole)
    states = {(row["stage"], row["capture"]): row["state"] for row in planned["rows"]}
    for capture in ("points", "charts"):
        assert states["annotated", capture] == "done"
        assert states["surface", capture] != "done"


def test_a_chart_file_that_is_not_there_or_none_stops_its_captures_alone(built):
    dataset, _ = built
    index = read_index(dataset)
    found = {name: (capture["rejected"], capture["samples"]) for name, capture in index["captures"].items()}
    assert found == {
        "points": (None, 1),
        "charts": (None, 1),
        "missing": ("chart-file-missing", 0),
        "broken": ("chart-file-malformed", 0),
    }
    assert str(dataset.parents[1]) not in json.dumps(index["quarantine"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({'chart_file = "charts.npz"\n': ""}, "bodytruth convert-charts UV_Processed.mat"),
        ({'targets = ["surface"]\n': ""}, "chart_file goes with format densepose-coco"),
        ({'chart_file = "charts.npz"': 'chart_body = "smpl.npz"'}, "give chart_file too"),
        ({"charts.npz": "/charts.npz"}, "chart_file"),
        ({"charts.npz": "UV_Processed.mat"}, "chart_file"),
    ],
)
def test_a_picture_without_its_atlas_is_refused_by_the_manifest(tmp_path, changes, words):
    text = ONE
    for old, new in changes.items():
        text = text.replace(old, new)
    (tmp_path / "points.toml").write_text(HEAD + text)
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "points.toml")
    assert words in str(caught.value)


def test_a_scan_from_a_file_has_no_body_to_lie_on(tmp_path):
    text = SCAN.replace('"simulated"', '"scan"\npath = "ball.ply"\nscan = { unit_m = 1.0 }')
    (tmp_path / "points.toml").write_text(HEAD + text)
    with pytest.raises(ManifestError, match="the body below it"):
        load_manifest(tmp_path / "points.toml")


@pytest.mark.slow
def test_points_of_a_drawn_scan_lie_on_the_body_below_its_clothes(forge, tmp_path):
    (tmp_path / "points.toml").write_text(HEAD + SCAN)
    ended = forge.run("build", tmp_path / "points.toml")
    assert ended.code == 0, ended.err + ended.out
    dataset = tmp_path / "out" / "points"
    (row, _) = rows(dataset, "drawn", "surface_part", "mask")
    u, v = row["surface_points_px"].astype(int).T
    assert row["mask"][v, u].all()
    np.testing.assert_array_equal(row["surface_points_part"], row["surface_part"][v, u])
    # Two renderers: at edges of folds they see different sheets now and then.
    found = stats(dataset, "drawn")
    assert found["surface error along the body, median"] < 1e-3
    assert found["surface point similarity (GPS)"] > 0.99
