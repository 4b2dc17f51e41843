"""Voxels of a body against Open3D and trimesh: time and, beside it, error. Run as a script for a table.

Ours uses one core, the others as many as they like. All get the same vertices in voxels (float32 values, so that no
one rounds them) and run in alternating rounds; the median counts. Open3D's occupancy is asked once a centre, its
fastest setting. trimesh marks the voxels that the surface passes and fills what they enclose: another solid.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from alternating import alternate
from numpy.typing import NDArray

from pipeline.bodies.model import default_body
from pipeline.voxels.grids import CUBE, TALL
from pipeline.voxels.occupancy import occupancy
from pipeline.voxels.packing import pack, packed_iou
from pipeline.voxels.surface import surface_from_voxels

Row = dict[str, Any]
Mesh = tuple[NDArray[Any], NDArray[Any]]

DECIMATED_FACES = 13_800
MARGIN = 1.05
LEAST_IOU = 0.999
MOST_MS = {CUBE: 1.2}


def rows(*, rounds: int = 7) -> list[Row]:
    """All rows of the benchmark `targets` that concern voxels; times in ms."""
    found = []
    for faces_name, mesh in {"13.8k faces": _decimated(), "default body": _body()}.items():
        for shape in (CUBE, TALL):
            found += _body_rows(f"{'x'.join(map(str, shape))}, {faces_name}", mesh, shape, rounds)
    return [*found, *_sphere_rows(), *_surface_rows(rounds)]


def _body_rows(name: str, mesh: Mesh, shape: tuple[int, int, int], rounds: int) -> list[Row]:
    vertices, faces = _fitted(mesh, shape)
    calls = {
        "ours": lambda: occupancy(vertices, faces, shape),
        "open3d": _open3d(vertices, faces, shape),
        "trimesh": lambda: _trimesh(vertices, faces, shape),
    }
    milliseconds, volumes = alternate(calls, rounds)
    most, truth = MOST_MS.get(shape), pack(volumes["open3d"])
    off = float(np.count_nonzero(volumes["ours"] != volumes["open3d"]))
    iou = {peer: float(packed_iou(pack(volume), truth)) for peer, volume in volumes.items()}
    return [
        _row(f"voxels {name}", milliseconds, "ms", "open3d", most=most),
        _row(f"voxels {name}", milliseconds, "ms", "trimesh", most=most),
        _row(f"voxels {name}, other than open3d's", {"ours": off}, "1", "open3d", most=0),
        _row(f"voxels {name}, IoU with open3d's", iou, "1", "trimesh", least=LEAST_IOU),
    ]


def _sphere_rows() -> list[Row]:
    """Against the ball's own equation."""
    import trimesh

    radius, middle = 55.0, np.array([63.4, 63.7, 63.1])
    ball = trimesh.creation.icosphere(6, radius)
    vertices = (np.array(ball.vertices) + middle).astype(np.float32)
    centres = np.stack(np.meshgrid(*map(np.arange, CUBE), indexing="ij"), axis=-1) - middle
    truth = pack((centres**2).sum(axis=-1) < radius**2)
    volumes = {
        "ours": occupancy(vertices, ball.faces, CUBE),
        "open3d": _open3d(vertices, ball.faces, CUBE)(),
        "trimesh": _trimesh(vertices, ball.faces, CUBE),
    }
    iou = {peer: float(packed_iou(pack(volume), truth)) for peer, volume in volumes.items()}
    return [_row("voxels of a ball, IoU", iou, "1", peer, least=LEAST_IOU) for peer in ("open3d", "trimesh")]


def _surface_rows(rounds: int) -> list[Row]:
    vertices, faces = _fitted(_body(), CUBE)
    inside = occupancy(vertices, faces, CUBE)
    calls = {"ours": lambda: surface_from_voxels(inside, np.eye(4))}
    milliseconds, meshes = alternate(calls, rounds)
    again = occupancy(*meshes["ours"], CUBE)
    iou = {"ours": float(packed_iou(pack(again), pack(inside)))}
    return [
        _row("surface of 128x128x128, default body", milliseconds, "ms", None, most=20),
        _row("voxels -> surface -> voxels, IoU", iou, "1", None, least=1.0),
    ]


def _open3d(vertices: NDArray[Any], faces: NDArray[Any], shape: tuple[int, int, int]) -> Callable[[], Any]:
    """A new tree each time, as each body has a new pose; the centres are made once."""
    import open3d

    points = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).astype(np.float32)
    corners = faces.astype(np.uint32)

    def inside() -> NDArray[np.bool_]:
        scene = open3d.t.geometry.RaycastingScene()
        scene.add_triangles(open3d.core.Tensor(vertices), open3d.core.Tensor(corners))
        return np.asarray(scene.compute_occupancy(open3d.core.Tensor(points)).numpy() > 0.5)

    return inside


def _trimesh(vertices: NDArray[Any], faces: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    import trimesh

    filled: Any = trimesh.Trimesh(vertices, faces, process=False).voxelized(1.0).fill()
    places = filled.sparse_indices + np.round(filled.translation).astype(int)
    inside = np.zeros(shape, np.bool_)
    inside[tuple(places[((places >= 0) & (places < shape)).all(axis=1)].T)] = True
    return inside


def _body() -> Mesh:
    body = default_body()
    return body.posed(np.zeros((1, 24, 3)), np.zeros(10), np.zeros(3)).vertices_m[0], body.faces


def _decimated() -> Mesh:
    import open3d

    vertices_m, faces = _body()
    mesh = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(vertices_m), open3d.utility.Vector3iVector(faces.copy())
    ).simplify_quadric_decimation(DECIMATED_FACES)
    return np.array(mesh.vertices), np.array(mesh.triangles)


def _fitted(mesh: Mesh, shape: tuple[int, int, int]) -> Mesh:
    """The mesh in voxels, its box in the middle of the grid and as large as fits."""
    low, high = mesh[0].min(axis=0), mesh[0].max(axis=0)
    voxel_m = ((high - low) * MARGIN / shape).max()
    places = (mesh[0] - (low + high) / 2) / voxel_m + (np.array(shape) - 1) / 2
    return places.astype(np.float32), mesh[1]


def _row(
    name: str,
    values: dict[str, float],
    unit: str,
    peer: str | None,
    *,
    most: float | None = None,
    least: float | None = None,
) -> Row:
    """One figure beside its peer's; ratio = peer's / ours; `target` is empty where none was set."""
    value, peer_value = values["ours"], values.get(peer or "")
    ratio = peer_value / value if peer_value is not None and value else None
    target, holds = "", None
    if most is not None:
        target, holds = f"<= {most:g} {unit}", value <= most
    if least is not None:
        target, holds = f">= {least:g}", value >= least
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer or "-",
        "peer_value": peer_value,
        "ratio": ratio,
        "target": target,
        "holds": holds,
    }


def table(found: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [f"{'':58} {'ours':>10} {'peer':>10} {'unit':4} {'ratio':>8}  target / holds / peer"]
    for row in found:
        peer = "-" if row["peer_value"] is None else f"{row['peer_value']:10.6g}"
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:8.3g}"
        figures = f"{row['value']:10.6g} {peer:>10} {row['unit']:4} {ratio:>8}"
        lines.append(f"{row['name']:58} {figures}  {row['target']} / {row['holds']} / {row['peer']}")
    return "\n".join(lines)


if __name__ == "__main__":
    import sys

    sys.stdout.write(table(rows()) + "\n")
