"""Registered depth is held against closed form: planes, a sphere before a wall, a lens, a mask."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, binary_fill_holes
from scipy.spatial.transform import Rotation

from pipeline.cameras import backproject, invert_rigid, pixel_rays, transform
from pipeline.captures.distortion import NO_DISTORTION, LensCamera, distorted_points, distorted_rays
from pipeline.captures.registration import registration

LENS = (0.091, -0.270, 0.0004, -0.0003, 0.095)
CAMERA = LensCamera(
    width=256, height=212, fx_px=182.7, fy_px=183.1, cx_px=128.6, cy_px=103.0, distortion=LENS
)
K = np.array([[240.0, 0, 215.0], [0, 239.5, 121.0], [0, 0, 1]])
SIZE = {"height": 243, "width": 432}
TARGET_FROM_DEPTH = np.eye(4)
TARGET_FROM_DEPTH[:3, :3] = Rotation.from_rotvec([0.003, -0.004, 0.02]).as_matrix()
TARGET_FROM_DEPTH[:3, 3] = [-0.052, -0.0005, 0.001]
DEPTH_FROM_TARGET = invert_rigid(TARGET_FROM_DEPTH)

CENTRE, RADIUS_M, WALL_M = np.array([0.05, 0.02, 1.6]), 0.3, 2.3  # in the depth camera's frame


def plane_depth(normal: np.ndarray, offset_m: float, rays: np.ndarray, origin: np.ndarray) -> np.ndarray:
    return (offset_m - origin @ normal) / (rays @ normal)


def sphere_depth(rays: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Ray parameter of the sphere's front; inf where it is missed."""
    a, b = np.sum(rays**2, -1), rays @ (origin - CENTRE)
    inside = b**2 - a * (np.sum((origin - CENTRE) ** 2) - RADIUS_M**2)
    return np.where(inside > 0, (-b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)


def target_rays() -> tuple[np.ndarray, np.ndarray]:
    """Rays of the target's pixels and its centre in the depth camera's frame; their parameter is its z."""
    rays = pixel_rays(K, **SIZE) @ DEPTH_FROM_TARGET[:3, :3].T
    return rays, DEPTH_FROM_TARGET[:3, 3]


def wall_depth(rays: np.ndarray, origin: np.ndarray) -> np.ndarray:
    return plane_depth(np.array([0.0, 0, 1]), WALL_M, rays, origin)


def test_a_camera_registered_to_itself_gives_its_depth_back() -> None:
    camera = LensCamera(
        width=64, height=48, fx_px=60.0, fy_px=60.0, cx_px=30.3, cy_px=25.1, distortion=NO_DISTORTION
    )
    u, v = np.meshgrid(np.arange(64), np.arange(48))
    depth_m = (1.5 + 0.05 * np.sin(u / 9) + 0.002 * v).astype(np.float32)
    depth_m[10:20, 30:50] = 0.7  # a box before it: nothing is lost at its outline either
    out = registration(camera, np.eye(4), camera.K, height=48, width=64).register(depth_m)
    np.testing.assert_array_max_ulp(out.depth_m, depth_m, maxulp=1)
    np.testing.assert_array_equal(out.source, np.arange(64 * 48).reshape(48, 64))


@pytest.mark.parametrize("normal", [(0.0, 0.0, 1.0), (0.5, 0.3, 0.81), (-0.6, 0.1, 0.79)])
def test_a_plane_through_a_lens_stays_that_plane_without_a_hole(normal) -> None:
    normal = np.array(normal) / np.linalg.norm(normal)
    offset_m = 2.0 * normal[2]
    depth_m = plane_depth(normal, offset_m, distorted_rays(CAMERA), np.zeros(3)).astype(np.float32)
    assert depth_m.min() > 0
    out = registration(CAMERA, TARGET_FROM_DEPTH, K, **SIZE).register(depth_m)
    seen = out.depth_m > 0
    expected = plane_depth(normal, offset_m, *target_rays())
    # float32 depths of up to 10 m step by 1 um; corners interpolate, they do not amplify
    np.testing.assert_allclose(out.depth_m[seen], expected[seen], atol=3e-6)
    # a target pixel whose point lies inside the depth image is seen: no hole, and no margin lost
    rays, origin = target_rays()
    raw_px = distorted_points(origin + rays * expected[..., None], CAMERA)
    inside = ((raw_px > 0.01) & (raw_px < np.array([255, 211]) - 0.01)).all(axis=-1) & (expected > 0)
    np.testing.assert_array_equal(seen[inside], True)
    assert seen.mean() > 0.4 and np.array_equal(binary_fill_holes(seen), seen)


def test_a_sphere_hides_the_wall_behind_it_and_nothing_lies_between() -> None:
    rays, origin = distorted_rays(CAMERA), np.zeros(3)
    depth_m = np.minimum(sphere_depth(rays, origin), wall_depth(rays, origin)).astype(np.float32)
    out = registration(CAMERA, TARGET_FROM_DEPTH, K, **SIZE).register(depth_m)
    seen = out.depth_m > 0

    points = transform(DEPTH_FROM_TARGET, backproject(out.depth_m, K)[seen])
    off_sphere_m = np.abs(np.linalg.norm(points - CENTRE, axis=-1) - RADIUS_M)
    off_wall_m = np.abs(points[:, 2] - WALL_M)
    # Chords lie inside the sphere: at most tan(80 deg) sqrt(2) / 183 of 1.5 m, 67 mm long with what a pixel
    # is wide, they sag by 67^2 / (8 * 300) = 1.9 mm.
    assert np.minimum(off_sphere_m, off_wall_m).max() < 1.9e-3

    rays, origin = target_rays()
    sphere_m, wall_m = sphere_depth(rays, origin), wall_depth(rays, origin)
    on_sphere = np.isfinite(sphere_m)
    # inside the outline by two raw pixels the front shows, and never the wall
    inner = binary_erosion(on_sphere, iterations=4)
    assert inner.sum() > 2000 and seen[inner].all()
    np.testing.assert_allclose(out.depth_m[inner], sphere_m[inner], atol=1.9e-3)
    # wall that the sphere hides from the depth camera is left empty, not guessed
    wall_points = origin + rays * wall_m[..., None]
    hidden = np.isfinite(sphere_depth(wall_points / wall_points[..., 2:], np.zeros(3))) & ~on_sphere
    hidden &= ~binary_dilation(on_sphere)
    assert hidden.sum() > 100 and not seen[hidden].any()


def test_a_wall_that_only_the_depth_camera_sees_does_not_show_through() -> None:
    # the near half hides part of the far half from a target that stands aside
    camera = LensCamera(
        width=80, height=40, fx_px=80.0, fy_px=80.0, cx_px=40.0, cy_px=20.0, distortion=NO_DISTORTION
    )
    depth_m = np.full((40, 80), 2.0, np.float32)
    depth_m[:, :40] = 1.0
    aside = np.eye(4)
    aside[0, 3] = 0.25  # near pixels move right by 20 px, far ones by 10
    out = registration(camera, aside, camera.K, height=40, width=80).register(depth_m)
    row = out.depth_m[20]
    # near surface: columns 20 to 59; far: from 40 + 10 = 50 on, hidden up to 59
    np.testing.assert_allclose(row[20:60], 1.0)
    np.testing.assert_allclose(row[60:], 2.0)
    assert not row[:20].any()


def test_a_mask_moves_with_the_surface_that_it_marks() -> None:
    rays, origin = distorted_rays(CAMERA), np.zeros(3)
    on_sphere = np.isfinite(sphere_depth(rays, origin))
    depth_m = np.minimum(sphere_depth(rays, origin), wall_depth(rays, origin)).astype(np.float32)
    out = registration(CAMERA, TARGET_FROM_DEPTH, K, **SIZE).register(depth_m)
    moved = out.mask(on_sphere)
    middle_m = (CENTRE[2] + RADIUS_M + WALL_M) / 2  # between both
    np.testing.assert_array_equal(moved, (out.depth_m > 0) & (out.depth_m < middle_m))
    assert not out.mask(np.zeros_like(on_sphere)).any()
    np.testing.assert_array_equal(out.mask(np.ones_like(on_sphere)), out.depth_m > 0)


@pytest.mark.parametrize("zoom", [0.4, 1.0, 2.5, 6.0])  # of the target: cells from less than a pixel to eight
def test_depth_is_the_same_whether_a_mask_moves_with_it_or_not(zoom) -> None:
    rng = np.random.default_rng(0)
    rays, origin = distorted_rays(CAMERA), np.zeros(3)
    depth_m = np.minimum(sphere_depth(rays, origin), wall_depth(rays, origin)) + rng.normal(
        0, 0.003, rays.shape[:2]
    )
    depth_m[rng.uniform(size=depth_m.shape) < 0.01] = 0
    zoomed = K * [[zoom, 1, 1], [1, zoom, 1], [1, 1, 1]]
    way = registration(CAMERA, TARGET_FROM_DEPTH, zoomed, **SIZE)
    both, alone = (way.register(depth_m.astype(np.float32), with_source=asked) for asked in (True, False))
    assert np.count_nonzero(both.depth_m) > 0.1 * both.depth_m.size
    np.testing.assert_array_equal(alone.depth_m, both.depth_m)


def test_an_invalid_pixel_empties_its_own_surroundings_and_no_more() -> None:
    depth_m = plane_depth(np.array([0.0, 0, 1]), 2.0, distorted_rays(CAMERA), np.zeros(3)).astype(np.float32)
    whole = registration(CAMERA, TARGET_FROM_DEPTH, K, **SIZE).register(depth_m)
    depth_m[100, 120] = 0
    holed = registration(CAMERA, TARGET_FROM_DEPTH, K, **SIZE).register(depth_m)
    lost = (whole.depth_m > 0) & (holed.depth_m == 0)
    np.testing.assert_array_equal(holed.depth_m[~lost], whole.depth_m[~lost])
    # four triangles of half a pixel's area each, at (240 / 182.7)^2 = 1.7 target pixels per raw one
    assert 1 <= lost.sum() <= 6
    assert np.isin(whole.source[lost], [100 * 256 + 120 + d for d in (0, 1, -1, 256, -256)]).all()


@pytest.mark.parametrize("direction_deg", [0, 45, 90, 135])
def test_a_surface_is_joined_up_to_its_slant_in_every_direction_and_no_farther(direction_deg) -> None:
    # a narrow view, in which slants differ by 3 degrees from one side to the other
    camera = LensCamera(
        width=25, height=25, fx_px=200.0, fy_px=200.0, cx_px=12.0, cy_px=12.0, distortion=NO_DISTORTION
    )
    finer = np.array([[400.0, 0, 24.0], [0, 400.0, 24.0], [0, 0, 1]])
    direction = np.radians(direction_deg)
    for slant_deg, joined in ((75.0, True), (85.0, False)):
        slant = np.radians(slant_deg)
        across = [np.sin(slant) * np.cos(direction), np.sin(slant) * np.sin(direction), np.cos(slant)]
        depth_m = plane_depth(np.array(across), 2.0 * np.cos(slant), distorted_rays(camera), np.zeros(3))
        depth_m = np.where(depth_m > 0, depth_m, 0).astype(np.float32)
        out = registration(camera, np.eye(4), finer, height=49, width=49).register(depth_m)
        middle = out.depth_m[14:35, 14:35] > 0
        assert middle.all() if joined else not middle.any()


def test_lone_pixels_are_left_out() -> None:
    depth_m = np.zeros((212, 256), np.float32)
    depth_m[100, 120] = 1.0
    depth_m[50, 60:62] = 1.0  # a line has no area
    out = registration(CAMERA, TARGET_FROM_DEPTH, K, **SIZE).register(depth_m)
    assert not out.depth_m.any() and (out.source == -1).all()


def test_the_back_of_a_surface_and_what_lies_behind_the_target_are_not_seen() -> None:
    depth_m = np.full((212, 256), 1.0, np.float32)
    behind = np.diag([-1.0, 1, -1, 1])  # turned about, two metres on: it looks at the plane's back
    behind[2, 3] = 2.0
    assert not registration(CAMERA, behind, K, **SIZE).register(depth_m).depth_m.any()
    ahead = np.eye(4)
    ahead[2, 3] = -1.5  # the target has passed the plane
    assert not registration(CAMERA, ahead, K, **SIZE).register(depth_m).depth_m.any()


def test_depth_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="depth must be"):
        registration(CAMERA, np.eye(4), K, **SIZE).register(np.ones((212, 255), np.float32))
