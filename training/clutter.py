"""Pictures of nothing: what stands behind and before people while a network learns to find them.

A simulated person before a plain room teaches that whatever is not wall is a person. Here are colours at several
scales, stripes, boxes, limb-like bars and discs, drawn from a number alone.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.seeds import stream

UInt8 = NDArray[np.uint8]

PICTURES = 192  # different ones; each is shown turned, mirrored, cut and in other colours
DRAWN_PX = 256
GRIDS = (2, 4, 9, 24, 80)  # cells along the side, octave by octave
MOST_SHAPES = 24


def draw_clutter(rng: np.random.Generator, size_px: int) -> UInt8:
    """A picture (N N 3) of no person."""
    picture = _picture(int(rng.integers(PICTURES)))
    side = int(rng.integers(DRAWN_PX // 3, DRAWN_PX + 1))
    top, left = rng.integers(DRAWN_PX - side + 1, size=2)
    cut = np.rot90(picture[top : top + side, left : left + side], int(rng.integers(4)))
    cut = cut[:, :: int(rng.choice((1, -1)))]
    sized = cv2.resize(np.ascontiguousarray(cut), (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    shades = np.arange(256)[:, None] * rng.uniform(0.75, 1.25, 3) + rng.uniform(-30, 30)
    levels = np.clip(shades, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(np.ascontiguousarray(sized[..., rng.permutation(3)]), levels[None]), np.uint8)


def draw_stain(rng: np.random.Generator, size_px: int) -> NDArray[np.bool_]:
    """Where something stands in the way (N N): a bar, a box or a disc, wholly or partly in the picture."""
    stain = np.zeros((size_px, size_px), np.uint8)
    middle, reach = rng.uniform(0.05, 0.95, 2) * size_px, rng.uniform(0.06, 0.3, 2) * size_px
    turn_deg = float(rng.uniform(0, 180))
    if rng.random() < 0.4:
        centre, axes = [int(each) for each in middle], [int(each) for each in reach]
        cv2.ellipse(stain, centre, axes, turn_deg, 0, 360, (1,), -1)
        return stain.astype(bool)
    if rng.random() < 0.3:
        reach = np.array([0.9 * size_px, rng.uniform(0.03, 0.12) * size_px])  # a pole
    corners = cv2.boxPoints((middle.tolist(), (2 * reach).tolist(), turn_deg))
    cv2.fillConvexPoly(stain, np.rint(corners).astype(np.int32), (1,))
    return stain.astype(bool)


@lru_cache(maxsize=PICTURES)
def _picture(number: int) -> UInt8:
    rng = stream(0, "clutter", str(number))
    total = np.zeros((DRAWN_PX, DRAWN_PX, 3), np.float32)
    for octave, cells in enumerate(GRIDS):
        grid = rng.normal(size=(cells, cells, 3)) * rng.uniform(0, 0.5) / (1 + 0.5 * octave)
        grid = 0.3 * grid + grid.mean(axis=2, keepdims=True)
        kind = cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_NEAREST
        total += cv2.resize(grid.astype(np.float32), (DRAWN_PX, DRAWN_PX), interpolation=kind)
    picture = rng.uniform(40, 210, 3).astype(np.float32) * np.exp(total)
    for _ in range(int(rng.integers(MOST_SHAPES + 1))):
        _paint(rng, picture)
    grain = rng.normal(scale=rng.uniform(0, 8), size=picture.shape)
    return np.asarray(np.clip(picture + grain, 0, 255), np.uint8)


def _paint(rng: np.random.Generator, picture: NDArray[np.float32]) -> None:
    """Lay one more shape into a picture, plain, shaded or striped."""
    shape = draw_stain(rng, DRAWN_PX)
    shade = np.ones((DRAWN_PX, DRAWN_PX), np.float32)
    if rng.random() < 0.6:
        v, u = np.mgrid[:DRAWN_PX, :DRAWN_PX] / DRAWN_PX
        along = u * rng.normal() + v * rng.normal()
        wave = np.sin(2 * np.pi * along * rng.uniform(0.3, 25))
        shade = (1 + rng.uniform(0.1, 0.5) * (np.sign(wave) if rng.random() < 0.4 else wave)).astype(
            np.float32
        )
    color = rng.uniform(10, 240) + rng.normal(scale=rng.choice((10, 50)), size=3)  # most things are greyish
    picture[shape] = color * shade[shape][:, None]
