"""From what a camera sees of a scene to the light that it receives.

Lambert's law under lamps with soft shadows, surrounding light with what hinders it, highlights after Blinn,
"Models of Light Reflection for Computer Synthesized Pictures", SIGGRAPH 1977. `film` makes a picture of it.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.lighting import Lights, Shadows, map_intrinsics
from pipeline.simulation.materials import material_table
from pipeline.simulation.surface import Surface

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]


def light_up(
    surface: Surface,
    lights: Lights,
    shadows: Shadows,
    *,
    face_index: Int32,
    bary: Float32,
    K: Float64,
    world_from_cam: Float64,
) -> Float32:
    """Linear RGB (H W 3) that the camera receives; 0 where no face is seen.

    Args:
        face_index: (H W) rows of the surface's faces, -1 where none is seen.
        bary: (H W 2) weights of the faces' second and third vertex.
        shadows: of this surface under these lights.
    """
    from pipeline.simulation.painting_kernels import light_pixels, nearest_casters

    linear = np.zeros((*face_index.shape, 3), dtype=np.float32)
    carried = (surface.vertices, surface.normals, surface.texture_points, surface.albedo, shadows.surround)
    mesh = surface.faces, _float32(np.column_stack(carried)), surface.face_material, _float32(lights.surround)
    nearest_m = np.stack([nearest_casters(depth_m) for depth_m in shadows.depth_m])
    place, pixel, forward = world_from_cam[:3, 3], 1 / K.diagonal()[:2], world_from_cam[:3, 2]
    light_pixels(
        (face_index, bary),
        mesh,
        material_table(surface.materials),
        (_float32(place), _float32(pixel), _float32(forward)),
        (_lamp_table(lights, shadows), shadows.depth_m, nearest_m),
        linear,
    )
    return linear


def _lamp_table(lights: Lights, shadows: Shadows) -> Float32:
    K_map = map_intrinsics()
    projections = (K_map @ shadows.cam_from_world[:, :3]).reshape(len(lights.places), 12)
    focal_px = np.full(len(lights.places), K_map[0, 0])
    sizes = lights.radius_m * focal_px
    return _float32(np.column_stack([lights.places, lights.colors, sizes, projections, focal_px]))


def _float32(array: NDArray[np.float64]) -> Float32:
    """One type and layout, one compiled version."""
    return np.ascontiguousarray(array, dtype=np.float32)
