"""Arrays of numbers in a mat file of version 5 that may come from anyone: nothing is run, nothing overgrows.

Such a file holds arrays and no program. But a compressed array of a megabyte may unfold to gigabytes, so the
file is unfolded first, up to a limit, and scipy reads what came out.
"""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBERS = {"double", "single", *(f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64))}
MOST_BYTES = 1 << 26  # of the file, packed or not: sixty times the arrays of DensePose
HEAD_BYTES, TAG_BYTES = 128, 8
MARKS = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}  # version 5 and the byte order
COMPRESSED = 15


def read_numbers(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
    """Read some arrays of a mat file, none of them empty, as float64.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no whole file of version 5, too large, or lacks an array of numbers; without its path.
    """
    from scipy.io import loadmat, whosmat

    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it must be at most {MOST_BYTES >> 20} MiB, is {path.stat().st_size >> 20} MiB")
    unfolded = _unfolded(path.read_bytes())
    try:
        kinds = {name: (shape, kind) for name, shape, kind in whosmat(io.BytesIO(unfolded))}
        for name in names:
            shape, kind = kinds.get(name, ((), "absent"))
            if kind not in NUMBERS or not 0 < np.prod(shape, dtype=np.float64) <= MOST_BYTES:
                raise _NotNumbersError(f"{name} must be numbers, is {kind} of {shape}")
        found: dict[str, Any] = loadmat(io.BytesIO(unfolded), variable_names=list(names), mat_dtype=False)
        return {name: np.asarray(found[name], dtype=np.float64) for name in names}
    except _NotNumbersError:
        raise
    except Exception as error:  # loadmat lets whatever a torn file breaks pass through
        raise ValueError(f"it must be a whole mat file of version 5, is not ({error})") from None


class _NotNumbersError(ValueError):
    """An array is missing, empty, or none of numbers."""


def _unfolded(content: bytes) -> bytes:
    """The same file with every array unpacked."""
    order = MARKS.get(content[124:HEAD_BYTES])
    if order is None:
        raise ValueError("it must be a mat file of version 5, is not")
    parts, size, at = [content[:HEAD_BYTES]], HEAD_BYTES, HEAD_BYTES
    while at + TAG_BYTES <= len(content):
        kind, length = struct.unpack_from(f"{order}II", content, at)
        end = at + TAG_BYTES + length
        part = content[at:end] if kind != COMPRESSED else _inflated(content[at + TAG_BYTES : end], size)
        size += len(part)
        parts.append(part)
        at = end
    return b"".join(parts)


def _inflated(packed: bytes, size: int) -> bytes:
    try:
        stream = zlib.decompressobj()
        part = stream.decompress(packed, MOST_BYTES - size + 1)
    except zlib.error as error:
        raise ValueError(f"it must be a whole mat file of version 5, is not ({error})") from None
    if size + len(part) > MOST_BYTES:
        raise ValueError(f"it must unfold to at most {MOST_BYTES >> 20} MiB, unfolds to more")
    return part
