"""Our z-buffer against Embree and Blender: time and, beside it, how far depths are apart; and memory over many frames.

A mesh that deforms from frame to frame needs a new search tree for each, so building it counts; a fused mesh keeps
its own, so it does not. All get the same arrays and threads, in alternating rounds; the median counts. Run as a
script for a table.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil
from alternating import alternate
from numpy.typing import NDArray

from renderers.blender import render_views
from renderers.fused import FusedSurface
from renderers.proof import icosphere
from renderers.raster import rasterise
from renderers.raycast import RaycastScene
from renderers.views import RenderedView, View, Visibility

Row = dict[str, Any]
Mesh = tuple[NDArray[np.float64], NDArray[np.int32]]

EMBREE_ONCE = "open3d RaycastingScene, build and cast"
EMBREE = "open3d RaycastingScene, cast alone, no normals"
BLENDER = "Blender, Cycles, one sample, after its first frame"
VIEWS = 12
WARM = 50  # frames after which a renderer has taken up what it needs


def rows(*, rounds: int = 9) -> list[Row]:
    """All rows of the benchmark `render`; times in ms, depth errors in mm."""
    small = View(frame=0, K=_intrinsics(330.0, 256, 256), world_from_cam=np.eye(4))
    large = View(frame=0, K=_intrinsics(1060.0, 1920, 1080), world_from_cam=np.eye(4))
    return [
        *_case("20k faces, 256x256, 1 thread", body(5), small, (256, 256, 1), rounds, most_ms=3.0),
        *_case("164k faces, 1920x1080, 2 threads", room(6), large, (1080, 1920, 2), rounds, most_ms=60.0),
        *_fused_rows((256, 256), 3, focal_px=330.0, most_ms=20.0),
        *_fused_rows((424, 512), 3, focal_px=600.0, most_ms=30.0),
        *growth_rows(1000),
    ]


def _case(
    name: str, mesh: Mesh, view: View, size: tuple[int, int, int], rounds: int, *, most_ms: float
) -> list[Row]:
    height, width, threads = size
    calls: dict[str, Callable[[], Visibility] | None] = {
        "ours": lambda: rasterise(*mesh, view, height=height, width=width, threads=threads),
        "peer": lambda: RaycastScene(*mesh, threads=threads).visibility(view, height=height, width=width),
    }
    ms, seen = alternate(calls, rounds)
    both = (seen["ours"].face_index >= 0) & (seen["peer"].face_index >= 0)
    apart_mm = 1e3 * np.abs(seen["ours"].depth_m - seen["peer"].depth_m)[both]
    return [
        _row(f"visibility, {name}", ms["ours"], "ms", most_ms, peer=EMBREE_ONCE, peer_value=ms["peer"]),
        _row(
            f"{name}, 99.9 % of depths within",
            float(np.quantile(apart_mm, 0.999)),
            "mm",
            0.01,
            peer=EMBREE_ONCE,
        ),
    ]


def _fused_rows(size: tuple[int, int], rounds: int, *, focal_px: float, most_ms: float) -> list[Row]:
    """One mesh of a fused person's size from many views, one thread each: what bulk rendering costs."""
    (vertices, faces), (height, width) = body(7), size
    views = orbit(VIEWS, _intrinsics(focal_px, width, height))
    surface, scene = FusedSurface(vertices, faces, threads=1), RaycastScene(vertices, faces, threads=1)
    size_hw = {"height": height, "width": width}
    calls: dict[str, Callable[[], Any] | None] = {
        "ours": lambda: [image for image, _ in surface.render(views, **size_hw)],
        "embree": lambda: [scene.visibility(view, **size_hw) for view in views],
        "blender": lambda: _timed(render_views(vertices, faces, views, **size_hw, threads=1)),
    }
    ms, results = alternate(calls, rounds)
    per_view = {name: ms[name] / len(views) for name in ("ours", "embree")}
    blender, frame_ms = results["blender"]
    off_mm = np.concatenate([_apart_mm(a, b) for a, b in zip(results["ours"], blender, strict=True)])
    name = f"fused mesh, {len(faces) // 1000}k faces, {height}x{width}"
    return [
        _row(
            f"depth and normals, {name}", per_view["ours"], "ms", most_ms, peer=BLENDER, peer_value=frame_ms
        ),
        _row(
            f"the same, {name}", per_view["ours"], "ms", most_ms, peer=EMBREE, peer_value=per_view["embree"]
        ),
        _row(f"{name}, depth apart, median", float(np.median(off_mm)), "mm", 0.1, peer=BLENDER),
        _row(f"{name}, depth apart, p99", float(np.quantile(off_mm, 0.99)), "mm", 0.1, peer=BLENDER),
    ]


def _timed(images: Iterator[RenderedView]) -> tuple[list[RenderedView], float]:
    """All images, and the milliseconds of one, without the start of Blender's process."""
    found = [next(images)]
    start = time.perf_counter()
    found += images
    return found, 1e3 * (time.perf_counter() - start) / (len(found) - 1)


def _apart_mm(ours: RenderedView, theirs: RenderedView) -> NDArray[np.float64]:
    both = ours.mask & theirs.mask
    return np.asarray(1e3 * np.abs(ours.depth_m - theirs.depth_m)[both], dtype=np.float64)


def growth_rows(frames: int) -> list[Row]:
    """How much memory each renderer has taken up between its fiftieth frame and its last."""
    directions, faces = icosphere(4)
    views = orbit(frames, _intrinsics(64.0, 64, 64))
    vertices = 0.4 * directions + [0, 0, 2.4]
    me = psutil.Process()
    grown = {}
    before = set(me.children())
    rss = []
    for _ in render_views(vertices, faces, views, height=64, width=64, threads=1, frames_per_process=frames):
        rss.append(next(child for child in me.children() if child not in before).memory_info().rss)
    grown["Blender's process"] = rss[-1] - rss[WARM]
    rss = [
        me.memory_info().rss
        for _ in FusedSurface(vertices, faces, threads=1).render(views, height=64, width=64)
    ]
    grown["the z-buffer's"] = rss[-1] - rss[WARM]
    return [
        _row(f"{name} memory grown over {frames} frames", bytes_ / 1e6, "MB", 5.0, peer=None)
        for name, bytes_ in grown.items()
    ]


def _row(
    name: str, value: float, unit: str, most: float, *, peer: str | None, peer_value: float | None = None
) -> Row:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer,
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


def orbit(count: int, K: NDArray[np.float64]) -> list[View]:
    """Cameras on a circle around the body's axis that look at it."""
    views = []
    for frame, angle in enumerate(np.linspace(0, 2 * np.pi, count, endpoint=False)):
        pose, middle = np.eye(4), np.array([0, 0, 2.4])
        pose[:3, :3] = [[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]]
        pose[:3, 3] = middle - pose[:3, :3] @ middle
        views.append(View(frame=frame, K=K, world_from_cam=pose))
    return views


def _intrinsics(focal_px: float, width: int, height: int) -> NDArray[np.float64]:
    return np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px, (height - 1) / 2], [0, 0, 1]])


if __name__ == "__main__":
    import sys

    for row in rows():
        peer = "-" if row["peer_value"] is None else f"{row['peer_value']:10.4g}"
        figures = f"{row['value']:10.4g} {peer:>10} {row['unit']}"
        sys.stdout.write(f"{row['name']:58} {figures}  {row['target']}: {row['holds']}\n")
