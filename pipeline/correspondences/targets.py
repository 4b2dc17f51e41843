"""Dense correspondences as a target: points of a picture, each with its place on the body's surface.

Yoshiyasu and Gamez, "Learning Body Shape and Pose from Dense Correspondences", 2019, section 8.2. Charts that were
drawn, by a renderer or a network, give points at pixels; annotators gave points at once. From there on both go
one way: chosen, looked up within their charts, checked, padded to one length.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.annotation import Joints, SurfacePoints
from pipeline.correspondences.charts import Charts
from pipeline.correspondences.reasons import REASONS
from pipeline.correspondences.sides import (
    Sides,
    chart_turning,
    sides_by_joints,
    sides_by_mirror,
    sides_of_points,
    swapped_sides,
)
from pipeline.correspondences.surface_points import SurfacePlaces, surface_places, unplaced
from pipeline.gates.finding import Finding
from pipeline.target_settings import SurfaceSettings

UInt8 = NDArray[np.uint8]

LEAST_CONFIDENCE = 0.3  # of a network's joint, below which it says nothing of left and right
BY_CHARTS, BY_JOINTS = "way that charts turn", "key points"
Z_BITS = 16  # of a pixel's number along each side


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SurfaceTarget:
    """Chosen points (N) of a picture.

    Attributes:
        places: (N) where on the body each lies, and why it has no place.
        sides: votes on left and right, by what the points were held against: `BY_CHARTS`, `BY_JOINTS`.
    """

    points: SurfacePoints
    places: SurfacePlaces
    sides: dict[str, Sides]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChartImage:
    """Charts drawn over a picture: part (H W) 0..24 and uv (H W 2), by a renderer or a network."""

    part: UInt8
    uv: NDArray[np.float32]

    @property
    def points(self) -> SurfacePoints:
        """Every pixel that has a part."""
        v, u = np.nonzero(self.part)
        px = np.column_stack([u, v]).astype(np.float32)
        return SurfacePoints(px=px, part=self.part[v, u], uv=self.uv[v, u])


def evenly_chosen(points: SurfacePoints, count: int, rng: np.random.Generator) -> SurfacePoints:
    """Choose some points that spread evenly over all; all of them where there are no more than count.

    The points stand in a row in which neighbours lie close in the picture (Z-order); of count stretches of that
    row, as equal as can be, each gives one point at random. So every point is as likely as any other, and no
    region of the picture is left out by chance.
    """
    total = len(points.part)
    if total <= count:
        return points
    row = np.argsort(_z_order(points.px), kind="stable")
    starts = np.arange(count + 1) * total // count
    chosen = np.sort(row[starts[:-1] + rng.integers(0, np.diff(starts))])
    return SurfacePoints(px=points.px[chosen], part=points.part[chosen], uv=points.uv[chosen])


def placed_points(
    charts: Charts, points: SurfacePoints, *, parametrisation: str, size_px: int, most_off_chart: float
) -> SurfacePlaces:
    """Look points (N) up in the charts that they are in; one outside of the square picture has no place.

    Raises:
        ValueError: as `surface_places`.
    """
    found = surface_places(
        charts,
        points.part,
        points.uv,
        parametrisation=parametrisation,
        most_off_chart=most_off_chart,
    )
    with np.errstate(invalid="ignore"):
        within = ((points.px >= -0.5) & (points.px <= size_px - 0.5)).all(axis=-1)
    outside = ~within & (found.reason == 0)
    return replace(
        found,
        face=np.where(outside, np.int32(-1), found.face),
        bary=np.where(outside[:, None], 0.0, found.bary),
        vertex=np.where(outside, np.int32(-1), found.vertex),
        reason=np.where(outside, np.uint8(REASONS.index("outside-picture")), found.reason),
    )


def surface_target(
    charts: Charts,
    drawn: SurfacePoints | ChartImage,
    joints: Joints | None,
    settings: SurfaceSettings,
    rng: np.random.Generator,
    *,
    parametrisation: str,
    size_px: int,
) -> SurfaceTarget:
    """Choose some of a picture's points (N), look them up, and let them vote on left and right.

    Args:
        charts: those that the coordinates are in.
        joints: of the person, where they are known.
        parametrisation: whose coordinates they are, as in `surface_places`.

    Raises:
        ValueError: as `surface_places`.
    """
    points = drawn.points if isinstance(drawn, ChartImage) else drawn
    chosen = evenly_chosen(points, settings.points, rng)
    places = placed_points(
        charts,
        chosen,
        parametrisation=parametrisation,
        size_px=size_px,
        most_off_chart=settings.most_off_chart,
    )
    placed = places.reason == 0
    px, part, uv = chosen.px[placed], chosen.part[placed], chosen.uv[placed]
    turning = chart_turning(charts)
    if isinstance(drawn, ChartImage):
        by_charts = sides_by_mirror(drawn.part, drawn.uv, turning=turning)
    else:
        by_charts = sides_of_points(px, part, uv, turning=turning)
    sides = {BY_CHARTS: by_charts}
    if joints is not None:
        sides[BY_JOINTS] = sides_by_joints(px, part, joints, least_confidence=LEAST_CONFIDENCE)
    return SurfaceTarget(points=chosen, places=places, sides=sides)


def target_findings(frame: int, target: SurfaceTarget, settings: SurfaceSettings) -> list[Finding]:
    """Say where too few points have a place, or left and right have changed places."""
    found = [
        unplaced(target.places, frame=frame, least_placed=settings.min_placed_share),
        *(
            swapped_sides(
                votes,
                frame=frame,
                by=by,
                least_right=settings.min_sides_right,
                least_votes=settings.min_sides_votes,
            )
            for by, votes in target.sides.items()
        ),
    ]
    return [finding for finding in found if finding is not None]


def target_fields(target: SurfaceTarget, charts: Charts, body_name: str, *, count: int) -> dict[str, Any]:
    """Return one sample's fields, padded to `count` rows; a point without a place keeps its pixel and reason alone.

    Raises:
        ValueError: if there are more than count points.
    """
    points, places = target.points, target.places
    if len(points.part) > count:
        raise ValueError(f"target_fields: points must be at most {count}, are {len(points.part)}")
    placed = places.reason == 0
    known = {
        "px": (np.where(np.isfinite(points.px), points.px, 0), np.float32, 0),
        "part": (np.where(placed, points.part, 0), np.uint8, 0),
        "uv": (np.where(placed[:, None], points.uv, 0), np.float32, 0),
        "face": (places.face, np.int32, -1),
        "bary": (places.bary, np.float32, 0),
        "vertex": (places.vertex, np.int32, -1),
        "reason": (places.reason, np.uint8, REASONS.index("no-part")),
    }
    fields: dict[str, Any] = {}
    for name, (values, dtype, missing) in known.items():
        rows = np.full((count, *values.shape[1:]), missing, dtype=dtype)
        rows[: len(values)] = values
        fields[f"surface_points_{name}"] = rows
    return {
        **fields,
        "surface_points_charts": charts.parametrisation,
        "surface_points_body": body_name,
    }


def _z_order(px: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """One number for each pixel (N 2), with the bits of v and u in turn; a pixel that is none counts as 0."""
    finite = np.nan_to_num(px, nan=0.0, posinf=0.0, neginf=0.0)
    whole = np.clip(np.rint(finite), 0, 2**Z_BITS - 1).astype(np.int64)
    order = np.zeros(len(px), dtype=np.int64)
    for bit in range(Z_BITS):
        for axis in range(2):
            order |= (whole[:, axis] >> bit & 1) << (2 * bit + axis)
    return order
