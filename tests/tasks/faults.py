"""Faults, each written into a sound capture in the layout of pipeline/captures/kinect2.py, and their rows."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.captures.kinect2 import COLUMNS

STREAMS = {"depth": "png", "color": "jpg", "mask": "png", "pose": "txt"}
Change = Callable[[np.ndarray], np.ndarray]
Write = Callable[[Path, int], None]  # the capture's folder and the frame
Times = dict[int, list[float]]  # frame to depth_s and color_s, NaN where colour was dropped


@dataclass(frozen=True)
class Fault:
    """A way for a capture to be wrong, and what must be said of it.

    Attributes:
        write: changes the files of a capture, in its folder, about one of its frames; the frames before and
            after it must be there.
        stage: that finds it.
        shift: from the frame that was changed to the one that is named; None where the capture is.
        keeps: whether all frames that can still be read are kept.
    """

    name: str
    reason: str
    write: Write
    stage: str = "ingest"
    shift: int | None = 0
    keeps: bool = False

    def expected(self, frame: int) -> tuple[str, int | None, str]:
        """Reason, frame and stage of the row that this fault of one frame must leave."""
        return self.reason, None if self.shift is None else frame + self.shift, self.stage


def file_of(folder: Path, stream: str, frame: int) -> Path:
    return folder / stream / f"{frame:06d}.{STREAMS[stream]}"


# what a recorder loses or writes twice


def drop(folder: Path, frame: int) -> None:
    for stream in STREAMS:
        file_of(folder, stream, frame).unlink()
    _with_times(folder, lambda times: times.pop(frame))


def drop_many(folder: Path, frame: int) -> None:
    """Every fifth frame but for those at both ends, and this one: a sixth of all."""
    for number in sorted({*_frames(folder)[4:-1:5], frame}):
        drop(folder, number)


def drop_color(folder: Path, frame: int) -> None:
    file_of(folder, "color", frame).unlink()

    _with_times(folder, lambda times: times[frame].__setitem__(1, np.nan))


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
        stamps[1] = stamps[0] + 0.0185


# calibration


def stretch_extrinsics(content: dict) -> None:
    for row in content["color_from_depth"][:3]:
        row[:3] = [1.1 * value for value in row[:3]]


def extrinsics_in_millimetres(content: dict) -> None:
    for row in content["color_from_depth"][:3]:
        row[3] *= 1000


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
    down_px = len(mask) - 40 - int(rows.mean())

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


def without(name: str) -> Write:
    return lambda folder, frame: (folder / name.format(frame)).unlink()


def repeated(*streams: str) -> Write:
    def repeat(folder: Path, frame: int) -> None:
        for stream in streams:
            shutil.copyfile(file_of(folder, stream, frame - 1), file_of(folder, stream, frame))

    return repeat


def truncated(stream: str) -> Write:
    def truncate(folder: Path, frame: int) -> None:
        path = file_of(folder, stream, frame)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])

    return truncate


def retimed(change: Callable[[Times, int], None]) -> Write:
    return lambda folder, frame: _with_times(folder, lambda times: change(times, frame))


def recalibrated(change: Callable[[dict], None]) -> Write:
    def write(folder: Path, frame: int) -> None:
        path = folder / "calibration.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(json.dumps(content), encoding="utf-8")

    return write


def quarter_steps(raw_mm: np.ndarray) -> np.ndarray:
    """Whole millimetres where steps of 0.25 mm are read."""
    return raw_mm // 4


def five_steps(raw_mm: np.ndarray) -> np.ndarray:
    """TUM's steps of 0.2 mm where whole millimetres are read."""
    return np.minimum(raw_mm, 65535 // 5) * 5


def darker(bgr: np.ndarray) -> np.ndarray:
    """A sixth of the light, 2.6 stops, by a plain power of 2.2."""
    return np.rint(255 * ((bgr / 255.0) ** 2.2 / 6) ** (1 / 2.2)).astype(np.uint8)


def quarter(image: np.ndarray) -> np.ndarray:
    """Turned about its centre; beside it, colour is mirrored and depth is none."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 90, 1.0)
    border = cv2.BORDER_REFLECT if image.ndim == 3 else cv2.BORDER_CONSTANT
    return cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_NEAREST, borderMode=border)


FAULTS = (
    Fault("a frame was dropped", "dropped-frames", drop, shift=1, keeps=True),
    Fault("many frames were dropped", "dropped-frames", drop_many, shift=None),
    Fault("depth was dropped", "depth-missing", without("depth/{:06d}.png")),
    Fault("colour was dropped", "color-missing", drop_color),
    Fault("a frame was written twice", "repeated-frame", repeated("depth", "color", "mask")),
    Fault("depth stands still", "frozen-depth", repeated("depth")),
    Fault("colour stands still", "frozen-color", repeated("color")),
    Fault("two frames changed places", "clock-reset", retimed(swap)),
    Fault("the clock was set back", "clock-reset", retimed(reset_clock)),
    Fault("colour is late", "clock-skew", retimed(skew)),
    Fault("colour's clock is late throughout", "clock-offset", retimed(offset_clocks), shift=None),
    Fault("the times are missing", "timestamps-missing", without("timestamps.csv"), shift=None),
    Fault("depth is all zero", "empty-depth", changed("depth", np.zeros_like)),
    Fault("the depth file is cut off", "unreadable-depth", truncated("depth")),
    Fault("the colour file is cut off", "unreadable-color", truncated("color")),
    Fault("depth is in the other byte order", "depth-byte-order", changed("depth", np.ndarray.byteswap)),
    Fault("depth was written as a picture", "depth-type", changed("depth", lambda raw: (raw >> 4).astype(np.uint8))),
    Fault("the calibration is missing", "calibration-missing", without("calibration.json"), shift=None),
    Fault("the extrinsics stretch", "calibration-malformed", recalibrated(stretch_extrinsics), shift=None),
    Fault("the extrinsics are in mm", "calibration-malformed", recalibrated(extrinsics_in_millimetres), shift=None),
    Fault("the intrinsics are another's", "intrinsics-mismatch", recalibrated(other_intrinsics), shift=None),
    Fault("a pose stretches", "pose-not-rigid", stretch_pose),
    Fault("the exposure jumps", "exposure-jump", changed("color", darker)),
    Fault("colour is burnt out", "saturated", burn_out),
    Fault("colour is black", "too-dark", changed("color", lambda bgr: bgr // 100)),
    Fault("colour is turned by a quarter", "color-size", changed("color", np.rot90)),
    Fault("the colour file says it is turned", "color-rotated", tag_color),
    Fault("the camera was turned by a quarter", "person-sideways", turn_camera, stage="foreground"),
    Fault("depth is a quarter of what it was", "person-height", changed("depth", quarter_steps), stage="foreground"),
    Fault("depth is five times what it was", "depth-unit", changed("depth", five_steps)),
    Fault("the person is cut off", "person-cut", cut_person, stage="foreground"),
    Fault("hardly anything of the person is left", "too-little-foreground", hide_person, stage="foreground"),
)  # fmt: skip


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
