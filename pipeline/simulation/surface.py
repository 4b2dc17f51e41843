"""Everything that a picture shows, as one mesh with its colours."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.materials import Material
from pipeline.visibility import vertex_normals

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Surface:
    """A mesh in the world frame with what its colours need.

    Attributes:
        vertices: (V 3) float64, world, metres.
        faces: (F 3) int32, counter-clockwise seen from outside.
        normals: (V 3) float32, world, unit, outwards; smooth where faces share the vertex.
        texture_points: (V 3) float32, metres: where in the solid texture a vertex lies. The rest place of
            cloth, so that its pattern moves with it; the world place of what stands still.
        albedo: (V 3) float32, linear RGB in [0, 1], times the texture.
        openness: (V) float32 in [0, 1], share of the surrounding light that reaches the vertex in spite of
            surfaces that cast no shadow.
        face_material: (F) int32, row of materials.
        casts: (F) bool, whether the face throws shadows; walls around the lamps do not.
    """

    vertices: Float64
    faces: Int32
    normals: Float32
    texture_points: Float32
    albedo: Float32
    openness: Float32
    face_material: Int32
    casts: NDArray[np.bool_]
    materials: tuple[Material, ...]


def painted_surface(
    vertices: Float64,
    faces: Int32,
    *,
    albedo: NDArray[Any],
    material: Material,
    texture_points: NDArray[Any] | None = None,
    normals: NDArray[Any] | None = None,
) -> Surface:
    """A mesh of one material that casts shadows.

    Args:
        albedo: (V 3) or (3,) linear RGB in [0, 1].
        texture_points: (V 3) metres; the vertices themselves unless given.
        normals: (V 3) unit, outwards; angle-weighted from the faces unless given.
    """
    if normals is None:
        normals = vertex_normals(vertices, faces)
    points = vertices if texture_points is None else texture_points
    return Surface(
        vertices=vertices,
        faces=faces.astype(np.int32),
        normals=normals.astype(np.float32),
        texture_points=points.astype(np.float32),
        albedo=np.broadcast_to(np.asarray(albedo, np.float32), vertices.shape).copy(),
        openness=np.ones(len(vertices), np.float32),
        face_material=np.zeros(len(faces), np.int32),
        casts=np.ones(len(faces), np.bool_),
        materials=(material,),
    )


def joined(surfaces: list[Surface]) -> Surface:
    """Several surfaces as one; vertices, faces and materials follow each other in the list's order."""
    vertices = np.cumsum([0, *(len(s.vertices) for s in surfaces)])
    materials = np.cumsum([0, *(len(s.materials) for s in surfaces)])

    def stacked(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(surface, name) for surface in surfaces])

    return Surface(
        vertices=stacked("vertices"),
        faces=np.concatenate([s.faces + n for s, n in zip(surfaces, vertices, strict=False)]).astype(
            np.int32
        ),
        normals=stacked("normals"),
        texture_points=stacked("texture_points"),
        albedo=stacked("albedo"),
        openness=stacked("openness"),
        face_material=np.concatenate(
            [s.face_material + n for s, n in zip(surfaces, materials, strict=False)]
        ).astype(np.int32),
        casts=stacked("casts"),
        materials=tuple(material for surface in surfaces for material in surface.materials),
    )
