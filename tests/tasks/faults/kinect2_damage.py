"""Damage to captures in the layout of pipeline/captures/kinect2.py."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from fault import Write

from pipeline.cameras import invert_rigid
from pipeline.captures.kinect2 import COLUMNS

STREAMS = {"depth": "png", "color": "jpg", "mask": "png", "pose": "txt"}
Change = Callable[[np.ndarray], np.ndarray]
Times = dict[int, list[float]]  # frame to depth_s and color_s, NaN where colour was dropped


def file_of(folder: Path, stream: str, frame: int) -> Path:
    return folder / stream / f"{frame:06d}.{STREAMS[stream]}"


# what a recorder loses or writes twice


def drop(folder: Path, frame: int) -> None:
    for stream in STREAMS:
        file_of(folder, stream, frame).unlink()
    _with_times(folder, lambda times: times.pop(frame))


def drop_many(folder: Path, frame: int) -> None:
    """Every fifth frame but for those at both ends, and this one."""
    for number in sorted({*_frames(folder)[4:-1:5], frame}):
        drop(folder, number)


def drop_color(folder: Path, frame: int) -> None:
    file_of(folder, "color", frame).unlink()

    _with_times(folder, lambda times: times[frame].__setitem__(1, np.nan))


def exchange(*streams: str) -> Write:
    """The files of this frame and of the one before change places."""

    def exchange_files(folder: Path, frame: int) -> None:
        for stream in streams:
            before, after = (file_of(folder, stream, number) for number in (frame - 1, frame))
            aside = before.with_suffix(".aside")
            before.rename(aside)
            after.rename(before)
            aside.rename(after)

    return exchange_files


# clocks


def swap(times: Times, frame: int) -> None:
    """The frame before has this one's times, and this one has those."""
    times[frame - 1], times[frame] = times[frame], times[frame - 1]


def reset_clock(times: Times, frame: int) -> None:
    for number, stamps in times.items():
        if number < frame:
            stamps[:] = [stamp_s + 1000.0 for stamp_s in stamps]


def skew(times: Times, frame: int) -> None:
    times[frame][1] = times[frame][0] + 0.05


def offset_clocks(times: Times, frame: int) -> None:
    """Colour is late throughout, by less than any single frame is left out for."""
    for stamps in times.values():
        stamps[1] = stamps[0] + 0.019


def cut_times(folder: Path, frame: int) -> None:
    path = folder / "timestamps.csv"
    path.write_text(path.read_text(encoding="utf-8").partition(f"\n{frame},")[0][:-12], encoding="utf-8")


def untimed(folder: Path, frame: int) -> None:
    _with_times(folder, lambda times: times.pop(frame))


def time_twice(folder: Path, frame: int) -> None:
    path = folder / "timestamps.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + text.splitlines()[frame + 1] + "\n", encoding="utf-8")


# calibration


def stretch_extrinsics(content: dict) -> None:
    for row in content["color_from_depth"][:3]:
        row[:3] = [1.1 * value for value in row[:3]]


def extrinsics_in_millimetres(content: dict) -> None:
    for row in content["color_from_depth"][:3]:
        row[3] *= 1000


def turn_extrinsics(content: dict) -> None:
    """The inverse: rigid, and wrong."""
    content["color_from_depth"] = invert_rigid(np.array(content["color_from_depth"])).tolist()


def other_intrinsics(content: dict) -> None:
    content["depth"]["K"] = content["color"]["K"]


def stretch_pose(folder: Path, frame: int) -> None:
    path = file_of(folder, "pose", frame)
    pose = np.loadtxt(path)
    pose[:3, :3] *= 1.1
    np.savetxt(path, pose)


# light


