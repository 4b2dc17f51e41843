"""Fusion against Open3D's voxel block grid: time and memory of integration, and beside them what came out.

- A frame into a volume that holds the frames before it: `Volume.integrate` and Open3D's own two calls, on the
  same frames in alternating rounds; wall time and the time of all cores, which other programs disturb less.
- The same at 2 cm and 10 cm, against the CPU mode of tsdf-fusion-python, from its folder (`bench --peer`)
  or null. It is fed the same depth; its volume is that of the frames' frusta.
- The whole stage, which reads all frames three times, against Open3D's bare loop, and the fit of both meshes.

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
from pipeline.fusion import DepthView, Views, clip_depth
from pipeline.fusion.bounds import check_volume, estimate_volume
from pipeline.fusion.integrate import fuse
from pipeline.fusion.pose_check import check_pose_direction
from pipeline.fusion.residual import ResidualStats, depth_residual, residual_stats
from pipeline.fusion.volume import Volume
from renderers.raycast import RaycastScene
from renderers.views import View

Row = dict[str, Any]
Mesh = tuple[NDArray[np.float64], NDArray[np.int32]]

RANGE = {"depth_min_m": 0.2, "depth_max_m": 3.0}
REACH = {"voxel_m": 0.005, "trunc_m": 0.04, **RANGE}
MIN_WEIGHT = 2.0
FRAMES = 20  # integrated per round
PEER = "open3d VoxelBlockGrid"
BLOCKS = 6000  # of 16^3, room for a room


def rows(*, folder: Path | None = None, rounds: int = 3) -> list[Row]:
    """All rows of the benchmark `fusion`."""
    views = views_of(folder)
    return [
        *integration_rows(views, rounds),
        *stage_rows(views, rounds),
    ]


def integration_rows(views: Any, rounds: int) -> list[Row]:
    """Milliseconds a frame, of the wall and of all cores, at 5 mm and at 2 cm."""
    frames = [clip_depth(views[index], *RANGE.values()) for index in range(min(FRAMES, len(views)))]
    found = []
    for voxel_m, trunc_m, least in ((0.005, 0.04, 2.8), (0.02, 0.1, None)):
        times: dict[str, list[tuple[float, float]]] = {"ours": [], "peer": []}
        for number in range(rounds + 1):  # the first compiles and warms
            volume = Volume(voxel_m=voxel_m, trunc_m=trunc_m, limit_gb=4.0)
            grid = empty_grid(voxel_m)
            for frame in frames:
                into: dict[str, list[tuple[float, float]]] = times if number else {"ours": [], "peer": []}
                _timed(lambda frame=frame, volume=volume: volume.integrate(frame), into["ours"])
                _timed(
                    lambda frame=frame, grid=grid, b=trunc_m / voxel_m: add_frame(grid, frame, b),
                    into["peer"],
                )
        ours, peer = (1e3 * np.median(times[name], axis=0) for name in ("ours", "peer"))
        what = f"a frame, {1e3 * voxel_m:g} mm / {1e2 * trunc_m:g} cm, {views.name}"
        found.append(row_of(f"{what}", ours[0], peer[0], unit="ms", least_ratio=least))
        found.append(row_of(f"{what}, all cores", ours[1], peer[1], unit="ms", least_ratio=least))
    slow_ms = _loop_ms(frames[0])
    found.append(
        row_of(f"{what}", ours[0], slow_ms, unit="ms", least_ratio=500.0, peer="tsdf-fusion-python, CPU")
    )
    return found


def empty_grid(voxel_m: float) -> Any:
    import open3d as o3d

    float32, cpu = o3d.core.float32, o3d.core.Device("CPU:0")
    return o3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight"), (float32, float32), ((1), (1)), voxel_m, 16, BLOCKS, cpu
    )


def add_frame(grid: Any, view: DepthView, trunc_voxels: float) -> None:
    """Open3D's own loop, as its reconstruction system writes it."""
    import open3d as o3d
    from open3d.core import Tensor

    depth = o3d.t.geometry.Image(Tensor(view.depth_m))
    K, pose = Tensor(view.K), Tensor(invert_rigid(view.world_from_cam))
    reach = (1.0, REACH["depth_max_m"], float(trunc_voxels))
    grid.integrate(grid.compute_unique_block_coordinates(depth, K, pose, *reach), depth, K, pose, *reach)


