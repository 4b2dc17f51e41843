"""Drawn and named poses: limits, room, contact, balance, seeds."""

import time

import numpy as np
import pytest
import trimesh

from pipeline.bodies.anchors import ARMS, LEGS, SPINES
from pipeline.bodies.balance import BALANCE_TOLERANCE_M, outside_support_m, settling_turn
from pipeline.bodies.joint_limits import pose_excess_deg, rotations_from_degrees
from pipeline.bodies.joints import mirrored_pose
from pipeline.bodies.leg_reach import leg_length_m, reach_with_leg
from pipeline.bodies.model import default_body
from pipeline.bodies.named_poses import POSES
from pipeline.bodies.pose_sampler import draw_poses, named_pose
from pipeline.bodies.proportions import centre_of_mass, placed_joints, proportions_of
from pipeline.bodies.self_collision import PENETRATION_LIMIT_M, fit_capsules, penetration_m
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.bodies.skinning import rotation_matrices
from pipeline.bodies.standing import StandingPoses, support_outside_m

BODY = default_body()
PROPORTIONS = proportions_of(BODY, np.zeros(10))
INDEX = SMPL24_NAMES.index


@pytest.fixture(scope="module")
def drawn() -> StandingPoses:
    return draw_poses(np.random.default_rng(11), 150, PROPORTIONS)


def vertices(poses: StandingPoses, proportions=PROPORTIONS) -> np.ndarray:
    return BODY.posed(poses.pose_rad, proportions.betas, poses.transl_m).vertices_m


def assert_plausible(poses: StandingPoses, proportions=PROPORTIONS) -> None:
    """Every law of a pose that a person could hold."""
    assert pose_excess_deg(poses.pose_rad).max() < 1e-6
    rotations = rotation_matrices(poses.pose_rad, np)
    depth_m = penetration_m(rotations, proportions, fit_capsules(proportions))
    # To 1e-9 m what the sampler measured before it turned matrices into vectors.
    assert depth_m.max() <= PENETRATION_LIMIT_M + 1e-9
    points_m = vertices(poses, proportions)
    np.testing.assert_allclose(points_m[..., 1].min(axis=1), 0, atol=1e-5)  # float32 vertices: 1e-6 m
    assert support_outside_m(poses, points_m, proportions).max() <= BALANCE_TOLERANCE_M + 1e-4


def test_drawn_poses_keep_limits_room_floor_and_balance(drawn):
    assert_plausible(drawn)


def test_other_bodies_draw_plausible_poses_too():
    for seed in (1, 2):
        proportions = proportions_of(BODY, np.random.default_rng(seed).normal(size=10))
        assert_plausible(draw_poses(np.random.default_rng(seed), 12, proportions), proportions)


def test_the_mirror_image_of_a_drawn_pose_is_plausible(drawn):
    transl_m = drawn.transl_m * [-1, 1, 1]
    mirrored = StandingPoses(
        pose_rad=mirrored_pose(drawn.pose_rad), transl_m=transl_m, seat_height_m=drawn.seat_height_m
    )
    points_m = vertices(mirrored)
    assert pose_excess_deg(mirrored.pose_rad).max() < 1e-6
    # The body is symmetric to 0.1 mm, so all the laws hold to about that.
    assert np.abs(points_m[..., 1].min(axis=1)).max() < 1e-3
    rotations = rotation_matrices(mirrored.pose_rad, np)
    depth_m = penetration_m(rotations, PROPORTIONS, fit_capsules(PROPORTIONS))
    assert depth_m.max() <= PENETRATION_LIMIT_M + 2e-3
    assert support_outside_m(mirrored, points_m, PROPORTIONS).max() <= BALANCE_TOLERANCE_M + 2e-3


