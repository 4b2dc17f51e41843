"""Scores of joints and surface maps by hand values."""

import numpy as np
import pytest

from training.landmark_joints import LANDMARK27
from training.landmark_metrics import (
    SCORED,
    dense_figures,
    head_px,
    joint_figures,
    right_joints,
    surface_figures,
    torso_px,
)

ROW = {name: row for row, name in enumerate(LANDMARK27.names)}


def standing():
    """Joints (27 3), all known: a torso of 30 by 40 px, a head of 20 px."""
    points = np.ones((27, 3))
    points[:, :2] = np.random.default_rng(0).uniform(60, 180, (27, 2))
    for name, place in {
        "left_shoulder": (130, 80), "right_shoulder": (100, 80), "left_hip": (130, 120), "right_hip": (100, 120),
        "upper_neck": (115, 70), "head_top": (115, 50),
    }.items():  # fmt: skip
        points[ROW[name], :2] = place
    return points


def values(figures):
    return {one["name"]: one["value"] for one in figures}


def test_sizes_of_a_person():
    points = standing()
    assert torso_px(points) == 50 and head_px(points) == 20
    points[ROW["left_hip"], 0] = 160  # the longer diagonal counts
    assert torso_px(points) == pytest.approx(np.hypot(60, 40))
    points[ROW["left_hip"], 2] = 0
    assert torso_px(points) == 50
    points[ROW["left_shoulder"], 2] = points[ROW["head_top"], 2] = 0
    assert torso_px(points) == 0 and head_px(points) == 0


def test_joints_are_right_within_a_share_of_the_torso():
    points = standing()
    found = points[:, :2].copy()
    found[0, 0] += 9.9
    found[1, 1] -= 10.1
    right, counts = right_joints(found, points, share=0.2, size_px=50)
    assert right[0] and not right[1] and counts.all()
    scores = values(joint_figures(found, points, side_px=256))
    assert scores["PCK at 0.2 torso"] == pytest.approx(100 * 15 / 16)
    assert scores["PCKh at 0.5"] == pytest.approx(100 * 15 / 16)  # within 10 px of 20
    assert scores["joint error at 256 px"] == pytest.approx(20 / 16)
    halved = points * [0.5, 0.5, 1]
    assert values(joint_figures(found / 2, halved, side_px=128)) == pytest.approx(scores)


def test_joints_beyond_the_border_and_unknown_ones_do_not_count():
    points = standing()
    found = points[:, :2].copy()
    found[SCORED] += 99
    points[SCORED[1:], 2] = 0
    scores = values(joint_figures(found, points, side_px=256))
    assert scores["PCK at 0.2 torso"] is None  # no torso is known
    assert scores["joint error at 256 px"] == pytest.approx(99 * np.sqrt(2))
    points = standing()
    points[SCORED[0], :2] = -40
    points_found = points[:, :2].copy()
    points_found[SCORED[0]] = 128
    assert values(joint_figures(points_found, points, side_px=256))["joint error at 256 px"] == 0


def test_joints_that_no_score_is_of_do_not_count():
    points = standing()
    found = points[:, :2].copy()
    found[ROW["nose"]] += 99
    assert values(joint_figures(found, points, side_px=256))["PCK at 0.2 torso"] == 100


def test_surface_maps_by_hand():
    true_part = np.zeros((4, 4), np.uint8)
    true_part[:2] = 7
    part = np.zeros((4, 4), np.uint8)
    part[0], part[1, :2], part[2, 0] = 7, 8, 7
    true_uv, uv = np.full((4, 4, 2), 0.5), np.full((4, 4, 2), 0.5)
    uv[0, 0] += (0.3, 0.4)
    scores = values(dense_figures(part, uv, true_part, true_uv))
    assert scores["part accuracy"] == 50  # 4 of 8
    assert scores["mask IoU"] == pytest.approx(100 * 6 / 9)
    assert scores["UV error"] == pytest.approx(100 * 0.5 / 4)


def test_the_surface_is_measured_along_the_body():
    part = np.full((6, 6), 2, np.uint8)  # the chest's side of the torso
    uv = np.full((6, 6, 2), 0.5)
    same = values(surface_figures(part, uv, part, uv))
    assert same["geodesic error"] == 0 and same["geodesic similarity"] == 100
    aside = values(surface_figures(part, uv + [0.05, 0.0], part, uv))
    assert 2 < aside["geodesic error"] < 60 and 90 < aside["geodesic similarity"] < 100
    missed = values(surface_figures(np.zeros((6, 6), np.uint8), uv, part, uv))
    assert missed["geodesic error"] == 1000 and missed["geodesic similarity"] == 0
    nobody = np.zeros((6, 6), np.uint8)
    assert values(surface_figures(part, uv, nobody, uv))["geodesic error"] is None
