"""Visibility of a mesh that is seen once: our z-buffer against Embree (build and cast); time and, beside it, error.

A mesh that deforms from frame to frame needs a new search tree for each, so building it counts. Both get the
same arrays and threads, in alternating rounds; the median counts. Run as a script for a table.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renderers.proof import icosphere
from renderers.raster import rasterise
from renderers.raycast import RaycastScene
from renderers.views import View, Visibility

Row = dict[str, Any]
Mesh = tuple[NDArray[np.float64], NDArray[np.int32]]

PEER = "open3d RaycastingScene, build and cast"


def rows(*, rounds: int = 9) -> list[Row]:
    """All rows of the benchmark `render`; times in ms, depth errors in mm."""
    small = View(frame=0, K=_intrinsics(330.0, 256, 256), world_from_cam=np.eye(4))
    large = View(frame=0, K=_intrinsics(1060.0, 1920, 1080), world_from_cam=np.eye(4))
    return [
        *_case("20k faces, 256x256, 1 thread", body(5), small, (256, 256, 1), rounds, most_ms=3.0),
        *_case("164k faces, 1920x1080, 2 threads", room(6), large, (1080, 1920, 2), rounds, most_ms=60.0),
    ]


def _case(
    name: str, mesh: Mesh, view: View, size: tuple[int, int, int], rounds: int, *, most_ms: float
) -> list[Row]:
    height, width, threads = size
    calls: dict[str, Callable[[], Visibility]] = {
        "ours": lambda: rasterise(*mesh, view, height=height, width=width, threads=threads),
        "peer": lambda: RaycastScene(*mesh, threads=threads).visibility(view, height=height, width=width),
    }
    seen = {key: call() for key, call in calls.items()}  # compiles and warms
    seconds: dict[str, list[float]] = {key: [] for key in calls}
    for _ in range(rounds):
        for key, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[key].append(time.perf_counter() - start)
    ms = {key: 1e3 * statistics.median(times) for key, times in seconds.items()}
    both = (seen["ours"].face_index >= 0) & (seen["peer"].face_index >= 0)
    apart_mm = 1e3 * np.abs(seen["ours"].depth_m - seen["peer"].depth_m)[both]
    return [
        _row(f"visibility, {name}", ms["ours"], "ms", most_ms, peer_value=ms["peer"]),
        _row(f"{name}, 99.9 % of depths within", float(np.quantile(apart_mm, 0.999)), "mm", 0.01),
    ]


def _row(name: str, value: float, unit: str, most: float, *, peer_value: float | None = None) -> Row:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": PEER,
        "peer_value": peer_value,
        "ratio": None if peer_value is None else peer_value / value,
        "target": f"<= {most:g} {unit}",
        "holds": value <= most,
    }


def body(subdivisions: int) -> Mesh:
    """A bumpy closed surface of a person's size, 2.4 m before the camera."""
    directions, faces = icosphere(subdivisions)
    x, y, z = directions.T
    radius_m = 0.5 * (1 + 0.15 * np.sin(5 * x + 1) * np.cos(4 * y) + 0.05 * np.sin(17 * z + 3 * x))
    return radius_m[:, None] * directions * [0.5, 1.8, 0.4] + [0, 0, 2.4], faces


def room(subdivisions: int) -> Mesh:
    """Two such bodies, one partly before the other, in a box around the camera."""
    vertices, faces = body(subdivisions)
    corners = np.array([[x, y, z] for x in (-2.0, 2.0) for y in (-1.3, 1.3) for z in (-2.0, 5.0)])
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    box = np.array([t for a, b, c, d in sides for t in ((a, b, c), (a, c, d))], dtype=np.int32)
    count = len(vertices)
    parts = [faces, faces + count, box + 2 * count]
    return np.concatenate([vertices, vertices + [0.1, 0, 0.05], corners]), np.concatenate(parts)


def _intrinsics(focal_px: float, width: int, height: int) -> NDArray[np.float64]:
    return np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])


if __name__ == "__main__":
    import sys

    for row in rows():
        peer = "-" if row["peer_value"] is None else f"{row['peer_value']:10.4g}"
        figures = f"{row['value']:10.4g} {peer:>10} {row['unit']}"
        sys.stdout.write(f"{row['name']:58} {figures}  {row['target']}: {row['holds']}\n")
