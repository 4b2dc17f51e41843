"""A simulated capture is written to the same bytes, its truth is read back exactly, and damage to it is named."""

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.captures.distortion import NO_DISTORTION, LensCamera
from pipeline.captures.kinect2 import open_kinect2
from pipeline.captures.kinect2_calibration import Kinect2Calibration, read_kinect2_calibration
from pipeline.captures.truth import read_truth
from pipeline.errors import InputError
from pipeline.simulation.kinect import virtual_kinect
from pipeline.simulation.kinect_writer import KinectFrame, write_kinect2_capture
from pipeline.simulation.truth_writer import TrueFrame

DEPTH = LensCamera(
    width=24, height=20, fx_px=20.0, fy_px=20.5, cx_px=11.0, cy_px=9.0, distortion=NO_DISTORTION
)
COLOR = LensCamera(
    width=80, height=40, fx_px=60.0, fy_px=60.0, cx_px=39.0, cy_px=20.0, distortion=(0.01, 0.0, 0.0, 0.0, 0.0)
)
DEVICE = Kinect2Calibration(
    device="virtual", serial="7", depth=DEPTH, color=COLOR, color_from_depth=virtual_kinect().color_from_depth
)
FACES = np.array([[0, 1, 2], [2, 1, 3]], np.int32)
COLORS = np.arange(12, dtype=np.uint8).reshape(4, 3)


def pose(rng: np.random.Generator) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    matrix[:3, 0] *= np.linalg.det(matrix[:3, :3])
    matrix[:3, 3] = rng.normal(size=3)
    return matrix


def make_frames(numbers: tuple[int, ...] = (0, 2, 3), moves_at: int = 3) -> list[KinectFrame]:
    """Random frames of a surface that moves once."""
    rng = np.random.default_rng(1)
    still, moved = rng.normal(size=(2, 4, 3)).astype(np.float32)
    return [
        KinectFrame(
            frame=number,
            depth_s=1.0 + number / 30,
            color_s=1.001 + number / 30,
            depth_raw_mm=rng.integers(500, 4500, (20, 24)).astype(np.uint16),
            image=rng.integers(0, 256, (40, 80, 3)).astype(np.uint8),
            mask=rng.uniform(size=(20, 24)) > 0.5,
            true=TrueFrame(
                world_from_depth=pose(rng),
                world_from_color=pose(rng),
                depth_m=rng.uniform(0.5, 4.5, (20, 24)).astype(np.float32),
                vertices_m=still if number < moves_at else moved,
                pose_rad=rng.normal(size=(24, 3)),
                betas=rng.normal(size=10),
                transl_m=rng.normal(size=3),
            ),
        )
        for number in numbers
    ]


