"""Which captures can have bodies as a target, and what these are fitted to."""

from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest

DRAWN = 'format = "simulated"\ncount = 4\n'
FILMED = 'format = "rgbd-folder"\npath = "a"\nfiles = { depth = "{frame}.png", calibration = "K.json" }\n'
FILES = 'landmark_files = { kind = "openpose", file = "{frame}.json" }\n'
PICTURES = (
    'format = "keypoints"\nrole = "image"\npath = "a"\nannotations = { kind = "coco", file = "a.json" }\n'
)
POINTS = PICTURES.replace('"keypoints"', '"densepose-coco"').replace('"coco"', '"points"')
CHARTS = POINTS.replace('"points", file = "a.json"', '"iuv", file = "{name}_IUV.png", images = "{name}.jpg"')
BODIES = 'targets = ["body"]\n'


def capture(tmp_path: Path, text: str):
    path = tmp_path / "m.toml"
    path.write_text('[dataset]\nname = "d"\n[[capture]]\nid = "c"\nsplit = "train"\n' + text)
    return load_manifest(path).captures["c"]


@pytest.mark.parametrize(
    ("text", "fitted_to"),
    [
        (DRAWN, None),
        (DRAWN + BODIES, None),
        (DRAWN + BODIES + 'landmarks = "truth"\n', "truth"),
        (FILMED, None),
        (FILMED + BODIES + FILES, "file"),
        (FILMED + BODIES + FILES + 'landmarks = "file"\n', "file"),
        (PICTURES, None),
        (PICTURES + 'targets = ["body", "voxels"]\nfov_deg = 50.0\n', "file"),
        (POINTS + BODIES, "file"),
    ],
)
def test_bodies_are_known_or_fitted_to_what_the_capture_brings(tmp_path, text, fitted_to):
    assert capture(tmp_path, text).fitted_to == fitted_to


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FILMED + BODIES, "a body that is known or can be fitted"),
        (CHARTS + BODIES, "a body that is known or can be fitted"),
        (
            FILMED + BODIES + FILES + 'landmarks = "truth"\n',
            'needs a person who is known: format "simulated"',
        ),
        (DRAWN + BODIES + 'landmarks = "file"\n', "needs files that bring key points"),
        (DRAWN + BODIES + FILES, "captures whose own files bring depth"),
        (PICTURES + BODIES + FILES, "captures whose own files bring depth"),
        (FILMED + FILES, "name targets too"),
        (DRAWN + 'landmarks = "truth"\n', "name targets too"),
        (DRAWN + 'role = "scan"\nlandmarks = "truth"\n', "a scan is not fitted"),
        (DRAWN + "fov_deg = 50.0\n", 'fov_deg goes with role "image" alone'),
        (PICTURES + 'targets = ["motion"]\n', 'goes with role "moving"'),
        (FILMED + BODIES + FILES.replace("{frame}", "all"), "must hold {frame} 1 times"),
        (FILMED + BODIES + FILES.replace("openpose", "coco"), "must hold {frame} 0 times"),
    ],
)
def test_bodies_that_nothing_brings_are_refused_with_the_way_out(tmp_path, text, words):
    with pytest.raises(ManifestError, match=words.replace("{", r"\{").replace("}", r"\}")):
        capture(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("starts = 5", "starts"),
        ("kept = 9", "kept must be at most starts"),
        ("landmark_noise_px = -1.0", "noise"),
    ],
)
def test_settings_of_a_fit_are_checked(tmp_path, line, words):
    with pytest.raises(ManifestError, match=words):
        capture(tmp_path, DRAWN + f"[stages.fit]\n{line}\n")
