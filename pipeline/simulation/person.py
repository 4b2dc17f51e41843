"""The closed surface of a simulated person, and its colours.

The signed distance of the dressed figure is sampled on a grid, near the surface alone, and its zero level is
extracted by flying edges.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.meshes import canonical_mesh
from pipeline.simulation.figure import Person
from pipeline.simulation.regions import surface_distance

Float64 = NDArray[np.float64]

GRID_M = 0.008  # a fifth of the shortest fold
BLOCK = 4  # fine steps between the samples of the coarse pass
# A coarse sample farther out than this has no surface within its block: half the block's diagonal, and the
# overshoot of distances that are of first order only.
FAR_M = 0.75 * np.sqrt(3) * BLOCK * GRID_M
REACH_M = np.array([0.85, 0.05, 0.45])  # half width, room above the head, half depth


def person_mesh(person: Person) -> tuple[Float64, NDArray[np.int32]]:
    """The surface of a person as one watertight mesh, normals outwards, in canonical order.

    Returns:
        Vertices (V 3) in metres and faces (F 3). Body frame: +Y up, the lowest vertex at y = 0, facing +Z,
        the subject's left at +X.
    """
    import open3d as o3d

    origin = np.array([-REACH_M[0], -2 * BLOCK * GRID_M, -REACH_M[2]])
    top = np.array([REACH_M[0], person.height_m + REACH_M[1], REACH_M[2]])
    shape = np.ceil((top - origin) / (BLOCK * GRID_M)).astype(int)
    volume = _sample(person, origin, shape)
    # The extraction takes (z y x) and calls inside what is above the level.
    mesh = o3d.t.geometry.TriangleMesh.create_isosurfaces(
        o3d.core.Tensor(np.ascontiguousarray(-volume.transpose(2, 1, 0), dtype=np.float32))
    )
    vertices = mesh.vertex.positions.numpy().astype(np.float64) * GRID_M + origin
    vertices[:, 1] -= vertices[:, 1].min()
    # float32 values, so that a mesh file gives back the very surface.
    rounded = vertices.astype(np.float32).astype(np.float64)
    vertices, faces = canonical_mesh(rounded, mesh.triangle.indices.numpy())
    return vertices, faces


def _sample(person: Person, origin: Float64, shape: NDArray[np.int64]) -> Float64:
    """Signed distance on the fine grid (X Y Z): exact near the surface, the block's own value elsewhere."""
    offsets = (np.indices((BLOCK, BLOCK, BLOCK)).reshape(3, -1).T - (BLOCK - 1) / 2) * GRID_M
    blocks = np.indices(tuple(shape)).reshape(3, -1).T
    centres = origin + (blocks + 0.5 - 0.5 / BLOCK) * BLOCK * GRID_M
    coarse = surface_distance(person, centres)
    near = np.flatnonzero(np.abs(coarse) < FAR_M)
    cells = np.repeat(coarse[:, None], BLOCK**3, axis=1)
    points = (centres[near, None] + offsets).reshape(-1, 3)
    cells[near] = surface_distance(person, points).reshape(len(near), -1)
    grid = cells.reshape(*shape, BLOCK, BLOCK, BLOCK).transpose(0, 3, 1, 4, 2, 5)
    return np.asarray(grid.reshape(*(shape * BLOCK)), dtype=np.float64)
