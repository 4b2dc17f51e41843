"""Damaged, mutated and mislabelled folders of a Kinect v2 are refused with their reason, or read."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.captures.images import read_depth_raw
from pipeline.captures.kinect2 import open_kinect2
from pipeline.captures.kinect2_files import Kinect2Files
from pipeline.errors import InputError


def reason_of(act: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        act()
    message = str(caught.value)
    assert message.endswith(".") and ". " in message and "array(" not in message, message
    return caught.value.reason


def depth_file(folder: Path) -> Path:
    return folder / "depth/5.bin"


def swapped_png(folder: Path) -> None:
    depth = np.frombuffer(depth_file(folder).read_bytes(), "<u2").reshape(424, 512)
    cv2.imwrite(str(folder / "depth/5.png"), depth.byteswap())


PER_FRAME = {
    "big-endian": ("depth-byte-order", {}, lambda d: depth_file(d).write_bytes(
        np.frombuffer(depth_file(d).read_bytes(), "<u2").byteswap().tobytes())),
    "big-endian png": ("depth-byte-order", {"depth": "depth/{frame}.png", "depth_coding": "png"}, swapped_png),
    "cut depth": ("unreadable-depth", {}, lambda d: depth_file(d).write_bytes(bytes(434175))),
    "long depth": ("unreadable-depth", {}, lambda d: depth_file(d).write_bytes(bytes(434178))),
    "float depth": ("unreadable-depth", {"depth_coding": "float32"}, lambda d: None),
    "big-endian floats": ("depth-byte-order", {"depth_coding": "float32"}, lambda d: depth_file(d).write_bytes(
        np.frombuffer(depth_file(d).read_bytes(), "<u2").astype(">f4").tobytes())),
    "nothing seen": ("empty-depth", {}, lambda d: depth_file(d).write_bytes(bytes(434176))),
    "no depth": ("depth-missing", {}, lambda d: depth_file(d).unlink()),
    "a folder": ("unreadable-depth", {}, lambda d: (depth_file(d).unlink(), depth_file(d).mkdir())),
    "colour of bytes": ("unreadable-color", {"color_coding": "bgra"}, lambda d: None),
    "cut body index": ("unreadable-mask", {}, lambda d: (d / "bodyindex/5.bin").write_bytes(bytes(7))),
    "no body index": ("mask-missing", {}, lambda d: (d / "bodyindex/5.bin").unlink()),
}  # fmt: skip


@pytest.fixture
def damaged(sdk: Path, tmp_path: Path) -> Path:
    """A copy of two frames to break, whose colour is shared."""
    folder = tmp_path / "capture"
    for name in ("depth", "bodyindex"):
        (folder / name).mkdir(parents=True)
        for path in (sdk / name).iterdir():
            (folder / name / path.name).write_bytes(path.read_bytes())
    (folder / "color").symlink_to(sdk / "color")
    (folder / "kinect-sdk.json").write_text((sdk / "kinect-sdk.json").read_text())
    return folder


@pytest.mark.parametrize("damage", sorted(PER_FRAME))
def test_each_damage_to_a_frame_has_its_reason(damage, damaged) -> None:
    reason, options, act = PER_FRAME[damage]
    act(damaged)
    capture = open_kinect2(damaged, Kinect2Files(layout="kinect-sdk", **options))
    assert 5 in capture.frames and reason_of(lambda: capture.read(5)) == reason


def rewritten(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], object]:
    """Change what the mapper said."""

    def act(folder: Path) -> None:
        path = folder / "kinect-sdk.json"
        content = json.loads(path.read_text())
        rows = np.array(content["DepthToColor"])
        content["DepthToColor"] = change(rows[np.isfinite(rows).all(axis=1)]).tolist()
        path.write_text(json.dumps(content))

    return act


def without_intrinsics(folder: Path) -> None:
    path = folder / "kinect-sdk.json"
    path.write_text(path.read_text().replace("FocalLengthX", "fx"))


OPENING = {
    "no calibration": ("calibration-missing", lambda d: (d / "kinect-sdk.json").unlink()),
    "no json": ("calibration-malformed", lambda d: (d / "kinect-sdk.json").write_text("[" * 100_000)),
    "no rows": ("calibration-malformed", rewritten(lambda rows: rows[:0])),
    "rows of four": ("calibration-malformed", rewritten(lambda rows: rows[:, :4])),
    "colour torn": ("calibration-malformed", rewritten(
        lambda rows: np.column_stack([rows[:, :4], 1000 * np.sin(rows[:, 1])]))),
    "rows in metres": ("calibration-malformed", rewritten(lambda rows: rows / [1, 1, 1000, 1, 1])),
    "one depth": ("calibration-malformed", rewritten(lambda rows: rows[np.abs(rows[:, 2] - 1500) < 1])),
    "no intrinsics": ("calibration-malformed", without_intrinsics),
}  # fmt: skip


@pytest.mark.parametrize("damage", sorted(OPENING))
def test_each_damage_to_a_capture_has_its_reason(damage, damaged) -> None:
    reason, act = OPENING[damage]
    act(damaged)
    assert reason_of(lambda: open_kinect2(damaged, Kinect2Files(layout="kinect-sdk"))) == reason


def test_a_stream_that_the_manifest_names_must_be_there(sdk) -> None:
    for what in ("mask", "pose"):
        options = Kinect2Files(layout="kinect-sdk", **{what: "elsewhere/{frame}.txt"})
        assert reason_of(lambda options=options: open_kinect2(sdk, options)) == f"{what}-missing"


@pytest.mark.parametrize(
    "options",
    [{"depth": "depth.bin"}, {"depth": "{time}.png"}, {"layout": "kinect"}, {"depth": "{frame}{time}"},
     {"depth": "{time}.png", "color": "none", "times": "t.csv"}],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(options) -> None:
    with pytest.raises(ValidationError):
        Kinect2Files(**options)


def fuzzed(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed at some places, cut, or doubled."""
    changed = bytearray(data)
    for at in rng.integers(len(changed), size=int(rng.integers(1, 6))):
        changed[at] = int(rng.integers(256))
    way = rng.integers(4)
    if way == 0:
        return bytes(changed[: int(rng.integers(len(changed)))])
    return bytes(changed * 2 if way == 1 else changed)


