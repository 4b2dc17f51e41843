"""Triangle meshes as arrays: one order for one mesh, files that read back equal, parts that hang together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

Vertices = NDArray[np.float64]
Faces = NDArray[np.int32]


def canonical_mesh(
    vertices: Vertices, faces: NDArray[Any], *vertex_attributes: NDArray[Any]
) -> tuple[NDArray[Any], ...]:
    """Bring a mesh into the one order that depends on its geometry alone, not on how its arrays were filled.

    Vertices are sorted by x, y, z and then by their attributes; a face starts at its smallest corner, keeps
    its winding, and faces are sorted by their corners. Vertices that agree exactly in position and all
    attributes become one: only so is the order unique, and only so does leaving out the needle faces between
    them, which marching cubes makes where a voxel's distance is exactly 0, tear no hole. Left out are faces
    with two corners in one place, second copies of a face, and vertices that no face needs.

    Args:
        vertices: (V 3), finite.
        faces: (F 3) indices.
        vertex_attributes: (V) or (V k) each, finite; they travel with their vertices.

    Returns:
        vertices (float64), faces (int32), and the attributes, in this order.

    Raises:
        ValueError: where a position or an attribute is not finite, which has no place in an order.
    """
    for name, values in (
        ("vertices", vertices),
        *((f"attribute {i}", a) for i, a in enumerate(vertex_attributes)),
    ):
        if not np.isfinite(values).all():
            count = int(np.count_nonzero(~np.isfinite(values)))
            raise ValueError(f"canonical_mesh: {name} must be finite, holds {count} values that are not.")
    table = np.column_stack([vertices, *vertex_attributes])
    order = np.lexsort(table.T[::-1])
    table = table[order]
    new_place = _differs(table[:, :3])
    new_vertex = new_place | _differs(table[:, 3:])
    place, rank = np.zeros((2, len(table)), np.int64)
    place[order], rank[order] = np.cumsum(new_place), np.cumsum(new_vertex) - 1
    corners = _sorted_faces(rank[faces[_in_three_places(place[faces])]])
    used, faces = _used_only(corners, np.count_nonzero(new_vertex))
    kept = order[new_vertex][used]
    # + 0.0 turns -0.0, which sorts like 0.0, into it.
    return (
        vertices[kept].astype(np.float64) + 0.0,
        faces,
        *(attribute[kept] for attribute in vertex_attributes),
    )


def _differs(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each row (N k) differs from the one before it; the first always does."""
    differs = np.ones(len(rows), np.bool_)
    differs[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return differs


def _in_three_places(places: NDArray[np.int64]) -> NDArray[np.bool_]:
    a, b, c = places.T
    distinct: NDArray[np.bool_] = (a != b) & (b != c) & (c != a)
    return distinct


def _sorted_faces(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each face rolled so that its smallest corner comes first, faces ascending, second copies dropped."""
    roll = np.argmin(faces, axis=1)[:, None]
    faces = np.take_along_axis(faces, (np.arange(3) + roll) % 3, axis=1)
    a, b, c = faces.T
    faces = faces[np.lexsort((c, a * (faces.max(initial=0) + 1) + b))]
    return faces[_differs(faces)]


def _used_only(faces: NDArray[Any], count: int) -> tuple[NDArray[np.bool_], Faces]:
    """Which of `count` vertices some face uses, and the faces with indices among those alone."""
    used = np.zeros(count, np.bool_)
    used[faces] = True
    return used, (np.cumsum(used) - 1)[faces].astype(np.int32)


def keep_components(
    vertices: Vertices, faces: Faces, *vertex_attributes: NDArray[Any], min_faces: int
) -> tuple[NDArray[Any], ...]:
    """Drop every part of a mesh that hangs together by shared vertices and has fewer than min_faces faces.

    Returns:
        vertices, faces and attributes of the rest, in their old order; empty arrays where nothing is left.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b, c = faces.T
    edges = (np.concatenate([a, b]), np.concatenate([b, c]))  # two of three edges join all corners
    links = coo_array((np.ones(len(edges[0]), np.int8), edges), shape=(len(vertices), len(vertices)))
    _, part = connected_components(links, directed=False)
    part_of_face = part[a]
    large = np.bincount(part_of_face, minlength=1) >= min_faces
    used, faces = _used_only(faces[large[part_of_face]], len(vertices))
    return vertices[used], faces, *(attribute[used] for attribute in vertex_attributes)


def is_watertight(vertices: Vertices, faces: Faces) -> bool:
    """Whether every edge belongs to exactly two faces, which run along it in opposite directions."""
    import trimesh

    mesh = trimesh.Trimesh(vertices, faces, process=False)
    return bool(mesh.is_watertight and mesh.is_winding_consistent)


def write_ply(path: Path, vertices: Vertices, faces: Faces, attributes: Mapping[str, NDArray[Any]]) -> None:
    """Write a binary PLY that every viewer opens; the same arrays give the same bytes.

    Positions become float32, as the format's readers expect. Fused vertices are float32 values from the
    start, so they read back equal; others come back rounded.

    Args:
        attributes: name to (V) numbers, stored with each vertex in their own type.
    """
    import trimesh

    mesh = trimesh.Trimesh(vertices, faces, process=False, vertex_attributes=dict(attributes))
    content: Any = mesh.export(file_type="ply", vertex_normal=False)
    path.write_bytes(content)


def read_ply(path: Path) -> tuple[Vertices, Faces, dict[str, NDArray[Any]]]:
    """Read the triangles of a PLY file in their own order, and every further number of its vertices by name.

    Raises:
        InputError: `unreadable-mesh` when the file is not a PLY or is cut short; `no-faces` when it holds
            points alone.
    """
    import trimesh

    try:
        mesh: Any = trimesh.load(path, process=False)
        raw = mesh.metadata["_ply_raw"]["vertex"]["data"]
    except (OSError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise InputError(
            "unreadable-mesh", f"{path}: must be a whole PLY file, is not ({error}). Export it again."
        ) from error
    if not len(getattr(mesh, "faces", ())):
        raise InputError("no-faces", f"{path}: must hold triangles, holds none. Mesh the points first.")
    attributes = {name: raw[name].ravel() for name in raw.dtype.names if name not in ("x", "y", "z")}
    return np.array(mesh.vertices, np.float64), np.array(mesh.faces, np.int32), attributes
