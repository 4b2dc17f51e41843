"""Colours: from rest places alone, sharp patterns, face marks where the face has them."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.simulation.identity import draw_identity
from pipeline.simulation.outfit import PATTERNS, draw_outfit
from pipeline.simulation.textures import appearance_at
from pipeline.simulation.wardrobe import REGIONS, Wardrobe, dress


@pytest.fixture(scope="module")
def wardrobe() -> Wardrobe:
    """Long hair, a shirt with long sleeves and trousers."""
    return dress(draw_identity(np.random.default_rng(2)), draw_outfit(np.random.default_rng(52)))


def _with_top(wardrobe: Wardrobe, **cloth: object) -> Wardrobe:
    top = replace(wardrobe.outfit.top, cloth=replace(wardrobe.outfit.top.cloth, **cloth))
    return replace(wardrobe, outfit=replace(wardrobe.outfit, top=top))


def _chest(wardrobe: Wardrobe, count: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(0)
    return wardrobe.fine.joint_m("spine3") + rng.uniform([-0.15, -0.2, 0.08], [0.15, 0.15, 0.12], (count, 3))


def _regions(name: str, count: int) -> np.ndarray:
    return np.full(count, REGIONS.index(name), np.uint8)


def test_colours_are_shares_and_depend_on_the_place_alone(wardrobe: Wardrobe) -> None:
    points = wardrobe.rest_m[wardrobe.faces[:, 0]]
    whole = appearance_at(points, wardrobe.region, wardrobe)
    assert whole.albedo.shape == (len(points), 3) and whole.albedo.dtype == np.float32
    for values in (whole.albedo, whole.infrared):
        assert np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1
    some = np.arange(0, len(points), 97)[::-1]
    part = appearance_at(points[some], wardrobe.region[some], wardrobe)
    np.testing.assert_allclose(part.albedo, whole.albedo[some], atol=1e-6)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_shows_both_colours_and_plain_cloth_one(wardrobe: Wardrobe, pattern: str) -> None:
    colors, infrared = np.array([[0.1, 0.1, 0.1], [0.1, 0.1, 0.7]]), np.array([0.1, 0.8])
    person = _with_top(wardrobe, pattern=pattern, colors=colors, infrared=infrared, period_m=0.05)
    points = _chest(wardrobe)
    seen = appearance_at(points, _regions("top", len(points)), person).infrared
    share = np.mean(seen > 0.45)
    assert (share == 0) if pattern == "plain" else (0.05 < share < 0.95)


def test_level_stripes_change_with_height_and_not_along_it(wardrobe: Wardrobe) -> None:
    person = _with_top(
        wardrobe, pattern="stripes", tilt_rad=0.0, infrared=np.array([0.0, 1.0]), period_m=0.05
    )
    heights = np.linspace(0.1, 0.3, 2001)
    row = np.stack([np.full_like(heights, 0.05), heights, np.full_like(heights, 0.1)], axis=1)
    seen = appearance_at(row, _regions("top", len(row)), person).infrared
    assert np.array_equal(
        seen, appearance_at(row + [0.07, 0, -0.2], _regions("top", len(row)), person).infrared
    )
    rises = heights[1:][np.diff(seen) > 0.5]
    np.testing.assert_allclose(np.diff(rises), 0.05, atol=2e-4)  # a period, to two steps of the row


def test_a_print_is_on_the_chest_and_not_on_the_back(wardrobe: Wardrobe) -> None:
    person = _with_top(wardrobe, pattern="print", infrared=np.array([0.0, 1.0]))
    front = _chest(wardrobe)
    back = front - [0, 0, 0.2]  # a chest is some 20 cm deep
    assert appearance_at(front, _regions("top", len(front)), person).infrared.any()
    assert not appearance_at(back, _regions("top", len(back)), person).infrared.any()


def test_eyes_are_white_and_dark_in_the_middle_and_lips_are_lips(wardrobe: Wardrobe) -> None:
    marks, identity = wardrobe.fine.landmarks_m, wardrobe.identity
    for name in ("left_eye", "right_eye"):
        spots = marks[name] + np.array([[0.0, 0, 0], [0.009, 0, 0], [-0.009, 0, 0]])
        pupil, *white = appearance_at(spots, _regions("skin", 3), wardrobe).albedo
        assert pupil.max() < 0.02
        assert np.min(white) > 0.4
    mouth = appearance_at(marks["nose"][None] - [[0, 0.034, 0.01]], _regions("skin", 1), wardrobe).albedo[0]
    np.testing.assert_allclose(mouth, identity.lips_rgb, atol=1e-6)
    behind = marks["left_eye"] * [1, 1, -1]
    assert (
        np.abs(
            appearance_at(behind[None], _regions("skin", 1), wardrobe).albedo[0] / identity.skin_rgb - 1
        ).max()
        < 0.4
    )
