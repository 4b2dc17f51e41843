"""A tilted plane and a sphere whose images are known in closed form; every render process shows them first.

"Depth" means planar z to some renderers and to some of their versions, and the length of the ray to others;
pixel centres lie on integers or on halves; normals point one way or the other. A process whose two images are
not these has another convention, and none of its frames is used.

The camera is awkward on purpose: rolled, fx != fy, the principal point off centre, the world's origin far.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import pixel_rays, transform
from pipeline.errors import StageError
from pipeline.visibility import GRAZING_COSINE, vertex_normals
from renderers.views import RenderedView, View

HEIGHT, WIDTH = 72, 96
PLANE_NORMAL_CAM = np.array([0.5, -0.2, -0.8]) / np.linalg.norm([0.5, -0.2, -0.8])
PLANE_DISTANCE_M = 2.0
SPHERE_CENTRE_CAM = np.array([0.1, -0.05, 2.0])
SPHERE_RADIUS_M = 0.55

SAMPLE_PX = (
    0.002  # how far a sample may lie beside the centre; bpy 5.0.1's first one was found 0.0005 px aside
)
ROUNDING_M = 1e-5  # float32 at 6 m steps by 5e-7 m; a ray, a rotation and a division take several such steps
ROUNDING_RAD = 2e-4  # rays, rotations and interpolated normals in float32; flat-shaded spheres are 0.03 off


@dataclass(frozen=True, kw_only=True, slots=True)
class ProofScene:
    """A mesh in the world frame and the one camera that looks at it, at HEIGHT x WIDTH."""

    name: str
    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    view: View


def proof_scenes() -> tuple[ProofScene, ProofScene]:
    """The plane and the sphere."""
    K = np.array([[105.0, 0, 33.0], [0, 70.0, 45.0], [0, 0, 1]])
    yaw, roll = np.radians([40.0, 25.0])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    lean = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = turn @ lean
    world_from_cam[:3, 3] = [120.0, -35.0, 260.0]
    view = View(frame=0, K=K, world_from_cam=world_from_cam)

    across = np.cross(PLANE_NORMAL_CAM, [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    up = np.cross(PLANE_NORMAL_CAM, across)
    middle = -PLANE_DISTANCE_M * PLANE_NORMAL_CAM
    corners = np.stack([middle + 10 * (s * across + t * up) for s, t in [(-1, -1), (1, -1), (1, 1), (-1, 1)]])
    plane_faces = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
    directions, sphere_faces = icosphere(4)
    sphere = SPHERE_CENTRE_CAM + SPHERE_RADIUS_M * directions
    return (
        ProofScene(name="plane", vertices=transform(world_from_cam, corners), faces=plane_faces, view=view),
        ProofScene(name="sphere", vertices=transform(world_from_cam, sphere), faces=sphere_faces, view=view),
    )


def icosphere(subdivisions: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Unit vectors (V 3) and outward faces (20 * 4^subdivisions, 3) of a subdivided icosahedron."""
    golden = (1 + np.sqrt(5)) / 2
    rectangle = np.array([[0, s, t * golden] for s in (-1, 1) for t in (-1, 1)])
    vertices = np.concatenate([np.roll(rectangle, shift, axis=1) for shift in range(3)])
    near = np.linalg.norm(vertices[:, None] - vertices, axis=2) < 2.1  # its edges have length 2
    triples = [t for t in combinations(range(12), 3) if all(near[a, b] for a, b in combinations(t, 2))]
    outward = np.linalg.det(vertices[np.array(triples)]) > 0
    faces = np.array([t if out else t[::-1] for t, out in zip(triples, outward, strict=True)])
    for _ in range(subdivisions):
        vertices, faces = _subdivide(vertices, faces)
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True), faces.astype(np.int32)


