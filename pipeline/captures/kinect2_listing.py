"""Which files of a Kinect v2's folder belong to which frame, and when they were exposed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.captures.kinect2_files import Kinect2Layout
from pipeline.captures.kinect2_times import NO_TIME, Times, read_times
from pipeline.captures.pairing import fill, matching_texts, nearest, placeholder, timed_files
from pipeline.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Kinect2Entry:
    """What belongs to one frame; the files may be missing.

    Attributes:
        color, mask, pose: None where the capture has no such stream, or where `nothing_near` names it.
        nothing_near: streams of which nothing lies near enough in time.
        depth_s, color_s: seconds; depth_s is NaN where the capture's times lack the frame. color_s is NaN
            where colour was dropped. -1 where there are no times.
    """

    depth: Path
    color: Path | None
    mask: Path | None
    pose: Path | None
    depth_s: float = NO_TIME
    color_s: float = NO_TIME
    nothing_near: tuple[str, ...] = ()


def list_kinect2(root: Path, layout: Kinect2Layout) -> dict[int, Kinect2Entry]:
    """List the frames, ascending; names and times alone, no image is opened.

    By `{frame}`, a frame is listed by its depth, its colour or its row of times; by `{time}`, by its depth, and
    numbered by rank.

    Raises:
        InputError: no-frames, duplicate-frame, timestamps-missing, timestamps-malformed, or mask-missing and
            pose-missing where the manifest names a stream that has no file.
    """
    for what, pattern, needed in (
        ("mask", layout.mask, layout.mask_needed),
        ("pose", layout.pose, layout.pose_needed),
    ):
        if needed and pattern and not matching_texts(root, pattern):
            raise InputError(
                f"{what}-missing",
                f"{root}: the capture must hold {pattern!r} as the manifest says, holds none. "
                "Correct the pattern, or leave it out.",
            )
    by_time = placeholder(layout.depth) == "{time}"
    entries = dict(enumerate(_by_time(root, layout))) if by_time else _by_frame(root, layout)
    if not entries:
        raise InputError(
            "no-frames", f"{root}: the capture must hold {layout.depth}, holds none. Correct the path."
        )
    return entries


def _by_frame(root: Path, layout: Kinect2Layout) -> dict[int, Kinect2Entry]:
    times: Times | None = None
    if layout.times is not None:
        times = read_times(root / layout.times, unit_s=layout.time_unit_s)
    found = {pattern: matching_texts(root, pattern) for pattern in layout.patterns}
    texts = (found[layout.color] if layout.color else {}) | found[layout.depth]
    if not texts:
        return {}
    digits = max(len(text) for text in texts.values())

    def named(pattern: str | None, number: int, *, always: bool) -> Path | None:
        if pattern is None or not (always or found[pattern]):
            return None
        text = found[pattern].get(number) or texts.get(number) or f"{number:0{digits}d}"
        return root / fill(pattern, text)

    def entry(number: int) -> Kinect2Entry:
        depth_s, color_s = (NO_TIME, NO_TIME) if times is None else times.get(number, (np.nan, NO_TIME))
        return Kinect2Entry(
            depth=named(layout.depth, number, always=True) or root,
            color=named(layout.color, number, always=True),
            mask=named(layout.mask, number, always=False),
            pose=named(layout.pose, number, always=False),
            depth_s=depth_s,
            color_s=color_s,
        )

    numbers = sorted({int(number) for number in texts} | (times or {}).keys())
    return {number: entry(number) for number in numbers}


def _by_time(root: Path, layout: Kinect2Layout) -> Iterator[Kinect2Entry]:
    partners = {
        what: timed_files(root, pattern, what)
        for what, pattern in (("color", layout.color), ("mask", layout.mask), ("pose", layout.pose))
        if pattern is not None
    }
    skew = layout.max_time_skew_s / layout.time_unit_s
    for time, depth in zip(*timed_files(root, layout.depth, "depth"), strict=True):
        near = {what: nearest(times, float(time), max_skew_s=skew) for what, (times, _) in partners.items()}
        files = {what: partners[what][1][at] for what, at in near.items() if at is not None}
        at = near.get("color")
        yield Kinect2Entry(
            depth=depth,
            color=files.get("color"),
            mask=files.get("mask"),
            pose=files.get("pose"),
            depth_s=float(time) * layout.time_unit_s,
            color_s=NO_TIME if at is None else float(partners["color"][0][at]) * layout.time_unit_s,
            nothing_near=tuple(what for what, at in near.items() if at is None),
        )
