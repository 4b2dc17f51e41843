"""The 256 ways in which a surface can pass between the corners of a cube, as triangles between its edges.

Lorensen and Cline, "Marching Cubes", SIGGRAPH 1987, with the table derived instead of listed. On each face of
the cube the outline of the surface follows from that face's four signs alone: every run of neighbouring inner
corners is cut off by one segment, so that two inner corners across a face are always parted. Cubes that share a
face therefore agree on it, whatever their other corners are, and the surface has no gaps between them. The
segments of all faces close into loops, and loops are cut into triangles by diagonals inside the cube.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Loop = list[int]
Triangles = tuple[tuple[int, int, int], ...]

# Corner c lies at (c & 1, c >> 1 & 1, c >> 2). An edge has the number 3 * (its lower corner) + (its axis).
EDGES = 24


def edge_between(first: int, second: int) -> int:
    """Number of the edge between two neighbouring corners."""
    return 3 * min(first, second) + (first ^ second).bit_length() - 1


def cube_faces() -> list[tuple[int, int, int, int]]:
    """The corners of each face, counter-clockwise seen from outside."""
    faces = []
    for axis in range(3):
        right, up = 1 << (axis + 1) % 3, 1 << (axis + 2) % 3
        ring = (0, right, right | up, up)
        faces.append(tuple(corner | 1 << axis for corner in ring))
        faces.append(ring[::-1])
    return faces  # type: ignore[return-value]


def surface_loops(case: int) -> list[Loop]:
    """Closed rows of edges along which the surface leaves the cube; bit c of case says that corner c is inside."""
    following = {}
    for face in cube_faces():
        inside = [bool(case >> corner & 1) for corner in face]
        for n in range(4):
            if inside[n] and not inside[n - 1]:  # a run of inner corners begins
                last = next(m for m in range(n, n + 4) if not inside[(m + 1) % 4])
                entry = edge_between(face[n - 1], face[n])
                following[entry] = edge_between(face[last % 4], face[(last + 1) % 4])
    loops = []
    while following:
        loop = [min(following)]
        while following[loop[-1]] != loop[0]:
            loop.append(following[loop[-1]])
        for edge in loop:
            del following[edge]
        loops.append(loop)
    return loops


def triangulate(loop: Loop) -> Triangles:
    """Cut a loop into triangles, with as few diagonals as can be that run along a face of the cube.

    There a neighbouring cube may have one too, and an edge of four faces is no surface's.
    """

    @cache
    def best(first: int, last: int) -> tuple[int, Triangles]:
        if last - first < 2:
            return 0, ()
        ways = []
        for middle in range(first + 1, last):
            left, right = best(first, middle), best(middle, last)
            bad = sum(
                end - start > 1 and on_one_face(loop[start], loop[end])
                for start, end in ((first, middle), (middle, last))
            )
            triangle = (loop[first], loop[middle], loop[last])
            ways.append((left[0] + right[0] + bad, (*left[1], triangle, *right[1])))
        return min(ways)

    return best(0, len(loop) - 1)[1]


def on_one_face(first: int, second: int) -> bool:
    """Whether two edges of the cube lie on a common face."""
    corners = [corner for edge in (first, second) for corner in (edge // 3, edge // 3 | 1 << edge % 3)]
    return any(len({corner >> axis & 1 for corner in corners}) == 1 for axis in range(3))


@cache
def triangle_table() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Edges of each case's triangles (256 T 3), and how many triangles those are (256).

    Triangles are counter-clockwise seen from outside the surface.
    """
    cases = [[t for loop in surface_loops(case) for t in triangulate(loop)] for case in range(256)]
    count = np.array([len(triangles) for triangles in cases], np.uint8)
    table = np.zeros((256, count.max(), 3), np.uint8)
    for case, triangles in enumerate(cases):
        table[case, : len(triangles)] = np.array(triangles, np.uint8).reshape(-1, 3)
    return table, count
