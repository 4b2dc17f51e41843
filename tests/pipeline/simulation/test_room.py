import numpy as np
import pytest

from pipeline.simulation.camera_path import draw_path
from pipeline.simulation.room import MARGIN_M, draw_room
from pipeline.zbuffer import visible_faces

ORBIT_M = 2.1
PATH = draw_path(np.random.default_rng(3), "orbit", distance_m=1.7, aim_m=np.array([0, 0.9, 0]))


@pytest.fixture(scope="module", params=[0, 1, 2, 3, 4])
def room(request):
    return draw_room(np.random.default_rng(request.param), orbit_m=ORBIT_M)


def test_a_room_is_the_same_for_the_same_seed_and_another_for_another():
    first, again, other = (
        draw_room(np.random.default_rng(seed), orbit_m=ORBIT_M).surface for seed in (7, 7, 8)
    )
    for name in (
        "vertices",
        "faces",
        "normals",
        "texture_points",
        "albedo",
        "openness",
        "face_material",
        "casts",
    ):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.vertices.shape != other.vertices.shape or (first.vertices != other.vertices).any()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("orbit_m", [1.2, 2.1])
def test_nothing_stands_within_the_circle_and_the_walls_lie_beyond_it(seed, orbit_m):
    room = draw_room(np.random.default_rng(seed), orbit_m=orbit_m)
    corners = room.surface.vertices[room.surface.faces[room.surface.casts]]
    # The nearest point of an axis-parallel face to the axis lies within its bounds in x and z.
    low, high = corners[:, :, [0, 2]].min(axis=1), corners[:, :, [0, 2]].max(axis=1)
    assert np.linalg.norm(np.clip(0.0, low, high), axis=1).min() >= orbit_m + MARGIN_M - 1e-9
    assert (room.half_m > orbit_m + 0.25).all() and room.height_m > 2.3


def test_a_camera_on_the_orbit_sees_a_surface_from_its_front_at_every_pixel(room):
    cameras = PATH.at(np.arange(8) / 8)
    assert np.linalg.norm(cameras[:, [0, 2], 3], axis=1).max() < ORBIT_M
    K = np.array([[36.5, 0, 25.5], [0, 36.5, 21.0], [0, 0, 1]])
    for pose in cameras:
        points_cam = (room.surface.vertices - pose[:3, 3]) @ pose[:3, :3]
        face_index, _, depth_m = visible_faces(points_cam, room.surface.faces, K, height=43, width=52)
        assert (face_index >= 0).all()
        a, b, c = np.moveaxis(points_cam[room.surface.faces[face_index]], 2, 0)
        assert (np.einsum("hwi,hwi->hw", np.cross(b - a, c - a), a) < 0).all()
        # Most of what stands behind the person is within a depth camera's reach.
        assert np.mean((depth_m > 0.5) & (depth_m < 4.5)) > 0.6


def test_normals_are_unit_and_those_of_the_faces(room):
    surface = room.surface
    a, b, c = np.moveaxis(surface.vertices[surface.faces], 1, 0)
    across = np.cross(b - a, c - a)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    for corner in range(3):
        np.testing.assert_allclose(surface.normals[surface.faces[:, corner]], across, atol=1e-5)


def test_faces_name_vertices_and_materials_that_are_there(room):
    surface = room.surface
    assert surface.faces.min() == 0 and surface.faces.max() == len(surface.vertices) - 1
    assert set(np.unique(surface.face_material)) == set(range(len(surface.materials)))
    assert surface.openness.min() > 0.1 and surface.openness.max() <= 1


def test_corners_of_the_room_are_darker_than_the_middle_of_its_walls(room):
    surface = room.surface
    shell = np.unique(surface.faces[~surface.casts])
    away = np.abs(surface.vertices[shell][:, [0, 2]]) / room.half_m
    corner, middle = (
        (away > 0.97).all(axis=1),
        (away < 0.5).any(axis=1) & (surface.vertices[shell][:, 1] == 0),
    )
    assert surface.openness[shell][corner].max() < surface.openness[shell][middle].mean()


def test_a_circle_without_room_for_furniture_is_refused():
    with pytest.raises(ValueError, match=r"draw_room: orbit_m must be at least 1\.0 m, is 0\.9 m"):
        draw_room(np.random.default_rng(0), orbit_m=0.9)
