"""Dressed people in poses: nothing pokes through, nothing pops, labels carry over."""

import numpy as np
import pytest

from pipeline.bodies.model import default_body
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.simulation.cutting import border
from pipeline.simulation.dressing import (
    REGIONS,
    DressedBody,
    Penetration,
    Wardrobe,
    dress,
    dressed,
    penetration,
)
from pipeline.simulation.dressing_kernels import normals_of, pushed_out, relaxed
from pipeline.simulation.identity import draw_identity
from pipeline.simulation.outfit import draw_outfit
from pipeline.visibility import vertex_normals

DEGREES = {
    "arms-out": {},
    "stand": {"left_shoulder": (0, 0, -68), "right_shoulder": (0, 0, 68), "left_elbow": (0, -18, 0)},
    "walk": {
        "left_shoulder": (30, 0, -65), "right_shoulder": (-30, 0, 65), "left_elbow": (0, -35, 0),
        "left_hip": (-28, 0, 3), "right_hip": (22, 0, -3), "right_knee": (35, 0, 0), "left_knee": (10, 0, 0),
    },
    "squat": {
        "left_hip": (-85, 0, 15), "right_hip": (-85, 0, -15), "left_knee": (100, 0, 0),
        "right_knee": (100, 0, 0), "spine1": (20, 0, 0), "left_shoulder": (0, -70, -20),
        "right_shoulder": (0, 70, 20),
    },
    "reach": {"left_shoulder": (0, 0, 60), "right_shoulder": (0, 0, -55), "left_collar": (0, 0, 12)},
}  # fmt: skip


def pose_of(name: str) -> np.ndarray:
    pose_rad = np.zeros((24, 3))
    for joint, degrees in DEGREES[name].items():
        pose_rad[SMPL24_NAMES.index(joint)] = np.radians(degrees)
    return pose_rad


@pytest.fixture(scope="module")
def poses() -> dict[str, np.ndarray]:
    return {name: pose_of(name) for name in DEGREES}


@pytest.fixture(scope="module")
def wardrobe() -> Wardrobe:
    """Long hair, a shirt with long sleeves and trousers."""
    return dress(draw_identity(np.random.default_rng(2)), draw_outfit(np.random.default_rng(52)))


@pytest.fixture(scope="module")
def people(wardrobe: Wardrobe, poses: dict[str, np.ndarray]) -> dict[str, DressedBody]:
    return {name: dressed(wardrobe, pose_rad, np.zeros(3)) for name, pose_rad in poses.items()}


@pytest.fixture(scope="module")
def pierced(people: dict[str, DressedBody]) -> dict[str, dict[str, Penetration]]:
    return {name: penetration(person) for name, person in people.items()}


def test_no_skin_through_cloth_in_any_pose(pierced: dict[str, dict[str, Penetration]]) -> None:
    for name, found in pierced.items():
        skin = found["skin"]
        assert skin.count > 10_000
        assert skin.share < 0.005, name
        if name != "squat":  # where limbs close upon each other, single vertices end up deep in the crease
            assert skin.depth_mm < 5.0, name


def test_no_trousers_through_the_top_in_any_pose(pierced: dict[str, dict[str, Penetration]]) -> None:
    for name, found in pierced.items():
        bottom = found["bottom"]
        assert bottom.count > 500
        assert bottom.share < (0.03 if name == "squat" else 0.005), name
        assert bottom.depth_mm < (15.0 if name == "squat" else 5.0), name


def test_penetration_sees_cloth_that_was_pressed_into_the_body(people: dict[str, DressedBody]) -> None:
    person = people["stand"]
    pressed = person.stack_m.copy()
    for cover in person.wardrobe.covers:
        if cover.layer.soft:
            pressed[cover.start : cover.stop] -= 0.03 * person.stack_normals[cover.start : cover.stop]
    fields = {name: getattr(person, name) for name in DressedBody.__slots__} | {"stack_m": pressed}
    skin = penetration(DressedBody(**fields))["skin"]
    assert skin.share > 0.3 and skin.depth_mm > 8.0


