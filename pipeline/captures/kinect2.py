"""Raw captures of a Kinect v2: two distorted streams, brought into one pinhole camera.

    calibration.json      both cameras with their lenses, color_from_depth: kinect2_calibration.py
    timestamps.csv        frame,depth_s,color_s: seconds on one clock; color_s is empty where colour was dropped
    depth/%06d.png        16 bit, whole millimetres along the optical axis, 0 is no measurement (512x424)
    color/%06d.jpg        as the lens shows it (1920x1080)
    pose/%06d.txt         optional, world_from_cam (4 4) of the *depth* camera, metres
    mask/%06d.png         optional, not 0 = foreground, in the depth camera's raw pixels, as the sensor's own
                          body index is; registered with the depth

Other recorders' folders are told by a table of the manifest: kinect2_files.py.

A frame is read into the colour camera without its lens, at 9/20 of its size (864x486 px, f about 480 px, the
scale of Tang et al., ICCV 2019): about one depth pixel to one and a half of the result. Images that were recorded
mirrored are turned upright first, and so is a calibration that was made on mirrored images.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid
from pipeline.captures.capture import Frame
from pipeline.captures.distortion import LensCamera
from pipeline.captures.images import ImageSize
from pipeline.captures.kinect2_calibration import Kinect2Calibration, mirrored, read_kinect2_calibration
from pipeline.captures.kinect2_files import LAYOUTS, MAX_SKEW_S, Kinect2Files, Kinect2Layout
from pipeline.captures.kinect2_foreign_calibration import (
    IAI_FILES,
    read_iai_calibration,
    read_libfreenect2_calibration,
    read_sdk_calibration,
)
from pipeline.captures.kinect2_images import read_kinect2_color, read_kinect2_depth, read_kinect2_mask
from pipeline.captures.kinect2_listing import Kinect2Entry, list_kinect2
from pipeline.captures.kinect2_times import COLUMNS
from pipeline.captures.poses import read_pose
from pipeline.captures.two_cameras import TwoCameras
from pipeline.errors import InputError

__all__ = [
    "CALIBRATION_FILE",
    "COLUMNS",
    "MASK_FOLDER",
    "MAX_SKEW_S",
    "POSE_FOLDER",
    "TIMES_FILE",
    "open_kinect2",
]

CALIBRATION_FILE, TIMES_FILE = LAYOUTS["bodytruth"].calibration, "timestamps.csv"
MASK_FOLDER, POSE_FOLDER = "mask", "pose"
REDUCTION = (9, 20)  # 1080 px become 486, 1920 become 864
READERS = {
    "bodytruth": read_kinect2_calibration,
    "iai_kinect2": read_iai_calibration,
    "libfreenect2": read_libfreenect2_calibration,
    "kinect-sdk": read_sdk_calibration,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Kinect2Folder:
    """An open folder of a Kinect v2; its `Capture`.

    Attributes:
        calibration: of upright images.
    """

    root: Path
    layout: Kinect2Layout
    calibration: Kinect2Calibration
    by_frame: dict[int, Kinect2Entry]

    @property
    def frames(self) -> list[int]:
        return list(self.by_frame)

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
        paths = _calibration_files(self.root, self.layout)
        if self.layout.times is not None:
            paths.append(self.root / self.layout.times)
        for frame in frames:
            entry = self._entry(frame)
            paths += [path for path in (entry.depth, entry.color, entry.mask, entry.pose) if path is not None]
        return paths

    def read(self, frame: int) -> Frame:
        entry = self._entry(frame)
        self._check(frame, entry)
        depth_m = read_kinect2_depth(
            entry.depth,
            self.layout.depth_coding,
            size=_size(self.calibration.depth),
            shift_mm=self.calibration.depth_shift_mm,
        )
        registered = self.cameras.registration.register(
            self._upright(depth_m), with_source=entry.mask is not None
        )
        mask = None
        if entry.mask is not None:
            size = _size(self.calibration.depth)
            given = read_kinect2_mask(entry.mask, self.layout.mask_coding, size=size)
            mask = registered.mask(self._upright(given))
        return Frame(
            frame=frame,
            timestamp_s=entry.depth_s,
            color_timestamp_s=entry.color_s,
            image=None if entry.color is None else self._read_color(entry.color),
            depth_m=registered.depth_m,
            K=self.cameras.K.copy(),
            world_from_cam=self._read_pose(entry),
            mask=mask,
        )

    def _read_color(self, path: Path) -> NDArray[np.uint8]:
        lookup = self.cameras.undistortion
        size = _size(self.calibration.color)
        image = read_kinect2_color(path, self.layout.color_coding, size=size, shrink=lookup.shrink)
        return lookup.undistort(self._upright(image))

    def _read_pose(self, entry: Kinect2Entry) -> NDArray[np.float64] | None:
        if entry.pose is None:
            return None
        return read_pose(entry.pose) @ invert_rigid(self.calibration.color_from_depth)

    def _upright(self, image: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(image[:, ::-1]) if self.layout.mirrored else image

    def _entry(self, frame: int) -> Kinect2Entry:
        if frame not in self.by_frame:
            numbers = self.frames
            raise InputError(
                "depth-missing",
                f"{self.root}: frame {frame} must be in the capture, is not; it holds {len(numbers)} frames "
                f"from {numbers[0]} to {numbers[-1]}. Leave the frame out.",
            )
        return self.by_frame[frame]

    def _check(self, frame: int, entry: Kinect2Entry) -> None:
        if np.isnan(entry.depth_s):
            raise InputError(
                "timestamps-missing",
                f"{self.root / str(self.layout.times)}: frame {frame} must have a row, has none. "
                "Restore the row, or leave the frame out.",
            )
        if np.isnan(entry.color_s) and entry.color is not None:
            raise InputError(
                "color-missing",
                f"{self.root / str(self.layout.times)}: frame {frame} must have colour, none was recorded. "
                "Leave the frame out.",
            )
        for what in entry.nothing_near:
            raise InputError(
                f"{what}-missing",
                f"{entry.depth}: a {what} must lie within {self.layout.max_time_skew_s} s of the depth image, "
                "none does. Leave it out, or raise max_time_skew_s.",
            )


def open_kinect2(path: Path, options: Kinect2Files | None = None) -> Kinect2Folder:
    """Open a folder: lists names, reads calibration and times, no image.

    Args:
        options: how it is laid out; None for the layout above.

    Raises:
        InputError: capture-missing, calibration-missing, calibration-malformed, intrinsics-mismatch,
            timestamps-missing, timestamps-malformed, duplicate-frame, no-frames, and mask-missing or
            pose-missing where the manifest names a stream that has no file.
    """
    if not path.is_dir():
        found = "a file" if path.exists() else "missing"
        raise InputError(
            "capture-missing",
            f"{path}: the capture must be a folder, is {found}. Correct the manifest's path.",
        )
    layout = (options or Kinect2Files()).resolved
    calibration = READERS[layout.calibration_format](path / layout.calibration)
    return Kinect2Folder(
        root=path,
        layout=layout,
        calibration=mirrored(calibration) if layout.calibration_mirrored else calibration,
        by_frame=list_kinect2(path, layout),
    )


def _calibration_files(root: Path, layout: Kinect2Layout) -> list[Path]:
    place = root / layout.calibration
    if layout.calibration_format != "iai_kinect2":
        return [place]
    # The last one may be missing, and then depth is not shifted.
    return [place / name for name in IAI_FILES[:3]] + [
        path for path in [place / IAI_FILES[3]] if path.exists()
    ]


def _size(camera: LensCamera) -> ImageSize:
    return camera.height, camera.width
