"""Tracking without poses: path and surface against truth, and accuracy and time beside Open3D's SLAM pipeline.

The turn is 60 frames once around a simulated person in a room (`filmed_turn`), where the truth is known; beside the
fused surface's error stands that of the raw depth, of all pixels on the person along the true path. The room is the
one under BODYTRUTH_DATA_ROOT; its rows are left out where there is none. Both trackers run in alternation on the same
frames, decoded beforehand; the time that all cores spent counts beside the wall's, since other programs disturb it
less. Ours counts the refined path and the integration of all frames along it. The residual is that of one measure for
all: depth against a volume of 5 mm voxels that is fused along each path, seen at every sixth frame, below 2.5 m.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filmed_turn import FilmedTurn, film_turn
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, pixel_rays, transform
from pipeline.captures.opening import open_capture
from pipeline.fusion import DepthView
from pipeline.fusion.tracking import Track, TrackFrame, TrackSettings
from pipeline.fusion.tracking.track import track
from pipeline.fusion.volume import Volume

Row = dict[str, Any]
Float64 = NDArray[np.float64]

PEER, RAW = "open3d.t.pipelines.slam", "raw depth"
VOXEL_M, FAR_M, TRUNC_M = 0.00585, 3.0, 0.04
ROOM = TrackSettings(
    voxel_m=VOXEL_M, trunc_m=TRUNC_M, depth_max_m=FAR_M, noise_square_per_m=0.0015, colour_weight=0.0
)
ROUNDS = 1


def rows() -> list[Row]:
    """Rows of the benchmark; lengths in mm, angles in degrees."""
    found = _turn_rows(film_turn(60))
    told = os.environ.get("BODYTRUTH_DATA_ROOT")
    folder = Path(told) / "7scenes-room" if told else None
    return found + (_room_rows(folder) if folder is not None and folder.is_dir() else [])


def _turn_rows(turn: FilmedTurn) -> list[Row]:
    found, (raw_median_m, raw_rms_m) = [], raw_error(turn)
    for part in ("person", "both"):
        tracked = track(turn.frames, TrackSettings(tracked=part))
        shift_m, turn_deg, placed = aligned_path(tracked.world_from_cam, turn.world_from_cam)
        median_m, rms_m = surface_error(turn, placed)
        name = f"simulated turn, {part}"
        found += [
            _row(f"frames lost, {name}", float((~tracked.found).sum()), unit="1", most=0.0),
            _row(f"path RMSE, {name}", 1e3 * shift_m, unit="mm", most=5.0),
            _row(f"path rotation RMSE, {name}", turn_deg, unit="deg", most=0.3),
            _row(f"loop error after, {name}", 1e3 * tracked.loop_after_m, unit="mm", most=5.0),
            _row(
                f"fused surface median, {name}", 1e3 * median_m, unit="mm", most=2.0,
                peer=RAW, peer_value=1e3 * raw_median_m,
            ),
            _row(
                f"fused surface RMS, {name}", 1e3 * rms_m, unit="mm", most=4.0,
                peer=RAW, peer_value=1e3 * raw_rms_m, least_ratio=2.0,
            ),
        ]  # fmt: skip
    return found


def _room_rows(folder: Path) -> list[Row]:
    frames, given = read_frames(folder)
    whole = track(frames, ROOM)
    short, short_given = frames[:120:2], given[:120:2]
    for warm in (tracked_and_fused, bare_slam):
        warm(short[:4])
    seconds: dict[str, list[tuple[float, float]]] = {"ours": [], "peer": []}
    for _ in range(ROUNDS):
        ours: Track = _timed(lambda: tracked_and_fused(short), seconds["ours"])
        peer = _timed(lambda: bare_slam(short), seconds["peer"])
    wall_s, cores_s = (
        [statistics.median(times[which] for times in seconds[who]) for who in ("ours", "peer")]
        for which in (0, 1)
    )
    residual = [residual_median_m(short, path) for path in (ours.world_from_cam, peer, short_given)]
    shift = [aligned_path(path, short_given)[0] for path in (ours.world_from_cam, peer)]
    name = "room, every 2nd of 120"
    return [
        _row("frames lost, room, 150", float((~whole.found).sum()), unit="1", most=0.0),
        _row(
            "path RMSE, room, 150", 1e3 * aligned_path(whole.world_from_cam, given)[0], unit="mm", most=21.0
        ),
        _row(f"path RMSE, {name}", 1e3 * shift[0], unit="mm", peer_value=1e3 * shift[1]),
        _row(
            f"residual median, {name}", 1e3 * residual[0], unit="mm", peer_value=1e3 * residual[1], most=4.4
        ),
        _row(
            f"residual median beside given poses', {name}", 1e3 * residual[0], unit="mm",
            peer="given poses", peer_value=1e3 * residual[2],
        ),
        _row(f"tracking + integration, {name}", wall_s[0], unit="s", peer_value=wall_s[1], least_ratio=3.0),
        _row(
            f"tracking + integration, all cores, {name}", cores_s[0], unit="s", peer_value=cores_s[1],
            least_ratio=3.0,
        ),
    ]  # fmt: skip


def read_frames(folder: Path) -> tuple[list[TrackFrame], Float64]:
    """Frames of a folder of the 7-Scenes layout, without colour, which is not registered; and the given poses."""
    capture = open_capture(folder, "7scenes", None)
    read = [capture.read(number) for number in capture.frames]
    frames = [
        TrackFrame(frame=each.frame, depth_m=each.depth_m, mask=None, rgb=None, K=each.K) for each in read
    ]
    return frames, np.stack([each.world_from_cam for each in read])


def tracked_and_fused(frames: Sequence[TrackFrame]) -> Track:
    """The path of all frames, and all of them integrated along it."""
    found = track(frames, ROOM)
    _fused(frames, found.world_from_cam, VOXEL_M)
    return found


def _fused(frames: Sequence[TrackFrame], world_from_cam: Float64, voxel_m: float) -> Volume:
    volume = Volume(voxel_m=voxel_m, trunc_m=TRUNC_M, limit_gb=4.0)
    for frame, pose in zip(frames, world_from_cam, strict=True):
        near_m = np.where(frame.depth_m <= FAR_M, frame.depth_m, np.float32(0))
        volume.integrate(DepthView(depth_m=near_m, K=frame.K, world_from_cam=pose))
    return volume


def bare_slam(frames: Sequence[TrackFrame]) -> Float64:
    """Open3D's own loop of tracking and integration, as its example writes it; returns world_from_cam (N 4 4)."""
    import open3d as o3d

    slam, device = o3d.t.pipelines.slam, o3d.core.Device("CPU:0")
    height, width = frames[0].depth_m.shape
    K = o3d.core.Tensor(frames[0].K)
    model = slam.Model(VOXEL_M, 16, 40000, o3d.core.Tensor(np.eye(4)), device)
    live, seen = slam.Frame(height, width, K, device), slam.Frame(height, width, K, device)
    grey = o3d.t.geometry.Image(o3d.core.Tensor(np.full((height, width, 3), 128, np.uint8)))
    poses, multiplier = [np.eye(4)], TRUNC_M / VOXEL_M
    for row, frame in enumerate(frames):
        depth = o3d.t.geometry.Image(o3d.core.Tensor(np.rint(1000 * frame.depth_m).astype(np.uint16)))
        live.set_data_from_image("depth", depth)
        live.set_data_from_image("color", grey)
        if row:
            result = model.track_frame_to_model(live, seen, 1000.0, FAR_M, 0.07)
            poses.append(poses[-1] @ result.transformation.numpy())
        model.update_frame_pose(row, o3d.core.Tensor(poses[-1]))
        model.integrate(live, 1000.0, FAR_M, multiplier)
        model.synthesize_model_frame(seen, 1000.0, 0.1, FAR_M, multiplier, False)
    return np.stack(poses)


