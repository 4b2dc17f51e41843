"""People in whole pictures, by a network that sees red: boxes, joints in the picture's pixels, and nobody."""

import json
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from pipeline.errors import InputError
from training import landmark_pictures
from training.landmark_joints import LANDMARK27
from training.landmark_person import find_people
from training.landmark_pictures import predict_landmark_pictures
from training.landmark_predictor import load_landmark_model, predict_landmarks, predict_person
from training.landmark_reading import Reading

SIZE = 96


class RedSeer:
    """Body is what is red; every joint lies in the middle of the red, the right ankle at its lowest row."""

    size_px, calibration = SIZE, None
    trained = SimpleNamespace(recipe=SimpleNamespace(name="red"), state={"step": 1})

    def read(self, images):
        assert all(side % 32 == 0 for side in images.shape[1:3])
        return [self._reading(image) for image in images]

    def _reading(self, image):
        body = ((image[..., 0] > 120) & (image[..., 1] < 80)).astype(np.float32)
        joints, mass = np.zeros((27, 2)), np.zeros(27)
        if body.sum() > 20:
            rows, columns = np.nonzero(body)
            joints[:] = columns.mean(), rows.mean()
            joints[0, 1] = rows.max()
            mass[:] = 0.9
        uv = np.zeros((*body.shape, 2), np.float32)
        uv[body > 0] = 0.5
        return Reading(joints_px=joints, mass=mass, part=(5 * body).astype(np.uint8), uv=uv, body=body)

    def confidence(self, reading):
        return reading.mass


def picture(*boxes, shape=(300, 420)):
    """Red boxes (left, top, right, bottom) before grey."""
    image = np.full((*shape, 3), 128, np.uint8)
    for left, top, right, bottom in boxes:
        image[top:bottom, left:right] = (200, 30, 30)
    return image


BOX = (100, 60, 160, 240)


def test_the_square_of_a_person_is_that_of_its_box():
    found = find_people(RedSeer().read, picture(BOX), SIZE)
    u0, v0, side = found.square
    assert found.people == 1
    # 180 px of height with a tenth above and below; a pixel of the network's square is 2.25 px here.
    assert side == pytest.approx(216, abs=6)
    assert (u0 + side / 2, v0 + side / 2) == (pytest.approx(130, abs=3), pytest.approx(150, abs=3))


