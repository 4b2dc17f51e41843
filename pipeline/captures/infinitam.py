"""Recordings of InfiniTAM: raw images of both cameras, one number a pair, and calib.txt.

Prisacariu et al., "InfiniTAM v3: A Framework for Large-Scale 3D Reconstruction with Loop Closure", 2017.

    Frames/%04i.ppm     colour, 8 bit; may be missing
    Frames/%04i.pgm     depth codes, 16 bit
    Frames/%04i.txt     4x4 world_from_depth, metres; may be missing
    calib.txt           blank-separated, line breaks as one likes:
        width height, fx fy, cx cy          of the colour camera, px
        width height, fx fy, cx cy          of the depth camera, px
        3x4                                 depth_from_color by rows, metres
        affine a b | [kinect] a b           a code d is a d + b metres, or 8 b fx / (a - d); 0 0 is millimetres
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import (
    RIGID_TOLERANCE,
    intrinsics_problem,
    invert_rigid,
    nearest_rigid,
    rigid_error,
)
from pipeline.captures.capture import Frame
from pipeline.captures.distortion import NO_DISTORTION, LensCamera
from pipeline.captures.rgbd_files import RgbdStreams
from pipeline.captures.rgbd_folder import RgbdFolder, open_streams, require_folder
from pipeline.captures.two_cameras import TwoCameras
from pipeline.errors import InputError

Float64 = NDArray[np.float64]

CALIBRATION_FILE, FRAMES_FOLDER = "calib.txt", "Frames"
SMALLEST_NEGATIVE_CODE = 32768  # InfiniTAM keeps codes as signed 16 bit and takes none below 1
MAX_BASELINE_M = 0.5  # both cameras sit in one housing; more means millimetres
MAX_SIZE_PX = 65535
# Numbers written with six digits move a rotation by less; two cameras that differ less are one.
ONE_CAMERA = 1e-5


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class InfinitamCalibration:
    """What calib.txt says.

    Attributes:
        color_from_depth: (4 4) rigid, metres.
        metres: from raw codes (H W) to depth_m, 0 where there is no measurement.
    """

    color: LensCamera
    depth: LensCamera
    color_from_depth: Float64
    metres: Callable[[NDArray[Any]], Float64]

    @property
    def has_one_camera(self) -> bool:
        """Whether colour and depth share one pinhole, as registered recordings do."""
        return self.color == self.depth and bool(np.abs(self.color_from_depth - np.eye(4)).max() < ONE_CAMERA)


def affine_depth_m(raw: NDArray[Any], *, a: float, b: float) -> Float64:
    """Metres (H W) of codes that are linear in depth; 0 for code 0, for codes below, and behind the camera."""
    depth_m = a * raw.astype(np.float64) + b
    return np.where((raw > 0) & (raw < SMALLEST_NEGATIVE_CODE) & (depth_m > 0), depth_m, 0.0)


def disparity_depth_m(raw: NDArray[Any], *, a: float, b: float, fx_px: float) -> Float64:
    """Metres (H W) of a Kinect v1's disparity codes, 8 b fx / (a - d); 0 for code 0 and from a on.

    Args:
        a: the code of infinity, 1/8 px.
        b: baseline, metres.
        fx_px: of the depth camera.
    """
    apart = a - raw.astype(np.float64)
    seen = (raw > 0) & (raw < SMALLEST_NEGATIVE_CODE) & (apart > 0)
    return np.divide(8.0 * b * fx_px, apart, out=np.zeros_like(apart), where=seen)


def open_infinitam(path: Path) -> RgbdFolder:
    """Open a recording; frames are the colour camera's pinhole where the two cameras differ.

    The images lie in Frames/, or beside calib.txt. Without colour, frames are the depth camera's own. Poses are
    None where not one pose file is there.

    Raises:
        InputError: calibration-missing, calibration-malformed, intrinsics-mismatch, or as `open_rgbd_folder`.
    """
    require_folder(path)
    calibration = read_infinitam_calibration(path / CALIBRATION_FILE)
    prefix = f"{FRAMES_FOLDER}/" if (path / FRAMES_FOLDER).is_dir() else ""
    images = path / prefix
    streams = RgbdStreams(
        depth=f"{prefix}{{frame}}.pgm",
        color=f"{prefix}{{frame}}.ppm" if any(images.glob("[0-9]*.ppm")) else None,
        pose=f"{prefix}{{frame}}.txt" if any(images.glob("[0-9]*.txt")) else None,
    )
    depth = calibration.depth
    folder = open_streams(
        path, streams, depth.K, (depth.height, depth.width), calibration=path / CALIBRATION_FILE
    )
    folder = replace(folder, metres=calibration.metres)
    if streams.color is None or calibration.has_one_camera:
        return folder
    color = calibration.color
    cameras = TwoCameras(
        depth=depth, color=color, color_from_depth=calibration.color_from_depth, reduction=(1, 1)
    )
    return replace(
        folder, color_size=(color.height, color.width), view=partial(registered_frame, cameras=cameras)
    )


def registered_frame(raw: Frame, *, cameras: TwoCameras) -> Frame:
    """The frame as the colour camera's pinhole sees it.

    Args:
        raw: of both cameras; pose and mask are the depth camera's.
    """
    if raw.depth_m is None or raw.image is None:
        raise ValueError(
            f"pipeline.captures.infinitam: frame {raw.frame} must have depth and colour to register, lacks one. "
            "Read it as it is."
        )
    seen = cameras.registration.register(raw.depth_m)
    pose = raw.world_from_cam
    return replace(
        raw,
        depth_m=seen.depth_m,
        image=cameras.undistortion.undistort(raw.image),
        K=cameras.K.copy(),
        world_from_cam=None if pose is None else pose @ invert_rigid(cameras.color_from_depth),
        mask=None if raw.mask is None else seen.mask(raw.mask),
    )


def read_infinitam_calibration(path: Path) -> InfinitamCalibration:
    """Read calib.txt.

    Raises:
        InputError: calibration-missing, calibration-malformed, or intrinsics-mismatch.
    """
    try:
        words = path.read_text(encoding="utf-8").split()
        numbers, kind = _numbers(words)
        color, depth = _camera(path, numbers[:6], "colour"), _camera(path, numbers[6:12], "depth")
        return InfinitamCalibration(
            color=color,
            depth=depth,
            color_from_depth=invert_rigid(_depth_from_color(numbers[12:24])),
            metres=_metres(kind, *numbers[24:], fx_px=depth.fx_px),
        )
    except FileNotFoundError:
        raise InputError(
            "calibration-missing",
            f"{path}: the calibration must exist, is missing. Restore InfiniTAM's calib.txt.",
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(
            "calibration-malformed",
            f"{path}: it must hold both cameras, 3x4 numbers between them and the depth's code, but {error}. "
            "Correct the file.",
        ) from None


def _numbers(words: list[str]) -> tuple[list[float], str]:
    kind = words.pop(24) if len(words) == 27 else "kinect"  # two bare numbers are a Kinect's
    if kind not in ("affine", "kinect") or len(words) != 26:
        raise ValueError(
            f"it holds {len(words)} numbers instead of 26, or another code than affine or kinect"
        )
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("not all of them are finite numbers")
    return numbers, kind


def _camera(path: Path, numbers: list[float], name: str) -> LensCamera:
    width, height, fx_px, fy_px, cx_px, cy_px = numbers
    if not all(size.is_integer() and 0 < size <= MAX_SIZE_PX for size in (width, height)):
        raise ValueError(f"the {name} camera's size is {width:g}x{height:g} px")
    camera = LensCamera(
        width=int(width),
        height=int(height),
        fx_px=fx_px,
        fy_px=fy_px,
        cx_px=cx_px,
        cy_px=cy_px,
        distortion=NO_DISTORTION,
    )
    problem = intrinsics_problem(camera.K, camera.height, camera.width)
    if problem is not None:
        raise InputError(
            "intrinsics-mismatch",
            f"{path}: the {name} camera must fit its images, but {problem}. Correct its three lines.",
        )
    return camera


def _depth_from_color(numbers: list[float]) -> Float64:
    matrix = np.eye(4)
    matrix[:3] = np.reshape(numbers, (3, 4))
    error = rigid_error(matrix)
    if error > RIGID_TOLERANCE:
        raise ValueError(f"the way from colour to depth is off a rigid one by {error:.3g}")
    apart_m = float(np.linalg.norm(matrix[:3, 3]))
    if apart_m > MAX_BASELINE_M:
        raise ValueError(f"the cameras are {apart_m:.3g} m apart, more than {MAX_BASELINE_M} m")
    return nearest_rigid(matrix)


def _metres(kind: str, a: float, b: float, *, fx_px: float) -> Callable[[NDArray[Any]], Float64]:
    if a == 0 and b == 0:
        kind, a = "affine", 0.001
    if a <= 0 or (kind == "kinect" and b <= 0):
        raise ValueError(f"the depth's code is {kind} {a:g} {b:g}, which has no depth")
    if kind == "affine":
        return partial(affine_depth_m, a=a, b=b)
    return partial(disparity_depth_m, a=a, b=b, fx_px=fx_px)
