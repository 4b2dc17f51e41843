"""A standing body before a camera, as the stages' fields have it."""

from functools import cache
from typing import Any

import numpy as np

from pipeline.bodies.model import default_body
from pipeline.cameras import invert_rigid, transform
from pipeline.simulation.label_view import bare_figure, label_view
from pipeline.voxels.grids import CUBE, alignment_depth, frustum_grid, orthographic_grid
from pipeline.voxels.packing import pack
from pipeline.voxels.voxelise import voxelise

SIZE_PX = 256
K = np.array([[300.0, 0, 127.5], [0, 300.0, 127.5], [0, 0, 1]])
WORLD_FROM_CAM = np.array([[1.0, 0, 0, 0.1], [0, -1, 0, 0.9], [0, 0, -1, 2.4], [0, 0, 0, 1]])


@cache
def body_row() -> dict[str, Any]:
    """Fields of one frame: labels, joints and depth of a body that lifts its left arm."""
    pose_rad, betas = np.zeros((24, 3)), np.zeros(10)
    pose_rad[16] = [0, 0, 0.6]
    transl_m = np.array([0.0, 0.95, 0.0])
    figure_m = bare_figure(default_body(), pose_rad, betas, transl_m)
    _, labels = label_view(figure_m, K, WORLD_FROM_CAM, size_px=SIZE_PX)
    labels["body_depth_m"] = labels.pop("depth_m")
    return {
        "frame": 0,
        "image": np.full((SIZE_PX, SIZE_PX, 3), 90, np.uint8),
        "K": K,
        "world_from_cam": WORLD_FROM_CAM,
        "body_pose_rad": pose_rad,
        "body_betas": betas,
        "body_transl_m": transl_m,
        **labels,
    }


def volume_fields(kind: str, scale: float = 1.0) -> dict[str, Any]:
    """That body's volume, `orthographic` or `frustum`."""
    row = body_row()
    posed = default_body().posed(row["body_pose_rad"][None], row["body_betas"], row["body_transl_m"])
    vertices_cam = transform(invert_rigid(WORLD_FROM_CAM), posed.vertices_m[0])
    grid = {"orthographic": orthographic_grid, "frustum": frustum_grid}[kind]
    cam_from_vox = grid(K, alignment_depth(vertices_cam, "mean"), CUBE, size_px=SIZE_PX, scale=scale)
    inside, _ = voxelise(vertices_cam, default_body().faces, cam_from_vox, CUBE, max_open_share=0.05)
    return {
        "occupancy_128": pack(inside),
        "occupancy_128_world_from_vox": WORLD_FROM_CAM @ cam_from_vox,
        "occupancy_scale": np.float32(scale),
    }
