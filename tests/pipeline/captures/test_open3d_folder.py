"""Open3D's folders: the camera by columns, the path by number, colour of either suffix."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cameras import backproject, invert_rigid, project, transform
from pipeline.captures.open3d_folder import Open3dFiles, open_open3d
from pipeline.errors import InputError

CAMERA = {"width": 16, "height": 12, "intrinsic_matrix": [18.0, 0, 0, 0, 18.5, 0, 7.25, 5.5, 1]}
K = [[18.0, 0, 7.25], [0, 18.5, 5.5], [0, 0, 1]]


def pose(number: int) -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 3] = 0.1 * number
    return matrix


def log_text(numbers: list[int]) -> str:
    rows = ["\n".join(" ".join(map(str, row)) for row in pose(number)) for number in numbers]
    return "".join(f"{n} {n} {n + 1}\n{text}\n" for n, text in zip(numbers, rows, strict=True))


def write_folder(folder: Path, numbers: list[int], *, suffix: str = "png", color: str = "color") -> None:
    for name in ("depth", color):
        (folder / name).mkdir(parents=True)
    for number in numbers:
        depth = np.full((12, 16), 1000 + number, np.uint16)
        assert cv2.imwrite(str(folder / f"depth/{number:05d}.png"), depth)
        assert cv2.imwrite(str(folder / f"{color}/{number:05d}.{suffix}"), np.full((12, 16, 3), 9, np.uint8))
    (folder / "camera.json").write_text(json.dumps(CAMERA))


@pytest.mark.parametrize(("suffix", "color"), [("png", "color"), ("jpg", "rgb"), ("jpg", "image")])
def test_a_folder_is_read_by_number(suffix, color, tmp_path) -> None:
    write_folder(tmp_path, [0, 1, 2, 5], suffix=suffix, color=color)
    (tmp_path / "trajectory.log").write_text(log_text([0, 1, 5]))
    (tmp_path / "odometry.log").write_text(log_text([7]))  # not taken
    capture = open_open3d(tmp_path, Open3dFiles())
    assert capture.frames == [0, 1, 2, 5]
    frame = capture.read(5)
    np.testing.assert_array_equal(frame.world_from_cam, pose(5))
    np.testing.assert_array_equal(frame.K, K)
    np.testing.assert_allclose(frame.depth_m, 1.005, rtol=1e-6)
    assert frame.image.shape == (12, 16, 3)
    with pytest.raises(InputError, match=r"trajectory\.log") as caught:
        capture.read(2)
    assert caught.value.reason == "pose-missing"


def test_what_the_manifest_names_is_taken(tmp_path) -> None:
    write_folder(tmp_path, [0, 1])
    parameters = [{"class_name": "PinholeCameraParameters", "intrinsic": CAMERA, "extrinsic": []}] * 2
    (tmp_path / "path.json").write_text(json.dumps({"parameters": parameters}))
    (tmp_path / "trajectory.log").write_text(log_text([0]))
    (tmp_path / "mine.log").write_text(log_text([0, 1]))
    with pytest.raises(InputError, match="there are 2") as caught:
        open_open3d(tmp_path, Open3dFiles())
    assert caught.value.reason == "calibration-missing"
    options = Open3dFiles(calibration="path.json", trajectory="mine.log", depth_unit_m=0.0002)
    frame = open_open3d(tmp_path, options).read(1)
    np.testing.assert_array_equal(frame.K, K)
    np.testing.assert_array_equal(frame.world_from_cam, pose(1))
    np.testing.assert_allclose(frame.depth_m, 0.2002, rtol=1e-6)


def test_without_log_or_colour_both_are_none(tmp_path) -> None:
    write_folder(tmp_path, [0, 1])
    for path in (tmp_path / "color").iterdir():
        path.unlink()
    frame = open_open3d(tmp_path, Open3dFiles()).read(0)
    assert frame.image is None and frame.world_from_cam is None


def test_poses_numbered_from_another_start_are_refused(tmp_path) -> None:
    write_folder(tmp_path, [1, 2, 3])
    (tmp_path / "trajectory.log").write_text(log_text([0, 1, 2]))
    with pytest.raises(InputError, match=r"Renumber them by \+1") as caught:
        open_open3d(tmp_path, Open3dFiles())
    assert caught.value.reason == "pose-malformed"


@pytest.mark.parametrize(
    "camera",
    [
        {**CAMERA, "intrinsic_matrix": CAMERA["intrinsic_matrix"][:8]},
        {**CAMERA, "intrinsic_matrix": "123456789"},
        {"parameters": []},
        {"parameters": [{"intrinsic": CAMERA}, {"intrinsic": {**CAMERA, "width": 17}}]},
        {"parameters": [7]},
        {**CAMERA, "width": 10**400},
        {**CAMERA, "intrinsic_matrix": [10**400] * 9},
    ],
)
def test_what_is_no_camera_is_refused(camera, tmp_path) -> None:
    write_folder(tmp_path, [0])
    (tmp_path / "camera.json").write_text(json.dumps(camera))
    with pytest.raises(InputError) as caught:
        open_open3d(tmp_path, Open3dFiles())
    assert caught.value.reason == "calibration-malformed"


@pytest.mark.real_data
def test_real_neighbours_meet_under_the_poses_and_not_under_their_inverse(data_root: Path) -> None:
    capture = open_open3d(data_root / "open3d_rgbd", Open3dFiles())
    assert capture.frames == [0, 1, 2, 3, 4]
    assert capture.shared[1].name == "trajectory.log"
    frames = [capture.read(number) for number in capture.frames]
    for first, second in zip(frames, frames[1:], strict=False):
        step_m = np.linalg.norm(first.world_from_cam[:3, 3] - second.world_from_cam[:3, 3])
        assert 0.023 < step_m < 0.026
        second_from_first = invert_rigid(second.world_from_cam) @ first.world_from_cam
        given_m, given_grey = _disagreement(first, second, second_from_first)
        inverse = second.world_from_cam @ invert_rigid(first.world_from_cam)
        inverse_m, inverse_grey = _disagreement(first, second, inverse)
        # a PrimeSense step is 10 mm at 1.9 m; two cameras that do not move would be 11 mm and 3 grey levels off
        assert given_m < 0.006 and given_grey <= 1
        assert inverse_m > 2 * given_m and inverse_grey >= 4


def _disagreement(first, second, second_from_first) -> tuple[float, float]:
    """Median difference in metres and grey levels where the first frame's points meet the second's pixels."""
    near = (first.depth_m > 0.4) & (first.depth_m < 4)
    points = transform(second_from_first, backproject(first.depth_m, first.K)[near])
    u, v = np.rint(project(points, second.K)).astype(int).T
    seen = (u >= 0) & (u < 640) & (v >= 0) & (v < 480)
    there_m = second.depth_m[v[seen], u[seen]]
    grey = [frame.image.mean(axis=-1) for frame in (first, second)]
    apart = np.abs(grey[0][near][seen] - grey[1][v[seen], u[seen]])
    return float(np.median(np.abs(there_m - points[seen, 2])[there_m > 0])), float(np.median(np.rint(apart)))
