"""Procedural sequences: continuity, contact, limits, feet that do not slide."""

import numpy as np
import pytest

from pipeline.bodies.gait import Gait, body_path, foot_track, smooth_step
from pipeline.bodies.joint_limits import pose_excess_deg, pose_from_rotations
from pipeline.bodies.model import default_body
from pipeline.bodies.motions import MOTIONS, Motion, motion
from pipeline.bodies.proportions import proportions_of
from pipeline.bodies.self_collision import PENETRATION_LIMIT_M, fit_capsules, penetration_m
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.bodies.skinning import rotation_matrices

BODY = default_body()
PROPORTIONS = proportions_of(BODY, np.zeros(10))
INDEX = SMPL24_NAMES.index
FPS = 60.0
# Joints' turns relative to their parents, rad/s and rad/s^2. People's knees reach about 8 rad/s while walking.
MAX_SPEED_RAD_S = {"walk": 9.0, "turn": 4.5, "reach": 5.5, "squat": 3.5}
MAX_ACCELERATION_RAD_S2 = {"walk": 320.0, "turn": 60.0, "reach": 25.0, "squat": 40.0}


@pytest.fixture(scope="module", params=MOTIONS)
def made(request) -> tuple[str, Motion, np.ndarray]:
    """Name, motion and vertices of five seconds."""
    result = motion(request.param, np.random.default_rng(5), PROPORTIONS, seconds=5.0, fps=FPS)
    vertices_m = BODY.posed(result.pose_rad, PROPORTIONS.betas, result.transl_m).vertices_m
    return request.param, result, vertices_m


def angular_velocity(pose_rad: np.ndarray, fps: float) -> np.ndarray:
    """Angular velocities (T-1 24 3) in rad/s of local rotations."""
    rotations = rotation_matrices(pose_rad, np)
    return pose_from_rotations(np.swapaxes(rotations[:-1], -1, -2) @ rotations[1:]) * fps


def test_every_frame_keeps_the_limits_and_runs_through_nothing(made):
    _, result, _ = made
    assert result.pose_rad.shape == (300, 24, 3) and result.transl_m.shape == (300, 3)
    assert pose_excess_deg(result.pose_rad).max() < 1e-6
    depth_m = penetration_m(rotation_matrices(result.pose_rad, np), PROPORTIONS, fit_capsules(PROPORTIONS))
    assert depth_m.max() <= PENETRATION_LIMIT_M


def test_every_frame_touches_the_floor(made):
    np.testing.assert_allclose(made[2][..., 1].min(axis=1), 0, atol=1e-9)


def test_joint_speed_and_acceleration_are_bounded(made):
    name, result, _ = made
    velocity = angular_velocity(result.pose_rad, FPS)
    assert np.linalg.norm(velocity, axis=-1).max() < MAX_SPEED_RAD_S[name]
    acceleration = np.diff(velocity, axis=0) * FPS
    assert np.linalg.norm(acceleration, axis=-1).max() < MAX_ACCELERATION_RAD_S2[name]
    moved_m_s = np.diff(result.transl_m, axis=0) * FPS
    assert np.linalg.norm(moved_m_s, axis=-1).max() < 1.6


def test_speed_is_continuous_in_time(made):
    # A jump in speed keeps its size however fine the clock; a continuous one halves its steps with the clock.
    name = made[0]
    steps = []
    for fps in (120.0, 240.0):
        result = motion(name, np.random.default_rng(5), PROPORTIONS, seconds=3.0, fps=fps)
        velocity = angular_velocity(result.pose_rad, fps)
        steps.append(np.linalg.norm(np.diff(velocity, axis=0), axis=-1).max())
    assert steps[1] < 0.7 * steps[0]