def _loop_ms(view: DepthView) -> float | None:
    """Milliseconds that tsdf-fusion-python takes for a frame at 2 cm; None without its folder."""
    told = os.environ.get("BODYTRUTH_PEER_TSDF_FUSION_PYTHON")
    if not told:
        return None
    sys.path.insert(0, told)
    from unittest import mock

    with mock.patch.dict("sys.modules", {"pycuda": None, "pycuda.driver": None}):
        import fusion  # type: ignore[import-not-found]
    points = fusion.get_view_frustum(view.depth_m, view.K, view.world_from_cam)
    bounds = np.stack([points.min(axis=1), points.max(axis=1)], axis=1)
    volume, colour = (
        fusion.TSDFVolume(bounds, voxel_size=0.02, use_gpu=False),
        np.zeros((*view.depth_m.shape, 3)),
    )
    seconds: list[tuple[float, float]] = []
    for _ in range(2):  # the first compiles
        _timed(
            lambda: volume.integrate(colour, view.depth_m, view.K, view.world_from_cam, obs_weight=1.0),
            seconds,
        )
    return 1e3 * seconds[-1][0]


def stage_rows(views: Any, rounds: int) -> list[Row]:
    """The whole stage, and how well its mesh fits all raw pixels in range."""
    seconds: dict[str, list[tuple[float, float]]] = {"ours": [], "peer": []}
    for _ in range(rounds):
        ours = _timed(lambda: fuse_stage(views), seconds["ours"])
        grid = _timed(lambda: bare_integration(views), seconds["peer"])
    mesh = grid.extract_triangle_mesh(MIN_WEIGHT - 0.5)
    peer_mesh = mesh.vertex.positions.numpy().astype(np.float64), mesh.triangle.indices.numpy()
    peer = residual_of(peer_mesh, views)
    name = f"{views.name}, {len(views)} frames"
    ours_s, peer_s = (
        [statistics.median(times) for times in zip(*rounds_s, strict=True)] for rounds_s in seconds.values()
    )
    medians_mm = 1e3 * ours.median_m, 1e3 * peer.median_m
    return [
        row_of(f"fuse stage, {name}", ours_s[0], peer_s[0], unit="s", least_ratio=1 / 3),
        row_of(f"fuse stage, all cores, {name}", ours_s[1], peer_s[1], unit="s", least_ratio=1 / 3),
        row_of(f"residual median, {name}", *medians_mm, unit="mm", least_ratio=1.0),
        row_of(f"residual p90, {name}", 1e3 * ours.p90_m, 1e3 * peer.p90_m, unit="mm", least_ratio=1.0),
        row_of(f"raw pixels missed, {name}", 1 - ours.coverage, 1 - peer.coverage, unit="1", least_ratio=1.0),
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
    mesh = fuse(views, **REACH, min_weight=MIN_WEIGHT, block_count=estimate.blocks)
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


def bare_integration(views: Views) -> Any:
    """All frames through Open3D's own loop; returns the grid."""
    grid = empty_grid(REACH["voxel_m"])
    for index in range(len(views)):
        add_frame(grid, views[index], REACH["trunc_m"] / REACH["voxel_m"])
    return grid


def row_of(
    name: str,
    value: float,
    peer_value: float | None,
    *,
    unit: str,
    least_ratio: float | None,
    peer: str = PEER,
) -> Row:
    """One figure beside its peer's; ratio = peer's / ours, so larger is better for us throughout."""
    ratio = peer_value / value if value and peer_value is not None else None
    target = None if least_ratio is None else f"ratio >= {least_ratio:.2g}"
    holds = None if ratio is None or least_ratio is None else bool(ratio >= least_ratio)
    figures = {"value": float(value), "unit": unit, "peer": peer, "peer_value": peer_value}
    return {"name": name, **figures, "ratio": ratio, "target": target, "holds": holds}


class FolderViews:
    """Frames decoded from a folder on demand."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name, self.paths = folder, folder.name, sorted(folder.glob("*.depth.png"))
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


def views_of(folder: Path | None) -> Any:
    told = os.environ.get("BODYTRUTH_DATA_ROOT")
    folder = folder or (Path(told) / "7scenes-room" if told else None)
    return FolderViews(folder) if folder and folder.is_dir() else OrbitViews(30)


def table(found: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [f"{'':52} {'ours':>10} {'peer':>10} {'unit':4} {'ratio':>6}  target / holds / peer"]
    for row in found:
        ratio, peer = (
            "-" if row[name] is None else f"{row[name]:.{digits}g}"
            for name, digits in (("ratio", 3), ("peer_value", 4))
        )
        lines.append(
            f"{row['name']:52} {row['value']:10.4g} {peer:>10} {row['unit']:4} {ratio:>6}  "
            f"{row['target']} / {row['holds']} / {row['peer']}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(rows(folder=Path(sys.argv[1]) if len(sys.argv) > 1 else None)))  # noqa: T201
