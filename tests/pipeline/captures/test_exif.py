"""Orientation tags as cameras write them."""

import cv2
import numpy as np
import pytest

from pipeline.captures.exif import exif_orientation
from pipeline.captures.images import read_color, read_mask, read_picture
from pipeline.errors import InputError


def jpeg(orientation: int | None, order: str = "II") -> bytes:
    """A small JPEG; where an orientation is given, with an EXIF segment made by hand."""
    data = cv2.imencode(".jpg", np.zeros((8, 16, 3), np.uint8))[1].tobytes()
    if orientation is None:
        return data
    name = {"II": "little", "MM": "big"}[order]

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, name)

    # 42, the directory right behind the head, two entries: a width as LONG and the orientation as SHORT
    width = number(0x0100, 2) + number(4, 2) + number(1, 4) + number(6, 4)
    turned = number(0x0112, 2) + number(3, 2) + number(1, 4) + number(orientation, 2) + b"\0\0"
    tiff = order.encode() + number(42, 2) + number(8, 4) + number(2, 2) + width + turned + number(0, 4)
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_read_in_both_byte_orders(order: str, orientation: int) -> None:
    data = jpeg(orientation, order)
    assert exif_orientation(data) == orientation
    # another reader turns the picture as it should: from 5 on by a quarter
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[:2] == ((16, 8) if orientation >= 5 else (8, 16))


def test_no_tag_and_a_value_out_of_range_stand_as_they_are() -> None:
    assert exif_orientation(jpeg(None)) == exif_orientation(jpeg(0)) == exif_orientation(jpeg(9)) == 1
    assert exif_orientation(b"") == exif_orientation(b"\x89PNG\r\n\x1a\n" + bytes(40)) == 1


def test_damaged_heads_never_fail() -> None:
    rng = np.random.default_rng(4)
    whole = jpeg(6, "MM")
    for length in range(len(whole[:80])):
        assert exif_orientation(whole[:length]) in (1, 6)
    for _ in range(500):
        data = bytearray(whole)
        for at in rng.integers(2, 80, 3):
            data[at] = rng.integers(256)
        assert 1 <= exif_orientation(bytes(data)) <= 8


def test_a_fill_byte_before_a_marker_is_skipped() -> None:
    data = jpeg(8)
    assert exif_orientation(data[:2] + b"\xff" + data[2:]) == 8


def test_a_colour_image_that_is_to_be_turned_is_refused_and_a_plain_picture_is_not(tmp_path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(6))
    with pytest.raises(InputError, match="orientation 6") as refused:
        read_color(tmp_path / "a.jpg")
    assert refused.value.reason == "color-rotated"
    assert read_picture(tmp_path / "a.jpg").shape == (8, 16, 3)  # as its pixels stand
    (tmp_path / "b.jpg").write_bytes(jpeg(1))
    assert read_color(tmp_path / "b.jpg").shape == (8, 16, 3)


@pytest.mark.parametrize("value", [1, 255, 256, 65535])
def test_a_mask_of_16_bit_means_what_one_of_8_means(tmp_path, value) -> None:
    codes = np.zeros((4, 6), np.uint16)
    codes[1:3, 2:5] = value
    cv2.imwrite(str(tmp_path / "m.png"), codes)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), codes > 0)
