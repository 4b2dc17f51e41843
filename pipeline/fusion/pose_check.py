"""A gate against poses that were written the wrong way round, asked of the depth maps before any fusion.

Points of one depth map, carried by the poses into another camera, must land on what that camera measured.
With cam_from_world in place of world_from_cam they do not, and with the inverses they do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, project, transform
from pipeline.errors import GateError
from pipeline.fusion import DepthView, Views, clip_depth

GAPS = (
    1,
    3,
    9,
    27,
)  # frames between the two views of a pair: enough motion for some, enough overlap for others
ANCHORS = 4  # pairs per gap, spread over the capture
POINTS = 2000  # per pair
GOOD_SHARE = 0.02  # of the depth: a median misfit below it is a fit, above it no evidence for either way
CLEARLY = 2.0  # how many times better the better way round must fit for a pair to count
FLOOR_M = 0.002  # and by how much more, so that millimetre steps of the depth decide nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseDirection:
    """What the pairs of views say about the poses.

    Attributes:
        pairs: how many were measured.
        given_better, inverted_better: how many of them clearly fit one way round only.
        given_m, inverted_m: median over those pairs of the median |dz|, points that land on nothing counted
            as infinite; NaN where no pair decided.
    """

    pairs: int
    given_better: int
    inverted_better: int
    given_m: float
    inverted_m: float

    @property
    def inverted(self) -> bool:
        """Whether the inverses clearly fit better; pairs without motion or overlap have no say."""
        enough = self.inverted_better >= min(2, max(self.pairs, 1))
        return enough and self.inverted_better >= 3 * self.given_better


def measure_pose_direction(views: Views, *, depth_min_m: float, depth_max_m: float) -> PoseDirection:
    """Reproject depth between some pairs of views with the poses as given and inverted.

    Reads at most 32 views, whatever the length of the capture.
    """
    misfits = []
    pairs = _pairs(len(views))
    for first, second in pairs:
        source = clip_depth(views[first], depth_min_m, depth_max_m)
        target = clip_depth(views[second], depth_min_m, depth_max_m)
        world_from_source, world_from_target = source.world_from_cam, target.world_from_cam
        given_m = median_misfit(source, target, invert_rigid(world_from_target) @ world_from_source)
        inverted_m = median_misfit(source, target, world_from_target @ invert_rigid(world_from_source))
        worse_m, better_m = max(given_m, inverted_m), min(given_m, inverted_m)
        if worse_m <= CLEARLY * better_m + FLOOR_M:  # also where both are infinite
            continue
        if better_m <= GOOD_SHARE * float(np.median(source.depth_m[source.depth_m > 0])):
            misfits.append((given_m, inverted_m))
    table = np.array(misfits).reshape(-1, 2)
    return PoseDirection(
        pairs=len(pairs),
        given_better=int(np.count_nonzero(table[:, 0] < table[:, 1])),
        inverted_better=int(np.count_nonzero(table[:, 1] < table[:, 0])),
        given_m=float(np.median(table[:, 0])) if misfits else float("nan"),
        inverted_m=float(np.median(table[:, 1])) if misfits else float("nan"),
    )


def _pairs(count: int) -> list[tuple[int, int]]:
    pairs = set()
    for gap in GAPS:
        if gap < count:
            for first in np.linspace(0, count - 1 - gap, ANCHORS).astype(int).tolist():
                pairs.add((first, first + gap))
    return sorted(pairs)


def median_misfit(source: DepthView, target: DepthView, target_from_source: NDArray[np.float64]) -> float:
    """Median |dz| of the source's points against the target's depth, metres.

    A point is compared with the closest of the 3x3 measured depths around its pixel, so that sensors with
    regular holes are no worse off; where it lands on nothing, or behind the camera, it counts as infinite.
    """
    measured = np.flatnonzero(source.depth_m > 0)
    if not measured.size:
        return float("inf")
    measured = measured[np.linspace(0, measured.size - 1, POINTS).astype(int)]
    v, u = np.unravel_index(measured, source.depth_m.shape)
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(source.K).T
    points = transform(target_from_source, rays * source.depth_m[v, u][:, None])
    ahead = points[points[:, 2] > 0]
    misfit_m = np.full(len(points), np.inf)
    misfit_m[: len(ahead)] = _closest_difference(target.depth_m, project(ahead, target.K), ahead[:, 2])
    return float(np.median(misfit_m))


def _closest_difference(
    depth_m: NDArray[np.float32], pixels: NDArray[np.float64], z_m: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Smallest |depth - z| (N) over the 3x3 pixels around each point; infinite where none is measured."""
    height, width = depth_m.shape
    bordered = np.zeros((height + 4, width + 4), np.float32)  # a border of no depth: indices need no tests
    bordered[2:-2, 2:-2] = depth_m
    u = np.clip(np.rint(pixels[:, 0]), -1, width).astype(np.int64) + 2
    v = np.clip(np.rint(pixels[:, 1]), -1, height).astype(np.int64) + 2
    inside = (u > 1) & (u < width + 2) & (v > 1) & (v < height + 2)
    closest = np.full(len(z_m), np.inf)
    for dv in (-1, 0, 1):
        for du in (-1, 0, 1):
            depth = bordered[v + dv, u + du]
            difference = np.where(inside & (depth > 0), np.abs(depth - z_m), np.inf)
            closest = np.minimum(closest, difference)
    return closest


def check_pose_direction(views: Views, *, depth_min_m: float, depth_max_m: float) -> PoseDirection:
    """Refuse poses that are clearly cam_from_world; silent without motion or overlap to judge by.

    Returns:
        The figures, for the record.

    Raises:
        GateError: `poses-inverted`.
    """
    found = measure_pose_direction(views, depth_min_m=depth_min_m, depth_max_m=depth_max_m)
    if not found.inverted:
        return found
    raise GateError(
        "poses-inverted",
        "fuse: poses must be world_from_cam, look like cam_from_world: depth maps carried into each other "
        f"differ by {_millimetres(found.given_m)} as given and {_millimetres(found.inverted_m)} inverted, in "
        f"{found.inverted_better} of {found.inverted_better + found.given_better} pairs of frames that tell. "
        "Invert them.",
        value=found.given_m if np.isfinite(found.given_m) else None,
        unit="m",
        limit=CLEARLY * found.inverted_m + FLOOR_M,
    )


def _millimetres(value_m: float) -> str:
    return f"{value_m * 1e3:.1f} mm" if np.isfinite(value_m) else "more than can be measured (no overlap)"
