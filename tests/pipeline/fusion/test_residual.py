"""The counted figures against numpy on the same pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import GateError
from pipeline.fusion.residual import check_residual, depth_residual, residual_stats

RANGE = {"depth_min_m": 0.5, "depth_max_m": 2.0}


def counted(raw_m: np.ndarray, surface_m: np.ndarray) -> np.ndarray:
    return depth_residual(raw_m.astype(np.float32), surface_m.astype(np.float32), **RANGE)


@given(seed=st.integers(0, 2**31), scale_m=st.sampled_from([1e-4, 2e-3, 0.05, 0.4]), miss=st.floats(0, 1))
def test_figures_agree_with_numpy_over_all_pixels_in_range(seed: int, scale_m: float, miss: float) -> None:
    rng = np.random.default_rng(seed)
    raw_m = rng.uniform(0.3, 2.5, (24, 32)).astype(np.float32)
    surface_m = (raw_m + rng.normal(0, scale_m, raw_m.shape)).astype(np.float32)
    surface_m[rng.random(raw_m.shape) < miss] = np.inf
    stats = residual_stats(counted(raw_m, surface_m))
    in_range = (raw_m >= 0.5) & (raw_m <= 2.0)
    residual_m = (surface_m.astype(np.float64) - raw_m)[in_range]
    residual_m[surface_m[in_range] <= 0] = np.inf  # noise may throw a surface behind the camera: a miss
    hit = np.isfinite(residual_m)
    assert stats.pixels == len(residual_m)
    assert stats.coverage == pytest.approx(hit.mean())
    # Half a bin of 0.1 mm, plus the rounding of float32 depth.
    for found, share in ((stats.median_m, 0.5), (stats.p90_m, 0.9)):
        expected = np.quantile(np.abs(residual_m), share, method="inverted_cdf")
        assert found == expected or abs(found - expected) < 5.01e-5
    if hit.any():
        assert abs(stats.bias_m - np.quantile(residual_m[hit], 0.5, method="inverted_cdf")) < 5.01e-5


def test_a_miss_counts_as_infinitely_far() -> None:
    raw_m = np.ones((10, 10))
    surface_m = np.ones((10, 10))
    surface_m[:6] = np.inf
    stats = residual_stats(counted(raw_m, surface_m))
    assert (stats.median_m, stats.coverage, stats.close) == (np.inf, 0.4, 0.4)
    assert stats.bias_m == 0.0


@pytest.mark.parametrize("missed", [0.0, np.nan, np.inf, -1.0])
def test_every_way_to_write_a_miss_counts(missed: float) -> None:
    stats = residual_stats(counted(np.ones((2, 2)), np.array([[1.0, 1.0], [1.0, missed]])))
    assert (stats.coverage, stats.p90_m) == (0.75, np.inf)


def test_frames_add_up() -> None:
    rng = np.random.default_rng(3)
    raw_m = rng.uniform(0.5, 2, (2, 20, 20))
    surface_m = raw_m + rng.normal(0, 0.01, raw_m.shape)
    apart = counted(raw_m[0], surface_m[0]) + counted(raw_m[1], surface_m[1])
    together = counted(raw_m.reshape(40, 20), surface_m.reshape(40, 20))
    assert np.array_equal(apart, together)


def test_a_surface_behind_the_raw_depth_has_positive_bias() -> None:
    stats = residual_stats(counted(np.ones((4, 4)), np.full((4, 4), 1.003)))
    assert stats.bias_m == pytest.approx(0.003, abs=5e-5)
    assert stats.median_m == pytest.approx(0.003, abs=5e-5)


def test_raw_pixels_out_of_range_do_not_count() -> None:
    raw_m = np.array([[0.0, 0.49, 0.5, 2.0, 2.01, np.nan]])
    assert residual_stats(counted(raw_m, np.ones((1, 6)))).pixels == 2


def test_close_is_the_share_below_20_mm() -> None:
    surface_m = np.array([[1.0, 1.0199, 1.0205, 0.9801, 0.97, np.inf, 4.0, 1.0]])
    assert residual_stats(counted(np.ones((1, 8)), surface_m)).close == 4 / 8


def test_nothing_measured_is_not_a_good_fit() -> None:
    stats = residual_stats(counted(np.zeros((2, 2)), np.ones((2, 2))))
    assert stats.pixels == 0
    assert stats.coverage == 0.0
    with pytest.raises(GateError):
        check_residual(stats.median_m, 0.01)


def test_a_large_residual_is_a_gate_with_its_figures() -> None:
    check_residual(0.01, 0.01)
    with pytest.raises(
        GateError, match="within 10.0 mm of the fused surface, the median is 12.3 mm"
    ) as caught:
        check_residual(0.0123, 0.01)
    assert (caught.value.reason, caught.value.value, caught.value.limit) == (
        "residual-too-large",
        0.0123,
        0.01,
    )
    with pytest.raises(GateError) as caught:
        check_residual(np.inf, 0.01)
    assert caught.value.value is None
