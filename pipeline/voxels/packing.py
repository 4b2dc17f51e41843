"""Occupancy as bits, and how well two volumes agree without unpacking them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]

_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1).astype(np.uint8)


def pack(occupancy: Bool) -> UInt8:
    """Pack (..., X Y Z) along z: voxel 8 b + i is bit 7 - i (the i-th highest) of byte b; spare bits are 0."""
    return np.packbits(occupancy, axis=-1)


def pack_part(part: Bool, first: tuple[int, int, int], shape_xyz: tuple[int, int, int]) -> UInt8:
    """`pack` of a grid (X Y Z) that is empty but for a box (x y z), from its first voxel on."""
    before = first[2] % 8  # voxels that share the box's first byte
    bits = pack(np.pad(part, ((0, 0), (0, 0), (before, 0))) if before else part)
    packed = np.zeros((*shape_xyz[:2], -(-shape_xyz[2] // 8)), np.uint8)
    corner = (*first[:2], first[2] // 8)
    packed[tuple(slice(start, start + size) for start, size in zip(corner, bits.shape, strict=True))] = bits
    return packed


def unpack(packed: UInt8, depth: int) -> Bool:
    """Undo `pack`; `depth` is Z.

    Raises:
        ValueError: if so many voxels are not what fills the last axis.
    """
    if packed.dtype != np.uint8 or -(-depth // 8) != packed.shape[-1]:
        raise ValueError(
            f"unpack: packed must be uint8 with {-(-depth // 8)} bytes along z for {depth} voxels, "
            f"is {packed.dtype} with {packed.shape[-1]}"
        )
    return np.unpackbits(packed, axis=-1, count=depth).view(np.bool_)


def packed_iou(a: UInt8, b: UInt8) -> Float64:
    """Voxels in both over voxels in either (...) of packed volumes (..., X Y Z/8); 1 where both are empty.

    Raises:
        ValueError: if the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"packed_iou: both must have one shape, are {a.shape} and {b.shape}")
    both, either = (_ones(a & b), _ones(a | b))
    return np.asarray(np.where(either > 0, both / np.maximum(either, 1), 1.0), np.float64)


def _ones(packed: UInt8) -> NDArray[Any]:
    return np.asarray(_ONES[packed].sum(axis=(-3, -2, -1), dtype=np.int64))
