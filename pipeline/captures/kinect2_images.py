"""Images of a Kinect v2 as recorders write them: PNG and JPEG, and frame buffers without a head.

A frame buffer has no size, no type and no checksum: its length must be exactly right, and depth of the wrong byte
order is told by its values.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.images import (
    ImageSize,
    read_bytes,
    read_codes,
    read_color,
    read_depth_raw,
    read_mask,
)
from pipeline.captures.kinect2_files import ColorCoding, DepthCoding, MaskCoding
from pipeline.errors import InputError

NEAR_MM, FAR_MM = 500, 8000  # what the sensor reports at all
NOBODY = 255  # in a body index
# Swapped, depth is spread over all codes: an eighth of them lies in the sensor's range.
RIGHT_SHARE, WRONG_SHARE = 0.8, 0.3


@lru_cache(maxsize=1)
def _metres() -> NDArray[np.float32]:
    """Metres of each raw depth in millimetres: a lookup is quicker than a division."""
    table = (np.arange(1 << 16) / 1000.0).astype(np.float32)
    table.setflags(write=False)
    return table


def read_kinect2_depth(
    path: Path, coding: DepthCoding, *, size: ImageSize, shift_mm: float
) -> NDArray[np.float32]:
    """Decode depth (H W) to metres; 0 is invalid.

    Args:
        shift_mm: added to every measured depth.

    Raises:
        InputError: depth-missing, unreadable-depth, depth-type, depth-size, depth-byte-order, or empty-depth.
    """
    if coding == "png":
        raw_mm: NDArray[Any] = read_depth_raw(path, size=size)
    else:
        raw_mm = _buffer(path, "depth", "<u2" if coding == "uint16" else "<f4", size=size)[..., 0]
    _check_byte_order(path, raw_mm)
    if coding == "float32":
        # libfreenect2 marks what it rejects by 0, NaN or infinity
        with np.errstate(invalid="ignore", over="ignore"):
            raw_mm = np.where((raw_mm > 0) & (raw_mm <= 65535), raw_mm, 0)
    if not raw_mm.any():
        raise InputError(
            "empty-depth",
            f"{path}: depth must have a valid pixel, has none of {raw_mm.size}. Leave the frame out.",
        )
    if raw_mm.dtype == np.uint16 and shift_mm == 0.0:
        return np.take(_metres(), raw_mm)
    shifted_m = (raw_mm + shift_mm) / 1000.0  # millimetres to metres
    return np.where((raw_mm > 0) & (shifted_m > 0), shifted_m, 0.0).astype(np.float32)


def read_kinect2_color(path: Path, coding: ColorCoding, *, size: ImageSize, shrink: int) -> NDArray[np.uint8]:
    """Decode colour to RGB; a JPEG at one `shrink`-th of its size, all else at its own.

    Raises:
        InputError: color-missing, unreadable-color, or color-size.
    """
    import cv2

    if coding == "image":
        return read_color(path, size=size, shrink=shrink)
    codes = {"bgra": cv2.COLOR_BGRA2RGB, "rgba": cv2.COLOR_RGBA2RGB, "yuy2": cv2.COLOR_YUV2RGB_YUY2}
    raw = _buffer(path, "color", "u1", size=size, channels=2 if coding == "yuy2" else 4)
    return np.asarray(cv2.cvtColor(raw, codes[coding]), dtype=np.uint8)


def read_kinect2_mask(path: Path, coding: MaskCoding, *, size: ImageSize) -> NDArray[np.bool_]:
    """Decode a mask (H W) in raw depth pixels.

    Raises:
        InputError: mask-missing, unreadable-mask, or mask-size.
    """
    if coding == "png":
        return read_mask(path, size=size)
    if coding == "body-index":
        return np.asarray(_buffer(path, "mask", "u1", size=size)[..., 0] != NOBODY)
    return np.asarray(read_codes(path, "mask", size=size)[..., 0] != NOBODY)


def _buffer(path: Path, what: str, kind: str, *, size: ImageSize, channels: int = 1) -> NDArray[Any]:
    """A frame buffer (H W C); as many bytes as it must have."""
    wanted = size[0] * size[1] * channels * np.dtype(kind).itemsize
    try:
        found = path.stat().st_size  # before a file of any other size is read
    except OSError:
        found = wanted
    data = read_bytes(path, what) if found == wanted else b""
    found = len(data) if found == wanted else found
    if found != wanted:
        raise InputError(
            f"unreadable-{what}",
            f"{path}: the {what} buffer must be {size[1]}x{size[0]} px in {wanted} bytes, has {found}. "
            f"Copy it again, or correct `{what}_coding`.",
        )
    return np.frombuffer(data, dtype=kind).reshape(*size, channels)


def _check_byte_order(path: Path, raw_mm: NDArray[Any]) -> None:
    """Refuse depth that is nonsense as it stands, and depth with its bytes swapped."""
    if _share_in_range(raw_mm) > WRONG_SHARE:
        return
    share = _share_in_range(raw_mm.byteswap())
    if share >= RIGHT_SHARE:
        raise InputError(
            "depth-byte-order",
            f"{path}: depth must be little-endian in a buffer and big-endian in a PNG, but {share:.0%} of it "
            f"lies in {NEAR_MM} to {FAR_MM} mm with its bytes swapped and hardly any as it stands. "
            "Swap the bytes of every value.",
        )


def _share_in_range(raw_mm: NDArray[Any]) -> float:
    """Share of the measured pixels, every fourth of every fourth row, that the sensor may report."""
    some = raw_mm[::4, ::4]
    with np.errstate(invalid="ignore"):
        measured = int(np.count_nonzero(some))
        return float(np.count_nonzero((some >= NEAR_MM) & (some <= FAR_MM))) / measured if measured else 0.0
