"""How far a renderer lies from a scene whose depth and normals are known in closed form, in millimetres.

A sphere before a tilted plane that fills the image. `renderers.proof` only says whether a process may be used;
here the error itself is measured, on another scene, in front of another camera, for Blender and for Embree.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, pixel_rays, transform
from pipeline.visibility import normals_from_visibility, vertex_normals
from renderers.proof import icosphere, proof_scenes
from renderers.views import RenderedView, View

HEIGHT, WIDTH = 96, 128
CENTRE_CAM = np.array([0.12, -0.08, 1.5])
RADIUS_M = 0.35
PLANE_NORMAL_CAM = np.array([-0.3, 0.25, -1.0]) / np.linalg.norm([-0.3, 0.25, -1.0])
PLANE_DISTANCE_M = 2.0
SUBDIVISIONS = 6  # facets then lie at most 0.03 mm inside the sphere

# Pixels at the sphere's rim are not compared: facets and samples there move the depth without bound.
MIN_COSINE = 0.25
RIM_PX = 1.5
# Along the shallowest ray that is compared, facets 0.025 mm inside cost 0.10 mm, and a sample 0.002 px aside at most
# as much; the mildest wrong convention, half a pixel, costs more than 2 mm.
DEPTH_LIMIT_MM = 0.2
NORMAL_LIMIT_DEG = 0.2  # the facets' corners lean by 0.01, the sphere turns by 0.2 within half a pixel


@dataclass(frozen=True, kw_only=True, slots=True)
class Deviation:
    """A rendered image against the closed form.

    Attributes:
        median_mm, max_mm: of |rendered - true| depth; None where no compared pixel was hit.
        max_normal_deg: angle between rendered and true normal; None likewise.
        compared_px: pixels away from the sphere's rim that were hit.
        holes_px: pixels without a finite depth; the scene fills the image.
    """

    median_mm: float | None
    max_mm: float | None
    max_normal_deg: float | None
    compared_px: int
    holes_px: int

    @property
    def holds(self) -> bool:
        """Whether every pixel was hit and all errors are within their limits."""
        if self.holes_px or self.max_mm is None or self.max_normal_deg is None:
            return False
        return self.max_mm <= DEPTH_LIMIT_MM and self.max_normal_deg <= NORMAL_LIMIT_DEG


def blender_deviation(*, threads: int) -> Deviation:
    """Render the scene as every stage does, in a Blender process of its own, and compare.

    Raises:
        StageError: if Blender cannot start, follows another convention, or dies.
    """
    from renderers.blender import render_views

    vertices, faces, view = known_scene()
    (rendered,) = render_views(vertices, faces, [view], height=HEIGHT, width=WIDTH, threads=threads)
    return deviation(rendered)


def raycast_deviation(*, threads: int) -> Deviation:
    """Cast the scene with Embree and compare; its normals are interpolated from the visibility buffer."""
    from renderers.raycast import RaycastScene

    vertices, faces, view = known_scene()
    seen = RaycastScene(vertices, faces, threads=threads).visibility(view, height=HEIGHT, width=WIDTH)
    normal = normals_from_visibility(
        seen.face_index,
        seen.bary,
        vertices=vertices,
        faces=faces,
        normals_world=vertex_normals(vertices, faces),
        cam_from_world=invert_rigid(view.world_from_cam),
    )
    mask = seen.face_index >= 0
    return deviation(RenderedView(frame=view.frame, depth_m=seen.depth_m, normal=normal, mask=mask))


def deviation(rendered: RenderedView) -> Deviation:
    """Compare an image of the scene with its closed form."""
    depth_m, normal, compared = closed_form()
    found = rendered.mask & np.isfinite(rendered.depth_m) & np.isfinite(rendered.normal).all(axis=2)
    both = compared & found
    holes_px = int(np.count_nonzero(~found))
    if not both.any():
        return Deviation(median_mm=None, max_mm=None, max_normal_deg=None, compared_px=0, holes_px=holes_px)
    off_mm = 1e3 * np.abs(rendered.depth_m[both] - depth_m[both])
    chord = np.linalg.norm(rendered.normal[both] - normal[both], axis=1)
    return Deviation(
        median_mm=float(np.median(off_mm)),
        max_mm=float(off_mm.max()),
        max_normal_deg=float(np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1))).max()),
        compared_px=int(np.count_nonzero(both)),
        holes_px=holes_px,
    )


def closed_form() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """What the scene's camera sees: depth_m (H W), unit normals (H W 3) in its frame, what is compared (H W)."""
    K = _camera().K
    rays = pixel_rays(K, HEIGHT, WIDTH)
    # |z r - c| = R for points p = z r of a ray r: a z^2 - 2 b z + c = 0, whose smaller root is in front.
    a, b = np.sum(rays**2, axis=2), rays @ CENTRE_CAM
    inside = b**2 - a * (CENTRE_CAM @ CENTRE_CAM - RADIUS_M**2)
    on_sphere = inside > 0
    sphere_m = (b - np.sqrt(np.maximum(inside, 0))) / a
    plane_m = -PLANE_DISTANCE_M / (rays @ PLANE_NORMAL_CAM)
    depth_m = np.where(on_sphere, sphere_m, plane_m)

    radial = (rays * sphere_m[..., None] - CENTRE_CAM) / RADIUS_M
    normal = np.where(on_sphere[..., None], radial, PLANE_NORMAL_CAM)
    cosine = -np.sum(radial * rays, axis=2) / np.sqrt(a)
    miss_m = np.sqrt(np.maximum(CENTRE_CAM @ CENTRE_CAM - b**2 / a, 0))  # from the ray to the centre
    beside = miss_m > RADIUS_M + RIM_PX * np.linalg.norm(CENTRE_CAM) / min(K[0, 0], K[1, 1])
    return depth_m, normal, np.where(on_sphere, cosine > MIN_COSINE, beside)


def known_scene() -> tuple[NDArray[np.float64], NDArray[np.int32], View]:
    """Vertices (V 3) and faces (F 3) in the world frame, and the camera that looks at them at HEIGHT x WIDTH."""
    directions, sphere_faces = icosphere(SUBDIVISIONS)
    across = np.cross(PLANE_NORMAL_CAM, [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    up = np.cross(PLANE_NORMAL_CAM, across)
    middle = -PLANE_DISTANCE_M * PLANE_NORMAL_CAM
    corners = np.stack([middle + 5 * (s * across + t * up) for s, t in [(-1, -1), (1, -1), (1, 1), (-1, 1)]])
    plane_faces = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32) + len(directions)
    view = _camera()
    vertices_cam = np.concatenate([CENTRE_CAM + RADIUS_M * directions, corners])
    vertices = transform(view.world_from_cam, vertices_cam)
    return vertices, np.concatenate([sphere_faces, plane_faces.astype(np.int32)]), view


def _camera() -> View:
    """Other intrinsics than the proof's; its pose is awkward enough: turned, rolled, far from the origin."""
    K = np.array([[140.0, 0, 55.0], [0, 120.0, 52.0], [0, 0, 1]])
    return View(frame=0, K=K, world_from_cam=proof_scenes()[0].view.world_from_cam)
