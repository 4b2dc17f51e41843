"""The planes of a room come out of its points, and what does not bound it is none."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cameras import invert_rigid, transform
from pipeline.segmentation.planes import Plane, point_grids, room_planes


def test_floor_and_wall_are_found_where_they_are(scene) -> None:
    shot = scene.shoot(scene.FRONT, [scene.standing(0.0, 0.0)])
    planes = room_planes(point_grids([shot.frame], with_poses=True))
    assert [plane.kind for plane in planes] == ["floor", "wall"]
    # 1000 points a plane of 3 to 9 mm: millimetres across it, and of slant over 3 m
    np.testing.assert_allclose(planes[0].normal, [0, 1, 0], atol=3e-3)
    np.testing.assert_allclose(planes[1].normal, [0, 0, 1], atol=3e-3)
    np.testing.assert_allclose([planes[0].offset_m, planes[1].offset_m], [0, 2], atol=6e-3)
    # the noise that was put in, along z
    assert all(0.0003 < plane.noise_per_m < 0.0008 for plane in planes)


def test_the_same_points_give_the_same_planes(scene) -> None:
    grids = point_grids([scene.shoot(scene.FRONT, []).frame], with_poses=False)
    for first, second in zip(room_planes(grids), room_planes(grids), strict=True):
        assert first.kind == second.kind and first.offset_m == second.offset_m
        np.testing.assert_array_equal(first.normal, second.normal)


def test_a_table_and_a_cabinets_front_do_not_bound_the_room(scene) -> None:
    table = (np.array([-1.3, 0.0, -0.9]), np.array([0.3, 0.7, 0.6]))
    shot = scene.shoot(scene.FRONT, [], boxes=[table, scene.CABINET])
    planes = room_planes(point_grids([shot.frame], with_poses=True))
    assert [plane.kind for plane in planes] == ["floor", "wall"]
    np.testing.assert_allclose([planes[0].offset_m, planes[1].offset_m], [0, 2], atol=6e-3)


def test_no_points_are_no_planes(scene) -> None:
    from dataclasses import replace

    frame = scene.shoot(scene.FRONT, []).frame
    nothing = replace(frame, depth_m=np.zeros_like(frame.depth_m))
    assert room_planes(point_grids([nothing], with_poses=False)) == []


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_moved_plane_is_as_far_from_the_moved_point(seed) -> None:
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    b_from_a = np.eye(4)
    b_from_a[:3, :3], b_from_a[:3, 3] = rotation * np.sign(np.linalg.det(rotation)), rng.normal(size=3)
    normal, point = rng.normal(size=3), rng.normal(size=3)
    plane = Plane(kind="wall", normal=normal / np.linalg.norm(normal), offset_m=0.7, noise_per_m=0.001)
    moved = plane.moved(b_from_a)
    there = transform(b_from_a, point)
    np.testing.assert_allclose(moved.normal @ there + moved.offset_m, plane.normal @ point + 0.7, atol=1e-12)
    back = moved.moved(invert_rigid(b_from_a))
    np.testing.assert_allclose([*back.normal, back.offset_m], [*plane.normal, 0.7], atol=1e-12)
