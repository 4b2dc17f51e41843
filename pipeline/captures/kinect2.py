"""Raw captures of a Kinect v2: two distorted streams, brought into one pinhole camera.

    calibration.json      both cameras with their lenses, color_from_depth: kinect2_calibration.py
    timestamps.csv        frame,depth_s,color_s: seconds on one clock; color_s is empty where colour was dropped
    depth/%06d.png        16 bit, whole millimetres along the optical axis, 0 is no measurement (512x424)
    color/%06d.jpg        as the lens shows it (1920x1080)
    pose/%06d.txt         world_from_cam (4 4) of the *depth* camera, metres
    mask/%06d.png         optional, not 0 = foreground, in the depth camera's raw pixels, as the sensor's own
                          body index is; registered with the depth

A frame is read into the colour camera without its lens, at 9/20 of its size (864x486 px, f about 480 px, the
scale of Tang et al., ICCV 2019): about one depth pixel to one and a half of the result.
"""

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid
from pipeline.captures.capture import Frame
from pipeline.captures.distortion import LensCamera
from pipeline.captures.images import read_color, read_depth_raw, read_mask
from pipeline.captures.kinect2_calibration import Kinect2Calibration, read_kinect2_calibration
from pipeline.captures.pairing import matching_texts
from pipeline.captures.poses import read_pose
from pipeline.captures.two_cameras import TwoCameras
from pipeline.errors import InputError

Float64 = NDArray[np.float64]

CALIBRATION_FILE, TIMES_FILE = "calibration.json", "timestamps.csv"
MASK_FOLDER, POSE_FOLDER = "mask", "pose"
COLUMNS = ["frame", "depth_s", "color_s"]
REDUCTION = (9, 20)  # 1080 px become 486, 1920 become 864
# Colour a whole frame late is of another moment; the streams of one device tick within 10 ms of each other.
MAX_SKEW_S = 0.02

