"""Footsteps: where each foot is while a body walks along a circle or turns on the spot.

A foot lands on its heel, lies flat, lifts its heel about the ball, and swings to its next print by a minimum-jerk
path (Flash and Hogan, "The Coordination of Arm Movements", J. Neuroscience 1985). Prints are fixed while a foot
bears the body, so it cannot slide, and everything has continuous speed and acceleration.
Stance of 62 % of a cycle, and the order of its events: Perry and Burnfield, "Gait Analysis", 2nd ed. 2010.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.proportions import LEG_CHAINS, Proportions

Float64 = NDArray[np.float64]

STANCE = 0.62  # share of a cycle that a foot is on the floor
_FLAT_FROM, _FLAT_TO = 0.18, 0.30
# Shares of the swing: a foot first goes up, then ahead, and comes down in its place.
_LEVELS_FROM = 0.16
_LIFTS_BEFORE, _LANDS_BEFORE = 0.05, 1.0
_PRINT_BEHIND_M = (
    0.06  # the ankle stands so far behind the pelvis in the middle of its stance: the foot is in front
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gait:
    """How a body steps.

    Attributes:
        speed_m_s: along the path.
        turn_rad_s: of the heading; positive to the left. The path is a circle about the origin.
        cycle_s: from one step of a foot to its next.
        half_width_m: of an ankle from the path.
        toes_out_rad: of each foot.
        strike_rad: by how much the toes are up when the heel lands.
        push_rad: by how much the heel is up when the toes leave.
        lift_m: of the ankle in the middle of a swing, beyond the line.
    """

    speed_m_s: float
    turn_rad_s: float
    cycle_s: float
    half_width_m: float
    toes_out_rad: float
    strike_rad: float
    push_rad: float
    lift_m: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FootTrack:
    """One foot over time.

    Attributes:
        ankle_m: (T 3) world.
        heading_rad: (T).
        pitch_rad: (T) positive with the heel up.
        toes_rad: (T) pitch of the toes.
    """

    ankle_m: Float64
    heading_rad: Float64
    pitch_rad: Float64
    toes_rad: Float64


def smooth_step(share: Float64) -> Float64:
    """Return the minimum-jerk step from 0 at 0 to 1 at 1, flat outside."""
    share = np.clip(share, 0.0, 1.0)
    step: Float64 = share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
    return step


def body_path(gait: Gait, time_s: Float64) -> tuple[Float64, Float64]:
    """Return x and z (T 2) of the middle of the path, and the heading (T) about +Y, 0 along +Z."""
    heading_rad = gait.turn_rad_s * time_s
    radius_m = gait.speed_m_s / gait.turn_rad_s
    return radius_m * np.stack([-np.cos(heading_rad), np.sin(heading_rad)], axis=-1), heading_rad


def foot_track(gait: Gait, side: int, time_s: Float64, proportions: Proportions) -> FootTrack:
    """Return one foot over time; side 0 is left, 1 right, half a cycle later."""
    cycle = time_s / gait.cycle_s - 0.5 * side
    number, phase = np.floor(cycle), cycle % 1.0
    stance = phase / STANCE
    swing = (phase - STANCE) / (1.0 - STANCE)
    landing = smooth_step(stance / _FLAT_FROM)
    pushing = smooth_step((stance - _FLAT_TO) / (1.0 - _FLAT_TO))
    lifted_rad = gait.push_rad * pushing - gait.strike_rad * (1.0 - landing)
    moved = smooth_step((swing - _LIFTS_BEFORE) / (_LANDS_BEFORE - _LIFTS_BEFORE))
    # The toes come up late: under a bent knee a level foot would bend the ankle too far.
    levelled = smooth_step((swing - _LEVELS_FROM) / (1.0 - _LEVELS_FROM))
    pitch_rad = np.where(swing > 0, gait.push_rad + (-gait.strike_rad - gait.push_rad) * levelled, lifted_rad)
    toes_rad = np.where(swing > 0, -gait.strike_rad * levelled, np.minimum(lifted_rad, 0.0))
    standing_m = _from_print(np.where(swing > 0, gait.push_rad, pitch_rad), proportions)
    landing_m = _from_print(np.full_like(pitch_rad, -gait.strike_rad), proportions)
    along_m, above_m = standing_m + moved * (landing_m - standing_m)
    # Sixth order, so that speed and acceleration are 0 at both ends.
    in_swing = np.clip(swing, 0.0, 1.0)
    above_m += gait.lift_m * 64.0 * (in_swing * (1.0 - in_swing)) ** 3
    # A swing follows the path: along the chord it would run into the other leg.
    flat_m, heading_rad = _print(gait, side, number + moved)
    ahead = np.stack([np.sin(heading_rad), np.cos(heading_rad)], axis=-1)
    place_m = flat_m + along_m[:, None] * ahead
    return FootTrack(
        ankle_m=np.stack([place_m[:, 0], above_m, place_m[:, 1]], axis=-1),
        heading_rad=heading_rad,
        pitch_rad=pitch_rad,
        toes_rad=toes_rad,
    )


def _print(gait: Gait, side: int, number: Float64) -> tuple[Float64, Float64]:
    """Return x and z (T 2) of the flat foot's ankle in its stance of a number, and the foot's heading (T)."""
    middle_s = (number + 0.5 * side + 0.5 * STANCE) * gait.cycle_s
    place_m, heading_rad = body_path(gait, middle_s)
    ahead = np.stack([np.sin(heading_rad), np.cos(heading_rad)], axis=-1)
    left = np.stack([np.cos(heading_rad), -np.sin(heading_rad)], axis=-1)
    sign = 1.0 - 2.0 * side
    place_m = place_m + sign * gait.half_width_m * left - _PRINT_BEHIND_M * ahead
    return place_m, heading_rad + sign * gait.toes_out_rad


def _from_print(pitch_rad: Float64, proportions: Proportions) -> Float64:
    """Return how far (2 T) the ankle of a pitched foot is ahead of where it is when flat, and above the floor.

    A foot with its heel up stands on its ball, one with its toes up on its heel.
    """
    _, _, ankle, ball = LEG_CHAINS[0]
    ankle_m, ball_m = proportions.joints_m[ankle], proportions.joints_m[ball]
    toes_up = pitch_rad < 0
    up_m = np.where(toes_up, proportions.sole_y_m - ankle_m[1], ball_m[1] - ankle_m[1])
    ahead_m = np.where(toes_up, proportions.heel_z_m, ball_m[2]) - ankle_m[2]
    cosine, sine = np.cos(pitch_rad), np.sin(pitch_rad)
    along_m = ahead_m - (sine * up_m + cosine * ahead_m)
    above_m = ankle_m[1] - proportions.sole_y_m + up_m - (cosine * up_m - sine * ahead_m)
    return np.stack([along_m, above_m])
