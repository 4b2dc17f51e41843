"""Bodies kept in the small box that they fill: the same voxels, the same bits, wherever the grid cuts them."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from pipeline.voxels import occupancy_kernels as kernels
from pipeline.voxels.grids import points_to_vox
from pipeline.voxels.occupancy import filled_part, occupancy, within
from pipeline.voxels.packing import pack, pack_part
from pipeline.voxels.voxelise import voxelise, voxelise_part

seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(*[st.integers(1, 30)] * 3)
laws = settings(max_examples=60, deadline=None)


def lump(rng):
    """A bent ball whose lowest and highest places may be whole numbers, where rules of ownership decide."""
    ball = trimesh.creation.icosphere(2)
    vertices = np.array(ball.vertices) * rng.uniform(1, 12, 3) + rng.uniform(-12, 30, 3)
    vertices += 0.2 * np.sin(vertices[:, [1, 2, 0]])
    return (np.round(vertices) if rng.random() < 0.3 else vertices), np.array(ball.faces)


def on_the_whole_grid(vertices, faces, shape):
    """The scan over every column of a grid, without a box: voxels above 0, and how many are above and below."""
    middle = shape[0] // 2, shape[1] // 2
    farthest = max(np.abs(vertices - [*middle, 0]).max(), shape[0] / 2, shape[1] / 2)
    bits = 29 - int(np.ceil(np.log2(farthest)))
    places, heights, _ = kernels.place(vertices, *middle, bits)
    inside = np.zeros((*shape[:2], -(-shape[2] // 8) * 8), np.bool_)
    touched = np.zeros(shape[:2], np.uint8)
    first = -middle[0], -middle[1], 0
    kernels.cross(faces.astype(np.int32), places, heights, bits, first, inside.view(np.int8), touched)
    kernels.sum_up(inside.view(np.int8), inside.view(np.uint64), touched)
    return inside[..., : shape[2]]


@laws
@given(seeds, shapes)
def test_the_box_holds_what_a_scan_of_the_whole_grid_finds(seed, shape) -> None:
    vertices, faces = lump(np.random.default_rng(seed))
    expected = on_the_whole_grid(vertices, faces, shape)
    assert_array_equal(occupancy(vertices, faces, shape), expected)
    part, first = filled_part(vertices, faces, shape, max_open_share=0.05)
    assert_array_equal(within(shape, part, first), expected)
    assert first[2] % 8 == 0  # bytes of eight voxels fit it


def test_the_box_is_small() -> None:
    vertices, faces = lump(np.random.default_rng(1))
    vertices += [60, 70, 80] - vertices.min(axis=0)
    size = np.ptp(vertices, axis=0)
    part, first = filled_part(vertices, faces, (200, 200, 200), max_open_share=0.05)
    assert first == (60, 70, 80)
    assert (np.array(part.shape) <= np.ceil(size) + [2, 2, 9]).all()


@laws
@given(seeds, shapes)
def test_a_body_over_any_border_is_cut_there_and_its_share_told(seed, shape) -> None:
    vertices, faces = lump(np.random.default_rng(seed))
    whole = occupancy(vertices + 40, faces, (120, 120, 120))  # whole voxels on: the same ones
    expected = whole[tuple(slice(40, 40 + size) for size in shape)]
    inside, cut = voxelise(vertices, faces, np.eye(4), shape)
    part, first, same = voxelise_part(vertices, faces, np.eye(4), shape, max_open_share=0.05)
    assert_array_equal(inside, expected)
    assert cut == same == (1 - expected.sum() / whole.sum() if whole.any() else 0.0)
    assert_array_equal(pack_part(part, first, shape), pack(expected))


@laws
@given(seeds, shapes)
def test_a_packed_box_is_the_packed_grid(seed, shape) -> None:
    rng = np.random.default_rng(seed)
    first = tuple(int(rng.integers(0, size + 1)) for size in shape)
    part = (
        rng.random([rng.integers(0, size - start + 1) for size, start in zip(shape, first, strict=True)])
        < 0.5
    )
    assert_array_equal(pack_part(part, first, shape), pack(within(shape, part, first)))


@laws
@given(seeds)
def test_bounds_are_the_lowest_and_highest_and_tell_nan(seed) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(int(rng.integers(1, 20)), 3))
    assert_array_equal(kernels.bounds(points), [points.min(axis=0), points.max(axis=0)])
    points[rng.integers(len(points)), 1] = np.nan
    assert np.isnan(kernels.bounds(points)).tolist() == [[False, True, False]] * 2


@pytest.mark.parametrize("shape", [(3,), (7, 3), (2, 5, 3)])
def test_points_to_voxels_are_divided_by_their_own_w(shape) -> None:
    rng = np.random.default_rng(4)
    world_from_vox = np.eye(4) + 0.1 * rng.random((4, 4))
    points_m = rng.random(shape)
    vox_from_world = np.linalg.inv(world_from_vox)
    moved = points_m @ vox_from_world[:, :3].T + vox_from_world[:, 3]
    assert_array_equal(points_to_vox(world_from_vox, points_m), moved[..., :3] / moved[..., 3:])
