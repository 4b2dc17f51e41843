"""The poses that a manifest may name, each put together from anchors of arms, legs and spine."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedPose:
    """Keys of the tables of `pipeline.bodies.anchors`, and a sentence."""

    arms: str
    legs: str
    spine: str
    sentence: str


POSES: Mapping[str, NamedPose] = MappingProxyType(
    {
        "standing": NamedPose(
            arms="hanging", legs="stand", spine="upright", sentence="Upright, arms hanging."
        ),
        "arms-out": NamedPose(
            arms="t", legs="stand", spine="upright", sentence="Upright, arms stretched out to the sides."
        ),
        "arms-down-out": NamedPose(
            arms="a",
            legs="apart",
            spine="upright",
            sentence="Feet apart, arms 45 degrees away from the body.",
        ),
        "hands-on-hips": NamedPose(
            arms="on-hips",
            legs="apart",
            spine="upright",
            sentence="Feet apart, hands on the hips, elbows out.",
        ),
        "arms-crossed": NamedPose(
            arms="crossed",
            legs="relaxed",
            spine="upright",
            sentence="Weight on one leg, forearms across the belly.",
        ),
        "phoning": NamedPose(
            arms="phone",
            legs="relaxed",
            spine="look-down",
            sentence="One hand at the ear, the other arm hanging.",
        ),
        "waving": NamedPose(
            arms="wave", legs="stand", spine="upright", sentence="One forearm raised, palm to the front."
        ),
        "reaching-up": NamedPose(
            arms="up", legs="stand", spine="look-up", sentence="Both arms above the head, looking up."
        ),
        "reaching-forward": NamedPose(
            arms="forward", legs="apart", spine="upright", sentence="Both arms stretched to the front."
        ),
        "walking": NamedPose(
            arms="swing",
            legs="walk-push",
            spine="walk",
            sentence="A stride, both feet on the ground, arms opposed.",
        ),
        "lunging": NamedPose(
            arms="carry",
            legs="lunge",
            spine="upright",
            sentence="A long stride, front knee bent, elbows bent.",
        ),
        "squatting": NamedPose(
            arms="up-forward", legs="squat", spine="stoop", sentence="Deep knee bend, arms to the front."
        ),
        "one-leg": NamedPose(
            arms="a", legs="one-leg", spine="upright", sentence="One knee lifted, arms away from the body."
        ),
        "bending": NamedPose(
            arms="one-forward",
            legs="half-squat",
            spine="bend",
            sentence="Bent forward from the hips, one hand out.",
        ),
        "turned": NamedPose(
            arms="carry", legs="apart", spine="turned", sentence="Trunk and head turned aside, elbows bent."
        ),
        "sitting": NamedPose(
            arms="on-thighs", legs="sit", spine="upright", sentence="On a stool that is not part of the body."
        ),
        "kneeling": NamedPose(
            arms="a", legs="half-kneel", spine="upright", sentence="On one knee and the other foot."
        ),
    }
)
