"""Compiled marching cubes over the blocks of a volume; import only through `pipeline.fusion.marching`.

An edge belongs to the voxel at its lower end, so a block owns 3 * 512 of them. Which ones the surface crosses is
kept as a bit each, and a vertex's number follows from counting bits: 240 bytes a block instead of an index each.
"""

from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from pipeline.fusion.bounds_kernels import SIDE
from pipeline.fusion.raycast_kernels import surface_sigma
from pipeline.fusion.volume_kernels import SPREAD_STEPS, VOXELS

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]
UInt16 = NDArray[np.uint16]
UInt64 = NDArray[np.uint64]

WORDS = 3 * VOXELS // 64
WIDE = SIDE + 1
UNKNOWN = -(1 << 30)

# index (I J K), its first coordinate (3), distance, spread, weight, count (C 512), colour (C 3 512)
State = Any


@njit(inline="always")
def _around(state: State, coordinates: Int32, block: Any) -> Any:
    """The eight blocks at and beyond a block's upper sides; -1 where there is none."""
    index, first = state[0], state[1]
    blocks = np.full(8, -1, np.int32)
    for corner in range(8):
        i = coordinates[block, 0] - first[0] + (corner & 1)
        j = coordinates[block, 1] - first[1] + (corner >> 1 & 1)
        k = coordinates[block, 2] - first[2] + (corner >> 2)
        if i < index.shape[0] and j < index.shape[1] and k < index.shape[2]:
            blocks[corner] = index[i, j, k]
    return blocks


@njit(inline="always")
def _owner(i: Any, j: Any, k: Any) -> Any:
    """Which of the eight blocks of `_around` holds a voxel, and its place in there; i, j, k in 0..8."""
    return (i >> 3) + 2 * (j >> 3) + 4 * (k >> 3), (i & 7) + 8 * (j & 7) + 64 * (k & 7)


@njit(cache=True)
def _load(state: State, blocks: Int32, least: int, values: Int32) -> None:
    """Distances (9 9 9) in half steps of a block and the voxels beyond it; UNKNOWN where seen too rarely."""
    for k in range(WIDE):
        for j in range(WIDE):
            for i in range(WIDE):
                corner, n = _owner(i, j, k)
                block = blocks[corner]
                known = block >= 0 and state[5][block, n] >= least
                # Half a step more is the middle of a step, and never 0.
                values[i + WIDE * (j + WIDE * k)] = 2 * state[2][block, n] + 1 if known else UNKNOWN


