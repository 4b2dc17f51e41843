"""Confidences: monotone, right on average, kept as JSON."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from training import calibration
from training.calibration import fit_calibration, read_calibration, reliability, write_calibration


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 700))
def test_the_map_never_falls_and_keeps_the_mean(seed, count):
    rng = np.random.default_rng(seed)
    mass, right = rng.uniform(size=count), rng.uniform(size=count) < rng.uniform()
    fitted = fit_calibration(mass, right, of="test")
    assert (np.diff(fitted.mass) >= 0).all() and (np.diff(fitted.confidence) > 0).all()
    assert fitted.confidence[0] >= 0 and fitted.confidence[-1] <= 1
    values = fitted(np.linspace(-1, 2, 50))
    assert (np.diff(values) >= 0).all()


def test_true_probabilities_come_back():
    rng = np.random.default_rng(0)
    mass = rng.uniform(size=40_000)
    right = rng.uniform(size=len(mass)) < mass**2  # surer of itself than it may be
    fitted = fit_calibration(mass, right, of="test")
    at = np.linspace(0.05, 0.95, 19)
    # Steps of some 1,000 joints: a share's deviation is 0.016 at most.
    np.testing.assert_allclose(fitted(at), at**2, atol=0.06)
    _, before = reliability(mass, right)
    _, after = reliability(fitted(mass), right)
    assert before > 0.1 and after < 0.015


def test_pooling_by_hand(monkeypatch):
    monkeypatch.setattr(calibration, "LEAST_COUNT", 1)
    fitted = fit_calibration(
        np.array([0.1, 0.2, 0.3, 0.4]), np.array([False, True, False, True]), of="four joints"
    )
    assert fitted.confidence.tolist() == [0, 0.5, 1] and fitted.mass == pytest.approx([0.1, 0.25, 0.4])
    assert fitted(np.array([0.0, 0.175, 0.9])).tolist() == pytest.approx([0, 0.25, 1])


def test_reliability_by_hand():
    said, right = np.array([0.95, 0.95, 0.15, 0.15]), np.array([True, False, False, False])
    rows, error = reliability(said, right)
    assert [row["right"] for row in rows] == [0, 0.5] and [row["joints"] for row in rows] == [2, 2]
    assert error == pytest.approx((0.15 + 0.45) / 2)


def test_maps_are_kept(tmp_path):
    fitted = fit_calibration(np.linspace(0, 1, 300), np.linspace(0, 1, 300) > 0.6, of="300 joints")
    write_calibration(tmp_path / "calibration.json", fitted, {"expected_calibration_error": 0.02})
    again = read_calibration(tmp_path / "calibration.json")
    np.testing.assert_array_equal(again.mass, fitted.mass)
    np.testing.assert_array_equal(again.confidence, fitted.confidence)
    assert again.of == "300 joints" and read_calibration(tmp_path / "none.json") is None
    assert [each.name for each in tmp_path.iterdir()] == ["calibration.json"]


@pytest.mark.parametrize(
    "content",
    ["{", {"mass": [0, 1], "confidence": [1, 0], "of": ""}, {"mass": [], "confidence": [], "of": ""}],
)
def test_what_is_no_map_is_refused(tmp_path, content):
    path = tmp_path / "calibration.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match="calibration"):
        read_calibration(path)
    with pytest.raises(ValueError, match="joints"):
        fit_calibration(np.zeros(0), np.zeros(0, bool), of="nothing")
