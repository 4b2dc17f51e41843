"""Calibration files of raw captures: a 3x3 text file, or JSON {"width", "height", "K"}."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.poses import read_numbers
from pipeline.errors import InputError

ImageSize = tuple[int, int]  # height, width in pixels


def read_calibration(path: Path) -> tuple[NDArray[np.float64], ImageSize | None]:
    """Read the intrinsics K (3 3) in pixels, and the image size where the file says it.

    Raises:
        InputError: calibration-missing or calibration-malformed.
    """
    try:
        rows, size = _read_json(path) if path.suffix.lower() == ".json" else (read_numbers(path), None)
        K = np.array(rows, dtype=np.float64)
    except FileNotFoundError:
        raise InputError(
            "calibration-missing",
            f"{path}: the calibration must exist, is missing. Restore it or name the right file.",
        ) from None
    except KeyError as error:
        raise _malformed(path, f"the key {error} is missing") from None
    except (OSError, ValueError, TypeError) as error:
        raise _malformed(path, str(error)) from None
    if K.shape != (3, 3):
        raise _malformed(path, f"K has the shape {K.shape}")
    return K, size


def _read_json(path: Path) -> tuple[Any, ImageSize]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")
    height, width = content["height"], content["width"]
    if not all(type(size) is int and size > 0 for size in (height, width)):
        raise ValueError(f"width and height are {width!r} and {height!r}")
    return content["K"], (height, width)


def _malformed(path: Path, finding: str) -> InputError:
    return InputError(
        "calibration-malformed",
        f"{path}: the calibration must be a 3x3 matrix as text, or JSON with width, height and K, "
        f"but {finding}. Correct the file.",
    )
