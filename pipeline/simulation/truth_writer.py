"""Writes the truth of a simulated capture; its layout and its reader are pipeline/captures/truth.py."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.truth import BODY_FILE, CAMERAS_FILE, INDEX_FILE, SCHEMA, SURFACE_FILE, UNITS

Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrueFrame:
    """What was really there in one frame.

    Attributes:
        world_from_depth, world_from_color: (4 4) rigid, metres, at each camera's own exposure.
        depth_m: (H W) noise-free z at the raw depth pixels; 0 where nothing is hit.
        vertices_m: (V 3) of the person when the depth was exposed, world.
        pose_rad, betas, transl_m: (24 3), (B), (3) of the body.
    """

    world_from_depth: Float64
    world_from_color: Float64
    depth_m: NDArray[np.float32]
    vertices_m: NDArray[np.float32]
    pose_rad: Float64
    betas: Float64
    transl_m: Float64


class TruthWriter:
    """Writes frame by frame; only `close` makes the folder a truth that can be read.

    Args:
        root: the folder, which must not hold a truth yet.
        faces: (F 3) int32, outward.
        vertex_rgb: (V 3) uint8.

    Raises:
        FileExistsError: if a truth stands there already.
    """

    def __init__(self, root: Path, faces: NDArray[np.int32], vertex_rgb: NDArray[np.uint8]) -> None:
        for name in ("mesh", "depth"):
            (root / name).mkdir(parents=True)
        self._root, self._vertices = root, len(vertex_rgb)
        self._mesh, self._mesh_m = "", np.zeros((0, 3), dtype=np.float32)
        self._rows: list[dict[str, Any]] = []
        self._cameras: list[dict[str, Any]] = []
        self._bodies: list[dict[str, Any]] = []
        _write_npz(root / SURFACE_FILE, faces=faces, vertex_rgb=vertex_rgb)

    def append(self, frame: int, true: TrueFrame) -> None:
        """Write one frame; a mesh that is the one before, bit for bit, is only named again.

        Raises:
            ValueError: if the vertices are not as many as their colours.
        """
        if true.vertices_m.shape != (self._vertices, 3):
            raise ValueError(
                f"{self._root}: frame {frame}: vertices must be {(self._vertices, 3)} like their colours, "
                f"are {true.vertices_m.shape}"
            )
        if not self._rows or not np.array_equal(true.vertices_m, self._mesh_m):
            self._mesh, self._mesh_m = f"mesh/{frame:06d}.npz", true.vertices_m.copy()
            _write_npz(self._root / self._mesh, vertices_m=true.vertices_m.astype(np.float32))
        depth = f"depth/{frame:06d}.npz"
        _write_npz(self._root / depth, depth_m=true.depth_m.astype(np.float32))
        self._rows.append({"frame": frame, "mesh": self._mesh, "depth": depth})
        self._cameras.append(
            {
                "frame": frame,
                "world_from_depth": true.world_from_depth,
                "world_from_color": true.world_from_color,
            }
        )
        self._bodies.append(
            {"frame": frame, "pose_rad": true.pose_rad, "betas": true.betas, "transl_m": true.transl_m}
        )

    def close(self) -> None:
        """Write the tables, and the index last."""
        for name, rows in ((CAMERAS_FILE, self._cameras), (BODY_FILE, self._bodies)):
            _write_npz(self._root / name, **{key: np.array([row[key] for row in rows]) for key in rows[0]})
        content = {"schema": SCHEMA, "units": UNITS, "frames": self._rows}
        (self._root / INDEX_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _write_npz(path: Path, **arrays: NDArray[Any]) -> None:
    """Compressed, C order, in the order given; numpy dates every member 1980, so equal arrays give equal bytes."""
    np.savez_compressed(path, **{name: np.ascontiguousarray(array) for name, array in arrays.items()})
