"""A person in a room before still cameras: each writes a folder of its own, as recorders of one camera do."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pipeline.bodies.model import default_body
from pipeline.cameras import invert_rigid
from renderers.raycast import RaycastScene
from renderers.views import View

HEIGHT, WIDTH = 180, 240
K = np.array([[215.0, 0, 119.5], [0, 215.0, 89.5], [0, 0, 1]])
STEP_M = 1e-4  # of the depth images: noise-free, next to the tenths of millimetres that are measured
ROOM_LOW_M, ROOM_HIGH_M = (-2.7, -0.01, -4.0), (3.6, 2.7, 3.0)  # no two cameras see the same walls
BRIGHTNESS = (50, 200, 110)  # of the cameras' pictures
ANGLES_DEG = (0.0, 120.0, 240.0)
FILES = (
    'depth = "depth/{time}.png"\nmask = "mask/{time}.png"\ncolor = "color/{time}.png"\ncalibration = "K.json"\n'
    "depth_unit_m = 1e-4\n"
)


def person() -> tuple[np.ndarray, np.ndarray]:
    """Vertices in metres, feet at 0, +Y up, and faces."""
    body = default_body()
    pose_rad = np.zeros((1, 24, 3))
    pose_rad[0, 16:18, 2] = -0.9, 0.9  # arms down, away from the body
    vertices = body.posed(pose_rad, np.zeros(body.betas), np.zeros((1, 3))).vertices_m[0].astype(np.float64)
    vertices[:, 1] -= vertices[:, 1].min()
    return vertices, body.faces


def room() -> tuple[np.ndarray, np.ndarray]:
    corners = np.array(list(itertools.product(*zip(ROOM_LOW_M, ROOM_HIGH_M, strict=True))))
    sides = [[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]]
    return corners, np.array([[a, b, c] for q in sides for a, b, c in (q[:3], (q[0], *q[2:]))], np.int32)


def looking(angle_deg: float) -> np.ndarray:
    """world_from_cam of a camera 2.3 m from the person's axis, 1.2 m high, that looks at the hips."""
    angle = np.radians(angle_deg)
    eye = np.array([2.3 * np.sin(angle), 1.2, 2.3 * np.cos(angle)])
    forward = np.array([0.0, 0.85, 0.0]) - eye
    forward /= np.linalg.norm(forward)
    down = np.array([0.0, -1.0, 0.0])
    down -= (down @ forward) * forward
    down /= np.linalg.norm(down)
    pose = np.eye(4)
    pose[:3] = np.column_stack([np.cross(down, forward), down, forward, eye])
    return pose


def rig_from_cams(angles_deg: Sequence[float] = ANGLES_DEG) -> list[np.ndarray]:
    """Transforms to the first camera, as a calibration of cameras against each other gives them."""
    poses = [looking(angle) for angle in angles_deg]
    return [invert_rigid(poses[0]) @ pose for pose in poses]


def write_cameras(
    folder: Path,
    *,
    moments: int,
    angles_deg: Sequence[float] = ANGLES_DEG,
    late_s: Sequence[float] = (0.0, 0.006, -0.004),
) -> None:
    """Write cam0, cam1, ... below a folder.

    Args:
        late_s: of each camera, against the first one's time.
    """
    (vertices, faces), (corners, sides) = person(), room()
    scene = RaycastScene(
        np.concatenate([vertices, corners]), np.concatenate([faces, sides + len(vertices)]).astype(np.int32), threads=1
    )  # fmt: skip
    for camera, angle in enumerate(angles_deg):
        place = folder / f"cam{camera}"
        for stream in ("depth", "mask", "color"):
            (place / stream).mkdir(parents=True)
        calibration = {"width": WIDTH, "height": HEIGHT, "K": K.tolist()}
        (place / "K.json").write_text(json.dumps(calibration))
        seen = scene.visibility(View(frame=0, K=K, world_from_cam=looking(angle)), height=HEIGHT, width=WIDTH)
        raw = np.round(seen.depth_m / STEP_M).astype(np.uint16)
        mask = (seen.face_index >= 0) & (seen.face_index < len(faces))
        for moment in range(moments):
            name = f"{1 + moment / 30 + late_s[camera]:.4f}.png"
            depth, picture = raw.copy(), np.full((HEIGHT, WIDTH, 3), BRIGHTNESS[camera], np.uint8)
            depth[0, moment], picture[0, moment] = (
                0,
                0,
            )  # no two frames of a recording are alike to the last bit
            images = {"depth": depth, "mask": mask.astype(np.uint8) * 255, "color": picture}
            for stream, image in images.items():
                cv2.imwrite(str(place / stream / name), image)


def table(transforms: Sequence[np.ndarray], more: str = "") -> str:
    """A [[capture]] of such cameras; `more` stands among its keys."""
    cameras = "".join(
        f'[[capture.rig.cameras]]\npath = "cam{camera}"\nrig_from_cam = {transform.tolist()}\n'
        for camera, transform in enumerate(transforms)
    )
    head = '[[capture]]\nid = "ann"\nformat = "rgbd-folder"\npath = "ann"\nforeground = "given"\nsplit = "train"\n'
    return f"{head}{more}[capture.files]\n{FILES}{cameras}"
