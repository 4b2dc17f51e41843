"""The surface of a volume as triangles, with what the volume knows about each vertex."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fusion.bounds import NOISE_FLOOR_M
from pipeline.fusion.marching_table import triangle_table
from pipeline.fusion.raycast import SIGMA_FLOOR_M, volume_state
from pipeline.meshes import canonical_mesh

if TYPE_CHECKING:
    from pipeline.fusion.volume import Volume


@dataclass(frozen=True, kw_only=True, slots=True)
class FusedMesh:
    """The zero level of the fused distances, in the order of `canonical_mesh`.

    Attributes:
        vertices: (V 3) float64, metres in the world frame; all of them are float32 values.
        faces: (F 3) int32, counter-clockwise seen from the side that the cameras were on.
        weight: (V) float32, how many frames saw the voxel nearest to the vertex; at most 255.
        sigma_m: (V) float32, standard deviation of the vertex along the surface's normal.
        rgb: (V 3) uint8; (0 3) where the volume has no colour.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    weight: NDArray[np.float32]
    sigma_m: NDArray[np.float32]
    rgb: NDArray[np.uint8]

    @property
    def attributes(self) -> tuple[NDArray[Any], ...]:
        """What each vertex has besides its place: weight, sigma_m, and rgb where there is colour."""
        return (self.weight, self.sigma_m, *((self.rgb,) if len(self.rgb) else ()))


def mesh_of(vertices: NDArray[Any], faces: NDArray[Any], *attributes: NDArray[Any]) -> FusedMesh:
    """A mesh of its arrays, in the order of `FusedMesh.attributes`."""
    weight, sigma_m = attributes[:2]
    rgb = attributes[2] if len(attributes) > 2 else np.zeros((0, 3), np.uint8)
    return FusedMesh(vertices=vertices, faces=faces, weight=weight, sigma_m=sigma_m, rgb=rgb)


def march(volume: "Volume", *, min_weight: float) -> FusedMesh:
    """Take the surface out of a volume by marching cubes; without a gap inside what was seen often enough.

    Args:
        min_weight: a cell counts where all of its eight voxels were seen by at least that many views; 255 and
            more is 255.

    Returns:
        The mesh; without vertices where there is no surface.
    """
    from pipeline.fusion.marching_kernels import WORDS, count_blocks, write_blocks

    state, coordinates = volume_state(volume), volume.coordinates[: volume.blocks]
    table, least = triangle_table(), int(np.clip(np.ceil(min_weight), 1, 255))
    bits = np.zeros((volume.blocks, WORDS), np.uint64)
    before, counts = np.zeros((volume.blocks, WORDS), np.uint16), np.zeros((volume.blocks, 2), np.int64)
    count_blocks(state, coordinates, least, table[1], (bits, before, counts))
    vertex_count, face_count = (int(total) for total in counts.sum(axis=0))
    starts = np.cumsum(counts, axis=0) - counts
    mesh: tuple[NDArray[Any], ...] = (
        np.zeros((vertex_count, 3), np.float32),
        np.zeros((face_count, 3), np.int32),
        np.zeros(vertex_count, np.float32),
        np.zeros(vertex_count, np.float32),
        np.zeros((vertex_count if volume.with_colour else 0, 3), np.uint8),
    )
    scale = volume.voxel_m, volume.half_m, NOISE_FLOOR_M, SIGMA_FLOOR_M
    write_blocks(state, coordinates, least, table, (bits, before, starts), scale, mesh)
    return mesh_of(*canonical_mesh(*(mesh if volume.with_colour else mesh[:4])))
