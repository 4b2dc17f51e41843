"""What Landmark-Net sees of a sample: the person's square at the network's size, and, while it trains, the world.

Stored samples show one whole person, half of them before black. Pictures show people cut off by the border, behind
things, beside others, turned, small, grey, blurred and compressed, or nobody at all; so each is drawn anew here from
seed, epoch and sample.
"""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.clutter import draw_clutter, draw_stain
from training.made_targets import UNKNOWN_PART
from training.networks.landmark_net import STRIDE

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Sample = Mapping[str, Any]

PLAIN = 0.15  # share of the canvases of one colour, half of them black
EMPTY = 0.06  # share of the pictures without a person
BESIDE = 0.15  # with somebody else beside
BORDERED = 0.1  # with the picture's border within the square, black beyond it as crops are
CLUTTERED = 0.5  # of the samples with a background of their own, that get another
TURNED, TURN_DEG = 0.6, 30.0  # Sun et al., ECCV 2018: share of the pictures, and 2 standard deviations
ZOOM = (0.75, 1.3)
CLOSE, CLOSE_ZOOM = 0.2, (1.3, 2.2)  # share that shows a part of the person, and how near
SHIFT = 0.10  # of the side, at most; twice that in close views
HIDDEN, MOST_STAINS = 0.35, 2
GREY, BLURRED, NOISY, PACKED = 0.1, 0.3, 0.3, 0.4  # shares


