"""Depth, part and UV of a body as a camera sees it, and dense correspondences: time and error. Run as a script.

A body that moves needs a new search tree for each frame, so building it counts for Embree. Both renderers get the
same arrays and one thread in alternating rounds, and both go through the same labels; the median counts. Accuracy
is that of the simulated people of the sampler's default distribution, none left out: their charts, cut to 8 bit
as DensePose's results are, and back to the surface, against the places that Embree's rays hit.
"""

from typing import Any

import numpy as np
from alternating import alternate
from numpy.typing import NDArray
from people import draw_people

from pipeline.bodies.model import Body, default_body
from pipeline.cameras import invert_rigid, transform
from pipeline.correspondences.charts import OURS, own_charts
from pipeline.correspondences.geodesic import GeodesicSurface, body_surface
from pipeline.correspondences.scores import geodesic_errors_m, person_similarity
from pipeline.correspondences.surface_points import nearest_vertices, surface_places
from pipeline.labels import body_labels, body_places
from pipeline.zbuffer import visible_faces
from renderers.raycast import RaycastScene
from renderers.views import View

Row = dict[str, Any]
Mesh = tuple[NDArray[Any], NDArray[np.int32]]
Buffers = tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]

SIZE_PX = 256
DECIMATED_FACES = 13_776
POINTS = 200
FAR_M = 1.0  # whoever is farther off is wrong by so much, at least
K = np.array([[330.0, 0, 127.5], [0, 330.0, 127.5], [0, 0, 1]])
WORLD_FROM_CAM = np.array([[1.0, 0, 0, 0], [0, -1, 0, -0.2], [0, 0, -1, 2.4], [0, 0, 0, 1]])
EMBREE = "open3d RaycastingScene, build and cast"


def rows(*, rounds: int = 21, bodies: int = 64, seeds: int = 3) -> list[Row]:
    """All rows of the benchmark `targets` that concern the surface; times in ms, errors in mm."""
    body = default_body()
    return [
        *_raster_rows("13.8k faces", *_decimated(body), rounds),
        *_raster_rows("default body", (_zero_pose(body), body.faces), None, rounds),
        _look_up_row(body, rounds),
        *_people_rows(body, bodies, seeds),
    ]


def _raster_rows(
    name: str,
    mesh: Mesh,
    on_body: tuple[NDArray[np.int32], NDArray[Any]] | None,
    rounds: int,
) -> list[Row]:
    body, (vertices_m, faces) = default_body(), mesh
    points_cam = transform(invert_rigid(WORLD_FROM_CAM), vertices_m)
    view = View(frame=0, K=K, world_from_cam=WORLD_FROM_CAM)

    def labelled(buffers: Buffers) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        face, bary, depth_m = buffers
        place: NDArray[Any] = bary
        if on_body is not None:
            face, place = body_places(face, bary, body_face=on_body[0], body_bary=on_body[1])
        return depth_m, body_labels(face, place, body)

    def cast() -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        hit = RaycastScene(vertices_m, faces, threads=1).visibility(view, height=SIZE_PX, width=SIZE_PX)
        return labelled((hit.face_index, hit.bary, hit.depth_m))

    calls = {
        "ours": lambda: labelled(visible_faces(points_cam, faces, K, height=SIZE_PX, width=SIZE_PX)),
        "peer": cast,
    }
    milliseconds, results = alternate(calls, rounds)
    (depth_m, labels), (true_m, truth) = results["ours"], results["peer"]
    both = (depth_m > 0) & (true_m > 0)
    apart_mm = {"ours": 1e3 * float(np.quantile(np.abs(depth_m - true_m)[both], 0.999))}
    other = {"ours": float(np.mean(labels["surface_part"] != truth["surface_part"]))}
    where = f"{name}, {SIZE_PX}x{SIZE_PX}"
    return [
        _row(f"depth, part and UV of {where}, 1 thread", milliseconds, "ms", most=2.0, peer=EMBREE),
        _row(f"{where}, 99.9 % of depths within", apart_mm, "mm", most=0.01),
        _row(f"{where}, pixels of another part than Embree's", other, "1", most=1e-3),
    ]


def _look_up_row(body: Body, rounds: int) -> Row:
    charts, rng = own_charts(body), np.random.default_rng(0)
    face = rng.integers(0, len(body.faces), POINTS).astype(np.int32)
    part, uv = charts.atlas.at(face, rng.dirichlet([1, 1, 1], POINTS)[:, 1:])

    def by_hand() -> NDArray[Any]:
        # numpy over all corners of all faces: what one writes first.
        apart = np.linalg.norm(charts.atlas.corner_uv[None] - uv[:, None, None], axis=-1)
        apart[charts.atlas.part != part[:, None]] = np.inf
        return body.faces.reshape(-1)[apart.reshape(POINTS, -1).argmin(axis=1)]

    calls = {"ours": lambda: nearest_vertices(charts, part, uv, parametrisation=OURS)}
    milliseconds, results = alternate(calls, rounds)
    slow_ms, slow = alternate({"peer": by_hand}, 1)
    if not np.array_equal(results["ours"], slow["peer"]):
        raise RuntimeError("targets_surface: the nearest vertices must be those of brute force, are not")
    return _row(
        f"nearest vertices of {POINTS} chart points",
        milliseconds | slow_ms,
        "ms",
        most=1.0,
        peer="numpy, all corners",
    )


