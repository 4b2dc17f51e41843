"""Calibrations of a Kinect v2 as iai_kinect2, libfreenect2 and the Kinect SDK give them.

iai_kinect2 writes four files of OpenCV's YAML into one folder: `calib_color.yaml` and `calib_ir.yaml` hold
cameraMatrix and distortionCoefficients, `calib_pose.yaml` rotation and translation of the infrared camera into
the colour camera in metres, `calib_depth.yaml` depthShift in millimetres, to be added to every measured depth.
They are made on upright images.

libfreenect2 hands out the factory's IrCameraParams and ColorCameraParams. How they are kept is up to the
recorder; here it is one JSON object, `ir` {fx fy cx cy k1 k2 k3 p1 p2} and `color` {fx fy cx cy shift_d shift_m
mx_x3y0 ... my_x0y0}, by the names of the two structures. Colour is not a camera there but a polynomial of third
degree in the undistorted depth pixel, right at the depth shift_d in millimetres, and a shift that goes with 1/z.

The SDK's CoordinateMapper hands out CameraIntrinsics of the depth camera alone, and says of any depth pixel
where it lies in colour. Here that is one JSON object: `DepthCameraIntrinsics` {FocalLengthX FocalLengthY
PrincipalPointX PrincipalPointY RadialDistortionSecondOrder RadialDistortionFourthOrder
RadialDistortionSixthOrder}, and `DepthToColor`, rows of depth x, depth y, depth in millimetres, colour x,
colour y, over the whole image and at several depths.

The last two are of mirrored images, as both libraries deliver them, and colour becomes a pinhole camera with a
lens by a fit.
"""

import json
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.color_camera_fit import fit_color_camera
from pipeline.captures.distortion import NO_DISTORTION, Distortion, LensCamera, distorted_rays, undistort
from pipeline.captures.kinect2_calibration import (
    Kinect2Calibration,
    calibration_errors,
    lens_camera,
    rigid_of,
    value_of,
)

Float64 = NDArray[np.float64]

IAI_FILES = ("calib_color.yaml", "calib_ir.yaml", "calib_pose.yaml", "calib_depth.yaml")
DEPTH_HW, COLOR_HW = (424, 512), (1080, 1920)
MAX_BYTES = 10_000_000
MAX_SHIFT_MM = 200.0  # calibrations made so far shift by some 30; more means metres or a sign of damage

# Constants of the factory's polynomial: steps of the undistorted depth pixel and of its colour pixel.
DEPTH_STEP, COLOR_STEP = 0.01, 0.002199
POWERS = ("x3y0", "x0y3", "x2y1", "x1y2", "x2y0", "x0y2", "x1y1", "x1y0", "x0y1", "x0y0")
FIT_DEPTHS_M = (0.8, 1.2, 2.0, 3.0, 4.5)
# The factory's polynomial of real devices leaves 0.9 px from 0.8 m on, most of it in the corners.
MAX_FIT_PX = 2.0
MAPPED_MM, DEEPER = (
    (100.0, 20_000.0),
    1.5,
)  # depths that the SDK maps, and how far apart they must lie at least
FOCAL_PX = 1060.0  # of colour, where the fit starts

_MATRIX = re.compile(
    r"^(\w+):\s*!!opencv-matrix\s+rows:\s*(\d+)\s+cols:\s*(\d+)\s+dt:\s*\"?\w+\"?\s+data:\s*\[([^\]]*)\]",
    re.M,
)
_SHIFT = re.compile(r"^depthShift:\s*(\S+)", re.M)


