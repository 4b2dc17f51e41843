"""A person's surface as one npz: a mesh with its colours and, where it was drawn, the body under it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.npz_file import read_npz, write_npz

Float64 = NDArray[np.float64]

UNPAINTED_RGB = 188  # sRGB of a scan without colours: it reflects half of the light


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BodyBelow:
    """The posed body model that a surface lies on.

    Attributes:
        body_face: (F) int32, face of the body model that each face of the surface lies on.
        body_bary: (F 3 3) float32, row c has corner c's weights of that face's vertices.
        joints_m: (24 3) float64, world frame.
        pose_rad, betas, transl_m: (24 3), (B), (3) float64 of the body.
    """

    body_face: NDArray[np.int32]
    body_bary: NDArray[np.float32]
    joints_m: Float64
    pose_rad: Float64
    betas: Float64
    transl_m: Float64


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Portrayable:
    """What pictures are rendered of.

    Attributes:
        vertices_m: (V 3) float32, world frame, +Y up.
        faces: (F 3) int32, outward.
        vertex_rgb: (V 3) uint8 sRGB.
        body: None for a scan of unknown pose.
    """

    vertices_m: NDArray[np.float32]
    faces: NDArray[np.int32]
    vertex_rgb: NDArray[np.uint8]
    body: BodyBelow | None


def write_portrayable(path: Path, surface: Portrayable) -> None:
    """Write the npz; equal arrays give equal bytes."""
    arrays: dict[str, NDArray[Any]] = {key: getattr(surface, key) for key in _keys(Portrayable)}
    if surface.body is not None:
        arrays |= {key: getattr(surface.body, key) for key in _keys(BodyBelow)}
    write_npz(path, {key: np.ascontiguousarray(array) for key, array in arrays.items()})


def read_portrayable(path: Path) -> Portrayable:
    """Read what `write_portrayable` wrote.

    Raises:
        ValueError: if the file is no whole npz.
    """
    arrays = read_npz(path)
    keys = _keys(BodyBelow)
    body = BodyBelow(**{key: arrays[key] for key in keys}) if keys[0] in arrays else None
    return Portrayable(**{key: arrays[key] for key in _keys(Portrayable)}, body=body)


def _keys(record: type) -> list[str]:
    return [key for key in record.__annotations__ if key != "body"]
