"""Frames of an Azure Kinect recording as arrays: big-endian depth, and the colour formats of its recorder."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.images import jpeg_problem

DEPTH_FORMAT = "b16g"
# Bytes a pixel of the formats that are not packed.
COLOR_BYTES = {"NV12": 1.5, "YUY2": 2.0, "BGRA": 4.0}
COLOR_FORMATS = ("MJPG", *COLOR_BYTES)
# Start-of-frame segments of a JPEG (ITU-T T.81 table B.1): 0xC0 to 0xCF but tables and reserved ones.
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def fourcc(bitmap_info: bytes) -> str:
    """The format's four letters in a BITMAPINFOHEADER; "" where it is no such header."""
    return bitmap_info[16:20].decode("latin-1") if len(bitmap_info) >= 40 else ""


def decode_depth(data: bytes, *, height: int, width: int) -> NDArray[np.uint16]:
    """Depth (H W) in whole millimetres along the optical axis, 0 is no measurement.

    Raises:
        ValueError: if the bytes are not of this size.
    """
    if len(data) != height * width * 2:
        raise ValueError(f"{width}x{height} px of 16 bit take {height * width * 2} bytes, are {len(data)}")
    return np.frombuffer(data, dtype=">u2").reshape(height, width).astype(np.uint16)


def decode_color(data: bytes, format: str, *, height: int, width: int) -> NDArray[np.uint8]:
    """Colour as RGB (H W 3); NV12 and YUY2 are BT.601 with 16 to 235, as the device gives them.

    Raises:
        ValueError: if the bytes are no whole image of this size.
    """
    import cv2

    if format == "MJPG":
        return _decode_jpeg(data, height=height, width=width)
    if len(data) != height * width * COLOR_BYTES[format]:
        wanted = round(height * width * COLOR_BYTES[format])
        raise ValueError(f"{width}x{height} px of {format} take {wanted} bytes, are {len(data)}")
    raw = np.frombuffer(data, dtype=np.uint8)
    rgb: NDArray[Any]
    if format == "NV12":
        rgb = cv2.cvtColor(raw.reshape(height * 3 // 2, width), cv2.COLOR_YUV2RGB_NV12)
    elif format == "YUY2":
        rgb = cv2.cvtColor(raw.reshape(height, width, 2), cv2.COLOR_YUV2RGB_YUY2)
    else:
        rgb = np.ascontiguousarray(raw.reshape(height, width, 4)[..., 2::-1])
    return np.asarray(rgb, dtype=np.uint8)


def _decode_jpeg(data: bytes, *, height: int, width: int) -> NDArray[np.uint8]:
    import cv2

    problem = jpeg_problem(data)
    if problem is not None:
        raise ValueError(f"it {problem}")
    # Before decoding, so that no header makes it ask for gigabytes.
    size_hw = _jpeg_size(data)
    if size_hw != (height, width):
        raise ValueError(f"it must have (height, width) {(height, width)} px, has {size_hw}")
    try:
        bgr = cv2.imdecode(
            np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise ValueError(f"it cannot be decoded ({error.err})") from None
    if bgr is None or bgr.shape != (height, width, 3):
        raise ValueError("it cannot be decoded")
    return np.ascontiguousarray(bgr[..., ::-1])


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Height and width in px from the first frame header; None where there is none before the pixels."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return int(height), int(width)
        fill = data[at + 1] == 0xFF
        at += 1 if fill else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
