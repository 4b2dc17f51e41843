"""A room of closed forms: a floor, walls, boxes, and people made of spheres, cast ray by ray."""

from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.cameras import pixel_rays
from pipeline.captures.capture import Frame

HEIGHT, WIDTH = 240, 320
K = np.array([[210.0, 0, 159.5], [0, 210.0, 119.5], [0, 0, 1]])
FLOOR, WALL, BOX, PERSON = 1, 2, 3, 10
NOISE_PER_M = 0.0005  # spread along z in metres at 1 m; a Kinect v2's


def standing(x: float, z: float, *, tall: float = 1.7) -> np.ndarray:
    """Spheres (N 4) x y z radius of a person on the floor y = 0, +Y up, arms a little apart."""
    bones = [
        ((0.0, 1.60, 0.0), (0.0, 1.62, 0.0), 0.10),  # head
        ((0.0, 1.42, 0.0), (0.0, 1.50, 0.0), 0.06),
        ((-0.12, 1.34, 0.0), (0.12, 1.34, 0.0), 0.09),  # shoulders
        ((0.0, 1.00, 0.0), (0.0, 1.30, 0.0), 0.15),
        ((-0.07, 0.92, 0.0), (0.07, 0.92, 0.0), 0.12),
    ]
    for side in (-1, 1):
        bones += [
            ((side * 0.19, 1.34, 0.0), (side * 0.27, 0.82, 0.05), 0.05),  # arm
            ((side * 0.09, 0.90, 0.0), (side * 0.11, 0.10, 0.0), 0.07),  # leg
            ((side * 0.11, 0.05, -0.02), (side * 0.13, 0.05, 0.12), 0.05),  # shoe, its sole on the floor
        ]
    spheres = []
    for first, second, radius in bones:
        count = max(2, int(np.ceil(np.linalg.norm(np.subtract(second, first)) / (0.35 * radius))))
        for share in np.linspace(0, 1, count):
            spheres.append([*((1 - share) * np.array(first) + share * np.array(second)), radius])
    return np.array(spheres) * (tall / 1.72) + [x, 0, z, 0]


@dataclass(frozen=True)
class Shot:
    frame: Frame
    label: np.ndarray  # (H W) FLOOR, WALL, BOX, PERSON + index, 0 nothing


def look(eye: tuple[float, float, float], target: tuple[float, float, float]) -> np.ndarray:
    """world_from_cam (4 4) of a level camera; the world's +Y is up."""
    forward = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(forward, right), forward, eye
    return pose


def shoot(
    pose: np.ndarray, people: list[np.ndarray], *, boxes=(), with_pose=True, number=0, wall_m=-2.0
) -> Shot:
    """One noisy depth map of a room with a wall at z = wall_m, seen from larger z."""
    rays = pixel_rays(K, HEIGHT, WIDTH) @ pose[:3, :3].T
    origin = pose[:3, 3]
    depth = np.full((HEIGHT, WIDTH), np.inf)
    label = np.zeros((HEIGHT, WIDTH), np.int64)

    def put(candidate: np.ndarray, value: int, part=(slice(None), slice(None))) -> None:
        nearer = (candidate > 0.4) & (candidate < depth[part])
        depth[part][nearer], label[part][nearer] = candidate[nearer], value

    with np.errstate(divide="ignore", invalid="ignore"):
        put(np.where(rays[..., 1] < 0, -origin[1] / rays[..., 1], np.inf), FLOOR)
        put(np.where(rays[..., 2] < 0, (wall_m - origin[2]) / rays[..., 2], np.inf), WALL)
        for low, high in boxes:
            ends = np.sort(np.stack([(low - origin) / rays, (high - origin) / rays]), axis=0)
            first, last = ends[0].max(axis=-1), ends[1].min(axis=-1)
            put(np.where(first < last, first, np.inf), BOX)
    for index, person in enumerate(people):
        for *center, radius in person:
            away = origin - center
            at = -away @ pose[:3, :3]  # in the camera
            u, v = (K @ at)[:2] / at[2]
            reach = 2 + K[0, 0] * radius / (at[2] - radius)
            rows, columns = (slice(max(0, int(c - reach)), max(0, int(c + reach) + 1)) for c in (v, u))
            some = rays[rows, columns]
            square, half = (some**2).sum(axis=-1), some @ away
            root = half**2 - square * (away @ away - radius**2)
            near = np.where(root > 0, (-half - np.sqrt(np.maximum(root, 0))) / square, np.inf)
            put(near, PERSON + index, (rows, columns))
    rng = np.random.default_rng([7, number])
    depth[~(depth < 6.0)] = 0
    noisy = depth + rng.normal(size=depth.shape) * NOISE_PER_M * depth**2
    label[depth == 0] = 0
    frame = Frame(
        frame=number,
        timestamp_s=-1.0,
        image=None,
        depth_m=np.where(depth > 0, noisy, 0).astype(np.float32),
        K=K,
        world_from_cam=pose if with_pose else None,
        mask=None,
    )
    return Shot(frame, label)


class Scene:
    """What the tests say of the room."""

    standing = staticmethod(standing)
    look = staticmethod(look)
    shoot = staticmethod(shoot)
    FRONT = look((0.0, 1.2, 2.6), (0.0, 0.85, 0.0))
    CABINET = (np.array([0.45, 0.0, -0.4]), np.array([1.15, 1.5, 0.1]))
    PERSON, BOX, FLOOR, WALL, K = PERSON, BOX, FLOOR, WALL, K


@pytest.fixture(scope="session")
def scene() -> type[Scene]:
    return Scene