def read_iai_calibration(folder: Path) -> Kinect2Calibration:
    """Read the four files of iai_kinect2; without `calib_depth.yaml`, depth is not shifted.

    Raises:
        InputError: calibration-missing, calibration-malformed, or intrinsics-mismatch.
    """
    color, infrared, pose, shift = (folder / name for name in IAI_FILES)
    with calibration_errors(pose):
        between = _matrices(pose)
        color_from_depth = np.eye(4)
        color_from_depth[:3, :3] = _shaped(between, "rotation", (3, 3))
        color_from_depth[:3, 3] = _shaped(between, "translation", (3, 1))[:, 0]
        color_from_depth = rigid_of(color_from_depth)
    with calibration_errors(infrared):
        depth_camera = _iai_camera(infrared, DEPTH_HW)
        distorted_rays(depth_camera)
    with calibration_errors(color):
        color_camera = _iai_camera(color, COLOR_HW)
    with calibration_errors(shift):
        depth_shift_mm = _iai_shift(shift)
    return Kinect2Calibration(
        device="Kinect v2 by iai_kinect2",
        serial="unknown",
        depth=depth_camera,
        color=color_camera,
        color_from_depth=color_from_depth,
        depth_shift_mm=depth_shift_mm,
    )


def read_libfreenect2_calibration(path: Path) -> Kinect2Calibration:
    """Read libfreenect2's two structures from one JSON file.

    Raises:
        InputError: calibration-missing, calibration-malformed (a fit that leaves too much as well), or
            intrinsics-mismatch.
    """
    with calibration_errors(path):
        content = json.loads(_text(path))
        fx, fy, cx, cy, *lens = (
            float(value_of(content, "ir", key))
            for key in ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3")
        )
        K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
        height, width = DEPTH_HW
        depth = lens_camera(f"{path}: ir", K, cast(Distortion, tuple(lens)), height=height, width=width)
        distorted_rays(depth)
        u, v, z_m = _fit_grid()
        rays = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(u)], axis=-1)
        shown_px = _polynomial_px(content, u - cx, v - cy, z_m)
        return _fitted(path, depth, rays * z_m[:, None], shown_px, device="Kinect v2 by libfreenect2")


