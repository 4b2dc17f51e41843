"""The report's standard figures: name, unit, sentence and sense of the limit stand here once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tasks.report.data import Metric


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A row of the table; the attributes mean what they mean in Metric.

    Attributes:
        stat: the figure's name in the stages' records.
        factor: from the record's unit to this row's.
    """

    name: str
    unit: str
    meaning: str
    stat: str
    factor: float
    bound: Literal["at most", "at least"] = "at most"
    absent: str = "not measured"


RESIDUAL_DEFINITION = (
    "The residual of a pixel is |fused depth − raw depth|, both z along the optical axis, at the sensor's own "
    "resolution; the fused depth is ray-cast. Every raw foreground pixel in the depth range counts: where the ray "
    "misses the fused surface the pixel counts as infinitely far in the median and the 90th percentile. Coverage "
    "is the share of those pixels whose ray meets the surface."
)
TRUTH_DEFINITION = (
    "The error of a pixel is |fused depth − true depth|, both z along the optical axis; the true depth is "
    "the exact surface of the simulated body, by ray casting. Captures of real people have no truth."
)

DEGREES = 180 / math.pi

FIGURES: dict[str, Figure] = {
    # overview
    "usable_percent": Figure(
        stat="usable frames",
        factor=100,
        name="usable",
        unit="%",
        bound="at least",
        meaning="share of the frames that the manifest chooses that became samples",
    ),
    "residual_median_mm": Figure(
        stat="fused residual, median",
        factor=1e3,
        name="fused − raw, median",
        unit="mm",
        meaning="median over pixels of |fused depth − raw depth|",
    ),
    "residual_p90_mm": Figure(
        stat="fused residual, p90",
        factor=1e3,
        name="fused − raw, p90",
        unit="mm",
        meaning="90th percentile over pixels of |fused depth − raw depth|",
    ),
    "coverage_percent": Figure(
        stat="fused coverage",
        factor=100,
        name="coverage",
        unit="%",
        bound="at least",
        meaning="share of the raw foreground pixels in range that the fused surface reaches",
    ),
    "render_vs_raycast_median_mm": Figure(
        stat="Blender against ray cast, median",
        factor=1e3,
        name="Blender − ray cast, median",
        unit="mm",
        meaning="median over pixels of |depth by Blender − depth by ray casting|, same mesh and camera",
    ),
    "detail_std_mm": Figure(
        stat="detail, standard deviation",
        factor=1e3,
        name="detail, std",
        unit="mm",
        meaning="standard deviation over pixels of the detail layer (depth − median − base)",
    ),
    "normal_vs_rendered_deg": Figure(
        stat="fitted against rendered normals, median",
        factor=DEGREES,
        name="normals fitted − rendered",
        unit="deg",
        meaning="median over pixels of the angle between the least-squares normal and the fused mesh's own",
    ),
    "truth_median_mm": Figure(
        stat="truth depth error, median",
        factor=1e3,
        name="truth error, median",
        unit="mm",
        absent="no truth",
        meaning="median over pixels of |fused depth − true depth|, for simulated captures",
    ),
    # fused against raw and against truth
    "miss_percent": Figure(
        stat="fused misses",
        factor=100,
        name="misses",
        unit="%",
        meaning="share of the raw foreground pixels in range without fused depth",
    ),
    "raw_pixels": Figure(
        stat="raw pixels in range",
        factor=1,
        name="raw pixels in range",
        unit="1",
        meaning="raw foreground pixels that count",
    ),
    "residual_bias_mm": Figure(
        stat="fused residual, bias",
        factor=1e3,
        name="bias",
        unit="mm",
        meaning="median over pixels of fused − raw; positive lies behind the raw depth",
    ),
    "truth_p90_mm": Figure(
        stat="truth depth error, p90",
        factor=1e3,
        name="truth error, p90",
        unit="mm",
        absent="no truth",
        meaning="90th percentile over pixels of |fused depth − true depth|",
    ),
    "truth_bias_mm": Figure(
        stat="truth depth bias, mean",
        factor=1e3,
        name="truth bias",
        unit="mm",
        absent="no truth",
        meaning="mean over pixels of fused − true; positive lies behind the true surface",
    ),
    "truth_coverage_percent": Figure(
        stat="true surface covered",
        factor=100,
        name="truth coverage",
        unit="%",
        bound="at least",
        absent="no truth",
        meaning="share of the true foreground pixels that the fused surface reaches",
    ),
    "truth_normal_deg": Figure(
        stat="truth normal error, median",
        factor=DEGREES,
        name="truth normal error",
        unit="deg",
        absent="no truth",
        meaning="median over pixels of the angle between the least-squares normal and the true surface's",
    ),
    "truth_base_mm": Figure(
        stat="truth base error, median",
        factor=1e3,
        name="truth base error",
        unit="mm",
        absent="no truth",
        meaning="median over pixels of |base − base of the true depth|, split in the same way",
    ),
    "truth_detail_mm": Figure(
        stat="truth detail error, median",
        factor=1e3,
        name="truth detail error",
        unit="mm",
        absent="no truth",
        meaning="median over pixels of |detail − detail of the true depth|, split in the same way",
    ),
    "true_detail_std_mm": Figure(
        stat="true detail, standard deviation",
        factor=1e3,
        name="true detail, std",
        unit="mm",
        absent="no truth",
        meaning="standard deviation over pixels of the true depth's detail layer",
    ),
    "truth_accuracy_mm": Figure(
        stat="truth surface accuracy, median",
        factor=1e3,
        name="surface accuracy",
        unit="mm",
        absent="no truth",
        meaning="median distance from the fused surface to the true one, evenly over its area",
    ),
    "truth_completeness_mm": Figure(
        stat="truth surface completeness, median",
        factor=1e3,
        name="surface completeness",
        unit="mm",
        absent="no truth",
        meaning="median distance from the true surface, where a frame shows it, to the fused one",
    ),
    "truth_within_5mm_percent": Figure(
        stat="truth surface within 5 mm",
        factor=100,
        name="surface within 5 mm",
        unit="%",
        bound="at least",
        absent="no truth",
        meaning="share of the true surface that a frame shows within 5 mm of the fused one, by area",
    ),
    "truth_camera_mm": Figure(
        stat="truth camera error, median",
        factor=1e3,
        name="camera",
        unit="mm",
        absent="no truth",
        meaning="median over frames of the distance between the camera's centre and the true one",
    ),
    "truth_camera_deg": Figure(
        stat="truth camera turn, median",
        factor=DEGREES,
        name="camera turn",
        unit="deg",
        absent="no truth",
        meaning="median over frames of the angle between the camera's axes and the true ones",
    ),
    # detail layer
    "detail_p99_mm": Figure(
        stat="detail, p99 of |detail|",
        factor=1e3,
        name="detail, p99 of |·|",
        unit="mm",
        meaning="99th percentile over pixels of |detail|",
    ),
    "detail_over_50mm_percent": Figure(
        stat="detail, share over 5 cm",
        factor=100,
        name="|detail| over 50 mm",
        unit="%",
        meaning="share of pixels whose |detail| exceeds 50 mm",
    ),
}

