"""Broken inputs, each in one way, in one build: every one is a row that says what to do, and the rest is built."""

import csv
import html
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.shards import ShardReader, read_index

CAPTURES = {
    "good": "train",
    "broken-frames": "test",
    "hopeless": "val",
    "gone": "train",
    "uncalibrated": "train",
    "misfit": "train",
    "unchosen": "train",
}
COUNT = 16


@dataclass(frozen=True)
class Fault:
    """What a row must say: its reason, the file, and words of what was found and of what to do."""

    reason: str
    file: str
    finding: str
    step: str


FRAMES = {
    # The first frame is of another size: the rest still decides what the capture's size is.
    0: Fault("depth-size", "000.depth.png", "is 64x48 px", "Give this camera's own"),
    1: Fault("depth-missing", "001.depth.png", "is missing", "Restore the file"),
    2: Fault("unreadable-depth", "002.depth.png", "is cut off after 700 bytes", "Copy it again"),
    3: Fault("depth-type", "003.depth.png", "is uint8 (96, 128)", "Export the raw depth"),
    5: Fault("empty-depth", "005.depth.png", "has none of 12288", "Leave the frame out"),
    6: Fault("pose-not-rigid", "006.pose.txt", "is off by 0.21", "Track this frame again"),
    7: Fault("pose-not-rigid", "007.pose.txt", "is off by inf", "Track this frame again"),
    8: Fault("color-missing", "008.color.png", "is missing", "Restore the file"),
    9: Fault("color-size", "009.color.png", "is 64x48 px", "Give this camera's own"),
    10: Fault("pose-missing", "010.pose.txt", "is missing", "Restore or track it"),
    11: Fault("pose-malformed", "011.pose.txt", "has 3 rows of [4]", "Export it"),
    # Two faults in one frame: one row, for the first that stood in the way.
    12: Fault("unreadable-depth", "012.depth.png", "is cut off after 700 bytes", "Copy it again"),
    13: Fault("depth-type", "013.depth.png", "is uint16 (96, 128, 3)", "Export the raw depth"),
    14: Fault("unreadable-depth", "014.depth.png", "is not (Is a directory)", "Check its rights"),
}
WHOLE = {
    "gone": Fault("capture-missing", "gone", "is missing", "Correct the manifest's path"),
    "uncalibrated": Fault("calibration-missing", "uncalibrated/K.json", "is missing", "Restore it"),
    "misfit": Fault(
        "intrinsics-mismatch", "misfit/K.json", "lies outside the 128x96 px", "Use the calibration"
    ),
    "unchosen": Fault("no-frames", "capture unchosen", "'5:2' must choose some of 2, chooses none", "Mend"),
    "hopeless": Fault("empty-depth", "hopeless/000.depth.png", "none of 2 is", "Leave the frame out"),
}
HOPELESS = {
    0: Fault("empty-depth", "hopeless/000.depth.png", "has none of 12288", "Leave the frame out"),
    1: Fault("pose-not-rigid", "hopeless/001.pose.txt", "is off by inf", "Track this frame again"),
}
UNLISTED = Fault("depth-missing", "good", "frame 99 must be in the capture, is not", "Correct the selection")
LEFT = [frame for frame in range(COUNT) if frame not in FRAMES]


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:700])


def write_pose(path: Path, change) -> None:
    pose = np.loadtxt(path)
    change(pose)
    np.savetxt(path, pose)


def lose_tracking(pose):
    pose[:] = np.nan


def stretch(pose):
    pose[:3, :3] *= 1.1


def break_frames(folder: Path) -> None:
    depth = {frame: folder / f"{frame:03d}.depth.png" for frame in FRAMES}
    pose = {frame: folder / f"{frame:03d}.pose.txt" for frame in FRAMES}
    color = {frame: folder / f"{frame:03d}.color.png" for frame in FRAMES}
    depth[1].unlink()
    cut_off(depth[2])
    cv2.imwrite(str(depth[3]), np.full((96, 128), 200, np.uint8))
    cv2.imwrite(str(depth[0]), np.full((48, 64), 900, np.uint16))
    cv2.imwrite(str(depth[5]), np.zeros((96, 128), np.uint16))
    write_pose(pose[6], stretch)
    write_pose(pose[7], lose_tracking)
    color[8].unlink()
    cv2.imwrite(str(color[9]), np.zeros((48, 64, 3), np.uint8))
    pose[10].unlink()
    pose[11].write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n")
    cut_off(depth[12])
    write_pose(pose[12], stretch)
    cv2.imwrite(str(depth[13]), np.full((96, 128, 3), 900, np.uint16))
    depth[14].unlink()
    depth[14].mkdir()


