"""Anchor poses: hand-set tables of degrees, from which plausible poses are mixed.

Angles as in `pipeline.bodies.joint_limits`. Arms, legs and spine have tables of their own. Entries of a side
follow the left side's signs, also for the right ("right_" or "both_": the mirror image is taken); a joint that is
not named stays at 0. Leg angles hold for an upright pelvis: where a spine tilts it, hips make up for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joint_limits import MIRROR_SIGN
from pipeline.bodies.skeleton import SMPL24_NAMES

Float64 = NDArray[np.float64]
Degrees = tuple[float, float, float]
# What bears the body. feet: both soles; foot: the left one; seat: a stool and both soles; floor: what comes to
# lie on the floor when the body settles.
Support = Literal["feet", "foot", "seat", "floor"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Legs:
    """Angles (24 3) of the legs in degrees, what bears the body, and the family whose members are mixed."""

    degrees: Float64
    support: Support
    family: str


def _degrees(**joints: Degrees) -> Float64:
    table = np.zeros((len(SMPL24_NAMES), 3))
    for key, angles in joints.items():
        side, _, joint = key.partition("_")
        for name in (f"left_{joint}", f"right_{joint}") if side == "both" else (key,):
            sign = MIRROR_SIGN if name.startswith("right_") else 1.0
            table[SMPL24_NAMES.index(name)] = np.array(angles) * sign
    table.flags.writeable = False
    return table


def _arms(**joints: Degrees) -> Float64:
    """Hanging arms with half-closed hands, changed where told."""
    hanging: dict[str, Degrees] = {}
    for side in ("left", "right"):
        hanging |= {
            f"{side}_collar": (0, 0, -3),
            f"{side}_shoulder": (0, -4, -79),
            f"{side}_elbow": (0, -16, 0),
            f"{side}_wrist": (0, 0, -4),
            f"{side}_hand": (0, 0, -18),
        }
    told: dict[str, Degrees] = {}
    for key, angles in joints.items():
        side, _, joint = key.partition("_")
        told |= {f"{one}_{joint}": angles for one in (("left", "right") if side == "both" else (side,))}
    return _degrees(**(hanging | told))


def _legs(support: Support, family: str, **joints: Degrees) -> Legs:
    return Legs(degrees=_degrees(**joints), support=support, family=family)


ARMS: Mapping[str, Float64] = MappingProxyType(
    {
        "hanging": _arms(),
        "t": _arms(
            both_collar=(0, 0, 0), both_shoulder=(0, -4, -4), both_elbow=(0, -6, 0), both_hand=(0, 0, -6)
        ),
        "a": _arms(both_shoulder=(0, -6, -46), both_elbow=(0, -10, 0)),
        "on-hips": _arms(
            both_shoulder=(60, 14, -44), both_elbow=(10, -90, 0), both_wrist=(0, 0, 36), both_hand=(0, 0, -25)
        ),
        "crossed": _arms(
            left_shoulder=(50, -50, -62),
            left_elbow=(10, -112, 0),
            right_shoulder=(46, -36, -70),
            right_elbow=(10, -76, 0),
            both_wrist=(0, 0, -10),
        ),
        "phone": _arms(
            right_collar=(0, 0, 4),
            right_shoulder=(-8, -40, -54),
            right_elbow=(-20, -130, 0),
            right_wrist=(-10, 0, -10),
        ),
        "wave": _arms(
            right_collar=(0, 0, 10),
            right_shoulder=(-78, -22, 4),
            right_elbow=(0, -72, 0),
            right_hand=(0, 0, -4),
        ),
        "up": _arms(
            both_collar=(0, 0, 26), both_shoulder=(-10, -24, 66), both_elbow=(0, -14, 0), both_hand=(0, 0, -6)
        ),
        "one-up": _arms(right_collar=(0, 0, 28), right_shoulder=(-10, -22, 70), right_elbow=(0, -10, 0)),
        "forward": _arms(
            both_collar=(0, -8, 2), both_shoulder=(0, -84, -8), both_elbow=(0, -12, 0), both_hand=(0, 0, -10)
        ),
        "one-forward": _arms(right_collar=(0, -10, 2), right_shoulder=(0, -82, -12), right_elbow=(0, -14, 0)),
        "one-side": _arms(right_collar=(0, 0, 4), right_shoulder=(0, -14, 2), right_elbow=(0, -8, 0)),
        "carry": _arms(both_shoulder=(4, -26, -72), both_elbow=(-20, -84, 0), both_wrist=(-20, 0, 5)),
        "swing": _arms(
            left_shoulder=(0, 22, -76),
            left_elbow=(0, -14, 0),
            right_shoulder=(0, -28, -76),
            right_elbow=(0, -28, 0),
        ),
        "run": _arms(
            left_shoulder=(0, 42, -70),
            left_elbow=(0, -88, 0),
            right_shoulder=(6, -30, -72),
            right_elbow=(0, -96, 0),
        ),
        "up-forward": _arms(
            both_collar=(0, 0, 20), both_shoulder=(-6, -58, 60), both_elbow=(0, -12, 0), both_hand=(0, 0, -8)
        ),
        "on-head": _arms(
            both_collar=(0, 0, 20),
            both_shoulder=(-60, -18, 34),
            both_elbow=(0, -118, 0),
            both_wrist=(0, 0, -5),
        ),
        "throw": _arms(
            right_shoulder=(-70, 16, -4),
            right_elbow=(0, -88, 0),
            left_shoulder=(0, -62, -22),
            left_elbow=(0, -20, 0),
        ),
        "on-thighs": _arms(both_shoulder=(4, -27, -73), both_elbow=(30, -46, 0), both_wrist=(25, 0, 4)),
    }
)

LEGS: Mapping[str, Legs] = MappingProxyType(
    {
        "stand": _legs("feet", "stand", both_hip=(0, 8, 3)),
        "apart": _legs("feet", "stand", both_hip=(0, 12, 10), both_knee=(4, 0, 0)),
        "relaxed": _legs("feet", "stand", left_hip=(-2, 6, 3), right_hip=(-14, 18, 9), right_knee=(20, 0, 0)),
        "walk-contact": _legs(
            "feet",
            "step",
            left_hip=(-26, 4, 2),
            left_knee=(8, 0, 0),
            right_hip=(14, 4, 2),
            right_knee=(22, 0, 0),
            right_ankle=(8, 0, 0),
        ),
        "walk-push": _legs(
            "feet",
            "step",
            left_hip=(-18, 4, 2),
            left_knee=(14, 0, 0),
            right_hip=(18, 4, 2),
            right_knee=(34, 0, 0),
            right_ankle=(16, 0, 0),
        ),
        "lunge": _legs(
            "feet",
            "step",
            left_hip=(-66, 4, 4),
            left_knee=(72, 0, 0),
            right_hip=(18, 2, 3),
            right_knee=(42, 0, 0),
            right_ankle=(10, 0, 0),
        ),
        "side-lunge": _legs(
            "feet", "step", left_hip=(-58, 24, 22), left_knee=(76, 0, 0), right_hip=(-8, 10, 34)
        ),
        "half-squat": _legs("feet", "squat", both_hip=(-52, 12, 9), both_knee=(62, 0, 0)),
        "squat": _legs("feet", "squat", both_hip=(-98, 20, 16), both_knee=(108, 0, 0)),
        "one-leg": _legs(
            "foot",
            "one-leg",
            left_hip=(0, 4, 0),
            right_hip=(-62, 6, 4),
            right_knee=(86, 0, 0),
            right_ankle=(12, 0, 0),
        ),
        "kick": _legs(
            "foot",
            "one-leg",
            left_hip=(-4, 6, 0),
            left_knee=(8, 0, 0),
            right_hip=(-52, 2, 6),
            right_knee=(14, 0, 0),
        ),
        "run": _legs(
            "foot",
            "one-leg",
            left_hip=(-12, 2, 0),
            left_knee=(22, 0, 0),
            right_hip=(6, 2, 2),
            right_knee=(88, 0, 0),
            right_ankle=(20, 0, 0),
        ),
        "sit": _legs("seat", "sit", both_hip=(-86, 10, 9), both_knee=(84, 0, 0)),
        "sit-stretched": _legs("seat", "sit", both_hip=(-80, 8, 6), both_knee=(52, 0, 0)),
        "half-kneel": _legs(
            "floor",
            "half-kneel",
            left_hip=(-86, 8, 8),
            left_knee=(88, 0, 0),
            right_hip=(2, 2, 4),
            right_knee=(86, 0, 0),
            right_ankle=(8, 0, 0),
            right_foot=(-48, 0, 0),
        ),
        "kneel": _legs("floor", "kneel", both_hip=(-6, 2, 6), both_knee=(92, 0, 0), both_ankle=(42, 0, 0)),
        "heel-sit": _legs(
            "floor", "kneel", both_hip=(-52, 4, 6), both_knee=(130, 0, 0), both_ankle=(46, 0, 0)
        ),
        "floor-sit": _legs(
            "floor", "floor-sit", both_hip=(-86, 10, 12), both_knee=(8, 0, 0), both_ankle=(14, 0, 0)
        ),
        "floor-sit-bent": _legs(
            "floor", "floor-sit", both_hip=(-112, 8, 8), both_knee=(88, 0, 0), both_ankle=(10, 0, 0)
        ),
    }
)

SPINES: Mapping[str, Float64] = MappingProxyType(
    {
        "upright": _degrees(spine1=(2, 0, 0), neck=(3, 0, 0), head=(2, 0, 0)),
        "bend": _degrees(
            pelvis=(38, 0, 0),
            spine1=(18, 0, 0),
            spine2=(15, 0, 0),
            spine3=(8, 0, 0),
            neck=(-8, 0, 0),
            head=(-8, 0, 0),
        ),
        "stoop": _degrees(
            pelvis=(14, 0, 0), spine1=(12, 0, 0), spine2=(10, 0, 0), spine3=(6, 0, 0), head=(6, 0, 0)
        ),
        "back": _degrees(
            pelvis=(-4, 0, 0), spine1=(-6, 0, 0), spine2=(-5, 0, 0), spine3=(-4, 0, 0), neck=(-8, 0, 0)
        ),
        "sideways": _degrees(
            pelvis=(0, 0, 4), spine1=(0, 0, 8), spine2=(2, 0, 8), spine3=(0, 0, 6), neck=(0, 0, 5)
        ),
        "turned": _degrees(
            pelvis=(0, 6, 0),
            spine1=(0, 8, 0),
            spine2=(0, 12, 0),
            spine3=(0, 15, 0),
            neck=(0, 14, 0),
            head=(0, 12, 0),
        ),
        "look-up": _degrees(spine3=(-3, 0, 0), neck=(-16, 0, 0), head=(-12, 0, 0)),
        "look-down": _degrees(spine3=(6, 0, 0), neck=(16, 0, 0), head=(12, 0, 0)),
        "look-aside": _degrees(neck=(0, 20, 0), head=(0, 22, 0)),
        "walk": _degrees(
            pelvis=(3, -4, 0), spine1=(2, 3, 0), spine2=(1, 4, 0), spine3=(0, 4, 0), neck=(2, 0, 0)
        ),
    }
)
