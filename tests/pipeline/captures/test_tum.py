"""TUM sequences: pairing and poses by time, the camera by name, the lens undone."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.cameras import backproject
from pipeline.captures.capture import Frame
from pipeline.captures.distortion import NO_DISTORTION, LensCamera, distorted_rays
from pipeline.captures.tum import CAMERAS, TumFiles, open_tum, without_lens
from pipeline.captures.undistortion import undistortion
from pipeline.errors import InputError

START_S = 1305031102.0
NORMAL, OFFSET_M = np.array([0.3, -0.2, 1.0]), 2.0  # NORMAL . p = OFFSET_M


def camera(group: str) -> LensCamera:
    (fx_px, fy_px, cx_px, cy_px), distortion = CAMERAS[group]
    return LensCamera(
        width=640,
        height=480,
        fx_px=fx_px,
        fy_px=fy_px,
        cx_px=cx_px,
        cy_px=cy_px,
        distortion=distortion,
    )


def plane_depth_m(rays: np.ndarray) -> np.ndarray:
    return OFFSET_M / (rays @ NORMAL)


def write_sequence(folder: Path, depth_raw: np.ndarray, color: np.ndarray, *, count: int = 3) -> np.ndarray:
    """Write a sequence with colour 6 ms before depth and ground truth at 100 Hz; returns depth's times."""
    depth_s = START_S + 0.0123 + np.arange(count) / 30
    lines: dict[str, list[str]] = {"depth": [], "rgb": []}
    for stream, image, shift_s in (("depth", depth_raw, 0.0), ("rgb", color, -0.006)):
        (folder / stream).mkdir(parents=True)
        for time_s in depth_s + shift_s:
            name = f"{stream}/{time_s:.6f}.png"
            assert cv2.imwrite(str(folder / name), image)
            lines[stream].append(f"{time_s:.6f} {name}")
    for stream, rows in lines.items():
        head = [f"# {stream} images", "# file: 'rgbd_dataset.bag'", "# timestamp filename"]
        (folder / f"{stream}.txt").write_text("\n".join([*head, *rows]) + "\n")
    poses = []
    for time_s in START_S + np.arange(0, 0.2, 0.01):
        t, q = true_motion(time_s)
        poses.append(f"{time_s:.4f} " + " ".join(f"{x:.6f}" for x in [*t, *q]))
    (folder / "groundtruth.txt").write_text("# timestamp tx ty tz qx qy qz qw\n" + "\n".join(poses))
    return depth_s


def true_motion(time_s: float) -> tuple[np.ndarray, np.ndarray]:
    """0.4 m/s along x, 1 rad/s about y: position and quaternion x y z w."""
    run_s = time_s - START_S
    return np.array([0.4 * run_s, 0.0, 1.0]), Rotation.from_rotvec([0, run_s, 0]).as_quat()


@pytest.fixture
def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    depth = np.rint(plane_depth_m(distorted_rays(camera("3"))) * 5000).astype(np.uint16)
    return depth, rng.integers(0, 256, (480, 640, 3)).astype(np.uint8)


def test_a_sequence_is_read_with_its_own_camera_times_and_interpolated_poses(images, tmp_path) -> None:
    folder = tmp_path / "rgbd_dataset_freiburg3_sitting"
    depth_s = write_sequence(folder, *images)
    capture = open_tum(folder, TumFiles())
    assert capture.frames == [0, 1, 2]
    for number in capture.frames:
        frame = capture.read(number)
        assert frame.timestamp_s == pytest.approx(depth_s[number], abs=1e-6)
        assert frame.color_timestamp_s == pytest.approx(depth_s[number] - 0.006, abs=1e-6)
        np.testing.assert_array_equal(frame.image, images[1][..., ::-1])
        np.testing.assert_allclose(frame.depth_m, images[0] / 5000, rtol=1e-6)
        assert frame.K.tolist() == [[535.4, 0, 320.1], [0, 539.2, 247.6], [0, 0, 1]]
        t, q = true_motion(depth_s[number])
        # six decimals in the file; nearest alone would miss by 0.4 m/s * 2 ms
        np.testing.assert_allclose(frame.world_from_cam[:3, 3], t, atol=2e-6)
        np.testing.assert_allclose(frame.world_from_cam[:3, :3], Rotation.from_quat(q).as_matrix(), atol=4e-6)
    names = {path.name for path in capture.files([1])}
    assert {"rgb.txt", "depth.txt", "groundtruth.txt"} < names and len(names) == 5


