"""Calibration files of raw captures, as text or JSON.

3x3 or 4x4 text                                         a 4x4 has the rest of the identity around K
{"width", "height", "K"}                                K by rows
{"width", "height", "intrinsic_matrix"}                 Open3D's PinholeCameraIntrinsic: 9 numbers by columns
{"parameters": [{"intrinsic": {...}, ...}, ...]}        Open3D's PinholeCameraTrajectory, of one camera
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.poses import read_numbers
from pipeline.errors import InputError

ImageSize = tuple[int, int]  # height, width in pixels

_AROUND_K = np.pad(np.zeros((3, 3)), (0, 1), constant_values=1.0)  # the last row and column of a 4x4


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
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _malformed(path, str(error)) from None
    if K.shape == (4, 4) and np.array_equal(K * _AROUND_K, np.eye(4) * _AROUND_K):
        K = K[:3, :3]
    if K.shape != (3, 3):
        raise _malformed(path, f"K has the shape {K.shape}")
    return K, size


def _read_json(path: Path) -> tuple[Any, ImageSize]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")
    if "parameters" in content:
        content = _only_camera(content["parameters"])
    height, width = content["height"], content["width"]
    if not all(type(size) is int and 0 < size < 2**31 for size in (height, width)):
        raise ValueError(f"width and height are {width!r} and {height!r}")
    if "intrinsic_matrix" in content:
        numbers = content["intrinsic_matrix"]
        if not isinstance(numbers, list) or len(numbers) != 9:
            raise ValueError("intrinsic_matrix holds no 9 numbers")
        return [numbers[row::3] for row in range(3)], (height, width)
    return content["K"], (height, width)


def _only_camera(parameters: Any) -> dict[str, Any]:
    if not isinstance(parameters, list) or not parameters:
        raise ValueError("parameters holds no list of cameras")
    first = parameters[0]["intrinsic"]
    if not isinstance(first, dict) or any(one["intrinsic"] != first for one in parameters):
        raise ValueError("parameters hold cameras that differ")
    return first


def _malformed(path: Path, finding: str) -> InputError:
    return InputError(
        "calibration-malformed",
        f"{path}: the calibration must be a 3x3 or 4x4 matrix as text, or JSON with width, height and K "
        f"or intrinsic_matrix, "
        f"but {finding}. Correct the file.",
    )
