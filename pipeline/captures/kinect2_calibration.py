"""The calibration file of a `kinect2` capture: both raw cameras and the rigid way between them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import RIGID_TOLERANCE, intrinsics_problem, rigid_error
from pipeline.captures.distortion import Distortion, LensCamera, distorted_rays
from pipeline.errors import InputError

COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3")
MAX_SIDE_PX = 10_000  # of an image: rays are kept for every depth pixel
MAX_BASELINE_M = 0.5  # both cameras sit in one housing; more means millimetres


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Kinect2Calibration:
    """What a Kinect v2 knows of itself.

    Attributes:
        device, serial: as the recorder wrote them.
        color_from_depth: (4 4) float64, rigid, metres.
        depth_shift_mm: what every measured depth lacks, by the calibration; 0 where it says nothing.
        largest_fit_px: where the colour camera was fitted to a mapping, the most that the two differ by, in raw
            colour px; 0 where the calibration gives it.
    """

    device: str
    serial: str
    depth: LensCamera
    color: LensCamera
    color_from_depth: NDArray[np.float64]
    depth_shift_mm: float = 0.0
    largest_fit_px: float = 0.0


def mirrored(calibration: Kinect2Calibration) -> Kinect2Calibration:
    """The calibration of the same device whose images were turned left to right, pixel by pixel.

    Both frames turn their x round with the images, so that the way between them stays a rotation.
    """
    turn = np.diag([-1.0, 1.0, 1.0, 1.0])
    return replace(
        calibration,
        depth=_mirrored(calibration.depth),
        color=_mirrored(calibration.color),
        color_from_depth=turn @ calibration.color_from_depth @ turn,
    )


def _mirrored(camera: LensCamera) -> LensCamera:
    k1, k2, p1, p2, *rest = camera.distortion
    distortion = cast(Distortion, (k1, k2, p1, -p2, *rest))  # p2 alone is odd in x
    return replace(camera, cx_px=camera.width - 1 - camera.cx_px, distortion=distortion)


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
    with calibration_errors(path):
        content = json.loads(path.read_text(encoding="utf-8"))
        return Kinect2Calibration(
            device=str(value_of(content, "device", "name")),
            serial=str(value_of(content, "device", "serial")),
            depth=_camera(path, content, "depth"),
            color=_camera(path, content, "color"),
            color_from_depth=rigid_of(value_of(content, "color_from_depth")),
        )


@contextmanager
def calibration_errors(path: Path) -> Iterator[None]:
    """Turn what goes wrong inside, while reading a calibration, into an InputError about `path`."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(
            "calibration-missing",
            f"{error.filename or path}: the calibration must exist, is missing. Restore it.",
        ) from None
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(
            "calibration-malformed",
            f"{path}: the calibration must hold both cameras, with their lenses, and the way between them, "
            f"but {error}. Correct the file.",
        ) from None


def lens_camera(
    where: str, K: NDArray[np.float64], distortion: Distortion, *, height: int, width: int
) -> LensCamera:
    """A camera of what a calibration says, checked.

    Args:
        where: file and camera, that a message starts with.

    Raises:
        InputError: intrinsics-mismatch, where K cannot belong to images of this size.
        ValueError: for a distortion that is not finite.
    """
    problem = intrinsics_problem(K, height, width)
    if problem is not None:
        raise InputError(
            "intrinsics-mismatch",
            f"{where} must fit its images, but {problem}. Use this camera's own intrinsics.",
        )
    if not np.isfinite(distortion).all():
        raise ValueError(f"the distortion is {distortion}")
    return LensCamera(
        width=width,
        height=height,
        fx_px=float(K[0, 0]),
        fy_px=float(K[1, 1]),
        cx_px=float(K[0, 2]),
        cy_px=float(K[1, 2]),
        distortion=distortion,
    )


def rigid_of(rows: Any) -> NDArray[np.float64]:
    """The checked way between the cameras; raises ValueError."""
    matrix = np.array(rows, dtype=np.float64)
    error = rigid_error(matrix)
    if error > RIGID_TOLERANCE:
        raise ValueError(f"color_from_depth is off a rigid 4x4 matrix by {error:.3g}")
    baseline_m = float(np.linalg.norm(matrix[:3, 3]))
    if baseline_m > MAX_BASELINE_M:
        raise ValueError(f"color_from_depth moves by {baseline_m:.3g} m, more than {MAX_BASELINE_M} m")
    return matrix


def value_of(content: Any, *keys: str) -> Any:
    """What a JSON object holds below these keys; raises ValueError that names the missing one."""
    for depth, key in enumerate(keys, start=1):
        if not isinstance(content, dict) or key not in content:
            raise ValueError(f"the key {'.'.join(keys[:depth])!r} is missing")
        content = content[key]
    return content


def _camera_json(camera: LensCamera) -> dict[str, Any]:
    return {
        "width": camera.width,
        "height": camera.height,
        "K": camera.K.tolist(),
        "distortion": dict(zip(COEFFICIENTS, camera.distortion, strict=True)),
    }


def _camera(path: Path, content: Any, name: str) -> LensCamera:
    width, height = value_of(content, name, "width"), value_of(content, name, "height")
    if not all(type(size) is int and 0 < size < MAX_SIDE_PX for size in (width, height)):
        raise ValueError(f"{name}.width and {name}.height are {width!r} and {height!r}")
    K = np.array(value_of(content, name, "K"), dtype=np.float64)
    k1, k2, p1, p2, k3 = (float(value_of(content, name, "distortion", key)) for key in COEFFICIENTS)
    camera = lens_camera(f"{path}: {name}.K", K, (k1, k2, p1, p2, k3), height=height, width=width)
    if name == "depth":  # the colour camera's lens is never inverted
        distorted_rays(camera)
    return camera