def write(folder: Path, frames: list[KinectFrame] | Iterator[KinectFrame]) -> Path:
    write_kinect2_capture(folder, frames, DEVICE, faces=FACES, vertex_rgb=COLORS)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_frames_give_the_same_bytes(tmp_path) -> None:
    first = contents(write(tmp_path / "a", make_frames()))
    assert first == contents(write(tmp_path / "b", iter(make_frames())))
    assert len(first) == 3 * 4 + 2 + 2 + 3 + 4  # raw, its tables, meshes, depths, truth's tables
    for path in (tmp_path / "a").rglob("*.npz"):
        # no clock: two seconds later the bytes would differ
        assert {member.date_time for member in zipfile.ZipFile(path).infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert not any(str(tmp_path).encode() in data for data in first.values())


def test_raw_files_hold_what_was_recorded(tmp_path) -> None:
    frames = make_frames()
    capture = open_kinect2(write(tmp_path / "a", frames))
    assert capture.frames == [0, 2, 3] and capture.by_frame[0].mask is not None
    entry = capture.by_frame[2]
    assert (entry.depth_s, entry.color_s) == (
        pytest.approx(1 + 2 / 30, abs=1e-6),
        pytest.approx(1.001 + 2 / 30, abs=1e-6),
    )
    found = read_kinect2_calibration(tmp_path / "a/calibration.json")
    assert (found.device, found.serial, found.depth, found.color) == ("virtual", "7", DEPTH, COLOR)
    np.testing.assert_array_equal(found.color_from_depth, DEVICE.color_from_depth)
    world_from_depth = capture.read(2).world_from_cam @ DEVICE.color_from_depth
    np.testing.assert_allclose(world_from_depth, frames[1].true.world_from_depth, atol=1e-14)


def test_the_truth_is_read_back_bit_for_bit(tmp_path) -> None:
    frames = make_frames()
    truth = read_truth(write(tmp_path / "a", frames) / "truth")
    assert truth.frames == [0, 2, 3]
    np.testing.assert_array_equal(truth.faces, FACES)
    np.testing.assert_array_equal(truth.vertex_rgb, COLORS)
    for row, frame in enumerate(frames):
        np.testing.assert_array_equal(truth.vertices_m(frame.frame), frame.true.vertices_m)
        np.testing.assert_array_equal(truth.depth_m(frame.frame), frame.true.depth_m)
        for name in ("world_from_depth", "world_from_color", "pose_rad", "betas", "transl_m"):
            np.testing.assert_array_equal(getattr(truth, name)[row], getattr(frame.true, name))
    with pytest.raises(KeyError):
        truth.depth_m(1)


def test_a_surface_that_stands_still_is_stored_once(tmp_path) -> None:
    folder = write(tmp_path / "a", make_frames())
    assert [p.name for p in sorted((folder / "truth/mesh").iterdir())] == ["000000.npz", "000003.npz"]
    rows = json.loads((folder / "truth/truth.json").read_text())["frames"]
    assert [row["mesh"] for row in rows] == ["mesh/000000.npz", "mesh/000000.npz", "mesh/000003.npz"]


def test_a_dropped_colour_leaves_a_gap_in_the_times_and_no_file(tmp_path) -> None:
    frames = make_frames()
    frames[1] = replace(frames[1], image=None, color_s=float("nan"))
    folder = write(tmp_path / "a", frames)
    assert (folder / "timestamps.csv").read_text().splitlines()[2] == "2,1.066667,"
    assert not (folder / "color/000002.jpg").exists()
    capture = open_kinect2(folder)
    with pytest.raises(InputError) as caught:
        capture.read(2)
    assert caught.value.reason == "color-missing" and read_truth(folder / "truth").frames == [0, 2, 3]


def spoiled(**changes: object) -> list[KinectFrame]:
    frames = make_frames()
    return [frames[0], replace(frames[1], **changes)]


@pytest.mark.parametrize(
    ("frames", "finding"),
    [
        ([], "must have a frame"),
        (make_frames((3, 2)), "must ascend"),
        (make_frames((2, 2)), "must ascend"),
        (spoiled(depth_raw_mm=np.ones((24, 20), np.uint16)), "depth must be"),
        (spoiled(image=np.ones((20, 24, 3), np.uint8)), "image must be"),
        (spoiled(mask=np.ones((40, 80), bool)), "mask must be"),
        (spoiled(true=replace(make_frames()[1].true, depth_m=np.ones((1, 1)))), "true depth must be"),
        (spoiled(true=replace(make_frames()[1].true, vertices_m=np.ones((5, 3)))), "vertices must be"),
    ],
)
def test_frames_that_do_not_fit_are_refused_and_leave_no_truth(frames, finding, tmp_path) -> None:
    with pytest.raises(ValueError, match=finding):
        write(tmp_path / "a", frames)
    assert not (tmp_path / "a/truth/truth.json").exists()


def test_a_capture_is_never_written_over_another(tmp_path) -> None:
    write(tmp_path / "a", make_frames())
    with pytest.raises(FileExistsError):
        write(tmp_path / "a", make_frames())


def rewrite_npz(path: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    with np.load(path) as stored:
        arrays = dict(stored)
    change(arrays)
    np.savez(path, **arrays)


DAMAGE = {
    "no index": ("truth-missing", lambda t: (t / "truth.json").unlink()),
    "no mesh": ("truth-missing", lambda t: (t / "mesh/000000.npz").unlink()),
    "no body": ("truth-missing", lambda t: (t / "body.npz").unlink()),
    "other schema": ("truth-malformed", lambda t: (t / "truth.json").write_text('{"schema": 2}')),
    "no frames": ("truth-malformed", lambda t: (t / "truth.json").write_text('{"schema": 1}')),
    "no json": ("truth-malformed", lambda t: (t / "truth.json").write_text("{")),
    "cut file": ("truth-malformed", lambda t: (t / "depth/000000.npz").write_bytes(b"PK\3\4 and no more")),
    "no array": ("truth-malformed", lambda t: rewrite_npz(t / "surface.npz", lambda a: a.pop("faces"))),
    "short table": (
        "truth-malformed", lambda t: rewrite_npz(t / "body.npz", lambda a: a.update(betas=a["betas"][1:]))
    ),
    "other frames": (
        "truth-malformed", lambda t: rewrite_npz(t / "cameras.npz", lambda a: a.update(frame=a["frame"] + 1))
    ),
    "flat poses": (
        "truth-malformed", lambda t: rewrite_npz(t / "body.npz", lambda a: a.update(pose_rad=a["transl_m"]))
    ),
    "more vertices": (
        "truth-malformed",
        lambda t: rewrite_npz(t / "mesh/000000.npz", lambda a: a.update(vertices_m=np.ones((5, 3)))),
    ),
    "a pickle": (
        "truth-malformed",
        lambda t: rewrite_npz(t / "depth/000000.npz", lambda a: a.update(depth_m=np.array([[{}]]))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_each_damage_to_the_truth_has_its_reason(damage, tmp_path) -> None:
    reason, act = DAMAGE[damage]
    folder = write(tmp_path / "a", make_frames()) / "truth"
    act(folder)

    def read_all() -> None:
        truth = read_truth(folder)
        truth.vertices_m(0)
        truth.depth_m(0)

    with pytest.raises(InputError) as caught:
        read_all()
    assert caught.value.reason == reason and str(caught.value).endswith(".")
