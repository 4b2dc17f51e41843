"""The whole fuse stage against a bare Open3D integration loop: time and, beside it, fit to the raw depth.

The stage reads all frames three times: to count blocks, to integrate, and to hold the mesh against every raw
pixel by ray casting; it checks the poses' direction and brings the mesh into canonical order. The bare loop
reads once, integrates with room for all blocks reserved, and makes no mesh; its own mesh, for the fit, is taken
out untimed. Both use all cores, on the same frames, in alternating rounds; the median counts, of wall time and
of the time that all cores spent, which other programs on the machine disturb less.

The frames are those of a folder of `*.depth.png` (mm), `*.pose.txt` and `camera-intrinsics.txt`: the room under
BODYTRUTH_DATA_ROOT, or a folder given to the script; without one, a simulated orbit around spheres.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, pixel_rays
from pipeline.fusion import DepthView, Views
from pipeline.fusion.bounds import check_volume, estimate_volume
from pipeline.fusion.integrate import fuse
from pipeline.fusion.pose_check import check_pose_direction
from pipeline.fusion.residual import ResidualStats, depth_residual, residual_stats
from renderers.raycast import RaycastScene
from renderers.views import View

Row = dict[str, Any]
Mesh = tuple[NDArray[np.float64], NDArray[np.int32]]

REACH = {"voxel_m": 0.005, "trunc_m": 0.04, "depth_min_m": 0.2, "depth_max_m": 3.0}
MIN_WEIGHT = 2.0
PEER = "open3d VoxelBlockGrid, bare loop"


def rows(*, folder: Path | None = None, rounds: int = 3) -> list[Row]:
    """All rows of the benchmark `fusion`; times in s, residuals in mm over all raw pixels in range."""
    views = _views(folder)
    reserve = estimate_volume(views, **REACH).reserve
    bare_integration(views[:1], reserve)  # compiles and warms
    seconds: dict[str, list[tuple[float, float]]] = {"ours": [], "peer": []}
    for _ in range(rounds):
        ours = _timed(lambda: fuse_stage(views), seconds["ours"])
        grid = _timed(lambda: bare_integration(views, reserve), seconds["peer"])
    mesh = grid.extract_triangle_mesh(MIN_WEIGHT - 0.5)
    peer_mesh = mesh.vertex.positions.numpy().astype(np.float64), mesh.triangle.indices.numpy()
    peer = residual_of(peer_mesh, views)
    name = f"{views.name}, {len(views)} frames"
    ours_s, peer_s = (
        [statistics.median(times) for times in zip(*rounds_s, strict=True)] for rounds_s in seconds.values()
    )
    return [
        _row(f"fuse stage, {name}", ours_s[0], peer_s[0], unit="s", least_ratio=1 / 3),
        _row(f"fuse stage, all cores, {name}", ours_s[1], peer_s[1], unit="s", least_ratio=1 / 3),
        _row(
            f"residual median, {name}", 1e3 * ours.median_m, 1e3 * peer.median_m, unit="mm", least_ratio=1.0
        ),
        _row(f"residual p90, {name}", 1e3 * ours.p90_m, 1e3 * peer.p90_m, unit="mm", least_ratio=1.0),
        _row(f"raw pixels missed, {name}", 1 - ours.coverage, 1 - peer.coverage, unit="1", least_ratio=1.0),
    ]


def _timed(call: Callable[[], Any], seconds: list[tuple[float, float]]) -> Any:
    wall, cores = time.perf_counter(), time.process_time()
    result = call()
    seconds.append((time.perf_counter() - wall, time.process_time() - cores))
    return result


def fuse_stage(views: Views) -> ResidualStats:
    """Everything that the stage `fuse` computes, from frames to figures."""
    check_pose_direction(views, depth_min_m=REACH["depth_min_m"], depth_max_m=REACH["depth_max_m"])
    estimate = estimate_volume(views, **REACH)
    limits = {name: REACH[name] for name in ("voxel_m", "trunc_m", "depth_max_m")}
    check_volume(estimate, **limits, limit_gb=8.0)
    mesh = fuse(views, **REACH, min_weight=MIN_WEIGHT, block_count=estimate.reserve)
    return residual_of((mesh.vertices, mesh.faces), views)


def residual_of(mesh: Mesh, views: Views) -> ResidualStats:
    scene = RaycastScene(*mesh, threads=os.cpu_count() or 1)
    depth_range = {name: REACH[name] for name in ("depth_min_m", "depth_max_m")}
    counts = np.zeros(1, np.int64)
    for index in range(len(views)):
        view = views[index]
        height, width = view.depth_m.shape
        camera = View(frame=index, K=view.K, world_from_cam=view.world_from_cam)
        surface_m = scene.visibility(camera, height=height, width=width).depth_m
        counts = counts + depth_residual(view.depth_m, surface_m, **depth_range)
    return residual_stats(counts)


def bare_integration(views: Views, block_count: int) -> Any:
    """Open3D's own loop, as its reconstruction system writes it; returns the grid."""
    import open3d as o3d
    from open3d.core import Tensor

    float32, cpu = o3d.core.float32, o3d.core.Device("CPU:0")
    voxel_m, trunc_voxels = REACH["voxel_m"], REACH["trunc_m"] / REACH["voxel_m"]
    grid = o3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight"), (float32, float32), ((1), (1)), voxel_m, 16, block_count, cpu
    )
    for index in range(len(views)):
        view = views[index]
        depth = o3d.t.geometry.Image(Tensor(view.depth_m))
        K, pose = Tensor(view.K), Tensor(invert_rigid(view.world_from_cam))
        reach = (1.0, REACH["depth_max_m"], trunc_voxels)
        blocks = grid.compute_unique_block_coordinates(depth, K, pose, *reach)
        grid.integrate(blocks, depth, K, pose, *reach)
    return grid


