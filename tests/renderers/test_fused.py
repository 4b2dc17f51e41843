import itertools

import numpy as np
import pytest

from pipeline.cameras import pixel_rays
from pipeline.visibility import depth_sigma
from renderers.blender import render_views
from renderers.fused import FusedSurface
from renderers.proof import icosphere
from renderers.views import View

SIZE = {"height": 96, "width": 128}
CENTRE, RADIUS_M = np.array([0.05, -0.03, 1.5]), 0.5
K = np.array([[130.0, 0, 60.0], [0, 120.0, 50.0], [0, 0, 1]])
HOLE = -0.85  # directions whose z lies below are open, towards a camera at the origin
RIM = -RADIUS_M / np.linalg.norm(CENTRE)  # z of the directions in which rays from the origin touch the sphere


def open_sphere(*, reach=1.0):
    """A sphere without its cap towards the origin, and without what lies farther than `reach` behind."""
    directions, faces = icosphere(5)
    z = directions[faces].mean(axis=1)[:, 2]
    return CENTRE + RADIUS_M * directions, faces[(z > HOLE) & (z < reach)]


def entries(view):
    """Where rays enter the whole sphere: unit directions from its centre (H W 3), NaN where they miss it."""
    rays = pixel_rays(view.K, **SIZE)
    a, b = np.sum(rays**2, axis=2), rays @ CENTRE
    with np.errstate(invalid="ignore"):
        z = (b - np.sqrt(b**2 - a * (CENTRE @ CENTRE - RADIUS_M**2))) / a
    return (rays * z[..., None] - CENTRE) / RADIUS_M


def by_both(vertices, faces, views, size=SIZE):
    """The images of the z-buffer and of Blender."""
    surface = FusedSurface(vertices, faces, threads=2)
    fast = [image for image, _ in surface.render(views, **size)]
    return fast, list(render_views(vertices, faces, views, **size, threads=1))


FRONT = View(frame=5, K=K, world_from_cam=np.eye(4))


def test_through_a_hole_nothing_is_seen_by_either_renderer():
    for (image,) in by_both(*open_sphere(), [FRONT]):
        into_m = entries(FRONT)[..., 2]
        # A facet's centre is at most one edge of 0.035 away from any of its points.
        hole, shell = into_m < HOLE - 0.035, (into_m > HOLE + 0.035) & (into_m < RIM - 0.05)
        assert np.count_nonzero(hole) > 300 and np.count_nonzero(shell) > 1500
        assert not image.mask[hole].any() and image.mask[shell].all()
        assert not image.depth_m[~image.mask].any() and not image.normal[~image.mask].any()
        # What is seen is the near side: the far wall would be 0.1 m and more behind.
        truth_m = (CENTRE + RADIUS_M * entries(FRONT))[..., 2]
        assert np.abs(image.depth_m - truth_m)[shell].max() < 0.005


def test_a_shell_seen_from_inside_alone_is_not_seen():
    vertices, faces = open_sphere()
    behind = faces[(vertices[faces].mean(axis=1)[:, 2] > CENTRE[2])]
    for (image,) in by_both(vertices, behind, [FRONT]):
        assert not image.mask.any()


def test_a_back_hides_what_lies_behind_it():
    """It is no surface to measure, and neither is anything beyond: the true one lies before both."""
    corners = np.array([[-1.0, -1, 0], [-1, 1, 0], [1, 1, 0], [1, -1, 0]])
    towards = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
    vertices = np.concatenate([corners * 0.2 + [0, 0, 1], corners * 3 + [0, 0, 2]])
    for (image,) in by_both(vertices, np.concatenate([towards[:, ::-1], towards + 4]), [FRONT]):
        x, y = np.abs(pixel_rays(K, **SIZE)[..., :2]).transpose(2, 0, 1)
        inside, outside = (x < 0.19) & (y < 0.19), (x > 0.21) | (y > 0.21)
        assert not image.mask[inside].any()
        assert image.mask[outside].all() and np.abs(image.depth_m[outside] - 2).max() < 1e-5


