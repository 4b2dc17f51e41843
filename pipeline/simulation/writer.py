"""Writes a simulated capture in the raw layout of a real one, byte for byte the same from the same frames."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.rgbd_folder import RgbdFiles

JPEG_QUALITY = 95
PNG_COMPRESSION = 3

SIMULATED_FILES = RgbdFiles(
    color="color/{frame}.jpg",
    depth="depth/{frame}.png",
    mask="mask/{frame}.png",
    pose="pose/{frame}.txt",
    calibration="calibration.json",
    depth_unit_m=0.001,
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SimulatedFrame:
    """One frame as the virtual camera recorded it.

    Attributes:
        image: (H W 3) RGB.
        depth_raw_mm: (H W); 0 is no measurement.
        mask: (H W) True on the person.
        world_from_cam: (4 4) rigid, metres.
    """

    frame: int
    image: NDArray[np.uint8]
    depth_raw_mm: NDArray[np.uint16]
    mask: NDArray[np.bool_]
    world_from_cam: NDArray[np.float64]


def write_rgbd_capture(folder: Path, frames: Iterable[SimulatedFrame], K: NDArray[np.float64]) -> None:
    """Write a capture that `rgbd-folder` reads back with SIMULATED_FILES, one frame at a time.

    Args:
        folder: made where it is missing; old images in it would be read as this capture's.

    Raises:
        FileExistsError: if a capture stands there already.
        ValueError: if there is no frame, or if frames differ in size.
    """
    for name in ("color", "depth", "mask", "pose"):
        (folder / name).mkdir(parents=True)
    size = None
    for frame in frames:
        shape = frame.depth_raw_mm.shape
        if size not in (None, shape):
            raise ValueError(f"{folder}: all frames must be {size} px, frame {frame.frame} is {shape} px")
        size = shape
        _write_frame(folder, frame)
    if size is None:
        raise ValueError(f"{folder}: a capture must have a frame, has none")
    calibration = {"width": size[1], "height": size[0], "K": K.tolist()}
    (folder / "calibration.json").write_text(json.dumps(calibration, indent=1) + "\n", encoding="utf-8")


def _write_frame(folder: Path, frame: SimulatedFrame) -> None:
    import cv2

    name = f"{frame.frame:06d}"
    bgr = np.ascontiguousarray(frame.image[..., ::-1])
    mask = frame.mask.astype(np.uint8) * 255
    _write_image(folder / "color" / f"{name}.jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    _write_image(
        folder / "depth" / f"{name}.png", frame.depth_raw_mm, [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION]
    )
    _write_image(folder / "mask" / f"{name}.png", mask, [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION])
    # repr gives the shortest text that reads back as the same float64.
    rows = [" ".join(repr(float(value)) for value in row) for row in frame.world_from_cam]
    (folder / "pose" / f"{name}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _write_image(path: Path, image: NDArray[Any], settings: list[int]) -> None:
    import cv2

    done, data = cv2.imencode(path.suffix, image, settings)
    if not done:
        raise ValueError(f"{path}: the image {image.dtype} {image.shape} cannot be encoded")
    path.write_bytes(data.tobytes())
