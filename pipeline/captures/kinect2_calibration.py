"""The calibration file of a `kinect2` capture: both raw cameras and the rigid way between them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import RIGID_TOLERANCE, intrinsics_problem, rigid_error
from pipeline.captures.distortion import Distortion, LensCamera, distorted_rays
from pipeline.errors import InputError

COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3")
MAX_BASELINE_M = 0.5  # both cameras sit in one housing; more means millimetres


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Kinect2Calibration:
    """What a Kinect v2 knows of itself.

    Attributes:
        device, serial: as the recorder wrote them.
        color_from_depth: (4 4) float64, rigid, metres.
    """

    device: str
    serial: str
    depth: LensCamera
    color: LensCamera
    color_from_depth: NDArray[np.float64]


def calibration_text(calibration: Kinect2Calibration) -> str:
    """The file's text: `device` {name, serial}, `depth` and `color` {width, height, K, distortion}, and
    `color_from_depth` (4 4) in metres; `distortion` holds k1 k2 p1 p2 k3 by name."""
    content = {
        "device": {"name": calibration.device, "serial": calibration.serial},
        "depth": _camera_json(calibration.depth),
        "color": _camera_json(calibration.color),
        "color_from_depth": calibration.color_from_depth.tolist(),
    }
    return json.dumps(content, indent=1) + "\n"


def read_kinect2_calibration(path: Path) -> Kinect2Calibration:
    """Read the file that `calibration_text` describes; keys that it does not know are left alone.

    Raises:
        InputError: calibration-missing, calibration-malformed, or intrinsics-mismatch.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Kinect2Calibration(
            device=str(_value(content, "device", "name")),
            serial=str(_value(content, "device", "serial")),
            depth=_camera(path, content, "depth"),
            color=_camera(path, content, "color"),
            color_from_depth=_rigid(_value(content, "color_from_depth")),
        )
    except FileNotFoundError:
        raise InputError(
            "calibration-missing", f"{path}: the calibration must exist, is missing. Restore it."
        ) from None
    except (OSError, ValueError, TypeError, OverflowError) as error:
        raise InputError(
            "calibration-malformed",
            f"{path}: the calibration must hold both cameras, with their lenses, and color_from_depth, "
            f"but {error}. Correct the file.",
        ) from None


def _camera_json(camera: LensCamera) -> dict[str, Any]:
    return {
        "width": camera.width,
        "height": camera.height,
        "K": camera.K.tolist(),
        "distortion": dict(zip(COEFFICIENTS, camera.distortion, strict=True)),
    }


def _camera(path: Path, content: Any, name: str) -> LensCamera:
    width, height = _value(content, name, "width"), _value(content, name, "height")
    if not all(type(size) is int and size > 0 for size in (width, height)):
        raise ValueError(f"{name}.width and {name}.height are {width!r} and {height!r}")
    K = np.array(_value(content, name, "K"), dtype=np.float64)
    problem = intrinsics_problem(K, height, width)
    if problem is not None:
        raise InputError(
            "intrinsics-mismatch",
            f"{path}: {name}.K must fit its images, but {problem}. Use this camera's own intrinsics.",
        )
    camera = LensCamera(
        width=width,
        height=height,
        fx_px=float(K[0, 0]),
        fy_px=float(K[1, 1]),
        cx_px=float(K[0, 2]),
        cy_px=float(K[1, 2]),
        distortion=_distortion(content, name),
    )
    if name == "depth":  # the colour camera's lens is never inverted
        distorted_rays(camera)
    return camera


def _distortion(content: Any, name: str) -> Distortion:
    k1, k2, p1, p2, k3 = (float(_value(content, name, "distortion", key)) for key in COEFFICIENTS)
    if not np.isfinite([k1, k2, p1, p2, k3]).all():
        raise ValueError(f"{name}.distortion is {(k1, k2, p1, p2, k3)}")
    return k1, k2, p1, p2, k3


def _rigid(rows: Any) -> NDArray[np.float64]:
    matrix = np.array(rows, dtype=np.float64)
    error = rigid_error(matrix)
    if error > RIGID_TOLERANCE:
        raise ValueError(f"color_from_depth is off a rigid 4x4 matrix by {error:.3g}")
    baseline_m = float(np.linalg.norm(matrix[:3, 3]))
    if baseline_m > MAX_BASELINE_M:
        raise ValueError(f"color_from_depth moves by {baseline_m:.3g} m, more than {MAX_BASELINE_M} m")
    return matrix


def _value(content: Any, *keys: str) -> Any:
    for depth, key in enumerate(keys, start=1):
        if not isinstance(content, dict) or key not in content:
            raise ValueError(f"the key {'.'.join(keys[:depth])!r} is missing")
        content = content[key]
    return content
