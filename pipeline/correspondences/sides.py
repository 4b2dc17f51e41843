"""Whether charts call the subject's left left: against key points, and against the picture's mirror image.

Two mistakes look alike and are found differently. Labels with left and right exchanged lie on the wrong limbs:
key points tell. A picture that was mirrored while its charts were not keeps every label on its own limb, but its
charts turn the wrong way round, as a printed word does in a mirror: no key points are needed. (DensePose's
charts of a left and a right limb turn opposite ways, so there the mirror finds exchanged limbs too.)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.atlas import signed_areas
from pipeline.bodies.joints import JOINT_SETS
from pipeline.bodies.parts import DENSEPOSE24_NAMES
from pipeline.captures.annotation import Joints
from pipeline.correspondences.charts import PARTS, Charts
from pipeline.gates.finding import Finding

Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]

# The bone, or the one joint, that a part lies around; torso and head have none.
BONES = {
    "hand": ("wrist",),
    "foot": ("ankle",),
    "thigh": ("hip", "knee"),
    "shin": ("knee", "ankle"),
    "upper_arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
}
CLEAR = 0.5  # a point votes where the nearer bone is at most this share of the other's distance away
MOST_CHART_STEP = 0.25  # between pixels that lie on one sheet: a fold of the picture jumps farther
LEAST_POINTS = 4  # of a part, for one affine map and something left over

# For each part 0..24, 1 where the chart runs counter-clockwise as seen from outside, -1 where it is a mirror image.
OUR_TURNING = (0, *([1] * PARTS))
# Measured, not read from a chart file: each part of a network's charts of several people agrees at 77 to 100 % of
# its pixels, and 116 of 121 points that annotators set on another picture do.
DENSEPOSE_TURNING = (
    0, 1, -1, 1, 1, 1, 1, 1, -1, -1, 1, -1, 1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, 1,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """Votes of points or pixels.

    Attributes:
        right: share of the votes that agree with the charts, 0 without a vote.
        votes: how many there are.
    """

    right: float
    votes: int


def sides_by_joints(
    px: NDArray[np.floating[Any]], part: UInt8, joints: Joints, *, least_confidence: float
) -> Sides:
    """Let each point of a limb vote whether it lies by the limb of its own side.

    A vote counts where both sides' bones are known and one is clearly nearer (`CLEAR`): before a crossed leg,
    a point says nothing.

    Args:
        px: (N 2) pixels u and v of the points; part: (N) 0..24, in the order of `DENSEPOSE24_NAMES`.
        least_confidence: joints below it, or without any confidence, are not known.
    """
    names = next(a_set.names for a_set in JOINT_SETS if a_set.name == joints.joint_set)
    known = (joints.confidence > 0) & (joints.confidence >= least_confidence)
    right = votes = 0
    for row, name in enumerate(DENSEPOSE24_NAMES):
        side, _, limb = name.partition("_")
        bone = next((ends for prefix, ends in BONES.items() if limb.startswith(prefix)), ())
        here = part == row + 1
        wanted = [f"{s}_{end}" for s in (side, _other(side)) for end in bone]
        if not bone or not here.any() or not _all_known(wanted, names, known):
            continue
        ends_px = joints.px[[names.index(joint) for joint in wanted]].astype(np.float64).reshape(2, -1, 2)
        own, other = (_to_segment(px[here].astype(np.float64), ends[0], ends[-1]) for ends in ends_px)
        clear = np.minimum(own, other) <= CLEAR * np.maximum(own, other)
        right += np.count_nonzero(clear & (own < other))
        votes += np.count_nonzero(clear)
    return Sides(right=right / max(votes, 1), votes=votes)


def sides_by_mirror(part: UInt8, uv: NDArray[np.floating[Any]], *, turning: tuple[int, ...]) -> Sides:
    """Let each pixel vote whether its chart turns as on a body that is seen from outside.

    Args:
        part: (H W) 0..24 and uv: (H W 2), as a chart image has them.
        turning: of the charts that they are in: `OUR_TURNING`, `DENSEPOSE_TURNING` or `chart_turning`.
    """
    sheet = (part[:-1, :-1] > 0) & (part[:-1, :-1] == part[:-1, 1:]) & (part[:-1, :-1] == part[1:, :-1])
    here = uv[:-1, :-1][sheet].astype(np.float64)
    along_u, along_v = uv[:-1, 1:][sheet] - here, uv[1:, :-1][sheet] - here
    step = np.maximum(np.abs(along_u), np.abs(along_v)).max(axis=-1)
    # v points down in the picture: what runs counter-clockwise outside turns the other way here.
    turn = along_u[:, 1] * along_v[:, 0] - along_u[:, 0] * along_v[:, 1]
    sign = (turn * np.array(turning)[part[:-1, :-1][sheet]])[step <= MOST_CHART_STEP]
    votes = int(np.count_nonzero(sign))
    return Sides(right=float(np.count_nonzero(sign > 0) / max(votes, 1)), votes=votes)


def sides_of_points(
    px: NDArray[np.floating[Any]],
    part: UInt8,
    uv: NDArray[np.floating[Any]],
    *,
    turning: tuple[int, ...],
) -> Sides:
    """As `sides_by_mirror`, for some points (N) of a picture: each part's votes go with its affine map.

    Args:
        px: (N 2) pixels u and v, uv: (N 2) chart coordinates of the points; parts of fewer than `LEAST_POINTS`,
            or whose points lie on a line, have no vote.
    """
    right = votes = 0
    for row in range(1, PARTS + 1):
        here = part == row
        if np.count_nonzero(here) < LEAST_POINTS:
            continue
        centred = px[here].astype(np.float64) - px[here].mean(axis=0)
        chart = uv[here].astype(np.float64) - uv[here].mean(axis=0)
        affine, _, rank, _ = np.linalg.lstsq(centred, chart, rcond=1e-6)
        sign = -np.sign(np.linalg.det(affine)) * turning[row]
        if rank == 2 and sign:
            votes += np.count_nonzero(here)
            right += np.count_nonzero(here) * (sign > 0)
    return Sides(right=float(right / max(votes, 1)), votes=int(votes))


def chart_turning(charts: Charts) -> tuple[int, ...]:
    """Return the turning (25) of charts at hand, from the areas of their faces; 0 for an empty one."""
    atlas = charts.inverse.atlas
    areas = np.bincount(atlas.part, signed_areas(atlas.corner_uv), minlength=PARTS + 1)
    return tuple(int(sign) for sign in np.sign(areas))


def swapped_sides(
    sides: Sides, *, frame: int | None, by: str, least_right: float, least_votes: int
) -> Finding | None:
    """Return a finding where a whole person's left and right are exchanged, or its picture mirrored.

    Args:
        by: what the charts were held against, such as "key points".
        least_right: share of the votes that must agree.
        least_votes: with fewer nothing is said.
    """
    if sides.votes < least_votes or sides.right >= least_right:
        return None
    place = "" if frame is None else f"frame {frame}: "
    return Finding(
        frame=frame,
        reason="sides-swapped",
        value=sides.right,
        unit="1",
        limit=least_right,
        message=(
            f"{place}charts must agree with the {by} on left and right at {least_right:.0%} of the points, "
            f"do at {sides.right:.0%} of {sides.votes}. Left out; exchange left and right at the source."
        ),
    )


def _other(side: str) -> str:
    return "left" if side == "right" else "right"


def _all_known(wanted: list[str], names: tuple[str, ...], known: NDArray[np.bool_]) -> bool:
    return all(joint in names and known[names.index(joint)] for joint in wanted)


def _to_segment(px: Float64, start: Float64, end: Float64) -> Float64:
    """Distances (N) of pixels from the segment between two pixels, which may be one."""
    along = end - start
    share = np.clip((px - start) @ along / max(float(along @ along), 1e-12), 0.0, 1.0)
    return np.asarray(np.linalg.norm(px - start - share[:, None] * along, axis=1))
