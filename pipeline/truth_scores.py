"""How far estimates lie from what was really there."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.comparison import rotation_angle_rad
from pipeline.voxels.grids import CUBE, alignment_depth, orthographic_grid
from pipeline.voxels.voxelise import voxelise

Float64 = NDArray[np.float64]
SURFACE_POINTS = 100_000  # a person has about 2 m^2: one point every 4 mm


def pose_error(world_from_cam: Float64, truth: Float64) -> tuple[float, float]:
    """Distance in metres between two cameras' centres, and the angle in radians between their axes' frames.

    Args:
        world_from_cam, truth: (4 4) rigid, of the same world.
    """
    apart_m = float(np.linalg.norm(world_from_cam[:3, 3] - truth[:3, 3]))
    return apart_m, rotation_angle_rad(world_from_cam[:3, :3], truth[:3, :3])


def world_alignment(world_from_cam: Float64, truth: Float64) -> Float64:
    """The rigid true_from_world (4 4) that brings a path of cameras closest to the true one.

    Closest by the squared distances of the cameras' centres and of points 1 m along each of their axes: places
    alone would leave the turn of a camera that hardly moves, or that moves along a line, to chance.

    Args:
        world_from_cam, truth: (N 4 4) rigid, of the same frames.
    """
    ends = np.vstack([np.zeros(3), np.eye(3)])
    found, true = (
        (np.einsum("nij,kj->nki", path[:, :3, :3], ends) + path[:, None, :3, 3]).reshape(-1, 3)
        for path in (world_from_cam, truth)
    )
    # Arun, Huang and Blostein, "Least-Squares Fitting of Two 3-D Point Sets", 1987.
    u, _, vt = np.linalg.svd((true - true.mean(axis=0)).T @ (found - found.mean(axis=0)))
    aligned = np.eye(4)
    aligned[:3, :3] = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    aligned[:3, 3] = true.mean(axis=0) - aligned[:3, :3] @ found.mean(axis=0)
    return aligned


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


def body_errors(
    true_m: tuple[NDArray[Any], ...],
    fitted_m: tuple[NDArray[Any], ...],
    faces: NDArray[np.int32],
    K: Float64,
    *,
    size_px: int,
) -> tuple[float, float, float, float]:
    """Errors of one fitted body: of its joints, of them about the root, of its vertices, and its volume's overlap.

    Args:
        true_m, fitted_m: joints (J 3), the root first, and vertices (V 3) in the camera frame.
        K: of the crop, whose grid of Jackson et al.'s cube about the true body both volumes are taken in.

    Returns:
        Three mean distances in metres (MPJPE, MPJPE root-aligned, PVE), and intersection over union.
    """
    apart_m = fitted_m[0] - true_m[0]
    means = [
        np.linalg.norm(d, axis=1).mean() for d in (apart_m, apart_m - apart_m[:1], fitted_m[1] - true_m[1])
    ]
    grid = orthographic_grid(K, alignment_depth(true_m[1], "mean"), CUBE, size_px=size_px, scale=1.0)
    inside = [voxelise(v, faces, grid, CUBE, max_open_share=1.0)[0] for v in (true_m[1], fitted_m[1])]
    union = np.count_nonzero(inside[0] | inside[1])
    overlap = np.count_nonzero(inside[0] & inside[1]) / union if union else 0.0
    return float(means[0]), float(means[1]), float(means[2]), overlap
