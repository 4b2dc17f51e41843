"""The box of a mask and its points, against every pixel looked at by itself."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.masks import mask_box, masked_points

K = np.array([[61.7, 0, 9.3], [0, 60.1, 7.9], [0, 0, 1]])
seeds = st.integers(0, 2**32 - 1)
laws = settings(max_examples=60, deadline=None)


def some_mask(seed: int) -> np.ndarray:
    """Pixels (14 19) within a box that may touch any of the borders, or none at all."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((14, 19), bool)
    top, left = rng.integers(0, 14), rng.integers(0, 19)
    part = mask[top : top + rng.integers(0, 15), left : left + rng.integers(0, 20)]
    part[...] = rng.random(part.shape) < 0.4
    return mask


@laws
@given(seeds, st.integers(0, 3))
def test_the_box_ends_with_the_mask_or_its_ring_or_the_picture(seed: int, ring_px: int) -> None:
    mask = some_mask(seed)
    grown = np.zeros_like(mask)
    for v, u in np.argwhere(mask):
        grown[max(0, v - ring_px) : v + ring_px + 1, max(0, u - ring_px) : u + ring_px + 1] = True
    rows, columns = mask_box(mask, ring_px=ring_px)
    if not mask.any():
        assert grown[rows, columns].size == 0
        return
    places = np.argwhere(grown)
    assert [rows.start, columns.start] == places.min(axis=0).tolist()
    assert [rows.stop, columns.stop] == (places.max(axis=0) + 1).tolist()


@laws
@given(seeds)
def test_points_are_those_of_the_pixels_one_by_one_to_the_last_bit(seed: int) -> None:
    mask = some_mask(seed)
    depth_m = np.random.default_rng(seed).uniform(1, 3, mask.shape).astype(np.float32)
    depth_m[~mask] = np.nan  # what is not read harms nothing
    expected = []
    for v, u in np.argwhere(mask):
        z = float(depth_m[v, u])
        expected.append([(u - K[0, 2]) / K[0, 0] * z, (v - K[1, 2]) / K[1, 1] * z, z])
    found = masked_points(mask, depth_m, K)
    np.testing.assert_array_equal(found, np.array(expected).reshape(-1, 3))