def _row(name: str, value: float, peer_value: float, *, unit: str, least_ratio: float) -> Row:
    """One figure beside its peer's; ratio = peer's / ours, so larger is better for us throughout."""
    ratio = peer_value / value if value else None
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": PEER,
        "peer_value": peer_value,
        "ratio": ratio,
        "target": f"ratio >= {least_ratio:.2g}",
        "holds": ratio is None or ratio >= least_ratio,
    }


class FolderViews:
    """Frames decoded from a folder on demand."""

    def __init__(self, folder: Path) -> None:
        self.name, self.paths = folder.name, sorted(folder.glob("*.depth.png"))
        self.K = np.loadtxt(folder / "camera-intrinsics.txt")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int | slice) -> Any:
        import cv2

        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        path = self.paths[index]
        depth_mm = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        depth_m = np.where(depth_mm == 65535, 0, depth_mm).astype(np.float32) / np.float32(1000)
        pose = np.loadtxt(path.with_name(path.name.replace(".depth.png", ".pose.txt")))
        return DepthView(depth_m=depth_m, K=self.K, world_from_cam=pose)


class OrbitViews(list[DepthView]):
    """A simulated turn around three spheres in front of nothing, 320x240, rounded to millimetres."""

    name = "simulated orbit"

    def __init__(self, count: int) -> None:
        super().__init__(self._view(2 * np.pi * index / count) for index in range(count))

    @staticmethod
    def _view(angle_rad: float) -> DepthView:
        K = np.array([[280.0, 0, 159.5], [0, 280, 119.5], [0, 0, 1]])
        cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
        world_from_cam = np.eye(4)
        world_from_cam[:3, :3] = [[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]]
        world_from_cam[:3, 3] = [1.2 * sine, 0, -1.2 * cosine]
        rays, depth_m = pixel_rays(K, 240, 320), np.full((240, 320), np.inf)
        for *centre, radius in ((0, 0, 0, 0.25), (0.2, -0.3, 0, 0.1), (-0.1, 0.2, 0.2, 0.12)):
            centre_cam = (np.array(centre) - world_from_cam[:3, 3]) @ world_from_cam[:3, :3]
            a, b = (rays**2).sum(axis=-1), rays @ centre_cam
            square = b**2 - a * (centre_cam @ centre_cam - radius**2)
            hit = np.where(square > 0, (b - np.sqrt(np.maximum(square, 0))) / a, np.inf)
            depth_m = np.minimum(depth_m, hit)
        depth_m = np.where(np.isfinite(depth_m), np.round(depth_m, 3), 0).astype(np.float32)
        return DepthView(depth_m=depth_m, K=K, world_from_cam=world_from_cam)


def _views(folder: Path | None) -> Any:
    told = os.environ.get("BODYTRUTH_DATA_ROOT")
    folder = folder or (Path(told) / "7scenes-room" if told else None)
    return FolderViews(folder) if folder and folder.is_dir() else OrbitViews(30)


def table(found: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [f"{'':45} {'ours':>10} {'peer':>10} {'unit':4} {'ratio':>6}  target / holds / peer"]
    for row in found:
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.3g}"
        lines.append(
            f"{row['name']:45} {row['value']:10.4g} {row['peer_value']:10.4g} {row['unit']:4} {ratio:>6}  "
            f"{row['target']} / {row['holds']} / {row['peer']}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(rows(folder=Path(sys.argv[1]) if len(sys.argv) > 1 else None)))  # noqa: T201
