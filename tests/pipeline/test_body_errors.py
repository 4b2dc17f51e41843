"""Errors of fitted bodies against known ones."""

import numpy as np
import pytest

from pipeline.bodies.model import default_body
from pipeline.truth_scores import body_errors

K = np.array([[275.0, 0, 127.5], [0, 275.0, 127.5], [0, 0, 1]])


@pytest.fixture(scope="module")
def person() -> tuple[np.ndarray, np.ndarray]:
    body = default_body()
    posed = body.posed(np.zeros((1, 24, 3)), np.zeros(body.betas), np.zeros(3))
    upright = np.diag([1.0, -1.0, -1.0])
    middle_m = posed.vertices_m[0].mean(axis=0)
    joints_m, vertices_m = (
        (part[0] - middle_m) @ upright + [0, 0, 2.5] for part in (posed.joints_m, posed.vertices_m)
    )
    return joints_m, vertices_m


def errors(true, fitted):
    return body_errors(true, fitted, default_body().faces, K, size_px=256)


def test_the_same_body_has_no_error_and_overlaps_whole(person):
    assert errors(person, person) == (0.0, 0.0, 0.0, 1.0)


def test_a_body_beside_itself_is_wrong_by_so_much_but_not_about_its_root(person):
    aside = tuple(part + [0.0, 0.03, 0.04] for part in person)
    joints_m, aligned_m, vertices_m, overlap = errors(person, aside)
    np.testing.assert_allclose((joints_m, aligned_m, vertices_m), (0.05, 0.0, 0.05), atol=1e-6)
    assert 0.3 < overlap < 0.8
    away = tuple(part + [0.0, 0.0, 0.6] for part in person)
    assert errors(person, away)[3] == 0.0  # half a metre deep, and moved by more


def test_one_wrong_joint_counts_its_share(person):
    joints_m = person[0].copy()
    joints_m[5] += [0.24, 0, 0]
    np.testing.assert_allclose(errors(person, (joints_m, person[1]))[:3], (0.01, 0.01, 0.0), atol=1e-9)
