"""Joint sets: orders held against the papers' facts, sides by name, mirror partners."""

import numpy as np
import pytest

from pipeline.bodies.joints import (
    BODY25,
    COCO17,
    H36M17,
    JOINT_SETS,
    MPII16,
    SMPL24,
    TANG16,
    joints_of,
    landmark_names,
    mirrored_pose,
)
from pipeline.bodies.model import Body, default_body

NOWHERE, AVERAGE = np.zeros(3), np.zeros(0)
every_set = pytest.mark.parametrize("joint_set", JOINT_SETS, ids=lambda joint_set: joint_set.name)


@pytest.fixture(scope="module")
def body() -> Body:
    return default_body()


def in_t_pose(body: Body, joint_set) -> dict[str, np.ndarray]:
    joints_m = joints_of(body, body.posed(np.zeros((1, 24, 3)), AVERAGE, NOWHERE), joint_set)[0]
    return dict(zip(joint_set.names, joints_m, strict=True))


def test_every_set_has_as_many_joints_as_its_name_says() -> None:
    assert [len(joint_set.names) for joint_set in JOINT_SETS] == [24, 16, 16, 17, 17, 25]


def test_the_16_of_tang_are_the_released_codes_indices(body: Body) -> None:
    posed = body.posed(np.random.default_rng(0).normal(0, 0.4, (2, 24, 3)), AVERAGE, NOWHERE)
    rows = [0, 1, 2, 4, 5, 6, 7, 8, 12, 15, 16, 17, 18, 19, 22, 23]
    np.testing.assert_allclose(joints_of(body, posed, TANG16), posed.joints_m[:, rows], atol=1e-15)


@pytest.mark.parametrize(
    ("joint_set", "flip"),
    [  # published permutations
        (SMPL24, [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]),
        (MPII16, [5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10]),
        (COCO17, [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]),
        (H36M17, [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]),
        (BODY25, [0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_flip_permutations_are_the_published_ones(joint_set, flip: list[int]) -> None:
    assert list(joint_set.flip) == flip


@pytest.mark.parametrize(
    ("joint_set", "places"),
    [  # from each dataset's own documentation; a flip permutation alone does not tell left from right
        (SMPL24, {1: "left_hip", 16: "left_shoulder", 23: "right_hand"}),
        (MPII16, {0: "right_ankle", 6: "pelvis", 9: "head_top", 10: "right_wrist", 13: "left_shoulder"}),
        (COCO17, {0: "nose", 1: "left_eye", 5: "left_shoulder", 10: "right_wrist", 15: "left_ankle"}),
        (H36M17, {0: "pelvis", 1: "right_hip", 6: "left_ankle", 10: "head_top", 16: "right_wrist"}),
        (BODY25, {1: "neck", 2: "right_shoulder", 7: "left_wrist", 8: "mid_hip", 19: "left_big_toe"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_joints_stand_at_the_documented_places(joint_set, places: dict[int, str]) -> None:
    assert {row: joint_set.names[row] for row in places} == places


@every_set
def test_joints_move_with_the_body(body: Body, joint_set) -> None:
    shift_m = np.array([0.3, -1.0, 2.0])
    here, there = (body.posed(np.zeros((1, 24, 3)), AVERAGE, transl_m) for transl_m in (NOWHERE, shift_m))
    moved_m = joints_of(body, there, joint_set) - joints_of(body, here, joint_set)
    np.testing.assert_allclose(moved_m, np.broadcast_to(shift_m, moved_m.shape), atol=1e-12)


@every_set
def test_flipping_twice_changes_nothing(joint_set) -> None:
    assert [joint_set.flip[row] for row in joint_set.flip] == list(range(len(joint_set.names)))


@every_set
def test_left_lies_at_positive_x_and_right_at_negative_x(body: Body, joint_set) -> None:
    for name, place_m in in_t_pose(body, joint_set).items():
        side = name.split("_")[0]
        if side == "left":
            assert place_m[0] > 0.01, name
        elif side == "right":
            assert place_m[0] < -0.01, name
        else:
            assert abs(place_m[0]) < 0.001, name


@every_set
def test_the_mirrored_body_has_the_mirrored_joints(body: Body, joint_set) -> None:
    rng = np.random.default_rng(1)
    pose_rad, betas = rng.normal(0, 0.5, (4, 24, 3)), rng.normal(size=(4, 10))
    joints_m = joints_of(body, body.posed(pose_rad, betas, NOWHERE), joint_set)
    mirrored_m = joints_of(body, body.posed(mirrored_pose(pose_rad), betas, NOWHERE), joint_set)
    expected_m = joints_m[:, list(joint_set.flip)] * [-1, 1, 1]
    # Joints mirror exactly; the skin's two halves differ by up to 0.4 mm, a little more at unusual shapes.
    tolerance_m = 1.5e-3 if landmark_names(joint_set) else 1e-12
    np.testing.assert_allclose(mirrored_m, expected_m, atol=tolerance_m)


@every_set
def test_bones_join_all_joints_into_one_skeleton(joint_set) -> None:
    reached = {0}
    for _ in joint_set.names:
        reached |= {b for a, b in joint_set.edges if a in reached}
        reached |= {a for a, b in joint_set.edges if b in reached}
    assert reached == set(range(len(joint_set.names)))
    assert len(set(map(frozenset, joint_set.edges))) == len(joint_set.edges)


@every_set
def test_bones_flip_onto_bones(joint_set) -> None:
    edges = set(map(frozenset, joint_set.edges))
    assert {frozenset(joint_set.flip[row] for row in edge) for edge in edges} == edges


def test_landmarks_lie_where_their_names_say(body: Body) -> None:
    found = in_t_pose(body, BODY25) | in_t_pose(body, MPII16)
    vertices_m = body.posed(np.zeros((1, 24, 3)), AVERAGE, NOWHERE).vertices_m[0]
    assert found["head_top"][1] == vertices_m[:, 1].max()
    assert found["nose"][2] > found["left_eye"][2] > found["left_ear"][2]
    assert found["left_eye"][1] > found["nose"][1]
    assert found["left_ear"][0] > 2 * found["left_eye"][0]
    for name in ("left_big_toe", "left_small_toe", "left_heel"):
        assert found[name][1] < vertices_m[:, 1].min() + 0.05
    assert found["left_big_toe"][2] > found["left_small_toe"][2] > found["left_heel"][2] + 0.15
    assert found["left_small_toe"][0] > found["left_big_toe"][0] + 0.05


def test_torch_bodies_give_torch_joints_with_gradients(body: Body) -> None:
    import torch

    pose_rad = torch.zeros((1, 24, 3), dtype=torch.float64, requires_grad=True)
    posed = body.posed(pose_rad, torch.zeros(0, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    joints_m = joints_of(body, posed, BODY25)
    ours = np.stack(list(in_t_pose(body, BODY25).values()))
    np.testing.assert_allclose(joints_m.detach().numpy()[0], ours, atol=1e-12)
    joints_m[0, BODY25.names.index("left_wrist")].sum().backward()
    moved = pose_rad.grad[0].abs().sum(dim=1) > 0
    assert moved[18] and not moved[19]  # the left elbow moves the left wrist, the right one does not


def test_a_missing_landmark_is_named(body: Body) -> None:
    few = body.at_vertices(np.arange(3))
    posed = few.posed(np.zeros((1, 24, 3)), AVERAGE, NOWHERE)
    with pytest.raises(ValueError, match="coco17 needs landmark left_ear"):
        joints_of(few, posed, COCO17)
