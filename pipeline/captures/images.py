"""Image files of raw captures: sizes from headers, decoding, and the proof that a file is whole.

Decoders fill the missing part of a cut-off file with whatever they like and report success, so a file's
structure is walked first: chunks and checksums of a PNG (ISO/IEC 15948), segments of a JPEG (ITU-T T.81).
"""

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.exif import exif_orientation
from pipeline.errors import InputError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
# A stuffed byte of pixels, a fill byte and the markers that stand alone begin no segment.
JPEG_SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
JPEG_NO_SIZE = (0xC4, 0xC8, 0xCC)  # among the markers C0 to CF, those that are no frame header
MAX_PIXELS = 1 << 26  # of an image whose size nobody knows; a decoder allocates whatever a header claims

ImageSize = tuple[int, int]  # height, width in pixels


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
    for marker, _ in _jpeg_segments(data):
        if marker == 0xD9:
            return None
    return f"is cut off after {len(data)} bytes, before its end marker"


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Markers of a JPEG, each with the place of its length; pixels lie between the last ones."""
    at = 2
    while (found := JPEG_SEGMENT.search(data, at)) is not None:
        at = found.end()
        yield data[at - 1], at
        if at + 2 > len(data):
            return
        at += int.from_bytes(data[at : at + 2], "big")


def image_size(data: bytes) -> ImageSize | None:
    """Size that the header of a PNG or a JPEG states; None where there is none."""
    if data.startswith(PNG_SIGNATURE):
        return _png_size(data[:33])
    for marker, at in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in JPEG_NO_SIZE and at + 7 <= len(data):
            height, width = struct.unpack_from(">HH", data, at + 3)
            return int(height), int(width)
    return None


def png_size(path: Path) -> ImageSize | None:
    """Height and width in pixels from a PNG's header alone; None where there is no readable header."""
    try:
        with path.open("rb") as file:
            return _png_size(file.read(33))
    except OSError:
        return None


def _png_size(head: bytes) -> ImageSize | None:
    if len(head) < 33 or not head.startswith(PNG_SIGNATURE) or head[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", head, 16)
    return int(height), int(width)


def read_depth_raw(path: Path, *, size: ImageSize | None = None) -> NDArray[np.uint16]:
    """Decode a depth image (H W) in the sensor's own unit.

    Args:
        size: that it must have; else any.

    Raises:
        InputError: depth-missing, unreadable-depth, depth-size, or depth-type for anything but 16 bit in one
            channel.
    """
    data = read_bytes(path, "depth")
    _refuse(path, "depth", png_problem(data))
    raw = _decode(data, path, "depth", colour=False, size=size)
    if raw.dtype != np.uint16 or raw.ndim != 2:
        raise InputError(
            "depth-type",
            f"{path}: depth must be a PNG of 16 bit in one channel, is {raw.dtype} {raw.shape}. "
            "Export the raw depth, not a picture of it.",
        )
    return np.asarray(raw, dtype=np.uint16)


def read_color(path: Path, *, size: ImageSize | None = None, shrink: int = 1) -> NDArray[np.uint8]:
    """Decode the PNG or JPEG that belongs to a depth image, as `read_picture` does.

    Raises:
        InputError: as of `read_picture`, or color-rotated where the file is to be turned before it is shown:
            its depth would not be.
    """
    data = read_bytes(path, "color")
    orientation = exif_orientation(data)
    if orientation != 1:
        raise InputError(
            "color-rotated",
            f"{path}: the colour image must show its pixels as they stand (EXIF orientation 1), is to be turned "
            f"(orientation {orientation}), while its depth is not. Turn colour, depth and intrinsics alike, and "
            "remove the tag.",
        )
    return _picture(path, data, size=size, shrink=shrink)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Decode a PNG or JPEG to RGB (H W 3) as its pixels stand: annotations count them so, whatever a tag says.

    Raises:
        InputError: color-missing or unreadable-color.
    """
    return _picture(path, read_bytes(path, "color"), size=None, shrink=1)


def _picture(path: Path, data: bytes, *, size: ImageSize | None, shrink: int) -> NDArray[np.uint8]:
    """Decode a PNG or JPEG to RGB (H W 3).

    Args:
        size: that it must have before it is shrunk; else any.
        shrink: 1, 2, 4 or 8. A JPEG comes at this part of its size, rounded up, for much less work: its pixel i
            covers the pixels from i * shrink on. A PNG stays as it is.

    Raises:
        InputError: unreadable-color or color-size.
    """
    import cv2

    is_jpeg = data.startswith(JPEG_SIGNATURE)
    problem = jpeg_problem(data) if is_jpeg else png_problem(data)
    if not data.startswith((JPEG_SIGNATURE, PNG_SIGNATURE)):
        problem = "is neither PNG nor JPEG"
    _refuse(path, "color", problem)
    bgr = _decode(data, path, "color", colour=True, size=size, shrink=shrink if is_jpeg else 1)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_mask(path: Path, *, size: ImageSize | None = None) -> NDArray[np.bool_]:
    """Decode a PNG to bool (H W): True where any channel, but for alpha, is not 0.

    Args:
        size: that it must have; else any.

    Raises:
        InputError: mask-missing, unreadable-mask, or mask-size.
    """
    data = read_bytes(path, "mask")
    _refuse(path, "mask", png_problem(data))
    # As stored: a decoder that brings masks of 16 bit to 8 makes 0 of whatever is below 256.
    codes = _decode(data, path, "mask", colour=False, size=size)
    return np.asarray(codes != 0 if codes.ndim == 2 else codes[..., :3].any(axis=-1))


def read_codes(path: Path, what: str, *, size: ImageSize | None = None) -> NDArray[np.uint8]:
    """Decode a PNG to its values (H W 3), one channel thrice.

    Raises:
        InputError: `what`-missing, unreadable-`what`, or `what`-size.
    """
    data = read_bytes(path, what)
    _refuse(path, what, png_problem(data))
    return np.asarray(_decode(data, path, what, colour=True, size=size), dtype=np.uint8)


def read_bytes(path: Path, what: str) -> bytes:
    """The bytes of an image file.

    Raises:
        InputError: `what`-missing or unreadable-`what`.
    """
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


def _decode(
    data: bytes, path: Path, what: str, *, colour: bool, size: ImageSize | None, shrink: int = 1
) -> NDArray[Any]:
    import cv2

    _check_size(path, what, image_size(data), size)
    reduced = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }
    flags = reduced[shrink] | cv2.IMREAD_IGNORE_ORIENTATION if colour else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        _refuse(path, what, f"cannot be decoded ({error.err})")
    if image is None:
        _refuse(path, what, "cannot be decoded")
    return np.asarray(image)


def _check_size(path: Path, what: str, found: ImageSize | None, size: ImageSize | None) -> None:
    if found is None:
        _refuse(path, what, "has no size")
    elif size is not None and found != size:
        raise InputError(
            f"{what}-size",
            f"{path}: {what} must be {size[1]}x{size[0]} px as the calibration says, is {found[1]}x{found[0]} "
            "px. Give this camera's own images, neither cut nor resized; where depth must be registered, register it.",
        )
    elif found[0] * found[1] > MAX_PIXELS:
        _refuse(path, what, f"claims {found[1]}x{found[0]} px")
