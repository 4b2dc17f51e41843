"""Bodies fitted to a drawn person's own joints, and how far they lie from the true ones."""

import pytest

from pipeline.shards import ShardReader, read_index

DRAWN = """
[dataset]
name = "drawn"
output = "out"

[[capture]]
id = "eva"
format = "simulated"
role = "moving"
count = 3
foreground = "given"
targets = ["body", "voxels"]
landmarks = "truth"
split = "train"
[capture.simulation]
motion = "walk"
"""


@pytest.mark.slow
def test_a_drawn_persons_fits_are_held_against_the_true_body(forge, tmp_path):
    (tmp_path / "m.toml").write_text(DRAWN)
    ended = forge.run("build", tmp_path / "m.toml")
    assert ended.code == 0, ended.err + ended.out
    stats = read_index(tmp_path / "out" / "drawn")["captures"]["eva"]["stats"]
    # The accuracy asked of fits with depth; clothes stand between the sensor and the skin.
    assert 0 < stats["truth body joint error about the root, mean"]["value"] < 0.025
    assert 0 < stats["truth body surface error, mean"]["value"] < 0.030
    assert 0.7 < stats["truth body volume overlap, median"]["value"] < 1
    reader = ShardReader(
        tmp_path / "out" / "drawn", split="train", fields=["joints_coco17_px", "body_fit_source"]
    )
    assert [reader[row]["body_fit_source"] for row in range(len(reader))] == ["truth"] * 3
