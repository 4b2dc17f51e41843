"""Key points beside a capture: found by frame number, read by person, and chosen by the mask."""

import json

import numpy as np
import pytest

from pipeline.captures.landmark_files import LandmarkFiles, best_on_mask, landmark_paths, open_landmarks
from pipeline.errors import InputError

SHAPE = (100, 200)
OPENPOSE = LandmarkFiles(kind="openpose", file="kp/a_{frame}_x.json")
COCO = LandmarkFiles(kind="coco", file="people.json")


def person(u: float, count: int = 25) -> dict:
    key = "pose_keypoints_2d" if count == 25 else "keypoints"
    return {key: np.column_stack([np.full(count, u), np.arange(count), np.full(count, 0.5)]).ravel().tolist()}


def test_openpose_files_are_found_by_the_number_in_their_name(tmp_path):
    (tmp_path / "kp").mkdir()
    for name in ("a_000007_x", "a_12_x", "a_12_y", "b_3_x", "a_x"):
        (tmp_path / "kp" / f"{name}.json").write_text(json.dumps({"people": [person(float(len(name)))]}))
    assert list(landmark_paths(tmp_path, OPENPOSE)) == [7, 12]
    reader = open_landmarks(tmp_path, OPENPOSE)
    (joints,) = reader.people(7, SHAPE)
    np.testing.assert_array_equal(joints.px[:, 0], 10.0)
    np.testing.assert_array_equal(joints.px[:, 1], np.arange(25))
    with pytest.raises(InputError, match="frame 3 must have the key points"):
        reader.people(3, SHAPE)


@pytest.mark.parametrize("wrapped", [False, True])
def test_coco_people_are_found_by_their_frame(tmp_path, wrapped):
    people = [
        {"image_id": frame, "score": 0.9, **person(u, 17)} for frame, u in ((3, 10.0), (5, 20.0), (3, 30.0))
    ]
    (tmp_path / "people.json").write_text(json.dumps({"annotations": people} if wrapped else people))
    reader = open_landmarks(tmp_path, COCO)
    assert [float(joints.px[0, 0]) for joints in reader.people(3, SHAPE)] == [10.0, 30.0]
    assert len(reader.people(5, SHAPE)) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("not json", "annotation-malformed"),
        ('{"people": 3}', "annotation-malformed"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "annotation-malformed"),
        ('{"people": []}', "no-keypoints"),
        (json.dumps({"people": [{"pose_keypoints_2d": [0.0] * 75}]}), "no-keypoints"),
        (json.dumps({"people": [{"pose_keypoints_2d": [1e6, 0.0, 1.0] * 25}]}), "annotation-malformed"),
    ],
)
def test_what_is_no_persons_key_points_is_refused(tmp_path, content, reason):
    (tmp_path / "kp").mkdir()
    (tmp_path / "kp" / "a_1_x.json").write_text(content)
    with pytest.raises(InputError) as caught:
        open_landmarks(tmp_path, OPENPOSE).people(1, SHAPE)
    assert caught.value.reason == reason


@pytest.mark.parametrize("options", [OPENPOSE, COCO])
def test_missing_files_are_told(tmp_path, options):
    with pytest.raises(InputError, match="must"):
        open_landmarks(tmp_path, options)


def test_the_person_on_the_mask_is_taken_however_sure_the_other_is():
    mask = np.zeros(SHAPE, dtype=np.bool_)
    mask[:, 90:] = True
    there = np.ones(3, dtype=np.bool_)
    beside = (np.full((3, 2), 20.0), np.full(3, 0.9, np.float32), there)
    on_it = (np.full((3, 2), 95.0), np.full(3, 0.4, np.float32), there)
    outside = (np.full((3, 2), -500.0), np.ones(3, np.float32), there)
    assert best_on_mask([beside, outside, on_it], mask) is on_it
    assert best_on_mask([beside], mask) is beside
