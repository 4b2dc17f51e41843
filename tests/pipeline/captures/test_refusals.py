"""Every reason code is provoked by the very damage that it names, and no damaged file passes."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captures.images import jpeg_problem, png_problem, png_size, read_color, read_depth_raw
from pipeline.captures.opening import open_capture
from pipeline.errors import InputError

COLUMNS = np.linspace(0, 3, 16)


def reason_of(act: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        act()
    message = str(caught.value)
    # place, expectation, finding, next step: two sentences, and no numpy repr inside
    assert message.endswith(".") and ". " in message and "array(" not in message, message
    return caught.value.reason


def save(path: Path, image: np.ndarray) -> None:
    assert cv2.imwrite(str(path), image)


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


PER_FRAME = {
    "depth-missing": lambda d: (d / "d/0002.png").unlink(),
    "color-missing": lambda d: (d / "rgb/img-2.png").unlink(),
    "pose-missing": lambda d: (d / "poses/pose0002.txt").unlink(),
    "mask-missing": lambda d: (d / "m/0002.png").unlink(),
    "unreadable-depth": lambda d: (d / "d/0002.png").write_bytes(b"P5 not a png"),
    "unreadable-color": lambda d: (d / "rgb/img-2.png").write_bytes(b"BM bitmap"),
    "unreadable-mask": lambda d: (d / "m/0002.png").write_bytes(b""),
    "depth-type": lambda d: save(d / "d/0002.png", np.full((12, 16), 7, np.uint8)),
    "depth-size": lambda d: save(d / "d/0002.png", np.full((12, 15), 700, np.uint16)),
    "color-size": lambda d: save(d / "rgb/img-2.png", np.zeros((24, 32, 3), np.uint8)),
    "mask-size": lambda d: save(d / "m/0002.png", np.ones((16, 12), np.uint8)),
    "empty-depth": lambda d: save(
        d / "d/0002.png", np.where(COLUMNS > 1, 65535, 0)[None].repeat(12, 0).astype(np.uint16)
    ),
    "pose-malformed": lambda d: (d / "poses/pose0002.txt").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n"),
    "pose-not-rigid": lambda d: np.savetxt(d / "poses/pose0002.txt", np.diag([1, 1, 1.002, 1])),
}


@pytest.mark.parametrize("reason", sorted(PER_FRAME))
def test_each_damage_to_a_frame_has_its_reason(reason, write, tmp_path, frames) -> None:
    capture = write("by-frame", tmp_path, frames)
    PER_FRAME[reason](tmp_path)
    again = open_capture(tmp_path, "rgbd-folder", capture.options)
    assert reason_of(lambda: again.read(2)) == reason
    assert again.read(1).frame == 1


@pytest.mark.parametrize(
    "pose",
    [
        np.full((4, 4), np.nan),
        np.diag([-1.0, 1, 1, 1]),  # a mirror is orthogonal, yet no rotation
        np.diag([1000.0, 1000, 1000, 1]),
        np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0.5, 1]]),
    ],
)
def test_lost_mirrored_scaled_and_projective_poses_are_not_rigid(pose, write, tmp_path, frames) -> None:
    capture = write("by-frame", tmp_path, frames)
    np.savetxt(tmp_path / "poses/pose0002.txt", pose)
    assert reason_of(lambda: capture.read(2)) == "pose-not-rigid"


@pytest.mark.parametrize("image", [np.zeros((12, 16, 3), np.uint16), np.zeros((12, 16, 4), np.uint8)])
def test_depth_of_several_channels_is_refused_by_type(image, tmp_path) -> None:
    save(tmp_path / "a.png", image)
    assert reason_of(lambda: read_depth_raw(tmp_path / "a.png")) == "depth-type"


OPENING = {
    "capture-missing": lambda d: d.rename(d.with_name("gone")),
    "calibration-missing": lambda d: (d / "camera.json").unlink(),
    "no-frames": lambda d: [p.unlink() for p in [*(d / "d").iterdir(), *(d / "rgb").iterdir()]],
    "duplicate-frame": lambda d: save(d / "d/2.png", np.ones((12, 16), np.uint16)),
}


@pytest.mark.parametrize("reason", sorted(OPENING))
def test_each_damage_to_a_capture_has_its_reason(reason, write, tmp_path, frames) -> None:
    folder = tmp_path / "capture"
    capture = write("by-frame", folder, frames)
    OPENING[reason](folder)
    assert reason_of(lambda: open_capture(folder, "rgbd-folder", capture.options)) == reason


GOOD = {"width": 16, "height": 12, "K": [[18, 0, 7], [0, 18, 5], [0, 0, 1]]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "calibration-malformed"),
        ("[1, 2]", "calibration-malformed"),
        (json.dumps({"width": 16, "K": GOOD["K"]}), "calibration-malformed"),
        (json.dumps(GOOD | {"width": 16.5}), "calibration-malformed"),
        (json.dumps(GOOD | {"height": -12}), "calibration-malformed"),
        (json.dumps(GOOD | {"K": [[18, 0, 7], [0, 18]]}), "calibration-malformed"),
        (json.dumps(GOOD | {"K": [["a", 0, 7], [0, 18, 5], [0, 0, 1]]}), "calibration-malformed"),
        (json.dumps(GOOD | {"K": [18, 18, 7, 5]}), "calibration-malformed"),
        (json.dumps(GOOD | {"width": 12, "height": 16}), "intrinsics-mismatch"),
        (json.dumps(GOOD | {"K": [[18, 0, 7], [0, 18, 12.5], [0, 0, 1]]}), "intrinsics-mismatch"),
        (json.dumps(GOOD | {"K": [[1800, 0, 7], [0, 1800, 5], [0, 0, 1]]}), "intrinsics-mismatch"),
        (json.dumps(GOOD | {"K": [[float("nan"), 0, 7], [0, 18, 5], [0, 0, 1]]}), "intrinsics-mismatch"),
    ],
)
def test_calibrations_that_cannot_be_meant_are_refused(content, reason, write, tmp_path, frames) -> None:
    capture = write("by-frame", tmp_path, frames)
    (tmp_path / "camera.json").write_text(content)
    assert reason_of(lambda: open_capture(tmp_path, "rgbd-folder", capture.options)) == reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("18 0 7\n0 18 5\n", "calibration-malformed"),
        ("18 0 7\n0 18 5\n0 0 one\n", "calibration-malformed"),
        ("18, 0, 7\n0, 18, 5\n0, 0, 1\n", "calibration-malformed"),
        ("585 0 320\n0 585 240\n0 0 1\n", "intrinsics-mismatch"),  # of another resolution
    ],
)
def test_text_calibrations_that_cannot_be_meant_are_refused(content, reason, write, tmp_path, frames) -> None:
    capture = write("tum", tmp_path, frames)
    (tmp_path / "K.txt").write_text(content)
    assert reason_of(lambda: open_capture(tmp_path, "rgbd-folder", capture.options)) == reason


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("rgb.txt", lambda text: text + "soon rgb/1.png\n", "list-malformed"),
        ("depth.txt", lambda text: text + "1305031103.5\n", "list-malformed"),
        ("depth.txt", lambda text: text + "1305031103.5 ../elsewhere.png\n", "list-malformed"),
        ("depth.txt", lambda text: text + "1305031103.5 /etc/passwd\n", "list-malformed"),
        ("rgb.txt", lambda text: text + text, "duplicate-frame"),
        ("depth.txt", lambda text: "# nothing\n", "no-frames"),
        ("groundtruth.txt", lambda text: text + "1305031103.5 0 0 0 0 0 1\n", "pose-malformed"),
        ("groundtruth.txt", lambda text: text + "nan 0 0 0 0 0 0 1\n", "pose-malformed"),
    ],
)
def test_broken_tum_files_are_refused_at_opening(name, change, reason, write, tmp_path, frames) -> None:
    capture = write("tum", tmp_path, frames)
    rewrite(tmp_path / name, change)
    assert reason_of(lambda: open_capture(tmp_path, "rgbd-folder", capture.options)) == reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [("depth.txt", "depth-missing"), ("rgb.txt", "color-missing"), ("groundtruth.txt", "pose-missing")],
)
def test_a_missing_tum_file_is_named(name, reason, write, tmp_path, frames) -> None:
    capture = write("tum", tmp_path, frames)
    (tmp_path / name).unlink()
    assert reason_of(lambda: open_capture(tmp_path, "rgbd-folder", capture.options)) == reason


def test_a_quaternion_that_is_not_of_unit_length_spoils_its_own_frame(write, tmp_path, frames) -> None:
    capture = write("tum", tmp_path, frames)
    lines = (tmp_path / "groundtruth.txt").read_text().splitlines()
    numbers = lines[3].split()
    lines[3] = " ".join([*numbers[:4], *(str(1.01 * float(x)) for x in numbers[4:])])
    (tmp_path / "groundtruth.txt").write_text("\n".join(lines))
    again = open_capture(tmp_path, "rgbd-folder", capture.options)
    assert reason_of(lambda: again.read(2)) == "pose-not-rigid"
    assert again.read(1).frame == 1


def test_no_beginning_of_a_png_passes_for_the_whole(tmp_path, frames) -> None:
    path = tmp_path / "depth.png"
    save(path, frames[0].depth_raw)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        assert reason_of(lambda: read_depth_raw(path)) == "unreadable-depth"
        assert reason_of(lambda: read_color(path)) == "unreadable-color"
    path.write_bytes(whole)
    np.testing.assert_array_equal(read_depth_raw(path), frames[0].depth_raw)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_flipped_byte_of_a_png_is_never_read_as_other_depth(data, tmp_path_factory) -> None:
    depth = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16) * 331
    whole = bytearray(cv2.imencode(".png", depth)[1].tobytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    assert png_problem(bytes(whole)) is not None


def test_pixels_missing_inside_whole_chunks_are_noticed(tmp_path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + bytes(32) for _ in range(5))  # of 12
    header = struct.pack(">IIBBBBB", 16, 12, 16, 0, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    (tmp_path / "a.png").write_bytes(png)
    assert png_problem(png) is None and png_size(tmp_path / "a.png") == (12, 16)
    assert reason_of(lambda: read_depth_raw(tmp_path / "a.png")) == "unreadable-depth"


def jpeg_with_thumbnail(image: np.ndarray) -> bytes:
    """A JPEG whose first segment holds a whole JPEG, as cameras write it."""
    whole = cv2.imencode(".jpg", image)[1].tobytes()
    thumbnail = cv2.imencode(".jpg", image[:8, :8])[1].tobytes()
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + whole[2:]


@pytest.mark.parametrize("progressive", [0, 1])
def test_no_beginning_of_a_jpeg_passes_for_the_whole(progressive, tmp_path, frames) -> None:
    setting = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    for whole in (
        cv2.imencode(".jpg", frames[0].color, setting)[1].tobytes(),
        jpeg_with_thumbnail(frames[0].color),
    ):
        assert jpeg_problem(whole) is None
        assert jpeg_problem(whole + bytes(10)) is None  # some cameras pad
        assert [end for end in range(len(whole)) if jpeg_problem(whole[:end]) is None] == []
        path = tmp_path / "a.jpg"
        path.write_bytes(whole[: len(whole) // 2])
        assert reason_of(lambda path=path: read_color(path)) == "unreadable-color"
        path.write_bytes(whole)
        assert read_color(path).shape == frames[0].color.shape