def aligned_path(found: Float64, true: Float64) -> tuple[float, float, Float64]:
    """Path error (m, degrees, root mean square) after the best rigid alignment of its places, and the path there."""
    places, target = (path[:, :3, 3] - path[:, :3, 3].mean(axis=0) for path in (found, true))
    u, _, vt = np.linalg.svd(places.T @ target)
    turn = np.eye(4)
    turn[:3, :3] = vt.T @ np.diag([1, 1, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
    turn[:3, 3] = true[:, :3, 3].mean(axis=0) - turn[:3, :3] @ found[:, :3, 3].mean(axis=0)
    placed = turn @ found
    shift_m = np.linalg.norm(placed[:, :3, 3] - true[:, :3, 3], axis=1)
    between = invert_rigid(true) @ placed
    angle = np.arccos(np.clip((np.trace(between[:, :3, :3], axis1=1, axis2=2) - 1) / 2, -1, 1))
    return float(np.sqrt(np.mean(shift_m**2))), float(np.degrees(np.sqrt(np.mean(angle**2)))), placed


def surface_error(turn: FilmedTurn, world_from_cam: Float64) -> tuple[float, float]:
    """Median and root mean square distance (m) of the fused person's vertices from the true surface."""
    volume = Volume(voxel_m=0.004, trunc_m=0.02, limit_gb=4.0)
    for frame, pose in zip(turn.frames, world_from_cam, strict=True):
        depth_m = np.where(frame.mask, frame.depth_m, np.float32(0))
        volume.integrate(DepthView(depth_m=depth_m, K=frame.K, world_from_cam=pose))
    return _away(turn, volume.mesh(min_weight=2.0).vertices)


def raw_error(turn: FilmedTurn) -> tuple[float, float]:
    """Median and root mean square distance (m) of the measured points of the person from the true surface."""
    points = []
    for frame, pose in zip(turn.frames, turn.world_from_cam, strict=True):
        on_person = frame.mask & (frame.depth_m > 0)
        rays = pixel_rays(frame.K, *frame.depth_m.shape)[on_person]
        points.append(transform(pose, rays * frame.depth_m[on_person][:, None]))
    return _away(turn, np.concatenate(points))


def _away(turn: FilmedTurn, points_m: Float64) -> tuple[float, float]:
    import open3d as o3d

    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor(turn.vertices_m.astype(np.float32)), o3d.core.Tensor(turn.faces.astype(np.uint32))
    )
    away_m = scene.compute_distance(o3d.core.Tensor(points_m.astype(np.float32))).numpy()
    return float(np.median(away_m)), float(np.sqrt(np.mean(away_m**2)))


def residual_median_m(frames: Sequence[TrackFrame], world_from_cam: Float64) -> float:
    """Median |model - depth| (m) along a path."""
    volume, away = _fused(frames, world_from_cam, 0.005), []
    for frame, pose in list(zip(frames, world_from_cam, strict=True))[::6]:
        height, width = frame.depth_m.shape
        reach = {"depth_min_m": 0.3, "depth_max_m": FAR_M}
        seen_m = volume.raycast(frame.K, pose, height=height, width=width, **reach).depth_m
        both = (seen_m > 0) & (frame.depth_m > 0.3) & (frame.depth_m < 2.5)
        away.append(np.abs(seen_m - frame.depth_m)[both])
    return float(np.median(np.concatenate(away)))


def _timed(call: Callable[[], Any], seconds: list[tuple[float, float]]) -> Any:
    wall, cores = time.perf_counter(), time.process_time()
    result = call()
    seconds.append((time.perf_counter() - wall, time.process_time() - cores))
    return result


def _row(
    name: str,
    value: float,
    *,
    unit: str,
    most: float | None = None,
    peer: str = PEER,
    peer_value: float | None = None,
    least_ratio: float | None = None,
) -> Row:
    """One figure; ratio = peer's / ours, so larger is better for us throughout."""
    ratio = None if peer_value is None or not value else peer_value / value
    targets = [] if most is None else [f"<= {most:g}"]
    targets += [] if ratio is None else [f"ratio >= {least_ratio or 1:g}"]
    holds = (most is None or value <= most) and (ratio is None or ratio >= (least_ratio or 1.0))
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": None if peer_value is None else peer,
        "peer_value": peer_value,
        "ratio": ratio,
        "target": ", ".join(targets) or "-",
        "holds": holds,
    }
