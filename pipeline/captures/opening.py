"""Opens a raw capture by the name of its format."""

from pathlib import Path

from pipeline.captures.capture import Capture
from pipeline.captures.kinect2 import open_kinect2
from pipeline.captures.rgbd_folder import RgbdFiles, open_rgbd_folder
from pipeline.captures.sevenscenes import open_sevenscenes
from pipeline.captures.tang2019 import Tang2019
from pipeline.errors import ManifestError

FORMATS = ("7scenes", "kinect2", "rgbd-folder", "tang2019")


def open_capture(path: Path, format: str, files: RgbdFiles | None) -> Capture:
    """Open a capture for reading; lists its frames and reads its calibration, no image.

    Args:
        files: the layout of an `rgbd-folder`; None for every other format, which has its own.

    Raises:
        InputError: if the capture as a whole is missing or malformed.
        ManifestError: for an unknown format, or a layout where none belongs.
    """
    if format not in FORMATS:
        raise ManifestError(f"{path}: format must be one of {', '.join(FORMATS)}, is {format!r}. Correct it.")
    if (format == "rgbd-folder") != (files is not None):
        verb = "needs" if files is None else "takes no"
        raise ManifestError(f"{path}: format {format!r} {verb} `files` table. Correct the manifest.")
    if files is not None:
        return open_rgbd_folder(path, files)
    if format == "kinect2":
        return open_kinect2(path)
    return Tang2019(path) if format == "tang2019" else open_sevenscenes(path)
