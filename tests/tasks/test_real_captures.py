"""Every real capture that a shipped manifest names: how much of it can be used, and why not the rest."""

from pathlib import Path

import pytest

from pipeline.manifest import DATA_ROOT_VARIABLE
from pipeline.shards import read_index
from tasks.checking import checked_captures

MANIFESTS = Path(__file__).parents[2] / "manifests"
# Of each capture: frames chosen, frames usable, and the reasons of those that are not.
EXPECTED: dict[str, dict[str, tuple[int, int, list[str]]]] = {
    "7scenes-room": {"7scenes-room": (150, 150, [])},
    "apc-shelf": {"apc-shelf": (50, 50, [])},
    "azure-desk": {"azure-desk": (1, 1, [])},
    "deepdeform-shirt": {"scene": (2, 2, []), "shirt": (2, 1, ["mask-missing"])},
    "open3d-room": {"open3d-room": (5, 5, [])},
    "pcl-people": {name: (1, 1, []) for name in (*(f"standing-{n}" for n in range(1, 6)), "seated")},
    "people-pictures": {
        "coco": (14, 12, ["no-keypoints"] * 2),
        "coco-wholebody": (14, 12, ["no-keypoints"] * 2),
        "openpose": (1, 1, []),
    },
    "densepose-pictures": {"charts": (13, 11, ["person-too-small"] * 2), "points": (1, 1, [])},
    "tracked-room": {"room": (150, 150, [])},
    "tang2019": {
        name: (frames, frames, [])
        for name, frames in {
            "black-hoodie": 5, "black-zip-jacket": 1, "glasses": 10, "grey-top": 9, "maroon-hoodie": 9,
        }.items()
    },
}  # fmt: skip


# The others are built by tests of their own.
BUILT = sorted(set(EXPECTED) - {"7scenes-room", "apc-shelf", "tang2019"})


@pytest.fixture
def places(data_root, own_places, monkeypatch):
    monkeypatch.setenv(DATA_ROOT_VARIABLE, str(data_root))


def usable(name: str) -> dict[str, tuple[int, int, list[str]]]:
    return {
        checked.capture: (checked.frames, checked.usable, [finding.reason for finding in checked.findings])
        for checked in checked_captures(str(MANIFESTS / f"{name}.toml"))
    }


@pytest.mark.real_data
@pytest.mark.parametrize("name", EXPECTED)
def test_what_can_be_used_of_each_capture(places, name):
    assert usable(name) == EXPECTED[name]


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("name", BUILT)
def test_each_is_built_with_a_sheet_and_its_usable_share(forge, data_root, tmp_path, name):
    said = forge.run("build", MANIFESTS / f"{name}.toml", "--data-root", data_root, "--out", tmp_path)
    assert said.code == 0, said.err + said.out
    index = read_index(tmp_path / name)
    page = (tmp_path / name / "report" / "index.html").read_text()
    for capture, (frames, kept, _) in EXPECTED[name].items():
        assert index["captures"][capture]["samples"] == kept
        assert f"{kept / frames:.1%}" in said.out
        assert f"Contact sheet of {capture}" in page
