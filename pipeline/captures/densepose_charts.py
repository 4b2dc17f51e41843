"""Charts that DensePose's networks drew: lists of results with a PNG each, and IUV files beside their pictures.

Both keep part I, U * 255 and V * 255 in the three channels of a PNG, but a list was written by Pillow, where I is
red, and a file by OpenCV, where I is blue.
"""

import base64
import binascii
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.annotation import Annotation
from pipeline.captures.annotation_files import (
    NAME,
    AnnotatedPeople,
    AnnotationFiles,
    Person,
    Said,
    Shape,
    annotated_people,
    check_folder,
    malformed,
    matching_names,
    picture_of_id,
    shown,
)
from pipeline.captures.annotation_values import box_px, listed, numbers, read_json, table
from pipeline.captures.images import png_problem
from pipeline.errors import InputError
from pipeline.masks import mask_box

UInt8 = NDArray[np.uint8]
Entry = dict[str, Any]

CHARTS = 24
GREY, COLOUR = 0, 2  # a PNG's colour types
ROUNDING_PX = 1  # of a result's box against the size of its charts: networks cut fractions off
MAX_DEFLATION = 1032  # no deflate stream grows more on unpacking


def open_results(path: Path, options: AnnotationFiles) -> AnnotatedPeople:
    """Open a list of results (image_id, bbox, uv_shape, uv_data), in its own order.

    Raises:
        InputError: capture-missing, annotation-missing, annotation-malformed or no-frames.
    """
    check_folder(path)
    file = path / options.file
    people = []
    for position, value in enumerate(listed(read_json(file), "the file", where=str(file))):
        where = f"{file}, result number {position}"
        entry = table(value, "a result", where=where)
        image = picture_of_id(path, options.images, entry.get("image_id"), where=where)
        people.append(Person(image=image, say=partial(_say_result, entry, where=where)))
    return annotated_people(path, options.file, people)


def open_iuv(path: Path, options: AnnotationFiles) -> AnnotatedPeople:
    """Open IUV files: people by the name of their file, then by their number in the _INDS.png beside it.

    Without that file, all that has a part is one person. An _INDS.png is decoded here to know who is in it; one
    that cannot be stands for one person, who is refused when read.

    Raises:
        InputError: capture-missing, annotation-missing or no-frames.
    """
    check_folder(path)
    people = []
    for name in matching_names(path, options.file):
        file, image = (path / pattern.replace(NAME, name) for pattern in (options.file, options.images))
        inds = file.with_name(f"{file.name.removesuffix('_IUV.png')}_INDS.png")
        others = (file, inds) if inds.is_file() else (file,)
        for number in _numbers(inds):
            say = partial(_say_iuv, file, inds, number)
            people.append(Person(image=image, say=say, others=others))
    return annotated_people(path, options.file, people)


def decode_png(data: bytes, colour_type: int, *, where: str) -> UInt8:
    """Decode a PNG of 8 bit to (H W) of grey, or (H W 3) in the order of its channels, red first.

    Raises:
        InputError: annotation-malformed; what the header claims is held against the bytes that are there before
            anything is allocated.
    """
    import cv2

    problem = png_problem(data)
    if problem is not None:
        raise malformed(where, f"the PNG must be whole, but it {problem}")
    width, height, depth, kind = struct.unpack_from(">IIBB", data, 16)
    channels = 3 if colour_type == COLOUR else 1
    if (depth, kind) != (8, colour_type):
        raise malformed(
            where, f"the PNG must have {channels} channels of 8 bit, has {depth} bit and colour type {kind}"
        )
    if not 0 < height * (1 + channels * width) <= MAX_DEFLATION * len(data):
        raise malformed(
            where, f"the PNG of {len(data)} bytes must be able to hold {width}x{height} px, is not"
        )
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    wanted = (height, width, 3) if colour_type == COLOUR else (height, width)
    if image is None or image.shape != wanted or image.dtype != np.uint8:
        raise malformed(where, "the PNG must be decodable, is not")
    return np.ascontiguousarray(image[..., ::-1] if colour_type == COLOUR else image)


