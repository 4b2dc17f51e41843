"""Image files of raw captures: sizes from headers, decoding, and the proof that a file is whole.

Decoders fill the missing part of a cut-off file with whatever they like and report success, so a file's
structure is walked first: chunks and checksums of a PNG (ISO/IEC 15948), segments of a JPEG (ITU-T T.81).
"""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"


def png_problem(data: bytes) -> str | None:
    """Say in one clause why these bytes are no whole PNG, or return None.

    A compressed stream that is too short inside whole chunks is left to the decoder, which refuses it.
    """
    if not data.startswith(PNG_SIGNATURE):
        return "does not start with the PNG signature"
    if len(data) >= 16 and data[12:16] != b"IHDR":
        return "does not start with an image header"
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            return f"is cut off after {len(data)} bytes, inside a {kind!r} chunk of {length} bytes"
        if zlib.crc32(data[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            return f"has a wrong checksum in the {kind!r} chunk at byte {at}"
        if kind == b"IEND":
            return None
        at = end
    return f"is cut off after {len(data)} bytes, before its end chunk"


def jpeg_problem(data: bytes) -> str | None:
    """Say in one clause why these bytes are no whole JPEG, or return None.

    Segments carry their length and are skipped whole, so that the end marker of an embedded thumbnail is
    not mistaken for the image's own.
    """
    if not data.startswith(JPEG_SIGNATURE):
        return "does not start with the JPEG signature"
    cut_off = f"is cut off after {len(data)} bytes, before its end marker"
    at = 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return cut_off
        marker = data[at + 1]
        if marker == 0xD9:
            return None
        if marker == 0xFF:  # fill byte before a marker
            at += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD7:  # a stuffed byte of pixels, or no segment
            at += 2
        elif at + 4 > len(data):
            return cut_off
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def png_size(path: Path) -> tuple[int, int] | None:
    """Height and width in pixels from a PNG's header alone; None where there is no readable header."""
    try:
        with path.open("rb") as file:
            head = file.read(33)
    except OSError:
        return None
    if len(head) < 33 or not head.startswith(PNG_SIGNATURE) or head[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", head, 16)
    return int(height), int(width)


def read_depth_raw(path: Path) -> NDArray[np.uint16]:
    """Decode a depth image (H W) in the sensor's own unit.

    Raises:
        InputError: depth-missing, unreadable-depth, or depth-type for anything but 16 bit in one channel.
    """
    data = _read_bytes(path, "depth")
    _refuse(path, "depth", png_problem(data))
    raw = _decode(data, path, "depth", colour=False)
    if raw.dtype != np.uint16 or raw.ndim != 2:
        raise InputError(
            "depth-type",
            f"{path}: depth must be a PNG of 16 bit in one channel, is {raw.dtype} {raw.shape}. "
            "Export the raw depth, not a picture of it.",
        )
    return np.asarray(raw, dtype=np.uint16)


def read_color(path: Path) -> NDArray[np.uint8]:
    """Decode a PNG or JPEG to RGB (H W 3); a rotation tag is ignored, since the depth is not rotated either.

    Raises:
        InputError: color-missing or unreadable-color.
    """
    data = _read_bytes(path, "color")
    problem = jpeg_problem(data) if data.startswith(JPEG_SIGNATURE) else png_problem(data)
    if not data.startswith((JPEG_SIGNATURE, PNG_SIGNATURE)):
        problem = "is neither PNG nor JPEG"
    _refuse(path, "color", problem)
    bgr = _decode(data, path, "color", colour=True)
    return np.ascontiguousarray(bgr[..., ::-1])


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Decode a PNG to bool (H W): True where any channel is not 0.

    Raises:
        InputError: mask-missing or unreadable-mask.
    """
    data = _read_bytes(path, "mask")
    _refuse(path, "mask", png_problem(data))
    return np.asarray(_decode(data, path, "mask", colour=True).any(axis=-1))


def _read_bytes(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{what}-missing", f"{path}: the {what} image must exist, is missing. Restore the file."
        ) from None
    except (PermissionError, IsADirectoryError) as error:
        # Other errors come and go with disks and networks: they say nothing of the capture.
        raise InputError(
            f"unreadable-{what}",
            f"{path}: the {what} image must be a readable file, is not ({error.strerror}). Check its rights.",
        ) from error


def _refuse(path: Path, what: str, problem: str | None) -> None:
    if problem is not None:
        raise InputError(
            f"unreadable-{what}",
            f"{path}: the {what} image must be whole, but it {problem}. Copy it again from the source.",
        )


def _decode(data: bytes, path: Path, what: str, *, colour: bool) -> NDArray[Any]:
    import cv2

    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION if colour else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        _refuse(path, what, f"cannot be decoded ({error.err})")
    if image is None:
        _refuse(path, what, "cannot be decoded")
    return np.asarray(image)