def read_sdk_calibration(path: Path) -> Kinect2Calibration:
    """Read what the SDK's CoordinateMapper said, from one JSON file.

    Raises:
        InputError: as `read_libfreenect2_calibration`.
    """
    with calibration_errors(path):
        content = json.loads(_text(path))
        intrinsics = "DepthCameraIntrinsics"
        fx, fy, cx, cy = (
            float(value_of(content, intrinsics, key))
            for key in ("FocalLengthX", "FocalLengthY", "PrincipalPointX", "PrincipalPointY")
        )
        k1, k2, k3 = (
            float(value_of(content, intrinsics, f"RadialDistortion{order}Order"))
            for order in ("Second", "Fourth", "Sixth")
        )
        K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
        height, width = DEPTH_HW
        where = f"{path}: {intrinsics}"
        depth = lens_camera(where, K, (k1, k2, 0.0, 0.0, k3), height=height, width=width)
        distorted_rays(depth)
        rows = np.array(value_of(content, "DepthToColor"), dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != 5:
            raise ValueError(f"DepthToColor has the shape {rows.shape}, not rows of 5")
        rows = rows[
            np.isfinite(rows).all(axis=1) & (rows[:, 2] > 0)
        ]  # the mapper says -inf where it knows none
        _check_depths(rows[:, 2])
        rays = np.ones((len(rows), 3))
        rays[:, :2] = undistort((rows[:, :2] - [cx, cy]) / [fx, fy], depth.distortion)
        points_m = rays * (rows[:, 2:3] / 1000.0)  # millimetres to metres
        return _fitted(path, depth, points_m, rows[:, 3:], device="Kinect v2 by the Kinect SDK")


def _check_depths(depth_mm: Float64) -> None:
    near_mm, far_mm = MAPPED_MM
    if not ((depth_mm >= near_mm) & (depth_mm <= far_mm)).all():
        raise ValueError(f"DepthToColor holds depths outside {near_mm:g} to {far_mm:g} mm")
    if len(depth_mm) and depth_mm.max() < DEEPER * depth_mm.min():
        raise ValueError("DepthToColor is of one depth alone, which cannot tell a shift from a turn")


def _fitted(
    path: Path, depth: LensCamera, points_m: Float64, shown_px: Float64, *, device: str
) -> Kinect2Calibration:
    height, width = COLOR_HW
    start = LensCamera(
        width=width,
        height=height,
        fx_px=FOCAL_PX,
        fy_px=FOCAL_PX,
        cx_px=(width - 1) / 2,
        cy_px=(height - 1) / 2,
        distortion=NO_DISTORTION,
    )
    inside = (np.abs(shown_px - [start.cx_px, start.cy_px]) <= [width / 2, height / 2]).all(axis=1)
    fit = fit_color_camera(points_m[inside], shown_px[inside], start)
    if fit.largest_px > MAX_FIT_PX:
        raise ValueError(
            f"no pinhole camera with a lens shows depth where it is said to lie in colour: the best is "
            f"{fit.largest_px:.1f} px off, more than {MAX_FIT_PX} px"
        )
    color = fit.color
    return Kinect2Calibration(
        device=device,
        serial="unknown",
        depth=depth,
        color=lens_camera(f"{path}: color", color.K, color.distortion, height=height, width=width),
        color_from_depth=rigid_of(fit.color_from_depth),
        largest_fit_px=fit.largest_px,
    )


def _fit_grid() -> tuple[Float64, Float64, Float64]:
    u, v, z_m = np.meshgrid(np.linspace(0, 511, 17), np.linspace(0, 423, 15), FIT_DEPTHS_M)
    return u.ravel(), v.ravel(), z_m.ravel()


def _polynomial_px(content: Any, du_px: Float64, dv_px: Float64, z_m: Float64) -> Float64:
    """Where undistorted depth pixels, relative to the principal point, lie in colour (N 2)."""
    fx, cx, cy, shift_d, shift_m = (
        float(value_of(content, "color", key)) for key in ("fx", "cx", "cy", "shift_d", "shift_m")
    )
    x, y = du_px * DEPTH_STEP, dv_px * DEPTH_STEP
    at = {}
    for axis in ("mx", "my"):
        terms = [
            float(value_of(content, "color", f"{axis}_{power}")) * x ** int(power[1]) * y ** int(power[3])
            for power in POWERS
        ]
        at[axis] = np.sum(terms, axis=0) / COLOR_STEP
    if shift_d == 0:
        raise ValueError("color.shift_d is 0")
    parallax_px = fx * shift_m * (1.0 / (1000.0 * z_m) - 1.0 / shift_d)  # metres to millimetres
    return np.stack([at["mx"] + parallax_px + cx, at["my"] + cy], axis=-1)


def _iai_camera(path: Path, size_hw: tuple[int, int]) -> LensCamera:
    found = _matrices(path)
    K = _shaped(found, "cameraMatrix", (3, 3))
    coefficients = found.get("distortionCoefficients", np.zeros(0)).ravel().tolist()
    if len(coefficients) not in (5, 8):
        raise ValueError(f"distortionCoefficients are {len(coefficients)}, neither 5 nor 8")
    height, width = size_hw
    distortion = cast(Distortion, tuple(coefficients))
    return lens_camera(f"{path}: cameraMatrix", K, distortion, height=height, width=width)


def _iai_shift(path: Path) -> float:
    if not path.exists():
        return 0.0
    found = _SHIFT.search(_text(path))
    shift_mm = float(found.group(1)) if found else np.nan
    if not abs(shift_mm) <= MAX_SHIFT_MM:
        raise ValueError(f"depthShift is {shift_mm} mm, not within {MAX_SHIFT_MM} mm")
    return shift_mm


def _matrices(path: Path) -> dict[str, Float64]:
    """The matrices of one of OpenCV's YAML files by name."""
    found: dict[str, Float64] = {}
    for name, rows, columns, data in _MATRIX.findall(_text(path)):
        numbers = np.array([float(number) for number in data.split(",")])
        if len(rows) > 3 or len(columns) > 3 or numbers.size != int(rows) * int(columns):
            raise ValueError(f"{name} holds {numbers.size} numbers, not {rows}x{columns}")
        found[name] = numbers.reshape(int(rows), int(columns))
    return found


def _shaped(matrices: dict[str, Float64], name: str, shape: tuple[int, int]) -> Float64:
    if name not in matrices or matrices[name].shape != shape:
        raise ValueError(f"it holds no {name} of {shape[0]}x{shape[1]}")
    return matrices[name]


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it has {path.stat().st_size} bytes, more than {MAX_BYTES}")
    return path.read_text(encoding="utf-8")