def _say_result(entry: Entry, shape_hw: Shape, *, where: str) -> Said:
    box = box_px(entry.get("bbox"), shape_hw, where=where)
    shape = [int(number) for number in numbers(entry.get("uv_shape"), 3, "uv_shape", where=where)]
    if shape[0] != 3 or abs(shape[1] - box[3]) > ROUNDING_PX or abs(shape[2] - box[2]) > ROUNDING_PX:
        raise malformed(
            where,
            f"uv_shape must be 3 and the box's {box[3]:.6g}x{box[2]:.6g} px, is {shown(entry['uv_shape'])}",
        )
    text = entry.get("uv_data")
    try:
        # Written with a line break every 76 characters, which are dropped; anything else that is no base64 is not.
        data = base64.b64decode("".join(str(text).split()) if isinstance(text, str) else "", validate=True)
    except (ValueError, binascii.Error) as error:
        raise malformed(where, f"uv_data must be base64, is not ({error})") from None
    drawn = decode_png(data, COLOUR, where=f"{where}, uv_data")
    if drawn.shape[:2] != tuple(shape[1:]):
        raise malformed(where, f"uv_data must be of uv_shape {shape[1:]}, is {list(drawn.shape[:2])}")
    iuv = np.zeros((*shape_hw, 3), dtype=np.uint8)
    # The network's own drawing cuts the corner's fraction off; what lies outside the picture is lost.
    top, left = int(np.floor(box[1])), int(np.floor(box[0]))
    rows = slice(max(top, 0), min(top + shape[1], shape_hw[0]))
    columns = slice(max(left, 0), min(left + shape[2], shape_hw[1]))
    iuv[rows, columns] = drawn[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return _said(iuv, np.ones(shape_hw, dtype=np.bool_), where=where)


def _say_iuv(file: Path, inds: Path, number: int | None, shape_hw: Shape) -> Said:
    iuv = decode_png(_read_bytes(file), COLOUR, where=str(file))[..., ::-1]
    _check_shape(iuv, shape_hw, file)
    who = np.ones(shape_hw, dtype=np.bool_)
    if number is not None:
        indices = decode_png(_read_bytes(inds), GREY, where=str(inds))
        _check_shape(indices, shape_hw, inds)
        who = indices == number
    return _said(iuv, who, where=str(file) if number is None else f"{file}, person {number} of {inds.name}")


def _said(iuv: UInt8, who: NDArray[np.bool_], *, where: str) -> Said:
    part = np.where(who, iuv[..., 0], 0).astype(np.uint8)
    if part.max() > CHARTS:
        raise malformed(where, f"parts must be 0 to {CHARTS}, reach {part.max()}")
    mask = part > 0
    if not mask.any():
        raise InputError("no-points", f"{where}: a pixel must have a part, has none. Leave it out.")
    rows, columns = mask_box(mask)
    box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    annotation = Annotation(
        box_px=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        surface_part=part,
        surface_uv=np.where(mask[..., None], iuv[..., 1:] / np.float32(255), 0).astype(np.float32),
    )
    return Said(annotation=annotation, mask=mask)


def _numbers(inds: Path) -> list[int] | list[None]:
    """The numbers of the people in an _INDS.png; [None] without one."""
    if not inds.is_file():
        return [None]
    try:
        found = np.unique(decode_png(_read_bytes(inds), GREY, where=str(inds)))
    except InputError:
        return [1]
    return [int(number) for number in found if number] or [1]


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise InputError(
            "annotation-missing", f"{path}: the annotations must be a readable file, are not. Restore them."
        ) from None


def _check_shape(array: UInt8, shape_hw: Shape, path: Path) -> None:
    if array.shape[:2] != shape_hw:
        raise malformed(
            str(path),
            f"it must have the picture's {shape_hw[1]}x{shape_hw[0]} px, has {array.shape[1]}x{array.shape[0]} px",
        )
