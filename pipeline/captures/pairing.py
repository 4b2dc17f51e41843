"""Which files of a folder belong to which frame: by the number or the time in their names, or by TUM lists.

Pairing is never by count: a dropped image shifts nothing.
"""

import glob
import math
import re
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

Float64 = NDArray[np.float64]

PLACEHOLDERS = {"{frame}": r"(\d+)", "{time}": r"(\d+(?:\.\d+)?)"}


def placeholder(pattern: str) -> str | None:
    """The placeholder that a pattern holds, or None for the name of one file.

    Raises:
        ValueError: if it holds more than one, or any other brace.
    """
    found = re.findall(r"\{.*?\}|[{}]", pattern)
    if not found:
        return None
    if len(found) > 1 or found[0] not in PLACEHOLDERS:
        raise ValueError(f"{pattern!r} must hold one of {{frame}} and {{time}}, or no brace, has {found}")
    return str(found[0])


def fill(pattern: str, text: str) -> str:
    """The pattern's file name for one frame number or time, written as `text`."""
    for name in PLACEHOLDERS:
        pattern = pattern.replace(name, text)
    return pattern


def matching_texts(root: Path, pattern: str) -> dict[float, str]:
    """Find the files that match a pattern: number or time to its text in the name, ascending.

    Raises:
        InputError: duplicate-frame, where two names mean the same number, such as 7 and 007.
    """
    name = placeholder(pattern) or ""
    before, after = pattern.split(name)
    regex = re.compile(re.escape(before) + PLACEHOLDERS[name] + re.escape(after))
    texts: dict[float, str] = {}
    for path in sorted(glob.glob(glob.escape(before) + "*" + glob.escape(after), root_dir=root)):
        match = regex.fullmatch(path)
        if match is None:
            continue
        text = match.group(1)
        key = int(text) if name == "{frame}" else float(text)
        if key in texts:
            raise _duplicate(root / path, f"the same frame as {fill(pattern, texts[key])}")
        texts[key] = text
    return dict(sorted(texts.items()))


def timed_files(root: Path, source: str, what: str) -> tuple[Float64, list[Path]]:
    """Files with their times, from a `{time}` pattern or the name of a TUM list.

    Args:
        what: depth, color or mask: the word in messages and reason codes.

    Returns:
        Times (N) in seconds, ascending, and the N paths; a listed file may be missing.

    Raises:
        InputError: `what`-missing without the list, list-malformed, duplicate-frame.
    """
    if placeholder(source) is None:
        entries = _read_list(root / source, what)
    else:
        entries = {time: root / fill(source, text) for time, text in matching_texts(root, source).items()}
    times = sorted(entries)
    return np.array(times, dtype=np.float64), [entries[time] for time in times]


def nearest(times_s: Float64, wanted_s: float, *, max_skew_s: float) -> int | None:
    """Index of the time nearest to the wanted one, the earlier of two equals; None if none is near enough.

    Args:
        times_s: ascending.
    """
    after = int(np.searchsorted(times_s, wanted_s))
    near = [i for i in (after - 1, after) if 0 <= i < len(times_s)]
    best = min(near, key=lambda i: abs(times_s[i] - wanted_s), default=None)
    return best if best is not None and abs(times_s[best] - wanted_s) <= max_skew_s else None


def _read_list(path: Path, what: str) -> dict[float, Path]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        raise InputError(
            f"{what}-missing",
            f"{path}: the list of {what} images must be a readable file, is not. "
            "Restore it, or name a pattern with {frame} or {time}.",
        ) from None
    entries: dict[float, Path] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        time_s, name = _list_entry(line, where=f"{path}, line {number}")
        if time_s in entries:
            raise _duplicate(path, f"the time {time_s!r} s twice, again in line {number}")
        entries[time_s] = path.parent / name
    return entries


def _list_entry(line: str, *, where: str) -> tuple[float, str]:
    time, _, name = line.strip().partition(" ")
    name = name.strip()
    try:
        time_s = float(time)
    except ValueError:
        time_s = math.nan
    inside = name and not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
    if not math.isfinite(time_s) or not inside:
        raise InputError(
            "list-malformed",
            f"{where}: must be `timestamp filename` with a file inside the capture, is {line.strip()!r}. "
            "Correct the list.",
        )
    return time_s, name


def _duplicate(path: Path, finding: str) -> InputError:
    return InputError(
        "duplicate-frame",
        f"{path}: each frame must be named once, but it names {finding}. Remove one of them.",
    )
