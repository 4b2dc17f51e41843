import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.report.data import Curve, Histogram
from tasks.report.plots import BOTTOM, LEFT, MAX_COLOURS, RIGHT, TOP, draw, nice_ticks, tick_text


def histogram(*counts: list[int], outside: int = 0, limit: float | None = None) -> Histogram:
    curves = tuple(
        Curve(capture=f"c{i}", counts=np.array(row), outside=outside) for i, row in enumerate(counts)
    )
    edges = np.linspace(0.0, 2.0, len(counts[0]) + 1) if counts else np.array([0.0, 1.0])
    return Histogram(metric="m", unit="mm", edges=edges, curves=curves, limit=limit)


def test_a_curve_climbs_to_the_share_of_each_bin() -> None:
    line = draw(histogram([1, 3])).lines[0]
    middle, third = (LEFT + RIGHT) / 2, BOTTOM - (BOTTOM - TOP) / 3  # 25 % beside a highest bin of 75 %
    assert line.path == f"M{LEFT:.1f} {BOTTOM}V{third:.1f}H{middle:.1f}V{TOP:.1f}H{RIGHT:.1f}V{BOTTOM}"
    assert (line.style, line.label, line.total, line.outside_percent) == ("c0", "c0", 4, 0.0)


def test_what_lies_beyond_the_axis_stays_in_the_total() -> None:
    plot = draw(histogram([1, 3], outside=4))
    assert plot.lines[0].total == 8 and plot.lines[0].outside_percent == 50.0
    # The highest bin holds 3 of 8, so the axis ends at 37.5 %.
    assert [tick.text for tick in plot.y_ticks] == ["0", "10", "20", "30"]


def test_axes_run_from_the_first_edge_to_the_last() -> None:
    ticks = draw(histogram([1, 3])).x_ticks
    assert (ticks[0].at, ticks[0].text) == (LEFT, "0.0") and (ticks[-1].at, ticks[-1].text) == (RIGHT, "2.0")


def test_captures_beyond_the_colours_become_a_crowd_with_their_sum() -> None:
    rows = [[i, 10 - i] for i in range(MAX_COLOURS + 1)]
    assert [line.style for line in draw(histogram(*rows[:-1])).lines] == [f"c{i}" for i in range(MAX_COLOURS)]
    *crowd, pooled = draw(histogram(*rows)).lines
    assert {line.style for line in crowd} == {"crowd"} and pooled.style == "pooled"
    assert pooled.total == 10 * len(rows)


def test_a_limit_is_drawn_only_where_the_axis_reaches() -> None:
    assert draw(histogram([1, 1], limit=0.5)).limit_at == LEFT + (RIGHT - LEFT) / 4
    assert draw(histogram([1, 1], limit=2.5)).limit_at is None
    assert draw(histogram([1, 1])).limit_at is None


def test_a_capture_without_counts_is_a_flat_line() -> None:
    line = draw(histogram([0, 0])).lines[0]
    assert line.total == 0 and line.path.count(f"V{BOTTOM:.1f}") == 2
    assert draw(histogram()).lines == ()


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e4), st.integers(2, 9))
def test_ticks_are_round_even_and_inside(low: float, span: float, most: int) -> None:
    high = low + span
    ticks = nice_ticks(low, high, most=most)
    assert 1 <= len(ticks) <= most
    assert all(low - 1e-6 * span <= tick <= high + 1e-6 * span for tick in ticks)
    if len(ticks) > 1:
        step = ticks[1] - ticks[0]
        mantissa = step / 10 ** np.floor(np.log10(step) + 1e-6)
        assert min(abs(mantissa - m) for m in (1, 2, 5)) < 1e-3
        np.testing.assert_allclose(np.diff(ticks), step, rtol=1e-6)
        # As many as fit: the next finer step is at most 2.5 times finer and would overflow.
        assert span > (most - 1) * step / 2.5 * (1 - 1e-6)


def test_ticks_need_an_axis() -> None:
    with pytest.raises(ValueError, match="low must be below high"):
        nice_ticks(1.0, 1.0, most=4)


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [(-20.0, 10.0, "−20"), (0.25, 0.05, "0.25"), (-1e-17, 0.5, "0.0"), (3.0, 1.0, "3")],
)
def test_tick_labels_have_the_decimals_of_their_step(value: float, step: float, text: str) -> None:
    assert tick_text(value, step) == text
