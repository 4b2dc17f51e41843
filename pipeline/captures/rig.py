"""Several synchronised cameras of one capture, each a recording of its own, read as one capture.

Frame n is camera n % N at moment n // N. A moment is a frame's number in the cameras' own recordings, which must
therefore agree; every file is read when its frame is.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import RIGID_TOLERANCE, invert_rigid, nearest_rigid
from pipeline.captures.capture import Capture, Frame
from pipeline.captures.poses import read_pose
from pipeline.captures.rgbd_folder import require_folder
from pipeline.captures.rig_files import RigCamera, RigTable
from pipeline.errors import InputError

Float64 = NDArray[np.float64]


class Rig:
    """Open recordings of N cameras as one `Capture`; holds a pose for each moment of a rig that moved.

    Args:
        root: the folder that all of them lie in.
        cameras: their recordings, all of the same frame numbers.
        rig_from_cam: (N 4 4) rigid, metres.
    """

    def __init__(self, root: Path, table: RigTable, cameras: list[Capture], rig_from_cam: Float64) -> None:
        self._root, self._table = root, table
        self._cameras, self._rig_from_cam = cameras, rig_from_cam
        self._world_from_rig: dict[int, Float64] = {}

    @property
    def frames(self) -> list[int]:
        count = len(self._cameras)
        return [number * count + camera for number in self._cameras[0].frames for camera in range(count)]

    def files(self, frames: list[int]) -> list[Path]:
        paths = [path for camera in self._table.cameras if (path := _transform_file(self._root, camera))]
        for at, camera in enumerate(self._cameras):
            # The first camera's pose places the others.
            led = at == 0 and self._table.poses == "first"
            moments = {
                number // len(self._cameras) for number in frames if led or self._camera_of(number) == at
            }
            paths += camera.files(sorted(moments))
        return paths

    def read(self, frame: int) -> Frame:
        at, moment = self._camera_of(frame), frame // len(self._cameras)
        read = self._cameras[at].read(moment)
        if self._table.poses == "first":
            world_from_cam = self._moved(moment, read if at == 0 else None) @ self._rig_from_cam[at]
        else:
            self._refuse_poses(at, read)
            world_from_cam = self._rig_from_cam[at].copy()
        return replace(read, frame=frame, world_from_cam=world_from_cam)

    def _camera_of(self, frame: int) -> int:
        return frame % len(self._cameras)

    def _moved(self, moment: int, first: Frame | None) -> Float64:
        """World from rig at a moment.

        Args:
            first: the first camera's frame, where it was read anyway.
        """
        if moment not in self._world_from_rig:
            pose = (first or self._cameras[0].read(moment)).world_from_cam
            if pose is None:
                raise InputError(
                    "pose-missing",
                    f"{self._place(0)}: frame {moment} must bring the pose of the rig, brings none. Give poses to "
                    'this recording, or set rig.poses = "none" where the cameras stood still.',
                )
            self._world_from_rig[moment] = nearest_rigid(pose) @ invert_rigid(self._rig_from_cam[0])
        return self._world_from_rig[moment]

    def _refuse_poses(self, at: int, read: Frame) -> None:
        if read.world_from_cam is not None:
            raise InputError(
                "rig-poses",
                f"{self._place(at)}: frame {read.frame} of a camera that stood still must bring no pose, brings one "
                'beside its rig_from_cam. Set rig.poses = "first" where the rig moved, or take the poses away.',
            )

    def _place(self, at: int) -> Path:
        return self._root / self._table.cameras[at].path


def open_rig(root: Path, table: RigTable, opened: Callable[[Path], Capture]) -> Rig:
    """Open the recordings of all cameras; reads their transforms, and no image.

    Args:
        opened: opens one of them.

    Raises:
        InputError: capture-missing, rig-frames where the cameras' frames differ, rig-malformed where a transform's
            file is no rigid 4x4 of a place of its own, or what opening a recording raises.
    """
    require_folder(root)
    cameras = [opened(root / camera.path) for camera in table.cameras]
    for camera, capture in zip(table.cameras, cameras, strict=True):
        _check_frames(root / camera.path, capture, root / table.cameras[0].path, cameras[0])
    transforms = [_read_transform(root, camera) for camera in table.cameras]
    _check_distinct(root, table, transforms)
    return Rig(root, table, cameras, np.stack(transforms))


def _check_frames(place: Path, capture: Capture, first_place: Path, first: Capture) -> None:
    odd = set(capture.frames) ^ set(first.frames)
    if odd:
        raise InputError(
            "rig-frames",
            f"{place}: every camera of a rig must hold the frames of {first_place.name}, which has "
            f"{len(first.frames)}; it has {len(capture.frames)}, and {min(odd)} is the first that one of them lacks. "
            "Remove what has no partner.",
        )


def _transform_file(root: Path, camera: RigCamera) -> Path | None:
    return root / camera.rig_from_cam if isinstance(camera.rig_from_cam, str) else None


def _read_transform(root: Path, camera: RigCamera) -> Float64:
    path = _transform_file(root, camera)
    try:
        read = np.array(camera.rig_from_cam, dtype=np.float64) if path is None else read_pose(path)
    except InputError as error:
        raise InputError(
            "rig-malformed",
            f"{path}: rig_from_cam of camera {camera.path} must be 4 rows of 4 numbers, rigid within "
            f"{RIGID_TOLERANCE:g}, is not ({error.reason}). Calibrate the cameras again.",
        ) from error
    return nearest_rigid(read)


def _check_distinct(root: Path, table: RigTable, transforms: list[Float64]) -> None:
    for at, transform in enumerate(transforms):
        for before in range(at):
            if np.allclose(transform, transforms[before]):
                raise InputError(
                    "rig-malformed",
                    f"{root}: every camera of a rig must have a place of its own, {table.cameras[at].path} has that "
                    f"of {table.cameras[before].path}. Give each its own rig_from_cam.",
                )
