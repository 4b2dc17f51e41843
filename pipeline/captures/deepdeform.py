"""Sequences of DeepDeform, and its dense flow between two frames.

Bozic et al., "DeepDeform: Learning Non-rigid RGB-D Reconstruction with Semi-supervised Data", CVPR 2020.

    color/%06d.jpg, depth/%06d.png      640x480 px; depth in millimetres, registered to colour
    intrinsics.txt                      4x4 with K
    mask/                               of a few frames: %06d.png, or %06d_OBJECT.png for each object
    optical_flow/, scene_flow/          OBJECT_%06d_%06d.oflow and .sflow: `read_flow`

There are no camera poses: the camera moves, and so does what it sees.
"""

import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.images import read_bytes
from pipeline.captures.rgbd_files import RgbdFiles
from pipeline.captures.rgbd_folder import RgbdFolder, open_rgbd_folder
from pipeline.errors import InputError

MASK_FOLDER = "mask"
MAX_SIZE_PX, MAX_CHANNELS = 65535, 4
_HEAD = struct.Struct("<3I")
_MASK_NAMES = (re.compile(r"(\d+)(?:_.+)?\.png"), re.compile(r".+_(\d+)\.png"))


def open_deepdeform(path: Path) -> RgbdFolder:
    """Open one sequence, such as train/seq258; a frame's mask is the union of its objects, None without one.

    Raises:
        InputError: as `open_rgbd_folder`.
    """
    files = RgbdFiles(color="color/{frame}.jpg", depth="depth/{frame}.png", calibration="intrinsics.txt")
    folder = open_rgbd_folder(path, files)
    masks = _masks(path / MASK_FOLDER)
    by_frame = {frame: replace(entry, masks=masks.get(frame, ())) for frame, entry in folder.by_frame.items()}
    return replace(folder, by_frame=by_frame)


def read_flow(path: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read the motion of each pixel of one frame to another.

    Returns:
        flow (H W C): of an .oflow (u, v) in px, of an .sflow (x, y, z) in metres in the camera frame, the later
        frame's less the earlier's; 0 where there is none. mask (H W), True where there is flow.

    Raises:
        InputError: flow-missing, or unreadable-flow.
    """
    data = read_bytes(path, "flow")
    if len(data) < _HEAD.size:
        raise _unreadable(path, f"ends after {len(data)} bytes, inside its head")
    width, height, channels = _HEAD.unpack_from(data)
    if not (0 < width <= MAX_SIZE_PX and 0 < height <= MAX_SIZE_PX and 0 < channels <= MAX_CHANNELS):
        raise _unreadable(path, f"states {width}x{height} px of {channels} channels")
    stated = 4 * width * height * channels
    if len(data) - _HEAD.size != stated:
        raise _unreadable(path, f"holds {len(data) - _HEAD.size} bytes of flow instead of {stated}")
    # on disk one image a channel
    planes = np.frombuffer(data, dtype="<f4", offset=_HEAD.size).reshape(channels, height, width)
    flow = np.moveaxis(planes, 0, -1).astype(np.float32)
    mask = np.isfinite(flow).all(axis=-1)  # -inf is none
    flow[~mask] = 0
    return flow, mask


def _masks(folder: Path) -> dict[int, tuple[Path, ...]]:
    found: dict[int, tuple[Path, ...]] = {}
    for path in sorted(folder.glob("*.png")):
        matches = (pattern.fullmatch(path.name) for pattern in _MASK_NAMES)
        match = next((match for match in matches if match), None)
        if match is not None:
            found[int(match[1])] = (*found.get(int(match[1]), ()), path)
    return found


def _unreadable(path: Path, problem: str) -> InputError:
    return InputError(
        "unreadable-flow",
        f"{path}: the flow must be width, height and channels and as many floats, but it {problem}. "
        "Copy it again from the source.",
    )
