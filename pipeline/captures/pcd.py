"""Organised point clouds in PCD files (Point Cloud Library): depth image, colour and camera of each.

An organised cloud keeps the sensor's grid, so that its z is the depth image; the pinhole camera that made it is
recovered from the points themselves. Points are in the camera's own frame, as PCL has it: VIEWPOINT (t, then
the quaternion w x y z) is world_from_cam, and the one that changes nothing, which PCL writes where nobody knows
better, means that there is no pose.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import intrinsics_problem
from pipeline.captures.capture import Frame
from pipeline.captures.pcd_format import read_cloud, unpacked_rgb
from pipeline.captures.poses import check_rigid, transforms_from_quaternions
from pipeline.errors import InputError

Float64 = NDArray[np.float64]

LARGEST_FRAME = 2**31 - 1  # what the field `frame` holds; larger digits are times, not numbers
# Every point must project into its own pixel, or the grid is not the camera's image.
MAX_RESIDUAL_PX = 0.5
# Of x / z: what a handful of float32 operations may leave between a point and its pixel's ray.
ROUNDING = 16 * 2.0**-24


@dataclass(frozen=True, kw_only=True, slots=True)
class PcdClouds:
    """An open file, or folder, of organised clouds; its `Capture`. Each frame brings its own intrinsics."""

    root: Path
    by_frame: dict[int, Path]

    @property
    def frames(self) -> list[int]:
        return list(self.by_frame)

    def files(self, frames: list[int]) -> list[Path]:
        return [self._path(frame) for frame in frames]

    def read(self, frame: int) -> Frame:
        path = self._path(frame)
        head, columns = read_cloud(path)
        shape_hw = head.height, head.width
        with np.errstate(over="ignore", invalid="ignore"):  # damaged numbers: no depth is made of them
            points = np.stack([columns[axis].reshape(shape_hw).astype(np.float64) for axis in "xyz"], axis=-1)
            z_m = points[..., 2].astype(np.float32)
        valid = np.isfinite(points).all(axis=-1) & np.isfinite(z_m) & (z_m != 0)
        if not valid.any():
            raise InputError(
                "empty-depth",
                f"{path}: depth must have a valid pixel, has none of {valid.size}. Leave the frame out.",
            )
        colour = columns.get("rgb", columns.get("rgba"))
        return Frame(
            frame=frame,
            timestamp_s=-1.0,
            image=None if colour is None else unpacked_rgb(colour).reshape(*shape_hw, 3),
            depth_m=np.where(valid, z_m, np.float32(0)),
            K=_intrinsics(path, points, valid),
            world_from_cam=_viewpoint_pose(path, head.viewpoint),
            mask=None,
        )

    def _path(self, frame: int) -> Path:
        if frame not in self.by_frame:
            raise InputError(
                "depth-missing",
                f"{self.root}: frame {frame} must be in the capture, is not; it holds {len(self.by_frame)} "
                f"frames from {min(self.by_frame)} to {max(self.by_frame)}. Correct the selection of frames.",
            )
        return self.by_frame[frame]


def open_pcd(path: Path) -> PcdClouds:
    """Open one `.pcd` file, or a folder of them; lists names and reads nothing.

    A frame's number is the last run of digits in its name where every name has its own, else its rank by name.

    Raises:
        InputError: capture-missing or no-frames.
    """
    if path.is_file():
        return PcdClouds(root=path, by_frame={0: path})
    if not path.is_dir():
        raise InputError(
            "capture-missing",
            f"{path}: the capture must be a .pcd file or a folder of them, is missing. Correct the manifest's path.",
        )
    paths = sorted(entry for entry in path.iterdir() if entry.suffix.lower() == ".pcd" and entry.is_file())
    if not paths:
        raise InputError(
            "no-frames", f"{path}: the capture must hold .pcd files, holds none. Correct the path."
        )
    digits = [re.findall(r"[0-9]+", entry.stem)[-1:] for entry in paths]
    numbers = [int(found[0]) for found in digits if found]
    own = len(set(numbers)) == len(paths) and max(numbers) <= LARGEST_FRAME
    return PcdClouds(
        root=path, by_frame=dict(sorted(zip(numbers if own else range(len(paths)), paths, strict=True)))
    )


def _viewpoint_pose(path: Path, viewpoint: tuple[float, ...]) -> Float64 | None:
    if viewpoint == (0, 0, 0, 1, 0, 0, 0):
        return None
    t, (w, x, y, z) = np.array([viewpoint[:3]]), viewpoint[3:]
    with np.errstate(over="ignore", invalid="ignore"):  # no rotation comes of it, and is refused below
        pose: Float64 = transforms_from_quaternions(t, np.array([[x, y, z, w]]))[0]
    check_rigid(pose, where=f"{path}, VIEWPOINT")
    return pose


def _intrinsics(path: Path, points: Float64, valid: NDArray[np.bool_]) -> Float64:
    """K of the pinhole camera whose pixel (u, v) holds each point: least squares of u = fx x / z + cx."""
    K = np.eye(3)
    worst_px = 0.0
    height, width = valid.shape
    for axis, pixels in enumerate((np.arange(width)[None, :], np.arange(height)[:, None])):
        px = np.broadcast_to(pixels, valid.shape)[valid].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            slopes = points[..., axis][valid] / points[..., 2][valid]
            focal_px, centre_px, residual_px = _line(slopes, px)
        K[axis, axis], K[axis, 2] = focal_px, centre_px
        worst_px = max(worst_px, residual_px)
    behind = int((points[..., 2][valid] < 0).sum())
    if behind or not worst_px <= MAX_RESIDUAL_PX:
        found = f"{behind} lie behind it" if behind else f"the worst is off by {worst_px:.3g} px"
        raise InputError(
            "cloud-not-pinhole",
            f"{path}: every point must lie on its own pixel's ray, within {MAX_RESIDUAL_PX} px of one pinhole "
            f"camera, but {found}. Save the cloud in the camera's own frame, z forward.",
        )
    problem = intrinsics_problem(K, height, width)
    if problem is not None:
        raise InputError(
            "intrinsics-mismatch",
            f"{path}: the points must be seen by a camera of this image's size, but {problem}. "
            "Save the cloud as the camera gives it, neither cut nor mirrored.",
        )
    return K


def _line(slopes: Float64, px: Float64) -> tuple[float, float, float]:
    """Fit px = focal slopes + centre: focal length, centre, and the largest residual, all in px.

    Halves of a pixel are taken where the points, rounded as they are, cannot tell them from the fit.
    """
    mean, mean_px = slopes.mean(), px.mean()
    spread = float(((slopes - mean) ** 2).sum())
    if not 0 < spread < np.inf or np.ptp(px) == 0:
        return np.nan, np.nan, np.inf
    focal_px = float(((slopes - mean) * (px - mean_px)).sum() / spread)
    centre_px = float(mean_px - focal_px * mean)
    round_focal_px, round_centre_px = np.round(2 * focal_px) / 2, np.round(2 * centre_px) / 2
    rounding_px = ROUNDING * np.abs(round_focal_px * slopes)
    if (np.abs(round_focal_px * slopes + round_centre_px - px) <= rounding_px).all():
        focal_px, centre_px = float(round_focal_px), float(round_centre_px)
    return focal_px, centre_px, float(np.abs(focal_px * slopes + centre_px - px).max())
