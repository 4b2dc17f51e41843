"""What surfaces are made of: solid textures, colours as functions of a point, sharp at any resolution."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
UPRIGHT = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
WHITE = np.ones((2, 3))


class Pattern(IntEnum):
    """How a material's two colours alternate; `material_kernels` draws them."""

    PLAIN = 0
    PLASTER = 1
    WOOD = 2
    TILES = 3
    CARPET = 4
    POSTER = 5
    STRIPES = 6
    CHECKS = 7


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Material:
    """One solid texture; the colour of a surface is the product of its texture and its vertex albedo.

    Attributes:
        colors: (2 3) linear RGB between which the pattern alternates.
        scale_m: size of one element: width of a plank or a stripe, side of a tile, size of a blotch.
        contrast: strength of what is irregular: grain, weave, blotches, differences from plank to plank.
        axes: (2 3) orthonormal; planks run along the first, stripes and planks lie side by side along the
            second.
        seed: tells two materials of one pattern apart.
        gloss: share of light that is mirrored towards the camera; 0 is matt.
        glow: linear intensity that the surface sends out by itself, times its colour.
    """

    pattern: Pattern
    colors: Float64
    scale_m: float = 0.1
    contrast: float = 0.1
    axes: Float64
    seed: int = 0
    gloss: float = 0.0
    glow: float = 0.0


def plain(*, contrast: float = 0.0, gloss: float = 0.0) -> Material:
    """The vertex albedo as it is, or with a fine weave."""
    return Material(pattern=Pattern.PLAIN, colors=WHITE, axes=UPRIGHT, contrast=contrast, gloss=gloss)


def glowing(color: Float64, glow: float) -> Material:
    """A lamp or a bright sky."""
    return Material(
        pattern=Pattern.PLAIN, colors=np.array([color, color]), axes=UPRIGHT, contrast=0.0, glow=glow
    )


def muted_color(rng: np.random.Generator, darkest: float, lightest: float) -> Float64:
    """A linear RGB colour as paints and covers have them: seldom pure."""
    return rng.uniform(darkest, lightest) * rng.uniform(0.4, 1.0, 3)


def material_table(materials: tuple[Material, ...]) -> NDArray[np.float32]:
    """Rows (M 18) for the kernels: pattern, scale, contrast, seed, gloss, glow, colors, axes."""
    rows = [
        [m.pattern, m.scale_m, m.contrast, m.seed, m.gloss, m.glow, *m.colors.ravel(), *m.axes.ravel()]
        for m in materials
    ]
    return np.array(rows, dtype=np.float32).reshape(-1, 18)


def draw_floor(rng: np.random.Generator) -> Material:
    """Wooden planks, tiles or carpet, in the plane y = const."""
    kind = Pattern(int(rng.choice([Pattern.WOOD, Pattern.WOOD, Pattern.TILES, Pattern.CARPET])))
    turned = bool(rng.integers(2))
    axes = np.array([[0.0, 0, 1], [1, 0, 0]] if turned else [[1.0, 0, 0], [0, 0, 1]])
    if kind == Pattern.WOOD:
        light = draw_wood_colors(rng)
        return _drawn(rng, kind, light, axes, (float(rng.uniform(0.08, 0.16)), 0.6, 0.06))
    if kind == Pattern.TILES:
        tile = rng.uniform(0.25, 0.65) * rng.uniform(0.88, 1.0, 3)
        grout = tile * rng.uniform(0.45, 0.75)
        return _drawn(rng, kind, np.array([tile, grout]), axes, (float(rng.uniform(0.25, 0.5)), 0.12, 0.10))
    dark = rng.uniform(0.05, 0.30) * rng.uniform(0.7, 1.0, 3)
    return _drawn(rng, kind, np.array([dark, dark * rng.uniform(1.3, 1.9)]), axes, (0.05, 0.5, 0.0))


def draw_wall(rng: np.random.Generator) -> Material:
    """Painted plaster: mostly pale, seldom strong."""
    paint = rng.uniform(0.45, 0.80) * (1 - rng.uniform(0.0, 0.30) * rng.uniform(0.0, 1.0, 3))
    if rng.uniform() < 0.2:
        paint = paint * rng.uniform(0.35, 0.9, 3)
    return _drawn(rng, Pattern.PLASTER, np.array([paint, paint]), UPRIGHT, (0.25, 0.02, 0.0))


def draw_ceiling(rng: np.random.Generator) -> Material:
    """White plaster."""
    return _drawn(rng, Pattern.PLASTER, np.full((2, 3), rng.uniform(0.72, 0.85)), UPRIGHT, (0.3, 0.01, 0.0))


def draw_board(rng: np.random.Generator) -> Material:
    """What furniture is made of: wood or painted board."""
    if rng.uniform() < 0.6:
        axes = np.array([[0.0, 1, 0], [1, 0, 0]] if rng.integers(2) else [[1.0, 0, 0], [0, 1, 0]])
        return _drawn(rng, Pattern.WOOD, draw_wood_colors(rng), axes, (0.45, 0.35, 0.05))
    paint = rng.uniform(0.04, 0.7) * rng.uniform(0.6, 1.0, 3)
    return _drawn(rng, Pattern.PLASTER, np.array([paint, paint]), UPRIGHT, (0.2, 0.03, 0.05))


def draw_poster(rng: np.random.Generator, axes: Float64) -> Material:
    """A print: blots of two colours and what lies between."""
    light, dark = rng.uniform(0.3, 0.75), rng.uniform(0.02, 0.2)
    colors = np.array([[light], [dark]]) * rng.uniform(0.45, 1.0, (2, 3))
    return _drawn(rng, Pattern.POSTER, colors, axes, (float(rng.uniform(0.1, 0.35)), 1.0, 0.03))


def draw_wood_colors(rng: np.random.Generator) -> Float64:
    """A lighter and a darker brown."""
    tone = rng.uniform(0, 1)
    light = (1 - tone) * np.array([0.16, 0.075, 0.035]) + tone * np.array([0.55, 0.38, 0.22])
    return np.array([light, light * rng.uniform(0.55, 0.75)])


def _drawn(
    rng: np.random.Generator,
    pattern: Pattern,
    colors: Float64,
    axes: Float64,
    measures: tuple[float, float, float],
) -> Material:
    scale_m, contrast, gloss = measures
    return Material(
        pattern=pattern,
        colors=np.clip(colors, 0.0, 0.9),
        scale_m=scale_m,
        contrast=contrast,
        axes=axes,
        seed=int(rng.integers(1 << 20)),
        gloss=gloss,
    )
