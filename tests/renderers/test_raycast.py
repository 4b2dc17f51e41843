import numpy as np
import pytest

from pipeline.cameras import invert_rigid, pixel_rays, project, range_from_depth, transform
from renderers.proof import icosphere
from renderers.raycast import RaycastScene
from renderers.views import View

K = np.array([[300.0, 0, 150.0], [0, 260.0, 90.0], [0, 0, 1]])
FLOAT32_M = 2e-6  # eight float32 steps at 2 m: origin, direction, edges and division each round once or twice


def camera_view(K=K):
    return View(frame=3, K=K, world_from_cam=np.eye(4))


def tilted_plane(normal, distance_m):
    """A 60 m square with n.p = -distance."""
    across = np.cross(normal, [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    up = np.cross(normal, across)
    corners = [
        30 * (s * across + t * up) - distance_m * normal for s, t in [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    ]
    return np.array(corners), np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (256, 256)])
def test_plane_has_its_planar_depth_at_the_pixel_centres(height, width):
    normal = np.array([0.4, -0.3, -0.85]) / np.linalg.norm([0.4, -0.3, -0.85])
    seen = RaycastScene(*tilted_plane(normal, 1.2), threads=2).visibility(
        camera_view(), height=height, width=width
    )
    expected_m = -1.2 / (pixel_rays(K, height, width) @ normal)
    # Corners 30 m away are rounded by 1e-6 m in float32, and so is the plane's distance of 1.2 m.
    assert np.abs(seen.depth_m / expected_m - 1).max() < 4e-6
    # The two things that it must not be: the ray's length, and the depth half a pixel aside.
    assert np.median(range_from_depth(seen.depth_m, K) - expected_m) > 0.05
    aside_m = -1.2 / (pixel_rays(K + [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]], height, width) @ normal)
    assert np.median(np.abs(seen.depth_m - aside_m)) > 1e-4


def test_sphere_depth_lies_within_the_sagitta_of_its_facets(raycast_view):
    centre, radius_m = np.array([0.1, 0.05, 1.5]), 0.3
    directions, faces = icosphere(5)
    rendered = raycast_view(centre + radius_m * directions, faces, camera_view(), height=256, width=256)
    rays = pixel_rays(K, 256, 256)[rendered.mask]
    points = rays * rendered.depth_m[rendered.mask][:, None]
    inside_m = radius_m - np.linalg.norm(points - centre, axis=1)
    corners = directions[faces]
    facet = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facet /= np.linalg.norm(facet, axis=1, keepdims=True)
    sagitta_m = radius_m * (1 - np.sum(facet * corners[:, 0], axis=1).min())
    assert inside_m.min() > -FLOAT32_M and inside_m.max() < sagitta_m + FLOAT32_M
    # Interpolated normals are radial at the hit, but for the small lean of the corner normals.
    radial = (points - centre) / np.linalg.norm(points - centre, axis=1, keepdims=True)
    grazing = np.sum(radial * rays, axis=1) / np.linalg.norm(rays, axis=1) > -0.05
    assert np.linalg.norm(rendered.normal[rendered.mask] - radial, axis=1)[~grazing].max() < 0.002


def test_faces_and_weights_give_back_the_pixel(bumpy_mesh, two_views):
    vertices, faces = bumpy_mesh
    for view in two_views:
        seen = RaycastScene(vertices, faces, threads=2).visibility(view, height=200, width=240)
        hit = seen.face_index >= 0
        assert 2000 < np.count_nonzero(hit) < hit.size
        u, v = seen.bary[hit].T.astype(np.float64)
        weights = np.stack([1 - u - v, u, v], axis=1)[..., None]
        points = transform(
            invert_rigid(view.world_from_cam), np.sum(weights * vertices[faces[seen.face_index[hit]]], axis=1)
        )
        # On a face seen at an angle, float32 weights slide along it: more in depth than in the image.
        assert np.abs(points[:, 2] - seen.depth_m[hit]).max() < 5 * FLOAT32_M
        assert np.abs(project(points, view.K) - np.argwhere(hit)[:, ::-1]).max() < 2e-3
        assert not seen.depth_m[~hit].any() and not seen.bary[~hit].any()
        assert (seen.face_index[~hit] == -1).all()


def test_a_far_origin_costs_no_precision():
    directions, faces = icosphere(4)
    near, far = 0.4 * directions + [0, 0, 2.0], np.array([2e5, -1e5, 3e5])
    moved = np.eye(4)
    moved[:3, 3] = far
    at_home = RaycastScene(near, faces, threads=1).visibility(camera_view(), height=96, width=128)
    away = RaycastScene(near + far, faces, threads=1).visibility(
        View(frame=0, K=K, world_from_cam=moved), height=96, width=128
    )
    both = (at_home.face_index >= 0) & (away.face_index >= 0)
    assert np.count_nonzero(both) > 1000
    # float64 steps by 6e-11 m there, float32 by 31 mm.
    assert np.abs(at_home.depth_m - away.depth_m)[both].max() < 5 * FLOAT32_M


def test_threads_change_no_pixel(bumpy_mesh, two_views):
    one, four = (
        RaycastScene(*bumpy_mesh, threads=n).visibility(two_views[1], height=256, width=256) for n in (1, 4)
    )
    for name in ("face_index", "bary", "depth_m"):
        np.testing.assert_array_equal(getattr(one, name), getattr(four, name))


@pytest.mark.parametrize(
    ("vertices", "faces", "says"),
    [
        (np.full((3, 3), np.nan), np.array([[0, 1, 2]]), "9 not finite"),
        (np.zeros((3, 3)), np.array([[0, 1, 3]]), r"0\.\.2, hold 0\.\.3"),
        (np.zeros((3, 3)), np.zeros((0, 3), dtype=np.int32), "F > 0"),
    ],
)
def test_a_malformed_mesh_is_refused(vertices, faces, says):
    with pytest.raises(ValueError, match=says):
        RaycastScene(vertices, faces, threads=1)


@pytest.mark.parametrize(
    ("K", "world_from_cam", "says"),
    [
        (K, np.diag([-1.0, 1, 1, 1]), "frame 3: world_from_cam must be rigid"),
        (K + np.eye(3, k=1), np.eye(4), "skew"),
    ],
)
def test_a_malformed_view_is_refused(K, world_from_cam, says):
    scene = RaycastScene(np.eye(3), np.array([[0, 1, 2]], dtype=np.int32), threads=1)
    with pytest.raises(ValueError, match=says):
        scene.visibility(View(frame=3, K=K, world_from_cam=world_from_cam), height=8, width=8)