def break_captures(raw: Path) -> None:
    (raw / "uncalibrated" / "K.json").unlink()
    of_a_larger_image = {"width": 128, "height": 96, "K": [[525, 0, 319.5], [0, 525, 239.5], [0, 0, 1]]}
    (raw / "misfit" / "K.json").write_text(json.dumps(of_a_larger_image))
    cv2.imwrite(str(raw / "hopeless" / "000.depth.png"), np.zeros((96, 128), np.uint16))
    write_pose(raw / "hopeless" / "001.pose.txt", lose_tracking)


def choose(manifest: Path, capture: str, frames: str) -> None:
    line = f'id = "{capture}"\n'
    manifest.write_text(manifest.read_text().replace(line, f"{line}frames = {frames}\n"))


@pytest.fixture(scope="module")
def built(forge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    raw = folder / "raw"
    for name, count in {"good": 3, "broken-frames": COUNT, "hopeless": 2, "misfit": 2}.items():
        forge.capture(raw / name, count)
    forge.capture(raw / "uncalibrated", 2)
    forge.capture(raw / "unchosen", 2)
    break_frames(raw / "broken-frames")
    break_captures(raw)
    manifest = forge.manifest(folder, CAPTURES)
    choose(manifest, "good", "[0, 1, 2, 99]")
    choose(manifest, "unchosen", '"5:2"')
    return folder, manifest, forge.run("build", manifest)


def expected_rows() -> dict[tuple[str, int | None], Fault]:
    return {
        ("good", 99): UNLISTED,
        **{("broken-frames", frame): fault for frame, fault in FRAMES.items()},
        **{("hopeless", frame): fault for frame, fault in HOPELESS.items()},
        **{(capture, None): fault for capture, fault in WHOLE.items()},
    }


def check_rows(rows: list[dict], expected: dict[tuple[str, int | None], Fault]) -> None:
    found = [(row["capture"], row["frame"]) for row in rows]
    assert sorted(found, key=str) == sorted(expected, key=str), "one row each, and no other"
    for row in rows:
        fault = expected[row["capture"], row["frame"]]
        message = row["message"]
        assert row["reason"] == fault.reason, message
        assert fault.file in message and " must " in message, message
        assert fault.finding in message, message
        assert fault.step in message[message.index(fault.finding) :], "the next step comes last: " + message
        assert "\n" not in message and message.endswith("."), message


def test_every_broken_frame_and_capture_is_one_row_that_says_what_to_do(built):
    out = built[0] / "out" / "spheres"
    rows = read_index(out)["quarantine"]
    check_rows(rows, expected_rows())
    assert {row["stage"] for row in rows} == {"ingest"}
    with (out / "current" / "quarantine.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    columns = ("capture", "stage", "reason", "message")
    assert [[row[name] for name in columns] for row in listed] == [
        [row[name] for name in columns] for row in rows
    ]
    assert [row["frame"] for row in listed] == [
        "" if row["frame"] is None else str(row["frame"]) for row in rows
    ]


def test_build_goes_on_and_its_last_line_counts_what_was_left_out(built):
    ended = built[2]
    assert ended.code == 3, ended.err + ended.out
    assert "Traceback" not in ended.err + ended.out
    samples, frames = 3 + len(LEFT), len(FRAMES) + len(HOPELESS) + 1
    last = ended.out.strip().splitlines()[-1]
    assert last.startswith(
        f"{samples} samples of 2 captures sealed, {frames} frames and 5 captures quarantined, 0 tasks failed"
    )
    table = ended.out.splitlines()
    for capture, fault in WHOLE.items():
        assert any(
            line.split()[:3] == [capture, "ingest", fault.reason] and fault.step in line for line in table
        )


@pytest.mark.parametrize(("capture", "frames"), [("good", [0, 1, 2]), ("broken-frames", LEFT)])
def test_what_is_sound_is_in_the_shards_with_its_own_numbers_and_values(built, capture, frames):
    out, raw = built[0] / "out" / "spheres", built[0] / "raw" / capture
    fields = ["frame", "capture", "image", "world_from_cam", "depth_raw_m", "depth_m", "K"]
    reader = ShardReader(out, split=CAPTURES[capture], fields=fields)
    rows = [reader[index] for index in range(len(reader))]
    assert [row["frame"] for row in rows] == frames and {row["capture"] for row in rows} == {capture}
    for row in rows:
        assert (row["image"] == 40 + row["frame"]).all()
        pose = np.loadtxt(raw / f"{row['frame']:03d}.pose.txt")
        np.testing.assert_allclose(row["world_from_cam"], pose, atol=1e-9)
        u, v = np.round(row["K"][:2, 2]).astype(int)
        # Every camera looks from 1.2 m past the sphere's centre by 20 mm at most, which moves its front from
        # 0.9 m by 0.7 mm; the file's steps of 1 mm add half of one, fusing a third of a voxel.
        assert abs(row["depth_raw_m"][v, u] - 0.9) < 0.0015
        assert abs(row["depth_m"][v, u] - 0.9) < 0.003


def test_nothing_of_a_broken_capture_counts_as_data(built):
    out = built[0] / "out" / "spheres"
    index = read_index(out)
    assert {name: entry["rejected"] for name, entry in index["captures"].items() if entry["rejected"]} == {
        name: fault.reason for name, fault in WHOLE.items()
    }
    assert sum(entry["samples"] for entry in index["shards"]) == 3 + len(LEFT)
    assert {name for entry in index["shards"] for name in entry["captures"]} == {"good", "broken-frames"}
    for capture in WHOLE:
        data = [path for path in out.glob(f"stages/*/{capture}/*/*") if path.name != "stage.json"]
        assert data == []
    assert not list(out.rglob("*.part-*"))


def test_report_lists_every_row(built):
    page = html.unescape((built[0] / "out" / "spheres" / "report" / "index.html").read_text())
    rows = read_index(built[0] / "out" / "spheres")["quarantine"]
    assert len(rows) == len(expected_rows())
    assert [row["message"] for row in rows if row["message"] not in page] == []


def test_check_lists_all_of_them_at_once(forge, built):
    ended = forge.run("check", built[1], "--json")
    answer = json.loads(ended.out)
    assert ended.code == 3 and answer["verb"] == "check" and answer["ok"] is False
    # Ingest gives up on a capture without a sound frame; check names the frames alone.
    expected = {key: fault for key, fault in expected_rows().items() if key != ("hopeless", None)}
    check_rows(answer["rows"], expected)
    plain = forge.run("check", built[1])
    reasons = {fault.reason for fault in expected.values()}
    assert plain.code == 3
    assert sum(line.split(":")[0] in reasons for line in plain.out.splitlines()) == len(expected)
    assert "good           4       3" in plain.out, plain.out


@pytest.mark.slow
def test_mending_a_capture_builds_it_alone(forge, built):
    folder, manifest, _ = built
    (folder / "raw" / "misfit" / "K.json").write_bytes((folder / "raw" / "good" / "K.json").read_bytes())
    rows = json.loads(forge.run("plan", manifest, "--json").out)["rows"]
    waiting = {(row["capture"], row["stage"]) for row in rows if row["state"] == "build"}
    stages = {"ingest", "foreground", "fuse", "render", "layers", "normals"}
    assert waiting == {("misfit", stage) for stage in stages} | {(None, "shards"), (None, "report")}
    mended = forge.run("build", manifest)
    assert mended.code == 3 and "and 4 captures quarantined, 0 tasks failed, 9 tasks run" in mended.out
    index = read_index(folder / "out" / "spheres")
    assert index["captures"]["misfit"]["samples"] == 2 and index["captures"]["misfit"]["rejected"] is None
