"""Values of annotation files, checked: JSON, numbers, boxes and key points, in the pixels of docs/conventions.md.

Nothing in such a file is trusted: every value is refused by name before it is used.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import JointSet
from pipeline.captures.annotation import Joints
from pipeline.captures.annotation_files import Shape, malformed, shown
from pipeline.errors import InputError

Float64 = NDArray[np.float64]
Box = tuple[float, float, float, float]

SCALE_PX = 200  # a person of MPII's scale 1 is so high


def read_json(path: Path) -> Any:
    """Parse a JSON file; NaN and Infinity, which are no JSON, are refused.

    Raises:
        InputError: annotation-missing or annotation-malformed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise InputError(
            "annotation-missing", f"{path}: the annotations must be a readable file, are not. Restore them."
        ) from None
    except UnicodeDecodeError as error:
        raise malformed(str(path), f"the annotations must be UTF-8, are not ({error.reason})") from None
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise malformed(str(path), f"the annotations must be JSON, are not ({error})") from None


def table(value: object, what: str, *, where: str) -> dict[str, Any]:
    """The value as a JSON object; raises `InputError` annotation-malformed."""
    if not isinstance(value, dict):
        raise malformed(where, f"{what} must be an object, is {shown(value)}")
    return value


def listed(value: object, what: str, *, where: str) -> list[Any]:
    """The value as a list; raises `InputError` annotation-malformed."""
    if not isinstance(value, list):
        raise malformed(where, f"{what} must be a list, is {shown(value)}")
    return value


def whole_number(value: object, what: str, *, where: str) -> int:
    """The value as an id; raises `InputError` annotation-malformed."""
    if type(value) is not int:
        raise malformed(where, f"{what} must be a whole number, is {shown(value)}")
    return value


def numbers(value: object, count: int | None, what: str, *, where: str) -> Float64:
    """The value as finite numbers (count), of any count where it is None.

    Raises:
        InputError: annotation-malformed.
    """
    entries = listed(value, what, where=where)
    if count is not None and len(entries) != count:
        raise malformed(where, f"{what} must be {count} numbers, is a list of {len(entries)}")
    wrong = next((entry for entry in entries if not _is_number(entry)), None)
    if wrong is not None or None in entries:
        raise malformed(where, f"{what} must be finite numbers, holds {shown(wrong)}")
    return np.array(entries, dtype=np.float64)


def box_px(value: object, shape_hw: Shape, *, where: str, what: str = "bbox") -> Box:
    """The box (u0, v0, width, height) in pixel edge coordinates, in which COCO measures it too.

    Raises:
        InputError: annotation-malformed, where it is none, is empty, or lies beside the picture.
    """
    u0, v0, width, height = (float(number) for number in numbers(value, 4, what, where=where))
    return checked_box((u0, v0, width, height), shape_hw, where=where, what=what)


def checked_box(box: Box, shape_hw: Shape, *, where: str, what: str = "bbox") -> Box:
    """Return the box, or refuse one that is empty, lies beside the picture, or dwarfs it.

    Raises:
        InputError: annotation-malformed.
    """
    u0, v0, width, height = box
    rows, columns = shape_hw
    meets = u0 < columns and v0 < rows and u0 + width > 0 and v0 + height > 0
    if not (meets and 0 < width <= 10 * columns and 0 < height <= 10 * rows):
        said = ", ".join(f"{number:.6g}" for number in box)
        raise malformed(
            where, f"{what} must meet the picture of {columns}x{rows} px and be of its size, is {said} px"
        )
    return box


def square_box(centre: tuple[float, float], scale: object, shape_hw: Shape, *, where: str) -> Box:
    """The square of 200 px times `scale` around a point in pixel edge coordinates.

    Raises:
        InputError: annotation-malformed.
    """
    side = SCALE_PX * float(numbers([scale], 1, "scale", where=where)[0])
    return checked_box(
        (centre[0] - side / 2, centre[1] - side / 2, side, side),
        shape_hw,
        where=where,
        what="the box of center and scale",
    )


def joints_of_rows(
    joint_set: JointSet,
    rows: Float64,
    shape_hw: Shape,
    *,
    visible: NDArray[np.bool_] | None = None,
    where: str,
) -> Joints:
    """Joints from rows (J 3) of u, v (integer pixel centres) and confidence; 0 wherever the confidence is 0.

    Args:
        visible: (J); None where the set does not tell hidden joints from others.

    Raises:
        InputError: no-keypoints where no confidence is above 0; annotation-malformed for a confidence outside
            [0, 1] or a joint farther outside the picture than the picture is large.
    """
    px, confidence = rows[:, :2], rows[:, 2]
    there = confidence > 0
    if not there.any():
        raise InputError(
            "no-keypoints",
            f"{where}: the person must have a key point, has none of {len(there)}. Leave it out.",
        )
    if confidence.min() < 0 or confidence.max() > 1:
        low, high = confidence.min(), confidence.max()
        raise malformed(where, f"confidence must lie in [0, 1], lies in [{low:.3g}, {high:.3g}]")
    size_wh = np.array(shape_hw[::-1], dtype=np.float64)
    astray = there & ((px < -size_wh) | (px > 2 * size_wh)).any(axis=1)
    if astray.any():
        joint = int(astray.argmax())
        raise malformed(
            where,
            f"{joint_set.names[joint]} must lie in or near the picture of {shape_hw[1]}x{shape_hw[0]} px, "
            f"lies at {px[joint, 0]:.6g}, {px[joint, 1]:.6g} px",
        )
    return Joints(
        joint_set=joint_set.name,
        px=np.where(there[:, None], px, 0).astype(np.float32),
        confidence=confidence.astype(np.float32),
        visible=there if visible is None else there & visible,
    )


def check_size(stated_hw: tuple[object, object], shape_hw: Shape, *, where: str) -> None:
    """Refuse a picture of another size than the annotation says; None says nothing.

    Raises:
        InputError: color-size.
    """
    pairs = zip(stated_hw, shape_hw, strict=True)
    if any(stated is not None and stated != found for stated, found in pairs):
        height, width = stated_hw
        raise InputError(
            "color-size",
            f"{where}: the picture must have {shown(width)}x{shown(height)} px as annotated, has "
            f"{shape_hw[1]}x{shape_hw[0]} px. Use the picture that was annotated, unscaled and unrotated.",
        )


def _is_number(value: object) -> bool:
    # A whole number of JSON may be larger than any float.
    if type(value) is int:
        return abs(value) < 2**53
    return type(value) is float and math.isfinite(value)


def _no_constant(name: str) -> Any:
    raise ValueError(f"holds {name}")