@pytest.mark.parametrize("factor", [0.25, 1, 3])
def test_joints_stand_in_the_pixels_of_the_picture(factor):
    image = cv2.resize(picture(BOX), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    person = predict_person(RedSeer(), image)
    pixel = 216 / SIZE * factor  # of the network, in the picture's
    np.testing.assert_allclose(person.joints_px[1], [130 * factor - 0.5, 150 * factor - 0.5], atol=pixel)
    np.testing.assert_allclose(person.joints_px[0, 1], 240 * factor - 1, atol=1.5 * pixel)
    assert person.confidence == pytest.approx(0.9) and person.people == 1
    truth = (image[..., 0] > 160) & (image[..., 1] < 80)
    overlap = np.count_nonzero(truth & (person.part == 5)) / np.count_nonzero(truth | (person.part > 0))
    assert overlap > 0.9 and (person.uv[person.part > 0] == 0.5).all()


def test_a_box_that_is_given_is_taken():
    person = predict_person(RedSeer(), picture(BOX, (260, 20, 410, 290)), box=BOX)
    assert abs(person.joints_px[1, 0] - 130) < 20 and person.people == 1


def test_of_two_people_the_largest_is_taken_and_both_are_told():
    person = predict_person(RedSeer(), picture(BOX, (260, 40, 340, 270)))
    assert person.people == 2
    np.testing.assert_allclose(person.joints_px[1], [299.5, 154.5], atol=4)
    assert predict_person(RedSeer(), picture(BOX, (300, 100, 312, 130))).people == 1  # a speck beside


def test_a_wall_has_no_joints():
    person = predict_person(RedSeer(), picture())
    assert person.people == 0 and person.square is None
    assert not person.confidence.any() and not person.joints_px.any() and not person.part.any()


def test_a_person_of_whom_no_joint_is_sure_is_nobody():
    doubting = RedSeer()
    doubting.confidence = lambda reading: np.where(np.arange(27) < 8, 0.49, 0.0)
    person = predict_person(doubting, picture(BOX))
    assert person.people == 0 and person.presence == pytest.approx(0.49) and not person.part.any()


def test_joints_beyond_the_border_are_not_sure():
    seer = RedSeer()
    read = seer.read
    seer.read = lambda images: [replace(each, joints_px=each.joints_px + [0, 45]) for each in read(images)]
    person = predict_person(seer, picture((150, 150, 230, 300)))
    assert (person.joints_px[:, 1] > 300).all() and not person.confidence.any() and person.people == 1


def test_several_pictures_of_several_sizes():
    found = predict_landmarks([picture(BOX), picture(shape=(64, 50))], model=RedSeer())
    assert found.joints_px.shape == (2, 27, 2) and found.confidence[0].all() and not found.confidence[1].any()
    assert [each.shape for each in found.part] == [(300, 420), (64, 50)]
    with pytest.raises(ValueError, match="boxes"):
        predict_landmarks([picture()], model=RedSeer(), boxes=[])
    with pytest.raises(ValueError, match="uint8"):
        predict_person(RedSeer(), picture().astype(np.float32))


def test_missing_checkpoints_are_named(tmp_path):
    with pytest.raises(InputError, match="state.json"):
        load_landmark_model(tmp_path)


@pytest.fixture
def predicted(monkeypatch, tmp_path):
    monkeypatch.setattr(landmark_pictures, "load_landmark_model", lambda *_, **__: RedSeer())

    def predict(name, image):
        cv2.imwrite(str(tmp_path / name), image[..., ::-1] if image.ndim == 3 else image)
        return predict_landmark_pictures(tmp_path, [tmp_path / name], tmp_path / "out")[0]

    return predict


def test_files_of_a_picture(predicted, tmp_path):
    record = predicted("a.png", picture(BOX))
    again = json.loads((tmp_path / "out" / "a.joints.json").read_text())
    assert again == record and record["person"] and record["people"] == 1
    assert list(record["joints"]["landmark27"]) == list(LANDMARK27.names)
    u, v, sure = record["joints"]["coco17"]["nose"]
    assert (u, v, sure) == (pytest.approx(129.5, abs=3), pytest.approx(149.5, abs=3), 0.9)
    assert len(record["joints"]["mpii16"]) == 16 and len(record["joints"]["body25"]) == 25
    part, chart_u, chart_v = np.moveaxis(cv2.imread(str(tmp_path / "out" / "a.iuv.png")), -1, 0)
    assert part[150, 130] == 5 and chart_u[150, 130] == chart_v[150, 130] == 128 and not part[5, 5]
    drawn = cv2.imread(str(tmp_path / "out" / "a.overlay.png"))
    assert (
        drawn.shape == (300, 420, 3)
        and (drawn[5, 5] == 128).all()
        and (drawn[100, 110] != [30, 30, 200]).any()
    )


def test_a_wall_is_said_to_be_one(predicted, caplog):
    record = predicted("wall.png", picture())
    assert not record["person"] and "no person" in caplog.text
    assert all(sure == 0 for _, _, sure in record["joints"]["landmark27"].values())


def test_two_people_are_told(predicted, caplog):
    assert predicted("two.png", picture(BOX, (260, 60, 320, 240)))["people"] == 2
    assert "2 people" in caplog.text


def test_grey_and_16_bit_pictures_are_read_as_they_look(predicted, monkeypatch):
    seen = []
    monkeypatch.setattr(
        landmark_pictures,
        "predict_person",
        lambda model, image, box: seen.append(image) or predict_person(model, image, box=box),
    )
    grey = picture(BOX)[..., 0]
    predicted("grey.png", grey)
    predicted("deep.png", grey.astype(np.uint16) * 257)
    predicted("deep_color.png", picture(BOX).astype(np.uint16) * 257)
    assert all(np.array_equal(seen[0][..., channel], grey) for channel in range(3))
    np.testing.assert_array_equal(seen[1], seen[0])
    np.testing.assert_array_equal(seen[2], picture(BOX))
