"""Poses at any time lie on the path that the camera took, and a .log is a trajectory or nothing."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.captures.poses import poses_at, read_log_trajectory
from pipeline.errors import InputError


def helix(times_s: np.ndarray) -> np.ndarray:
    """A hand-held camera: 0.4 m/s round a circle of 0.3 m, turning as it goes, nodding at 1 Hz."""
    angle_rad = times_s * 0.4 / 0.3
    poses = np.tile(np.eye(4), (len(times_s), 1, 1))
    nod = np.stack([0.2 * np.sin(2 * np.pi * times_s), angle_rad, np.zeros_like(times_s)], axis=1)
    poses[:, :3, :3] = Rotation.from_rotvec(nod).as_matrix()
    poses[:, :3, 3] = np.stack([0.3 * np.cos(angle_rad), 0.3 * np.sin(angle_rad), 0.05 * times_s], axis=1)
    return poses


def errors(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Largest distance in metres and largest angle in radians."""
    turns = Rotation.from_matrix(np.swapaxes(found[:, :3, :3], 1, 2) @ true[:, :3, :3]).magnitude()
    return float(np.linalg.norm(found[:, :3, 3] - true[:, :3, 3], axis=1).max()), float(turns.max())


def test_between_samples_the_path_is_followed_far_better_than_by_the_nearest() -> None:
    times_s = np.arange(0, 3, 0.01)  # 100 Hz
    wanted_s = np.arange(0.0137, 2.9, 1 / 30)
    true, samples = helix(wanted_s), helix(times_s)
    between = np.array(poses_at(times_s, samples, wanted_s, max_skew_s=0.02))
    nearest = samples[np.abs(times_s[:, None] - wanted_s).argmin(0)]
    by_path, by_nearest = errors(between, true), errors(nearest, true)
    # a dt^2 / 8 with a = v^2 / r = 0.53 m/s^2: 7 um; turning with 7.9 rad/s^2 at most: 0.1 mrad
    assert by_path[0] < 8e-6 and by_path[1] < 1.1e-4
    # half a sample of 0.4 m/s: 2 mm; of 1.8 rad/s: 9 mrad
    assert by_nearest[0] > 100 * by_path[0] and by_nearest[1] > 50 * by_path[1]


def test_a_sample_s_own_time_gives_the_sample_itself() -> None:
    times_s = np.array([1.0, 1.01, 1.02])
    poses = helix(times_s)
    for number, found in enumerate(poses_at(times_s, poses, times_s, max_skew_s=0.02)):
        np.testing.assert_array_equal(found, poses[number])
        found[0, 0] = 7  # a copy
    assert poses[0, 0, 0] != 7


def test_a_gap_is_not_bridged() -> None:
    times_s = np.array([0.0, 0.1, 0.2])
    poses = helix(times_s)
    near, far = poses_at(times_s, poses, np.array([0.115, 0.15]), max_skew_s=0.02)
    np.testing.assert_array_equal(near, poses[1])
    assert far is None
    assert poses_at(np.zeros(0), poses[:0], np.array([1.0]), max_skew_s=1.0) == [None]


def test_a_lost_pose_spoils_only_its_own_time() -> None:
    times_s = np.array([0.0, 0.01, 0.02])
    poses = helix(times_s)
    poses[1] = np.nan
    first, lost = poses_at(times_s, poses, np.array([0.004, 0.008]), max_skew_s=0.02)
    np.testing.assert_array_equal(first, poses[0])
    assert np.isnan(lost).all()


def log_text(poses: dict[int, np.ndarray]) -> str:
    rows = lambda pose: "\n".join(" ".join(f"{x:.17g}" for x in row) for row in pose)  # noqa: E731
    return "".join(f"{i}\t{i}\t{i + 1}\n{rows(pose)}\n" for i, pose in poses.items())


def test_a_log_gives_back_the_poses_that_were_written(tmp_path) -> None:
    path, poses = tmp_path / "trajectory.log", dict(zip([4, 0, 9], helix(np.arange(3.0)), strict=True))
    path.write_text(log_text(poses))
    read = read_log_trajectory(path)
    assert list(read) == [4, 0, 9]
    for number, pose in poses.items():
        np.testing.assert_array_equal(read[number], pose)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("1\t1\t2", "0\t1\t2"), "trajectory"),  # two fragments
        (lambda text: text.replace("1\t1\t2", "0\t0\t2"), "has two"),
        (lambda text: text.replace("1\t1\t2", "1\t1"), "i i n"),
        (lambda text: text.replace("1\t1\t2", "nan\tnan\t2"), "i i n"),
        (lambda text: text.replace("1\t1\t2", "inf\tinf\t2"), "i i n"),
        (lambda text: text.replace("1\t1\t2", "-1\t-1\t2"), "i i n"),
        (lambda text: text[: text.rindex("\n", 0, -1)], "4 rows"),
        (lambda text: text.replace("1", "one", 1), "line 1"),
    ],
)
def test_what_is_no_trajectory_is_refused(change, said, tmp_path) -> None:
    path = tmp_path / "trajectory.log"
    path.write_text(change(log_text(dict(enumerate(helix(np.arange(2.0)))))))
    with pytest.raises(InputError, match=said) as caught:
        read_log_trajectory(path)
    assert caught.value.reason == "pose-malformed"
    path.unlink()
    with pytest.raises(InputError) as caught:
        read_log_trajectory(path)
    assert caught.value.reason == "pose-missing"
