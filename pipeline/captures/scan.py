"""Scans of people: meshes from files, in declared units, upright, their vertices in the file's order."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

Float64 = NDArray[np.float64]
Up = Literal["x", "y", "z"]

SUFFIXES = (".obj", ".ply", ".glb")
HEIGHT_M = (0.8, 2.3)  # of a person, standing or not; beyond it the unit is another
# Rows: the file's axes that become x, y (up) and z; even permutations, so that no one is mirrored.
AXES = {"x": [2, 0, 1], "y": [0, 1, 2], "z": [1, 2, 0]}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scan:
    """A person's surface.

    Attributes:
        vertices: (V 3) metres, +Y up, the lowest at y = 0, the middle of its box above the origin.
        faces: (F 3) int32, outward if the file's are.
        vertex_rgb: (V 3) uint8 sRGB; None where the file has none.
    """

    vertices: Float64
    faces: NDArray[np.int32]
    vertex_rgb: NDArray[np.uint8] | None


def read_scan(path: Path, *, unit_m: float, up: Up) -> Scan:
    """Read a mesh file.

    Args:
        unit_m: length in metres of the file's unit: 1 for metres, 0.001 for millimetres.
        up: which of the file's axes points up.

    Raises:
        InputError: capture-missing, unreadable-mesh, no-faces, mesh-malformed, or scan-scale for a person who
            would be smaller than 0.8 or taller than 2.3 m.
    """
    if not path.is_file():
        raise InputError("capture-missing", f"{path}: the scan must be a file, is not there. Mend the path.")
    if path.suffix.lower() not in SUFFIXES:
        kinds = ", ".join(SUFFIXES)
        raise InputError("unreadable-mesh", f"{path}: the scan must be one of {kinds}. Convert it.")
    mesh = _load(path)
    faces = np.asarray(getattr(mesh, "faces", ()), dtype=np.int64).reshape(-1, 3)
    raw = np.asarray(mesh.vertices, dtype=np.float64).reshape(-1, 3)
    if len(faces) == 0:
        raise InputError("no-faces", f"{path}: the scan must hold triangles, holds none. Mesh it first.")
    if not np.isfinite(raw).all() or faces.min() < 0 or faces.max() >= len(raw):
        raise InputError(
            "mesh-malformed",
            f"{path}: vertices must be finite and faces name them, {len(raw)} vertices and faces from "
            f"{faces.min()} to {faces.max()} do not. Export it again.",
        )
    vertices = raw[:, AXES[up]] * unit_m
    low, high = vertices[np.unique(faces)].min(axis=0), vertices[np.unique(faces)].max(axis=0)
    height_m = float(high[1] - low[1])
    if not HEIGHT_M[0] <= height_m <= HEIGHT_M[1]:
        raise InputError(
            "scan-scale",
            f"{path}: a person must be {HEIGHT_M[0]} to {HEIGHT_M[1]} m tall, is {height_m:.3g} m with "
            f'unit_m = {unit_m:g} and up = "{up}". Mend capture.scan.',
        )
    middle = (low + high) / 2
    vertices = vertices - [middle[0], low[1], middle[2]]
    return Scan(vertices=vertices, faces=faces.astype(np.int32), vertex_rgb=_colors(mesh, len(vertices)))


def _load(path: Path) -> Any:
    import trimesh

    try:
        # Neither merged nor split nor reordered: what is measured at vertex i stays at vertex i.
        loaded = trimesh.load(path, process=False, maintain_order=True, skip_materials=True)
        return loaded.to_geometry() if isinstance(loaded, trimesh.Scene) else loaded
    except Exception as error:  # trimesh's parsers raise whatever their formats run into
        raise InputError(
            "unreadable-mesh",
            f"{path}: the scan must be a whole mesh file, is not ({error!r}). Export it again.",
        ) from error


def _colors(mesh: Any, count: int) -> NDArray[np.uint8] | None:
    visual: Any = getattr(mesh, "visual", None)
    if visual is None or visual.kind != "vertex":
        return None
    colors = np.asarray(visual.vertex_colors, dtype=np.uint8)
    return colors[:, :3].copy() if colors.shape[0] == count else None
