"""Distances along a surface, in metres: how far a wrong correspondence lies from the right one.

A front spreads over the triangles from the source. Each triangle takes the two distances at the ends of an
edge, puts the source into its own plane, and carries the straight way on (Novotni and Klein, "Computing geodesic
distances on triangular meshes", WSCG 2002). So the distance is exact on a plane and on whatever unfolds into one,
where fast marching is of first order. On a sphere of 2,562 vertices, arcs come out 0.3 % short in the median and
1.2 % at most, half of that with each halving of the edges. A vertex that is reached by a shorter way spreads
again, so obtuse triangles need no splitting.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import Body

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GeodesicSurface:
    """A triangle mesh with the faces of each vertex listed; made by `geodesic_surface`."""

    vertices_m: Float64
    faces: Int32
    face_starts: Int32
    face_list: Int32

    def points_m(self, face: Int32, bary: NDArray[np.floating[Any]]) -> Float64:
        """Return places as points (... 3); faces of -1 give the first face's."""
        second, third = np.moveaxis(np.asarray(bary, dtype=np.float64), -1, 0)[..., None]
        a, b, c = np.moveaxis(self.vertices_m[self.faces[np.maximum(face, 0)]], -2, 0)
        return np.asarray(a + second * (b - a) + third * (c - a))

    def distances_from(
        self, face: int, bary: NDArray[np.floating[Any]], *, most_m: float = np.inf
    ) -> Float64:
        """Return the distances (V) of all vertices from one place; inf beyond most_m and where no way leads.

        Args:
            bary: (2,) weights of the face's second and third vertex.

        Raises:
            ValueError: if the surface has no such face.
        """
        from pipeline.correspondences.geodesic_kernels import from_place

        rows = np.array([face], dtype=np.int32)
        self._check(rows, np.asarray(bary)[None])
        if face < 0:
            raise ValueError(
                f"pipeline.correspondences.geodesic: the source must be a face, is {face}. Leave it out."
            )
        return np.asarray(
            from_place(self.points_m(rows, np.asarray(bary)[None])[0], face, self._mesh, most_m)
        )

    def distances_between(
        self,
        places: tuple[Int32, NDArray[np.floating[Any]]],
        others: tuple[Int32, NDArray[np.floating[Any]]],
        *,
        most_m: float = np.inf,
    ) -> Float64:
        """Return the distances (...) between places of two lists, pair by pair.

        Args:
            places: faces (...), -1 for no place, and weights (..., 2) of the second and third vertex.
            most_m: longer ways are not followed; the time of a pair grows with the square of its distance.

        Returns:
            Metres; inf beyond most_m, where no way leads, and where either has no place.

        Raises:
            ValueError: if shapes differ or the surface has no such face.
        """
        from pipeline.correspondences.geodesic_kernels import between_places

        (face, bary), (other_face, other_bary) = places, others
        if face.shape != other_face.shape:
            raise ValueError(
                "pipeline.correspondences.geodesic: both lists must have one shape, have "
                f"{face.shape} and {other_face.shape}"
            )
        self._check(face, bary)
        self._check(other_face, other_bary)
        points = (
            self.points_m(face, bary).reshape(-1, 3),
            self.points_m(other_face, other_bary).reshape(-1, 3),
        )
        rows = face.astype(np.int32).reshape(-1), other_face.astype(np.int32).reshape(-1)
        return np.asarray(between_places(points, rows, self._mesh, most_m)).reshape(face.shape)

    @property
    def _mesh(self) -> tuple[Float64, Int32, Int32, Int32]:
        return self.vertices_m, self.faces, self.face_starts, self.face_list

    def _check(self, face: Int32, bary: NDArray[np.floating[Any]]) -> None:
        good = bary.shape == (*face.shape, 2) and (not face.size or face.max() < len(self.faces))
        if not good or not np.isfinite(bary).all():
            raise ValueError(
                f"pipeline.correspondences.geodesic: places must be faces below {len(self.faces)} and finite "
                f"weights (..., 2), are up to {face.max(initial=-1)} and {bary.shape}"
            )


def geodesic_surface(vertices_m: NDArray[np.floating[Any]], faces: Int32) -> GeodesicSurface:
    """Prepare a mesh; it may be open, of several pieces, and hold faces without area.

    Args:
        vertices_m: (V 3), finite.
        faces: (F 3) rows of vertices_m.

    Raises:
        ValueError: if there is no face, a vertex is not finite, or a face names none.
    """
    if not len(faces) or faces.min() < 0 or faces.max() >= len(vertices_m):
        raise ValueError(
            f"pipeline.correspondences.geodesic: faces must name rows of {len(vertices_m)} vertices, are "
            f"{len(faces)} from {faces.min(initial=0)} to {faces.max(initial=-1)}"
        )
    if not np.isfinite(vertices_m).all():
        count = int(np.count_nonzero(~np.isfinite(vertices_m)))
        raise ValueError(
            f"pipeline.correspondences.geodesic: vertices must be finite, hold {count} values that are not"
        )
    flat = faces.reshape(-1)
    starts = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=len(vertices_m)))])
    return GeodesicSurface(
        vertices_m=np.ascontiguousarray(vertices_m, dtype=np.float64),
        faces=np.ascontiguousarray(faces, dtype=np.int32),
        face_starts=starts.astype(np.int32),
        face_list=(np.argsort(flat, kind="stable") // 3).astype(np.int32),
    )


@cache
def body_surface(body: Body) -> GeodesicSurface:
    """Return the surface of a body in the zero pose at zero betas: where errors are measured, for all alike."""
    vertices_m = body.posed(np.zeros((1, 24, 3)), np.zeros(0), np.zeros(3)).vertices_m[0]
    return geodesic_surface(vertices_m, body.faces)
