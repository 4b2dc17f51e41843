"""Captures bring what their format has: colour, poses and depth may be missing, and samples then lack those fields."""

import json

import cv2
import numpy as np
import pytest

from pipeline.cameras import pixel_rays
from pipeline.errors import InputError
from pipeline.shards import ShardReader, read_index
from pipeline.store import FrameReader

SIZE_HW, FOCAL_PX = (96, 128), 110.0
K = np.array([[FOCAL_PX, 0, 63.5], [0, FOCAL_PX, 47.5], [0, 0, 1]])
JOINTS = {0: (60.0, 30.0), 5: (70.0, 45.0), 6: (50.0, 45.0), 11: (66.0, 70.0)}  # of COCO's 17, in the picture
TABLE = """
[dataset]
name = "mixed"
image_size_px = 64
data_root = "raw"
output = "out"

[[capture]]
id = "cloud"
format = "pcd"
path = "cloud.pcd"
role = "moving"
split = "train"

[[capture]]
id = "sequence"
format = "tum"
path = "sequence"
role = "moving"
split = "val"
tum = { calibration = "K.txt" }

[[capture]]
id = "unposed"
format = "tum"
path = "sequence"
role = "static"
split = "val"
tum = { calibration = "K.txt" }

[[capture]]
id = "people"
format = "keypoints"
path = "people"
role = "image"
foreground = "given"
split = "test"
annotations = { kind = "coco", file = "people.json", images = "pictures" }

[[capture]]
id = "mixed-clouds"
format = "pcd"
path = "clouds"
role = "moving"
split = "train"

[stages.layers]
window_px = 15
"""


def dome(nearer_m: float = 0.0) -> np.ndarray:
    """Depth (H W) of a ball of 0.3 m before a wall, metres."""
    rays = pixel_rays(K, *SIZE_HW)
    square, along = np.sum(rays**2, -1), rays[..., 2] * (1.2 - nearer_m)
    inside = along**2 - square * ((1.2 - nearer_m) ** 2 - 0.3**2)
    ball = (along - np.sqrt(np.maximum(inside, 0))) / square
    return np.where(inside > 0, ball, 1.8 - nearer_m)


def write_cloud(path, *, colour: bool = False) -> None:
    points = pixel_rays(K, *SIZE_HW) * dome(0.01 * colour)[..., None]
    points[0, :5] = np.nan
    if colour:
        grey = np.uint32(0x808080).view(np.float32)  # PCL packs three bytes into a float
        points = np.concatenate([points, np.full((*SIZE_HW, 1), grey)], axis=-1)
    names, count = ("x y z rgb", 4) if colour else ("x y z", 3)
    head = (
        f"# .PCD v0.7\nVERSION 0.7\nFIELDS {names}\nSIZE {' '.join('4' * count)}\nTYPE {' '.join('F' * count)}\n"
        f"COUNT {' '.join('1' * count)}\n"
        f"WIDTH {SIZE_HW[1]}\nHEIGHT {SIZE_HW[0]}\nVIEWPOINT 0 0 0 1 0 0 0\n"
        f"POINTS {SIZE_HW[0] * SIZE_HW[1]}\nDATA binary\n"
    )
    path.write_bytes(head.encode() + points.astype("<f4").tobytes())


def write_sequence(folder) -> None:
    for name in ("depth", "rgb"):
        (folder / name).mkdir(parents=True)
    np.savetxt(folder / "K.txt", K)
    for number in range(2):
        depth_raw = np.round(5000 * dome(0.05 * number)).astype(np.uint16)
        cv2.imwrite(str(folder / "depth" / f"{number}.png"), depth_raw)
        cv2.imwrite(str(folder / "rgb" / f"{number}.png"), np.full((*SIZE_HW, 3), 90 + number, np.uint8))
    for name, kind in (("depth", "depth"), ("rgb", "rgb")):
        rows = "".join(f"{5 + number / 30:.4f} {kind}/{number}.png\n" for number in range(2))
        (folder / f"{name}.txt").write_text(rows)


