"""Compiled fronts over triangle meshes; import only through `pipeline.correspondences.geodesic`."""

from heapq import heappop, heappush
from math import hypot, inf, sqrt
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

# vertices (V 3), faces (F 3), where each vertex's faces start in the list (V + 1), the list
Mesh = tuple[Float64, Int32, Int32, Int32]
Front = tuple[Float64, Int64]  # distance of each vertex, and the number of the front that last reached it

GAIN = 1e-9  # a way must be shorter by this share, so that rounding does not send a front in circles


@njit(nogil=True, cache=True)
def _apart(ax: float, ay: float, az: float, bx: float, by: float, bz: float) -> float:
    return sqrt((ax - bx) * (ax - bx) + (ay - by) * (ay - by) + (az - bz) * (az - bz))


@njit(nogil=True, cache=True)
def across(base: float, from_p: float, from_q: float, to_p: float, to_q: float) -> float:
    """Length of the straight way over an edge into a triangle; inf where no straight way crosses that edge.

    The source is put into the triangle's plane, beyond the edge pq of length `base`, from_p and from_q away
    from its ends; the triangle's third corner lies to_p and to_q away from them.
    """
    if base <= 0.0 or from_p == inf or from_q == inf:
        return inf
    source_x = (base * base + from_p * from_p - from_q * from_q) / (2.0 * base)
    source_y = sqrt(max(from_p * from_p - source_x * source_x, 0.0))
    corner_x = (base * base + to_p * to_p - to_q * to_q) / (2.0 * base)
    corner_y = sqrt(max(to_p * to_p - corner_x * corner_x, 0.0))
    height = source_y + corner_y
    if height <= 0.0:
        return inf
    crossing = source_x + (corner_x - source_x) * source_y / height
    if crossing < 0.0 or crossing > base:
        return inf
    return hypot(corner_x - source_x, height)


@njit(nogil=True, cache=True)
def _reach(vertex: int, way: float, front: Front, number: int, heap: Any) -> None:
    distance, reached = front
    if way < inf and (reached[vertex] != number or way < distance[vertex] * (1.0 - GAIN)):
        distance[vertex], reached[vertex] = way, number
        heappush(heap, (way, np.int64(vertex)))


@njit(nogil=True, cache=True)
def _known(vertex: int, front: Front, number: int) -> float:
    return front[0][vertex] if front[1][vertex] == number else inf


@njit(nogil=True, cache=True)
def _side(vertices: Float64, p: int, q: int) -> float:
    return _apart(
        vertices[p, 0], vertices[p, 1], vertices[p, 2], vertices[q, 0], vertices[q, 1], vertices[q, 2]
    )


@njit(nogil=True, cache=True)
def _pass_on(vertex: Any, mesh: Mesh, front: Front, number: int, heap: Any) -> float:
    """Reach on from a vertex into all its faces, along their edges and straight across; returns the longest edge."""
    vertices, faces, starts, members = mesh
    here, longest = front[0][vertex], 0.0
    for m in range(starts[vertex], starts[vertex + 1]):
        face = members[m]
        p, q = faces[face, 0], faces[face, 1]
        if p == vertex:
            p, q = q, faces[face, 2]
        elif q == vertex:
            q = faces[face, 2]
        to_p, to_q, side = _side(vertices, vertex, p), _side(vertices, vertex, q), _side(vertices, p, q)
        _reach(p, here + to_p, front, number, heap)
        _reach(q, here + to_q, front, number, heap)
        _reach(q, across(to_p, here, _known(p, front, number), to_q, side), front, number, heap)
        _reach(p, across(to_q, here, _known(q, front, number), to_p, side), front, number, heap)
        longest = max(longest, to_p, to_q, side)
    return longest


@njit(nogil=True, cache=True)
def _start(point: Float64, face: int, mesh: Mesh, front: Front, number: int, heap: Any) -> None:
    vertices, faces, _, _ = mesh
    for k in range(3):
        v = faces[face, k]
        way = _apart(point[0], point[1], point[2], vertices[v, 0], vertices[v, 1], vertices[v, 2])
        _reach(v, way, front, number, heap)


@njit(nogil=True, cache=True)
def _into(point: Float64, face: int, mesh: Mesh, front: Front, number: int) -> float:
    """Shortest way known so far to a point inside a face: over its edges or from its corners."""
    vertices, faces, _, _ = mesh
    best = inf
    for k in range(3):
        p, q = faces[face, k], faces[face, (k + 1) % 3]
        to_p = _apart(point[0], point[1], point[2], vertices[p, 0], vertices[p, 1], vertices[p, 2])
        to_q = _apart(point[0], point[1], point[2], vertices[q, 0], vertices[q, 1], vertices[q, 2])
        at_p, at_q = _known(p, front, number), _known(q, front, number)
        best = min(best, at_p + to_p, across(_side(vertices, p, q), at_p, at_q, to_p, to_q))
    return best


@njit(nogil=True, cache=True)
def from_place(point: Float64, face: int, mesh: Mesh, most_m: float) -> Float64:
    """Distances (V) of all vertices from a point of a face; inf beyond most_m and where no way leads."""
    count = len(mesh[0])
    front = np.full(count, inf), np.zeros(count, np.int64)
    heap = [(0.0, np.int64(0))][:0]
    _start(point, face, mesh, front, 1, heap)
    while len(heap) > 0:
        way, vertex = heappop(heap)
        if way > most_m:
            break
        if way <= front[0][vertex]:
            _pass_on(vertex, mesh, front, 1, heap)
    for v in range(count):
        if front[0][v] > most_m:
            front[0][v] = inf
    return front[0]


@njit(nogil=True, cache=True)
def between_places(
    points: tuple[Float64, Float64], faces: tuple[Int32, Int32], mesh: Mesh, most_m: float
) -> Float64:
    """Distances (N) between the points (N 3) of two lists that lie on faces (N); inf beyond most_m.

    A front runs from the first point only as far as the second, and beyond it by the longest edge that it met: no
    corner of a triangle that the straight way crosses is farther. So near pairs cost next to nothing.
    """
    count = len(mesh[0])
    front = np.zeros(count), np.zeros(count, np.int64)
    result = np.full(len(faces[0]), inf)
    for n in range(len(result)):
        source, target, face = points[0][n], points[1][n], faces[1][n]
        if faces[0][n] < 0 or face < 0:
            continue
        if faces[0][n] == face:
            best = _apart(source[0], source[1], source[2], target[0], target[1], target[2])
            result[n] = best if best <= most_m else inf
            continue
        corners = mesh[1][face]
        heap, best, longest = [(0.0, np.int64(0))][:0], inf, 0.0
        _start(source, faces[0][n], mesh, front, n + 1, heap)
        while len(heap) > 0:
            way, vertex = heappop(heap)
            if way > most_m or way > best + longest:
                break
            if way > front[0][vertex]:
                continue
            longest = max(longest, _pass_on(vertex, mesh, front, n + 1, heap))
            if vertex == corners[0] or vertex == corners[1] or vertex == corners[2]:
                best = min(best, _into(target, face, mesh, front, n + 1))
        result[n] = best if best <= most_m else inf
    return result
