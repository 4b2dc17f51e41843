"""Depth maps that were saved from NumPy: one float array (H W) a file.

The head (NumPy's format 1.0 to 3.0) is a Python literal; it is matched against the one form that NumPy writes,
never evaluated, and the array is as long as the file says, whatever the head claims.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.images import read_bytes
from pipeline.errors import InputError

MAGIC = b"\x93NUMPY"
HEAD_BYTES = 4096  # NumPy pads a depth map's to 128
_HEAD = re.compile(
    rb"\{'descr': '([<>]f[48])', 'fortran_order': (True|False), 'shape': \((\d{1,5}), (\d{1,5})\), \} *\n"
)


def npy_size(path: Path) -> tuple[int, int] | None:
    """Height and width in pixels from the head alone; None where there is no readable head."""
    try:
        with path.open("rb") as file:
            head = _head(file.read(HEAD_BYTES))
    except OSError:
        return None
    return (int(head[3]), int(head[4])) if head else None


def read_npy_depth(path: Path) -> NDArray[np.float64]:
    """Decode a depth map (H W) in the unit of the file; 0 where it is negative or not finite.

    Raises:
        InputError: depth-missing, or unreadable-depth for anything but a whole float array of two axes.
    """
    data = read_bytes(path, "depth")
    head = _head(data[:HEAD_BYTES])
    if head is None:
        raise _unreadable(path, "does not start with the head of one")
    dtype, height, width = np.dtype(head[1].decode()), int(head[3]), int(head[4])
    stated, held = height * width * dtype.itemsize, len(data) - head.end()
    if held != stated or not stated:
        raise _unreadable(path, f"holds {held} bytes of numbers instead of {stated}")
    flat = np.frombuffer(data, dtype, offset=head.end())
    by_columns = head[2] == b"True"
    depth = flat.reshape(width, height).T if by_columns else flat.reshape(height, width)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(depth) & (depth > 0), depth, 0.0).astype(np.float64)


def _head(data: bytes) -> re.Match[bytes] | None:
    """The head's literal; its start and end lie where the head's own length says."""
    if not data.startswith(MAGIC) or len(data) < 12 or data[6] not in (1, 2, 3):
        return None
    start = 10 if data[6] == 1 else 12
    head = _HEAD.match(data, start)
    return head if head and head.end() == start + int.from_bytes(data[8:start], "little") else None


def _unreadable(path: Path, problem: str) -> InputError:
    return InputError(
        "unreadable-depth",
        f"{path}: depth must be a whole .npy file of floats (height, width), but it {problem}. "
        "Save it again with numpy.save.",
    )
