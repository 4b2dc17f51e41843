"""Bodies fitted by a build: to files of key points beside depth, and to annotated pictures."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.bodies.joints import BODY25, COCO17, joints_of
from pipeline.bodies.model import default_body
from pipeline.bodies.motions import motion
from pipeline.bodies.proportions import proportions_of
from pipeline.cameras import invert_rigid, project, transform
from pipeline.shards import ShardReader, read_index
from pipeline.subsets import Subset
from pipeline.voxels.grids import points_from_vox
from pipeline.voxels.packing import unpack
from pipeline.zbuffer import visible_faces
from tasks.context import forget
from tasks.fit import Fit
from tasks.foreground import Foreground
from tasks.ingest import Ingest
from tasks.voxels import Voxels

SIZE_HW = (240, 320)
SENSOR_K = np.array([[280.0, 0, 159.5], [0, 280.0, 119.5], [0, 0, 1]])
UPRIGHT = np.diag([1.0, -1.0, -1.0, 1.0])  # world_from_cam where a capture brings no poses
NOBODY, SOMEBODY_ELSE, NO_FILE, NO_DEPTH, ONE_PIXEL = 4, 5, 6, 7, 8

TABLE = """
[dataset]
name = "fits"
seed = 1
image_size_px = 128
data_root = "raw"
output = "out"

[[capture]]
id = "clip"
format = "rgbd-folder"
path = "clip"
role = "moving"
foreground = "given"
targets = ["body", "voxels", "motion"]
split = "train"
[capture.landmark_files]
kind = "openpose"
file = "keypoints/{frame}_keypoints.json"
[capture.files]
color = "color/{frame}.png"
depth = "depth/{frame}.png"
mask = "mask/{frame}.png"
calibration = "K.json"

[[capture]]
id = "hopeless"
format = "rgbd-folder"
path = "clip"
role = "moving"
foreground = "given"
frames = [4, 6]
targets = ["body"]
split = "train"
[capture.landmark_files]
kind = "openpose"
file = "keypoints/{frame}_keypoints.json"
[capture.files]
color = "color/{frame}.png"
depth = "depth/{frame}.png"
mask = "mask/{frame}.png"
calibration = "K.json"

[[capture]]
id = "pictures"
format = "keypoints"
path = "pictures"
role = "image"
targets = ["body", "voxels"]
fov_deg = 60.0
split = "train"
annotations = { kind = "coco", file = "people.json" }

[stages.fit]
starts = 2
kept = 1
depth_points = 150
starts_without_depth = 4
kept_without_depth = 4

