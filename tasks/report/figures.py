"""The report's standard figures: which stand in which table, and their values."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.report.data import Metric
from tasks.report.fidelity_figures import FIDELITY_FIGURES
from tasks.report.figure import Figure
from tasks.report.surface_figures import SURFACE_FIGURES
from tasks.report.target_figures import TARGET_FIGURES

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

TARGETS_DEFINITION = (
    "Charts, volumes and motions of simulated people are held against the true bodies, over up to 24 frames of a "
    "capture; the true surface is found by ray casting, the true volume by counting along rays. Limits stand where "
    "the targets were made of the true bodies, not of fitted ones. Real people have no truth."
)

FIDELITY_DEFINITION = (
    "Where poses were tracked, the camera of each frame was found against the model so far, and loops were closed "
    "where frames far apart in time see the same. Spreads come from the alignment's own equations and hold for "
    "independent noise. Curves show each frame that became a sample; a line breaks where frames are missing."
)

FIGURES: dict[str, Figure] = SURFACE_FIGURES | FIDELITY_FIGURES | TARGET_FIGURES

OVERVIEW_COLUMNS = (
    "usable_percent", "residual_median_mm", "residual_p90_mm", "coverage_percent", "renderers_apart_mm",
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
FIDELITY_COLUMNS = tuple(FIDELITY_FIGURES)
TARGET_COLUMNS = tuple(TARGET_FIGURES)
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
