"""How a field of one frame becomes a tile: the painter's record, its colour bars, its size."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.pictures import Picture, depth_picture, signed_picture
from tasks.report.data import ColourScale, Tile

TILE_PX = 160

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Painter:
    """A row of a contact sheet.

    Attributes:
        paint: from a frame's fields to its tile; None where the frame has nothing to show.
        note: one sentence on how to read the tiles, or nothing.
    """

    paint: Callable[[Row], Tile | None]
    scale: ColourScale | None = None
    note: str = ""


Painters = dict[str, Painter]


def small(picture: Picture) -> Picture:
    """The picture at the height of a tile, and as much narrower."""
    import cv2

    height, width = picture.shape[:2]
    if height <= TILE_PX:
        return picture
    size_wh = (round(width * TILE_PX / height), TILE_PX)
    return np.asarray(cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def small_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask (H W) likewise: True where most of a tile's pixel is."""
    return np.asarray(small(mask.astype(np.uint8) * np.uint8(255)) > 127)


def small_px(px: NDArray[Any], side_px: int) -> NDArray[np.float32]:
    """Where pixels (N 2) of a square picture come to lie in its tile."""
    scale = min(TILE_PX / side_px, 1.0)
    return np.asarray((px + 0.5) * scale - 0.5, dtype=np.float32)


def signed_scale(limit: float, unit: str) -> ColourScale:
    """The bar of `signed_picture`, whose limit is here in the unit that stands beside it."""
    return ColourScale(low=-limit, high=limit, unit=unit, colours=_bar(-1.0))


def length_scale(limit: float, unit: str) -> ColourScale:
    """The bar of `length_picture`, likewise."""
    return ColourScale(low=0.0, high=limit, unit=unit, colours=_bar(0.0))


def near_far_scale() -> ColourScale:
    """Each tile of depth has its own range, which stands under it; the bar says which end is which."""
    values = np.linspace(0, 1, 64, dtype=np.float32)[None]
    colours, _ = depth_picture(values, np.ones_like(values, dtype=bool))
    return ColourScale(low="near", high="far", unit="1", colours=colours[0])


def tinted(image: Picture, where: NDArray[np.bool_], colour: tuple[int, int, int]) -> Picture:
    """The image with half its colour taken from `colour` where (H W) is True."""
    mixed = (image[where].astype(np.uint16) + np.array(colour, np.uint16)) // 2
    drawn = image.copy()
    drawn[where] = mixed.astype(np.uint8)
    return drawn


def outlined(image: Picture, mask: NDArray[np.bool_], colour: tuple[int, int, int]) -> Picture:
    """The image with the outline of a mask (H W)."""
    import cv2

    drawn = np.ascontiguousarray(image).copy()
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, found, -1, colour, 1)
    return drawn


def _bar(low: float) -> Picture:
    values = np.linspace(low, 1, 64, dtype=np.float32)[None]
    return np.asarray(signed_picture(values, np.ones_like(values, dtype=bool), 1.0)[0], dtype=np.uint8)
