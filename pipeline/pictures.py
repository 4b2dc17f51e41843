"""Turn fields into pictures for reports: arrays in, (H W 3) uint8 RGB out.

Every pixel outside the mask is BACKGROUND, and no value inside it is ever drawn in that grey.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import Bool, Float32

Picture = NDArray[np.uint8]

BACKGROUND = (128, 128, 128)  # mid grey, which none of the maps below passes through
LIGHT_CAM = np.array([-0.48, -0.6, -0.64])  # unit, towards a lamp over the camera's left shoulder
CLAY = np.array([255.0, 236.0, 214.0])  # tinted, so that no shade of it is grey
GOLDEN = 0.618034  # of a turn: the hues of many labels in a row stay apart
LABEL_PX = 18  # height of the strip under a tile


def depth_picture(depth_m: Float32, mask: Bool) -> tuple[Picture, tuple[float, float]]:
    """Depth in the viridis map, near bright and far dark.

    Args:
        depth_m: (H W); never read outside the mask.

    Returns:
        The picture and the (nearest, farthest) depth in metres that the ends of the map stand for: the 1st
        and 99th percentile, so that a few stray pixels do not flatten the rest; (0, 0) for an empty mask.
    """
    import cv2

    if not mask.any():
        return _on_background(np.zeros((*mask.shape, 3), np.uint8), mask), (0.0, 0.0)
    near_m, far_m = (float(value) for value in np.percentile(depth_m[mask], (1, 99)))
    closeness = (far_m - np.where(mask, depth_m, far_m)) / max(far_m - near_m, 1e-6)
    levels = np.rint(255 * np.clip(closeness, 0, 1)).astype(np.uint8)
    bgr = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)
    return _on_background(bgr[..., ::-1], mask), (near_m, far_m)


def signed_picture(value_m: Float32, mask: Bool, limit_m: float) -> Picture:
    """A signed field (H W): blue below zero, white at zero, red above; full colour from limit_m on.

    Raises:
        ValueError: if the limit is not positive.
    """
    if not limit_m > 0:
        raise ValueError(f"signed_picture: limit_m must be positive, is {limit_m} m")
    strength = np.clip(np.where(mask, value_m, 0) / limit_m, -1, 1)[..., None]
    red, white, blue = np.array([178.0, 24, 43]), np.array([247.0, 247, 247]), np.array([33.0, 102, 172])
    end = np.where(strength > 0, red, blue)
    return _on_background(_to_bytes(white + np.abs(strength) * (end - white)), mask)


def normal_picture(normal: Float32, mask: Bool) -> Picture:
    """Normals (H W 3) as ((n_x + 1) / 2, (n_y + 1) / 2, (1 - n_z) / 2): facing the camera is light blue.

    Pixels of the mask that have no normal (0) come out in the background's grey by themselves.
    """
    colours = (np.where(mask[..., None], normal, 0) * [1, 1, -1] + 1) / 2
    return _on_background(_to_bytes(255 * colours), mask)


def shaded_picture(normal: Float32, mask: Bool) -> Picture:
    """Clay under one lamp (Lambert plus a little ambient), the view in which wrinkles show best.

    Pixels of the mask that have no normal (0) are background too.
    """
    clean = np.where(mask[..., None], normal, 0)
    lambert = np.clip(clean @ LIGHT_CAM, 0, 1)
    shades = _to_bytes((0.2 + 0.8 * lambert[..., None]) * CLAY)
    return _on_background(shades, clean.any(axis=-1))


def mask_picture(mask: Bool) -> Picture:
    """The mask (H W) in white."""
    return _on_background(np.full((*mask.shape, 3), 255, np.uint8), mask)


def part_picture(part: NDArray[np.uint8]) -> Picture:
    """Labels (H W) counted from 1, each in a colour of its own; neighbours in number differ most."""
    turn = 2 * np.pi * GOLDEN * np.arange(256)[:, None]
    palette = _to_bytes(140 + 110 * np.cos(turn + np.array([0.0, 2.1, 4.2])))
    return _on_background(palette[part], part > 0)


def chart_picture(part: NDArray[np.uint8], uv: Float32) -> Picture:
    """Charts (H W) counted from 1 and their coordinates (H W 2) in [0, 1]: U is red, V green, the part blue."""
    # Blue in steps of 10 never meets the background's grey.
    colours = np.concatenate([255.0 * uv, 10.0 * part[..., None]], axis=-1)
    return _on_background(_to_bytes(colours), part > 0)


def volume_picture(inside: Bool) -> Picture:
    """A volume (X Y Z) from its front, the -z side: nearest bright, as in `depth_picture`."""
    seen = inside.any(axis=2).T
    first = np.argmax(inside, axis=2).T.astype(np.float32)
    return depth_picture(first, seen)[0]


def length_picture(vectors: Float32, mask: Bool, limit: float) -> Picture:
    """Lengths of vectors (H W 3): white is 0, full colour from `limit` on.

    Raises:
        ValueError: if the limit is not positive.
    """
    return signed_picture(np.linalg.norm(vectors, axis=-1), mask, limit)


def contact_sheet(tiles: Sequence[Picture], columns: int, tile_px: int, labels: Sequence[str]) -> Picture:
    """Lay pictures out in rows, each fitted into a square of tile_px with its label in a strip below.

    Args:
        tiles: (H W 3) uint8, of any sizes; the shape of each is kept.
        labels: one ASCII text per tile, shrunk where it is wider than the tile.

    Raises:
        ValueError: if there is no tile, or labels and tiles differ in number.
    """
    if not tiles or len(tiles) != len(labels):
        raise ValueError(
            f"contact_sheet: must have a label for each of at least one tile, has {len(tiles)} tiles "
            f"and {len(labels)} labels"
        )
    columns = min(columns, len(tiles))
    cell_px = tile_px + LABEL_PX
    sheet = np.full((-(-len(tiles) // columns) * cell_px, columns * tile_px, 3), 255, np.uint8)
    for index, (tile, label) in enumerate(zip(tiles, labels, strict=True)):
        top, left = index // columns * cell_px, index % columns * tile_px
        fitted = _fit(tile, tile_px)
        below, right = top + fitted.shape[0], left + fitted.shape[1]
        sheet[top:below, left:right] = fitted
        sheet[top + tile_px : top + cell_px, left : left + tile_px] = _label_strip(label, tile_px)
    return sheet


def png_bytes(image: NDArray[Any]) -> bytes:
    """A PNG of an RGB (H W 3) or grey (H W) uint8 picture; the same picture gives the same bytes.

    Raises:
        ValueError: for any other array.
    """
    import cv2

    if image.dtype != np.uint8 or image.shape[2:] not in ((), (3,)):
        raise ValueError(f"png_bytes: image must be uint8 (H W) or (H W 3), is {image.dtype} {image.shape}")
    pixels = image[..., ::-1] if image.ndim == 3 else image  # OpenCV writes BGR
    return bytes(cv2.imencode(".png", np.ascontiguousarray(pixels))[1])


def _to_bytes(colours: NDArray[Any]) -> Picture:
    return np.asarray(np.rint(np.clip(colours, 0, 255)), dtype=np.uint8)


def _on_background(picture: Picture, mask: Bool) -> Picture:
    return np.where(mask[..., None], picture, np.array(BACKGROUND, np.uint8))


def _fit(tile: Picture, tile_px: int) -> Picture:
    """Resize to touch the square from inside: averaged on shrinking, whole pixels kept on growing."""
    import cv2

    height, width = tile.shape[:2]
    scale = tile_px / max(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(np.ascontiguousarray(tile), size_wh, interpolation=way), np.uint8)


def _label_strip(label: str, width_px: int) -> Picture:
    import cv2

    strip = np.full((LABEL_PX, width_px, 3), 255, np.uint8)
    (natural_px, _), _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)
    scale = min(0.45, (width_px - 8) / max(natural_px, 1))
    place = (4, LABEL_PX - 5)
    cv2.putText(strip, label, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (20, 20, 20), 1, cv2.LINE_AA)
    return strip