Times = dict[int, tuple[float, float]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Kinect2Folder:
    """An open `kinect2` folder; its `Capture`.

    Attributes:
        times: frame to (depth_s, color_s), seconds; color_s is NaN where colour was dropped.
        has_masks: whether every frame must bring one.
    """

    root: Path
    calibration: Kinect2Calibration
    times: Times
    frames: list[int]
    has_masks: bool

    @cached_property
    def cameras(self) -> TwoCameras:
        calibration = self.calibration
        return TwoCameras(
            depth=calibration.depth,
            color=calibration.color,
            color_from_depth=calibration.color_from_depth,
            reduction=REDUCTION,
        )

    def files(self, frames: list[int]) -> list[Path]:
        paths = [self.root / CALIBRATION_FILE, self.root / TIMES_FILE]
        kinds = ["depth", "color", *([MASK_FOLDER] if self.has_masks else []), POSE_FOLDER]
        return paths + [self._path(kind, frame) for frame in frames for kind in kinds]

    def read(self, frame: int) -> Frame:
        depth_s = self._paired_time(frame)
        depth_m = self._read_depth(self._path("depth", frame))
        image = read_color(self._path("color", frame))
        self._check_size("color", frame, image, self.calibration.color)
        registered = self.cameras.registration.register(depth_m)
        mask = None
        if self.has_masks:
            given = read_mask(self._path(MASK_FOLDER, frame))
            self._check_size("mask", frame, given, self.calibration.depth)
            mask = registered.mask(given)
        world_from_depth = read_pose(self._path(POSE_FOLDER, frame))
        return Frame(
            frame=frame,
            timestamp_s=depth_s,
            image=self.cameras.undistortion.undistort(image),
            depth_m=registered.depth_m,
            K=self.cameras.K.copy(),
            world_from_cam=world_from_depth @ invert_rigid(self.calibration.color_from_depth),
            mask=mask,
        )

    def _path(self, kind: str, frame: int) -> Path:
        suffix = {"color": "jpg", POSE_FOLDER: "txt"}.get(kind, "png")
        return self.root / kind / f"{frame:06d}.{suffix}"

    def _paired_time(self, frame: int) -> float:
        path = self.root / TIMES_FILE
        if frame not in self.times:
            missing = frame in self.frames
            raise InputError(
                "timestamps-missing" if missing else "depth-missing",
                f"{path}: frame {frame} must have a row, has none; the capture holds {len(self.frames)} frames "
                f"from {self.frames[0]} to {self.frames[-1]}. Restore the row, or leave the frame out.",
            )
        depth_s, color_s = self.times[frame]
        if not abs(color_s - depth_s) <= MAX_SKEW_S:  # NaN where colour was dropped
            found = "none was recorded" if np.isnan(color_s) else f"it is {color_s - depth_s:+.3f} s off"
            raise InputError(
                "color-missing",
                f"{path}: colour of frame {frame} must lie within {MAX_SKEW_S} s of its depth, {found}. "
                "Leave the frame out.",
            )
        return depth_s

    def _read_depth(self, path: Path) -> NDArray[np.float32]:
        raw_mm = read_depth_raw(path)
        self._check_size("depth", int(path.stem), raw_mm, self.calibration.depth)
        if not raw_mm.any():
            raise InputError(
                "empty-depth",
                f"{path}: depth must have a valid pixel, has none of {raw_mm.size}. Leave the frame out.",
            )
        # millimetres to metres
        return (raw_mm / 1000.0).astype(np.float32)

    def _check_size(self, kind: str, frame: int, array: NDArray[Any], camera: LensCamera) -> None:
        height, width = array.shape[:2]
        if (width, height) != (camera.width, camera.height):
            raise InputError(
                f"{kind}-size",
                f"{self._path(kind, frame)}: {kind} must be {camera.width}x{camera.height} px as "
                f"{CALIBRATION_FILE} says, is {width}x{height} px. Give the raw image, neither cut nor resized.",
            )


def open_kinect2(path: Path) -> Kinect2Folder:
    """Open a folder in the layout above: lists names, reads calibration and times, no image.

    A frame is listed by its depth, its colour or its row of times; what is missing is said when it is read.

    Raises:
        InputError: capture-missing, calibration-missing, calibration-malformed, intrinsics-mismatch,
            timestamps-missing, timestamps-malformed, duplicate-frame, no-frames, or pose-missing.
    """
    if not path.is_dir():
        found = "a file" if path.exists() else "missing"
        raise InputError(
            "capture-missing",
            f"{path}: the capture must be a folder, is {found}. Correct the manifest's path.",
        )
    calibration = read_kinect2_calibration(path / CALIBRATION_FILE)
    times = _read_times(path / TIMES_FILE)
    patterns = ("depth/{frame}.png", "color/{frame}.jpg")
    numbers = {int(number) for pattern in patterns for number in matching_texts(path, pattern)}
    if not numbers:
        raise InputError(
            "no-frames", f"{path}: the capture must hold depth/%06d.png, holds none. Correct the path."
        )
    if not (path / POSE_FOLDER).is_dir():
        raise InputError(
            "pose-missing",
            f"{path}: the capture must bring the depth camera's poses, brings none. "
            "Give pose/%06d.txt, 4x4 world_from_cam in metres, for every frame.",
        )
    return Kinect2Folder(
        root=path,
        calibration=calibration,
        times=times,
        frames=sorted(numbers | times.keys()),
        has_masks=(path / MASK_FOLDER).is_dir(),
    )


def _read_times(path: Path) -> Times:
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        raise InputError(
            "timestamps-missing",
            f"{path}: the times of the frames must exist, are missing. Restore the file.",
        ) from None
    except (OSError, ValueError, csv.Error) as error:
        raise _malformed(path, str(error)) from None
    if not rows or [name.strip() for name in rows[0]] != COLUMNS:
        raise _malformed(path, f"the head is {','.join(rows[0]) if rows else 'missing'}")
    times: Times = {}
    for number, row in enumerate(rows[1:], start=2):
        frame, stamps = _times_row(path, number, row)
        if frame in times:
            raise InputError(
                "duplicate-frame",
                f"{path}: each frame must have one row, but line {number} is frame {frame} again. "
                "Remove one of them.",
            )
        times[frame] = stamps
    return times


def _times_row(path: Path, number: int, row: list[str]) -> tuple[int, tuple[float, float]]:
    try:
        frame, depth_s = int(row[0]), float(row[1])
        color_s = float(row[2]) if row[2].strip() else np.nan
    except (ValueError, IndexError):
        raise _malformed(path, f"line {number} is {','.join(row)!r}") from None
    whole = len(row) == len(COLUMNS) and frame >= 0 and np.isfinite(depth_s) and not np.isinf(color_s)
    if not whole:
        raise _malformed(path, f"line {number} is {','.join(row)!r}")
    return frame, (depth_s, color_s)


def _malformed(path: Path, finding: str) -> InputError:
    return InputError(
        "timestamps-malformed",
        f"{path}: the times must be rows of {','.join(COLUMNS)} in seconds, but {finding}. Correct the file.",
    )
