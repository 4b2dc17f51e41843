"""A random adult as numbers: stature, pose, girth, clothes and their folds.

Proportions are fractions of stature near the means of body segment tables (Drillis and Contini, 1966). Body
frame: +Y up, feet at y = 0, facing +Z, the subject's left at +X; metres.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.folds import Fold, draw_folds
from pipeline.simulation.noise import Waves, draw_waves

Float64 = NDArray[np.float64]

SIDES = {"left": 1.0, "right": -1.0}

# height, half width, half depth and centre z of the torso, all over stature
TORSO = np.array(
    [
        [0.455, 0.079, 0.066, -0.004],
        [0.490, 0.096, 0.074, -0.006],
        [0.530, 0.098, 0.071, -0.006],
        [0.580, 0.088, 0.062, 0.000],
        [0.625, 0.081, 0.058, 0.004],
        [0.670, 0.085, 0.062, 0.004],
        [0.720, 0.094, 0.067, 0.003],
        [0.760, 0.098, 0.064, 0.000],
        [0.790, 0.088, 0.055, -0.005],
        [0.815, 0.062, 0.045, -0.009],
        [0.845, 0.034, 0.036, -0.008],
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outfit:
    """What the person wears, and its colours.

    Attributes:
        sleeve: where the sleeve ends, over the arm's length from shoulder to wrist.
        hem_y: height of the shirt's lower edge, over stature.
        ease_m: how far the clothes stand off the body.
        colors: region to (3,) linear RGB in [0, 1]; `shirt_accent` is the second colour of the pattern.
        pattern: of the shirt: plain, stripes, checks or patches.
        period_m: of the pattern.
    """

    sleeve: float
    hem_y: float
    ease_m: float
    colors: dict[str, Float64]
    pattern: str
    period_m: float
    patches: Waves


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Person:
    """Everything that the surface and the colours of one person are computed from.

    Attributes:
        joints: name to (3,) position, before the sway.
        torso: dense rows of y, half width, half depth, centre z.
        girth: factor on all widths and radii.
        sway_m: (2,) sideways and forward shift of the trunk over the straight stance.
    """

    height_m: float
    girth: float
    joints: dict[str, Float64]
    torso: Float64
    sway_m: Float64
    outfit: Outfit
    folds: tuple[Fold, ...]
    hair: Waves


def draw_person(rng: np.random.Generator) -> Person:
    """Draw one adult, 1.57 to 1.88 m tall, in an easy stance with the arms a little off the body."""
    height_m = float(rng.uniform(1.57, 1.88))
    girth = float(rng.uniform(0.92, 1.12))
    joints = _draw_joints(rng, height_m)
    outfit = _draw_outfit(rng)
    return Person(
        height_m=height_m,
        girth=girth,
        joints=joints,
        torso=_dense_profile(TORSO * height_m * np.array([1.0, girth, girth**1.4, 1.0])),
        sway_m=rng.uniform([-0.025, -0.015], [0.025, 0.02]),
        outfit=outfit,
        folds=draw_folds(rng, joints),
        hair=draw_waves(rng, 0.045),
    )


def _draw_joints(rng: np.random.Generator, height_m: float) -> dict[str, Float64]:
    middle = {"pelvis": (0.0, 0.53, 0.0), "neck": (0.0, 0.822, -0.010), "head": (0.0, 0.923, 0.004)}
    joints = {name: np.array(position) * height_m for name, position in middle.items()}
    stance = rng.uniform(0.055, 0.085)
    for side, sign in SIDES.items():
        forward = rng.uniform(-0.02, 0.02)
        joints[f"{side}_shoulder"] = np.array([sign * 0.106, 0.788, -0.008]) * height_m
        joints[f"{side}_hip"] = np.array([sign * 0.048, 0.500, 0.0]) * height_m
        joints[f"{side}_knee"] = np.array([sign * (0.5 * stance + 0.026), 0.283, 0.008 + forward]) * height_m
        joints[f"{side}_ankle"] = np.array([sign * stance, 0.045, -0.012 + forward]) * height_m
        turn_rad = sign * rng.uniform(0.05, 0.35)
        joints[f"{side}_toe"] = joints[f"{side}_ankle"] + height_m * np.array(
            [0.105 * np.sin(turn_rad), -0.028, 0.105 * np.cos(turn_rad)]
        )
        joints |= _draw_arm(rng, side, joints[f"{side}_shoulder"], height_m)
    return joints


def _draw_arm(rng: np.random.Generator, side: str, shoulder: Float64, height_m: float) -> dict[str, Float64]:
    sign = SIDES[side]
    spread_rad, swing_rad = rng.uniform(0.30, 0.55), rng.uniform(-0.10, 0.15)
    bend_rad, inward_rad = rng.uniform(0.15, 0.55), rng.uniform(-0.10, 0.12)
    upper = _hanging(sign * spread_rad, swing_rad)
    fore = _hanging(sign * (spread_rad - inward_rad), swing_rad + bend_rad)
    elbow = shoulder + 0.172 * height_m * upper
    wrist = elbow + 0.150 * height_m * fore
    return {
        f"{side}_elbow": elbow,
        f"{side}_wrist": wrist,
        f"{side}_fingers": wrist + 0.088 * height_m * _hanging(sign * spread_rad * 0.8, swing_rad + bend_rad),
    }


def _hanging(sideways_rad: float, forward_rad: float) -> Float64:
    """Unit vector that hangs down, turned to +X and then to +Z."""
    return np.array(
        [
            np.sin(sideways_rad),
            -np.cos(sideways_rad) * np.cos(forward_rad),
            np.cos(sideways_rad) * np.sin(forward_rad),
        ]
    )


def _dense_profile(rows: Float64) -> Float64:
    from scipy.interpolate import PchipInterpolator

    heights = np.linspace(rows[0, 0], rows[-1, 0], 200)
    return np.column_stack([heights, PchipInterpolator(rows[:, 0], rows[:, 1:])(heights)])


def _draw_outfit(rng: np.random.Generator) -> Outfit:
    tone = rng.uniform(0.15, 1.0)  # from dark to light skin
    colors = {
        "skin": np.array([0.10, 0.045, 0.025]) * (1 - tone) + np.array([0.72, 0.45, 0.33]) * tone,
        "hair": np.array([0.012, 0.008, 0.006]) + rng.uniform(0, 1) ** 2 * np.array([0.30, 0.17, 0.07]),
        "shirt": rng.uniform(0.05, 0.75, 3),
        "shirt_accent": rng.uniform(0.02, 0.80, 3),
        "trousers": rng.uniform(0.03, 0.30) * rng.uniform(0.6, 1.2, 3),
        "shoes": rng.uniform(0.02, 0.25) * np.ones(3),
        "sole": np.full(3, 0.55),
    }
    return Outfit(
        sleeve=float(rng.choice([0.42, 0.94])),
        hem_y=float(rng.uniform(0.470, 0.505)),
        ease_m=float(rng.uniform(0.006, 0.012)),
        colors=colors,
        pattern=str(rng.choice(["plain", "stripes", "checks", "patches"])),
        period_m=float(rng.uniform(0.04, 0.11)),
        patches=draw_waves(rng, 0.12),
    )