def test_a_torn_mesh_looks_the_same_to_blender(bumpy_mesh, two_views):
    vertices, faces = bumpy_mesh
    large = {"height": 256, "width": 256}
    torn = faces[np.random.default_rng(3).random(len(faces)) > 0.02]
    for fast, blender in zip(*by_both(vertices, torn, two_views, large), strict=True):
        assert fast.frame == blender.frame
        assert np.count_nonzero(fast.mask) > 5000
        both = fast.mask & blender.mask
        # Blender's sample lies 0.0005 px aside: it may see past the edges of some 100 holes and of the rim.
        assert np.count_nonzero(fast.mask ^ blender.mask) <= 4
        off_m = np.abs(fast.depth_m - blender.depth_m)[both]
        assert np.median(off_m) < 1e-5 and np.percentile(off_m, 99) < 1e-4
        angle_rad = np.linalg.norm(fast.normal - blender.normal, axis=2)[both]
        assert np.percentile(angle_rad, 99) < np.radians(0.2)


def test_views_come_in_order_whatever_the_threads(bumpy_mesh, two_views):
    views = [two_views[k % 2] for k in (0, 1, 1, 0, 1)]
    one, three = (list(FusedSurface(*bumpy_mesh, threads=n).render(views, **SIZE)) for n in (1, 3))
    assert [image.frame for image, _ in one] == [view.frame for view in views]
    for (image, seen), (other, again) in zip(one, three, strict=True):
        np.testing.assert_array_equal(image.depth_m, other.depth_m)
        np.testing.assert_array_equal(image.normal, other.normal)
        np.testing.assert_array_equal(seen.bary, again.bary)


def test_no_more_views_wait_than_there_are_threads(monkeypatch):
    surface, asked = FusedSurface(*open_sphere(), threads=2), itertools.count()
    seen = surface.seen
    monkeypatch.setattr(surface, "seen", lambda view, **size: (next(asked), seen(view, **size))[1])
    images = surface.render([FRONT] * 9, **SIZE)
    for _ in range(4):
        next(images)
    images.close()
    assert next(asked) <= 4 + 2


def test_paint_that_is_linear_in_space_is_met_at_each_hit():
    vertices, faces = open_sphere()
    slope = np.array([0.3, -0.2, 0.7])
    surface = FusedSurface(vertices, faces, threads=1)
    ((image, seen),) = surface.render([FRONT], **SIZE)
    painted = surface.painted(seen, (vertices @ slope + 2).astype(np.float32))
    points = pixel_rays(K, **SIZE) * image.depth_m[..., None]
    # Weights and depths are float32: some steps of 1e-7 at 2 m, and more along a facet that is seen at its edge.
    assert np.abs(painted - points @ slope - 2)[image.mask].max() < 1e-5
    assert not painted[~image.mask].any() and painted.dtype == np.float32


@pytest.mark.parametrize("normal", [[0, 0, -1.0], [0.6, 0, -0.8], [0.5, -0.7, -0.5]])
def test_depth_moves_by_its_sigma_where_the_surface_moves_by_its_own(normal):
    normal = np.array(normal) / np.linalg.norm(normal)
    rays, sigma_m = pixel_rays(K, **SIZE), 0.004
    facing = rays @ normal < -0.05  # the rest looks along the plane or past it
    near_m, far_m = ((d / (rays @ normal)) for d in (-1.5 + sigma_m, -1.5))
    normals = np.where(facing[..., None], normal, 0).astype(np.float32)
    found_m = depth_sigma(np.full((96, 128), sigma_m, np.float32), normals, K)
    np.testing.assert_allclose(found_m[facing], (far_m - near_m)[facing], rtol=1e-5)
    assert not found_m[~facing].any() and found_m.dtype == np.float32


def test_an_unknown_sigma_stays_unknown():
    normals = np.broadcast_to(np.float32([0, 0, -1]), (96, 128, 3))
    assert not depth_sigma(np.zeros((96, 128), np.float32), normals, K).any()