def test_the_solid_bodys_own_centre_of_mass_is_over_the_support(drawn):
    # Another way to the same centre: the volume of the closed mesh, instead of a table of segments.
    points_m = vertices(drawn)
    solid_m = np.stack([trimesh.Trimesh(p, BODY.faces, process=False).center_mass for p in points_m[:60]])
    turns, placed_m = placed_joints(rotation_matrices(drawn.pose_rad[:60], np), PROPORTIONS.joints_m)
    table_m = centre_of_mass(turns, placed_m, PROPORTIONS) + drawn.transl_m[:60]
    away_m = np.linalg.norm((solid_m - table_m)[:, [0, 2]], axis=1)
    assert np.median(away_m) < 0.02 and away_m.max() < 0.05
    standing = drawn.seat_height_m[:60] == 0
    nothing = np.zeros(points_m[:60].shape[:2], dtype=bool)
    outside_m = outside_support_m(points_m[:60], solid_m, also=nothing)[standing]
    assert outside_m.max() <= BALANCE_TOLERANCE_M + 0.05


def test_equal_seeds_give_equal_bytes_and_others_do_not():
    one, again, other = (draw_poses(np.random.default_rng(seed), 9, PROPORTIONS) for seed in (4, 4, 5))
    for name in ("pose_rad", "transl_m", "seat_height_m"):
        assert getattr(one, name).tobytes() == getattr(again, name).tobytes()
    assert one.pose_rad.tobytes() != other.pose_rad.tobytes()


def test_poses_vary_and_stand_kneel_and_sit(drawn):
    rotations = rotation_matrices(drawn.pose_rad, np)
    _, placed_m = placed_joints(rotations, PROPORTIONS.joints_m)
    pelvis_m = placed_m[:, 0, 1] + drawn.transl_m[:, 1]
    leg_m = leg_length_m(PROPORTIONS, 0)
    assert 0.5 < (pelvis_m > 0.85 * leg_m).mean() < 0.95
    assert 0.02 < (pelvis_m < 0.6 * leg_m).mean() < 0.4
    assert 0.02 < (drawn.seat_height_m > 0).mean() < 0.2
    hands_m = placed_m[:, INDEX("left_hand")] - placed_m[:, INDEX("left_shoulder")]
    assert hands_m.std(axis=0).min() > 0.1
    # Mirrored at random: neither hand is the busier one.
    lifted = placed_m[:, [INDEX("left_hand"), INDEX("right_hand")], 1]
    assert abs((lifted[:, 0] > lifted[:, 1]).mean() - 0.5) < 0.15


def test_nobody_faces_backwards_or_lies_down(drawn):
    root = rotation_matrices(drawn.pose_rad[:, 0], np)
    assert (root[:, 2, 2] > 0.5).all() and (root[:, 1, 1] > 0.4).all()


@pytest.mark.parametrize("name", POSES)
def test_named_poses_are_plausible_and_vary_a_little(name):
    one, other = (named_pose(name, np.random.default_rng(seed), PROPORTIONS) for seed in (1, 2))
    assert_plausible(one)
    apart_rad = np.abs(one.pose_rad - other.pose_rad).max()
    assert 0 < apart_rad < np.radians(60)


def test_the_named_poses_are_what_their_names_say():
    poses = {name: named_pose(name, np.random.default_rng(3), PROPORTIONS) for name in POSES}
    joints_m = {
        name: BODY.posed(pose.pose_rad, PROPORTIONS.betas, pose.transl_m).joints_m[0]
        for name, pose in poses.items()
    }

    def at(pose: str, joint: str) -> np.ndarray:
        return joints_m[pose][INDEX(joint)]

    assert len(POSES) >= 12 and {"standing", "arms-out"} <= set(POSES)
    out = at("arms-out", "left_hand") - at("arms-out", "left_shoulder")
    assert out[0] / np.linalg.norm(out) > 0.95
    assert at("standing", "left_hand")[1] < at("standing", "pelvis")[1]
    assert (
        min(at("reaching-up", f"{side}_hand")[1] for side in ("left", "right")) > at("reaching-up", "head")[1]
    )
    assert np.linalg.norm(at("phoning", "right_hand") - at("phoning", "head")) < 0.25
    assert at("one-leg", "right_foot")[1] > at("one-leg", "left_foot")[1] + 0.12
    assert at("squatting", "pelvis")[1] < 0.6 * at("standing", "pelvis")[1]
    for name, pose in poses.items():
        assert (pose.seat_height_m[0] > 0.3) == (name == "sitting")
    # Twelve poses of one grid must be different poses.
    flat = np.stack([(points - points[0]).ravel() for points in joints_m.values()])
    apart_m = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    assert apart_m[~np.eye(len(flat), dtype=bool)].min() > 0.25


