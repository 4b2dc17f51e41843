"""The known scene is what its closed form says, and every wrong convention is told from a right one."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.cameras import pixel_rays, range_from_depth
from renderers import self_test
from renderers.proof import SAMPLE_PX, icosphere
from renderers.self_test import (
    DEPTH_LIMIT_MM,
    HEIGHT,
    NORMAL_LIMIT_DEG,
    WIDTH,
    closed_form,
    deviation,
    known_scene,
)
from renderers.views import RenderedView


@pytest.fixture(scope="module")
def true_image() -> RenderedView:
    depth_m, normal, _ = closed_form()
    mask = np.ones((HEIGHT, WIDTH), dtype=bool)
    return RenderedView(
        frame=0, depth_m=depth_m.astype(np.float32), normal=normal.astype(np.float32), mask=mask
    )


@pytest.fixture(scope="module")
def cast(raycast_view):
    """The scene as Embree sees it, with the principal point moved."""

    def render(shift_px: tuple[float, float]) -> RenderedView:
        vertices, faces, view = known_scene()
        K = view.K + [[0, 0, shift_px[0]], [0, 0, shift_px[1]], [0, 0, 0]]
        return raycast_view(vertices, faces, replace(view, K=K), height=HEIGHT, width=WIDTH)

    return render


def test_closed_form_lies_on_the_sphere_or_the_plane_and_the_nearer_one_is_seen():
    depth_m, normal, _ = closed_form()
    points = depth_m[..., None] * pixel_rays(known_scene()[2].K, HEIGHT, WIDTH)
    off_sphere_m = np.linalg.norm(points - self_test.CENTRE_CAM, axis=2) - self_test.RADIUS_M
    off_plane_m = points @ self_test.PLANE_NORMAL_CAM + self_test.PLANE_DISTANCE_M
    on_sphere = np.abs(off_sphere_m) < 1e-9
    assert 1_000 < np.count_nonzero(on_sphere) < HEIGHT * WIDTH // 2
    assert np.abs(off_plane_m[~on_sphere]).max() < 1e-9
    # In front of the plane where the sphere is seen, outside the sphere where the plane is.
    assert off_plane_m[on_sphere].min() > 0.1 and off_sphere_m[~on_sphere].min() > 0
    np.testing.assert_allclose(np.linalg.norm(normal, axis=2), 1, atol=1e-12)
    assert (np.sum(normal * points, axis=2) < 0).all()


def test_limit_is_above_what_the_facets_cost_and_below_half_a_pixel():
    directions, faces = icosphere(self_test.SUBDIVISIONS)
    middles = directions[faces].mean(axis=1)
    sagitta_mm = 1e3 * self_test.RADIUS_M * (1 - np.linalg.norm(middles, axis=1).min())
    # A sample beside the pixel's centre moves the ray at the sphere's shallowest pixel by so much.
    aside_mm = 1e3 * SAMPLE_PX * np.linalg.norm(self_test.CENTRE_CAM) / known_scene()[2].K[1, 1]
    slope = np.sqrt(1 - self_test.MIN_COSINE**2) / self_test.MIN_COSINE
    cost_mm = sagitta_mm / self_test.MIN_COSINE + aside_mm * slope
    assert 0.5 * DEPTH_LIMIT_MM < cost_mm < DEPTH_LIMIT_MM
    depth_m, _, compared = closed_form()
    step_mm = 1e3 * np.abs(np.diff(depth_m, axis=1))[compared[:, 1:] & compared[:, :-1]]
    assert np.percentile(step_mm, 90) / 2 > 10 * DEPTH_LIMIT_MM


def test_true_image_deviates_by_rounding_alone(true_image):
    found = deviation(true_image)
    assert found.holds and found.max_mm < 1e-3 and found.max_normal_deg < 1e-2
    assert found.compared_px > 0.9 * HEIGHT * WIDTH and found.holes_px == 0


def test_blender_and_embree_hold():
    blender, embree = self_test.blender_deviation(threads=2), self_test.raycast_deviation(threads=2)
    for found in (blender, embree):
        assert found.holds and found.median_mm < 0.02
        assert found.compared_px > 0.9 * HEIGHT * WIDTH
        assert found.max_mm > 0.01  # the facets are there: this is no copy of the closed form
    assert blender != embree


@pytest.mark.parametrize("shift_px", [(0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)])
def test_half_a_pixel_does_not_hold(cast, shift_px):
    assert deviation(cast((0, 0))).holds
    found = deviation(cast(shift_px))
    assert not found.holds and found.max_mm > 10 * DEPTH_LIMIT_MM


def test_ray_length_instead_of_depth_does_not_hold(true_image):
    range_m = range_from_depth(true_image.depth_m, known_scene()[2].K).astype(np.float32)
    assert not deviation(replace(true_image, depth_m=range_m)).holds


def test_one_pixel_beyond_the_limit_does_not_hold(true_image):
    _, _, compared = closed_form()
    v, u = np.argwhere(compared)[100]
    for off_mm, holds in ((0.9 * DEPTH_LIMIT_MM, True), (1.1 * DEPTH_LIMIT_MM, False)):
        depth_m = true_image.depth_m.copy()
        depth_m[v, u] += off_mm / 1e3
        assert deviation(replace(true_image, depth_m=depth_m)).holds is holds


@pytest.mark.parametrize("turn", [-np.eye(3), np.diag([1, -1, -1]), np.eye(3)[[1, 0, 2]]])
def test_normals_that_point_elsewhere_do_not_hold(true_image, turn):
    found = deviation(replace(true_image, normal=(true_image.normal @ turn).astype(np.float32)))
    assert not found.holds and found.max_normal_deg > NORMAL_LIMIT_DEG and found.max_mm < 1e-3


def test_a_hole_and_a_nan_are_counted_and_do_not_hold(true_image):
    mask, depth_m, normal = (
        array.copy() for array in (true_image.mask, true_image.depth_m, true_image.normal)
    )
    mask[3, 4] = False
    depth_m[50, 60], normal[70, 80] = np.nan, np.inf
    found = deviation(replace(true_image, mask=mask, depth_m=depth_m, normal=normal))
    assert found.holes_px == 3 and not found.holds
    assert found.max_mm < 1e-3 and found.max_normal_deg < 1e-2  # the others are still measured


def test_an_empty_image_has_no_figures(true_image):
    found = deviation(replace(true_image, mask=np.zeros_like(true_image.mask)))
    assert (found.median_mm, found.max_mm, found.compared_px) == (None, None, 0)
    assert found.holes_px == HEIGHT * WIDTH and not found.holds