def test_feet_that_bear_the_body_do_not_slide(made):
    # A sole vertex that stays within 3 mm of the floor bears the body. From its first such frame to its last it
    # must not go 1 cm, and there must be one in every frame.
    _, _, vertices_m = made
    soles = np.flatnonzero(np.isin(PROPORTIONS.segment, [INDEX(f"{s}_foot") for s in ("left", "right")]))
    soles = soles[PROPORTIONS.vertices_m[soles, 1] < PROPORTIONS.sole_y_m + 0.002]
    low = vertices_m[:, soles, 1] < 0.003
    worst_m = 0.0
    for column, vertex in enumerate(soles):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], low[:, column].astype(int), [0]])))
        for start, end in edges.reshape(-1, 2):
            path = vertices_m[start:end, vertex][:, [0, 2]]
            worst_m = max(worst_m, np.linalg.norm(path - path[len(path) // 2], axis=1).max())
    assert worst_m < 0.01


def test_the_walk_strides_round_its_circle_and_stays_in_view():
    result = motion("walk", np.random.default_rng(1), PROPORTIONS, seconds=8.0, fps=30.0)
    pelvis_m = (result.transl_m + PROPORTIONS.joints_m[0])[:, [0, 2]]
    assert np.linalg.norm(pelvis_m, axis=1).max() < 1.5
    assert 5.5 < np.linalg.norm(np.diff(pelvis_m, axis=0), axis=1).sum() < 9.0
    forward = rotation_matrices(result.pose_rad[:, 0], np)[1:, [0, 2], 2]
    going = np.diff(pelvis_m, axis=0)
    going /= np.linalg.norm(going, axis=1, keepdims=True)
    # The pelvis sways and swings, but walks the way it faces.
    assert (forward * going).sum(axis=1).min() > 0.85
    height_m = result.transl_m[:, 1]
    assert 0.02 < np.ptp(height_m) < 0.07


def test_arms_swing_against_legs():
    result = motion("walk", np.random.default_rng(1), PROPORTIONS, seconds=6.0, fps=30.0)
    joints_m = BODY.posed(result.pose_rad, PROPORTIONS.betas, result.transl_m).joints_m
    forward = rotation_matrices(result.pose_rad[:, 0], np)[:, :, 2]
    ahead = np.einsum("tjc,tc->tj", joints_m - joints_m[:, :1], forward)
    arm = ahead[:, INDEX("left_wrist")] - ahead[:, INDEX("right_wrist")]
    leg = ahead[:, INDEX("left_ankle")] - ahead[:, INDEX("right_ankle")]
    assert np.corrcoef(arm, leg)[0, 1] < -0.7


def test_the_turn_turns_on_the_spot():
    result = motion("turn", np.random.default_rng(2), PROPORTIONS, seconds=6.0, fps=30.0)
    forward = rotation_matrices(result.pose_rad[:, 0], np)[:, :, 2]
    heading_rad = np.unwrap(np.arctan2(forward[:, 0], forward[:, 2]))
    assert abs(heading_rad[-1] - heading_rad[0]) > np.radians(150)
    assert np.linalg.norm(result.transl_m[:, [0, 2]], axis=1).max() < 0.12


def test_the_squat_goes_down_and_the_reach_reaches():
    squat = motion("squat", np.random.default_rng(3), PROPORTIONS, seconds=4.0, fps=30.0)
    assert np.ptp(squat.transl_m[:, 1]) > 0.2
    reach = motion("reach", np.random.default_rng(3), PROPORTIONS, seconds=8.0, fps=30.0)
    joints_m = BODY.posed(reach.pose_rad, PROPORTIONS.betas, reach.transl_m).joints_m
    hands = joints_m[:, [INDEX("left_hand"), INDEX("right_hand")]]
    assert np.ptp(hands, axis=0).max() > 0.5


def test_equal_seeds_give_equal_bytes_and_others_do_not():
    one, again, other = (
        motion("reach", np.random.default_rng(seed), PROPORTIONS, seconds=1.0, fps=30.0) for seed in (4, 4, 5)
    )
    assert (
        one.pose_rad.tobytes() == again.pose_rad.tobytes()
        and one.transl_m.tobytes() == again.transl_m.tobytes()
    )
    assert one.pose_rad.tobytes() != other.pose_rad.tobytes()


def test_other_bodies_walk_within_their_limits():
    for seed in (1, 6):
        proportions = proportions_of(BODY, np.random.default_rng(seed).normal(size=10))
        result = motion("walk", np.random.default_rng(seed), proportions, seconds=3.0, fps=30.0)
        assert pose_excess_deg(result.pose_rad).max() < 1e-6
        low = BODY.posed(result.pose_rad, proportions.betas, result.transl_m).vertices_m[..., 1].min(axis=1)
        np.testing.assert_allclose(low, 0, atol=1e-9)


def test_a_foot_rests_on_its_print_and_swings_smoothly():
    gait = Gait(
        speed_m_s=0.9, turn_rad_s=0.8, cycle_s=1.2, half_width_m=0.08, toes_out_rad=0.1,
        strike_rad=0.2, push_rad=0.7, lift_m=0.05,
    )  # fmt: skip
    time_s = np.arange(0, 2.4, 1e-3)
    track = foot_track(gait, 0, time_s, PROPORTIONS)
    speed = np.diff(track.ankle_m, axis=0) / 1e-3
    steps = np.linalg.norm(np.diff(speed, axis=0), axis=1)
    assert steps.max() < 0.1  # m/s from one millisecond to the next: below 100 m/s^2, and so no jump
    flat = (track.pitch_rad == 0) & (time_s < 0.7)
    assert flat.sum() > 50
    np.testing.assert_allclose(np.ptp(track.ankle_m[flat], axis=0), 0, atol=1e-12)
    place_m, heading_rad = body_path(gait, time_s)
    np.testing.assert_allclose(
        np.diff(place_m, axis=0) / 1e-3,
        0.9 * np.stack([np.sin(heading_rad), np.cos(heading_rad)], -1)[:-1],
        atol=1e-3,
    )


def test_the_smooth_step_has_no_speed_at_its_ends():
    share = np.array([-1.0, 0.0, 1e-4, 0.5, 1 - 1e-4, 1.0, 2.0])
    np.testing.assert_allclose(smooth_step(share), [0, 0, 1e-11, 0.5, 1 - 1e-11, 1, 1], atol=1e-14)


@pytest.mark.parametrize(("name", "seconds"), [("fly", 1.0), ("walk", 0.0)])
def test_unknown_motions_and_empty_ones_are_refused(name, seconds):
    with pytest.raises(ValueError, match="must be one of walk, turn, reach, squat with a frame at least"):
        motion(name, np.random.default_rng(0), PROPORTIONS, seconds=seconds, fps=30.0)
