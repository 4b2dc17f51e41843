"""Figures of a capture from points whose places, votes and distances are known."""

import numpy as np
import pytest

from pipeline.captures.annotation import SurfacePoints
from pipeline.correspondences.point_scores import MOST_M, PointScores, true_places
from pipeline.correspondences.sides import Sides
from pipeline.correspondences.surface_points import SurfacePlaces
from pipeline.correspondences.targets import SurfaceTarget
from pipeline.simulation.dressing import dress, dressed
from pipeline.simulation.identity import draw_identity
from pipeline.simulation.label_view import bare_figure, dressed_figure, label_view
from pipeline.simulation.outfit import draw_outfit

SIZE_PX = 128
K = np.array([[165.0, 0, 63.5], [0, 165.0, 63.5], [0, 0, 1]])
WORLD_FROM_CAM = np.array([[1.0, 0, 0, 0], [0, -1, 0, -0.2], [0, 0, -1, 2.6], [0, 0, 0, 1]])


def target_at(px, face, reason, **votes):
    count = len(face)
    places = SurfacePlaces(
        face=np.array(face, np.int32),
        bary=np.full((count, 2), 1 / 3),
        vertex=np.zeros(count, np.int32),
        off_chart=np.zeros(count, np.float32),
        reason=np.array(reason, np.uint8),
    )
    points = SurfacePoints(
        px=np.array(px, np.float32), part=np.ones(count, np.uint8), uv=np.zeros((count, 2), np.float32)
    )
    sides = {by: Sides(right=right, votes=number) for by, (right, number) in votes.items()}
    return SurfaceTarget(points=points, places=places, sides=sides)


def values(scores):
    return {name: stat["value"] for name, stat in scores.figures().items()}


def test_places_and_votes_are_counted_over_all_samples():
    scores = PointScores()
    px = [[0, 0]] * 4
    scores.add(target_at(px, [5, 6, -1, -1], [0, 0, 4, 1], charts=(1.0, 10), joints=(0.0, 0)))
    scores.add(target_at(px, [5, -1, -1, -1], [0, 6, 6, 6], charts=(0.5, 30), joints=(0.0, 0)))
    assert values(scores) == {
        "surface points placed": pytest.approx(3 / 7),  # the row without a point is none
        "surface sides right, by the charts": pytest.approx(25 / 40),
    }


def test_errors_are_taken_at_the_points_pixels_where_a_body_is_seen(surface):
    truth = np.full((4, 6), -1, np.int32), np.full((4, 6, 2), 1 / 3)
    truth[0][1, 5], truth[0][3, 2] = 100, 200
    scores = PointScores()
    scores.add_truth(target_at([[5, 1], [2, 3], [0, 0]], [100, -1, 7], [0, 6, 0]), truth, surface)
    found = values(scores)
    # Right, missed, and beside the body.
    assert found["surface error along the body, median"] == pytest.approx(MOST_M / 2)
    assert found["surface point similarity (GPS)"] == pytest.approx(0.5)
    scores.add_truth(target_at([[0, 0]], [7], [0]), truth, surface)
    assert values(scores) == found


def test_no_sample_gives_no_error_and_nothing_placed():
    assert values(PointScores()) == {"surface points placed": 0.0}


@pytest.mark.parametrize("clothes", [False, True])
def test_true_places_name_what_the_labels_name(body, charts, clothes):
    rng = np.random.default_rng(0)
    pose_rad = rng.normal(0, 0.1, (24, 3))
    if clothes:
        person = dressed(dress(draw_identity(rng), draw_outfit(rng)), pose_rad, np.zeros(3))
        figure = dressed_figure(person)
    else:
        figure = bare_figure(body, pose_rad, np.zeros(body.betas), np.zeros(3))
    face, bary = true_places(figure, K, WORLD_FROM_CAM, size_px=SIZE_PX)
    _, labels = label_view(figure, K, WORLD_FROM_CAM, size_px=SIZE_PX)
    np.testing.assert_array_equal(face >= 0, labels["mask"])
    assert labels["mask"].sum() > 1000
    part, uv = charts.atlas.at(face, bary)
    np.testing.assert_array_equal(part[labels["mask"]], labels["surface_part"][labels["mask"]])
    np.testing.assert_allclose(uv[labels["mask"]], labels["surface_uv"][labels["mask"]], atol=1e-6)
