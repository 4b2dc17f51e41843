"""Captures whose depth is ground truth already go from ingest to shards without fusion or rendering."""

import cv2
import numpy as np
import pytest

from pipeline.shards import ShardReader, read_index

TABLE = """
[dataset]
name = "maps"
image_size_px = 256
data_root = "raw"
output = "out"

[[capture]]
id = "ann"
format = "tang2019"
path = "maps"
role = "fused"
frames = [1, 2]
split = "train"

[stages.layers]
window_px = 15
"""


@pytest.fixture(scope="module")
def built(forge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fused")
    raw = folder / "raw" / "maps"
    raw.mkdir(parents=True)
    v, u = np.mgrid[:224, :224]
    for frame in (1, 2, 7):
        person = ((u - 112) / 50) ** 2 + ((v - 112) / 90) ** 2 < 1
        np.save(
            raw / f"{frame:04d}_depth.npy",
            np.where(person, 2 + 0.001 * u + 0.01 * frame, 0).astype(np.float32),
        )
        cv2.imwrite(str(raw / f"{frame:04d}_img_resize.jpg"), np.full((256, 256, 3), 90 + frame, np.uint8))
    manifest = folder / "maps.toml"
    manifest.write_text(TABLE)
    ended = forge.run("build", manifest)
    assert ended.code == 0, ended.err + ended.out
    return folder / "out" / "maps"


def test_chosen_maps_become_samples_of_the_same_fields_as_fused_captures(built):
    index = read_index(built)
    reader = ShardReader(built, split="train", fields=list(index["fields"]))
    assert [reader[i]["frame"] for i in range(len(reader))] == [1, 2]
    assert {"depth_m", "normal", "base_m", "fused_residual_m", "fused_coverage"} <= set(index["fields"])
    assert reader[0]["fused_residual_m"] == -1 and index["captures"]["ann"]["K_source"] == "assumed"


def test_depth_is_the_given_one_moved_onto_the_image_without_its_rim(built):
    row = ShardReader(built, split="train", fields=["depth_m", "depth_raw_m", "mask", "detail_m"])[0]
    mask = row["mask"]
    np.testing.assert_array_equal(row["depth_m"][mask], row["depth_raw_m"][mask])
    assert mask.sum() < np.count_nonzero(row["depth_raw_m"])
    columns = np.flatnonzero((row["depth_raw_m"] > 0).any(axis=0))
    centre = (columns[0] + columns[-1]) / 2
    assert abs(centre - (112.5 * 256 / 224 - 0.5 + 3)) < 1  # 3 px to the right of where the map has it
    assert np.abs(row["detail_m"][mask]).max() < 0.01  # a slope is all base inside


def test_no_fusion_and_no_rendering_took_place(built):
    assert sorted(path.name for path in (built / "stages").iterdir()) == [
        "adopt",
        "foreground",
        "ingest",
        "layers",
        "normals",
    ]
    assert (built / "report" / "index.html").is_file()