def test_mutated_calibrations_and_times_are_refused_or_read(iai, tmp_path) -> None:
    rng = np.random.default_rng(5)
    folder = tmp_path / "capture"
    folder.mkdir()
    for number in (0, 3):
        for what in ("depth", "color"):
            name = f"{number:04d}_sync_{what}.png"
            (folder / name).symlink_to(iai / name)
    originals = {path.name: path.read_bytes() for path in iai.glob("calib_*.yaml")}
    originals["times.csv"] = b"frame,depth_s,color_s\n0,1.5,1.501\n3,1.6,\n"
    refused = 0
    for round_ in range(200):
        victim = sorted(originals)[round_ % len(originals)]
        for name, data in originals.items():
            (folder / name).write_bytes(fuzzed(data, rng) if name == victim else data)
        try:
            open_kinect2(folder, Kinect2Files(layout="iai_kinect2", times="times.csv"))
        except InputError as error:
            assert error.reason.startswith(("calibration-", "timestamps-", "intrinsics-", "duplicate-"))
            refused += 1
    assert refused > 30


def test_mutated_factory_calibrations_are_refused_or_read(libfreenect2, tmp_path) -> None:
    rng = np.random.default_rng(7)
    (tmp_path / "depth").symlink_to(libfreenect2 / "depth")
    data = (libfreenect2 / "libfreenect2.json").read_bytes()
    refused = 0
    for _ in range(40):
        (tmp_path / "libfreenect2.json").write_bytes(fuzzed(data, rng))
        try:
            fit_px = open_kinect2(tmp_path, Kinect2Files(layout="libfreenect2")).calibration.largest_fit_px
            assert fit_px <= 2.0
        except InputError as error:
            assert error.reason in ("calibration-malformed", "intrinsics-mismatch")
            refused += 1
    assert refused > 20


def test_mutated_images_are_refused_or_read(iai, tmp_path) -> None:
    rng = np.random.default_rng(6)
    folder = tmp_path / "capture"
    folder.mkdir()
    for path in iai.glob("calib_*.yaml"):
        (folder / path.name).symlink_to(path)
    originals = {path.name: path.read_bytes() for path in iai.glob("0003_*.png")}
    done, jpeg = cv2.imencode(
        ".jpg", rng.integers(0, 256, (27, 48, 3)).astype(np.uint8).repeat(40, 0).repeat(40, 1)
    )
    originals["0003_sync_color.png"] = jpeg.tobytes()
    assert done
    for name, data in originals.items():
        (folder / name).write_bytes(data)
    capture = open_kinect2(folder, Kinect2Files(layout="iai_kinect2"))
    refused = 0
    for round_ in range(60):
        victim = sorted(originals)[round_ % 2]
        (folder / victim).write_bytes(fuzzed(originals[victim], rng))
        try:
            assert capture.read(3).depth_m.shape == (486, 864)
        except InputError as error:
            assert error.reason.startswith(("unreadable-", "color-size", "depth-"))
            refused += 1
        (folder / victim).write_bytes(originals[victim])
    assert refused > 20


def test_a_header_that_claims_gigabytes_is_refused_unread(iai, tmp_path) -> None:
    data = bytearray((iai / "0003_sync_depth.png").read_bytes())
    data[16:24] = (20_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match="claims 20000x20000 px"):
        read_depth_raw(path)
    assert reason_of(lambda: read_depth_raw(path, size=(424, 512))) == "depth-size"
