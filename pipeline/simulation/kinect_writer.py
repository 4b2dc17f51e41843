"""Writes a simulated capture in the raw `kinect2` layout of pipeline/captures/kinect2.py, with `truth/` beside it.

The same frames give the same bytes. The truth's layout is that of pipeline/captures/truth.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.distortion import LensCamera
from pipeline.captures.kinect2 import CALIBRATION_FILE, COLUMNS, MASK_FOLDER, POSE_FOLDER, TIMES_FILE
from pipeline.captures.kinect2_calibration import Kinect2Calibration, calibration_text
from pipeline.simulation.truth_writer import TrueFrame, TruthWriter

JPEG_QUALITY = 95
PNG_COMPRESSION = 3
TRUTH_FOLDER = "truth"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KinectFrame:
    """One frame as the virtual Kinect recorded it, and what was really there.

    Attributes:
        depth_s, color_s: times of exposure in seconds on one clock; color_s is not read without an image.
        depth_raw_mm: (H W) of the depth camera; 0 is no measurement.
        image: (Hc Wc 3) RGB as the colour lens shows it; None where colour was dropped.
        mask: (H W) True on the person, in raw depth pixels.
    """

    frame: int
    depth_s: float
    color_s: float
    depth_raw_mm: NDArray[np.uint16]
    image: NDArray[np.uint8] | None
    mask: NDArray[np.bool_]
    true: TrueFrame


def write_kinect2_capture(
    folder: Path,
    frames: Iterable[KinectFrame],
    calibration: Kinect2Calibration,
    *,
    faces: NDArray[np.int32],
    vertex_rgb: NDArray[np.uint8],
) -> None:
    """Write a capture and its truth, one frame at a time.

    Args:
        folder: made where it is missing.
        frames: numbers ascending.
        faces: (F 3) of the meshes of all frames, outward.
        vertex_rgb: (V 3) likewise.

    Raises:
        FileExistsError: if a capture stands there already; its images would be read as this capture's.
        ValueError: if there is no frame, or one does not fit the calibration, the colours or the one before.
    """
    for name in ("color", "depth", MASK_FOLDER, POSE_FOLDER):
        (folder / name).mkdir(parents=True)
    truth = TruthWriter(folder / TRUTH_FOLDER, faces, vertex_rgb)
    lines = [",".join(COLUMNS)]
    before = -1
    for frame in frames:
        if frame.frame <= before:
            raise ValueError(f"{folder}: frame numbers must ascend from 0, {frame.frame} follows {before}")
        before = frame.frame
        _check_sizes(folder, frame, calibration)
        _write_raw(folder, frame)
        truth.append(frame.frame, frame.true)
        lines.append(_times_line(frame))
    if before < 0:
        raise ValueError(f"{folder}: a capture must have a frame, has none")
    (folder / CALIBRATION_FILE).write_text(calibration_text(calibration), encoding="utf-8")
    (folder / TIMES_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    truth.close()


def _check_sizes(folder: Path, frame: KinectFrame, calibration: Kinect2Calibration) -> None:
    depth, color = calibration.depth, calibration.color
    sized: list[tuple[str, NDArray[Any] | None, LensCamera]] = [
        ("depth", frame.depth_raw_mm, depth),
        ("mask", frame.mask, depth),
        ("true depth", frame.true.depth_m, depth),
        ("image", frame.image, color),
    ]
    for name, array, camera in sized:
        if array is not None and array.shape[:2] != (camera.height, camera.width):
            raise ValueError(
                f"{folder}: frame {frame.frame}: {name} must be {(camera.height, camera.width)} px like its "
                f"camera, is {array.shape[:2]}"
            )


def _times_line(frame: KinectFrame) -> str:
    # Microseconds, as a device's clock ticks.
    color = "" if frame.image is None else f"{frame.color_s:.6f}"
    return f"{frame.frame},{frame.depth_s:.6f},{color}"


def _write_raw(folder: Path, frame: KinectFrame) -> None:
    import cv2

    name = f"{frame.frame:06d}"
    png = [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION]
    if frame.image is not None:
        bgr = np.ascontiguousarray(frame.image[..., ::-1])
        _write_image(folder / "color" / f"{name}.jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    _write_image(folder / "depth" / f"{name}.png", frame.depth_raw_mm, png)
    _write_image(folder / MASK_FOLDER / f"{name}.png", frame.mask.astype(np.uint8) * 255, png)
    # repr gives the shortest text that reads back as the same float64.
    rows = [" ".join(repr(float(value)) for value in row) for row in frame.true.world_from_depth]
    (folder / POSE_FOLDER / f"{name}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _write_image(path: Path, image: NDArray[Any], settings: list[int]) -> None:
    import cv2

    done, data = cv2.imencode(path.suffix, image, settings)
    if not done:
        raise ValueError(f"{path}: the image {image.dtype} {image.shape} cannot be encoded")
    path.write_bytes(data.tobytes())