def test_without_ground_truth_there_is_no_pose(images, tmp_path) -> None:
    folder = tmp_path / "fr3"
    write_sequence(folder, *images)
    (folder / "groundtruth.txt").unlink()
    assert open_tum(folder, TumFiles()).read(1).world_from_cam is None


def test_an_unknown_camera_is_asked_for_and_a_file_outranks_the_name(images, tmp_path) -> None:
    folder = tmp_path / "my_desk"
    write_sequence(folder, *images)
    with pytest.raises(InputError, match="3x3 matrix .* `calibration`") as caught:
        open_tum(folder, TumFiles())
    assert caught.value.reason == "calibration-missing"
    for name in ("my_desk", "freiburg1_desk"):
        folder = folder.rename(tmp_path / name)
        np.savetxt(folder / "K.txt", [[525, 0, 319.5], [0, 525, 239.5], [0, 0, 1]])
        capture = open_tum(folder, TumFiles(calibration="K.txt"))
        np.testing.assert_array_equal(capture.read(0).K, [[525, 0, 319.5], [0, 525, 239.5], [0, 0, 1]])
        np.testing.assert_array_equal(capture.read(0).image, images[1][..., ::-1])  # a pinhole: as it is


@pytest.mark.parametrize(
    ("name", "fx_px"),
    [
        ("rgbd_dataset_freiburg1_xyz", 517.3),
        ("fr2_desk", 520.9),
        ("Freiburg3", 535.4),
        ("freiburg12", None),
        ("xfr1", None),
    ],
)
def test_the_camera_is_known_by_the_folder_s_name(name, fx_px, images, tmp_path) -> None:
    write_sequence(tmp_path / name, *images, count=1)
    if fx_px is None:
        with pytest.raises(InputError, match="freiburg1"):
            open_tum(tmp_path / name, TumFiles())
    else:
        assert open_tum(tmp_path / name, TumFiles()).K[0, 0] == fx_px


def test_missing_folder_and_lists_have_their_reasons(images, tmp_path) -> None:
    for missing, reason in (
        (".", "capture-missing"),
        ("depth.txt", "depth-missing"),
        ("rgb.txt", "color-missing"),
    ):
        folder = tmp_path / reason / "fr3"
        if missing != ".":
            write_sequence(folder, *images, count=1)
            (folder / missing).unlink()
        with pytest.raises(InputError) as caught:
            open_tum(folder, TumFiles())
        assert caught.value.reason == reason


@pytest.mark.parametrize("group", ["1", "2"])
def test_a_plane_seen_through_the_lens_is_a_plane_without_it(group) -> None:
    lens = camera(group)
    depth_m = plane_depth_m(distorted_rays(lens)).astype(np.float32)
    image = np.zeros((480, 640, 3), np.uint8)
    raw = Frame(
        frame=0, timestamp_s=0, image=image, depth_m=depth_m, K=lens.K, world_from_cam=None, mask=None
    )
    frame = without_lens(raw, lens=undistortion(lens, lens.K, height=480, width=640))

    def residual_m(depth: np.ndarray) -> np.ndarray:
        points = backproject(depth, lens.K)[depth > 0]
        return np.abs(points @ NORMAL - OFFSET_M)

    # the nearest pixel is half a pixel off at most: 0.5 px / f in x and y, times slopes 0.3 + 0.2, times 3 m
    assert residual_m(frame.depth_m).max() < 0.5 / 517 * 0.5 * 3.0
    assert residual_m(depth_m).max() > 10 * residual_m(frame.depth_m).max()
    assert (frame.depth_m > 0).mean() > 0.9
    # half of the pixels' own values only: nothing is mixed
    assert np.isin(frame.depth_m[frame.depth_m > 0], depth_m).all()


def test_published_cameras_are_the_benchmark_s() -> None:
    assert CAMERAS["1"][0] == (517.3, 516.5, 318.6, 255.3) and CAMERAS["2"][0] == (520.9, 521.0, 325.1, 249.7)
    assert CAMERAS["3"] == ((535.4, 539.2, 320.1, 247.6), NO_DISTORTION)
