"""Tiny captures of known content in every layout that the readers know."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.captures.capture import Capture
from pipeline.captures.opening import open_capture
from pipeline.captures.rgbd_folder import RgbdFiles

HEIGHT, WIDTH = 12, 16
K = np.array([[18.0, 0, 7.25], [0, 18.5, 5.5], [0, 0, 1]])


@dataclass(frozen=True)
class Raw:
    """What one frame of a written capture holds; times count from a clock that is far from 0."""

    time_s: float
    depth_raw: np.ndarray
    color: np.ndarray
    mask: np.ndarray
    pose: np.ndarray


def quaternion_pose(quaternion_xyzw: np.ndarray, t: np.ndarray) -> np.ndarray:
    """world_from_cam by the textbook, R = (w^2 - v.v) I + 2 v v^T + 2 w [v]x: not the code under test."""
    *v, w = quaternion_xyzw
    v = np.array(v)
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    pose = np.eye(4)
    pose[:3, :3] = (w * w - v @ v) * np.eye(3) + 2 * np.outer(v, v) + 2 * w * cross
    pose[:3, 3] = t
    return pose


def raw_frames(count: int = 5) -> tuple[list[Raw], np.ndarray]:
    """Random frames, and the poses as TUM rows (count 7): tx ty tz qx qy qz qw."""
    rng = np.random.default_rng(8)
    quaternions = rng.normal(size=(count, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    rows = np.column_stack([rng.uniform(-2, 2, (count, 3)), quaternions])
    frames = []
    for i in range(count):
        depth = rng.integers(400, 9000, (HEIGHT, WIDTH)).astype(np.uint16)
        depth[0, :3], depth[1, :3] = 0, 65535
        frames.append(
            Raw(
                time_s=1305031102.0 + i / 30,
                depth_raw=depth,
                color=rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8),
                mask=rng.uniform(size=(HEIGHT, WIDTH)) > 0.5,
                pose=quaternion_pose(rows[i, 3:], rows[i, :3]),
            )
        )
    return frames, rows


def write_png(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = image[..., ::-1] if image.ndim == 3 else image
    assert cv2.imwrite(str(path), np.ascontiguousarray(stored))


def write_matrix(path: Path, matrix: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # as recorders leave it: tabs, blanks at the ends, an empty line
    path.write_text("\n".join("\t".join(f"{x:.17g}" for x in row) + " \n" for row in matrix))


BY_FRAME = RgbdFiles(
    color="rgb/img-{frame}.png",
    depth="d/{frame}.png",
    mask="m/{frame}.png",
    pose="poses/pose{frame}.txt",
    calibration="camera.json",
    invalid_raw=(65535,),
)
BY_TIME = BY_FRAME.model_copy(
    update={
        "color": "rgb/{time}.png",
        "depth": "d/{time}.png",
        "mask": "m/{time}.png",
        "pose": "poses/{time}.txt",
    }
)
TUM = BY_FRAME.model_copy(
    update={
        "color": "rgb.txt",
        "depth": "depth.txt",
        "mask": "mask.txt",
        "pose": "groundtruth.txt",
        "calibration": "K.txt",
        "depth_unit_m": 0.0002,
    }
)
OFFSET_S = {"rgb": 0.004, "d": 0.0, "m": -0.003}  # the streams' clocks tick beside each other


def write_calibration(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_matrix(folder / "K.txt", K)
    write_matrix(folder / "camera-intrinsics.txt", K)
    content = {"width": WIDTH, "height": HEIGHT, "K": K.tolist()}
    (folder / "camera.json").write_text(json.dumps(content))


def write_by_frame(folder: Path, frames: list[Raw], order: list[int]) -> Capture:
    write_calibration(folder)
    for i in order:
        write_png(folder / f"d/{i:04d}.png", frames[i].depth_raw)
        write_png(folder / f"rgb/img-{i}.png", frames[i].color)  # another padding than the depth's
        write_png(folder / f"m/{i:04d}.png", frames[i].mask.astype(np.uint8))
        write_matrix(folder / f"poses/pose{i:04d}.txt", frames[i].pose)
    return open_capture(folder, "rgbd-folder", BY_FRAME)


def write_by_time(folder: Path, frames: list[Raw], order: list[int]) -> Capture:
    write_calibration(folder)
    for i in order:
        named = {"d": frames[i].depth_raw, "rgb": frames[i].color, "m": frames[i].mask.astype(np.uint8)}
        for stream, image in named.items():
            write_png(folder / stream / f"{frames[i].time_s + OFFSET_S[stream]:.6f}.png", image)
        write_matrix(folder / f"poses/{frames[i].time_s + 0.01:.6f}.txt", frames[i].pose)
    return open_capture(folder, "rgbd-folder", BY_TIME)


def write_tum(folder: Path, frames: list[Raw], order: list[int]) -> Capture:
    write_by_time(folder, frames, order)
    _, rows = raw_frames(len(frames))
    streams = {"rgb": "rgb.txt", "d": "depth.txt", "m": "mask.txt"}
    for stream, name in streams.items():
        times = [f"{frames[i].time_s + OFFSET_S[stream]:.6f}" for i in order]
        lines = ["# timestamp filename", *(f"{time} {stream}/{time}.png" for time in times)]
        (folder / name).write_text("\n".join(lines) + "\n")
    poses = [f"{frames[i].time_s + 0.01:.6f} " + " ".join(f"{x:.12g}" for x in rows[i]) for i in order]
    (folder / "groundtruth.txt").write_text("# tx ty tz qx qy qz qw\n" + "\n".join(poses) + "\n")
    return open_capture(folder, "rgbd-folder", TUM)


def write_7scenes(folder: Path, frames: list[Raw], order: list[int]) -> Capture:
    write_calibration(folder)
    for i in order:
        write_png(folder / f"frame-{i:06d}.depth.png", frames[i].depth_raw)
        write_png(folder / f"frame-{i:06d}.color.png", frames[i].color)
        write_matrix(folder / f"frame-{i:06d}.pose.txt", frames[i].pose)
    return open_capture(folder, "7scenes", None)


WRITERS = {
    "by-frame": write_by_frame,
    "by-time": write_by_time,
    "tum": write_tum,
    "7scenes": write_7scenes,
}


@pytest.fixture
def frames() -> list[Raw]:
    return raw_frames()[0]


@pytest.fixture(params=sorted(WRITERS))
def written(request: pytest.FixtureRequest, tmp_path: Path, frames: list[Raw]) -> tuple[str, Path, Capture]:
    """Name of the layout, folder and open capture, written in an order that is nobody's."""
    folder = tmp_path / "capture"
    return request.param, folder, WRITERS[request.param](folder, frames, [3, 0, 4, 2, 1])


@pytest.fixture
def write() -> Callable[..., Capture]:
    """Writes frames in one layout: (layout, folder, frames)."""

    def write_in_order(layout: str, folder: Path, frames: list[Raw]) -> Capture:
        return WRITERS[layout](folder, frames, list(range(len(frames))))

    return write_in_order
