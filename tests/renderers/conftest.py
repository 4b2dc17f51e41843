"""A bumpy closed mesh far from the world's origin and two cameras that look at it awkwardly."""

import numpy as np
import pytest

from pipeline.cameras import invert_rigid
from pipeline.visibility import normals_from_visibility, vertex_normals
from renderers.proof import icosphere
from renderers.raycast import RaycastScene
from renderers.views import RenderedView, View

ORIGIN = np.array([800.0, -40.0, 300.0])


@pytest.fixture(scope="session")
def bumpy_mesh():
    directions, faces = icosphere(5)
    x, y, z = directions.T
    radius_m = 0.5 * (1 + 0.15 * np.sin(5 * x + 1) * np.cos(4 * y) + 0.05 * np.sin(17 * z + 3 * x))
    return ORIGIN + radius_m[:, None] * directions * [1.0, 1.4, 0.8], faces


@pytest.fixture(scope="session")
def two_views():
    """fx > fy with the principal point outside the image, and fx < fy with it off centre; both rolled."""
    left_out = np.array([[250.0, 0, -45.0], [0, 215.0, 150.0], [0, 0, 1]])
    off_centre = np.array([[210.0, 0, 96.0], [0, 260.0, 140.0], [0, 0, 1]])
    beside = look_at([1.1, 0.5, -1.5], aim=[1.2, 0.1, 0.8], roll_rad=0.1)
    towards = look_at([-1.7, -0.3, -0.6], aim=[0, 0, 0], roll_rad=-2.0)
    return [
        View(frame=12, K=left_out, world_from_cam=beside),
        View(frame=7, K=off_centre, world_from_cam=towards),
    ]


def look_at(eye, *, aim, roll_rad):
    forward = np.subtract(aim, eye) / np.linalg.norm(np.subtract(aim, eye))
    right = np.cross([0.0, -1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    world_from_cam = np.eye(4)
    world_from_cam[:3, 0] = np.cos(roll_rad) * right + np.sin(roll_rad) * down
    world_from_cam[:3, 1] = np.cos(roll_rad) * down - np.sin(roll_rad) * right
    world_from_cam[:3, 2] = forward
    world_from_cam[:3, 3] = ORIGIN + eye
    return world_from_cam


@pytest.fixture(scope="session")
def raycast_view():
    """The fast twin of Blender: a mesh and a view to a RenderedView."""

    def render(vertices, faces, view, *, height, width):
        seen = RaycastScene(vertices, faces, threads=2).visibility(view, height=height, width=width)
        normal = normals_from_visibility(
            seen.face_index,
            seen.bary,
            vertices=vertices,
            faces=faces,
            normals_world=vertex_normals(vertices, faces),
            cam_from_world=invert_rigid(view.world_from_cam),
        )
        return RenderedView(frame=view.frame, depth_m=seen.depth_m, normal=normal, mask=seen.face_index >= 0)

    return render