OVERVIEW_COLUMNS = (
    "usable_percent", "residual_median_mm", "residual_p90_mm", "coverage_percent", "render_vs_raycast_median_mm",
    "detail_std_mm", "normal_vs_rendered_deg", "truth_median_mm",
)  # fmt: skip
RAW_COLUMNS = (
    "residual_median_mm", "residual_p90_mm", "residual_bias_mm", "coverage_percent", "miss_percent", "raw_pixels",
)  # fmt: skip
TRUTH_COLUMNS = (
    "truth_median_mm", "truth_p90_mm", "truth_bias_mm", "truth_coverage_percent", "truth_normal_deg",
    "truth_base_mm", "truth_detail_mm", "true_detail_std_mm", "truth_accuracy_mm", "truth_completeness_mm",
    "truth_within_5mm_percent", "truth_camera_mm", "truth_camera_deg",
)  # fmt: skip
DETAIL_COLUMNS = ("detail_std_mm", "detail_p99_mm", "detail_over_50mm_percent")

DETAIL_SOURCE = (
    "Measured by this project on the test maps and the one prediction released with Tang et al., A Neural "
    "Network for Detailed Human Depth Estimation from a Single Image, ICCV 2019; not figures printed in the "
    "paper. σ space 75 px, σ depth 0.10 m, 256 × 256 px, zero-median depth inside the mask."
)

# Row name, then values in the order of DETAIL_COLUMNS; None was not measured.
DETAIL_REFERENCES: tuple[tuple[str, tuple[float | None, ...]], ...] = (
    ("Tang 2019, released maps, full-support filter (52 maps)", (41.2, 103.0, 22.4)),
    ("Tang 2019, released maps, window 15 px (11 maps, mask eroded once)", (12.4, 42.0, 0.55)),
    ("Tang 2019, released network's detail (sample 0001)", (7.7, 26.0, None)),
)


def measured(key: str, value: float | None, *, limit: float | None = None) -> Metric:
    """A standard figure with its value.

    Args:
        key: a row of FIGURES.
        value: in the row's unit; None where it was not measured.
        limit: the gate's bound in the same unit.

    Raises:
        ValueError: if no row has that key, or a number is not finite.
    """
    if key not in FIGURES:
        raise ValueError(f"report: the figure must be one of {', '.join(FIGURES)}, is {key!r}")
    row = FIGURES[key]
    return Metric(
        name=row.name,
        unit=row.unit,
        value=value,
        limit=limit,
        bound=row.bound,
        absent=row.absent,
        meaning=row.meaning,
    )


def detail_references() -> tuple[tuple[str, tuple[Metric, ...]], ...]:
    """The reference rows of the detail table, as figures of the same names."""
    return tuple(
        (label, tuple(measured(key, value) for key, value in zip(DETAIL_COLUMNS, values, strict=True)))
        for label, values in DETAIL_REFERENCES
    )


def recorded(columns: Sequence[str], stats: Mapping[str, Any]) -> tuple[Metric, ...]:
    """Standard figures as the stages' records have them; what a record lacks was not measured.

    Args:
        columns: rows of FIGURES.
        stats: from a figure's name in the records to its value, unit and limit.
    """

    def scaled(key: str, part: str) -> float | None:
        value = stats.get(FIGURES[key].stat, {}).get(part)
        return None if value is None else FIGURES[key].factor * value

    return tuple(measured(key, scaled(key, "value"), limit=scaled(key, "limit")) for key in columns)
