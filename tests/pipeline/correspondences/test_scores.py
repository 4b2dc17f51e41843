"""Scores against their closed forms, and average precision against COCO's loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bodies.parts import DENSEPOSE24_NAMES
from pipeline.correspondences.geodesic import geodesic_surface
from pipeline.correspondences.scores import (
    THRESHOLDS,
    average_precision,
    geodesic_errors_m,
    geodesic_similarity,
    k_of_parts,
    person_similarity,
)


def test_similarity_is_one_where_right_and_falls_as_a_gaussian_to_zero_where_nothing_was_found():
    error_m = np.array([0.0, 0.255, 0.51, np.inf])
    expected = [1, np.exp(-0.5), np.exp(-2), 0]
    np.testing.assert_allclose(geodesic_similarity(error_m), expected, rtol=1e-12)
    assert person_similarity(error_m) == pytest.approx(np.mean(expected))
    half = np.exp(-0.5)
    each_k_m = np.array([1, 0.255, 0.51, 1])
    np.testing.assert_allclose(geodesic_similarity(error_m, each_k_m), [1, half, half, 0])


def test_each_part_has_the_k_of_its_limb():
    k_m = dict(zip(DENSEPOSE24_NAMES, k_of_parts(np.arange(1, 25).astype(np.uint8)), strict=True))
    of_limb = {
        "torso": 0.351, "hand": 0.107, "foot": 0.126, "thigh": 0.237,
        "shin": 0.173, "upper_arm": 0.142, "forearm": 0.128, "head": 0.150,
    }  # fmt: skip
    for name, k in k_m.items():
        assert k == next(value for limb, value in of_limb.items() if limb in name), name


def test_errors_on_a_square_are_its_distances_and_what_was_not_found_is_infinitely_far():
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    square = geodesic_surface(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32))
    truth = np.array([0, 0, 0], np.int32), np.array([[1.0, 0], [1.0, 0], [1.0, 0]])
    found = np.array([1, -1, 0], np.int32), np.array([[0, 1.0], [0, 0], [0, 0]])
    np.testing.assert_allclose(geodesic_errors_m(square, truth, found), [np.sqrt(2), np.inf, 1])
    np.testing.assert_allclose(geodesic_errors_m(square, truth, found, most_m=1.2), [np.inf, np.inf, 1])
    with pytest.raises(ValueError, match="1 have none"):
        geodesic_errors_m(square, found, truth)


def coco_loop(similarity, confidence, people, threshold):
    """Walk down the list, keep (recall, precision) at each step, take the best precision from a recall on."""
    steps, hits = [], 0
    for place, row in enumerate(sorted(range(len(similarity)), key=lambda n: -confidence[n]), start=1):
        hits += similarity[row] >= threshold
        steps.append((hits, hits / place))
    best = [max((p for hit, p in steps if 100 * hit >= level * people), default=0) for level in range(101)]
    return float(np.mean(best))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(1, 15))
def test_average_precision_is_what_a_walk_down_the_list_finds(seed, count, people):
    rng = np.random.default_rng(seed)
    similarity = np.where(np.arange(count) < people, rng.uniform(0.3, 1, count), 0)
    confidence = rng.permutation(count) / 10.0
    mean, each = average_precision(similarity, confidence, people=people)
    expected = [coco_loop(similarity, confidence, people, threshold) for threshold in THRESHOLDS]
    np.testing.assert_allclose(each, expected, atol=1e-12)
    assert mean == pytest.approx(np.mean(expected))


def test_average_precision_of_known_lists():
    one = np.ones(4)
    assert average_precision(one, one, people=4)[0] == 1
    assert average_precision(np.zeros(0), np.zeros(0), people=4)[0] == 0
    # Half of the people are found: precision 1 at the 51 recalls from 0 to 0.5.
    assert average_precision(one[:2], one[:2], people=4)[0] == pytest.approx(51 / 101)
    # Of ten thresholds 0.50 to 0.95, a similarity of 0.72 reaches five.
    assert average_precision(np.array([0.72]), one[:1], people=1)[0] == pytest.approx(0.5)
    # A confident miss before one hit halves the precision everywhere.
    assert average_precision(np.array([0.0, 1.0]), np.array([0.9, 0.1]), people=1)[0] == pytest.approx(0.5)


def test_nonsense_is_refused():
    for errors, k_m in ((np.array([-0.1]), 0.255), (np.array([np.nan]), 0.255), (np.ones(1), 0.0)):
        with pytest.raises(ValueError, match="must"):
            geodesic_similarity(errors, k_m)
    with pytest.raises(ValueError, match="must have true points"):
        person_similarity(np.zeros(0))
    for part, k_m in ((np.array([0], np.uint8), (1.0,) * 24), (np.array([1], np.uint8), (1.0,) * 8)):
        with pytest.raises(ValueError, match="must be 24"):
            k_of_parts(part, k_m)
    for similarity, people in ((np.ones(2), 1), (np.ones(1), 0)):
        with pytest.raises(ValueError, match="people"):
            average_precision(similarity, np.ones(len(similarity)), people=people)
