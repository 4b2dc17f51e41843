"""Short sequences made by rule: walking in a circle, turning on the spot, reaching, squatting.

Positions, speeds and accelerations are continuous; feet that bear the body stay where they are; the lowest vertex
of every frame lies on the floor y = 0. A walk goes round a circle, so that a still camera keeps it in view.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.anchors import ARMS, SPINES
from pipeline.bodies.gait import Gait, body_path, foot_track, smooth_step
from pipeline.bodies.joint_limits import (
    HIGHEST_DEG,
    LOWEST_DEG,
    degrees_from_rotations,
    mirrored_degrees,
    pose_from_rotations,
    rotations_from_degrees,
)
from pipeline.bodies.leg_reach import leg_length_m, reach_with_leg
from pipeline.bodies.planting import Feet, ankle_height_m, foot_turns, highest_pelvis_m, plant_feet
from pipeline.bodies.proportions import LEG_CHAINS, Proportions
from pipeline.bodies.self_collision import PENETRATION_LIMIT_M, fit_capsules, penetration_m
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.bodies.skinning import rotation_matrices

Float64 = NDArray[np.float64]
MotionName = Literal["walk", "turn", "reach", "squat"]
MOTIONS: tuple[MotionName, ...] = get_args(MotionName)

_STRETCH = 0.99  # of a straight leg; nearer to straight a knee would snap
_LEG_M = 0.81  # an average adult's, hip to ankle: what widths and heights are given for
# How much further out arms and feet go, step by step, where a thick body would run through itself.
_ROOMS, _ROOM_DEG, _ROOM_M = 8, 2.5, 0.012
_UP = np.array([0.0, 1.0, 0.0])
_KEY_S = 1.3  # from one key pose to the next
_HOLD = 0.25  # share of that time at rest before it


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """A sequence of one identity.

    Attributes:
        pose_rad: (T 24 3).
        transl_m: (T 3).
    """

    pose_rad: Float64
    transl_m: Float64


def motion(
    name: MotionName, rng: np.random.Generator, proportions: Proportions, *, seconds: float, fps: float
) -> Motion:
    """Return a sequence that starts at a random moment of its kind.

    Args:
        name: walk, turn (on the spot, feet stepping), reach (one target after another, feet still), squat.
        seconds: T is this times `fps`, rounded.

    Raises:
        ValueError: for another name, or less than one frame.
    """
    frames = round(seconds * fps)
    if name not in MOTIONS or frames < 1:
        raise ValueError(
            f"pipeline.bodies.motions: a motion must be one of {', '.join(MOTIONS)} with a frame at least, "
            f"is {name!r} of {seconds} s at {fps} frames per second."
        )
    seed = int(rng.integers(2**63))
    capsules = fit_capsules(proportions)
    for room in range(_ROOMS):
        # The same draws each time: only arms and feet go further out, until nothing runs through anything.
        result = _made(name, np.random.default_rng(seed), proportions, (frames, fps), room)
        rotations = rotation_matrices(result.pose_rad, np)
        if penetration_m(rotations, proportions, capsules).max() <= PENETRATION_LIMIT_M:
            break
    return result


def _made(
    name: MotionName, rng: np.random.Generator, proportions: Proportions, clock: tuple[int, float], room: int
) -> Motion:
    frames, fps = clock
    time_s = rng.uniform(0.0, 4.0) + np.arange(frames) / fps
    rest = ARMS["hanging"] + SPINES["upright"]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        rest[SMPL24_NAMES.index(f"{side}_shoulder"), 2] += sign * _ROOM_DEG * room
    if name in ("walk", "turn"):
        size = leg_length_m(proportions, 0) / _LEG_M
        gait = _gait(rng, size, walking=name == "walk", room_m=_ROOM_M * room)
        return _stepping(rng, proportions, time_s, gait=gait, rest=rest)
    still = _squat(rng, time_s, rest) if name == "squat" else _reach(rng, time_s, rest)
    return _standing_still(rng, proportions, *still)


def _gait(rng: np.random.Generator, size: float, *, walking: bool, room_m: float) -> Gait:
    """Draw a manner of walking or turning for legs `size` times as long as an average adult's."""
    way = rng.choice([-1.0, 1.0])
    if walking:
        speed_m_s = rng.uniform(0.8, 0.95) * np.sqrt(size)
        return Gait(
            speed_m_s=speed_m_s, turn_rad_s=way * speed_m_s / rng.uniform(1.1, 1.3), cycle_s=rng.uniform(1.1, 1.25),
            half_width_m=0.075 * size + room_m, toes_out_rad=np.radians(rng.uniform(3.0, 8.0)),
            strike_rad=np.radians(12.0), push_rad=np.radians(rng.uniform(40.0, 46.0)), lift_m=0.045 * size,
        )  # fmt: skip
    return Gait(
        speed_m_s=0.0, turn_rad_s=way * np.radians(rng.uniform(32.0, 45.0)), cycle_s=rng.uniform(1.25, 1.5),
        half_width_m=0.12 * size + room_m, toes_out_rad=np.radians(rng.uniform(6.0, 10.0)), strike_rad=0.0,
        push_rad=np.radians(14.0), lift_m=0.035 * size,
    )  # fmt: skip


