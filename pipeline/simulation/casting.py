"""From the words of a manifest to a take: who, in what, in which pose or motion, before which cameras."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import default_body
from pipeline.bodies.motions import MotionName, motion
from pipeline.bodies.pose_sampler import draw_poses, named_pose
from pipeline.bodies.proportions import Proportions, proportions_of
from pipeline.seeds import stream
from pipeline.simulation.acting import Action, acted, on_soles, recorded
from pipeline.simulation.camera_path import CameraPath, Kind, draw_path
from pipeline.simulation.dressing import Wardrobe, dress, dressed
from pipeline.simulation.filming import Take
from pipeline.simulation.identity import draw_identity
from pipeline.simulation.kinect import RATE_HZ, FrameTimes, draw_times, virtual_kinect
from pipeline.simulation.outfit import draw_outfit

Float64 = NDArray[np.float64]

TURN_S = 20.0  # that a person with a camera needs once around another
MOTION_FPS = 120.0  # between which motions are interpolated
SPARE_S = 0.1  # of motion, for colour that is exposed after the last depth


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """What a manifest says of one simulated capture.

    Attributes:
        pose: a name of `pipeline.bodies.named_poses`; None draws any pose that a person can hold.
        count: frames, all cameras together; a multiple of them.
        motion: by rule, or a BVH file; None for a person who holds a pose.
        distance_m: mean distance of the cameras from the person's axis.
    """

    capture: str
    subject: str
    outfit: str | None
    pose: str | None
    motion: MotionName | Path | None
    camera: Kind
    cameras: int
    count: int
    distance_m: float


def draw_take(seed: int, script: Script) -> Take:
    """Draw a take; person and outfit come from the subject's streams, all else from the capture's.

    Two captures of one subject show one person; the same outfit's name on one subject is the same clothes.
    """
    wardrobe = draw_wardrobe(seed, script.subject, script.outfit)
    moments = script.count // script.cameras
    times = _draw_times(seed, script, moments)
    seconds = float(times.depth_s[-1] - times.depth_s[0])
    if script.motion is None:
        stance = draw_stance(seed, script.capture, script.pose, wardrobe)
        action, seat_m = lambda time_s: (stance.pose_rad, stance.transl_m), stance.seat_m
    else:
        action, seat_m = _moving(seed, script.capture, script.motion, wardrobe, times), 0.0
    return Take(
        wardrobe=wardrobe,
        action=action,
        still=script.motion is None,
        seat_m=seat_m,
        paths=_paths(seed, script, wardrobe, action, times),
        duration_s=max(seconds * moments / max(moments - 1, 1), 1 / RATE_HZ),
        times=times,
        calibration=virtual_kinect(),
    )


def draw_wardrobe(seed: int, subject: str, outfit: str | None) -> Wardrobe:
    """A person and what they wear, of the subject's own streams."""
    identity = draw_identity(stream(seed, "simulate person", subject))
    return dress(identity, draw_outfit(stream(seed, "simulate outfit", f"{subject}\0{outfit or ''}")))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stance:
    """How a person who holds a pose stands or sits, the clothes on the floor y = 0.

    Attributes:
        pose_rad, transl_m: (24 3) and (3) of the body.
        seat_m: height of the stool that they need; 0 without one.
    """

    pose_rad: Float64
    transl_m: Float64
    seat_m: float


def draw_stance(seed: int, capture: str, pose: str | None, wardrobe: Wardrobe) -> Stance:
    """The pose of one capture; without a name any that a person can hold."""
    rng, proportions = stream(seed, "simulate pose", capture), _proportions(wardrobe)
    stands = draw_poses(rng, 1, proportions) if pose is None else named_pose(pose, rng, proportions)
    pose_rad, seat_m = stands.pose_rad[0], float(stands.seat_height_m[0])
    transl_m, lift_m = on_soles(wardrobe, pose_rad, stands.transl_m[0])
    return Stance(pose_rad=pose_rad, transl_m=transl_m, seat_m=seat_m + lift_m if seat_m else 0.0)


def _proportions(wardrobe: Wardrobe) -> Proportions:
    return proportions_of(default_body(), wardrobe.identity.betas)


def _draw_times(seed: int, script: Script, moments: int) -> FrameTimes:
    """Every frame of a moving person; of a walk around a still one as many as are wanted, evenly apart."""
    rng = stream(seed, "simulate times", script.capture)
    if script.camera == "still":
        return draw_times(rng, moments, drop_share=0.0)
    all_of_it = draw_times(rng, max(round(TURN_S * RATE_HZ), moments), drop_share=0.0)
    kept = np.arange(moments) * (len(all_of_it.depth_s) // moments)
    return FrameTimes(all_of_it.depth_s[kept], all_of_it.color_s[kept])


def _moving(
    seed: int, capture: str, what: MotionName | Path, wardrobe: Wardrobe, times: FrameTimes
) -> Action:
    rng, proportions = stream(seed, "simulate pose", capture), _proportions(wardrobe)
    begin_s = min(times.depth_s[0], times.color_s[0]) - SPARE_S
    seconds = max(times.depth_s[-1], times.color_s[-1]) - begin_s + SPARE_S
    if isinstance(what, Path):
        moves, fps = recorded(what, wardrobe, proportions, seconds)
        return acted(moves, fps=fps, begin_s=begin_s, lift_m=0.0)
    moves = motion(what, rng, proportions, seconds=seconds, fps=MOTION_FPS)
    _, lift_m = on_soles(wardrobe, moves.pose_rad[0], moves.transl_m[0])
    return acted(moves, fps=MOTION_FPS, begin_s=begin_s, lift_m=lift_m)


def _paths(
    seed: int, script: Script, wardrobe: Wardrobe, action: Action, times: FrameTimes
) -> list[CameraPath]:
    bodies = [dressed(wardrobe, *action(time_s)).vertices_m for time_s in times.depth_s[[0, -1]]]
    places = np.concatenate(bodies)
    aim_m = (places.min(axis=0) + places.max(axis=0)) / 2
    return [
        draw_path(
            stream(seed, "simulate cameras", script.capture),  # from its beginning, for each
            script.camera,
            distance_m=script.distance_m,
            aim_m=aim_m,
            camera=camera,
            cameras=script.cameras,
        )
        for camera in range(script.cameras)
    ]
