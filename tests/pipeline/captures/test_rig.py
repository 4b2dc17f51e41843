"""Several recordings read as one capture: numbers, places, files, and what is refused."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from pipeline.captures.capture import Frame
from pipeline.captures.opening import open_capture
from pipeline.captures.rgbd_files import RgbdFiles
from pipeline.captures.rig import Rig, open_rig
from pipeline.captures.rig_files import RigOptions, RigTable
from pipeline.errors import InputError, ManifestError
from pipeline.manifest import load_manifest

K = np.array([[18.0, 0, 7.5], [0, 18.0, 5.5], [0, 0, 1]])


def rigid(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = np.eye(4)
    made[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    made[:3, 3] = rng.uniform(-2, 2, 3)
    return made


TRANSFORMS = [rigid(seed) for seed in (1, 2, 3)]


def table_of(transforms=tuple(TRANSFORMS), **keys) -> RigTable:
    cameras = [
        {"path": f"cam{at}", "rig_from_cam": one if isinstance(one, str) else np.asarray(one).tolist()}
        for at, one in enumerate(transforms)
    ]
    return RigTable(**{"cameras": cameras, **keys})


@dataclass
class Recording:
    """A camera's recording whose frames say which they are; counts what is read of it."""

    place: Path
    numbers: list[int]
    poses: dict[int, np.ndarray] = field(default_factory=dict)
    read_of: list[int] = field(default_factory=list)

    @property
    def frames(self) -> list[int]:
        return self.numbers

    def files(self, frames: list[int]) -> list[Path]:
        return [self.place / "K.json", *(self.place / f"{number}.png" for number in frames)]

    def read(self, frame: int) -> Frame:
        self.read_of.append(frame)
        at = int(self.place.name[-1])
        depth_m = np.full((12, 16), 1 + at + frame / 100, np.float32)
        return Frame(
            frame=frame, timestamp_s=frame / 30, image=None, depth_m=depth_m, K=K,
            world_from_cam=self.poses.get(frame), mask=None,
        )  # fmt: skip


def rig_of(root: Path, table: RigTable, numbers=(4, 7, 9), poses=None) -> tuple[Rig, list[Recording]]:
    made: list[Recording] = []

    def opened(place: Path) -> Recording:
        made.append(Recording(place, list(numbers), poses or {} if place.name == "cam0" else {}))
        return made[-1]

    return open_rig(root, table, opened), made


def refusal(act) -> InputError:
    with pytest.raises(InputError) as caught:
        act()
    return caught.value


# what is read


def test_frame_n_is_camera_n_mod_cameras_at_moment_n_div_cameras(tmp_path):
    rig, _ = rig_of(tmp_path, table_of())
    assert rig.frames == [12, 13, 14, 21, 22, 23, 27, 28, 29]
    for number in rig.frames:
        frame = rig.read(number)
        assert frame.frame == number
        assert frame.depth_m[0, 0] == np.float32(1 + number % 3 + number // 3 / 100)


def test_still_cameras_stand_where_the_manifest_says(tmp_path):
    rig, _ = rig_of(tmp_path, table_of())
    for number in rig.frames:
        np.testing.assert_allclose(rig.read(number).world_from_cam, TRANSFORMS[number % 3], atol=1e-12)


def test_a_rig_that_moves_keeps_its_cameras_to_each_other_and_follows_the_first(tmp_path):
    poses = {number: rigid(10 + number) for number in (4, 7, 9)}
    rig, _ = rig_of(tmp_path, table_of(poses="first"), poses=poses)
    for moment in (9, 4, 7):
        places = [rig.read(3 * moment + camera).world_from_cam for camera in (2, 0, 1)]
        third, first, second = places
        np.testing.assert_allclose(first, poses[moment], atol=1e-9)
        for place, of_rig in ((second, TRANSFORMS[1]), (third, TRANSFORMS[2])):
            np.testing.assert_allclose(
                np.linalg.inv(first) @ place, np.linalg.inv(TRANSFORMS[0]) @ of_rig, atol=1e-9
            )


def test_the_first_cameras_pose_is_read_once_a_moment(tmp_path):
    poses = {number: rigid(10 + number) for number in (4, 7, 9)}
    rig, recordings = rig_of(tmp_path, table_of(poses="first"), poses=poses)
    for number in rig.frames:
        rig.read(number)
    assert recordings[0].read_of == [4, 7, 9]


def test_files_are_those_of_the_frames_and_the_transforms(tmp_path):
    (tmp_path / "two.txt").write_text("\n".join(" ".join(map(repr, row)) for row in TRANSFORMS[1].tolist()))
    told = [TRANSFORMS[0], "two.txt", TRANSFORMS[2]]
    rig, _ = rig_of(tmp_path, table_of(told))
    names = {path.relative_to(tmp_path).as_posix() for path in rig.files([13, 22, 29])}
    assert names == {
        "two.txt",
        *(f"cam{at}/K.json" for at in range(3)),
        "cam1/4.png",
        "cam1/7.png",
        "cam2/9.png",
    }
    np.testing.assert_allclose(rig.read(13).world_from_cam, TRANSFORMS[1], atol=1e-12)
    # The first camera's poses place the others, so its files count as well.
    led, _ = rig_of(tmp_path, table_of(told, poses="first"))
    assert tmp_path / "cam0" / "4.png" in led.files([13])


def test_folders_of_a_format_open_through_the_manifests_options(tmp_path):
    for camera in range(2):
        place = tmp_path / f"cam{camera}"
        place.mkdir()
        (place / "K.json").write_text(json.dumps({"width": 16, "height": 12, "K": K.tolist()}))
        cv2.imwrite(str(place / "0.png"), np.full((12, 16), 1000 + camera, np.uint16))
    each = RgbdFiles(depth="{frame}.png", calibration="K.json")
    capture = open_capture(tmp_path, "rgbd-folder", RigOptions(rig=table_of(TRANSFORMS[:2]), each=each))
    assert [capture.read(number).depth_m[5, 5] for number in capture.frames] == [
        np.float32(1),
        np.float32(1.001),
    ]


# what is refused


def test_cameras_of_different_frames_are_refused(tmp_path):
    def opened(place: Path) -> Recording:
        return Recording(place, [4, 7] if place.name == "cam1" else [4, 7, 9])

    error = refusal(lambda: open_rig(tmp_path, table_of(), opened))
    assert error.reason == "rig-frames" and "cam1" in str(error) and "9 is the first" in str(error)


@pytest.mark.parametrize(
    "text", ["1 0 0 0\n0 1 0 0\n0 0 1 0\n", "2 0 0 0\n0 2 0 0\n0 0 2 0\n0 0 0 1\n", "nan " * 16, None]
)
def test_a_file_that_is_no_rigid_transform_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "two.txt").write_text(text)
    error = refusal(lambda: rig_of(tmp_path, table_of([TRANSFORMS[0], "two.txt"])))
    assert error.reason == "rig-malformed" and "two.txt" in str(error) and "cam1" in str(error)


