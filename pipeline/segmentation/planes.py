"""The planes that bound a room, by random samples of depth pixels that lie near each other.

Fischler and Bolles, "Random Sample Consensus", Communications of the ACM 1981, with the points of a sample taken
from one neighbourhood of one depth map, refined by least squares. A plane counts only where hardly any point lies
behind it: then nobody can stand across it, so that it may be cut away over all of its extent. Table tops and the
sides of cabinets are no such planes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import pixel_rays, transform
from pipeline.captures.capture import Frame
from pipeline.segmentation.planes_kernels import count_near

Float64 = NDArray[np.float64]
PlaneKind = Literal["floor", "ceiling", "wall"]

SEED = 5
SAMPLES = 400
SAMPLE_REACH_CELLS = 14  # of the grid, between the points of one sample
GRID_POINTS = 2500  # of one depth map, about
POOLED_POINTS = 24000  # of all maps together, about

# Distance from a plane that its own pixels may show: least, and in parts of z squared (both in metres). The
# second is what a Kinect v1 shows, the noisier of the two (Khoshelham and Elberink, Sensors 2012, equation 11).
NEAR_M, NOISE_PER_M = 0.015, 0.003
LEAST_SHARE = 0.02  # of all points, on a plane
MOST_BEHIND = 0.02  # of all points, behind a plane that bounds the room
BEHIND_M = 0.10
LEAST_SPREAD_M = (1.2, 0.7)  # of a plane's points along and across: a chest or a held shirt is no wall
MOST_WALLS = 6
UPRIGHT_COSINE = 0.2  # of a wall's normal with up, at most
TILT_COSINE = 0.7  # of the floor's normal with the camera's own up, at least


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plane:
    """A plane that bounds the room.

    Attributes:
        normal: (3,) unit, into the room.
        offset_m: normal . p + offset_m is how far p stands in front of the plane.
        noise_per_m: spread along z of the plane's own pixels, in metres at z = 1 m; it grows with z squared.
    """

    kind: PlaneKind
    normal: Float64
    offset_m: float
    noise_per_m: float

    def moved(self, b_from_a: Float64) -> "Plane":
        """The same plane in another frame; `b_from_a` (4 4) is rigid."""
        normal = b_from_a[:3, :3] @ self.normal
        offset_m = self.offset_m - float(normal @ b_from_a[:3, 3])
        return Plane(kind=self.kind, normal=normal, offset_m=offset_m, noise_per_m=self.noise_per_m)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PointGrids:
    """Points of some depth maps on coarse grids.

    Attributes:
        points: (F h w 3) in one common frame, metres.
        rays: (F h w 3) from the camera, with z = 1, in the same frame.
        depth_m: (F h w); 0 where there is no point.
        center: (3,) mean place of the cameras.
        up: (3,) unit, mean up of the cameras' images.
    """

    points: Float64
    rays: Float64
    depth_m: Float64
    center: Float64
    up: Float64


def point_grids(frames: Sequence[Frame], *, with_poses: bool) -> PointGrids:
    """Points of depth maps of one size, every few pixels.

    Args:
        frames: with depth and K; at least one.
        with_poses: whether the points are wanted in the world; else each stays in its camera.
    """
    maps = [(frame.depth_m, frame.K) for frame in frames if frame.depth_m is not None and frame.K is not None]
    poses = [frame.world_from_cam for frame in frames] if with_poses else [np.eye(4)] * len(frames)
    rigid = np.stack([np.eye(4) if pose is None else pose for pose in poses])
    wanted = min(GRID_POINTS, POOLED_POINTS / len(maps))
    step_px = max(1, int(np.sqrt(maps[0][0].size / wanted)))
    some = slice(step_px // 2, None, step_px)
    rays, points, depths = [], [], []
    for (depth_m, K), pose in zip(maps, rigid, strict=True):
        coarse_m = depth_m[some, some].astype(np.float64)
        ray = pixel_rays(_coarse_intrinsics(K, step_px), *coarse_m.shape)
        rays.append(ray @ pose[:3, :3].T)
        points.append(transform(pose, ray * coarse_m[..., None]))
        depths.append(coarse_m)
    up = -rigid[:, :3, 1].mean(axis=0)
    return PointGrids(
        points=np.stack(points), rays=np.stack(rays), depth_m=np.stack(depths),
        center=rigid[:, :3, 3].mean(axis=0), up=up / np.linalg.norm(up),
    )  # fmt: skip


def _coarse_intrinsics(K: Float64, step_px: int) -> Float64:
    """Of a grid whose first pixel is the map's pixel step_px // 2, and every step_px-th from there."""
    coarse = K.copy()
    coarse[:2, 2] -= step_px // 2
    coarse[:2] /= step_px
    return coarse


def room_planes(grids: PointGrids) -> list[Plane]:
    """Floor first where one is found, then ceiling and walls, larger ones first; the same each time."""
    seen = grids.depth_m > 0
    total = int(np.count_nonzero(seen))
    if total < 100:
        return []
    normals, offsets = _sampled(grids, seen)
    free = seen.ravel().copy()
    found: list[Plane] = []
    floor_like = normals @ grids.up > TILT_COSINE
    floor = _best(grids, free, (normals[floor_like], offsets[floor_like]), "floor", total)
    up = grids.up
    if floor is not None:
        found.append(floor)
        up = floor.normal
        free &= ~_near(grids, floor)
    level = normals @ up
    sides: list[tuple[PlaneKind, NDArray[np.bool_]]] = [("ceiling", level < -0.95)]
    sides += [("wall", np.abs(level) < UPRIGHT_COSINE)] * MOST_WALLS
    for kind, suits in sides:
        plane = _best(grids, free, (normals[suits], offsets[suits]), kind, total)
        if plane is not None:
            found.append(plane)
            free &= ~_near(grids, plane)
    return found


