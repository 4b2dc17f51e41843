"""The 7-Scenes layout: frame-%06d.{color.jpg|color.png|depth.png|pose.txt} and camera-intrinsics.txt.

Shotton et al., "Scene Coordinate Regression Forests for Camera Relocalization in RGB-D Images", CVPR 2013.
"""

from pathlib import Path

from pipeline.captures.rgbd_files import RgbdFiles
from pipeline.captures.rgbd_folder import RgbdFolder, open_rgbd_folder

NO_MEASUREMENT_RAW = 65535  # besides 0


def open_sevenscenes(path: Path) -> RgbdFolder:
    """Open one sequence folder; colour is PNG as released, or JPEG where a folder holds any.

    Raises:
        InputError: as `open_rgbd_folder`.
    """
    suffix = "jpg" if any(path.glob("frame-*.color.jpg")) else "png"
    files = RgbdFiles(
        color=f"frame-{{frame}}.color.{suffix}",
        depth="frame-{frame}.depth.png",
        pose="frame-{frame}.pose.txt",
        calibration="camera-intrinsics.txt",
        invalid_raw=(NO_MEASUREMENT_RAW,),
    )
    return open_rgbd_folder(path, files)