def _people_rows(body: Body, bodies: int, seeds: int) -> list[Row]:
    surface, found = body_surface(body), []
    for seed in range(seeds):
        for vertices_m, K_crop, world_from_cam in draw_people(body, seed, bodies):
            found.append(_person(body, surface, vertices_m, K_crop, world_from_cam))
    right, place_m, vertex_m = (np.concatenate([person[k] for person in found]) for k in range(3))
    similarity = float(np.mean([person_similarity(person[1]) for person in found]))
    what = f"{len(found)} people through 8-bit charts"
    return [
        _row(f"{what}, pixels of the right part", {"ours": float(right.mean())}, "1", least=0.99),
        _row(f"{what}, geodesic error, median", {"ours": 1e3 * float(np.median(place_m))}, "mm", most=10),
        _row(f"{what}, 99 %", {"ours": 1e3 * float(np.quantile(place_m, 0.99))}, "mm", most=10),
        _row(f"{what}, nearest vertex, median", {"ours": 1e3 * float(np.median(vertex_m))}, "mm", most=10),
        _row(f"{what}, GPS at 0.255 m", {"ours": similarity}, "1", least=0.99),
    ]


def _person(
    body: Body,
    surface: GeodesicSurface,
    vertices_m: NDArray[Any],
    K_crop: NDArray[Any],
    world_from_cam: NDArray[Any],
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Of each pixel that Embree's rays hit: right part, geodesic error of the place, and of the vertex."""
    charts = own_charts(body)
    face, bary, _ = visible_faces(
        transform(invert_rigid(world_from_cam), vertices_m), body.faces, K_crop, height=SIZE_PX, width=SIZE_PX
    )
    labels = body_labels(face, bary, body)
    uv = np.floor(labels["surface_uv"] * 255).astype(np.uint8) / np.float32(255)
    places = surface_places(charts, labels["surface_part"], uv, parametrisation=OURS)
    view = View(frame=0, K=K_crop, world_from_cam=world_from_cam)
    hit = RaycastScene(vertices_m, body.faces, threads=1).visibility(view, height=SIZE_PX, width=SIZE_PX)
    on = hit.face_index >= 0
    truth = hit.face_index[on], hit.bary[on]
    first = surface.face_list[surface.face_starts[np.maximum(places.vertex[on], 0)]]
    corner = (surface.faces[first][:, 1:] == places.vertex[on][:, None]).astype(float)
    first = np.where(places.vertex[on] < 0, -1, first).astype(np.int32)
    return (
        labels["surface_part"][on] == charts.atlas.part[truth[0]],
        geodesic_errors_m(surface, truth, (places.face[on], places.bary[on]), most_m=FAR_M),
        geodesic_errors_m(surface, truth, (first, corner), most_m=FAR_M),
    )


def _decimated(body: Body) -> tuple[Mesh, tuple[NDArray[np.int32], NDArray[Any]]]:
    """The body with fewer faces, and where each corner of those lies on the body."""
    import open3d
    from scipy.spatial import cKDTree

    vertices_m = _zero_pose(body)
    whole = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(vertices_m), open3d.utility.Vector3iVector(body.faces.copy())
    )
    fewer = whole.simplify_quadric_decimation(DECIMATED_FACES)
    points_m, faces = np.asarray(fewer.vertices), np.asarray(fewer.triangles).astype(np.int32)
    row = cKDTree(vertices_m[body.faces].mean(axis=1)).query(points_m[faces].mean(axis=1))[1]
    a, b, c = np.moveaxis(vertices_m[body.faces[row]], 1, 0)
    sides = np.linalg.pinv(np.stack([b - a, c - a], axis=2))
    others = np.einsum("fki,fci->fck", sides, points_m[faces] - a[:, None])
    bary = np.concatenate([1 - others.sum(axis=2, keepdims=True), others], axis=2)
    return (points_m, faces), (row.astype(np.int32), bary.astype(np.float32))


def _zero_pose(body: Body) -> NDArray[np.float64]:
    return np.asarray(body.posed(np.zeros((1, 24, 3)), np.zeros(0), np.zeros(3)).vertices_m[0], np.float64)


def _row(
    name: str,
    values: dict[str, float],
    unit: str,
    *,
    most: float | None = None,
    least: float | None = None,
    peer: str | None = None,
) -> Row:
    """One figure, beside its peer's where there is one; the ratio is the peer's over ours."""
    value, peer_value = values["ours"], values.get("peer")
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer,
        "peer_value": peer_value,
        "ratio": None if peer_value is None else peer_value / value,
        "target": f">= {least:g} {unit}" if most is None else f"<= {most:g} {unit}",
        "holds": value >= (least or 0) if most is None else value <= most,
    }


if __name__ == "__main__":
    import sys

    for row in rows():
        peer = "-" if row["peer_value"] is None else f"{row['peer_value']:10.4g}"
        figures = f"{row['value']:10.4g} {peer:>10} {row['unit']}"
        sys.stdout.write(f"{row['name']:70} {figures}  {row['target']}: {row['holds']}\n")