def _subdivide(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    vertices = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, index = np.unique(edges, axis=0, return_inverse=True)
    a, b, c = faces.T
    ab, bc, ca = (len(vertices) + index.reshape(-1, 3)).T
    parts = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    return np.concatenate([vertices, vertices[unique].mean(axis=1)]), np.concatenate(
        [np.stack(part, axis=1) for part in parts]
    )


def check_proof(scene: ProofScene, rendered: RenderedView) -> None:
    """Compare a rendered proof scene with its closed form.

    Raises:
        StageError: at the first pixel too far off, with the figure and the bound.
    """
    {"plane": _check_plane, "sphere": _check_sphere}[scene.name](scene, rendered)


def _check_plane(scene: ProofScene, rendered: RenderedView) -> None:
    """n.p = -d with p = z r gives z = -d / (n.r), for every pixel of the image."""
    _refuse_coverage("plane", ~rendered.mask)
    K = scene.view.K
    facing = pixel_rays(K, HEIGHT, WIDTH) @ PLANE_NORMAL_CAM
    depth_m = -PLANE_DISTANCE_M / facing
    # dz/du = -z n_x / (f_x n.r), and so for v: what a sample beside the pixel centre may differ.
    slope = (np.abs(PLANE_NORMAL_CAM[:2]) / K.diagonal()[:2]).sum() / np.abs(facing)
    allowed_m = SAMPLE_PX * slope * depth_m + ROUNDING_M
    _refuse_depth("plane", np.abs(rendered.depth_m - depth_m), allowed_m)
    _refuse_normal("plane", rendered.normal, PLANE_NORMAL_CAM, ROUNDING_RAD)


def _check_sphere(scene: ProofScene, rendered: RenderedView) -> None:
    """The facets lie between the sphere through their corners and the largest sphere inside.

    The difference of the two radii is a facet's sagitta. A ray that meets the inner sphere therefore enters
    the mesh between its entries into the two, at whatever slope; one that misses the outer misses the mesh.
    """
    directions, faces = icosphere(4)
    a, b, c = (directions[faces[:, corner]] for corner in range(3))
    facet_normals = np.cross(b - a, c - a)
    facet_normals /= np.linalg.norm(facet_normals, axis=1, keepdims=True)
    cos_facet = float(np.sum(facet_normals * a, axis=1).min())  # of the widest facet, centre to corner
    inner_m = SPHERE_RADIUS_M * cos_facet

    rays = pixel_rays(scene.view.K, HEIGHT, WIDTH)
    units = rays / np.linalg.norm(rays, axis=2, keepdims=True)
    middle_m = units @ SPHERE_CENTRE_CAM
    miss_m = np.sqrt(SPHERE_CENTRE_CAM @ SPHERE_CENTRE_CAM - middle_m**2)  # ray to centre
    # How far a sample beside the pixel centre moves the ray there; z / f bounds it for both focal lengths.
    aside_m = np.sqrt(2) * SAMPLE_PX * middle_m / min(scene.view.K[0, 0], scene.view.K[1, 1])
    surely = miss_m + aside_m < inner_m
    beside = miss_m - aside_m > SPHERE_RADIUS_M
    _refuse_coverage("sphere", (surely & ~rendered.mask) | (beside & rendered.mask))

    chord_near = np.sqrt(np.maximum(SPHERE_RADIUS_M**2 - (miss_m - aside_m) ** 2, 0))
    chord_far = np.sqrt(np.maximum(inner_m**2 - (miss_m + aside_m) ** 2, 0))
    near_m, far_m = (middle_m - chord_near) * units[..., 2], (middle_m - chord_far) * units[..., 2]
    off_m = np.abs(rendered.depth_m - (near_m + far_m) / 2)
    _refuse_depth("sphere", off_m[surely], ((far_m - near_m) / 2 + ROUNDING_M)[surely])

    # Weights that put a point q on a facet, applied to radial corner normals, give q's own radial direction:
    # interpolation adds no error. Corner normals that lean by e away from radial turn it by at most
    # asin(2 sin(e/2) / cos_facet), since |q| >= cos_facet. Grazing normals may have been tilted once more.
    lean = np.linalg.norm(vertex_normals(directions, faces) - directions, axis=1).max()  # 2 sin(e/2)
    radial = rays * rendered.depth_m[..., None] - SPHERE_CENTRE_CAM
    radial /= np.linalg.norm(radial, axis=2, keepdims=True)
    limit_rad = float(np.arcsin(lean / cos_facet)) + GRAZING_COSINE + ROUNDING_RAD
    _refuse_normal("sphere", rendered.normal[surely], radial[surely], limit_rad)


def _refuse_coverage(name: str, wrong: NDArray[np.bool_]) -> None:
    if wrong.any():
        raise StageError(
            f"renderers.proof: the mask of the known {name} must agree with its closed form, "
            f"differs at {np.count_nonzero(wrong)} pixels. {_NEXT_STEP}"
        )


def _refuse_depth(name: str, off_m: NDArray[np.float64], allowed_m: NDArray[np.float64]) -> None:
    worst = np.argmax(off_m / allowed_m)
    off_mm, allowed_mm = off_m.flat[worst] * 1e3, allowed_m.flat[worst] * 1e3
    if not off_mm <= allowed_mm:
        raise StageError(
            f"renderers.proof: the depth of the known {name} must agree with its closed form "
            f"within {allowed_mm:.3f} mm, is {off_mm:.3f} mm off. {_NEXT_STEP}"
        )


def _refuse_normal(
    name: str, normals: NDArray[np.float32], expected: NDArray[np.float64], limit_rad: float
) -> None:
    # The chord, not the dot product: an arc cosine has no digits left at small angles.
    angle_rad = float((2 * np.arcsin(np.clip(np.linalg.norm(normals - expected, axis=-1) / 2, 0, 1))).max())
    if not angle_rad <= limit_rad:
        raise StageError(
            f"renderers.proof: the normals of the known {name} must agree with their closed form "
            f"within {np.degrees(limit_rad):.3f} deg, are {np.degrees(angle_rad):.3f} deg off. {_NEXT_STEP}"
        )


_NEXT_STEP = "This Blender follows another convention and none of its frames is used; install bpy==5.0.1."
