"""Folders of Open3D's own examples and of its reconstruction system.

color/ (or rgb/, image/)    %05d.jpg or %05d.png
depth/                      %05d.png, 16 bit, millimetres unless told
*.json                      PinholeCameraIntrinsic, or PinholeCameraTrajectory of one camera
trajectory.log              camera to world, by number: the optimised path; may be missing
odometry.log                the same from odometry alone; taken where there is no trajectory.log
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from pipeline.captures.rgbd_files import RgbdFiles
from pipeline.captures.rgbd_folder import RgbdFolder, open_rgbd_folder, require_folder
from pipeline.errors import InputError

COLOR_FOLDERS = ("color", "rgb", "image")
COLOR_SUFFIXES = ("jpg", "png")
TRAJECTORIES = ("trajectory.log", "odometry.log")


class Open3dFiles(BaseModel):
    """[capture.open3d]: what is not found by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibration: str | None = Field(
        default=None, description="Open3D's camera as JSON; without it, the only .json file of the folder."
    )
    trajectory: str | None = Field(
        default=None,
        description="Poses as a .log file; without it, trajectory.log, or odometry.log, or no poses.",
    )
    depth_unit_m: float = Field(default=0.001, gt=0, description="Metres per raw depth step.")


def open_open3d(path: Path, options: Open3dFiles) -> RgbdFolder:
    """Open a folder; frames carry the numbers of their depth images, poses those of the log.

    Raises:
        InputError: calibration-missing where no or several .json files are there, or as `open_rgbd_folder`.
    """
    require_folder(path)
    found = [name for name in TRAJECTORIES if (path / name).is_file()]
    files = RgbdFiles(
        color=_color_pattern(path),
        depth="depth/{frame}.png",
        pose=options.trajectory or next(iter(found), None),
        calibration=options.calibration or _only_json(path),
        depth_unit_m=options.depth_unit_m,
    )
    return open_rgbd_folder(path, files)


def _color_pattern(path: Path) -> str | None:
    for folder in COLOR_FOLDERS:
        for suffix in COLOR_SUFFIXES:
            if any((path / folder).glob(f"[0-9]*.{suffix}")):
                return f"{folder}/{{frame}}.{suffix}"
    return None


def _only_json(path: Path) -> str:
    names = sorted(found.name for found in path.glob("*.json"))
    if len(names) != 1:
        raise InputError(
            "calibration-missing",
            f"{path}: the camera must be the only .json file of the folder, there are {len(names)}. Restore "
            "it, or name it as `calibration` in [capture.open3d].",
        )
    return names[0]
