"""Reader of motion capture in BVH files: a hierarchy of joints, and their channels frame by frame.

Meredith and Maddock, "Motion Capture File Formats Explained", University of Sheffield CS-01-11, 2001: rotations are
in degrees about the joint's own axes, the first channel outermost, whatever the order of channels is.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.skinning import rotation_matrices
from pipeline.errors import InputError

Float64 = NDArray[np.float64]

MAX_BYTES = 512 * 1024 * 1024  # a megabyte is a minute; more than hours is another kind of file
CHANNELS = ("Xposition", "Yposition", "Zposition", "Xrotation", "Yrotation", "Zrotation")


@dataclass(frozen=True, kw_only=True, slots=True)
class BvhMotion:
    """What a BVH file holds, in the file's own axes and unit of length.

    Attributes:
        path: of the file.
        names: one per joint (J), parents before children; end sites are not joints.
        parents: (J) index of the parent, -1 for the root.
        offsets: (J 3) from the parent.
        ends: (J 3) offset of the joint's end site; 0 where it has none.
        local: (T J 3 3) rotations.
        moved: (T J 3) offsets with the position channels in place.
        frame_s: time from one frame to the next.
    """

    path: Path
    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Float64
    ends: Float64
    local: Float64
    moved: Float64
    frame_s: float


@dataclass(slots=True)
class _Lines:
    """The file's lines that hold anything, as words, and how far they have been read."""

    path: Path
    rows: list[tuple[int, list[str]]]
    at: int = 0

    def next(self, wanted: str) -> tuple[int, list[str]]:
        if self.at == len(self.rows):
            last = self.rows[-1][0] if self.rows else 0
            raise _malformed(self.path, last, f"{wanted} must follow", "the end of the file")
        self.at += 1
        return self.rows[self.at - 1]


@dataclass(slots=True)
class _Hierarchy:
    names: list[str]
    parents: list[int]
    offsets: list[list[float]]
    ends: list[list[float]]
    channels: list[tuple[str, ...]]


def read_bvh(path: Path) -> BvhMotion:
    """Read a BVH file.

    Raises:
        InputError: motion-missing, or motion-malformed with the line that is wrong.
    """
    lines = _Lines(path, _rows(path))
    tree = _read_hierarchy(lines)
    frames = _read_frame_count(lines)
    frame_s = _read_frame_time(lines)
    values = _read_frames(lines, frames, sum(map(len, tree.channels)))
    offsets = np.array(tree.offsets)
    local, moved = _apply_channels(values, tree.channels, offsets)
    return BvhMotion(
        path=path,
        names=tuple(tree.names),
        parents=tuple(tree.parents),
        offsets=offsets,
        ends=np.array(tree.ends),
        local=local,
        moved=moved,
        frame_s=frame_s,
    )


