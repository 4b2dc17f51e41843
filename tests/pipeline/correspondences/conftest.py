"""People as a camera sees them, with the place on the body behind every pixel."""

from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.bodies.joints import COCO17, joints_of
from pipeline.bodies.model import Body, default_body
from pipeline.cameras import project
from pipeline.captures.annotation import Joints
from pipeline.correspondences.charts import Charts, own_charts
from pipeline.correspondences.geodesic import GeodesicSurface, body_surface
from pipeline.labels import body_labels
from pipeline.zbuffer import visible_faces

SIZE_PX = 256
K = np.array([[330.0, 0, 127.5], [0, 330.0, 127.5], [0, 0, 1]])


@dataclass
class Person:
    face: np.ndarray
    bary: np.ndarray
    part: np.ndarray
    uv: np.ndarray
    joints: Joints

    @property
    def mask(self) -> np.ndarray:
        return self.face >= 0

    def from_8_bit(self) -> np.ndarray:
        """U and V as a file of a network's charts has them: 255 steps, fractions cut off."""
        return np.floor(self.uv * 255).astype(np.uint8) / np.float32(255)


@pytest.fixture(scope="session")
def body() -> Body:
    return default_body()


@pytest.fixture(scope="session")
def charts(body: Body) -> Charts:
    return own_charts(body)


@pytest.fixture(scope="session")
def surface(body: Body) -> GeodesicSurface:
    return body_surface(body)


@pytest.fixture(scope="session")
def people(body: Body) -> list[Person]:
    """One from the front, one from behind, arms and legs anywhere."""
    return [seen_person(body, seed, turned) for seed, turned in ((0, 0.3), (1, np.pi))]


def seen_person(body: Body, seed: int, turned_rad: float) -> Person:
    rng = np.random.default_rng(seed)
    pose_rad = rng.normal(0, 0.2, (1, 24, 3))
    pose_rad[0, 0] = [0, turned_rad, 0]
    posed = body.posed(pose_rad, rng.normal(0, 1, body.betas), np.zeros(3))

    def in_camera(points_m):
        return points_m * [1, -1, -1] + [0, -0.2, 2.6]

    face, bary, _ = visible_faces(
        in_camera(posed.vertices_m[0]), body.faces, K, height=SIZE_PX, width=SIZE_PX
    )
    labels = body_labels(face, bary, body)
    joints_px = project(in_camera(joints_of(body, posed, COCO17)[0]), K)
    count = len(joints_px)
    joints = Joints(
        joint_set="coco17",
        px=joints_px.astype(np.float32),
        confidence=np.ones(count, np.float32),
        visible=np.ones(count, bool),
    )
    return Person(face=face, bary=bary, part=labels["surface_part"], uv=labels["surface_uv"], joints=joints)
