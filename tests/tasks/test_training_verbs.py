"""From training manifests to runs: one that starts from another, and one that would start from itself."""

import json

RUN = """[model]
name = "depth-net"
[data]
dataset = "demo"
[[phase]]
name = "one"
losses = {{ base = 1.0 }}
optimizer = {{ name = "adam", lr = 0.001 }}
steps = 5
init = {{ manifest = "{other}" }}
"""


def test_manifests_that_start_from_each_other_are_refused(bodytruth, tmp_path):
    (tmp_path / "out/demo").mkdir(parents=True)
    index = {"schema": "1.0", "fingerprint": "0123456789abcdef"}
    (tmp_path / "out/demo/dataset.json").write_text(json.dumps(index))
    for name, other in (("a", "b.toml"), ("b", "a.toml"), ("alone", "alone.toml")):
        (tmp_path / f"{name}.toml").write_text(RUN.format(other=other))
    for name, way in (("a", "b.toml"), ("alone", "alone.toml")):
        said = bodytruth("train", tmp_path / f"{name}.toml", "--out", tmp_path / "out")
        assert said.code == 2 and said.err.count("\n") == 1
        assert f"{name}.toml: phase.init: must not start from itself, does by way of {way}" in said.err


def test_manifest_whose_start_is_not_trained_names_the_command(bodytruth, tmp_path):
    (tmp_path / "out/demo").mkdir(parents=True)
    index = {"schema": "1.0", "fingerprint": "0123456789abcdef"}
    (tmp_path / "out/demo/dataset.json").write_text(json.dumps(index))
    (tmp_path / "b.toml").write_text(RUN.format(other="").replace('init = { manifest = "" }\n', ""))
    (tmp_path / "a.toml").write_text(RUN.format(other="b.toml"))
    said = bodytruth("train", tmp_path / "a.toml", "--out", tmp_path / "out")
    assert said.code == 2 and f"Run `bodytruth train {tmp_path / 'b.toml'}` first" in said.err
