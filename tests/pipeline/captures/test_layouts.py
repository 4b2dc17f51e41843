"""Every layout gives back what was written, whatever the order on disk, and pairs by name or time, never by count."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.captures.capture import Capture
from pipeline.captures.opening import open_capture
from pipeline.captures.rgbd_files import RgbdFiles
from pipeline.errors import InputError, ManifestError

UNIT_M = {"by-frame": 0.001, "by-time": 0.001, "7scenes": 0.001, "tum": 0.0002}


def assert_same(first, second) -> None:
    for name in ("image", "depth_m", "K", "world_from_cam"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert (first.frame, first.timestamp_s) == (second.frame, second.timestamp_s)


def test_what_was_written_is_read_back(written, frames) -> None:
    layout, _, capture = written
    assert capture.frames == list(range(len(frames)))
    for number, raw in enumerate(frames):
        frame = capture.read(number)
        assert (frame.image.dtype, frame.depth_m.dtype) == (np.uint8, np.float32)
        np.testing.assert_array_equal(frame.image, raw.color)
        valid = (raw.depth_raw != 0) & (raw.depth_raw != 65535)
        np.testing.assert_array_equal(frame.depth_m > 0, valid)
        # half a unit in the last place of float32 at 9 m
        np.testing.assert_allclose(frame.depth_m[valid], raw.depth_raw[valid] * UNIT_M[layout], rtol=6e-8)
        # TUM quaternions are written with 12 digits
        np.testing.assert_allclose(frame.world_from_cam, raw.pose, atol=1e-10 if layout == "tum" else 0)
        if layout == "7scenes":
            assert frame.mask is None
        else:
            np.testing.assert_array_equal(frame.mask, raw.mask)
        timed = layout in ("by-time", "tum")
        assert frame.timestamp_s == (pytest.approx(raw.time_s, abs=1e-6) if timed else -1.0)


def test_listed_files_are_all_that_reading_needs_and_each_is_needed(written, tmp_path) -> None:
    layout, folder, capture = written
    listed = capture.files([1, 4])
    assert listed[0].name in ("camera.json", "K.txt", "camera-intrinsics.txt")
    files = getattr(capture, "options", None) if layout != "7scenes" else None
    for left_out in [None, *listed]:
        copy = tmp_path / "copy"
        for path in listed:
            if path != left_out:
                target = copy / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
        if left_out is None:
            again = open_capture(copy, "7scenes" if layout == "7scenes" else "rgbd-folder", files)
            # by time, a frame's number is its rank: fewer depth files, other numbers
            numbers = [0, 1] if layout == "by-time" else [1, 4]
            for number, before in zip(numbers, [1, 4], strict=True):
                np.testing.assert_array_equal(again.read(number).image, capture.read(before).image)
        else:
            with pytest.raises(InputError, match="missing|none does|is not"):
                again = open_capture(copy, "7scenes" if layout == "7scenes" else "rgbd-folder", files)
                wanted = {"by-time": [0, 1], "tum": [1, 4]}.get(layout, [1, 4])
                for number in wanted:
                    again.read(number)
        shutil.rmtree(copy)


def test_raw_codes_for_no_measurement_are_all_one(write, tmp_path, frames) -> None:
    before = write("by-frame", tmp_path / "a", frames)
    for raw in frames:
        raw.depth_raw[raw.depth_raw == 65535] = 0
    after = write("by-frame", tmp_path / "b", frames)
    for number in before.frames:
        assert_same(before.read(number), after.read(number))


@pytest.mark.parametrize("poison", [b"", b"\x00" * 40, b"nan nan nan nan\n" * 4])
def test_a_broken_frame_changes_no_other(written, poison) -> None:
    layout, folder, capture = written
    intact = {number: capture.read(number) for number in capture.frames}
    per_frame = [path for path in capture.files([2]) if path.suffix in (".png", ".txt")]
    shared = set(capture.files([]))
    for path in per_frame:
        if path not in shared:
            path.write_bytes(poison)
    files = None if layout == "7scenes" else capture.options
    again = open_capture(folder, "7scenes" if layout == "7scenes" else "rgbd-folder", files)
    with pytest.raises(InputError):
        again.read(2)
    for number in (0, 1, 3, 4):
        assert_same(again.read(number), intact[number])


@pytest.mark.parametrize("layout", ["by-time", "tum"])
def test_a_dropped_and_a_late_colour_image_shift_nobody(layout, write, tmp_path, frames) -> None:
    capture = write(layout, tmp_path, frames)
    colors = sorted((tmp_path / "rgb").iterdir())
    dropped, late = colors[1], colors[3]
    dropped.unlink()
    late_s = float(late.stem) + 0.025  # 4 ms + 25 ms late of 20 ms allowed; the next image is 33 ms away
    late.rename(late.with_name(f"{late_s:.6f}.png"))
    if layout == "tum":
        lines = (tmp_path / "rgb.txt").read_text().splitlines()
        kept = [line for line in lines if dropped.name not in line and late.name not in line]
        (tmp_path / "rgb.txt").write_text("\n".join([*kept, f"{late_s:.6f} rgb/{late_s:.6f}.png"]))
    again = open_capture(tmp_path, "rgbd-folder", capture.options)
    assert again.frames == [0, 1, 2, 3, 4]
    for number in (1, 3):
        with pytest.raises(InputError, match=r"within 0.02 s .* none does") as caught:
            again.read(number)
        assert caught.value.reason == "color-missing"
    for number in (0, 2, 4):
        np.testing.assert_array_equal(again.read(number).image, frames[number].color)


def test_the_nearest_of_two_times_is_taken(write, tmp_path, frames) -> None:
    capture = write("by-time", tmp_path, frames)
    before = capture.read(2).image
    decoy = tmp_path / f"rgb/{frames[2].time_s + 0.008:.6f}.png"
    cv2.imwrite(str(decoy), np.zeros((12, 16, 3), np.uint8))
    again = open_capture(tmp_path, "rgbd-folder", capture.options)
    np.testing.assert_array_equal(again.read(2).image, before)


def test_colour_without_depth_is_listed_and_refused(write, tmp_path, frames) -> None:
    capture = write("by-frame", tmp_path, frames)
    (tmp_path / "d/0002.png").unlink()
    again = open_capture(tmp_path, "rgbd-folder", capture.options)
    assert again.frames == [0, 1, 2, 3, 4]
    with pytest.raises(InputError) as caught:
        again.read(2)
    assert caught.value.reason == "depth-missing"
    np.testing.assert_array_equal(again.read(3).image, frames[3].color)


def test_jpeg_colour_is_taken_where_a_7scenes_folder_has_it(write, tmp_path, frames) -> None:
    write("7scenes", tmp_path, frames)
    for path in tmp_path.glob("*.color.png"):
        cv2.imwrite(str(path.with_suffix(".jpg")), np.full((12, 16, 3), (10, 120, 200), np.uint8))
        path.unlink()
    image = open_capture(tmp_path, "7scenes", None).read(0).image
    # BGR on writing is RGB on reading; JPEG keeps a flat colour within rounding of its colour transform
    np.testing.assert_allclose(image.reshape(-1, 3), np.tile([200, 120, 10], (192, 1)), atol=2)


def test_a_frame_that_is_not_there_is_named(written) -> None:
    capture: Capture = written[2]
    for ask in (lambda: capture.read(77), lambda: capture.files([77])):
        with pytest.raises(InputError, match="frame 77 .* from 0 to 4"):
            ask()


def test_formats_and_layouts_that_do_not_belong_together_are_refused(tmp_path) -> None:
    files = RgbdFiles(color="{frame}.jpg", depth="{frame}.png", pose="{frame}.txt", calibration="K.txt")
    for format, table in (("kinect3", None), ("rgbd-folder", None), ("7scenes", files)):
        with pytest.raises(ManifestError, match="Correct"):
            open_capture(tmp_path, format, table)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"color": "{Frame}.jpg"}, "one of"),
        ({"depth": "{frame}/{frame}.png"}, "one of"),
        ({"pose": "groundtruth.txt"}, "paired in one way"),
        ({"color": "{time}.jpg"}, "paired in one way"),
        ({"depth_unit_m": 0.0}, "greater than 0"),
        ({"invalid_raw": (70000,)}, "less than or equal to 65535"),
        ({"colour": "x"}, "Extra inputs"),
        ({"color": "rgb.txt", "depth": "depth.txt", "pose": "trajectory.log"}, "paired in one way"),
        ({"depth": "{frame}.npy"}, "depth_unit_m must be given"),
    ],
)
def test_layouts_that_cannot_be_meant_are_refused(change, said) -> None:
    table = {"color": "{frame}.jpg", "depth": "{frame}.png", "pose": "{frame}.txt", "calibration": "K.txt"}
    with pytest.raises(ValueError, match=said):
        RgbdFiles(**(table | change))


def reopened(folder: Path, capture: Capture, **changes: object) -> Capture:
    return open_capture(folder, "rgbd-folder", RgbdFiles(**(capture.options.model_dump() | changes)))


@pytest.mark.parametrize("layout", ["by-frame", "by-time", "tum"])
def test_what_a_folder_does_not_keep_is_none_and_changes_nothing_else(
    layout, write, tmp_path, frames
) -> None:
    capture = write(layout, tmp_path, frames)
    whole = capture.read(3)
    for left_out, name in (("pose", "world_from_cam"), ("color", "image"), ("mask", "mask")):
        frame = reopened(tmp_path, capture, **{left_out: None}).read(3)
        assert getattr(frame, name) is None
        for kept in {"world_from_cam", "image", "mask", "depth_m", "K"} - {name}:
            np.testing.assert_array_equal(getattr(frame, kept), getattr(whole, kept))
    bare = reopened(tmp_path, capture, pose=None, color=None, mask=None)
    assert bare.frames == capture.frames
    assert len(bare.files([3])) == (3 if layout == "tum" else 2)


@pytest.mark.parametrize("layout", ["by-time", "tum"])
def test_colour_carries_its_own_time(layout, write, tmp_path, frames) -> None:
    capture = write(layout, tmp_path, frames)
    for number in capture.frames:
        frame = capture.read(number)
        # the colour clock of these captures is 4 ms late; six decimals in the names
        assert frame.color_timestamp_s - frame.timestamp_s == pytest.approx(0.004, abs=2e-6)


def test_frames_without_times_have_none(write, tmp_path, frames) -> None:
    assert write("by-frame", tmp_path, frames).read(0).color_timestamp_s == -1.0


def test_netpbm_and_npy_hold_the_same_frames_as_png(write, tmp_path, frames) -> None:
    capture = write("by-frame", tmp_path, frames)
    for number, raw in enumerate(frames):
        assert cv2.imwrite(str(tmp_path / f"d/{number:04d}.pgm"), raw.depth_raw)
        assert cv2.imwrite(str(tmp_path / f"rgb/img-{number}.ppm"), raw.color[..., ::-1])
        assert cv2.imwrite(str(tmp_path / f"m/{number:04d}.pgm"), raw.mask.astype(np.uint8))
        metres = raw.depth_raw.astype(np.float64) * 0.001
        metres[raw.depth_raw == 65535] = np.nan
        np.save(tmp_path / f"d/{number:04d}.npy", metres)
    images = {"color": "rgb/img-{frame}.ppm", "mask": "m/{frame}.pgm"}
    netpbm = reopened(tmp_path, capture, depth="d/{frame}.pgm", **images)
    npy = reopened(tmp_path, capture, depth="d/{frame}.npy", depth_unit_m=1.0)
    assert netpbm.size == npy.size == (12, 16)
    for number in capture.frames:
        assert_same(netpbm.read(number), capture.read(number))
        np.testing.assert_array_equal(netpbm.read(number).mask, capture.read(number).mask)
        assert_same(npy.read(number), capture.read(number))


def test_a_log_gives_the_poses_of_its_own_numbers(write, tmp_path, frames) -> None:
    capture = write("by-frame", tmp_path, frames)
    rows = ["\n".join(" ".join(f"{x:.17g}" for x in row) for row in raw.pose) for raw in frames]
    order = [4, 0, 3, 1]  # 2 is lost
    (tmp_path / "path.log").write_text("".join(f"{i} {i} {i + 1}\n{rows[i]}\n" for i in order))
    again = reopened(tmp_path, capture, pose="path.log")
    for number in order:
        np.testing.assert_array_equal(again.read(number).world_from_cam, frames[number].pose)
    with pytest.raises(InputError, match="path.log") as caught:
        again.read(2)
    assert caught.value.reason == "pose-missing"
    assert tmp_path / "path.log" in again.files([0])


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["shelf", "room"])
def test_real_captures_hold_what_their_notes_say(name, data_root: Path) -> None:
    if name == "room":
        capture = open_capture(data_root / "7scenes-room", "7scenes", None)
        assert capture.frames == list(range(150))
        K = [[585, 0, 320], [0, 585, 240], [0, 0, 1]]
    else:
        files = RgbdFiles(
            color="frame-{frame}.color.png",
            depth="frame-{frame}.depth.png",
            pose="frame-{frame}.pose.txt",
            calibration="intrinsics.K.txt",
        )
        capture = open_capture(data_root / "apc_shelf_posed50", "rgbd-folder", files)
        assert capture.frames == list(range(15, 115, 2))
        first = capture.read(15)
        np.testing.assert_array_equal(first.world_from_cam, np.eye(4))
        assert np.median(first.depth_m[first.depth_m > 0]) == np.float32(0.410)
        K = [[615.195, 0, 298.443], [0, 615.195, 247.519], [0, 0, 1]]
    for number in capture.frames[::7]:
        frame = capture.read(number)
        assert frame.image.shape == (480, 640, 3) and frame.depth_m.shape == (480, 640)
        assert 0 < frame.depth_m.max() < 65  # 65535 raw would be 65.5 m
        np.testing.assert_allclose(frame.K, K, atol=1e-3)
    assert all(path.is_file() for path in capture.files(capture.frames))