def test_a_degree_at_any_joint_moves_every_vertex_by_a_bounded_amount(
    wardrobe: Wardrobe, poses: dict[str, np.ndarray]
) -> None:
    for name in ("stand", "walk", "squat"):
        before = dressed(wardrobe, poses[name], np.zeros(3))
        for joint in ("left_elbow", "right_knee", "left_shoulder", "spine2"):
            pose_rad = poses[name].copy()
            pose_rad[SMPL24_NAMES.index(joint)] += np.radians([0.06, 0.06, 0.05])  # 0.1 degree in all
            after = dressed(wardrobe, pose_rad, np.zeros(3))
            moved_mm = 1e3 * np.linalg.norm(after.vertices_m - before.vertices_m, axis=1)
            # An arm's or leg's length of 0.9 m turns by 16 mm a degree; folds and pushing add their slopes.
            assert moved_mm.max() < 0.1 * 40.0, (name, joint)
            assert moved_mm.max() > 0.1


def test_faces_rest_places_and_links_do_not_depend_on_the_pose(people: dict[str, DressedBody]) -> None:
    first, *others = people.values()
    for other in others:
        for name in ("faces", "rest_m", "region", "body_face", "body_bary", "body_vertex"):
            assert getattr(other, name) is getattr(first, name)


def test_the_bare_body_is_the_models_own(
    wardrobe: Wardrobe, people: dict[str, DressedBody], poses: dict
) -> None:
    body = default_body()
    for name, person in people.items():
        bare = body.posed(poses[name][None], wardrobe.identity.betas, np.zeros(3))
        np.testing.assert_allclose(person.joints_m, bare.joints_m[0], atol=1e-12)
        # Shares below 1e-4 of a vertex's weight are dropped here.
        np.testing.assert_allclose(person.body_vertices_m, bare.vertices_m[0], atol=2e-4)


def test_every_face_names_the_place_of_the_body_that_it_lies_on(people: dict[str, DressedBody]) -> None:
    person = people["stand"]
    faces = person.wardrobe.body.faces
    np.testing.assert_allclose(person.body_bary.sum(axis=2), 1.0, atol=1e-6)
    assert person.body_bary.min() > -1e-6
    place = np.einsum("fck,fki->fci", person.body_bary, person.body_vertices_m[faces[person.body_face]])
    apart_m = np.linalg.norm(place - person.vertices_m[person.faces], axis=2)
    skin = person.region == REGIONS.index("skin")
    # Edges are halved on a curved surface, up to 3 mm off a flat face of 6 cm; clothes hang off by their ease,
    # shoes by their sole and toe, and the smoothing of hollows.
    assert np.percentile(apart_m[skin], 99.9) < 0.004
    assert np.percentile(apart_m[~skin], 99) < 0.075


def test_a_vertex_belongs_to_a_vertex_of_the_body_near_it(people: dict[str, DressedBody]) -> None:
    person = people["stand"]
    apart_m = np.linalg.norm(person.vertices_m - person.body_vertices_m[person.body_vertex], axis=1)
    assert np.percentile(apart_m, 99) < 0.08


def test_translation_moves_everything(
    wardrobe: Wardrobe, people: dict[str, DressedBody], poses: dict
) -> None:
    shift = np.array([0.3, -1.0, 2.0])
    moved = dressed(wardrobe, poses["walk"], shift)
    np.testing.assert_allclose(moved.vertices_m, people["walk"].vertices_m + shift, atol=1e-9)


def test_turning_the_root_turns_the_whole_dressed_person(wardrobe: Wardrobe, poses: dict) -> None:
    pose_rad = poses["walk"].copy()
    still = dressed(wardrobe, pose_rad, np.zeros(3))
    pose_rad[0] = (0, np.pi / 2, 0)
    turned = dressed(wardrobe, pose_rad, np.zeros(3))
    root = still.joints_m[0]
    quarter = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    np.testing.assert_allclose(turned.vertices_m, (still.vertices_m - root) @ quarter.T + root, atol=1e-9)


def test_the_surface_keeps_its_size_and_every_vertex_is_used(wardrobe: Wardrobe) -> None:
    assert 35_000 < len(wardrobe.kept) < 60_000
    assert len(np.unique(wardrobe.faces)) == len(wardrobe.kept)
    assert len(wardrobe.region) == len(wardrobe.faces) == len(wardrobe.body_face)
    assert set(np.unique(wardrobe.region)) == set(range(len(REGIONS)))


