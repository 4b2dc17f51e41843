import numpy as np
import pytest

from pipeline.quality import QuarantineRow
from tasks.report.data import CaptureReport, Curve, Histogram, Metric, ReportData, Sheet, SheetRow, Tile
from tasks.report.figures import DETAIL_COLUMNS, FIGURES, detail_references, measured


def captures(*names: str) -> tuple[CaptureReport, ...]:
    return tuple(CaptureReport(capture=n, subject=n, split="train", role="static", samples=1) for n in names)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_is_finite_or_none(value: float) -> None:
    with pytest.raises(ValueError, match="value of 'm' must be finite, is .* Give None"):
        Metric(name="m", unit="mm", value=value)


@pytest.mark.parametrize(
    ("value", "bound", "holds"),
    [
        (6.0, "at most", True),
        (6.1, "at most", False),
        (6.0, "at least", True),
        (5.9, "at least", False),
        (None, "at most", None),
    ],
)
def test_a_limit_holds_on_its_good_side_and_at_itself(
    value: float | None, bound: str, holds: bool | None
) -> None:
    assert Metric(name="m", unit="mm", value=value, limit=6.0, bound=bound).holds is holds


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_a_tile_is_a_coloured_picture(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a tile must be uint8"):
        Tile(image=image)


def test_a_row_has_a_tile_for_every_frame() -> None:
    with pytest.raises(ValueError, match=r"row 'mask' must have a tile or None for each of 2 frames, has 1"):
        Sheet(frames=(1, 2), rows=(SheetRow(label="mask", tiles=(None,)),))


@pytest.mark.parametrize("edges", [[0.0], [0.0, 1.0, 3.0], [1.0, 0.0]])
def test_bins_ascend_in_equal_steps(edges: list[float]) -> None:
    with pytest.raises(ValueError, match="must ascend in equal steps"):
        Histogram(metric="m", unit="mm", edges=np.array(edges), curves=())


def test_counts_fit_the_bins() -> None:
    curve = Curve(capture="a", counts=np.array([1, 2, 3]))
    with pytest.raises(ValueError, match="'m' of a must have 2 counts"):
        Histogram(metric="m", unit="mm", edges=np.array([0.0, 1.0, 2.0]), curves=(curve,))


def test_captures_have_distinct_ids_and_quarantine_names_them() -> None:
    head = {"name": "d", "fingerprint": "f", "generator": "g"}
    with pytest.raises(ValueError, match="distinct ids"):
        ReportData(**head, captures=captures("a", "a"))
    row = QuarantineRow(capture="b", stage="s", reason="r", message="m")
    with pytest.raises(ValueError, match="name 'b'"):
        ReportData(**head, captures=captures("a"), quarantine=(row,))


def test_standard_figures_bring_unit_sense_and_sentence() -> None:
    metric = measured("coverage_percent", 97.0, limit=80.0)
    assert (metric.unit, metric.bound, metric.holds) == ("%", "at least", True) and metric.meaning
    assert measured("truth_median_mm", None).absent == "no truth"
    with pytest.raises(ValueError, match=r"must be one of usable_percent, .*, is 'residual'"):
        measured("residual", 1.0)


def test_names_of_standard_figures_are_distinct_and_their_keys_tell_the_unit() -> None:
    assert len({figure.name for figure in FIGURES.values()}) == len(FIGURES)
    endings = {"mm": "_mm", "deg": "_deg", "px": "_px", "%": "_percent", "m": "_m",
               "1": ("pixels", "_iou", "_pairs", "_ties")}  # fmt: skip
    assert all(key.endswith(endings[figure.unit]) for key, figure in FIGURES.items())


def test_reference_rows_line_up_with_the_detail_columns() -> None:
    names = [FIGURES[key].name for key in DETAIL_COLUMNS]
    assert all([metric.name for metric in metrics] == names for _, metrics in detail_references())
