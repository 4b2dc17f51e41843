"""What a fused mesh lacks, and the same mesh with fewer faces."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.mesh_parts import boundary_edges
from pipeline.fusion.marching import FusedMesh, mesh_of
from pipeline.meshes import canonical_mesh


@dataclass(frozen=True, kw_only=True, slots=True)
class Holes:
    """The rims of a mesh: edges with a face on one side only. The outer rim of an open scan is one of them.

    Attributes:
        count: rims; those that share a vertex are one.
        rim_m: length of all.
        largest_m: length of the longest.
    """

    count: int
    rim_m: float
    largest_m: float


def find_holes(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> Holes:
    """Measure the rims of a mesh whose faces agree in their winding; nothing is closed."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    start, end = boundary_edges(faces).T
    if not len(start):
        return Holes(count=0, rim_m=0.0, largest_m=0.0)
    length_m = np.linalg.norm(vertices[end] - vertices[start], axis=1)
    links = coo_array((np.ones(len(start), np.int8), (start, end)), shape=(len(vertices), len(vertices)))
    _, part = connected_components(links, directed=False)
    _, rim = np.unique(part[start], return_inverse=True)
    rims_m = np.bincount(rim, weights=length_m)
    return Holes(count=len(rims_m), rim_m=float(rims_m.sum()), largest_m=float(rims_m.max()))


def simplified(mesh: FusedMesh, max_faces: int) -> FusedMesh:
    """The mesh with about max_faces faces, by quadric error (Garland and Heckbert, SIGGRAPH 1997).

    Each vertex takes weight, sigma and colour from the nearest one before.
    """
    import open3d as o3d
    from scipy.spatial import cKDTree

    whole = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(mesh.vertices), o3d.utility.Vector3iVector(mesh.faces)
    )
    fewer = whole.simplify_quadric_decimation(max_faces)
    vertices = np.asarray(fewer.vertices).astype(np.float32).astype(np.float64)
    nearest = cKDTree(mesh.vertices).query(vertices)[1]
    attributes = (attribute[nearest] for attribute in mesh.attributes)
    return mesh_of(*canonical_mesh(vertices, np.asarray(fewer.triangles), *attributes))