def _sampled(grids: PointGrids, seen: NDArray[np.bool_]) -> tuple[Float64, Float64]:
    """Planes (S 3), (S) through triples of near points, facing the cameras."""
    rng = np.random.default_rng(SEED)
    many, height, width = seen.shape
    first = np.argwhere(seen)[rng.integers(0, np.count_nonzero(seen), SAMPLES)]
    corners = [grids.points[tuple(first.T)]]
    good = np.ones(SAMPLES, dtype=np.bool_)
    for _ in range(2):
        step = rng.integers(-SAMPLE_REACH_CELLS, SAMPLE_REACH_CELLS + 1, (SAMPLES, 2))
        place = np.clip(first[:, 1:] + step, 0, [height - 1, width - 1])
        index = (first[:, 0], place[:, 0], place[:, 1])
        good &= seen[index]
        corners.append(grids.points[index])
    normals = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    length = np.linalg.norm(normals, axis=1)
    good &= length > 1e-4  # twice the triangle's area in square metres
    normals = normals[good] / length[good, None]
    offsets = -(normals * corners[0][good]).sum(axis=1)
    facing = np.where(normals @ grids.center + offsets < 0, -1.0, 1.0)
    return normals * facing[:, None], offsets * facing


def _tolerance_m(grids: PointGrids, normal: Float64) -> Float64:
    """How far (N) from a plane each point may lie and still belong to it."""
    slant = np.abs(grids.rays.reshape(-1, 3) @ normal)
    return np.asarray(NEAR_M + NOISE_PER_M * slant * grids.depth_m.ravel() ** 2)


def _distance_m(grids: PointGrids, normal: Float64, offset_m: float) -> Float64:
    return np.asarray(grids.points.reshape(-1, 3) @ normal + offset_m)


def _near(grids: PointGrids, plane: Plane) -> NDArray[np.bool_]:
    distance_m = np.abs(_distance_m(grids, plane.normal, plane.offset_m))
    return np.asarray(distance_m < 2 * _tolerance_m(grids, plane.normal))


def _best(
    grids: PointGrids,
    free: NDArray[np.bool_],
    sampled: tuple[Float64, Float64],
    kind: PlaneKind,
    total: int,
) -> Plane | None:
    """The plane with most free points among those that bound the room; None where none is large enough."""
    normals, offsets = sampled
    if not len(normals) or np.count_nonzero(free) < LEAST_SHARE * total:
        return None
    flat = grids.points.reshape(-1, 3)[free]
    votes = count_near(flat, normals, offsets, NEAR_M)
    for index in np.argsort(-votes, kind="stable")[:8]:
        if votes[index] < 0.5 * LEAST_SHARE * total:
            return None
        refined = _refined(grids, free, normals[index], float(offsets[index]))
        if refined is None:
            continue
        normal, offset_m, near = refined
        if near.sum() < LEAST_SHARE * total or not _is_wide(grids.points.reshape(-1, 3)[near]):
            continue
        behind = (_distance_m(grids, normal, offset_m) < -BEHIND_M) & (grids.depth_m.ravel() > 0)
        if behind.sum() <= MOST_BEHIND * total:
            noise = _noise_per_m(grids, normal, offset_m, near)
            return Plane(kind=kind, normal=normal, offset_m=offset_m, noise_per_m=noise)
    return None


def _refined(
    grids: PointGrids, free: NDArray[np.bool_], normal: Float64, offset_m: float
) -> tuple[Float64, float, NDArray[np.bool_]] | None:
    flat = grids.points.reshape(-1, 3)
    near = free
    for _ in range(3):
        near = free & (np.abs(_distance_m(grids, normal, offset_m)) < _tolerance_m(grids, normal))
        if near.sum() < 10:
            return None
        mean = flat[near].mean(axis=0)
        spread = flat[near] - mean
        refined = np.linalg.eigh(spread.T @ spread)[1][:, 0]
        normal = refined if refined @ normal > 0 else -refined
        offset_m = -float(normal @ mean)
    return normal, offset_m, near


def _is_wide(points: NDArray[Any]) -> bool:
    """Whether nine in ten points of a plane reach as far along and across as a wall does."""
    spread = points - points.mean(axis=0)
    axes = np.linalg.eigh(spread.T @ spread)[1]
    across, along = (float(np.ptp(np.quantile(spread @ axes[:, axis], (0.05, 0.95)))) for axis in (1, 2))
    return along >= LEAST_SPREAD_M[0] and across >= LEAST_SPREAD_M[1]


def _noise_per_m(grids: PointGrids, normal: Float64, offset_m: float, near: NDArray[np.bool_]) -> float:
    slant = np.abs(grids.rays.reshape(-1, 3)[near] @ normal)
    along_z_m = np.abs(_distance_m(grids, normal, offset_m))[near] / np.maximum(slant, 0.05)
    # 1.4826 makes a median deviation the spread of a normal distribution.
    return float(1.4826 * np.median(along_z_m / grids.depth_m.ravel()[near] ** 2))
