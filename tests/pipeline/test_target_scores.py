"""Scores of charts, volumes and motions, from closed form and from true bodies that are put aside."""

import numpy as np
import pytest
import trimesh

from pipeline.bodies.model import default_body
from pipeline.correspondences.charts import own_charts
from pipeline.correspondences.geodesic import body_surface
from pipeline.labels import body_labels
from pipeline.motion.motion_map import motion_map
from pipeline.motion.rings import two_rings
from pipeline.target_scores import chart_errors, inside_by_rays, motion_errors_m, volume_iou
from pipeline.voxels.occupancy import occupancy
from pipeline.voxels.packing import pack
from pipeline.zbuffer import visible_faces

SIZE_PX = 96
K = np.array([[110.0, 0, 47.5], [0, 110.0, 47.5], [0, 0, 1]])
SHAPE = (24, 24, 24)


def bodies(count: int = 1) -> np.ndarray:
    """Vertices (count V 3) of a body that turns before the camera."""
    poses = np.zeros((count, 24, 3))
    poses[:, 0, 1] = 0.3 * np.arange(count)
    return default_body().posed(poses, np.zeros(10), np.zeros(3)).vertices_m * [1, -1, -1] + [0, 0, 2.2]


def places(vertices_cam: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return visible_faces(vertices_cam, default_body().faces, K, height=SIZE_PX, width=SIZE_PX)


def ball(middle: list[float], radius: float) -> tuple[np.ndarray, np.ndarray]:
    made = trimesh.creation.icosphere(3, radius)
    return np.asarray(made.vertices) + middle, np.asarray(made.faces, np.int32)


def test_rays_find_the_voxels_of_a_ball():
    inside = inside_by_rays(*ball([11.3, 11.6, 12.1], 8.0), SHAPE)
    away = np.linalg.norm(np.indices(SHAPE).transpose(1, 2, 3, 0) - [11.3, 11.6, 12.1], axis=-1)
    # An icosphere of 1,280 faces lies at most 0.5 % of its radius within the ball.
    assert inside[away < 7.9].all() and not inside[away > 8.01].any()


def test_bodies_that_overlap_are_their_union_and_a_grid_may_cut_them():
    first, second = ball([8, 11.5, 11.5], 6.3), ball([14.2, 11.7, 20.1], 6.1)
    vertices = np.concatenate([first[0], second[0]])
    faces = np.concatenate([first[1], second[1] + len(first[0])])
    union = inside_by_rays(vertices, faces, SHAPE)
    np.testing.assert_array_equal(union, inside_by_rays(*first, SHAPE) | inside_by_rays(*second, SHAPE))
    np.testing.assert_array_equal(union, occupancy(vertices, faces, SHAPE))
    assert union[..., -1].any()


def test_columns_through_edges_are_counted_once():
    # Diagonals of the top and the bottom run through the centres of 9 columns.
    box = trimesh.creation.box((9.0, 9.0, 9.0))
    inside = inside_by_rays(np.asarray(box.vertices) + 12.0, np.asarray(box.faces, np.int32), SHAPE)
    expected = np.zeros(SHAPE, bool)
    expected[8:17, 8:17, 8:17] = True
    np.testing.assert_array_equal(inside, expected)


def test_overlap_of_a_volume_with_the_body_falls_when_it_is_moved():
    vertices, faces = ball([11.3, 11.6, 12.1], 8.0)
    world_from_vox = np.array([[0.02, 0, 0, 1.0], [0, 0.02, 0, -2], [0, 0, 0.02, 3], [0, 0, 0, 1.0]])
    world_m = vertices * 0.02 + [1, -2, 3]
    packed = pack(occupancy(vertices, faces, SHAPE))
    assert volume_iou(packed, world_from_vox, world_m, faces, SHAPE) == 1
    # Two balls of radius r that are d apart share 1 - 3 d / (4 r) of each to first order.
    share = 1 - 3 * 1.0 / (4 * 8)
    moved = volume_iou(packed, world_from_vox, world_m + [0.02, 0, 0], faces, SHAPE)
    assert moved == pytest.approx(share / (2 - share), abs=0.02)


def test_charts_of_the_true_body_are_right_and_those_of_another_are_not():
    first, second = bodies(2)
    face, bary, _ = places(first)
    tables = {"charts": own_charts(default_body()), "surface": body_surface(default_body())}
    for other, least_right, most_m in ((first, 1.0, 1e-3), (second, 0.0, np.inf)):
        labels = body_labels(*places(other)[:2], default_body())
        right, errors_m = chart_errors(labels["surface_part"], labels["surface_uv"], (face, bary), **tables)
        assert len(right) == len(errors_m) == np.count_nonzero(face >= 0)
        assert right.mean() >= least_right and np.median(errors_m) <= most_m
    labelled = labels["surface_part"][face >= 0] > 0
    assert right[labelled].mean() < 0.99 and np.median(errors_m) > 0.02


def test_pixel_of_the_body_without_a_chart_counts_as_wrong_and_as_far():
    face, bary, _ = places(bodies()[0])
    labels = body_labels(face, bary, default_body())
    v, u = np.argwhere(face >= 0)[10]
    labels["surface_part"][v, u] = 0
    tables = {"charts": own_charts(default_body()), "surface": body_surface(default_body())}
    right, errors_m = chart_errors(labels["surface_part"], labels["surface_uv"], (face, bary), **tables)
    assert np.count_nonzero(~right) == 1 and not right[10] and np.isinf(errors_m[10])


@pytest.mark.parametrize("off_m", [0.0, 0.005])
def test_motion_is_off_by_as_much_as_its_translation(off_m):
    target, reference = bodies(2)
    body = default_body()
    made = motion_map(
        target,
        reference,
        body.faces,
        two_rings(body),
        K_target=K,
        K_reference=K,
        size_px=SIZE_PX,
        occlusion_m=0.01,
    )
    moved_m = made.t_m + np.float32([0, 0.6, 0.8]) * np.float32(off_m)
    motion = made.rotvec_rad, moved_m, made.visible
    face, bary, depth_m = places(target)
    errors_m = motion_errors_m(motion, depth_m, K, (face, bary), reference[body.faces])
    assert len(errors_m) == made.visible.sum() > 500
    np.testing.assert_allclose(errors_m, off_m, atol=2e-6)  # float32 at 3 m steps by 0.24 um