def joint_motion(bvh: BvhMotion) -> tuple[Float64, Float64]:
    """Return the world turns (T J 3 3) and positions (T J 3) of all joints, in the file's axes and unit."""
    turns, places = bvh.local.copy(), bvh.moved.copy()
    for joint, parent in enumerate(bvh.parents):
        if parent >= 0:
            places[:, joint] = places[:, parent] + (turns[:, parent] @ bvh.moved[:, joint, :, None])[..., 0]
            turns[:, joint] = turns[:, parent] @ bvh.local[:, joint]
    return turns, places


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8", errors="strict") if size <= MAX_BYTES else ""
    except FileNotFoundError:
        raise InputError(
            "motion-missing",
            f"{path}: the BVH file must exist, is missing. Restore it or name the right file.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _malformed(path, 0, "the file must be readable text", str(error)) from None
    if size > MAX_BYTES:
        raise _malformed(path, 0, f"the file must have at most {MAX_BYTES} bytes", f"{size} bytes")
    split = ((number, line.split()) for number, line in enumerate(text.splitlines(), start=1))
    return [(number, words) for number, words in split if words]


def _read_hierarchy(lines: _Lines) -> _Hierarchy:
    number, words = lines.next("HIERARCHY")
    if words != ["HIERARCHY"]:
        raise _malformed(lines.path, number, "the file must begin with HIERARCHY", " ".join(words[:4]))
    tree = _Hierarchy([], [], [], [], [])
    parent = -1
    while True:
        number, words = lines.next("MOTION")
        if words == ["MOTION"] and parent == -1 and tree.names:
            return tree
        if words == ["}"] and parent >= 0:
            parent = tree.parents[parent]
        elif words[0] == ("JOINT" if parent >= 0 else "ROOT") and (parent >= 0 or not tree.names):
            parent = _read_joint(lines, tree, number, words, parent)
        elif words[:2] == ["End", "Site"] and parent >= 0:
            _read_word(lines, "{")
            tree.ends[parent] = _read_offset(lines)
            _read_word(lines, "}")
        else:
            wanted = "JOINT, End Site or }" if parent >= 0 else "MOTION" if tree.names else "ROOT"
            raise _malformed(lines.path, number, f"{wanted} must stand here", " ".join(words[:4]))


def _read_joint(lines: _Lines, tree: _Hierarchy, number: int, words: list[str], parent: int) -> int:
    name = " ".join(words[1:])
    if not name or name in tree.names:
        raise _malformed(lines.path, number, "a joint must have a name of its own", name or "none")
    tree.names.append(name)
    tree.parents.append(parent)
    _read_word(lines, "{")
    tree.offsets.append(_read_offset(lines))
    tree.ends.append([0.0, 0.0, 0.0])
    number, words = lines.next("CHANNELS")
    kinds = tuple(words[2:])
    told = words[1] if len(words) > 1 else ""
    if (
        words[0] != "CHANNELS"
        or told != str(len(kinds))
        or len(set(kinds)) != len(kinds)
        or set(kinds) - set(CHANNELS)
    ):
        wanted = f"CHANNELS, their number, and as many different ones of {' '.join(CHANNELS)} must stand here"
        raise _malformed(lines.path, number, wanted, " ".join(words[:8]))
    tree.channels.append(kinds)
    return len(tree.names) - 1


def _read_word(lines: _Lines, word: str) -> None:
    number, words = lines.next(word)
    if words != [word]:
        raise _malformed(lines.path, number, f"{word} must stand alone here", " ".join(words[:4]))


def _read_offset(lines: _Lines) -> list[float]:
    number, words = lines.next("OFFSET")
    if words[0] != "OFFSET" or len(words) != 4:
        raise _malformed(lines.path, number, "OFFSET and 3 numbers must stand here", " ".join(words[:5]))
    return _numbers(lines.path, number, words[1:])


def _read_frame_count(lines: _Lines) -> int:
    number, words = lines.next("Frames:")
    if len(words) != 2 or words[0] != "Frames:" or not words[1].isdecimal() or int(words[1]) < 1:
        raise _malformed(lines.path, number, "Frames: and a count > 0 must stand here", " ".join(words[:4]))
    return int(words[1])


def _read_frame_time(lines: _Lines) -> float:
    number, words = lines.next("Frame Time:")
    if len(words) != 3 or words[:2] != ["Frame", "Time:"]:
        raise _malformed(lines.path, number, "Frame Time: and seconds must stand here", " ".join(words[:4]))
    (frame_s,) = _numbers(lines.path, number, words[2:])
    if frame_s <= 0:
        raise _malformed(lines.path, number, "Frame Time: must be > 0 s", words[2])
    return frame_s


def _read_frames(lines: _Lines, frames: int, channels: int) -> Float64:
    rows = lines.rows[lines.at :]
    if len(rows) != frames:
        last = rows[-1][0] if rows else lines.rows[-1][0]
        raise _malformed(
            lines.path, last, f"{frames} frames, one a line, must follow Frame Time:", f"{len(rows)}"
        )
    for number, words in rows:
        if len(words) != channels:
            wanted = f"a frame must have {channels} numbers, one a channel"
            raise _malformed(lines.path, number, wanted, f"{len(words)}")
    return np.array([_numbers(lines.path, number, words) for number, words in rows]).reshape(frames, channels)


def _apply_channels(
    values: Float64, channels: list[tuple[str, ...]], offsets: Float64
) -> tuple[Float64, Float64]:
    """Return the rotations (T J 3 3) and offsets (T J 3) of frames of channel values (T C)."""
    local = np.tile(np.eye(3), (len(values), len(channels), 1, 1))
    moved = np.repeat(offsets[None], len(values), axis=0)
    column = 0
    for joint, kinds in enumerate(channels):
        for kind in kinds:
            axis = "XYZ".index(kind[0])
            if kind.endswith("position"):
                # A position replaces the offset; where both are given, files repeat the one in the other.
                moved[:, joint, axis] = values[:, column]
            else:
                turned = np.radians(values[:, column, None]) * np.eye(3)[axis]
                local[:, joint] = local[:, joint] @ rotation_matrices(turned, np)
            column += 1
    return local, moved


def _numbers(path: Path, number: int, words: list[str]) -> list[float]:
    values = []
    for word in words:
        try:
            value = np.nan if "_" in word else float(word)
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise _malformed(path, number, "a finite number must stand here", word[:40])
        values.append(value)
    return values


def _malformed(path: Path, number: int, wanted: str, found: str) -> InputError:
    where = f"{path}, line {number}" if number else f"{path}"
    return InputError("motion-malformed", f"{where}: {wanted}, is {found}. Export the motion as BVH again.")
