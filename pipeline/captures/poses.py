"""Pose files of raw captures: 4x4 matrices as text and TUM trajectories, both world_from_cam."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import RIGID_TOLERANCE, rigid_error
from pipeline.errors import InputError

Float64 = NDArray[np.float64]

# Trajectories are written with four decimals, which moves the norm of a unit quaternion by 1e-4 at most.
QUATERNION_TOLERANCE = 1e-3


def read_numbers(path: Path) -> list[list[float]]:
    """Rows of a text file of numbers parted by blanks; empty lines and lines after # do not count.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if a row holds anything but numbers; the message names the line.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        tokens = line.partition("#")[0].split()
        try:
            row = [float(token) for token in tokens]
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if row:
            rows.append(row)
    return rows


def read_pose(path: Path) -> Float64:
    """Read one 4x4 world_from_cam, row by row, translation in metres.

    Raises:
        InputError: pose-missing, pose-malformed, or pose-not-rigid (lost frames are often NaN or inf).
    """
    try:
        rows = read_numbers(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError) as error:
        raise InputError(
            "pose-malformed", f"{path}: the pose must be 4 rows of 4 numbers, but {error}. Export it again."
        ) from None
    if [len(row) for row in rows] != [4, 4, 4, 4]:
        raise InputError(
            "pose-malformed",
            f"{path}: the pose must be 4 rows of 4 numbers, has rows of {[len(row) for row in rows]}. "
            "Export it as a 4x4 matrix.",
        )
    world_from_cam = np.array(rows, dtype=np.float64)
    check_rigid(world_from_cam, where=str(path))
    return world_from_cam


def check_rigid(world_from_cam: Float64, *, where: str) -> None:
    """Raise InputError pose-not-rigid unless the matrix is a rotation and a translation in metres.

    Args:
        where: file, and row or time where it holds many, that the message starts with.
    """
    error = rigid_error(world_from_cam)
    if error > RIGID_TOLERANCE:
        raise InputError(
            "pose-not-rigid",
            f"{where}: world_from_cam must be rigid within {RIGID_TOLERANCE:g}, is off by {error:.3g}. "
            "Track this frame again or leave it out.",
        )


def read_tum_trajectory(path: Path) -> tuple[Float64, Float64]:
    """Read a trajectory of lines `timestamp tx ty tz qx qy qz qw`.

    Returns:
        Times (N) in seconds, ascending, and world_from_cam (N 4 4). A row whose quaternion is not of unit
        length gives a matrix of NaN, which `check_rigid` refuses when its frame is read.

    Raises:
        InputError: pose-missing or pose-malformed, for the file as a whole.
    """
    try:
        rows = read_numbers(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError) as error:
        raise InputError(
            "pose-malformed",
            f"{path}: each row must be 8 numbers, but {error}. Export it as a TUM trajectory.",
        ) from None
    for number, row in enumerate(rows, start=1):
        if len(row) != 8 or not np.isfinite(row[0]):
            raise InputError(
                "pose-malformed",
                f"{path}: each row must be `timestamp tx ty tz qx qy qz qw`, row {number} is {row}. "
                "Export it as a TUM trajectory.",
            )
    table = np.array(sorted(rows), dtype=np.float64).reshape(-1, 8)
    return table[:, 0], _transforms(table[:, 1:4], table[:, 4:])


def _transforms(t_world_cam: Float64, quaternion_xyzw: Float64) -> Float64:
    norm = np.linalg.norm(quaternion_xyzw, axis=1, keepdims=True)
    unit = np.abs(norm - 1) <= QUATERNION_TOLERANCE
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y, z, w = np.where(unit, quaternion_xyzw / norm, np.nan).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    transforms = np.tile(np.eye(4), (len(norm), 1, 1))
    transforms[:, :3, :3] = np.moveaxis(np.array(rows), -1, 0)
    transforms[:, :3, 3] = t_world_cam
    return transforms


def _missing(path: Path) -> InputError:
    return InputError("pose-missing", f"{path}: the pose file must exist, is missing. Restore or track it.")
