"""A dressed person in a room, seen once around by the depth camera of a virtual Kinect v2, and where it truly was.

The camera has no lens distortion and brings no colour: what is left is quick to draw and hard enough to track.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, pixel_rays, transform
from pipeline.captures.distortion import LensCamera
from pipeline.fusion.tracking import TrackFrame
from pipeline.simulation.casting import Script, draw_take
from pipeline.simulation.dressing import dressed
from pipeline.simulation.filming import Take
from pipeline.simulation.kinect import measure_depth
from pipeline.simulation.room import draw_room
from pipeline.zbuffer import visible_faces

Float64 = NDArray[np.float64]

CAMERA = LensCamera(
    width=512, height=424, fx_px=365.4, fy_px=365.4, cx_px=257.2, cy_px=206.1, distortion=(0.0,) * 5
)
K = np.array([[CAMERA.fx_px, 0, CAMERA.cx_px], [0, CAMERA.fy_px, CAMERA.cy_px], [0, 0, 1]])
INFRARED = 0.5
SEED = 7


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FilmedTurn:
    """Frames without poses, and the truth.

    Attributes:
        world_from_cam: (N 4 4); of a turntable, in the frame that turns with the person.
        vertices_m, faces: the person of the first frame, in the same frame.
    """

    frames: list[TrackFrame]
    world_from_cam: Float64
    vertices_m: Float64
    faces: NDArray[np.int32]


def film_turn(
    count: int = 60,
    *,
    turn: float = 1.0,
    person: Literal["still", "squat", "turntable"] = "still",
    with_room: bool = True,
) -> FilmedTurn:
    """Film a turn, or the first share of one, in `count` frames."""
    motion = "squat" if person == "squat" else None
    script = Script(
        capture="turn", subject="p01", outfit="first", pose=None if motion else "standing", motion=motion,
        camera="orbit", cameras=1, count=count, distance_m=2.2,
    )  # fmt: skip
    take = draw_take(SEED, script)
    progress = np.linspace(0, turn, count, endpoint=False)
    cameras = take.paths[0].at(progress)
    orbit_m = float(np.hypot(*take.paths[0].at(np.linspace(0, 1, 200))[:, [0, 2], 3].T).max()) + 0.1
    room = draw_room(np.random.default_rng(SEED), orbit_m=orbit_m).surface
    frames, poses, bodies = [], [], []
    still_m = _body(take, 0)
    for index in range(count):
        body_m = still_m if take.still else _body(take, index)
        turned = _turned(2 * np.pi * progress[index]) if person == "turntable" else np.eye(4)
        camera = cameras[0] if person == "turntable" else cameras[index]
        parts = [transform(turned, body_m), *([room.vertices] if with_room else [])]
        faces = [take.wardrobe.faces, *([room.faces + len(body_m)] if with_room else [])]
        scene = np.concatenate(parts), np.concatenate(faces).astype(np.int32)
        frames.append(_frame(index, scene, len(take.wardrobe.faces), camera))
        poses.append(invert_rigid(turned) @ camera)
        bodies.append(body_m)
    return FilmedTurn(
        frames=frames, world_from_cam=np.stack(poses), vertices_m=bodies[0], faces=take.wardrobe.faces
    )


def _body(take: Take, index: int) -> Float64:
    return dressed(take.wardrobe, *take.action(float(take.times.depth_s[index]))).vertices_m


def _turned(angle_rad: float) -> Float64:
    found = np.eye(4)
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    found[:3, :3] = [[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]
    return found


def _frame(
    index: int, scene: tuple[Float64, NDArray[np.int32]], person_faces: int, world_from_cam: Float64
) -> TrackFrame:
    vertices, faces = scene
    cam_from_world = invert_rigid(world_from_cam)
    face_index, bary, depth_m = visible_faces(
        transform(cam_from_world, vertices), faces, K, height=CAMERA.height, width=CAMERA.width
    )
    corners = vertices[faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    normal = np.where((face_index >= 0)[..., None], flat[face_index] @ cam_from_world[:3, :3].T, 0.0)
    away = np.einsum("hwi,hwi->hw", normal, pixel_rays(K, CAMERA.height, CAMERA.width)) > 0
    normal[away] *= -1  # cloth is seen from both sides
    rng = np.random.default_rng([SEED, index])
    raw_mm = measure_depth(depth_m, normal, np.full(depth_m.shape, INFRARED), CAMERA, rng)
    return TrackFrame(
        frame=index,
        depth_m=(raw_mm / np.float32(1000)).astype(np.float32),
        mask=(face_index >= 0) & (face_index < person_faces),
        rgb=None,
        K=K,
    )
