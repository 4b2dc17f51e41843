"""Compiled loops of the voxel scan; import only through `pipeline.voxels.occupancy`.

Whether a triangle lies over a column of voxel centres is decided in integers on a fine grid inside the voxel,
so it is exact: two faces that share an edge compute one and the same line. Heights are float64.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]
UInt64 = NDArray[np.uint64]

WORD = 8  # voxels in a 64-bit word
# A centre that lies on a sloped face lies above it for all faces there, however each rounds its height.
TIE_VOX = 2.0**-30
HIGHEST, LOWEST = 127, -128  # of the int8 in which crossings of one voxel are summed
ALL_INSIDE = 0x0101010101010101  # a word of eight True


@njit(nogil=True, cache=True)
def bounds(vertices_vox: Float64) -> Float64:
    """Lowest and highest coordinates (2 3); NaN where one is NaN."""
    found = np.zeros((2, 3))
    for axis in range(3):
        low, high = np.inf, -np.inf
        for i in range(len(vertices_vox)):
            value = vertices_vox[i, axis]
            if value != value:
                low = high = np.nan
                break
            low, high = min(low, value), max(high, value)
        found[0, axis], found[1, axis] = low, high
    return found


@njit(nogil=True, cache=True)
def place(vertices_vox: Float64, middle_x: int, middle_y: int, bits: int) -> tuple[Int64, Float64, UInt64]:
    """Places (V 2) on the fine grid around the middle column, heights (V), and a random number a vertex."""
    places = np.zeros((len(vertices_vox), 2), np.int64)
    heights, marks = np.zeros(len(vertices_vox)), np.zeros(len(vertices_vox), np.uint64)
    fine = float(1 << bits)
    for i in range(len(vertices_vox)):
        places[i, 0] = int(np.rint((vertices_vox[i, 0] - middle_x) * fine))
        places[i, 1] = int(np.rint((vertices_vox[i, 1] - middle_y) * fine))
        heights[i] = vertices_vox[i, 2]
        mark = np.uint64(i + 1) * np.uint64(0x9E3779B97F4A7C15)  # splitmix64
        mark = (mark ^ (mark >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mark = (mark ^ (mark >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        marks[i] = mark ^ (mark >> np.uint64(31))
    return places, heights, marks


@njit(nogil=True, cache=True)
def open_mark(faces: Int32, marks: UInt64) -> int:
    """0 where every edge is run as often one way as the other; else not, but for odds of some 2^-60.

    For vertices' random numbers a, b, c the product (a - b)(b - c)(c - a), mod 2^64, is a sum over the face's
    three edges of one function of their ends that changes sign with their direction.
    """
    total = np.uint64(0)
    for face in range(len(faces)):
        a, b, c = marks[faces[face, 0]], marks[faces[face, 1]], marks[faces[face, 2]]
        total += (a - b) * (b - c) * (c - a)
    return int(total != np.uint64(0))


@njit(nogil=True, cache=True, error_model="numpy")
def cross(
    faces: Int32,
    places: Int64,
    heights: Float64,
    bits: int,
    first: tuple[int, int, int],
    changes: Int8,
    touched: UInt8,
) -> tuple[float, bool]:
    """Add to each voxel by how much the winding number changes on the way up to it from the one below.

    Args:
        first: the first voxel of `changes`; x and y from the middle column on.
        changes: (X Y Z), zeros; what lies below is entered at the lowest voxel.
        touched: (X Y), zeros; becomes 1 where a face lies over a column.

    Returns:
        The signed volume in voxels, and whether no sum ran over.
    """
    volume, fits = 0.0, True
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay, bx, by = places[a, 0], places[a, 1], places[b, 0], places[b, 1]
        cx, cy = places[c, 0], places[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        volume += float(area) * (heights[a] + heights[b] + heights[c])
        # Columns whose centres can lie inside: -(-n >> bits) rounds up, n >> bits down.
        x0 = max(0, -(-min(ax, bx, cx) >> bits) - first[0])
        x1 = min(changes.shape[0] - 1, (max(ax, bx, cx) >> bits) - first[0])
        y0 = max(0, -(-min(ay, by, cy) >> bits) - first[1])
        y1 = min(changes.shape[1] - 1, (max(ay, by, cy) >> bits) - first[1])
        if area == 0 or x0 > x1 or y0 > y1:
            continue
        columns = x0, x1, y0, y1
        if area > 0:  # the face looks up: the way up leaves
            edges = ax, ay, bx, by, cx, cy, area
            entered = _cross_columns(
                edges, (heights[a], heights[b], heights[c]), columns, bits, first, changes, touched, -1
            )
        else:
            edges = ax, ay, cx, cy, bx, by, -area
            entered = _cross_columns(
                edges, (heights[a], heights[c], heights[b]), columns, bits, first, changes, touched, 1
            )
        fits = fits and entered
    return volume / (6.0 * float(1 << bits) ** 2), fits


@njit(nogil=True, cache=True, error_model="numpy")
def _cross_columns(
    corners: tuple[int, ...],
    heights: tuple[float, float, float],
    columns: tuple[int, int, int, int],
    bits: int,
    first: tuple[int, int, int],
    changes: Int8,
    touched: UInt8,
    step: int,
) -> bool:
    """Add `step` where the columns x0..x1, y0..y1 cross one triangle, whose corners run counter-clockwise."""
    ax, ay, bx, by, cx, cy, area = corners
    x0, x1, y0, y1 = columns
    a_rule, b_rule, c_rule = _rule(cx - bx, cy - by), _rule(ax - cx, ay - cy), _rule(bx - ax, by - ay)
    db, dc = (heights[1] - heights[0]) / area, (heights[2] - heights[0]) / area
    fits = True
    for column_x in range(x0, x1 + 1):
        x = (column_x + first[0]) << bits
        for column_y in range(y0, y1 + 1):
            y = (column_y + first[1]) << bits
            from_b = (ax - cx) * (y - cy) - (ay - cy) * (x - cx)  # twice the area opposite of b
            from_c = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            from_a = area - from_b - from_c
            if (from_a + a_rule) | (from_b + b_rule) | (from_c + c_rule) < 0:
                continue
            touched[column_x, column_y] = 1
            voxel = max(0, int(np.ceil(heights[0] + from_b * db + from_c * dc - TIE_VOX)) - first[2])
            if voxel < changes.shape[2]:
                sum_here = changes[column_x, column_y, voxel] + step
                fits = fits and LOWEST <= sum_here <= HIGHEST
                changes[column_x, column_y, voxel] = sum_here
    return fits


@njit(nogil=True, cache=True, inline="always")
def _rule(dx: int, dy: int) -> int:
    """0 where a column on the edge along (dx, dy) belongs to the face left of it, else -1: top-left rule."""
    return 0 if dy < 0 or (dy == 0 and dx > 0) else -1


@njit(nogil=True, cache=True)
def sum_up(changes: Int8, words: UInt64, touched: UInt8) -> tuple[int, int]:
    """Turn changes into occupancy (1 where the winding number is above 0, else 0), in place.

    Args:
        words: (X Y Z/8), the same memory as `changes`.

    Returns:
        How many voxels have a winding number above and below 0.
    """
    above = below = 0
    for x in range(words.shape[0]):
        for y in range(words.shape[1]):
            if touched[x, y] == 0:
                continue
            winding = 0
            for word in range(words.shape[2]):
                if words[x, y, word] == 0:  # nothing is crossed in these eight
                    if winding > 0:
                        words[x, y, word] = np.uint64(ALL_INSIDE)
                        above += WORD
                    elif winding < 0:
                        below += WORD
                    continue
                for z in range(word * WORD, (word + 1) * WORD):
                    winding += changes[x, y, z]
                    inside = winding > 0
                    changes[x, y, z] = inside
                    above += inside
                    below += winding < 0
    return above, below
