"""Which files of a folder make up each frame, listed without opening an image."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.pairing import fill, matching_texts, nearest, placeholder, timed_files
from pipeline.captures.poses import poses_at, read_log_trajectory, read_tum_trajectory
from pipeline.captures.rgbd_files import RgbdStreams
from pipeline.errors import InputError

Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameFiles:
    """What belongs to one frame; None where nothing lies near enough in time, or where the stream is not kept.

    Attributes:
        timestamp_s, color_timestamp_s: of the depth and of the colour image; -1 without times.
        masks: their union is the foreground.
        pose: a file, or the matrix itself where a trajectory gives it.
    """

    timestamp_s: float
    color_timestamp_s: float
    depth: Path
    color: Path | None
    masks: tuple[Path, ...]
    pose: Path | Float64 | None


def list_frames(root: Path, options: RgbdStreams) -> dict[int, FrameFiles]:
    """Pair the files of a folder by number or by time, ascending.

    Frames paired by `{frame}` keep their numbers, and a number with colour alone is listed too; frames paired
    by time are numbered by the rank of their depth image.

    Raises:
        InputError: duplicate-frame, list-malformed, pose-malformed, or a missing TUM file or trajectory.
    """
    if placeholder(options.depth) == "{frame}":
        return _by_number(root, options)
    return dict(enumerate(_by_time(root, options)))


def _by_number(root: Path, options: RgbdStreams) -> dict[int, FrameFiles]:
    patterns = (options.depth, options.color, options.mask, None if options.has_log else options.pose)
    found = {pattern: matching_texts(root, pattern) for pattern in patterns if pattern is not None}
    texts = (found[options.color] if options.color else {}) | found[options.depth]
    poses = read_log_trajectory(root / str(options.pose)) if options.has_log else {}
    _refuse_shifted(root / str(options.pose), poses, texts)

    def expected(pattern: str, number: float) -> Path:
        return root / fill(pattern, found[pattern].get(number, texts[number]))

    def pose(number: float) -> Path | Float64 | None:
        if options.pose is None or options.has_log:
            return poses.get(int(number))
        return expected(options.pose, number)

    return {
        int(number): FrameFiles(
            timestamp_s=-1.0,
            color_timestamp_s=-1.0,
            depth=expected(options.depth, number),
            color=expected(options.color, number) if options.color else None,
            masks=(expected(options.mask, number),) if options.mask else (),
            pose=pose(number),
        )
        for number in sorted(texts)
    }


def _refuse_shifted(path: Path, poses: dict[int, Float64], texts: dict[float, str]) -> None:
    numbers = sorted(int(number) for number in texts)
    if not poses or not numbers or min(poses) == numbers[0]:
        return
    shift = numbers[0] - min(poses)
    if numbers == [number + shift for number in sorted(poses)]:
        raise InputError(
            "pose-malformed",
            f"{path}: poses must carry the numbers of the frames, {numbers[0]} to {numbers[-1]}, but carry "
            f"{min(poses)} to {max(poses)}. Renumber them by {shift:+d}.",
        )


def _by_time(root: Path, options: RgbdStreams) -> Iterator[FrameFiles]:
    none = np.zeros(0), list[Path]()
    color_s, colors = timed_files(root, options.color, "color") if options.color else none
    mask_s, masks = timed_files(root, options.mask, "mask") if options.mask else none
    depth_s, depths = timed_files(root, options.depth, "depth")
    poses = _timed_poses(root, options, depth_s)
    for time_s, depth, pose in zip(depth_s, depths, poses, strict=True):
        color = nearest(color_s, time_s, max_skew_s=options.max_time_skew_s)
        mask = nearest(mask_s, time_s, max_skew_s=options.max_time_skew_s)
        yield FrameFiles(
            timestamp_s=float(time_s),
            color_timestamp_s=-1.0 if color is None else float(color_s[color]),
            depth=depth,
            color=None if color is None else colors[color],
            masks=() if mask is None else (masks[mask],),
            pose=pose,
        )


def _timed_poses(root: Path, options: RgbdStreams, wanted_s: Float64) -> list[Path | Float64 | None]:
    if options.pose is None:
        return [None] * len(wanted_s)
    skew_s = options.max_time_skew_s
    if placeholder(options.pose) is None:
        times_s, transforms = read_tum_trajectory(root / options.pose)
        return [*poses_at(times_s, transforms, wanted_s, max_skew_s=skew_s)]
    times_s, paths = timed_files(root, options.pose, "pose")
    near = [nearest(times_s, time_s, max_skew_s=skew_s) for time_s in wanted_s]
    return [None if index is None else paths[index] for index in near]