def _stepping(
    rng: np.random.Generator, proportions: Proportions, time_s: Float64, *, gait: Gait, rest: Float64
) -> Motion:
    size, walking = leg_length_m(proportions, 0) / _LEG_M, gait.speed_m_s > 0
    phase = 2.0 * np.pi * time_s / gait.cycle_s  # 0 when the left heel lands
    place_m, heading_rad = body_path(gait, time_s)
    vigour = rng.uniform(0.8, 1.2) * (1.0 if walking else 0.25)
    degrees = _stepping_degrees(vigour, phase, np.degrees(heading_rad), rest)
    # The pelvis sways over the foot that bears it, and is lowest while both do.
    sway_m = (0.022 if walking else 0.045) * size * np.sin(phase + 0.12 * np.pi)
    bob_m = (-0.020 if walking else -0.004) * size * np.cos(2.0 * phase)
    left = np.stack([np.cos(heading_rad), -np.sin(heading_rad)], axis=-1)
    place_m = place_m + sway_m[:, None] * left
    rotations = rotations_from_degrees(degrees)
    tracks = [foot_track(gait, side, time_s, proportions) for side in (0, 1)]
    ankle_m = np.stack([track.ankle_m for track in tracks], axis=1)
    ankle_m[..., [0, 2]] -= place_m[:, None]
    both = np.ones((len(time_s), 2), dtype=np.bool_)
    limit_m = highest_pelvis_m(rotations[:, 0], proportions, ankle_m, planted=both, stretch=_STRETCH)
    # Over a whole cycle, so that a short clip has the height of a long one.
    height_m = (limit_m - bob_m).min() + bob_m
    ankle_m[..., 1] -= height_m[:, None]
    for side, track in enumerate(tracks):
        _knee_ahead(rotations, side, track.heading_rad)
        toes = foot_turns(track.heading_rad, track.toes_rad)[0]
        foot = foot_turns(track.heading_rad, track.pitch_rad)[0]
        reach_with_leg(rotations, proportions, side, ankle_m=ankle_m[:, side], foot=foot, toes=toes)
    return _on_floor(rotations, place_m, proportions)


def _stepping_degrees(vigour: float, phase: Float64, heading_deg: Float64, rest: Float64) -> Float64:
    """Return pelvis, spine and arms (T 24 3) of a gait; arms and shoulders swing against the legs."""
    swing = vigour * np.cos(phase)  # 1 while the left leg is in front
    degrees = np.repeat(rest[None], len(phase), axis=0)
    index = SMPL24_NAMES.index
    degrees[:, 0] = np.stack(
        [0 * phase + 3.0 * vigour, heading_deg - 5.0 * swing, -2.5 * vigour * np.sin(phase)], -1
    )
    for name, share in (("spine1", 0.25), ("spine2", 0.4), ("spine3", 0.6)):
        degrees[:, index(name), 1] += 9.0 * share * swing
        degrees[:, index(name), 2] += 2.0 * vigour * share * np.sin(phase)
    degrees[:, index("head"), 1] -= 5.0 * swing
    for side, sign in (("left", 1.0), ("right", -1.0)):
        degrees[:, index(f"{side}_shoulder"), 1] += sign * (20.0 * sign * swing + 4.0 * vigour)
        # A forearm lags a little and bends more in front.
        bend = 7.0 * vigour * (1.0 - sign * np.cos(phase - 0.35)) - 4.0
        degrees[:, index(f"{side}_elbow"), 1] -= sign * bend
    return degrees


def _squat(rng: np.random.Generator, time_s: Float64, rest: Float64) -> tuple[Float64, Float64]:
    """Return the angles (T 24 3) above the legs, and the height (T) of the pelvis, see `_standing_still`."""
    period_s, depth = rng.uniform(2.6, 3.4), rng.uniform(0.20, 0.26)
    down = 0.5 - 0.5 * np.cos(2.0 * np.pi * time_s / period_s)
    low = ARMS["up-forward"] + 1.3 * SPINES["stoop"]
    return rest + down[:, None, None] * (low - rest), 1.0 - depth * down


