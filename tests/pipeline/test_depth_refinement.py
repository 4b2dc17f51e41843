"""The solver of depth and normals against the network's layer, run to the end, and against known surfaces."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.depth_refinement import depth_with_normals
from training.networks.refinement import Refinement, refine_depth

PITCH_M = 0.0078


def lens(size):
    return np.array([[277.0, 0, (size - 1) / 2], [0, 277.0, (size - 1) / 2], [0, 0, 1]])


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def wavy(size=24):
    """Depth, normals that do not fit it, and a mask with a hole and an island."""
    rng = np.random.default_rng(0)
    depth_m = (2 + 0.005 * rng.standard_normal((size, size))).astype(np.float32)
    normal = unit(np.dstack([*(0.3 * rng.standard_normal((2, size, size))), np.full((size, size), -1.0)]))
    mask = np.ones((size, size), bool)
    mask[5:9, 7:12] = mask[:, 17] = mask[20] = False
    return depth_m, normal, mask


@pytest.mark.parametrize(("perspective", "tolerance_m"), [(False, 3e-7), (True, 5e-5)])
def test_the_layers_steps_converge_to_it(perspective, tolerance_m):
    # Float32 at 2 m has steps of 2.4e-7 m. Through a lens the layer takes a ratio's inverse for its transpose.
    depth_m, normal, mask = wavy()
    K = lens(24) if perspective else None
    solved_m = depth_with_normals(depth_m, normal, mask, K=K, pitch_m=PITCH_M)
    steps_m = refine_depth(
        torch.from_numpy(depth_m)[None].double(),
        torch.from_numpy(normal).movedim(-1, 0)[None].double(),
        torch.from_numpy(mask)[None],
        K=None if K is None else torch.from_numpy(K)[None],
        pitch_m=PITCH_M,
        how=Refinement(iterations=300),
    )[0].numpy()
    moved_m = np.abs(solved_m - depth_m)[mask].max()
    assert moved_m > 5e-3
    np.testing.assert_allclose(solved_m, steps_m, rtol=0, atol=tolerance_m)


def test_it_has_the_least_energy():
    depth_m, normal, mask = wavy()
    keep = 0.3

    def energy(z):
        total = keep * np.square(z - depth_m)[mask].sum()
        for axis, (a, b) in enumerate(
            (
                ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
                ((slice(None, -1),), (slice(1, None),)),
            )
        ):
            both = mask[a] & mask[b] & (np.abs(depth_m[b] - depth_m[a]) <= 0.03)
            for plane in (normal[a], normal[b]):
                rise = -PITCH_M * plane[..., axis].astype(float) / plane[..., 2]
                use = both & (np.abs(rise) <= 0.03)
                total += (1 - keep) / 8 * np.square(z[b] - z[a] - rise)[use].sum()
        return total

    solved_m = depth_with_normals(depth_m, normal, mask, K=None, pitch_m=PITCH_M, keep=keep).astype(float)
    rng, least = np.random.default_rng(1), energy(solved_m)
    # A step of 1e-4 m raises a sum of squares by some 1e-9 a pixel; float32's rounding by 1e-6 of that.
    assert all(energy(solved_m + 1e-4 * mask * rng.standard_normal(mask.shape)) > least for _ in range(20))


@pytest.mark.parametrize(("keep", "least_mm", "most_mm"), [(0.4, 9, 11), (0.001, 0, 0.8)])
def test_few_doubts_of_the_normals_put_a_smoothed_wave_back(keep, least_mm, most_mm):
    wave_px, size = 0.15 / PITCH_M, 128
    phase = 2 * np.pi / wave_px * np.arange(size)
    depth_m = np.broadcast_to(0.02 * np.sin(phase), (size, size))
    slope = np.broadcast_to(0.02 * 2 * np.pi / 0.15 * np.cos(phase), (size, size))
    normal = unit(np.dstack([slope, np.zeros_like(slope), -np.ones_like(slope)]))
    smoothed_m = (0.27 * depth_m).astype(np.float32)  # 10.3 mm are missing
    solved_m = depth_with_normals(
        smoothed_m, normal, np.ones((size, size), bool), K=None, pitch_m=PITCH_M, keep=keep
    )
    error_mm = 1e3 * np.sqrt(np.mean((solved_m - depth_m)[:, 20:-20] ** 2))
    assert least_mm <= error_mm < most_mm


@given(x=st.floats(-0.8, 0.8), y=st.floats(-0.8, 0.8), perspective=st.booleans())
@settings(max_examples=15, deadline=None)
def test_a_plane_with_its_own_normals_stays_where_it_is(x, y, perspective):
    size = 16
    v, u = np.indices((size, size)) - (size - 1) / 2
    depth_m = 2 / (1 - (x * u + y * v) / 277) if perspective else 2 + (x * u + y * v) * PITCH_M
    normal = unit(np.broadcast_to([x, y, -1.0], (size, size, 3)))
    solved_m = depth_with_normals(
        depth_m.astype(np.float32), normal, np.ones((size, size), bool), K=lens(size) if perspective else None,
        pitch_m=PITCH_M, keep=0.01,
    )  # fmt: skip
    # Normals of float32 lean by 6e-8; over 16 px of 8 mm and steps of 2.4e-7 m that is below a micrometre.
    np.testing.assert_allclose(solved_m, depth_m, rtol=0, atol=1e-6)


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1.0])
def test_nothing_is_read_outside_of_the_mask(poison):
    depth_m, normal, mask = wavy()
    clean = depth_with_normals(depth_m, normal, mask, K=lens(24))
    depth_m[~mask], normal[~mask] = poison, poison
    found = depth_with_normals(depth_m, normal, mask, K=lens(24))
    assert np.array_equal(found, clean) and not found[~mask].any() and found.dtype == np.float32


def test_without_neighbours_normals_or_a_mask_depth_stays():
    depth_m, normal, mask = wavy()
    unknown = depth_with_normals(depth_m, np.zeros_like(normal), mask, K=lens(24))
    assert np.array_equal(unknown, np.where(mask, depth_m, 0))
    alone = np.zeros_like(mask)
    alone[::2, ::2] = True
    assert np.array_equal(depth_with_normals(depth_m, normal, alone, K=None), np.where(alone, depth_m, 0))
    assert not depth_with_normals(depth_m, normal, np.zeros_like(mask), K=None).any()


def test_surfaces_apart_do_not_pull():
    depth_m = np.full((16, 16), 2.0, np.float32)
    depth_m[:, 8:] = 2.1
    normal = np.broadcast_to(np.float32([0, 0, -1]), (16, 16, 3))
    full = np.ones((16, 16), bool)
    assert np.array_equal(depth_with_normals(depth_m, normal, full, K=None), depth_m)
    joined = depth_with_normals(depth_m, normal, full, K=None, max_step_m=0.2)
    assert joined[0, 8] - joined[0, 7] < 0.09


@pytest.mark.parametrize("perspective", [False, True])
def test_a_plane_on_edge_does_not_pull(perspective):
    level_m, normal = np.full((16, 16), 2.0, np.float32), np.tile(np.float32([0, 0, -1]), (16, 16, 1))
    normal[8, 8] = 0.999, 0, -np.sqrt(1 - 0.999**2)  # 170 mm a pixel
    K = lens(16) if perspective else None
    full = np.ones((16, 16), bool)
    assert np.array_equal(depth_with_normals(level_m, normal, full, K=K, pitch_m=PITCH_M), level_m)
    pulled_m = depth_with_normals(level_m, normal, full, K=K, pitch_m=PITCH_M, max_step_m=1.0)
    assert np.abs(pulled_m - level_m).max() > 0.01


def test_wrong_arguments_are_named():
    depth_m, normal, mask = wavy()
    with pytest.raises(ValueError, match="normal must be"):
        depth_with_normals(depth_m, normal[..., 0], mask, K=None)
    with pytest.raises(ValueError, match="keep must be above 0 and at most 1"):
        depth_with_normals(depth_m, normal, mask, K=None, keep=0.0)
    with pytest.raises(ValueError, match="max_step_m positive"):
        depth_with_normals(depth_m, normal, mask, K=None, max_step_m=0.0)