def test_skin_deep_under_cloth_is_left_out_and_face_and_hands_are_not(people: dict[str, DressedBody]) -> None:
    person = people["stand"]
    skin = np.unique(person.faces[person.region == REGIONS.index("skin")])
    owners = set(person.body_vertex[skin].tolist())
    weights = person.wardrobe.fine.weights[: len(person.body_vertices_m)]
    most = weights.argmax(axis=1)
    hands = np.flatnonzero(np.isin(most, [22, 23]))
    bind_m, fine = person.wardrobe.bind_m[: len(most)], person.wardrobe.fine
    # Around the ribs, arms left out; higher up a low collar may lie, below which a strip of skin is kept.
    low, high = fine.joint_m("spine1")[1], fine.joint_m("spine3")[1] - 0.05
    arms = fine.share("left_shoulder", "right_shoulder")[: len(most)] > 0.01
    trunk = np.isin(most, [SMPL24_NAMES.index(name) for name in ("spine1", "spine2", "spine3")])
    chest = np.flatnonzero(trunk & ~arms & (bind_m[:, 1] > low) & (bind_m[:, 1] < high))
    assert len(chest) > 100
    assert owners.issuperset(hands.tolist())
    assert not owners & set(chest.tolist())


def test_no_hem_stands_open(wardrobe: Wardrobe) -> None:
    """Every border of cloth lies on the rim of a closing, and the closing's own border lies inside the ground."""
    count = len(wardrobe.ring)
    total = len(wardrobe.bind_m)
    kept = wardrobe.kept[border(wardrobe.faces)[0]]
    closing = (kept >= total).all(axis=1)
    outer = closing & (kept < total + count).all(axis=1)
    garments = np.zeros(total, bool)
    for cover in wardrobe.covers:
        garments[cover.start : cover.stop] = cover.layer.soft
    shown = {wardrobe.ring[k - total] for k in kept[outer].ravel()}
    on_cloth = kept[(~closing) & (kept < total).all(axis=1)]
    hem = {v for v in on_cloth.ravel().tolist() if garments[v]} & set(wardrobe.ring.tolist())
    assert hem and hem <= shown


def test_the_same_draws_give_the_same_bytes(
    wardrobe: Wardrobe, people: dict[str, DressedBody], poses: dict
) -> None:
    again = dress(draw_identity(np.random.default_rng(2)), draw_outfit(np.random.default_rng(52)))
    person = dressed(again, poses["walk"], np.zeros(3))
    assert person.vertices_m.tobytes() == people["walk"].vertices_m.tobytes()
    for name in ("faces", "region", "rest_m", "body_face", "body_bary", "body_vertex"):
        assert getattr(again, name).tobytes() == getattr(wardrobe, name).tobytes()


def test_pushing_out_lifts_to_the_gap_along_the_normal_and_leaves_the_rest() -> None:
    points_m = np.array([[0.0, 0.0, -0.02], [0.0, 0.0, 0.5]])
    out = pushed_out(
        points_m, np.zeros(2, np.int32), ground_m=np.zeros((1, 3)), ground_normals=np.array([[0.0, 0, 1]]),
        gap_m=np.full(2, 0.004), soft_m=0.001,
    )  # fmt: skip
    assert np.isclose(out[0, 2], 0.004, atol=1e-6)
    np.testing.assert_array_equal(out[1], points_m[1])


def test_compiled_normals_and_smoothing_agree_with_plain_numpy(wardrobe: Wardrobe) -> None:
    cover = wardrobe.covers[-1]
    points_m, faces = cover.layer.bind_m, cover.layer.sheet.faces
    ours, angle_weighted = normals_of(points_m, faces), vertex_normals(points_m, faces)
    assert np.median(np.einsum("ij,ij->i", ours, angle_weighted)) > 0.999
    once = points_m + 0.5 * (cover.mean @ points_m - points_m)
    twice = once + 0.5 * (cover.mean @ once - once)
    np.testing.assert_allclose(relaxed(points_m, cover.mean, step=0.5, rounds=2), twice, atol=1e-12)