# Where a hand goes: arms, spine, and how high the pelvis stays.
_REACHES = (
    ("one-up", "look-up", 1.0),
    ("up", "look-up", 1.0),
    ("one-forward", "stoop", 0.97),
    ("forward", "upright", 1.0),
    ("one-side", "look-aside", 1.0),
    ("one-forward", "bend", 0.9),
)


def _reach(rng: np.random.Generator, time_s: Float64, rest: Float64) -> tuple[Float64, Float64]:
    """Return the angles (T 24 3) above the legs, and the height (T) of the pelvis, see `_standing_still`."""
    count = int(np.ceil(time_s[-1] / _KEY_S)) + 2
    keys: list[Float64] = []
    heights: list[float] = []
    for number in range(count):
        arms, spine, low = _REACHES[rng.integers(len(_REACHES))]
        target = ARMS[arms] + SPINES[spine]
        mirrored = rng.random() < 0.5
        at_rest = number % 2 == 0
        keys.append(rest if at_rest else mirrored_degrees(target) if mirrored else target)
        heights.append(1.0 if at_rest else low)
    key = np.minimum((time_s / _KEY_S).astype(np.intp), count - 2)
    share = smooth_step((time_s / _KEY_S - key - _HOLD) / (1.0 - _HOLD))
    table, height = np.stack(keys), np.array(heights)
    degrees = table[key] + share[:, None, None] * (table[key + 1] - table[key])
    return degrees, height[key] + share * (height[key + 1] - height[key])


def _standing_still(
    rng: np.random.Generator, proportions: Proportions, degrees: Float64, height: Float64
) -> Motion:
    """Put bodies on two feet that stay where they are, the centre of mass over them.

    Args:
        degrees: (T 24 3) of all but the legs.
        height: (T) of the pelvis, 1 with the legs as straight as they get.
    """
    size = leg_length_m(proportions, 0) / _LEG_M
    half_m, out_rad = rng.uniform(0.13, 0.17) * size, np.radians(rng.uniform(10.0, 18.0))
    frames = len(degrees)
    ankle_m = np.zeros((frames, 2, 3))
    ankle_m[:, :, 0] = half_m, -half_m
    ankle_m[:, :, 1] = ankle_height_m(np.zeros(1), proportions)
    heading_rad = np.broadcast_to([out_rad, -out_rad], (frames, 2))
    both = np.ones((frames, 2), dtype=np.bool_)
    straight = np.eye(3)[None]
    top_m = highest_pelvis_m(straight, proportions, ankle_m[:1], planted=both[:1], stretch=_STRETCH)
    rotations = rotations_from_degrees(degrees)
    for side in (0, 1):
        _knee_ahead(rotations, side, heading_rad[:, side])
    feet = Feet(
        ankle_m=ankle_m,
        heading_rad=heading_rad,
        heel_rad=np.full((frames, 2), -proportions.heel_lift_rad),
        height_m=top_m * height,
    )
    place_m = plant_feet(rotations, proportions, feet, planted=both, balanced=both[:, 0], heels_rise=False)
    return _on_floor(rotations, place_m, proportions)


def _knee_ahead(rotations: Float64, side: int, heading_rad: Float64) -> None:
    """Turn a hip in place so that its knee will bend towards a heading."""
    hip = LEG_CHAINS[side][0]
    rotations[:, hip] = np.swapaxes(rotations[:, 0], -1, -2) @ rotation_matrices(
        heading_rad[:, None] * _UP, np
    )


def _on_floor(rotations: Float64, place_m: Float64, proportions: Proportions) -> Motion:
    """Put the pelvis over x and z (T 2) and the lowest vertex at y = 0."""
    # Long legs in a fast step may want a degree more of an ankle than it has: 2 mm at the toes.
    degrees = np.clip(degrees_from_rotations(rotations), LOWEST_DEG, HIGHEST_DEG)
    pose_rad = pose_from_rotations(rotations_from_degrees(degrees))
    transl_m = np.zeros((len(pose_rad), 3))
    transl_m[:, [0, 2]] = place_m - proportions.joints_m[0, [0, 2]]
    feet = np.isin(proportions.segment, [joint for chain in LEG_CHAINS for joint in chain[2:]])
    soles = proportions.body.at_vertices(np.flatnonzero(feet))
    transl_m[:, 1] = -soles.posed(pose_rad, proportions.betas, np.zeros(3)).vertices_m[..., 1].min(axis=1)
    return Motion(pose_rad=pose_rad, transl_m=transl_m)
