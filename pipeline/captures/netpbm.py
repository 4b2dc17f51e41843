"""Binary PGM and PPM files of raw captures: 8 and 16 bit, samples of two bytes with the high byte first.

The formats are those of Netpbm's pgm(5) and ppm(5): `P5` or `P6`, width, height and the largest sample, parted
by blanks and comments, one blank, then the samples. One image a file.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.images import read_bytes
from pipeline.errors import InputError

HEAD_BYTES = 4096  # more than any writer's comments
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEAD = re.compile(rb"P([56])" + _GAP + rb"(\d{1,5})" + _GAP + rb"(\d{1,5})" + _GAP + rb"(\d{1,5})\s")
CHANNELS = {b"5": 1, b"6": 3}


def netpbm_size(path: Path) -> tuple[int, int] | None:
    """Height and width in pixels from the header alone; None where there is no readable header."""
    try:
        with path.open("rb") as file:
            head = _HEAD.match(file.read(HEAD_BYTES))
    except OSError:
        return None
    return (int(head[3]), int(head[2])) if head else None


def read_pgm_raw(path: Path) -> NDArray[np.uint16]:
    """Decode a depth image (H W) in the sensor's own unit.

    Raises:
        InputError: depth-missing, unreadable-depth, or depth-type for anything but one channel of 16 bit.
    """
    samples = _read(path, "depth")
    if samples.dtype != np.uint16 or samples.shape[2] != 1:
        raise InputError(
            "depth-type",
            f"{path}: depth must be a PGM of 16 bit, is {samples.dtype} in {samples.shape[2]} channels. "
            "Export the raw depth, not a picture of it.",
        )
    return np.asarray(samples[..., 0], dtype=np.uint16)


def read_pnm_color(path: Path) -> NDArray[np.uint8]:
    """Decode a PPM, or a grey PGM, of 8 bit to RGB (H W 3).

    Raises:
        InputError: color-missing or unreadable-color.
    """
    samples = _read(path, "color")
    if samples.dtype != np.uint8:
        raise _unreadable(path, "color", "holds samples of 16 bit, not of 8")
    return np.ascontiguousarray(np.broadcast_to(samples, (*samples.shape[:2], 3)), dtype=np.uint8)


def read_pnm_mask(path: Path) -> NDArray[np.bool_]:
    """Decode a PGM or PPM to bool (H W): True where any channel is not 0.

    Raises:
        InputError: mask-missing or unreadable-mask.
    """
    return np.asarray(_read(path, "mask").any(axis=-1))


def _read(path: Path, what: str) -> NDArray[Any]:
    """Samples (H W C), uint8 or uint16 in the machine's byte order."""
    data = read_bytes(path, what)
    head = _HEAD.match(data[:HEAD_BYTES])
    if head is None:
        raise _unreadable(path, what, "does not start with the head of a binary PGM or PPM")
    width, height, largest = int(head[2]), int(head[3]), int(head[4])
    if not 0 < largest < 65536 or not width or not height:
        raise _unreadable(path, what, f"states {width}x{height} px with samples up to {largest}")
    channels, dtype = CHANNELS[head[1]], ">u2" if largest > 255 else "u1"
    stated = width * height * channels * np.dtype(dtype).itemsize
    if len(data) - head.end() != stated:
        raise _unreadable(path, what, f"holds {len(data) - head.end()} bytes of samples instead of {stated}")
    samples = np.frombuffer(data, dtype=dtype, offset=head.end()).reshape(height, width, channels)
    if samples.max() > largest:
        raise _unreadable(path, what, f"holds the sample {samples.max()} though it states {largest} at most")
    return samples.astype(samples.dtype.newbyteorder("="))


def _unreadable(path: Path, what: str, problem: str) -> InputError:
    return InputError(
        f"unreadable-{what}",
        f"{path}: the {what} image must be a whole binary PGM or PPM, but it {problem}. "
        "Copy it again from the source.",
    )