def landmark_view(sample: Sample, rng: np.random.Generator | None, *, size_px: int) -> dict[str, Any]:
    """A sample as the network takes it.

    Args:
        sample: `image` (N N 3), `landmark_points` (27 3) and `dense_map` (N N 3) of `training.made_targets`.
        rng: draws the picture's circumstances; None shows the sample's own square plainly.

    Returns:
        `image` (S S 3) uint8; `landmark_points` (27 3) in its pixels, known (1) or not, also beyond the border;
        `dense_map` (S/4 S/4 3) at the middles of the maps' cells; `person` bool, False for a picture of nobody.
    """
    side = sample["image"].shape[0]
    if rng is None:
        affine = _affine(side, size_px)
        shrunk = cv2.warpAffine(sample["image"], affine, (size_px, size_px), flags=cv2.INTER_LINEAR)
        return _view(
            np.asarray(shrunk, np.uint8),
            _moved(sample["landmark_points"], affine),
            _cells(sample, affine, size_px),
            True,
        )
    image = _draw_canvas(rng, size_px)
    dense = np.zeros((size_px // STRIDE, size_px // STRIDE, 3), np.float32)
    points = np.array(sample["landmark_points"], np.float32)
    person = bool(rng.random() >= EMPTY)
    if person:
        affine = _draw_affine(rng, side, size_px)
        points = _moved(points, affine)
        if rng.random() < BESIDE:
            _lay(rng, (image, dense), sample, _beside(rng, affine, size_px), always_cut=True)
        _lay(rng, (image, dense), sample, affine, always_cut=False)
    else:
        points[:] = (-size_px, -size_px, 1)  # known to be nowhere in it
    if rng.random() < HIDDEN:
        _hide(rng, image, dense)
    image = _photographed(rng, image)
    if rng.random() < BORDERED:
        _cut_off(rng, image, dense)
    return _view(image, points, dense, person)


def _draw_canvas(rng: np.random.Generator, size_px: int) -> NDArray[np.uint8]:
    if rng.random() >= PLAIN:
        return draw_clutter(rng, size_px)
    color = rng.integers(256, size=3) * rng.integers(2)
    return np.full((size_px, size_px, 3), color, np.uint8)


def _view(image: NDArray[np.uint8], points: Float32, dense: Float32, person: bool) -> dict[str, Any]:
    return {
        "image": image,
        "landmark_points": points.astype(np.float32),
        "dense_map": dense,
        "person": np.bool_(person),
    }


def _affine(side: int, size_px: int, *, zoom: float = 1.0, turn_rad: float = 0.0) -> Float64:
    """Pixels of a square picture to pixels of the view (2 3): middle to middle."""
    factor = zoom * size_px / side
    linear = factor * np.array([[np.cos(turn_rad), -np.sin(turn_rad)], [np.sin(turn_rad), np.cos(turn_rad)]])
    middle = np.full(2, (size_px - 1) / 2) - linear @ np.full(2, (side - 1) / 2)
    return np.column_stack([linear, middle])


def _draw_affine(rng: np.random.Generator, side: int, size_px: int) -> Float64:
    close = rng.random() < CLOSE
    zoom = float(np.exp(rng.uniform(*np.log(CLOSE_ZOOM if close else ZOOM))))
    turn_deg = np.clip(rng.normal(scale=TURN_DEG / 2), -TURN_DEG, TURN_DEG) * (rng.random() < TURNED)
    affine = _affine(side, size_px, zoom=zoom, turn_rad=float(np.radians(turn_deg)))
    affine[:, 2] += rng.uniform(-1, 1, 2) * SHIFT * size_px * (2 * zoom if close else 1)
    return affine


def _beside(rng: np.random.Generator, affine: Float64, size_px: int) -> Float64:
    """Where somebody else stands: smaller, or as large, and to one side."""
    middle = np.full(2, (size_px - 1) / 2)
    factor = rng.uniform(0.5, 1.0)
    other = affine.copy()
    other[:, :2] *= factor
    other[:, 2] = factor * (affine[:, 2] - middle) + middle
    other[0, 2] += rng.choice((-1, 1)) * rng.uniform(0.35, 0.6) * size_px
    other[1, 2] += rng.uniform(-0.15, 0.15) * size_px
    return other


def _moved(points: Float32, affine: Float64) -> Float32:
    moved = np.array(points, np.float32)
    moved[:, :2] = points[:, :2] @ affine[:, :2].T + affine[:, 2]
    return moved


def _cells(sample: Sample, affine: Float64, size_px: int) -> Float32:
    """The surface map (S/4 S/4 3) at the middles of the maps' cells."""
    cells = size_px // STRIDE
    from_cells = affine / STRIDE
    from_cells[:, 2] -= (STRIDE - 1) / 2 / STRIDE
    return np.asarray(
        cv2.warpAffine(sample["dense_map"], from_cells, (cells, cells), flags=cv2.INTER_NEAREST), np.float32
    )


def _lay(
    rng: np.random.Generator,
    canvas: tuple[NDArray[np.uint8], Float32],
    sample: Sample,
    affine: Float64,
    *,
    always_cut: bool,
) -> None:
    """Put the person, or the whole sample with its background, over what is there."""
    image, dense = canvas
    size_px = len(image)
    part = sample["dense_map"][..., 0]
    known = not (part == UNKNOWN_PART).any()
    black = known and not sample["image"][part == 0].any()
    cut_out = known and (always_cut or black or rng.random() < CLUTTERED)
    shown = (part > 0 if cut_out else np.ones_like(part)).astype(np.float32)
    alpha = cv2.warpAffine(shown, affine, (size_px, size_px), flags=cv2.INTER_LINEAR)
    # The outermost pixels mix with the old background: half of them goes.
    alpha = np.clip(1.5 * alpha - 0.5, 0, 1)[..., None]
    over = cv2.warpAffine(sample["image"], affine, (size_px, size_px), flags=cv2.INTER_LINEAR)
    image[:] = np.rint(alpha * over + (1 - alpha) * image).astype(np.uint8)
    fresh = _cells(sample, affine, size_px)
    here = fresh[..., 0] > 0
    if not cut_out:
        here |= alpha[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE, 0] > 0.5
    dense[here] = fresh[here]


def _hide(rng: np.random.Generator, image: NDArray[np.uint8], dense: Float32) -> None:
    """Put things before the person."""
    for _ in range(int(rng.integers(1, MOST_STAINS + 1))):
        stain = draw_stain(rng, len(image))
        image[stain] = draw_clutter(rng, len(image))[stain]
        dense[stain[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]] = 0


def _cut_off(rng: np.random.Generator, image: NDArray[np.uint8], dense: Float32) -> None:
    """Let the picture end within the square, on one side."""
    cells = int(rng.integers(1, max(2, len(dense) // 3)))
    turns = int(rng.integers(4))
    np.rot90(image, turns)[: cells * STRIDE] = 0
    np.rot90(dense, turns)[:cells] = 0


def _photographed(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture in another exposure, and now and then grey, out of focus, noisy or compressed."""
    gamma, gain, lift = np.exp(rng.normal(scale=0.3)), rng.uniform(0.7, 1.3), rng.uniform(-20, 20)
    levels = np.clip(255 * (np.arange(256) / 255) ** gamma * gain + lift, 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(image, levels), np.uint8)
    grey, blurred, noisy, packed = rng.random(4) < (GREY, BLURRED, NOISY, PACKED)
    if grey:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if blurred:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.6))), np.uint8)
    if noisy:
        grain = rng.normal(scale=rng.uniform(2, 14), size=image.shape)
        image = np.clip(np.rint(image + grain), 0, 255).astype(np.uint8)
    if packed:
        _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return image