def test_an_unknown_pose_is_refused_with_the_list():
    with pytest.raises(ValueError, match="must be one of standing, arms-out, .* is 'handstand'"):
        named_pose("handstand", np.random.default_rng(0), PROPORTIONS)


def test_a_leg_reaches_the_wanted_ankle_and_foot():
    rng = np.random.default_rng(2)
    rotations = rotations_from_degrees(np.repeat((LEGS["stand"].degrees + SPINES["bend"])[None], 40, axis=0))
    ankle_m = np.stack(
        [rng.uniform(-0.2, 0.4, 40), rng.uniform(-0.75, -0.5, 40), rng.uniform(-0.2, 0.2, 40)], -1
    )
    foot = rotation_matrices(rng.normal(size=(40, 3)), np)
    reach_with_leg(rotations, PROPORTIONS, 0, ankle_m=ankle_m, foot=foot, toes=foot)
    turns, placed_m = placed_joints(rotations, PROPORTIONS.joints_m)
    np.testing.assert_allclose(placed_m[:, INDEX("left_ankle")] - placed_m[:, 0], ankle_m, atol=1e-9)
    np.testing.assert_allclose(turns[:, INDEX("left_foot")], foot, atol=1e-9)
    assert (rotations[:, INDEX("left_knee"), 2, 1] >= 0).all()  # sine of the bend: forward knees only


def test_a_cube_on_its_edge_settles_onto_the_nearer_face():
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.1
    tilted = corners @ rotation_matrices(np.radians([0, 0, 20.0]), np).T
    turn, angle_deg = settling_turn(tilted, np.zeros(3))
    assert angle_deg == pytest.approx(20.0)
    lowest = np.sort((tilted @ turn.T)[:, 1])
    np.testing.assert_allclose(lowest[:4], -0.1, atol=1e-12)


def test_outside_is_the_distance_from_the_square_of_contacts():
    square = np.array([[[x, 0.0, z] for x in (-0.1, 0.1) for z in (-0.1, 0.1)] + [[3.0, 1.0, 0.0]]])
    nothing = np.zeros((1, 5), dtype=bool)
    for x, wanted in ((0.25, 0.15), (0.0, -0.1), (0.1, 0.0)):
        centre = np.array([[x, 0.9, 0.0]])
        assert outside_support_m(square, centre, also=nothing)[0] == pytest.approx(wanted, abs=1e-3)
    also = np.array([[False] * 4 + [True]])
    assert outside_support_m(square, np.array([[0.25, 0.9, 0.0]]), also=also)[0] < 0


def test_leaning_feet_first_poses_would_fall():
    # A straight body turned forward about its ankles: its centre of mass leaves the feet.
    degrees = ARMS["hanging"] + LEGS["stand"].degrees
    rotations = rotations_from_degrees(degrees[None])
    rotations[:, 0] = rotation_matrices(np.radians([[15.0, 0, 0]]), np)
    turns, placed_m = placed_joints(rotations, PROPORTIONS.joints_m)
    pose_rad = np.zeros((1, 24, 3))
    pose_rad[0, 0, 0] = np.radians(15.0)
    points_m = BODY.posed(pose_rad, PROPORTIONS.betas, np.zeros(3)).vertices_m
    points_m = points_m - [0, points_m[..., 1].min(), 0]
    nothing = np.zeros(points_m.shape[:2], dtype=bool)
    assert outside_support_m(points_m, centre_of_mass(turns, placed_m, PROPORTIONS), also=nothing)[0] > 0.05


@pytest.mark.slow
def test_four_hundred_poses_take_a_second_at_most():
    draw_poses(np.random.default_rng(0), 4, PROPORTIONS)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        draw_poses(np.random.default_rng(1), 400, PROPORTIONS)
        seconds.append(time.process_time() - start)
    assert min(seconds) <= 1.0
