"""The person of a picture: cut out of a box, found where there is one."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.person import cut_person, find_person


def a_figure() -> tuple[np.ndarray, np.ndarray]:
    """A blue figure with a head, before noisy green; RGB and its mask."""
    mask = np.zeros((240, 320), np.uint8)
    cv2.ellipse(mask, (150, 140), (30, 80), 0, 0, 360, 1, -1)
    cv2.circle(mask, (150, 48), 18, 1, -1)
    noise = np.random.default_rng(0).integers(0, 30, (240, 320, 3))
    image = np.where(mask[..., None] > 0, [40, 60, 170], [70, 150, 60]) + noise
    return image.astype(np.uint8), mask > 0


def test_what_stands_out_of_a_box_is_cut_out_and_the_same_again():
    image, truth = a_figure()
    found = cut_person(image, (110, 22, 190, 228))
    assert (found & truth).sum() / (found | truth).sum() > 0.97  # but for the outline's pixels
    np.testing.assert_array_equal(found, cut_person(image, (110, 22, 190, 228)))


def test_nothing_outside_the_box_is_the_person():
    image, truth = a_figure()
    found = cut_person(image, (110, 100, 190, 228))
    assert not found[:100].any() and (found[102:] & truth[102:]).any()


def test_box_without_pixels_is_refused():
    with pytest.raises(ValueError, match="box must hold pixels of 320 x 240 px"):
        cut_person(a_figure()[0], (400, 10, 500, 100))


def test_nobody_is_found_in_noise():
    assert find_person(np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)) is None


def test_opencv_without_a_finder_finds_nobody_and_says_so(monkeypatch, caplog):
    monkeypatch.delattr(cv2, "HOGDescriptor")
    assert find_person(a_figure()[0]) is None and "no person finder" in caplog.text


@pytest.mark.real_data
def test_person_of_a_photo_is_found_and_cut_out_as_another_network_did():
    root = os.environ.get("BODYTRUTH_DATA_ROOT")
    if not root:
        pytest.skip("BODYTRUTH_DATA_ROOT is not set")
    folder = Path(root) / "densepose"
    image = cv2.imread(str(folder / "demo_im.jpg"))[..., ::-1]
    people = cv2.imread(str(folder / "demo_im_INDS.png"), cv2.IMREAD_GRAYSCALE)
    box = find_person(image)
    assert box is not None
    mask = cut_person(image, box)
    overlap = max(
        (mask & (people == person)).sum() / (mask | (people == person)).sum()
        for person in np.unique(people[people > 0])
    )
    assert overlap > 0.7  # the published masks are rounder than the person
