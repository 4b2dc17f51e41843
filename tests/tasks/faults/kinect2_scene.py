"""A sound capture to plant faults in: somebody before a wall, as a still Kinect v2 of a quarter of its size sees them.

Depth is that of ellipsoids in closed form, with the sensor's noise, so that no two frames are alike.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.cameras import invert_rigid
from pipeline.captures.distortion import LensCamera, distorted_rays
from pipeline.captures.kinect2 import REDUCTION
from pipeline.captures.kinect2_calibration import Kinect2Calibration
from pipeline.simulation.kinect import COLOR_CAMERA, DEPTH_CAMERA, virtual_kinect
from pipeline.simulation.kinect_writer import TRUTH_FOLDER, KinectFrame, write_kinect2_capture
from pipeline.simulation.truth_writer import TrueFrame

COUNT = 12
PART = 3  # of the sensor's size
PERIOD_S, COLOR_LATE_S = 1 / 30, 0.004
WALL_M, NOISE_MM, GRAIN = 3.2, 2.0, 4.0
# Centres and half axes in metres, in the depth camera's frame (y down): head, trunk, two arms, two legs.
BODY = np.array(
    [
        [[0.0, -0.67, 2.2], [0.09, 0.13, 0.10]],
        [[0.0, -0.27, 2.2], [0.20, 0.33, 0.13]],
        [[-0.25, -0.25, 2.2], [0.06, 0.33, 0.06]],
        [[0.25, -0.25, 2.2], [0.06, 0.33, 0.06]],
        [[-0.10, 0.43, 2.2], [0.09, 0.47, 0.10]],
        [[0.10, 0.43, 2.2], [0.09, 0.47, 0.10]],
    ]
)
TALL_M = float((BODY[:, 0, 1] + BODY[:, 1, 1]).max() - (BODY[:, 0, 1] - BODY[:, 1, 1]).min())
SKIN_RGB, WALL_RGB = np.array([150.0, 110.0, 90.0]), np.array([110.0, 120.0, 130.0])


# Of the view that frames are read into, on a surface that both cameras see alike.
VIEW_PX_PER_DEPTH_PX = COLOR_CAMERA.fx_px * REDUCTION[0] / REDUCTION[1] / DEPTH_CAMERA.fx_px


def smaller(camera: LensCamera) -> LensCamera:
    """The camera with PART x PART pixels joined to one; integers are pixel centres."""
    return replace(
        camera,
        width=camera.width // PART,
        height=camera.height // PART,
        fx_px=camera.fx_px / PART,
        fy_px=camera.fy_px / PART,
        cx_px=(camera.cx_px + 0.5) / PART - 0.5,
        cy_px=(camera.cy_px + 0.5) / PART - 0.5,
    )


def small_kinect() -> Kinect2Calibration:
    device = virtual_kinect()
    return replace(device, depth=smaller(device.depth), color=smaller(device.color))


def seen_from(camera: LensCamera, origin_m: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z along the depth camera's axis (H W) and where the person is, through the pixels of a camera of this pose."""
    rays = distorted_rays(camera) @ turn.T
    person_m = np.full(rays.shape[:2], np.inf)
    for centre_m, half_axes_m in BODY:
        direction, start = rays / half_axes_m, (origin_m - centre_m) / half_axes_m
        a, b = np.sum(direction**2, -1), direction @ start
        inside = b**2 - a * (start @ start - 1)
        along = (-b - np.sqrt(np.maximum(inside, 0))) / a
        person_m = np.minimum(person_m, np.where(inside > 0, origin_m[2] + along * rays[..., 2], np.inf))
    return np.minimum(person_m, WALL_M), np.isfinite(person_m)


def recorded_frames(device: Kinect2Calibration, count: int, empty: int) -> Iterator[KinectFrame]:
    rng = np.random.default_rng(5)
    depth_from_color = invert_rigid(device.color_from_depth)
    depth_m, mask = seen_from(device.depth, np.zeros(3), np.eye(3))
    _, painted = seen_from(device.color, depth_from_color[:3, 3], depth_from_color[:3, :3])
    # Stripes tell one side from the other.
    stripes = 20 * np.sin(np.arange(painted.shape[1]) / 7)[None, :, None]
    rgb = np.where(painted[..., None], SKIN_RGB, WALL_RGB) + stripes
    true = TrueFrame(
        world_from_depth=np.eye(4),
        world_from_color=depth_from_color,
        depth_m=depth_m.astype(np.float32),
        vertices_m=np.eye(3, dtype=np.float32),
        pose_rad=np.zeros((24, 3)),
        betas=np.zeros(10),
        transl_m=np.zeros(3),
    )
    grain = rng.normal(0, GRAIN, rgb.shape)
    for frame in range(count):
        seen_m = np.full_like(depth_m, WALL_M) if frame < empty else depth_m
        depth_mm = 1000 * seen_m + rng.normal(0, NOISE_MM, depth_m.shape)
        yield KinectFrame(
            frame=frame,
            depth_s=3.0 + PERIOD_S * frame,
            color_s=3.0 + PERIOD_S * frame + COLOR_LATE_S,
            depth_raw_mm=np.rint(depth_mm).astype(np.uint16),
            image=np.clip(rgb + np.roll(grain, 7 * frame, axis=1), 0, 255).astype(np.uint8),
            mask=mask,
            true=true,
        )


def write_sound_capture(folder: Path, count: int = COUNT, *, empty: int = 0) -> Path:
    """Write the capture as the simulator does, without its truth.

    Args:
        empty: depth of so many frames at the start shows the wall alone.
    """
    device = small_kinect()
    write_kinect2_capture(
        folder,
        recorded_frames(device, count, empty),
        device,
        faces=np.array([[0, 1, 2]], np.int32),
        vertex_rgb=np.zeros((3, 3), np.uint8),
    )
    shutil.rmtree(folder / TRUTH_FOLDER)
    return folder
