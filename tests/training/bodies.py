"""A sample as shards hold it of a body that is known, for tests of targets."""

import numpy as np

from pipeline.bodies.model import default_body
from pipeline.cameras import invert_rigid, transform
from pipeline.simulation.label_view import bare_figure, label_view
from pipeline.voxels.grids import CUBE, TALL, alignment_depth, frustum_grid
from pipeline.voxels.packing import pack
from pipeline.voxels.voxelise import voxelise

SIZE = 128
K = np.array([[150.0, 0, 70.0], [0, 150.0, 60.0], [0, 0, 1]])
SHAPES = {"occupancy_128": CUBE, "occupancy_128x256x96": TALL}


def seen_body(*, grid=frustum_grid, enlarged: float = 1.0) -> dict:
    """A lopsided body with all that shards hold of it, seen by a camera whose axis is not the picture's middle."""
    pose_rad = np.random.default_rng(3).normal(scale=0.25, size=(24, 3))
    betas, transl_m = np.array([1.0, -0.5]), np.array([0.3, 1.0, 0.1])
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3], world_from_cam[:3, 3] = np.diag([1.0, -1, -1]), [0.32, 1.0, 2.8]
    depth_m, labels = label_view(
        bare_figure(default_body(), pose_rad, betas, transl_m), K, world_from_cam, size_px=SIZE
    )
    del depth_m
    made = {
        "image": np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8),
        "K": K,
        "world_from_cam": world_from_cam,
        "body_pose_rad": pose_rad,
        "body_betas": betas,
        "body_transl_m": transl_m,
        "occupancy_scale": np.float32(enlarged),
        **{name: labels[name] for name in ("mask", "depth_m", "part14")},
        **{name: labels[name] for name in ("joints_tang16_px", "joints_tang16_cam_m")},
    }
    vertices_m = vertices_cam_m(made)
    for name, shape in SHAPES.items():
        cam_from_vox = grid(K, alignment_depth(vertices_m, "mean"), shape, size_px=SIZE, scale=enlarged)
        inside, _ = voxelise(vertices_m, default_body().faces, cam_from_vox, shape)
        made |= {name: pack(inside), f"{name}_world_from_vox": world_from_cam @ cam_from_vox}
    return made


def posed(sample: dict):
    return default_body().posed(sample["body_pose_rad"][None], sample["body_betas"], sample["body_transl_m"])


def vertices_cam_m(sample: dict) -> np.ndarray:
    return transform(invert_rigid(sample["world_from_cam"]), posed(sample).vertices_m[0])


def annotated(seed: int = 0) -> dict:
    """Joints of MPII on pixels of their own, one of them absent."""
    rng = np.random.default_rng(seed)
    px = rng.uniform(-3, SIZE + 2, (16, 2)).astype(np.float32)
    confidence = rng.uniform(0.1, 1, 16).astype(np.float32)
    px[4], confidence[4] = 0, 0
    return {"joints_mpii16_px": px, "joints_mpii16_confidence": confidence}
