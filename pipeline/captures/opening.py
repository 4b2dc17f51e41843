"""Opens a raw capture by the name of its format."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipeline.captures.azure_kinect import open_azure_kinect
from pipeline.captures.capture import Capture
from pipeline.captures.deepdeform import open_deepdeform
from pipeline.captures.densepose import open_densepose
from pipeline.captures.infinitam import open_infinitam
from pipeline.captures.keypoints import open_keypoints
from pipeline.captures.kinect2 import open_kinect2
from pipeline.captures.kinect2_files import Kinect2Files
from pipeline.captures.open3d_folder import Open3dFiles, open_open3d
from pipeline.captures.pcd import open_pcd
from pipeline.captures.rgbd_folder import open_rgbd_folder
from pipeline.captures.rig import open_rig
from pipeline.captures.rig_files import RigOptions
from pipeline.captures.rosbag import open_rosbag
from pipeline.captures.sevenscenes import open_sevenscenes
from pipeline.captures.tang2019 import Tang2019
from pipeline.captures.tum import TumFiles, open_tum
from pipeline.errors import ManifestError

PLAIN: dict[str, Callable[[Path], Capture]] = {
    "7scenes": open_sevenscenes,
    "azure-kinect": open_azure_kinect,
    "deepdeform": open_deepdeform,
    "infinitam": open_infinitam,
    "pcd": open_pcd,
    "tang2019": Tang2019,
}
# The manifest may say more; without it, as the defaults of its table say.
TOLD: dict[str, tuple[Callable[[Path, Any], Capture], type[BaseModel] | None]] = {
    "densepose-coco": (open_densepose, None),
    "keypoints": (open_keypoints, None),
    "kinect2": (open_kinect2, Kinect2Files),
    "open3d": (open_open3d, Open3dFiles),
    "rgbd-folder": (open_rgbd_folder, None),
    "rosbag": (open_rosbag, None),
    "tum": (open_tum, TumFiles),
}
FORMATS = tuple(sorted({*PLAIN, *TOLD}))


def open_capture(path: Path, format: str, options: BaseModel | None) -> Capture:
    """Open a capture for reading; lists its frames and reads its calibration, no image.

    Args:
        options: how the format is read, as the manifest says; None where it says nothing.

    Raises:
        InputError: if the capture as a whole is missing or malformed.
        ManifestError: for an unknown format, or options where none belong, or none where some must be.
    """
    if isinstance(options, RigOptions):
        each = options.each
        return open_rig(path, options.rig, lambda camera: open_capture(camera, format, each))
    if format in PLAIN and options is None:
        return PLAIN[format](path)
    if format in TOLD:
        opened, defaults = TOLD[format]
        told = options or (defaults() if defaults else None)
        if told is not None:
            return opened(path, told)
    if format not in FORMATS:
        raise ManifestError(f"{path}: format must be one of {', '.join(FORMATS)}, is {format!r}. Correct it.")
    verb = "needs" if options is None else "takes no"
    raise ManifestError(
        f"{path}: format {format!r} {verb} table that says how it is read. Correct the manifest."
    )
