"""What stands behind a rendered subject: plain, shaded, cluttered or a picture; arrays alone.

Clutter is the dead leaves model (Lee, Mumford and Huang, "Occlusion models for natural images", IJCV 2001):
opaque shapes of many sizes upon each other have the edges and the spectrum of photographs.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.color_space import linear_from_srgb

Float32 = NDArray[np.float32]

LEAVES = 80  # shapes of a cluttered background
SMALLEST, LARGEST = 0.03, 0.5  # of them, as a share of the image's longer side


@dataclass(frozen=True, kw_only=True, slots=True)
class Background:
    """One background, before it has a size in pixels.

    Attributes:
        colors: (3 3) linear RGB: top, bottom, and what clutter adds.
        blur: standard deviation of clutter's or the picture's blur, as a share of the longer side.
        seed: of clutter; the same seed gives the same shapes.
        picture: (H W 3) uint8 sRGB, for the kind `picture` alone; cut to the image's aspect ratio.
    """

    kind: Literal["plain", "gradient", "clutter", "picture"]
    colors: Float32
    blur: float = 0.0
    seed: int = 0
    picture: NDArray[np.uint8] | None = None


def paint_background(background: Background, height: int, width: int) -> Float32:
    """Linear RGB (H W 3) of a background, in [0, 1]."""
    top, bottom, _ = background.colors
    if background.kind == "plain":
        return np.broadcast_to(top, (height, width, 3)).astype(np.float32)
    if background.kind == "gradient":
        down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
        return np.asarray(np.broadcast_to(top + down * (bottom - top), (height, width, 3)), dtype=np.float32)
    if background.kind == "clutter":
        image = _dead_leaves(background, height, width)
    else:
        if background.picture is None:
            raise ValueError("renderers.backgrounds: a background of kind picture must hold one, holds None.")
        image = _cut(background.picture, height, width)
    sigma_px = background.blur * max(height, width)
    if sigma_px > 0:
        from scipy.ndimage import gaussian_filter

        image = gaussian_filter(image, (sigma_px, sigma_px, 0), mode="nearest")
    return np.asarray(np.clip(image, 0, 1), dtype=np.float32)


def _dead_leaves(background: Background, height: int, width: int) -> Float32:
    """Turned ellipses and boxes, each of one shade that varies across it, nearer ones upon farther ones."""
    rng = np.random.Generator(np.random.PCG64(background.seed))
    side = max(height, width)
    v, u = np.mgrid[:height, :width].astype(np.float32) / side
    image = np.zeros((height, width, 3), dtype=np.float32)
    image[:] = background.colors[0]
    sizes = np.sort(_radii(rng, LEAVES))[::-1]  # small ones last, or the large ones hide them all
    for size in sizes:
        u0, v0, turn, aspect = rng.uniform([0, 0, 0, 0.3], [width / side, height / side, np.pi, 1.0])
        across = np.cos(turn) * (u - u0) + np.sin(turn) * (v - v0)
        along = (np.cos(turn) * (v - v0) - np.sin(turn) * (u - u0)) / aspect
        inside = np.maximum(np.abs(across), np.abs(along)) < size
        if rng.random() < 0.5:
            inside = across**2 + along**2 < size**2
        mixed = rng.dirichlet([1, 1, 1]) @ background.colors * rng.uniform(0.4, 1.4)
        waves = 1 + rng.uniform(0, 0.3) * np.sin(across * rng.uniform(5, 300) + rng.uniform(0, 6))
        image[inside] = (mixed * waves[inside, None] * (1 + along[inside, None] * rng.uniform(-1, 1))).astype(
            np.float32
        )
    return image


def _radii(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Radii r of density r^-2: many small shapes, and large ones enough to hide the plain ground."""
    share = rng.random(count)
    return np.asarray(1 / (1 / SMALLEST + share * (1 / LARGEST - 1 / SMALLEST)))


def _cut(picture: NDArray[np.uint8], height: int, width: int) -> Float32:
    """The middle of a picture in the image's aspect ratio and size."""
    scale = min(picture.shape[0] / height, picture.shape[1] / width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - columns) // 2
    linear = linear_from_srgb(picture[top : top + rows, left : left + columns])
    if scale > 1:  # average over the footprint first, else the picture would alias
        from scipy.ndimage import gaussian_filter

        linear = gaussian_filter(linear, (0.5 * scale, 0.5 * scale, 0), mode="nearest")
    factors = (height / rows, width / columns, 1)
    from scipy.ndimage import zoom

    return np.asarray(zoom(linear, factors, order=1, mode="nearest", grid_mode=True), dtype=np.float32)
