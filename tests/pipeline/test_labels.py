"""Labels of a surface on a body, held against the body itself."""

import numpy as np
import pytest

from pipeline.bodies.joints import TANG16, joints_of
from pipeline.bodies.model import Posed, default_body
from pipeline.bodies.parts import SURREAL24_NAMES, TANG14_NAMES
from pipeline.labels import body_joints, body_labels, body_places
from pipeline.seeds import stream
from pipeline.simulation.dressing import dress, dressed
from pipeline.simulation.identity import draw_identity
from pipeline.simulation.outfit import draw_outfit

BODY = default_body()
# Farther below a garment than this there is no skin: hems and skirts of the wardrobe stand off less.
CLOTH_M = 0.15


@pytest.fixture(scope="module")
def person():
    rng = stream(1, "test", "labels")
    wardrobe = dress(draw_identity(rng), draw_outfit(rng))
    return dressed(wardrobe, np.zeros((24, 3)), np.zeros(3))


def places(faces: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A row of random places on a mesh of so many faces, two misses among them."""
    rng = np.random.default_rng(3)
    face = rng.integers(faces, size=(1, count)).astype(np.int32)
    face[0, [0, -1]] = -1
    return face, np.where(face[..., None] >= 0, rng.dirichlet([1, 1, 1], (1, count))[..., 1:], 0)


def points(vertices: np.ndarray, faces: np.ndarray, face: np.ndarray, bary: np.ndarray) -> np.ndarray:
    weights = np.concatenate([1 - bary.sum(axis=-1, keepdims=True), bary], axis=-1)
    return np.einsum("nk,nki->ni", weights, vertices[faces[face]])


def test_surface_that_is_the_body_itself_keeps_its_places():
    face, bary = places(len(BODY.faces), 500)
    corners = np.broadcast_to(np.eye(3, dtype=np.float32), (len(BODY.faces), 3, 3))
    same, where = body_places(
        face, bary, body_face=np.arange(len(BODY.faces), dtype=np.int32), body_bary=corners
    )
    np.testing.assert_array_equal(same, face)
    np.testing.assert_allclose(where, bary, atol=1e-12)


def test_place_below_cloth_is_on_the_skin_near_it(person):
    face, bary = places(len(person.faces), 20_000)
    below, where = body_places(face, bary, body_face=person.body_face, body_bary=person.body_bary)
    seen = face[0] >= 0
    outside_m = points(person.vertices_m, person.faces, face[0, seen], bary[0, seen])
    inside_m = points(person.body_vertices_m, BODY.faces, below[0, seen], where[0, seen])
    apart_m = np.linalg.norm(outside_m - inside_m, axis=1)
    assert np.median(apart_m) < 0.03 and np.quantile(apart_m, 0.99) < CLOTH_M
    # The same faces with the corners in another order would be another place.
    turned, there = body_places(face, bary, body_face=person.body_face, body_bary=person.body_bary[:, ::-1])
    other_m = points(person.body_vertices_m, BODY.faces, turned[0, seen], there[0, seen])
    assert np.linalg.norm(outside_m - other_m, axis=1).sum() > 1.02 * apart_m.sum()


def test_labels_name_the_limb_whose_joints_are_near(person):
    face, bary = places(len(person.faces), 20_000)
    labels = body_labels(
        *body_places(face, bary, body_face=person.body_face, body_bary=person.body_bary), BODY
    )
    seen = face[0] >= 0
    at_m = points(person.vertices_m, person.faces, face[0, seen], bary[0, seen])
    for part, joint in (("left_hand", "left_wrist"), ("right_foot", "right_ankle"), ("head", "head")):
        here = labels["part14"][0, seen] == TANG14_NAMES.index(part) + 1
        joint_m = person.joints_m[SURREAL24_NAMES.index(joint)]
        assert here.any() and np.linalg.norm(at_m[here] - joint_m, axis=1).max() < 0.35
    assert (labels["part24"][0, seen] > 0).all() and (labels["surface_part"][0, seen] > 0).all()
    assert labels["surface_uv"].dtype == np.float32


def test_nothing_is_labelled_where_nothing_is_seen(person):
    face, bary = np.full((2, 3), -1, np.int32), np.zeros((2, 3, 2))
    labels = body_labels(
        *body_places(face, bary, body_face=person.body_face, body_bary=person.body_bary), BODY
    )
    assert {name: values.any() for name, values in labels.items()} == dict.fromkeys(labels, False)


def test_joints_are_those_of_the_joint_set_where_the_camera_sees_them(person):
    K = np.array([[300.0, 0, 127.5], [0, 300, 127.5], [0, 0, 1]])
    world_from_cam = np.diag([1.0, -1, -1, 1]) + 3.0 * np.outer([0, 0, 1, 0], [0, 0, 0, 1])
    found = body_joints(person.joints_m, K, world_from_cam)
    posed = Posed(vertices_m=person.body_vertices_m[None], joints_m=person.joints_m[None])
    wanted_m = joints_of(BODY, posed, TANG16)[0]
    # float32 of some 3 m is good to 2e-7 m
    np.testing.assert_allclose(found["joints_tang16_cam_m"], [1, -1, -1] * wanted_m + [0, 0, 3], atol=1e-6)
    nose_side = found["joints_tang16_px"][TANG16.names.index("left_shoulder"), 0]
    assert nose_side > found["joints_tang16_px"][TANG16.names.index("right_shoulder"), 0]
