"""The derived table of marching cubes, and meshes of fields of random signs."""

import numpy as np
import pytest

from pipeline.fusion.marching_table import (
    cube_faces,
    on_one_face,
    surface_loops,
    triangle_table,
    triangulate,
)
from pipeline.fusion.volume import Volume
from pipeline.meshes import is_watertight

CORNERS = np.array([(c & 1, c >> 1 & 1, c >> 2) for c in range(8)])


def middle_of(edge: int) -> np.ndarray:
    middle = CORNERS[edge // 3].astype(float)
    middle[edge % 3] += 0.5
    return middle


def test_every_crossed_edge_is_on_one_loop_and_no_other_is() -> None:
    for case in range(256):
        crossed = {
            3 * low + axis
            for low in range(8)
            for axis in range(3)
            if not low >> axis & 1 and (case >> low & 1) != (case >> (low | 1 << axis) & 1)
        }
        edges = [edge for loop in surface_loops(case) for edge in loop]
        assert len(edges) == len(set(edges))
        assert set(edges) == crossed


def test_no_diagonal_runs_along_a_face_of_the_cube() -> None:
    for case in range(256):
        for loop in surface_loops(case):
            rim = {frozenset((loop[n - 1], loop[n])) for n in range(len(loop))}
            triangles = triangulate(loop)
            assert len(triangles) == len(loop) - 2
            sides = {frozenset((t[n - 1], t[n])) for t in triangles for n in range(3)}
            assert rim <= sides
            assert not any(on_one_face(*side) for side in sides - rim)


def test_a_single_corner_is_cut_off_by_a_triangle_that_looks_away_from_it() -> None:
    table, count = triangle_table()
    for corner in range(8):
        case = 1 << corner
        assert count[case] == 1
        a, b, c = (middle_of(edge) for edge in table[case, 0].tolist())
        assert np.cross(b - a, c - a) @ ((a + b + c) / 3 - CORNERS[corner]) > 0


def test_faces_of_the_cube_are_counter_clockwise_from_outside() -> None:
    for face in cube_faces():
        a, b, c, d = CORNERS[list(face)].astype(float)
        assert np.cross(b - a, c - b) @ ((a + b + c + d) / 4 - 0.5) > 0


def volume_of(distance: np.ndarray) -> Volume:
    """A volume of 2 x 2 x 2 blocks that holds a field (16 16 16) with x as its last axis."""
    volume = Volume(voxel_m=1.0, trunc_m=4.0, limit_gb=1.0, reserve=8)
    volume.index, volume.blocks = np.arange(8, dtype=np.int32).reshape(2, 2, 2), 8
    for block in range(8):
        i, j, k = block >> 2, block >> 1 & 1, block & 1
        volume.coordinates[block] = i, j, k
        cube = distance[8 * k : 8 * k + 8, 8 * j : 8 * j + 8, 8 * i : 8 * i + 8]
        volume.distance[block], volume.count[block] = cube.ravel(), 1
        volume.weight[block] = 128
    return volume


@pytest.mark.parametrize("seed", range(5))
def test_random_signs_give_a_closed_surface(seed: int) -> None:
    # Every case and every ambiguous face occurs, within blocks and across their borders.
    rng = np.random.default_rng(seed)
    distance = rng.integers(0, 3, (16, 16, 16)) * rng.choice([-1, 1], (16, 16, 16))
    distance[[0, -1]] = distance[:, [0, -1]] = distance[:, :, [0, -1]] = 5000
    mesh = volume_of(distance).mesh(min_weight=1)
    assert len(mesh.faces) > 4000
    assert is_watertight(mesh.vertices, mesh.faces)


def test_a_linear_field_gives_its_plane() -> None:
    k, j, i = np.mgrid[:16, :16, :16]
    n = np.array([0.48, 0.6, 0.64])
    height = n[0] * i + n[1] * j + n[2] * k - 11.3
    volume = volume_of(np.clip(np.floor(height * 32768 / 4), -32768, 32767))
    mesh = volume.mesh(min_weight=1)
    # A step of the distance is 4 / 32768 of a voxel.
    assert np.abs(mesh.vertices @ n - 11.3).max() < 2e-4
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    normals = np.cross(b - a, c - a)
    assert ((normals @ n) > 0).all()
    area = np.linalg.norm(normals, axis=1).sum() / 2
    side = np.array([i.ravel(), j.ravel(), k.ravel()]).T
    assert area == pytest.approx(flat_area(n, 11.3, side.max()), rel=1e-3)


def flat_area(n: np.ndarray, d: float, side: float) -> float:
    """Area of the plane n.p = d within a cube from 0 to side: half of sum of +-(d - n.corner)^2 over n1 n2 n3."""
    total = sum((-1) ** corner.sum() * max(d - side * (n @ corner), 0.0) ** 2 for corner in CORNERS)
    return float(total / (2 * n.prod()))


def test_cells_with_a_corner_seen_too_rarely_are_left_out() -> None:
    k, _, _ = np.mgrid[:16, :16, :16]
    volume = volume_of((k - 7.5) * 1000)
    assert len(volume.mesh(min_weight=1).faces) == 2 * 15 * 15
    volume.count[:, :] = 3
    volume.count[0, 7 * 64 + 5 * 8 + 5] = 1
    assert len(volume.mesh(min_weight=2).faces) == 2 * (15 * 15 - 4)
    assert len(volume.mesh(min_weight=4).faces) == 0


@pytest.mark.parametrize(("place", "weight"), [(5.3, 6), (5.7, 7)])
def test_a_vertex_has_the_count_of_the_nearest_voxel(place: float, weight: int) -> None:
    k, _, _ = np.mgrid[:16, :16, :16]
    volume = volume_of(np.floor((k - place) * 1000))
    volume.count[:] = (np.arange(512) // 64 + 1).astype(np.uint8)
    assert set(volume.mesh(min_weight=1).weight) == {weight}
