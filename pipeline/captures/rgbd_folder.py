"""Folders of registered colour and depth images, laid out as the manifest says (7-Scenes, TUM, own)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.cameras import intrinsics_problem
from pipeline.captures.calibration import ImageSize, read_calibration
from pipeline.captures.capture import Frame
from pipeline.captures.images import png_size, read_color, read_depth_raw, read_mask
from pipeline.captures.pairing import fill, matching_texts, nearest, placeholder, timed_files
from pipeline.captures.poses import check_rigid, read_pose, read_tum_trajectory
from pipeline.errors import InputError

Float64 = NDArray[np.float64]
RawCode = Annotated[int, Field(ge=0, le=65535)]


class RgbdFiles(BaseModel):
    """Where a folder keeps its images, poses and calibration, and how its depth is coded.

    Images and poses are patterns relative to the capture with one placeholder, `{frame}` (an integer, padded
    with zeros or not) or `{time}` (seconds), or, without one, TUM files that carry the times.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    color: str = Field(description="Pattern or TUM list of the colour images, PNG or JPEG.")
    depth: str = Field(
        description="Pattern or TUM list of the depth images, 16-bit PNG, registered to colour."
    )
    mask: str | None = Field(
        default=None, description="Pattern or TUM list of foreground masks, PNG, not 0 = use."
    )
    pose: str = Field(description="Pattern of 4x4 text files, or a TUM trajectory; world_from_cam in metres.")
    calibration: str = Field(description="3x3 text file, or JSON with width, height and K.")
    depth_unit_m: float = Field(
        default=0.001, gt=0, description="Metres per raw depth step; TUM's is 0.0002."
    )
    invalid_raw: tuple[RawCode, ...] = Field(
        default=(), description="Raw depth codes that mean no measurement, besides 0."
    )
    max_time_skew_s: float = Field(
        default=0.02, ge=0, description="Largest time between a depth image and its colour, mask or pose."
    )

    @field_validator("color", "depth", "mask", "pose")
    @classmethod
    def _one_placeholder(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            placeholder(pattern)
        return pattern

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        named = {"color": self.color, "depth": self.depth, "mask": self.mask, "pose": self.pose}
        by_frame = {name for name, pattern in named.items() if pattern and placeholder(pattern) == "{frame}"}
        by_time = {name for name, pattern in named.items() if pattern} - by_frame
        if by_frame and by_time:
            raise ValueError(
                f"all files must be paired in one way, but {', '.join(sorted(by_frame))} by {{frame}} and "
                f"{', '.join(sorted(by_time))} by time"
            )
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameFiles:
    """What belongs to one frame; None where nothing lies near enough in time, or where there are no masks.

    Attributes:
        pose: a file, or the matrix itself where a trajectory gives it.
    """

    timestamp_s: float
    depth: Path
    color: Path | None
    mask: Path | None
    pose: Path | Float64 | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RgbdFolder:
    """An open folder of images; the `Capture` of `rgbd-folder` and `7scenes`.

    Attributes:
        shared: the files that belong to all frames, calibration first.
        size: of every depth image; None where not one has a readable header.
    """

    root: Path
    options: RgbdFiles
    K: Float64
    size: ImageSize | None
    shared: tuple[Path, ...]
    by_frame: dict[int, FrameFiles]

    @property
    def frames(self) -> list[int]:
        return list(self.by_frame)

    def files(self, frames: list[int]) -> list[Path]:
        paths = list(self.shared)
        for frame in frames:
            entry = self._entry(frame)
            named = (entry.depth, entry.color, entry.mask, entry.pose)
            paths += [path for path in named if isinstance(path, Path)]
        return paths

    def read(self, frame: int) -> Frame:
        entry = self._entry(frame)
        depth_m = self._read_depth(entry.depth)
        image = read_color(self._partner(entry, "color", entry.color))
        self._check_size("color", entry.color, image)
        mask = None
        if self.options.mask is not None:
            mask = read_mask(self._partner(entry, "mask", entry.mask))
            self._check_size("mask", entry.mask, mask)
        return Frame(
            frame=frame,
            timestamp_s=entry.timestamp_s,
            image=image,
            depth_m=depth_m,
            K=self.K.copy(),
            world_from_cam=self._read_pose(entry),
            mask=mask,
        )

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
        raw = read_depth_raw(path)
        self._check_size("depth", path, raw)
        raw[np.isin(raw, self.options.invalid_raw)] = 0
        if not raw.any():
            raise InputError(
                "empty-depth",
                f"{path}: depth must have a valid pixel, has none of {raw.size}. Leave the frame out.",
            )
        # raw steps to metres
        return np.asarray(raw * self.options.depth_unit_m, dtype=np.float32)

    def _read_pose(self, entry: FrameFiles) -> Float64:
        if isinstance(entry.pose, np.ndarray):
            check_rigid(entry.pose, where=f"{self.root / self.options.pose}, at {entry.timestamp_s!r} s")
            return entry.pose.copy()
        return read_pose(self._partner(entry, "pose", entry.pose))

    def _partner(self, entry: FrameFiles, what: str, path: Path | None) -> Path:
        if path is None:
            raise InputError(
                f"{what}-missing",
                f"{entry.depth}: a {what} must lie within {self.options.max_time_skew_s} s of the depth "
                f"image at {entry.timestamp_s!r} s, none does. Leave it out, or raise max_time_skew_s.",
            )
        return path

    def _check_size(self, what: str, path: Path | None, array: NDArray[Any]) -> None:
        if self.size is not None and array.shape[:2] != self.size:
            height, width = array.shape[:2]
            raise InputError(
                f"{what}-size",
                f"{path}: {what} must be {self.size[1]}x{self.size[0]} px like the capture's depth images, "
                f"is {width}x{height} px. Register and resize it to the depth.",
            )


def open_rgbd_folder(path: Path, options: RgbdFiles) -> RgbdFolder:
    """Open a folder of images: list names, read the calibration, check it against the depth's common size.

    Frames paired by `{frame}` keep their numbers, and a number with colour alone is listed too; frames paired
    by time are numbered by the rank of their depth image.

    Raises:
        InputError: capture-missing, calibration-missing, calibration-malformed, intrinsics-mismatch,
            no-frames, duplicate-frame, list-malformed, or a missing TUM file.
    """
    if not path.is_dir():
        found = "a file" if path.exists() else "missing"
        raise InputError(
            "capture-missing",
            f"{path}: the capture must be a folder, is {found}. Correct the manifest's path.",
        )
    K, size = read_calibration(path / options.calibration)
    by_number = placeholder(options.depth) == "{frame}"
    by_frame = dict(enumerate(_by_time(path, options))) if not by_number else _by_number(path, options)
    if not by_frame:
        raise InputError(
            "no-frames",
            f"{path}: the capture must hold depth images {options.depth!r}, holds none. Correct the pattern.",
        )
    sources = (options.color, options.depth, options.mask, options.pose)
    lists = [path / source for source in sources if source and placeholder(source) is None]
    return RgbdFolder(
        root=path,
        options=options,
        K=K,
        size=_checked_size(path / options.calibration, K, size, by_frame),
        shared=(path / options.calibration, *lists),
        by_frame=by_frame,
    )


def _by_number(root: Path, options: RgbdFiles) -> dict[int, FrameFiles]:
    found = {
        pattern: matching_texts(root, pattern)
        for pattern in (options.depth, options.color, options.mask, options.pose)
        if pattern is not None
    }
    texts = found[options.color] | found[options.depth]

    def expected(pattern: str, number: float) -> Path:
        return root / fill(pattern, found[pattern].get(number, texts[number]))

    return {
        int(number): FrameFiles(
            timestamp_s=-1.0,
            depth=expected(options.depth, number),
            color=expected(options.color, number),
            mask=expected(options.mask, number) if options.mask else None,
            pose=expected(options.pose, number),
        )
        for number in sorted(texts)
    }


def _by_time(root: Path, options: RgbdFiles) -> Iterator[FrameFiles]:
    none = np.zeros(0), list[Path]()
    color_s, colors = timed_files(root, options.color, "color")
    mask_s, masks = timed_files(root, options.mask, "mask") if options.mask else none
    poses: list[Path] | list[Float64]
    if placeholder(options.pose) is None:
        pose_s, transforms = read_tum_trajectory(root / options.pose)
        poses = list(transforms)
    else:
        pose_s, poses = timed_files(root, options.pose, "pose")
    for depth_s, depth in zip(*timed_files(root, options.depth, "depth"), strict=True):
        color = nearest(color_s, depth_s, max_skew_s=options.max_time_skew_s)
        mask = nearest(mask_s, depth_s, max_skew_s=options.max_time_skew_s)
        pose = nearest(pose_s, depth_s, max_skew_s=options.max_time_skew_s)
        yield FrameFiles(
            timestamp_s=float(depth_s),
            depth=depth,
            color=None if color is None else colors[color],
            mask=None if mask is None else masks[mask],
            pose=None if pose is None else poses[pose],
        )


def _checked_size(
    calibration: Path, K: Float64, stated: ImageSize | None, by_frame: dict[int, FrameFiles]
) -> ImageSize | None:
    # A frame or two of another recording must not decide for all: they are refused when they are read.
    sizes = Counter(size for entry in by_frame.values() if (size := png_size(entry.depth)))
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