[stages.foreground]
min_foreground_px = 100
min_person_m = 0.3
"""


class People:
    """Nine frames of a walk before the camera: joints and surface in its frame."""

    def __init__(self) -> None:
        self.body = default_body()
        betas = np.zeros(self.body.betas)
        rng = np.random.default_rng(2)
        walk = motion("walk", rng, proportions_of(self.body, betas), seconds=0.3, fps=30)
        self.posed = self.body.posed(walk.pose_rad, betas, walk.transl_m)
        middle_m = self.posed.vertices_m.mean(axis=(0, 1))
        self.cam_from_body = UPRIGHT.copy()
        self.cam_from_body[:3, 3] = [0.1, 0.0, 2.6] - UPRIGHT[:3, :3] @ middle_m

    def joints_m(self, joint_set=None) -> np.ndarray:
        joints_m = self.posed.joints_m if joint_set is None else joints_of(self.body, self.posed, joint_set)
        return transform(self.cam_from_body, joints_m)

    def depth_m(self, frame: int) -> np.ndarray:
        vertices_m = transform(self.cam_from_body, self.posed.vertices_m[frame])
        height, width = SIZE_HW
        return visible_faces(vertices_m, self.body.faces, SENSOR_K, height=height, width=width)[2]


PEOPLE = People()


def marked(px: np.ndarray, confidence: float = 1.0) -> list[float]:
    return np.column_stack([px, np.full(len(px), confidence)]).ravel().tolist()


def write_clip(folder: Path) -> None:
    for name in ("color", "depth", "mask", "keypoints"):
        (folder / name).mkdir(parents=True)
    (folder / "K.json").write_text(
        json.dumps({"width": SIZE_HW[1], "height": SIZE_HW[0], "K": SENSOR_K.tolist()})
    )
    joints_px = project(PEOPLE.joints_m(BODY25), SENSOR_K)
    for frame, px in enumerate(joints_px):
        depth_m = PEOPLE.depth_m(frame)
        # A stripe of wall keeps the frame's depth valid where the person is nobody.
        wall_m = np.where(np.arange(SIZE_HW[1]) > 280, 4.0, 0.0)[None] * np.ones(SIZE_HW)
        person = (depth_m > 0) & (frame != NO_DEPTH)
        scene_mm = np.round(1000 * np.where(depth_m > 0, depth_m, wall_m)).astype(np.uint16)
        cv2.imwrite(str(folder / f"depth/{frame:03d}.png"), scene_mm)
        cv2.imwrite(str(folder / f"color/{frame:03d}.png"), np.full((*SIZE_HW, 3), 90 + frame, np.uint8))
        cv2.imwrite(str(folder / f"mask/{frame:03d}.png"), person.astype(np.uint8) * 255)
        if frame == SOMEBODY_ELSE:
            px = joints_px[frame] * [-1, 1] + [340, -20]  # turned round, and a head taller
        if frame == ONE_PIXEL:
            px = np.full_like(px, 120.0)
        me = {"pose_keypoints_2d": marked(px, 0.0 if frame == NOBODY else 0.9)}
        people = [me] if frame == NOBODY else [{"pose_keypoints_2d": marked(px * 0.3 + 5)}, me]
        if frame != NO_FILE:
            file = folder / f"keypoints/{frame:012d}_keypoints.json"
            file.write_text(json.dumps({"people": people}))


def write_pictures(folder: Path) -> None:
    """Two people of one picture: one whole, one of whom three joints are marked."""
    folder.mkdir(parents=True)
    height, width = SIZE_HW
    cv2.imwrite(str(folder / "one.png"), np.full((*SIZE_HW, 3), 200, np.uint8))
    K = SENSOR_K.copy()
    K[[0, 1], [0, 1]] = width / 2 / np.tan(np.radians(30))
    px = project(PEOPLE.joints_m(COCO17)[0], K)
    seen = np.column_stack([px, np.full(17, 2)])
    few = np.where(np.arange(17)[:, None] < 3, seen, 0)
    box = [*(px.min(axis=0) - 10), *(np.ptp(px, axis=0) + 20)]
    people = [
        {"id": number, "image_id": 1, "iscrowd": 0, "bbox": box, "keypoints": rows.ravel().tolist()}
        for number, rows in enumerate((seen, few))
    ]
    images = [{"id": 1, "file_name": "one.png", "height": height, "width": width}]
    (folder / "people.json").write_text(json.dumps({"images": images, "annotations": people}))


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fits")
    write_clip(folder / "raw" / "clip")
    write_pictures(folder / "raw" / "pictures")
    return folder


@pytest.fixture(scope="module")
def built(forge, raw) -> Path:
    (raw / "m.toml").write_text(TABLE)
    ended = forge.run("build", raw / "m.toml")
    assert "0 tasks failed" in ended.out, ended.err + ended.out
    return raw / "out" / "fits"


def samples(dataset: Path, capture: str, *fields: str) -> dict[int, dict[str, np.ndarray]]:
    reader = ShardReader(dataset, split="train", fields=["frame", *fields], subset=Subset(captures=[capture]))
    rows = [reader[row] for row in range(len(reader))]
    return {int(row["frame"]): row for row in rows}


BODY = ("body_pose_rad", "body_betas", "body_transl_m", "world_from_cam", "K")


def test_bodies_are_found_where_they_stand_in_the_cameras_own_metres(built):
    found = samples(built, "clip", "joints_smpl24_cam_m", *BODY)
    for frame, row in found.items():
        apart_m = np.linalg.norm(row["joints_smpl24_cam_m"] - PEOPLE.joints_m()[frame], axis=1)
        assert apart_m.mean() < 0.02  # landmarks are exact, depth is in millimetres, 200 pixels of a person
        # Parameters, camera and joints are of one world.
        posed = default_body().posed(row["body_pose_rad"][None], row["body_betas"], row["body_transl_m"])
        np.testing.assert_array_equal(row["world_from_cam"], UPRIGHT)
        joints_m = transform(invert_rigid(row["world_from_cam"]), posed.joints_m[0])
        np.testing.assert_allclose(joints_m, row["joints_smpl24_cam_m"], atol=1e-5)  # float32 metres


def test_what_cannot_be_fitted_is_left_out_with_its_reason(built):
    assert sorted(samples(built, "clip")) == [0, 1, 2, 3]
    rows = [row for row in read_index(built)["quarantine"] if row["capture"] == "clip" and row["drops"]]
    reasons = {frame: {row["reason"] for row in rows if row["frame"] == frame} for frame in range(4, 9)}
    assert reasons[NOBODY] == {"no-keypoints"} and reasons[NO_FILE] == {"no-keypoints"}
    assert reasons[ONE_PIXEL] == {"person-too-small"}
    assert reasons[SOMEBODY_ELSE] & {
        "depth-residual",
        "landmarks-off-mask",
        "fit-unlikely",
        "landmark-residual",
    }
    assert len(reasons[NO_DEPTH]) == 1 and all(
        row["stage"] != "fit" for row in rows if row["frame"] == NO_DEPTH
    )


def test_the_person_of_the_mask_is_taken_and_moved_into_the_crop(built):
    row = samples(built, "clip", "joints_body25_px", "joints_body25_confidence", "K", "body_fit_source")[2]
    wanted_px = project(PEOPLE.joints_m(BODY25)[2], row["K"])
    np.testing.assert_allclose(row["joints_body25_px"], wanted_px, atol=1e-3)  # float32 pixels
    np.testing.assert_allclose(row["joints_body25_confidence"], 0.9)
    assert row["body_fit_source"] == "file"


def test_residuals_say_how_well_the_body_agrees(built):
    for row in samples(built, "clip", "body_fit_landmark_residual_px", "body_fit_depth_residual_m").values():
        assert 0 <= row["body_fit_landmark_residual_px"] < 1.0
        assert (
            0 <= row["body_fit_depth_residual_m"] < 0.005
        )  # half a millimetre of rounding, and a coarse body
    for row in samples(built, "pictures", "body_fit_depth_residual_m").values():
        assert row["body_fit_depth_residual_m"] == -1


def test_volumes_and_labels_line_up_with_the_measured_person(built):
    fields = ("depth_raw_m", "part14", "K", "world_from_cam", "occupancy_128", "occupancy_128_world_from_vox")
    row = samples(built, "clip", *fields)[1]
    person, body = row["depth_raw_m"] > 0, row["part14"] > 0
    assert (person & body).sum() / (person | body).sum() > 0.85  # two pixels of rim at 100 px of person
    inside = np.argwhere(unpack(row["occupancy_128"], 128))
    points_m = points_from_vox(row["occupancy_128_world_from_vox"], inside.astype(float))
    places_m = transform(invert_rigid(row["world_from_cam"]), points_m)
    true_m = transform(PEOPLE.cam_from_body, PEOPLE.posed.vertices_m[1])
    for end in (np.min, np.max):
        # A voxel is 2 cm, and a hand may be turned.
        np.testing.assert_allclose(end(places_m, axis=0), end(true_m, axis=0), atol=0.05)


def test_a_picture_without_a_camera_gets_the_one_that_the_manifest_says(built):
    row = samples(built, "pictures", "K", "joints_coco17_px", "joints_smpl24_cam_m", *BODY[:4])[0]
    # The crop scales both axes alike, and keeps the rays: so the joints' rays tell the field of view.
    ray = np.linalg.inv(row["K"]) @ np.append(row["joints_coco17_px"][5], 1.0)
    wanted = PEOPLE.joints_m(COCO17)[0][5]
    np.testing.assert_allclose(ray[:2], wanted[:2] / wanted[2], atol=1e-4)
    true_m, fitted_m = PEOPLE.joints_m()[0], row["joints_smpl24_cam_m"]
    assert abs(fitted_m[0, 2] / true_m[0, 2] - 1) < 0.15  # how tall a person is, nothing in a picture tells
    assert np.linalg.norm(fitted_m - fitted_m[:1] - (true_m - true_m[:1]), axis=1).mean() < 0.12
    assert read_index(built)["captures"]["pictures"]["K_source"] == "assumed"
    assert sorted(samples(built, "pictures")) == [0]
    refused = [row for row in read_index(built)["quarantine"] if row["capture"] == "pictures"]
    assert [(row["stage"], row["frame"], row["reason"]) for row in refused] == [("fit", 1, "low-confidence")]


def test_a_clip_of_a_moving_person_has_one_shape(built):
    shapes = np.array([row["body_betas"] for row in samples(built, "clip", "body_betas").values()])
    np.testing.assert_array_equal(shapes, shapes[:1].repeat(4, axis=0))
    assert np.abs(shapes).max() > 0


def test_a_capture_whose_people_cannot_be_fitted_is_rejected_with_its_reason(built):
    assert read_index(built)["captures"]["hopeless"]["rejected"] == "no-keypoints"
    rows = [row for row in read_index(built)["quarantine"] if row["capture"] == "hopeless"]
    assert {(row["stage"], row["frame"]) for row in rows if row["frame"] is not None} == {
        ("fit", 4),
        ("fit", 6),
    }


def test_changed_key_points_are_fitted_anew_and_nothing_above_is(raw, built, own_places):
    def fingerprints() -> list[str]:
        forget()
        named = {"manifest": str(raw / "m.toml"), "capture": "clip"}
        return [stage(**named).fingerprint() for stage in (Ingest, Foreground, Fit, Voxels)]

    file = raw / "raw/clip/keypoints" / f"{1:012d}_keypoints.json"
    text, before = file.read_text(), fingerprints()
    file.write_text(text.replace("0.9", "0.8"))
    changed = [new != old for new, old in zip(fingerprints(), before, strict=True)]
    file.write_text(text)
    assert changed == [False, False, True, True] and fingerprints() == before


def test_named_pose_prior_is_read_and_its_content_counts(raw, tmp_path, monkeypatch, own_places):
    manifest = raw / "prior.toml"
    manifest.write_text(TABLE.replace("[stages.fit]", '[stages.fit]\npose_prior = "prior.npz"'))
    prior = raw / "raw" / "prior.npz"
    fingerprints = set()
    for content in (None, b"one", b"two"):
        if content is not None:
            prior.write_bytes(content)
        forget()
        fingerprints.add(Fit(manifest=str(manifest), capture="clip").fingerprint())
    prior.unlink()
    forget()
    fingerprints.add(Fit(manifest=str(raw / "m.toml"), capture="clip").fingerprint())
    assert len(fingerprints) == 4


def test_missing_pose_prior_is_named(forge, raw, built):
    told = TABLE.replace("[stages.fit]", '[stages.fit]\npose_prior = "nowhere.npz"')
    (raw / "missing.toml").write_text(told.replace('"fits"', '"fits"', 1))
    ended = forge.run("build", raw / "missing.toml")
    assert ended.code == 3 and "prior-missing" in ended.out and "nowhere.npz" in ended.out, ended.out
