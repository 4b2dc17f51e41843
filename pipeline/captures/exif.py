"""Which way up a picture's file says that it is."""

EXIF_HEAD = b"Exif\x00\x00"
ORIENTATION_TAG, SHORT = 0x0112, 3


def exif_orientation(data: bytes) -> int:
    """How a JPEG says that it is to be turned before it is shown: EXIF's tag 0x0112, 1 to 8; 1 is as it stands.

    Args:
        data: the file, or its first 128 kB; the tag stands before the pixels. What is no JPEG, carries no
            such tag or is damaged counts as 1.
    """
    at = 2 if data.startswith(b"\xff\xd8") else len(data)
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:  # up to the start of the pixels
        if data[at + 1] == 0xFF:  # a fill byte before a marker
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at + 4 : at + 2 + length]
        if data[at + 1] == 0xE1 and segment.startswith(EXIF_HEAD):
            return _tiff_orientation(segment[len(EXIF_HEAD) :])
        at += 2 + max(length, 2)
    return 1


def _tiff_orientation(tiff: bytes) -> int:
    """The tag's value in the first directory of a TIFF header, 1 where there is none."""

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], "little" if tiff[:2] == b"II" else "big")

    directory = number(4, 4)
    for entry in range(number(directory, 2)):
        at = directory + 2 + 12 * entry
        if at + 12 > len(tiff):
            break
        if number(at, 2) == ORIENTATION_TAG and number(at + 2, 2) == SHORT:
            value = number(at + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1
