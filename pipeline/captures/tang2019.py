"""The released test maps of Tang et al., ICCV 2019: NNNN_img_resize.jpg and NNNN_depth.npy in one folder.

The depth is ground truth already: fused and rendered by its authors, resampled with interpolation against a
background of 0. Both files show the same square crop, the image at 256 px and the depth at 224 px. Nothing is
published of the camera: the intrinsics are assumed (a person of 1.72 m at the pitch of the raw camera).
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.capture import Frame
from pipeline.captures.images import read_color
from pipeline.errors import InputError

SIZE_PX = 256
ASSUMED_FOCAL_PX = 277.0
BACKGROUND_M = 1e-3  # stray values below it stand in the background
DEPTH_NAME = re.compile(r"(\d{4})_depth\.npy")


class Tang2019:
    """A folder of the release, open for reading.

    Args:
        path: the folder.

    Raises:
        InputError: capture-missing or no-frames.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise InputError(
                "capture-missing",
                f"{path}: must be a folder of NNNN_depth.npy and NNNN_img_resize.jpg, is not there. "
                "Set --data-root, or mend capture.path.",
            )
        self._path = path
        matches = (DEPTH_NAME.fullmatch(file.name) for file in path.iterdir())
        self._frames = sorted(int(match[1]) for match in matches if match)
        if not self._frames:
            raise InputError("no-frames", f"{path}: must hold NNNN_depth.npy files, holds none.")

    @property
    def frames(self) -> list[int]:
        return list(self._frames)

    def files(self, frames: list[int]) -> list[Path]:
        return [path for frame in frames for path in (self._depth_path(frame), self._image_path(frame))]

    def read(self, frame: int) -> Frame:
        """Read one pair; the depth is brought to the image's size by the nearest pixel, as its users do."""
        image = read_color(self._image_path(frame))
        if image.shape[:2] != (SIZE_PX, SIZE_PX):
            raise InputError(
                "color-size",
                f"{self._image_path(frame)}: must be {SIZE_PX}x{SIZE_PX} px, is {image.shape[1]}x{image.shape[0]}. "
                "Leave the frame out.",
            )
        centre = (SIZE_PX - 1) / 2
        return Frame(
            frame=frame,
            timestamp_s=-1.0,
            image=image,
            depth_m=nearest_resized(_read_depth(self._depth_path(frame)), SIZE_PX),
            K=np.array([[ASSUMED_FOCAL_PX, 0, centre], [0, ASSUMED_FOCAL_PX, centre], [0, 0, 1]]),
            world_from_cam=None,
            mask=None,
        )

    def _depth_path(self, frame: int) -> Path:
        return self._path / f"{frame:04d}_depth.npy"

    def _image_path(self, frame: int) -> Path:
        return self._path / f"{frame:04d}_img_resize.jpg"


def nearest_resized(depth_m: NDArray[np.float32], size_px: int) -> NDArray[np.float32]:
    """A square map at another size; no two depths are ever mixed."""
    index = ((np.arange(size_px) + 0.5) * depth_m.shape[0] / size_px).astype(np.int64)
    return np.ascontiguousarray(depth_m[index[:, None], index[None]])


def shifted(depth_m: NDArray[np.float32], shift_px: int) -> NDArray[np.float32]:
    """The map moved right by whole pixels (left if negative); what comes in from outside is invalid (0)."""
    moved = np.zeros_like(depth_m)
    width = depth_m.shape[1]
    if abs(shift_px) < width:
        source = slice(max(0, -shift_px), width - max(0, shift_px))
        target = slice(max(0, shift_px), width - max(0, -shift_px))
        moved[:, target] = depth_m[:, source]
    return moved


def _read_depth(path: Path) -> NDArray[np.float32]:
    try:
        depth_m = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError("depth-missing", f"{path}: the depth must exist, is missing. Restore it.") from None
    except (ValueError, EOFError) as error:
        raise InputError(
            "unreadable-depth", f"{path}: must be a whole npy file of numbers, is not ({error}). Restore it."
        ) from error
    if depth_m.dtype != np.float32 or depth_m.ndim != 2:
        raise InputError(
            "depth-type",
            f"{path}: must be float32 metres (H W), is {depth_m.dtype} {depth_m.shape}. Leave it out.",
        )
    if depth_m.shape[0] != depth_m.shape[1]:
        raise InputError("depth-size", f"{path}: must be square, is {depth_m.shape}. Leave the frame out.")
    valid = np.isfinite(depth_m) & (depth_m > BACKGROUND_M)
    if not valid.any():
        raise InputError("empty-depth", f"{path}: must hold a depth, holds none. Leave the frame out.")
    return np.where(valid, depth_m, np.float32(0))
