"""From a part and its chart coordinates to the place on the body, and to the nearest vertex of the part's chart.

Yoshiyasu and Gamez, "Learning Body Shape and Pose from Dense Correspondences", 2019, section 8.2: each
annotated pixel takes the vertex that is nearest in (U, V) within the pixel's part. The search goes from pixel
to vertex: pixels are coarser than vertices, and the other way most vertices would share few pixels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.annotation import SurfacePoints
from pipeline.correspondences.charts import APART, PARTS, Charts, check_parametrisation
from pipeline.correspondences.reasons import REASONS
from pipeline.gates.finding import Finding

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

RANGE_SLACK = 1e-6  # of a coordinate beyond [0, 1]: float32 steps by 6e-8 there
MOST_OFF_CHART = 0.05


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SurfacePlaces:
    """Places of points (...) on a body's surface.

    Attributes:
        face: (...) row of the body's faces; -1 where the point has no place.
        bary: (..., 2) weights of the face's second and third vertex; 0 there.
        vertex: (...) the body's vertex that is nearest in the part's chart; -1 there.
        off_chart: (...) distance in chart coordinates to the chart's rim for a point beyond it, else 0.
        reason: (...) row of `REASONS`; 0 where the point has a place.
    """

    face: Int32
    bary: Float64
    vertex: Int32
    off_chart: Float32
    reason: UInt8


def surface_places(
    charts: Charts,
    part: NDArray[np.integer[Any]],
    uv: NDArray[np.floating[Any]],
    *,
    parametrisation: str,
    most_off_chart: float = MOST_OFF_CHART,
) -> SurfacePlaces:
    """Look chart points up on the surface; whatever cannot be looked up says why.

    Args:
        part: (...) 1..24; 0 is no part.
        uv: (..., 2). A point beyond its chart's rim goes to the nearest point of the rim.
        parametrisation: whose coordinates `uv` are, `charts.OURS` or `charts.DENSEPOSE`.
        most_off_chart: in chart coordinates; a point farther beyond the rim has no place.

    Raises:
        ValueError: if the coordinates are not of these charts, or a shape or the parts' dtype does not fit.
    """
    check_parametrisation(charts, parametrisation)
    reason = point_reasons(charts, part, uv)
    good = reason == 0
    rows, at = part[good].astype(np.uint8), np.clip(uv[good].astype(np.float64), 0.0, 1.0)
    face, bary = charts.inverse.locate(rows, at)
    off = np.linalg.norm(_chart_point(charts, face, bary) - at, axis=-1)
    # Inside of a chart the way there and back differs by rounding.
    off[off < RANGE_SLACK] = 0.0
    near = off <= most_off_chart
    reason[good] = np.where(near, 0, REASONS.index("off-chart"))
    vertex = charts.node_vertex[charts.tree.query(_in_tree(rows, at))[1]] if len(rows) else face
    return SurfacePlaces(
        face=_spread(np.where(near, charts.charted[face], -1).astype(np.int32), good, -1),
        bary=_spread(np.where(near[:, None], bary, 0.0), good, 0),
        vertex=_spread(np.where(near, vertex, -1).astype(np.int32), good, -1),
        off_chart=_spread(off.astype(np.float32), good, 0),
        reason=reason,
    )


def nearest_vertices(
    charts: Charts, part: NDArray[np.integer[Any]], uv: NDArray[np.floating[Any]], *, parametrisation: str
) -> Int32:
    """Return the vertex (...) that is nearest to each chart point within its part; -1 where it has none.

    Raises:
        ValueError: as `surface_places`.
    """
    check_parametrisation(charts, parametrisation)
    good = point_reasons(charts, part, uv) == 0
    vertex = np.full(part.shape, -1, dtype=np.int32)
    if good.any():
        vertex[good] = charts.node_vertex[charts.tree.query(_in_tree(part[good], uv[good]))[1]]
    return vertex


def point_reasons(charts: Charts, part: NDArray[np.integer[Any]], uv: NDArray[np.floating[Any]]) -> UInt8:
    """Return why each point (...) cannot be looked up, a row of `REASONS`, the first that holds; 0 if it can.

    Raises:
        ValueError: if a shape or the parts' dtype does not fit.
    """
    if part.dtype.kind not in "iu" or uv.shape != (*part.shape, 2):
        raise ValueError(
            "pipeline.correspondences: part must be whole numbers (...) and uv (..., 2), are "
            f"{part.dtype} {part.shape} and {uv.shape}"
        )
    known = (part >= 0) & (part <= PARTS)
    with np.errstate(invalid="ignore"):
        within = ((uv >= -RANGE_SLACK) & (uv <= 1 + RANGE_SLACK)).all(axis=-1)
    tests = (
        part == 0,
        ~known,
        ~np.isfinite(uv).all(axis=-1),
        ~within,
        ~charts.has_chart[np.where(known, part, 0)],
    )
    return np.select(tests, range(1, 1 + len(tests)), default=0).astype(np.uint8)


def unplaced(places: SurfacePlaces, *, frame: int | None, least_placed: float) -> Finding | None:
    """Return a finding where too few of a person's points have a place on the surface; it counts the reasons.

    Args:
        least_placed: share of the points; those of no part (background of an image) do not count.
    """
    counts = np.bincount(places.reason.reshape(-1), minlength=len(REASONS))
    told = int(counts.sum() - counts[REASONS.index("no-part")])
    share = float(counts[0] / max(told, 1))
    if told and share >= least_placed:
        return None
    why = ", ".join(f"{count} {REASONS[row]}" for row, count in enumerate(counts) if row and count)
    place = "" if frame is None else f"frame {frame}: "
    return Finding(
        frame=frame,
        reason="points-off-surface",
        value=share,
        unit="1",
        limit=least_placed,
        message=(
            f"{place}{least_placed:.0%} of the points must have a place on the surface, {counts[0]} of {told} do "
            f"({why or 'there are no points'}). Left out; check parts and coordinates at the source."
        ),
    )


def part_agreement(points: SurfacePoints, surface_part: UInt8) -> tuple[float, int]:
    """Hold annotated parts against a part image (H W), such as one drawn from a body; no charts are needed.

    Returns:
        The share of points on the drawn person whose pixel has their part, 0 where there is none, and how many
        points lie on the drawn person.
    """
    height, width = surface_part.shape
    u, v = np.rint(points.px).astype(np.int64).T
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    drawn = surface_part[v[inside], u[inside]]
    on = drawn > 0
    right = np.count_nonzero(drawn[on] == points.part[inside][on])
    return float(right / max(np.count_nonzero(on), 1)), int(np.count_nonzero(on))


def _chart_point(charts: Charts, face: Int32, bary: Float64) -> Float64:
    a, b, c = np.moveaxis(charts.inverse.atlas.corner_uv[face], 1, 0)
    return np.asarray(a + bary[:, :1] * (b - a) + bary[:, 1:] * (c - a))


def _in_tree(part: NDArray[np.integer[Any]], uv: NDArray[np.floating[Any]]) -> Float64:
    return np.column_stack([APART * part.astype(np.float64), uv])


def _spread(values: NDArray[Any], where: NDArray[np.bool_], missing: int) -> NDArray[Any]:
    whole = np.full((*where.shape, *values.shape[1:]), missing, dtype=values.dtype)
    whole[where] = values
    return whole
