"""Pose files of raw captures: 4x4 matrices as text, TUM and Open3D trajectories, all world_from_cam."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import RIGID_TOLERANCE, rigid_error
from pipeline.captures.pairing import nearest
from pipeline.errors import InputError

Float64 = NDArray[np.float64]

# Trajectories are written with four decimals, which moves the norm of a unit quaternion by 1e-4 at most.
QUATERNION_TOLERANCE = 1e-3

SHOWN_CHARACTERS = 60  # of a line that is not what it should be


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
        except ValueError:
            raise ValueError(f"line {number} is {line[:SHOWN_CHARACTERS]!r}") from None
        if row:
            rows.append(row)
    return rows


def read_pose(path: Path) -> Float64:
    """Read one 4x4 world_from_cam, row by row, translation in metres.

    Raises:
        InputError: pose-missing, pose-malformed, or pose-not-rigid (lost frames are often NaN or inf).
    """
    rows = _rows(path, "4 rows of 4 numbers")
    if [len(row) for row in rows] != [4, 4, 4, 4]:
        raise InputError(
            "pose-malformed",
            f"{path}: the pose must be 4 rows of 4 numbers, has {len(rows)} rows of "
            f"{sorted({len(row) for row in rows})[:4]}. "
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
    rows = _rows(path, "rows of 8 numbers")
    for number, row in enumerate(rows, start=1):
        if len(row) != 8 or not np.isfinite(row[0]):
            raise InputError(
                "pose-malformed",
                f"{path}: each row must be `timestamp tx ty tz qx qy qz qw`, row {number} has "
                f"{len(row)} and starts with {row[:1]}. "
                "Export it as a TUM trajectory.",
            )
    table = np.array(sorted(rows), dtype=np.float64).reshape(-1, 8)
    return table[:, 0], transforms_from_quaternions(table[:, 1:4], table[:, 4:])


def poses_at(
    times_s: Float64, transforms: Float64, wanted_s: Float64, *, max_skew_s: float
) -> list[Float64 | None]:
    """The poses at other times than the trajectory's own.

    Between two poses that both lie within `max_skew_s` the camera moves straight and turns evenly, which misses
    a moving hand by a * dt^2 / 8: 0.06 mm at 5 m/s^2 between samples 10 ms apart, where the nearer sample alone
    may be 5 ms, so at 0.4 m/s 2 mm, away. Elsewhere it is the nearest within `max_skew_s`.

    Args:
        times_s: (N) ascending.
        transforms: (N 4 4) world_from_cam; lost poses hold NaN and are not interpolated.
        wanted_s: (M).

    Returns:
        M of world_from_cam (4 4); None where no pose is near enough.
    """
    found: list[Float64 | None] = []
    for time_s in wanted_s:
        best = nearest(times_s, time_s, max_skew_s=max_skew_s)
        if best is None:
            found.append(None)
            continue
        after = int(np.searchsorted(times_s, time_s, side="right"))
        pair = slice(after - 1, after + 1)
        near = 0 < after < len(times_s) and np.abs(times_s[pair] - time_s).max() <= max_skew_s
        if not near or times_s[best] == time_s or not np.isfinite(transforms[pair]).all():
            found.append(transforms[best].copy())
            continue
        share = (time_s - times_s[after - 1]) / (times_s[after] - times_s[after - 1])
        found.append(_between(*transforms[pair], share=float(share)))
    return found


def _between(first: Float64, second: Float64, *, share: float) -> Float64:
    from scipy.spatial.transform import Rotation

    pose = np.eye(4)
    turn = Rotation.from_matrix(first[:3, :3].T @ second[:3, :3]).as_rotvec()
    pose[:3, :3] = first[:3, :3] @ Rotation.from_rotvec(share * turn).as_matrix()
    pose[:3, 3] = (1 - share) * first[:3, 3] + share * second[:3, 3]
    return pose


def read_log_trajectory(path: Path) -> dict[int, Float64]:
    """Read a trajectory of Open3D's .log form: of each pose a line `i i n`, then 4 rows of 4 numbers.

    Returns:
        Frame number i to world_from_cam (4 4), metres, as written: `check_rigid` is for when a frame is read.

    Raises:
        InputError: pose-missing or pose-malformed, for the file as a whole; the alignment of two fragments,
            `i j n`, is no trajectory.
    """
    rows = _rows(path, "rows of 3, 4, 4, 4 and 4 numbers for each pose")
    poses: dict[int, Float64] = {}
    for start in range(0, len(rows), 5):
        head, *matrix = rows[start : start + 5]
        lengths = [len(head), *map(len, matrix)]
        if lengths != [3, 4, 4, 4, 4] or not head[0].is_integer() or head[0] != head[1] or head[0] < 0:
            raise InputError(
                "pose-malformed",
                f"{path}: each pose must be `i i n` and 4 rows of 4 numbers, but pose {start // 5 + 1} starts "
                f"with {head[:3]} and has rows of {lengths}. Export it as an Open3D trajectory.",
            )
        if int(head[0]) in poses:
            raise InputError(
                "pose-malformed",
                f"{path}: each frame must have one pose, but {int(head[0])} has two. Remove one of them.",
            )
        poses[int(head[0])] = np.array(matrix, dtype=np.float64)
    return poses


def _rows(path: Path, wanted: str) -> list[list[float]]:
    try:
        return read_numbers(path)
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError) as error:
        raise InputError(
            "pose-malformed", f"{path}: it must hold {wanted}, but {error}. Export it again."
        ) from None


def transforms_from_quaternions(t_world_cam: Float64, quaternion_xyzw: Float64) -> Float64:
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