@njit(cache=True)
def _cases(values: Int32, cases: UInt8) -> None:
    """Bit c of a cell's case (512) says that corner c is behind the surface; 0 where a corner is unknown."""
    for n in range(VOXELS):
        at = n % SIDE + WIDE * (n // SIDE % SIDE + WIDE * (n // (SIDE * SIDE)))
        case, known = 0, True
        for corner in range(8):
            value = values[at + (corner & 1) + WIDE * (corner >> 1 & 1) + WIDE * WIDE * (corner >> 2)]
            known = known and value != UNKNOWN
            case |= (value < 0) << corner
        cases[n] = case if known else 0


@njit(inline="always")
def _ones(word: Any) -> Any:
    """How many bits of a word are set."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(parallel=True, cache=True)
def count_blocks(
    state: State, coordinates: Int32, least: int, triangles: UInt8, found: tuple[UInt64, UInt16, Int64]
) -> None:
    """Mark the crossed edges of every block, and count them and its triangles.

    Args:
        least: views that must have seen all eight voxels of a cell.
        triangles: how many each case has (256).
        found: bits (B 24), how many are set before each word (B 24), and the counts (B 2).
    """
    bits, before, counts = found
    for number in prange(len(coordinates)):
        block: Any = np.int64(number)
        values, cases = np.zeros(WIDE**3, np.int32), np.zeros(VOXELS, np.uint8)
        _load(state, _around(state, coordinates, block), least, values)
        _cases(values, cases)
        for n in range(VOXELS):
            counts[block, 1] += triangles[cases[n]]
            at = n % SIDE + WIDE * (n // SIDE % SIDE + WIDE * (n // (SIDE * SIDE)))
            for axis in range(3):
                end = at + (1 if axis == 0 else (WIDE if axis == 1 else WIDE * WIDE))
                if values[at] == UNKNOWN or values[end] == UNKNOWN or (values[at] < 0) == (values[end] < 0):
                    continue
                edge = axis * VOXELS + n
                bits[block, edge >> 6] |= np.uint64(1) << np.uint64(edge & 63)
        total = 0
        for word in range(WORDS):
            before[block, word] = total
            total += _ones(bits[block, word])
        counts[block, 0] = total


@njit(parallel=True, cache=True)
def write_blocks(
    state: State,
    coordinates: Int32,
    least: int,
    table: tuple[UInt8, UInt8],
    found: tuple[UInt64, UInt16, Int64],
    scale: tuple[float, float, float, float],
    mesh: Any,
) -> None:
    """Write the vertices and triangles of every block, in the order of blocks, to where its counts put them.

    Args:
        table: of `triangle_table`.
        found: of `count_blocks`, its counts replaced by the sums of those before.
        scale: voxel_m, half_m, floors of sigma for one view and for a mean.
        mesh: vertices (V 3), faces (F 3), weight (V), sigma_m (V), rgb (V 3) or (0 3).
    """
    bits, before, starts = found
    for number in prange(len(coordinates)):
        block: Any = np.int64(number)
        values, cases = np.zeros(WIDE**3, np.int32), np.zeros(VOXELS, np.uint8)
        blocks = _around(state, coordinates, block)
        _load(state, blocks, least, values)
        _write_vertices(
            state, (coordinates[block], blocks), values, scale, (bits[block], starts[block, 0], mesh)
        )
        _cases(values, cases)
        row = starts[block, 1]
        for n in range(VOXELS):
            case = cases[n]
            for triangle in range(table[1][case]):
                for corner in range(3):
                    edge = np.int64(table[0][case, triangle, corner])
                    low = edge // 3
                    i, j, k = n % SIDE + (low & 1), n // SIDE % SIDE + (low >> 1 & 1), n // 64 + (low >> 2)
                    side, place = _owner(i, j, k)
                    owner, bit = blocks[side], (edge % 3) * VOXELS + place
                    below = bits[owner, bit >> 6] & ((np.uint64(1) << np.uint64(bit & 63)) - np.uint64(1))
                    rank = np.int64(before[owner, bit >> 6]) + _ones(below)
                    mesh[1][row, corner] = starts[owner, 0] + rank
                row += 1


@njit(cache=True, error_model="numpy")
def _write_vertices(state: State, place: Any, values: Int32, scale: Any, out: Any) -> None:
    """Write the vertices on one block's edges: where the distance, taken as linear, is 0."""
    coordinate, blocks = place
    voxel_m, half_m, view_floor_m, mean_floor_m = scale
    bits, row, mesh = out
    for edge in range(3 * VOXELS):
        if not bits[edge >> 6] >> np.uint64(edge & 63) & np.uint64(1):
            continue
        axis, n = edge // VOXELS, edge % VOXELS
        i, j, k = n % SIDE, n // SIDE % SIDE, n // (SIDE * SIDE)
        at = i + WIDE * (j + WIDE * k)
        end = at + (1 if axis == 0 else (WIDE if axis == 1 else WIDE * WIDE))
        t = values[at] / (values[at] - values[end])
        side, far = _owner(i + (axis == 0), j + (axis == 1), k + (axis == 2))
        other = blocks[side]
        vertices, _, weight, sigma_m, rgb = mesh
        vertices[row, 0] = (coordinate[0] * SIDE + i + (t if axis == 0 else 0.0)) * voxel_m
        vertices[row, 1] = (coordinate[1] * SIDE + j + (t if axis == 1 else 0.0)) * voxel_m
        vertices[row, 2] = (coordinate[2] * SIDE + k + (t if axis == 2 else 0.0)) * voxel_m
        nearest, m = (blocks[0], n) if t < 0.5 else (other, far)
        seen = np.float64(state[5][nearest, m])
        spread_m = state[3][nearest, m] * half_m / SPREAD_STEPS
        weight[row] = seen
        weighed = np.float64(state[4][nearest, m])
        sigma_m[row] = surface_sigma(seen, weighed, spread_m, view_floor_m, mean_floor_m)
        if len(rgb) > 0:
            for channel in range(3):
                a, b = state[6][blocks[0], channel, n], state[6][other, channel, far]
                rgb[row, channel] = np.uint8(min((a + t * (np.float64(b) - a)) / 256 + 0.5, 255.0))
        row += 1
