"""How far estimates lie from what was really there."""

import numpy as np
from numpy.typing import NDArray

from pipeline.comparison import rotation_angle_rad

Float64 = NDArray[np.float64]
SURFACE_POINTS = 100_000  # a person has about 2 m^2: one point every 4 mm


def pose_error(world_from_cam: Float64, truth: Float64) -> tuple[float, float]:
    """Distance in metres between two cameras' centres, and the angle in radians between their axes' frames.

    Args:
        world_from_cam, truth: (4 4) rigid, of the same world.
    """
    apart_m = float(np.linalg.norm(world_from_cam[:3, 3] - truth[:3, 3]))
    return apart_m, rotation_angle_rad(world_from_cam[:3, :3], truth[:3, :3])


def surface_points(
    vertices: Float64, faces: NDArray[np.int32], count: int, rng: np.random.Generator
) -> Float64:
    """Points (count 3) spread evenly by area over a surface.

    Args:
        vertices: (V 3) metres.
        faces: (F 3).

    Raises:
        ValueError: if the surface has no area.
    """
    corners = vertices[faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    if not areas.sum() > 0:
        raise ValueError(f"surface_points: the surface must have an area, its {len(faces)} faces have none")
    chosen = corners[rng.choice(len(faces), size=count, p=areas / areas.sum())]
    # Osada et al., "Shape Distributions", 2002, section 3.1: the root makes them even within a face.
    root, share = np.sqrt(rng.random(count)), rng.random(count)
    weights = np.stack([1 - root, root * (1 - share), root * share], axis=1)
    return np.asarray(np.einsum("nk,nki->ni", weights, chosen))