def burn_out(folder: Path, frame: int) -> None:
    def burn(bgr: np.ndarray) -> np.ndarray:
        bgr[: 3 * len(bgr) // 4] = 255
        return bgr

    _change(folder, "color", frame, burn)


# which way up


def tag_color(folder: Path, frame: int) -> None:
    """The pixels stay; the file says that they are to be turned by a quarter."""
    path = file_of(folder, "color", frame)
    data = path.read_bytes()
    # little endian, 42, the directory at 8 with one entry: tag 0x0112, SHORT, one value, 6
    tiff = b"II*\0" + (8).to_bytes(4, "little") + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + bytes(4)
    segment = b"Exif\0\0" + tiff
    head = b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big")
    path.write_bytes(data[:2] + head + segment + data[2:])


def turn_camera(folder: Path, frame: int) -> None:
    """All images by a quarter about their centres; their sizes stay."""
    for stream in ("depth", "color", "mask"):
        _change(folder, stream, frame, quarter)


# the person


def cut_person(folder: Path, frame: int) -> None:
    """Depth and mask move down until the person's middle leaves the colour camera's view."""
    mask = cv2.imread(str(file_of(folder, "mask", frame)), cv2.IMREAD_UNCHANGED)
    rows = np.flatnonzero(mask.any(axis=1))
    down_px = 9 * len(mask) // 10 - int(rows.mean())

    def lower(image: np.ndarray) -> np.ndarray:
        moved = np.zeros_like(image)
        moved[down_px:] = image[:-down_px]
        return moved

    for stream in ("depth", "mask"):
        _change(folder, stream, frame, lower)


def hide_person(folder: Path, frame: int) -> None:
    """Of the mask, a few pixels at the person's middle are left."""

    def shrink(mask: np.ndarray) -> np.ndarray:
        left = np.zeros_like(mask)
        v, u = (int(np.median(index)) for index in np.nonzero(mask))
        left[v - 5 : v + 6, u - 5 : u + 6] = mask[v - 5 : v + 6, u - 5 : u + 6]
        return left

    _change(folder, "mask", frame, shrink)


def changed(stream: str, change: Change) -> Write:
    return lambda folder, frame: _change(folder, stream, frame, change)


def repeated(*streams: str) -> Write:
    def repeat(folder: Path, frame: int) -> None:
        for stream in streams:
            shutil.copyfile(file_of(folder, stream, frame - 1), file_of(folder, stream, frame))

    return repeat


def every_frame(write: Write) -> Write:
    def write_all(folder: Path, frame: int) -> None:
        for number in _frames(folder):
            write(folder, number)

    return write_all


def retimed(change: Callable[[Times, int], None]) -> Write:
    return lambda folder, frame: _with_times(folder, lambda times: change(times, frame))


def recalibrated(change: Callable[[dict], None]) -> Write:
    def write(folder: Path, frame: int) -> None:
        path = folder / "calibration.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(json.dumps(content), encoding="utf-8")

    return write


def corner(raw_mm: np.ndarray) -> np.ndarray:
    """A tenth of both sides is left, a hundredth of the pixels."""
    height, width = raw_mm.shape
    left = np.zeros_like(raw_mm)
    left[: height // 10, : width // 10] = raw_mm[: height // 10, : width // 10]
    return left


def quarter_steps(raw_mm: np.ndarray) -> np.ndarray:
    """Whole millimetres where steps of 0.25 mm are read."""
    return raw_mm // 4


def five_steps(raw_mm: np.ndarray) -> np.ndarray:
    """TUM's steps of 0.2 mm where whole millimetres are read."""
    return np.minimum(raw_mm, 65535 // 5) * 5


def shorter(raw_mm: np.ndarray) -> np.ndarray:
    """A tenth too near."""
    return np.rint(0.9 * raw_mm).astype(np.uint16)


def darker(bgr: np.ndarray) -> np.ndarray:
    """A sixth of the light, 2.6 stops, by a plain power of 2.2."""
    return np.rint(255 * ((bgr / 255.0) ** 2.2 / 6) ** (1 / 2.2)).astype(np.uint8)


def quarter(image: np.ndarray) -> np.ndarray:
    """Turned about its centre; beside it, colour is mirrored and depth is none."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 90, 1.0)
    border = cv2.BORDER_REFLECT if image.ndim == 3 else cv2.BORDER_CONSTANT
    return cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_NEAREST, borderMode=border)


def _frames(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in (folder / "depth").glob("*.png"))


def _change(folder: Path, stream: str, frame: int, change: Change) -> None:
    path = file_of(folder, stream, frame)
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert cv2.imwrite(str(path), np.ascontiguousarray(change(image)), [cv2.IMWRITE_JPEG_QUALITY, 95])


def _with_times(folder: Path, change: Callable[[Times], object]) -> None:
    path = folder / "timestamps.csv"
    with path.open(encoding="utf-8", newline="") as file:
        times: Times = {
            int(row["frame"]): [float(row["depth_s"]), float(row["color_s"] or "nan")]
            for row in csv.DictReader(file)
        }
    change(times)
    lines = [
        f"{frame},{depth_s:.6f}," + ("" if np.isnan(color_s) else f"{color_s:.6f}")
        for frame, (depth_s, color_s) in sorted(times.items())
    ]
    path.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n", encoding="utf-8")