def write_people(folder) -> None:
    """A picture whose marked joints are bright dots, a person of 18 px, and a crowd."""
    (folder / "pictures").mkdir(parents=True)
    picture = np.zeros((*SIZE_HW, 3), np.uint8)
    for u, v in JOINTS.values():
        cv2.circle(picture, (int(u), int(v)), 2, (255, 255, 255), -1)
    cv2.imwrite(str(folder / "pictures" / "a.png"), picture)
    marked = [0.0] * 51
    for joint, (u, v) in JOINTS.items():
        marked[3 * joint : 3 * joint + 3] = [u, v, 2]
    person = {"id": 1, "image_id": 7, "category_id": 1, "iscrowd": 0, "keypoints": marked, "num_keypoints": 4,
              "bbox": [40, 20, 40, 60], "segmentation": [[40, 20, 80, 20, 80, 80, 40, 80]]}  # fmt: skip
    small = {**person, "id": 2, "bbox": [60, 30, 10, 18]}
    crowd = {**person, "id": 3, "iscrowd": 1}
    images = [{"id": 7, "file_name": "a.png", "width": SIZE_HW[1], "height": SIZE_HW[0]}]
    content = {"images": images, "annotations": [person, small, crowd], "categories": [{"id": 1}]}
    (folder / "people.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def built(forge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    (folder / "raw").mkdir()
    write_cloud(folder / "raw" / "cloud.pcd")
    (folder / "raw" / "clouds").mkdir()
    for number in range(2):
        write_cloud(folder / "raw" / "clouds" / f"{number}.pcd", colour=number == 1)
    write_sequence(folder / "raw" / "sequence")
    write_people(folder / "raw" / "people")
    (folder / "mixed.toml").write_text(TABLE)
    return folder / "out" / "mixed", forge.run("build", folder / "mixed.toml")


def test_what_a_capture_does_not_bring_is_no_field(built):
    captures = read_index(built[0])["captures"]
    cloud, sequence = set(captures["cloud"]["fields"]), set(captures["sequence"]["fields"])
    assert {"depth_m", "K", "normal", "detail_m"} <= cloud & sequence
    assert not {"image", "world_from_cam"} & cloud and sequence - cloud == {"image"}
    assert captures["cloud"]["K_source"] == "fitted to the points"
    with pytest.raises(InputError, match="image of cloud"):
        ShardReader(built[0], split="train", fields=["image", "depth_m"])[0]
    row = ShardReader(built[0], split="train", fields=["K", "depth_m", "mask"])[0]
    assert row["K"][0, 0] == pytest.approx(FOCAL_PX * 64 / 96)
    assert row["depth_m"][32, 32] == pytest.approx(0.9, abs=1e-3) and row["mask"].mean() > 0.8


def test_a_static_capture_without_poses_is_refused_frame_by_frame(built):
    _, ended = built
    assert ended.code == 3 and "4 captures sealed" in ended.out
    rows = [row for row in read_index(built[0])["quarantine"] if row["capture"] == "unposed"]
    assert [(row["reason"], row["frame"]) for row in rows] == [("pose-missing", f) for f in (None, 0, 1)]
    assert 'set role = "moving"' in rows[1]["message"]


def test_joints_move_with_the_picture_that_they_are_marked_on(built):
    index = read_index(built[0])
    assert index["captures"]["people"]["stats"]["usable frames"]["value"] == pytest.approx(1 / 3)
    fields = ["image", "person_mask", "joints_coco17_px", "joints_coco17_confidence", "joints_coco17_visible"]
    samples = ShardReader(built[0], split="test", fields=fields)
    assert len(samples) == 1
    row = samples[0]
    there = np.flatnonzero(row["joints_coco17_confidence"])
    assert there.tolist() == sorted(JOINTS) and row["joints_coco17_visible"].sum() == len(JOINTS)
    white = cv2.cvtColor(row["image"], cv2.COLOR_RGB2GRAY) > 100
    count, _, _, centres = cv2.connectedComponentsWithStats(white.astype(np.uint8))
    assert count == 1 + len(JOINTS)
    # A dot of 5 px shrinks to 4: its centre is good to half a pixel.
    for u, v in row["joints_coco17_px"][there]:
        assert np.hypot(*(centres[1:] - [u, v]).T).min() < 0.5
    # The box of 60 px fills 1 / 1.2 of the crop, the margins of 10 % lie above and below.
    rows_px = np.flatnonzero(row["person_mask"].any(axis=1))
    assert (rows_px[0], rows_px[-1]) == (pytest.approx(64 / 12, abs=1), pytest.approx(64 * 11 / 12, abs=1))


def test_people_who_are_left_out_are_rows_with_a_picture(built):
    rows = [row for row in read_index(built[0])["quarantine"] if row["capture"] == "people"]
    assert [(row["frame"], row["reason"]) for row in rows] == [
        (1, "person-too-small"),
        (2, "crowd-annotation"),
    ]
    assert (rows[0]["value"], rows[0]["limit"], rows[0]["unit"]) == (18.0, 32.0, "px")
    (kept,) = built[0].glob("stages/annotated/people/*/rejected.h5")
    with FrameReader(kept) as reader:
        assert reader.column("frame").tolist() == [1]
        assert reader.row(0, ["rejected_picture"])["rejected_picture"].max() == 255
    page = (built[0] / "report" / "index.html").read_text()
    assert "As they looked" in page and "joints, coco17" in page.lower()


def test_a_frame_that_brings_something_else_is_left_out(built):
    (row,) = (row for row in read_index(built[0])["quarantine"] if row["capture"] == "mixed-clouds")
    assert (row["frame"], row["reason"], row["drops"]) == (1, "frame-differs", True)
    assert "brings depth 128x96 px and colour 128x96 px" in row["message"]


def test_check_says_beforehand_what_the_build_leaves_out(forge, built):
    said = forge.run("check", built[0].parents[1] / "mixed.toml")
    assert said.code == 3
    reasons = [line.split(":")[0] for line in said.out.splitlines() if ":" in line]
    assert reasons == [
        "frame-differs",
        "person-too-small",
        "crowd-annotation",
        "pose-missing",
        "pose-missing",
    ]
    counted = {words[0]: words[1:] for line in said.out.splitlines() if len(words := line.split()) == 3}
    assert counted["people"] == ["3", "1"] and counted["unposed"] == ["2", "0"]
    assert counted["cloud"] == ["1", "1"] and counted["sequence"] == ["2", "2"]
