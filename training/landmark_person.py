"""Where the person of a picture is, from Landmark-Net's own surface maps.

The whole picture goes through the network at a few sizes, so that small and large people come near the size of its
training. The largest stretch of body is cut out and looked at again, until the square stays where it is.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.person_square import Square, square_around
from training.landmark_reading import Reading
from training.person import Box

Read = Callable[[NDArray[np.uint8]], list[Reading]]
Bool = NDArray[np.bool_]

COARSE = (1.0, 2.0)  # longer side of the whole picture, in sides of the network's square
MULTIPLE = 32
BODY = 0.5  # probability from which a pixel is somebody's
LEAST_SHARE = 0.004  # of the picture: what is smaller is no person to look at
BESIDE = 0.3  # of the largest person's pixels: so large is another one worth telling of
ROUNDS = 3
SETTLED = 0.05  # of the square's side: moves of less end the search


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The square of the largest person, None where there is nobody, and how many people were seen."""

    square: Square | None
    people: int


def find_people(read: Read, image: NDArray[np.uint8], size_px: int) -> Found:
    """Find the largest person of a picture (H W 3) RGB.

    Args:
        read: pictures (B H W 3), whose sides are multiples of 32 px, to readings.
        size_px: side of the network's square.
    """
    pieces = _pieces(_coarse_body(read, image, size_px))
    if not pieces:
        return Found(square=None, people=0)
    largest = max(pieces, key=lambda piece: piece[0])
    people = sum(area >= BESIDE * largest[0] for area, _ in pieces)
    return Found(square=_settled(read, image, square_of(largest[1]), size_px), people=people)


def square_of(box: Box) -> Square:
    """The square around a box, with the margins of the network's training."""
    return square_around(*box)


def _coarse_body(read: Read, image: NDArray[np.uint8], size_px: int) -> Bool:
    """Body or not, of the whole picture, at the finest of the sizes; the surest of all sizes counts."""
    import cv2

    height, width = image.shape[:2]
    maps = []
    for sides in COARSE:
        factor = min(1.0, sides * size_px / max(height, width))
        small = cv2.resize(
            image,
            (max(1, round(width * factor)), max(1, round(height * factor))),
            interpolation=cv2.INTER_AREA,
        )
        padded = np.zeros((*(-(-each // MULTIPLE) * MULTIPLE for each in small.shape[:2]), 3), np.uint8)
        padded[: small.shape[0], : small.shape[1]] = small
        maps.append(read(padded[None])[0].body[: small.shape[0], : small.shape[1]])
    shape = maps[-1].shape[::-1]
    body = np.max([cv2.resize(each, shape, interpolation=cv2.INTER_LINEAR) for each in maps], axis=0)
    # In shares of the picture's sides, so that boxes can be told in its pixels.
    return np.asarray(cv2.resize(body, (width, height), interpolation=cv2.INTER_LINEAR) > BODY)


def _pieces(body: Bool) -> list[tuple[int, Box]]:
    """Area and box of each connected stretch of body that is large enough."""
    import cv2

    count, _, stats, _ = cv2.connectedComponentsWithStats(body.astype(np.uint8), connectivity=8)
    return [
        (int(area), (float(left), float(top), float(left + width), float(top + height)))
        for left, top, width, height, area in stats[1:count]
        if area >= LEAST_SHARE * body.size
    ]


def _settled(read: Read, image: NDArray[np.uint8], square: Square, size_px: int) -> Square:
    """The square around the person that the network sees in the square, again and again."""
    from pipeline.cameras import crop_resize

    for _ in range(ROUNDS):
        cut, _ = crop_resize({"image": image}, np.eye(3), square, size_px)
        pieces = _pieces(read(cut["image"][None])[0].body > BODY)
        if not pieces:
            return square
        # The one in the middle: somebody larger may reach in from the side.
        middle = size_px / 2
        _, (left, top, right, bottom) = min(
            pieces, key=lambda piece: _distance(piece[1], middle) - 0.2 * piece[0] ** 0.5
        )
        u0, v0, side = square
        scale = side / size_px
        moved = square_of((u0 + left * scale, v0 + top * scale, u0 + right * scale, v0 + bottom * scale))
        change = max(abs(a - b) for a, b in zip(moved, square, strict=True))
        square = moved
        if change < SETTLED * side:
            break
    return square


def _distance(box: Box, middle: float) -> float:
    """From a box to the middle of a square, px."""
    left, top, right, bottom = box
    away = max(left - middle, 0.0, middle - right), max(top - middle, 0.0, middle - bottom)
    return float(np.hypot(*away))
