"""Depth between pixels, place by place, against the same rule written with whole arrays: equal to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.depth_resampling import LIKE_SHARE, MODERATE_SLOPE, STEEPEST_SLOPE, depth_between

K = np.array([[60.0, 0, 22.4], [0, 58.0, 14.7], [0, 0, 1]])
HEIGHT, WIDTH = 22, 31


def by_arrays(depth_m, u_px, v_px, nearest_m):
    inverse = np.divide(1.0, depth_m, out=np.zeros(depth_m.shape), where=depth_m > 0, dtype=np.float64)
    across, down = joined(inverse, K[0, 0]), joined(inverse.T, K[1, 1]).T
    whole = across[:-1] & across[1:] & down[:, :-1] & down[:, 1:]
    (u, share_u, inside_u), (v, share_v, inside_v) = cells(u_px, WIDTH), cells(v_px, HEIGHT)
    usable = inside_v[:, None] & inside_u & whole[v[:, None], u]
    top, bottom = (
        (1 - share_u) * inverse[row[:, None], u] + share_u * inverse[row[:, None], u + 1]
        for row in (v, v + 1)
    )
    between = (1 - share_v[:, None]) * top + share_v[:, None] * bottom
    found_m = np.divide(1.0, between, out=np.zeros_like(between), where=between > 0)
    return np.where(usable, found_m, nearest_m).astype(depth_m.dtype)


def cells(places_px, size):
    before = np.floor(places_px).astype(int)
    before = np.where((before == size - 1) & (places_px == before), size - 2, before)
    return np.clip(before, 0, size - 2), places_px - before, (before >= 0) & (before < size - 1)


def joined(inverse, focal_px):
    """Of each pixel and the next in its row."""
    first, second = inverse[:, :-1], inverse[:, 1:]
    valid = (first > 0) & (second > 0)
    steps = np.where(valid, second - first, 0.0)
    relative = np.abs(steps) / np.where(valid, np.minimum(first, second), 1.0) * focal_px
    beside = np.zeros_like(steps)
    beside[:, 1:] = np.maximum(beside[:, 1:], np.sign(steps[:, 1:]) * steps[:, :-1])
    beside[:, :-1] = np.maximum(beside[:, :-1], np.sign(steps[:, :-1]) * steps[:, 1:])
    goes_on = beside >= LIKE_SHARE * np.abs(steps)
    return valid & ((relative <= MODERATE_SLOPE) | ((relative <= STEEPEST_SLOPE) & goes_on))


def folded(rng, dtype):
    """Planes of any slope, cut by gaps and holes: steps lie on both sides of each of the rule's limits."""
    slopes = rng.choice([0.0, 2.0, 5.0, 9.0], (2, 3)).repeat(11, axis=1)
    ramps = (rng.choice([-1, 1]) * slope for slope in slopes)
    down, across = (np.cumsum(ramp)[:size] / 60 for ramp, size in zip(ramps, (HEIGHT, WIDTH), strict=True))
    depth_m = 2.0 * np.exp(down[:, None] + across) * np.where(rng.random((HEIGHT, WIDTH)) < 0.97, 1, 0)
    depth_m[:, rng.integers(1, WIDTH) :] *= 1.3
    return (depth_m + 0.004 * rng.random(depth_m.shape) * (depth_m > 0)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_each_place_is_what_whole_arrays_give(dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    depth_m = np.pad(folded(rng, dtype), ((0, 9), (0, 2)))[:HEIGHT, :WIDTH]
    corner, step = rng.uniform(-8, 20, 2), rng.choice([0.25, 0.5, 1.0, rng.uniform(0.1, 2)])
    if rng.random() < 0.5:
        corner = np.round(corner)  # on pixel centres, the last row's and column's too
    u_px, v_px = corner[0] + step * np.arange(37), corner[1] + step * np.arange(33)
    u, v = np.floor(u_px + 0.5).astype(int), np.floor(v_px + 0.5).astype(int)
    inside = ((v >= 0) & (v < HEIGHT))[:, None] & ((u >= 0) & (u < WIDTH))
    nearest_m = np.where(
        inside, depth_m[np.clip(v, 0, HEIGHT - 1)[:, None], np.clip(u, 0, WIDTH - 1)], dtype(0)
    )
    before = nearest_m.copy()
    found_m = depth_between(depth_m, K, u_px, v_px, nearest_m=nearest_m)
    np.testing.assert_array_equal(found_m, by_arrays(depth_m, u_px, v_px, nearest_m))
    assert found_m.dtype == dtype
    np.testing.assert_array_equal(nearest_m, before)  # the caller's stays as it was


def test_maps_reach_both_sides_of_every_limit() -> None:
    """Else the law above would hold of a rule that lacks one."""
    inverse = [1 / np.maximum(folded(np.random.default_rng(seed), np.float64), 1e-9) for seed in range(20)]
    relative = np.concatenate(
        [(np.abs(np.diff(i)) / np.minimum(i[:, 1:], i[:, :-1]) * K[0, 0]).ravel() for i in inverse]
    )
    for low, high in ((0, 1), (1.5, MODERATE_SLOPE), (MODERATE_SLOPE, STEEPEST_SLOPE), (STEEPEST_SLOPE, 12)):
        assert ((relative > low) & (relative < high)).sum() > 50
