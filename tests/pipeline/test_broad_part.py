"""The broad part of a person, looked for in their box alone, against the whole picture."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.gates.person import broad_part

HEIGHT, WIDTH = 40, 52
seeds = st.integers(0, 2**32 - 1)
laws = settings(max_examples=80, deadline=None)


def in_the_whole_picture(mask: np.ndarray, radius_px: float) -> np.ndarray:
    core = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) >= radius_px
    if not core.any():
        return np.zeros_like(mask)
    return mask & (cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 5) <= radius_px)


@laws
@given(seeds, st.floats(0.5, 9))
def test_the_box_gives_what_the_whole_picture_gives(seed: int, radius_px: float) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(rng.integers(1, 6)):  # some reach over the picture's border
        centre = (int(rng.integers(-5, WIDTH + 5)), int(rng.integers(-5, HEIGHT + 5)))
        cv2.ellipse(mask, centre, rng.integers(1, 16, 2).tolist(), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    mask[rng.random(mask.shape) < 0.005] = 0  # holes
    np.testing.assert_array_equal(broad_part(mask > 0, radius_px), in_the_whole_picture(mask > 0, radius_px))


def test_the_pictures_border_is_no_edge_of_the_person() -> None:
    """A strip 8 px wide along a border is as broad as one 16 px wide: what lies beyond is not known to be empty."""
    for side in range(4):
        mask = np.zeros((HEIGHT, WIDTH), bool)
        np.rot90(mask, side)[:8] = True
        assert broad_part(mask, 7.5).sum() == mask.sum()
        assert not broad_part(np.roll(mask, (3, 3), axis=(0, 1)), 7.5).any()


def test_a_mask_without_pixels_or_without_an_edge_is_no_special_case() -> None:
    assert not broad_part(np.zeros((HEIGHT, WIDTH), bool), 2.0).any()
    assert broad_part(np.ones((HEIGHT, WIDTH), bool), 2.0).all()
