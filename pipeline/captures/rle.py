"""Outlines of COCO: polygons and run lengths to masks.

Both are decoded here, in the few lines that they take, because what a file claims must be checked first: the run
lengths before anything of their sum is allocated, the polygons before anything of their extent is.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.annotation_files import Shape, malformed, shown
from pipeline.captures.annotation_values import listed, numbers, table

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]

CHUNK_BITS = 5  # of a run length in one character; the next bit says that another follows
EDGES = 512  # of a polygon at a time, so that memory stays small whatever a file holds
MAX_CHUNKS = 7  # 35 bits: longer than any picture


def mask_from_segmentation(value: object, shape_hw: Shape, *, where: str) -> Bool | None:
    """The mask (H W) of COCO's `segmentation`: a list of polygons, or run lengths; None where there is none.

    Raises:
        InputError: annotation-malformed.
    """
    if value is None or value == []:
        return None
    if isinstance(value, dict):
        return mask_from_rle(value, shape_hw, where=where)
    mask = np.zeros(shape_hw, dtype=np.bool_)
    for polygon in listed(value, "segmentation", where=where):
        flat = numbers(polygon, None, "a polygon of segmentation", where=where)
        if len(flat) < 6 or len(flat) % 2:
            raise malformed(where, f"a polygon must be at least 3 pairs x y, is {len(flat)} numbers")
        mask |= mask_from_polygon(flat.reshape(-1, 2), shape_hw)
    return mask


def mask_from_polygon(corners: Float64, shape_hw: Shape) -> Bool:
    """The pixels (H W) whose centres lie inside a closed polygon, by the even-odd rule.

    Args:
        corners: (N 2) x and y in pixel edge coordinates, as COCO gives them: the centre of the top left pixel
            is (0.5, 0.5). A centre that lies on an edge counts on the polygon's left and upper side alone.
    """
    height, width = shape_hw
    # Pixels between an edge and the picture's right border change sides: their number counts by its last bit.
    crossings = np.zeros((height, width + 1), dtype=np.uint8)
    for start in range(0, len(corners), EDGES):
        (x0, y0), (x1, y1) = (
            corners[start : start + EDGES].T,
            np.roll(corners, -1, axis=0)[start : start + EDGES].T,
        )
        first = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, height).astype(np.int64)
        last = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, height).astype(np.int64)
        count = last - first
        edge = np.repeat(np.arange(len(count)), count)
        rows = np.arange(len(edge)) + (first - np.cumsum(count) + count)[edge]
        slope = np.divide(x1 - x0, y1 - y0, out=np.zeros(len(count)), where=y1 != y0)
        x = x0[edge] + (rows + 0.5 - y0[edge]) * slope[edge]
        columns = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
        np.add.at(crossings, (rows, columns), 1)
    odd = np.add.accumulate(crossings, axis=1, dtype=np.uint8) & 1
    return np.ascontiguousarray(odd[:, :width]).view(np.bool_)


def mask_from_rle(value: object, shape_hw: Shape, *, where: str) -> Bool:
    """The mask (H W) of run lengths, compressed or not: columns from top to bottom, from left to right.

    Runs of 0 and 1 take turns and start with 0; they must add up to the picture.

    Raises:
        InputError: annotation-malformed.
    """
    runs = table(value, "run lengths", where=where)
    size_hw = numbers(runs.get("size"), 2, "size of run lengths", where=where)
    if tuple(size_hw) != shape_hw:
        raise malformed(
            where, f"size of run lengths must be {list(shape_hw)} (height, width), is {shown(runs['size'])}"
        )
    pixels = shape_hw[0] * shape_hw[1]
    counts = _counts(runs.get("counts"), pixels, where=where)
    # Nothing is allocated by the sum before it is known to be the picture's.
    if sum(counts) != pixels:
        raise malformed(where, f"run lengths must add up to {pixels} px, add up to {sum(counts)} px")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.ascontiguousarray(flat.reshape(shape_hw, order="F"))


def _counts(value: object, pixels: int, *, where: str) -> list[int]:
    """Run lengths of a picture of so many pixels: each of a length that fits into it, and no more than do."""
    if isinstance(value, str):
        value = _decompressed(value, pixels, where=where)
    entries: list[Any] = listed(value, "counts of run lengths", where=where)
    if len(entries) > pixels + 1 or any(
        type(entry) is not int or not 0 <= entry <= pixels for entry in entries
    ):
        raise malformed(where, f"counts of run lengths must be whole numbers from 0 to {pixels}, are not")
    return entries


def _decompressed(text: str, pixels: int, *, where: str) -> list[int]:
    """Run lengths of COCO's text: 5 bits a character from '0', lowest first; from the fourth, differences.

    A length is written as the difference to the length two before it, sign in the last character's fifth bit.
    """
    counts: list[int] = []
    number = chunks = 0
    for character in text:
        code = ord(character) - ord("0")
        if not 0 <= code < 64 or chunks == MAX_CHUNKS or len(counts) > pixels:
            raise malformed(where, f"counts of run lengths must be COCO's text, are {shown(text)}")
        number |= (code & 0x1F) << (CHUNK_BITS * chunks)
        chunks += 1
        if code & 0x20:
            continue
        if code & 0x10:
            number -= 1 << (CHUNK_BITS * chunks)
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = chunks = 0
    if chunks:
        raise malformed(where, "counts of run lengths must end with a whole number, are cut off")
    return counts
