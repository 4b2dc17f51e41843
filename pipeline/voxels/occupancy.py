"""Which voxels lie inside a mesh: winding numbers at their centres, by one scan along z.

Jackson, Manafas, Tzimiropoulos, "3D Human Body Reconstruction from a Single Image via Volumetric Regression",
ECCVW 2018, section 3.2: space inside the body is one, all other space zero.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Shape = tuple[int, int, int]

GRID_BITS = 29  # of the largest coordinate on the fine grid: twice an area then fits 62 bits
FARTHEST_VOX = 4096.0  # the fine grid still has 2^-17 voxels there; a body so large is in the wrong unit
FLAT_VOX = 1e-3  # of volume: less is a sheet and what rounding makes of it
MAX_OPEN_SHARE = 0.05
# Skin that folds through itself turns up to 0.2 % of a wildly posed body inside out; a part that is turned is more.
MAX_INVERTED_SHARE = 0.02


def occupancy(
    vertices_vox: NDArray[Any],
    faces: NDArray[Any],
    shape_xyz: Shape,
    *,
    max_open_share: float = MAX_OPEN_SHARE,
) -> Bool:
    """Say of each voxel whether its centre lies inside a mesh: whether its winding number is at least 1.

    Where bodies overlap the result is their union; a cavity whose faces look into it is empty. A box from
    low to high owns the centres low <= p < high along each axis: of two solids that share a face exactly one owns
    the centres on it. Columns are decided on a grid of 2^-22 voxels (bodies of up to 256 voxels), so the
    result is exact but for centres within 2e-7 voxels of the surface.

    A mesh with small openings is closed first as `closing.closed_mesh` says: what counts is the winding
    number of the closed mesh. Faces that share places, not vertices, are joined by it too.

    Args:
        vertices_vox: (V 3) in voxels; voxel i, j, k has its centre at (i, j, k). What lies outside is cut.
        faces: (F 3) rows of vertices_vox, outward: counter-clockwise from outside in a right-handed frame.
        max_open_share: largest area that closing may add, as a share of the mesh's own.

    Returns:
        (X Y Z); all False where the mesh holds no centre.

    Raises:
        InputError: `open-mesh` when it would take more to close it; `inside-out-mesh` when it, or over 2 % of it
            beside what is right, looks inward; `malformed-mesh` when it has no faces or no volume, indices that are
            no rows, vertices that are not finite or lie over 4096 voxels away, or over 127 layers in one voxel.
        ValueError: if the shape is not three positive numbers.
    """
    part, first = filled_part(vertices_vox, faces, shape_xyz, max_open_share=max_open_share)
    return within(shape_xyz, part, first)


def within(shape_xyz: Shape, part: Bool, first: Shape) -> Bool:
    """A whole grid of which but a box, from its first voxel on, is empty."""
    whole = np.zeros(shape_xyz, np.bool_)
    whole[tuple(slice(start, start + size) for start, size in zip(first, part.shape, strict=True))] = part
    return whole


def filled_part(
    vertices_vox: NDArray[Any], faces: NDArray[Any], shape_xyz: Shape, *, max_open_share: float
) -> tuple[Bool, Shape]:
    """The box (X Y Z) of a grid out of which all voxels are empty, and its first voxel; args as of `occupancy`."""
    from pipeline.voxels import occupancy_kernels as kernels
    from pipeline.voxels.closing import closed_mesh

    if len(shape_xyz) != 3 or min(shape_xyz) < 1:
        raise ValueError(f"occupancy: shape_xyz must be three positive numbers, is {shape_xyz}")
    vertices, corners = _checked(vertices_vox, faces)
    middle_x, middle_y = shape_xyz[0] // 2, shape_xyz[1] // 2
    bounds_vox = kernels.bounds(vertices)
    bits = _grid_bits(float(np.abs(bounds_vox - [middle_x, middle_y, 0]).max()), shape_xyz)
    places, heights, marks = kernels.place(vertices, middle_x, middle_y, bits)
    if kernels.open_mark(corners, marks):
        vertices, corners = closed_mesh(vertices, corners, max_open_share=max_open_share)
        places, heights, _ = kernels.place(vertices, middle_x, middle_y, bits)
    first, end = _around(bounds_vox, shape_xyz, kernels.WORD)  # what closes a mesh lies between its vertices
    whole_words = -(-(end[2] - first[2]) // kernels.WORD) * kernels.WORD
    inside = np.zeros((end[0] - first[0], end[1] - first[1], whole_words), np.bool_)
    touched = np.zeros(inside.shape[:2], np.uint8)
    changes = inside.view(np.int8)
    from_middle = first[0] - middle_x, first[1] - middle_y, first[2]
    volume, fits = kernels.cross(corners, places, heights, bits, from_middle, changes, touched)
    _check_volume(volume, fits)
    above, below = kernels.sum_up(changes, inside.view(np.uint64), touched)
    if below > MAX_INVERTED_SHARE * above:
        raise InputError(
            "inside-out-mesh",
            f"occupancy: faces must look outward, those around {below} voxels look inward ({above} are right). "
            "Turn them.",
        )
    return inside[..., : end[2] - first[2]], first


def _around(bounds_vox: Float64, shape_xyz: Shape, word: int) -> tuple[Shape, Shape]:
    """First voxel and end of the box around a mesh within the grid; along z in whole words from the grid's first."""
    low, high = np.floor(bounds_vox[0]).astype(int), np.ceil(bounds_vox[1]).astype(int) + 1
    x, y, z = np.clip(low, 0, shape_xyz).tolist()
    end_x, end_y, end_z = np.clip(high, 0, shape_xyz).tolist()
    return (x, y, z // word * word), (end_x, end_y, min(-(-end_z // word) * word, shape_xyz[2]))


def _checked(vertices_vox: NDArray[Any], faces: NDArray[Any]) -> tuple[Float64, Int32]:
    """The mesh as the kernels want it."""
    if vertices_vox.ndim != 2 or vertices_vox.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        shapes = f"{vertices_vox.shape} and {faces.shape}"
        raise ValueError(f"occupancy: vertices and faces must be (V 3) and (F 3), are {shapes}")
    if not len(faces):
        raise _malformed("must have faces, has none. Mesh the points first.")
    if faces.min() < 0 or faces.max() >= len(vertices_vox):
        span = f"{faces.min()} to {faces.max()}"
        raise _malformed(f"must name its {len(vertices_vox)} vertices, names {span}. Export it again.")
    return np.ascontiguousarray(vertices_vox, dtype=np.float64), np.ascontiguousarray(faces, dtype=np.int32)


def _grid_bits(reach_vox: float, shape_xyz: Shape) -> int:
    """How fine the grid inside a voxel may be, so that nothing on it exceeds 2^GRID_BITS."""
    if not reach_vox <= FARTHEST_VOX:  # NaN too
        raise _malformed(
            f"must be finite and within {FARTHEST_VOX:g} voxels, reaches {reach_vox:g}. Place it by world_from_vox."
        )
    farthest = max(reach_vox, *(size / 2 for size in shape_xyz[:2]))
    return GRID_BITS - int(np.ceil(np.log2(farthest)))


def _check_volume(volume: float, fits: bool) -> None:
    if not fits:
        raise _malformed("must have at most 127 layers in a voxel, has more. Thin it out.")
    if abs(volume) < FLAT_VOX:
        raise _malformed("must have a volume, is flat. Close it around the body.")
    if volume < 0:
        raise InputError(
            "inside-out-mesh",
            f"occupancy: faces must look outward, look inward (volume {volume:.6g} voxels). Turn all of them.",
        )


def _malformed(rest: str) -> InputError:
    return InputError("malformed-mesh", f"occupancy: the mesh {rest}")
