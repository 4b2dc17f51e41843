"""Sequences of the TUM RGB-D benchmark, and recordings in its layout.

Sturm et al., "A Benchmark for the Evaluation of RGB-D SLAM Systems", IROS 2012.

    rgb.txt, depth.txt    rows `timestamp filename`, seconds
    groundtruth.txt       rows `timestamp tx ty tz qx qy qz qw` at about 100 Hz; may be missing
    rgb/, depth/          640x480 px; depth 16 bit, 5000 steps a metre, registered to colour by the driver

The benchmark measured that its cameras' depth is short by 1.035 (freiburg1) and 1.031 (freiburg2); the released
images are corrected already, so nothing is done about it here.
"""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline.captures.capture import Frame
from pipeline.captures.distortion import NO_DISTORTION, LensCamera
from pipeline.captures.rgbd_files import RgbdFiles, RgbdStreams
from pipeline.captures.rgbd_folder import RgbdFolder, open_rgbd_folder, open_streams, require_folder
from pipeline.captures.undistortion import Undistortion, undistortion
from pipeline.errors import InputError

COLOR_LIST, DEPTH_LIST, POSES_FILE = "rgb.txt", "depth.txt", "groundtruth.txt"
WIDTH, HEIGHT = 640, 480

# The benchmark's own calibration of its colour cameras, which the depth is registered to: fx fy cx cy, then
# k1 k2 p1 p2 k3. The images of the first two show the lens; those of the third were rectified before release.
CAMERAS = {
    "1": ((517.3, 516.5, 318.6, 255.3), (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    "2": ((520.9, 521.0, 325.1, 249.7), (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    "3": ((535.4, 539.2, 320.1, 247.6), NO_DISTORTION),
}
_NAME = re.compile(r"(?<![a-z])(?:freiburg|fr)([123])(?!\d)")


class TumFiles(BaseModel):
    """[capture.tum]: what a recording in TUM's layout does not say itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibration: str | None = Field(
        default=None,
        description="3x3 text file or JSON of the registered pinhole; without it, the published camera that "
        "the folder's name says: freiburg1, freiburg2 or freiburg3.",
    )
    depth_unit_m: float = Field(default=0.0002, gt=0, description="Metres per raw depth step.")
    max_time_skew_s: float = Field(
        default=0.02, ge=0, description="Largest time between a depth image and its colour or pose."
    )


def open_tum(path: Path, options: TumFiles) -> RgbdFolder:
    """Open one sequence; poses are interpolated (`poses_at`), and None without a groundtruth.txt.

    The lens of freiburg1 and freiburg2 is undone, in colour and depth alike: the driver registers the depth to
    the colour image as the lens shows it.

    Raises:
        InputError: calibration-missing where neither a file nor the folder's name says the camera, or as
            `open_rgbd_folder`.
    """
    require_folder(path)
    streams = {
        "color": COLOR_LIST,
        "depth": DEPTH_LIST,
        "pose": POSES_FILE if (path / POSES_FILE).exists() else None,
        "depth_unit_m": options.depth_unit_m,
        "max_time_skew_s": options.max_time_skew_s,
    }
    if options.calibration is not None:
        return open_rgbd_folder(
            path, RgbdFiles.model_validate({**streams, "calibration": options.calibration})
        )
    camera = _published_camera(path)
    size = camera.height, camera.width
    folder = open_streams(path, RgbdStreams.model_validate(streams), camera.K, size, calibration=None)
    if camera.distortion == NO_DISTORTION:
        return folder
    lens = undistortion(camera, camera.K, height=camera.height, width=camera.width)
    return replace(folder, view=partial(without_lens, lens=lens))


def without_lens(raw: Frame, *, lens: Undistortion) -> Frame:
    """The frame through the pinhole of the same camera: colour is resampled, depth is the nearest raw pixel's.

    A pixel's depth_m is the same with and without the lens, for both see from one centre; 0 outside of the
    raw image.
    """
    if raw.depth_m is None or raw.image is None:
        raise ValueError(
            f"pipeline.captures.tum: frame {raw.frame} must have depth and colour, lacks one. Read it as it is."
        )
    height, width = raw.depth_m.shape
    u, v = np.rint(lens.u_px).astype(np.intp), np.rint(lens.v_px).astype(np.intp)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    depth_m = np.zeros(u.shape, dtype=np.float32)
    depth_m[inside] = raw.depth_m[v[inside], u[inside]]
    return replace(raw, depth_m=depth_m, image=lens.undistort(raw.image))


def _published_camera(path: Path) -> LensCamera:
    named = _NAME.search(path.absolute().name.lower())
    if named is None:
        raise InputError(
            "calibration-missing",
            f"{path}: the camera must be known, but the folder's name holds none of freiburg1, freiburg2 and "
            "freiburg3. Put its 3x3 matrix into a file of the folder and name it as `calibration` in "
            "[capture.tum].",
        )
    (fx_px, fy_px, cx_px, cy_px), distortion = CAMERAS[named[1]]
    return LensCamera(
        width=WIDTH,
        height=HEIGHT,
        fx_px=fx_px,
        fy_px=fy_px,
        cx_px=cx_px,
        cy_px=cy_px,
        distortion=distortion,
    )
