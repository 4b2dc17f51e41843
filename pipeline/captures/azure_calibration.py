"""What an Azure Kinect knows of its cameras: the calibration.json that every recording carries.

The file gives a camera's principal point and focal length as shares of its *sensor*, counted from the sensor's
top left corner, not from the centre of its first pixel. A mode reads a part of the sensor, binned or scaled:

    depth   sensor 1024x1024, in 2x2 bins 512x512; the narrow field starts at pixel (192, 180) of it, binned
            at (96, 90), and is 640x576 or 320x288 px; the wide field is the whole sensor
    colour  every mode scales the whole width; it is cut from the middle of the sensor's height: nothing for
            the 4:3 modes, an eighth of 4:3 above and below for the 16:9 modes. Devices that were calibrated
            for a 16:9 sensor are extended to 4:3 by the same rule

so that f_px = share * sensor_px and c_px = share * sensor_px - corner_px - 0.5, the last for integer pixel
centres. The lens is Brown's with a rational radial part, its fourteen numbers in the order cx cy fx fy k1 k2 k3
k4 k5 k6 codx cody p2 p1 (p2 before p1, in OpenCV's sense), for normalised points up to MetricRadius from the
centre. Rt takes points of the depth camera into the camera's own frame, in metres. (Microsoft, Azure Kinect
Sensor SDK, mode-specific calibration.) Factory calibrations are known to leave a percent or two of image size
between the two cameras; it is left as it is.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import RIGID_TOLERANCE, intrinsics_problem, pixel_rays, rigid_error
from pipeline.captures.distortion import LensCamera, folds
from pipeline.captures.kinect2_calibration import MAX_BASELINE_M
from pipeline.errors import InputError

Float64 = NDArray[np.float64]

DEPTH_LOCATION, COLOR_LOCATION = "CALIBRATION_CameraLocationD0", "CALIBRATION_CameraLocationPV0"
MODEL = "CALIBRATION_LensDistortionModelBrownConrady"
PARAMETERS = 14
DEPTH_SENSOR_PX = 1024
# Width and height of a depth mode to the sensor's side in its bins and the corner of what is read of it.
DEPTH_MODES = {
    (320, 288): (512, (96, 90)),
    (640, 576): (1024, (192, 180)),
    (512, 512): (512, (0, 0)),
    (1024, 1024): (1024, (0, 0)),
}
COLOR_MODES = ((1280, 720), (1920, 1080), (2560, 1440), (2048, 1536), (3840, 2160), (4096, 3072))
UNKNOWN_RADIUS = 1.7  # stands for a MetricRadius of 0, which means that the factory did not find it: 120 deg
MAX_RADIUS = 4.0  # of 152 deg, more than the sensor's window lets in
PROBES = 64  # points a side at which a lens is proven not to fold


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AzureCalibration:
    """The cameras in the modes of one recording.

    Attributes:
        color: None where the recording has no colour.
        color_from_depth: (4 4) float64, rigid, metres.
    """

    depth: LensCamera
    color: LensCamera | None
    color_from_depth: Float64


def read_azure_calibration(
    data: bytes, *, where: str, depth_wh: tuple[int, int], color_wh: tuple[int, int] | None
) -> AzureCalibration:
    """Read a calibration.json for images of these sizes; what it says of the inertial sensors is left alone.

    Args:
        where: its place, for messages.
        depth_wh, color_wh: width and height in px of the recorded images, which tell the modes.

    Raises:
        InputError: calibration-malformed, or intrinsics-mismatch for images of no known mode.
    """
    try:
        content = json.loads(data.rstrip(b"\0").decode("utf-8"))
        cameras = _value(content, "CalibrationInformation", "Cameras")
        depth, color = (_located(cameras, location) for location in (DEPTH_LOCATION, COLOR_LOCATION))
        return AzureCalibration(
            depth=_depth_camera(where, depth, depth_wh),
            color=None if color_wh is None else _color_camera(where, color, color_wh),
            color_from_depth=_rigid(_value(color, "Rt")),
        )
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(
            "calibration-malformed",
            f"{where}: the calibration must be an Azure Kinect's calibration.json, but {error}. "
            "Record again, or restore the file.",
        ) from None


def _depth_camera(where: str, entry: Any, size_wh: tuple[int, int]) -> LensCamera:
    if size_wh not in DEPTH_MODES:
        raise _no_mode(where, "depth", size_wh, list(DEPTH_MODES))
    if _sensor_wh(entry) != (DEPTH_SENSOR_PX, DEPTH_SENSOR_PX):
        raise ValueError(f"the depth sensor has {_sensor_wh(entry)} px, not {DEPTH_SENSOR_PX} a side")
    side_px, corner_px = DEPTH_MODES[size_wh]
    radius = float(_value(entry, "MetricRadius"))
    radius = UNKNOWN_RADIUS if 0 <= radius <= 1e-4 else radius
    if not 0 < radius <= MAX_RADIUS:
        raise ValueError(f"the depth camera's MetricRadius is {radius}")
    camera = _camera(where, entry, size_wh, (side_px, side_px), corner_px, radius)
    r, angle_rad = np.meshgrid(np.linspace(0, radius, PROBES), np.linspace(0, 2 * np.pi, PROBES))
    _refuse_folds(np.stack([r * np.cos(angle_rad), r * np.sin(angle_rad)], axis=-1), camera)
    return camera


def _color_camera(where: str, entry: Any, size_wh: tuple[int, int]) -> LensCamera:
    if size_wh not in COLOR_MODES:
        raise _no_mode(where, "colour", size_wh, list(COLOR_MODES))
    width, height = size_wh
    sensor_width, sensor_height = _sensor_wh(entry)
    if sensor_width * 3 != sensor_height * 4 and sensor_width * 9 != sensor_height * 16:
        raise ValueError(f"the colour sensor has {sensor_width}x{sensor_height} px, neither 4:3 nor 16:9")
    scaled_px = width * sensor_height / sensor_width
    camera = _camera(where, entry, size_wh, (width, scaled_px), (0, (scaled_px - height) / 2), math.inf)
    step_px = (width - 1) / (PROBES - 1)
    K = camera.K / [[step_px], [step_px], [1]]  # a pixel of the probe is a step of the image
    _refuse_folds(pixel_rays(K, math.ceil((height - 1) / step_px) + 1, PROBES)[..., :2], camera)
    return camera


def _camera(
    where: str,
    entry: Any,
    size_wh: tuple[int, int],
    sensor_px: tuple[float, float],
    corner_px: tuple[float, float],
    max_radius: float,
) -> LensCamera:
    cx, cy, fx, fy, k1, k2, k3, k4, k5, k6, codx, cody, p2, p1 = _parameters(entry)
    if codx != 0 or cody != 0:
        raise ValueError(f"the centre of distortion is ({codx}, {cody}), not 0")
    camera = LensCamera(
        width=size_wh[0],
        height=size_wh[1],
        fx_px=fx * sensor_px[0],
        fy_px=fy * sensor_px[1],
        # from the corner of the first pixel to its centre
        cx_px=cx * sensor_px[0] - corner_px[0] - 0.5,
        cy_px=cy * sensor_px[1] - corner_px[1] - 0.5,
        distortion=(k1, k2, p1, p2, k3, k4, k5, k6),
        max_radius=max_radius,
    )
    problem = intrinsics_problem(camera.K, camera.height, camera.width)
    if problem is not None:
        raise InputError(
            "intrinsics-mismatch",
            f"{where}: the intrinsics must fit images of {camera.width}x{camera.height} px, but {problem}. "
            "Use the calibration of this device.",
        )
    return camera


def _refuse_folds(points: Float64, camera: LensCamera) -> None:
    if folds(points, camera.distortion):
        raise ValueError(f"the lens {camera.distortion} folds the image of {camera.width} px width")


def _parameters(entry: Any) -> list[float]:
    model = _value(entry, "Intrinsics", "ModelType")
    values = [float(value) for value in _value(entry, "Intrinsics", "ModelParameters")]
    if model != MODEL or len(values) != PARAMETERS or not np.isfinite(values).all():
        raise ValueError(f"the lens is {model!r} with {len(values)} numbers, not {MODEL} with {PARAMETERS}")
    return values


def _sensor_wh(entry: Any) -> tuple[int, int]:
    width, height = _value(entry, "SensorWidth"), _value(entry, "SensorHeight")
    if not all(type(size) is int and 0 < size < 2**16 for size in (width, height)):
        raise ValueError(f"SensorWidth and SensorHeight are {width!r} and {height!r}")
    return width, height


def _rigid(entry: Any) -> Float64:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(_value(entry, "Rotation"), dtype=np.float64).reshape(3, 3)
    matrix[:3, 3] = np.array(_value(entry, "Translation"), dtype=np.float64)
    error, baseline_m = rigid_error(matrix), float(np.linalg.norm(matrix[:3, 3]))
    if not (error <= RIGID_TOLERANCE and baseline_m <= MAX_BASELINE_M):
        raise ValueError(
            f"the colour camera's Rt is off a rigid one by {error:.3g} and moves by {baseline_m:.3g} m"
        )
    return matrix


def _located(cameras: Any, location: str) -> Any:
    for camera in cameras:
        if isinstance(camera, dict) and camera.get("Location") == location:
            return camera
    raise ValueError(f"no camera is located at {location}")


def _value(content: Any, *keys: str) -> Any:
    for depth, key in enumerate(keys, start=1):
        if not isinstance(content, dict) or key not in content:
            raise ValueError(f"the key {'.'.join(keys[:depth])!r} is missing")
        content = content[key]
    return content


def _no_mode(where: str, what: str, size_wh: tuple[int, int], modes: list[tuple[int, int]]) -> InputError:
    known = ", ".join(f"{width}x{height}" for width, height in modes)
    return InputError(
        "intrinsics-mismatch",
        f"{where}: {what} images must be of a mode of the device, {known} px, are {size_wh[0]}x{size_wh[1]} px. "
        "Give the recording as the recorder wrote it.",
    )
