"""What a simulated person wears: kinds, lengths, ease, patterns and colours, drawn apart from the person."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

TOPS = ("t-shirt", "shirt", "hoodie")
BOTTOMS = ("trousers", "shorts")
PATTERNS = ("plain", "stripes", "checks", "patches", "print")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cloth:
    """What a garment is made of and how it looks.

    Attributes:
        colors: (2 3) linear RGB in [0, 1] between which the pattern alternates.
        pattern: one of `PATTERNS`.
        period_m: of the pattern.
        tilt_rad: of stripes and checks; 0 is level.
        infrared: (2,) reflectance near 850 nm of the two colours; dyes that look black may be bright there.
        seed: of blots, weave and print.
    """

    colors: Float64
    pattern: str
    period_m: float
    tilt_rad: float
    infrared: Float64
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Garment:
    """One piece of clothing: where it ends, how far it stands off, how it creases.

    Attributes:
        kind: one of `TOPS` or `BOTTOMS`.
        limb: where sleeve or leg ends: 0 shoulder or hip, 1 elbow or knee, 2 wrist or ankle.
        hem: of a top, where between the crotch (0) and the navel (1) it ends.
        neck_m: how far the collar lies below the root of the neck.
        ease_m: stand-off where the cloth rests, and at the free edges; a band of a hoodie ends closer.
        gathered: whether edges are drawn in by a band.
        creasing: factor on the height of folds.
        coarseness: factor on the distance of folds; thick cloth has few and wide ones.
        seed: of the folds.
    """

    kind: str
    limb: float
    hem: float
    neck_m: float
    ease_m: tuple[float, float]
    gathered: bool
    creasing: float
    coarseness: float
    seed: int
    cloth: Cloth


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outfit:
    """All that is worn.

    Attributes:
        shoe_rgb, sole_rgb: (3,) linear, in [0, 1].
        shoe_infrared, sole_infrared: reflectance near 850 nm.
        collar: how high the shoes reach: 0 below the ankle, 1 above it.
    """

    top: Garment
    bottom: Garment
    shoe_rgb: Float64
    sole_rgb: Float64
    shoe_infrared: float
    sole_infrared: float
    collar: float


def draw_outfit(rng: np.random.Generator) -> Outfit:
    """Draw a top, trousers or shorts, and shoes."""
    white = rng.uniform() < 0.5
    return Outfit(
        top=_draw_top(rng),
        bottom=_draw_bottom(rng),
        shoe_rgb=_draw_color(rng),
        sole_rgb=np.full(3, rng.uniform(0.55, 0.8) if white else rng.uniform(0.02, 0.12)),
        shoe_infrared=float(rng.uniform(0.15, 0.7)),
        sole_infrared=float(rng.uniform(0.5, 0.8) if white else rng.uniform(0.05, 0.2)),
        collar=float(rng.choice([0.0, 0.0, 1.0]) + rng.uniform(-0.1, 0.1)),
    )


def _draw_top(rng: np.random.Generator) -> Garment:
    kind = str(rng.choice(TOPS, p=(0.45, 0.30, 0.25)))
    thick = kind == "hoodie"
    rest_m = rng.uniform(0.016, 0.022) if thick else rng.uniform(0.009, 0.014)
    return Garment(
        kind=kind,
        limb=float(rng.uniform(0.55, 0.85) if kind == "t-shirt" else rng.uniform(1.86, 1.96)),
        hem=float(rng.uniform(0.15, 0.45)),
        neck_m=float(rng.uniform(-0.012, 0.0) if thick else rng.uniform(-0.004, 0.018)),
        ease_m=(float(rest_m), float(rest_m + rng.uniform(0.010, 0.022))),
        gathered=thick,
        creasing=float(rng.uniform(0.8, 1.25)),
        coarseness=float(rng.uniform(1.35, 1.6) if thick else rng.uniform(0.85, 1.15)),
        seed=int(rng.integers(1 << 31)),
        cloth=_draw_cloth(rng, (0.34, 0.22, 0.14, 0.10, 0.20)),
    )


def _draw_bottom(rng: np.random.Generator) -> Garment:
    kind = str(rng.choice(BOTTOMS, p=(0.78, 0.22)))
    rest_m = rng.uniform(0.007, 0.011)
    loose_m = rng.uniform(0.008, 0.024)
    return Garment(
        kind=kind,
        limb=float(rng.uniform(0.72, 0.98) if kind == "shorts" else rng.uniform(1.90, 1.99)),
        hem=0.0,
        neck_m=0.0,
        ease_m=(float(rest_m), float(rest_m + loose_m)),
        gathered=False,
        creasing=float(rng.uniform(0.75, 1.2)),
        coarseness=float(rng.uniform(0.9, 1.3)),
        seed=int(rng.integers(1 << 31)),
        cloth=_draw_cloth(rng, (0.82, 0.04, 0.07, 0.07, 0.0)),
    )


def _draw_cloth(rng: np.random.Generator, shares: tuple[float, ...]) -> Cloth:
    colors = np.stack([_draw_color(rng), _draw_color(rng)])
    # Cotton is bright near 850 nm whatever its dye, except for some blacks (carbon, sulphur).
    dark = colors.mean(axis=1) < 0.06
    infrared = np.where(
        dark & (rng.uniform(size=2) < 0.6), rng.uniform(0.04, 0.2, 2), rng.uniform(0.4, 0.85, 2)
    )
    return Cloth(
        colors=colors,
        pattern=str(rng.choice(PATTERNS, p=shares)),
        period_m=float(rng.uniform(0.035, 0.11)),
        tilt_rad=float(rng.choice([0.0, 0.0, 0.0, np.pi / 2, np.pi / 4])),
        infrared=infrared,
        seed=int(rng.integers(1 << 31)),
    )


def _draw_color(rng: np.random.Generator) -> Float64:
    """Linear RGB as clothes have it: many dark and grey, some pale, some strong."""
    kind = rng.uniform()
    if kind < 0.30:
        return np.asarray(rng.uniform(0.012, 0.06) * rng.uniform(0.8, 1.2, 3))
    if kind < 0.50:
        return np.asarray(rng.uniform(0.10, 0.75) * rng.uniform(0.92, 1.06, 3))
    hue = rng.uniform(0, 2 * np.pi) + np.array([0.0, -2 * np.pi / 3, 2 * np.pi / 3])
    chroma, value = rng.beta(1.6, 2.2), rng.uniform(0.13, 0.62) ** 2
    return np.asarray(np.clip(value * (1 + chroma * np.cos(hue)), 0.006, 0.85))