def test_two_cameras_at_one_place_are_refused(tmp_path):
    error = refusal(lambda: rig_of(tmp_path, table_of([TRANSFORMS[0], TRANSFORMS[1], TRANSFORMS[0]])))
    assert error.reason == "rig-malformed" and "cam2" in str(error) and "cam0" in str(error)


def test_poses_beside_a_still_cameras_transform_are_refused(tmp_path):
    rig, _ = rig_of(tmp_path, table_of(), poses={4: np.eye(4)})
    assert refusal(lambda: rig.read(12)).reason == "rig-poses"
    assert rig.read(13).frame == 13


def test_a_moment_without_the_rigs_pose_has_none_for_any_camera(tmp_path):
    rig, _ = rig_of(tmp_path, table_of(poses="first"), poses={4: np.eye(4)})
    assert {refusal(lambda n=n: rig.read(n)).reason for n in (21, 22, 23)} == {"pose-missing"}
    assert rig.read(14).world_from_cam is not None


def test_a_missing_folder_is_refused(tmp_path):
    assert refusal(lambda: rig_of(tmp_path / "none", table_of())).reason == "capture-missing"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cameras": [{"path": "a", "rig_from_cam": np.eye(4).tolist()}]}, "at least 2"),
        (
            {"cameras": [{"path": p, "rig_from_cam": np.eye(4).tolist()} for p in ("a", "./a")]},
            "path of its own",
        ),
        ({"cameras": [{"path": p, "rig_from_cam": np.eye(4).tolist()} for p in ("a", "../b")]}, "lie below"),
        (
            {"cameras": [{"path": p, "rig_from_cam": (2 * np.eye(4)).tolist()} for p in ("a", "b")]},
            "must be rigid",
        ),
        ({"poses": "tracked"}, "'none' or 'first'"),
        ({"max_time_skew_s": 0.0}, "greater than 0"),
    ],
)
def test_a_table_that_cannot_be_is_refused(change, said):
    with pytest.raises(ValidationError, match=said):
        table_of(**change)


def manifest_text(keys: str) -> str:
    cameras = "".join(
        f'[[capture.rig.cameras]]\npath = "cam{at}"\nrig_from_cam = {TRANSFORMS[at].tolist()}\n'
        for at in range(3)
    )
    return f'[dataset]\nname = "rigs"\n[[capture]]\nid = "ann"\nsplit = "train"\n{keys}{cameras}'


def test_the_manifest_counts_its_cameras(tmp_path):
    path = tmp_path / "rig.toml"
    path.write_text(manifest_text('format = "kinect2"\npath = "ann"\n'))
    assert load_manifest(path).captures["ann"].camera_count == 3
    path.write_text(
        '[dataset]\nname = "s"\n[[capture]]\nid = "ann"\nsplit = "train"\nformat = "simulated"\ncount = 4\n'
        "[capture.simulation]\ncameras = 2\n"
    )
    assert load_manifest(path).captures["ann"].camera_count == 2


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('format = "simulated"\ncount = 6\n', "goes with recordings"),
        ('format = "tang2019"\npath = "ann"\nrole = "fused"\n', "goes with recordings"),
        ('format = "kinect2"\npath = "ann"\nposes = "tracked"\n', "are of one camera"),
        ('format = "kinect2"\npath = "ann"\nforeground = "person"\nperson = 2\n', "give masks"),
    ],
)
def test_captures_that_cannot_have_a_rig_are_refused(tmp_path, keys, said):
    path = tmp_path / "rig.toml"
    path.write_text(manifest_text(keys))
    with pytest.raises(ManifestError, match=said):
        load_manifest(path)
