"""Folders of colour and depth images, laid out as the manifest says (7-Scenes, TUM, own)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import intrinsics_problem
from pipeline.captures.calibration import ImageSize, read_calibration
from pipeline.captures.capture import Frame
from pipeline.captures.images import png_size, read_color, read_depth_raw, read_mask
from pipeline.captures.netpbm import netpbm_size, read_pgm_raw, read_pnm_color, read_pnm_mask
from pipeline.captures.npy_depth import npy_size, read_npy_depth
from pipeline.captures.poses import check_rigid, read_pose
from pipeline.captures.rgbd_files import RgbdFiles, RgbdStreams
from pipeline.captures.rgbd_listing import FrameFiles, list_frames
from pipeline.errors import InputError

Float64 = NDArray[np.float64]

NETPBM_SUFFIXES = (".pgm", ".ppm", ".pnm")


@dataclass(frozen=True, kw_only=True, slots=True)
class RgbdFolder:
    """An open folder of images; the `Capture` of `rgbd-folder` and of the formats that only name its files.

    Attributes:
        K: (3 3) px of the depth images as they lie on disk.
        size: of every depth image; None where not one has a readable header.
        shared: the files that belong to all frames, calibration first.
        metres: from raw codes (H W) to depth_m, 0 invalid; None where a step is `options.depth_unit_m`.
        color_size: where colour is not of the depth's size.
        view: brings a frame as it lies on disk, with K and pose of its depth camera, into one pinhole; None
            where it lies there in one.
    """

    root: Path
    options: RgbdStreams
    K: Float64
    size: ImageSize | None
    shared: tuple[Path, ...]
    by_frame: dict[int, FrameFiles]
    metres: Callable[[NDArray[Any]], Float64] | None = None
    color_size: ImageSize | None = None
    view: Callable[[Frame], Frame] | None = None

    @property
    def frames(self) -> list[int]:
        return list(self.by_frame)

    def files(self, frames: list[int]) -> list[Path]:
        paths = list(self.shared)
        for frame in frames:
            entry = self._entry(frame)
            named = (entry.depth, entry.color, *entry.masks, entry.pose)
            paths += [path for path in named if isinstance(path, Path)]
        return paths

    def read(self, frame: int) -> Frame:
        entry = self._entry(frame)
        raw = Frame(
            frame=frame,
            timestamp_s=entry.timestamp_s,
            color_timestamp_s=entry.color_timestamp_s,
            depth_m=self._read_depth(entry.depth),
            image=self._read_color(entry),
            K=self.K.copy(),
            world_from_cam=self._read_pose(entry),
            mask=self._read_mask(entry),
        )
        return raw if self.view is None else self.view(raw)

    def _entry(self, frame: int) -> FrameFiles:
        if frame not in self.by_frame:
            raise InputError(
                "depth-missing",
                f"{self.root}: frame {frame} must be in the capture, is not; it holds "
                f"{len(self.by_frame)} frames from {min(self.by_frame)} to {max(self.by_frame)}. "
                "Correct the selection of frames.",
            )
        return self.by_frame[frame]

    def _read_depth(self, path: Path) -> NDArray[np.float32]:
        raw = _read_raw_depth(path, self.size)
        _check_size("depth", path, raw, self.size)
        raw[np.isin(raw, self.options.invalid_raw)] = 0
        # raw steps to metres
        depth_m = raw * self.options.depth_unit_m if self.metres is None else self.metres(raw)
        if not depth_m.any():
            raise InputError(
                "empty-depth",
                f"{path}: depth must have a valid pixel, has none of {raw.size}. Leave the frame out.",
            )
        return np.asarray(depth_m, dtype=np.float32)

    def _read_color(self, entry: FrameFiles) -> NDArray[np.uint8] | None:
        if self.options.color is None:
            return None
        path = self._partner(entry, "color", entry.color)
        size = self.color_size or self.size
        netpbm = path.suffix.lower() in NETPBM_SUFFIXES
        image = read_pnm_color(path) if netpbm else read_color(path, size=size)
        _check_size("color", path, image, size)
        return image

    def _read_mask(self, entry: FrameFiles) -> NDArray[np.bool_] | None:
        if self.options.mask is not None and not entry.masks:
            self._partner(entry, "mask", None)
        union: NDArray[np.bool_] | None = None
        for path in entry.masks:
            netpbm = path.suffix.lower() in NETPBM_SUFFIXES
            mask = read_pnm_mask(path) if netpbm else read_mask(path, size=self.size)
            _check_size("mask", path, mask, self.size if union is None else union.shape)
            union = mask if union is None else union | mask
        return union

    def _read_pose(self, entry: FrameFiles) -> Float64 | None:
        if self.options.pose is None:
            return None
        if isinstance(entry.pose, np.ndarray):
            check_rigid(entry.pose, where=f"{self.root / self.options.pose}, for {entry.depth.name}")
            return entry.pose.copy()
        return read_pose(self._partner(entry, "pose", entry.pose))

    def _partner(self, entry: FrameFiles, what: str, path: Path | None) -> Path:
        if path is not None:
            return path
        if entry.timestamp_s < 0:
            wanted = f"{entry.depth}: a {what} of this number must be in {getattr(self.options, what)}"
            raise InputError(f"{what}-missing", f"{wanted}, is missing. Leave the frame out, or restore it.")
        raise InputError(
            f"{what}-missing",
            f"{entry.depth}: a {what} must lie within {self.options.max_time_skew_s} s of the depth "
            f"image at {entry.timestamp_s!r} s, none does. Leave it out, or raise max_time_skew_s.",
        )


def open_rgbd_folder(path: Path, options: RgbdFiles) -> RgbdFolder:
    """Open a folder of images: list names, read the calibration, check it against the depth's common size.

    Raises:
        InputError: calibration-missing, calibration-malformed, or as `open_streams`.
    """
    require_folder(path)
    calibration = path / options.calibration
    return open_streams(path, options, *read_calibration(calibration), calibration=calibration)


def open_streams(
    path: Path, options: RgbdStreams, K: Float64, stated: ImageSize | None, *, calibration: Path | None
) -> RgbdFolder:
    """Open a folder of images of a known depth camera.

    Args:
        K: (3 3) px.
        stated: size of the images that K is for, where it is known.
        calibration: the file that K was read from; None where it is not from the capture.

    Raises:
        InputError: capture-missing, intrinsics-mismatch, no-frames, or as `list_frames`.
    """
    require_folder(path)
    by_frame = list_frames(path, options)
    if not by_frame:
        raise InputError(
            "no-frames",
            f"{path}: the capture must hold depth images {options.depth!r}, holds none. Correct the pattern.",
        )
    lists = [source for source in (options.color, options.depth, options.mask, options.pose) if source]
    return RgbdFolder(
        root=path,
        options=options,
        K=K,
        size=_checked_size(calibration or path, K, stated, by_frame),
        shared=(
            *([calibration] if calibration else []),
            *(path / source for source in lists if "{" not in source),
        ),
        by_frame=by_frame,
    )


def require_folder(path: Path) -> None:
    """Raise InputError capture-missing unless there is a folder."""
    if not path.is_dir():
        found = "a file" if path.exists() else "missing"
        raise InputError(
            "capture-missing",
            f"{path}: the capture must be a folder, is {found}. Correct the manifest's path.",
        )


def _read_raw_depth(path: Path, size: ImageSize | None) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if suffix in NETPBM_SUFFIXES:
        return read_pgm_raw(path)
    return read_npy_depth(path) if suffix == ".npy" else read_depth_raw(path, size=size)


def depth_size(path: Path) -> ImageSize | None:
    """Height and width of a depth image from its header alone; None where there is no readable one."""
    suffix = path.suffix.lower()
    if suffix in NETPBM_SUFFIXES:
        return netpbm_size(path)
    return npy_size(path) if suffix == ".npy" else png_size(path)


def _check_size(what: str, path: Path, array: NDArray[Any], size: tuple[int, ...] | None) -> None:
    height, width = array.shape[:2]
    if size is not None and (height, width) != size:
        raise InputError(
            f"{what}-size",
            f"{path}: {what} must be {size[1]}x{size[0]} px like the capture's others, or its calibration, "
            f"is {width}x{height} px. Register and resize it to the depth.",
        )


def _checked_size(
    calibration: Path, K: Float64, stated: ImageSize | None, by_frame: dict[int, FrameFiles]
) -> ImageSize | None:
    # A frame or two of another recording must not decide for all: they are refused when they are read.
    sizes = Counter(size for entry in by_frame.values() if (size := depth_size(entry.depth)))
    measured = max(sizes, key=lambda found: (sizes[found], found == stated), default=None)
    size = stated or measured
    if size is None:
        return None
    problem = intrinsics_problem(K, *size)
    if problem is None and measured is not None and measured != size:
        problem = (
            f"it is for {size[1]}x{size[0]} px, but the depth images have {measured[1]}x{measured[0]} px"
        )
    if problem is not None:
        raise InputError(
            "intrinsics-mismatch",
            f"{calibration}: the calibration must fit the depth images, but {problem}. "
            "Use the calibration of the registered depth.",
        )
    return size
