"""When the frames of a Kinect v2 were exposed: the text files that recorders keep it in."""

from pathlib import Path

import numpy as np

from pipeline.errors import InputError

COLUMNS = ["frame", "depth_s", "color_s"]
NO_TIME = -1.0  # of colour that has none of its own
MAX_BYTES = 100_000_000

Times = dict[int, tuple[float, float]]


def read_times(path: Path, *, unit_s: float) -> Times:
    """Read rows of frame, time of depth and, where it is known, time of colour, parted by commas or blanks.

    A first row of words is a head; ours is `frame,depth_s,color_s`, and one with another unit's name is refused.

    Args:
        unit_s: seconds to one step of the times.

    Returns:
        Frame to (depth_s, color_s): color_s is NaN where its column is empty, so that colour was dropped, and
        -1 where there is no such column.

    Raises:
        InputError: timestamps-missing, timestamps-malformed, or duplicate-frame.
    """
    rows = [(number, line) for number, line in enumerate(_lines(path), start=1) if line.strip()]
    if not rows:
        raise _malformed(path, "the file is empty")
    head = _cells(rows[0][1])
    if head[0].lstrip("-").isdigit():
        columns = len(head)
    else:
        columns = len(head)
        known = head == COLUMNS[:columns] or (head[0] == "frame" and unit_s != 1.0)
        if not known:
            raise _malformed(path, f"the head is {rows[0][1].strip()!r}")
        rows = rows[1:]
    if columns not in (2, 3):
        raise _malformed(path, f"it has {columns} columns")
    times: Times = {}
    for number, line in rows:
        frame, stamps = _row(path, number, line, columns, unit_s)
        if frame in times:
            raise InputError(
                "duplicate-frame",
                f"{path}: each frame must have one row, but line {number} is frame {frame} again. "
                "Remove one of them.",
            )
        times[frame] = stamps
    return times


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _malformed(path, f"it has {path.stat().st_size} bytes")
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(
            "timestamps-missing",
            f"{path}: the times of the frames must exist, are missing. Restore the file.",
        ) from None
    except (OSError, ValueError) as error:
        raise _malformed(path, str(error)) from None


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(",")] if "," in line else line.split()


def _row(path: Path, number: int, line: str, columns: int, unit_s: float) -> tuple[int, tuple[float, float]]:
    cells = _cells(line)
    try:
        frame, depth_s = int(cells[0]), float(cells[1]) * unit_s
        color_s = NO_TIME if columns == 2 else float(cells[2]) * unit_s if cells[2] else np.nan
    except (ValueError, IndexError, OverflowError):
        raise _malformed(path, f"line {number} is {line.strip()!r}") from None
    whole = len(cells) == columns and 0 <= frame < 2**31 and np.isfinite(depth_s) and not np.isinf(color_s)
    if not whole:
        raise _malformed(path, f"line {number} is {line.strip()!r}")
    return frame, (depth_s, color_s)


def _malformed(path: Path, finding: str) -> InputError:
    return InputError(
        "timestamps-malformed",
        f"{path}: the times must be rows of {','.join(COLUMNS)} in time units, but {finding}. "
        "Correct the file.",
    )
