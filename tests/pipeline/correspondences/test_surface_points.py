"""Chart points to vertices and places, against brute force and against the surface they came from."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.captures.annotation import SurfacePoints
from pipeline.correspondences.charts import DENSEPOSE, OURS, Charts, own_charts
from pipeline.correspondences.reasons import REASONS
from pipeline.correspondences.surface_points import (
    nearest_vertices,
    part_agreement,
    point_reasons,
    surface_places,
    unplaced,
)


def chart_points(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(1, 25, count).astype(np.uint8), rng.uniform(0, 1, (count, 2))


def test_a_vertex_is_nearest_to_its_own_place_in_each_of_its_charts(body, charts: Charts):
    rows = np.random.default_rng(1).integers(0, len(body.faces), 2000)
    uv, part = charts.atlas.corner_uv[rows], charts.atlas.part[rows]
    found = nearest_vertices(charts, np.repeat(part[:, None], 3, axis=1), uv, parametrisation=OURS)
    np.testing.assert_array_equal(found, body.faces[rows])


def test_the_nearest_vertex_is_the_nearest_of_all_in_the_part_and_of_no_other_part(body, charts: Charts):
    part, uv = chart_points(120)
    found = nearest_vertices(charts, part, uv, parametrisation=OURS)
    elsewhere = 0
    for row in range(len(part)):
        here = charts.atlas.part == part[row]
        vertices, places = body.faces[here].ravel(), charts.atlas.corner_uv[here].reshape(-1, 2)
        apart = np.linalg.norm(places - uv[row], axis=1)
        assert apart[vertices == found[row]].min() == pytest.approx(apart.min(), abs=1e-12)
        everywhere = np.linalg.norm(charts.atlas.corner_uv.reshape(-1, 2) - uv[row], axis=1)
        elsewhere += everywhere.min() < apart.min()
    assert elsewhere > 80  # so that a search over all parts would have failed


def test_places_give_their_chart_points_back(body, charts: Charts):
    part, uv = chart_points(3000)
    inside = np.linalg.norm(uv - 0.5, axis=1) < 0.49
    found = surface_places(charts, part, uv, parametrisation=OURS)
    back, back_uv = charts.atlas.at(found.face[inside], found.bary[inside])
    np.testing.assert_array_equal(back, part[inside])
    # Between the circle and a chord of the rim there is no face; up to 0.49 chords reach nearly everywhere.
    beyond = found.off_chart[inside] > 0
    assert beyond.mean() < 0.02
    np.testing.assert_allclose(back_uv[~beyond], uv[inside][~beyond], atol=1e-6)
    assert not found.reason[inside].any()
    nearest = nearest_vertices(charts, part, uv, parametrisation=OURS)
    np.testing.assert_array_equal(found.vertex, np.where(found.reason == 0, nearest, -1))


def test_a_point_beyond_the_rim_goes_to_it_or_says_how_far_off_it_is(charts: Charts):
    part, corner = np.arange(1, 25).astype(np.uint8), np.ones((24, 2))
    far = surface_places(charts, part, corner, parametrisation=OURS)
    assert (far.reason == REASONS.index("off-chart")).all() and (far.face == -1).all()
    # Charts are discs of radius 1/2 in the unit square, but for the chords of their rims.
    np.testing.assert_allclose(far.off_chart, np.sqrt(0.5) - 0.5, atol=0.01)
    taken = surface_places(charts, part, corner, parametrisation=OURS, most_off_chart=0.25)
    back, uv = charts.atlas.at(taken.face, taken.bary)
    assert not taken.reason.any() and (back == part).all()
    # The nearest place of a chord of 0.1 lies up to half of it aside.
    np.testing.assert_allclose(uv, np.full((24, 2), 0.5 + np.sqrt(0.125)), atol=0.05)


def test_every_point_that_cannot_be_looked_up_says_why_and_holds_nothing(charts: Charts):
    cases = [
        (5, (0.5, 0.5), ""),
        (0, (0.5, 0.5), "no-part"),
        (0, (np.nan, 7), "no-part"),
        (25, (0.5, 0.5), "unknown-part"),
        (-3, (0.5, 0.5), "unknown-part"),
        (5, (np.nan, 0.5), "uv-not-finite"),
        (5, (0.5, np.inf), "uv-not-finite"),
        (5, (-0.01, 0.5), "uv-outside"),
        (5, (0.5, 127.0), "uv-outside"),
        (5, (1.0000001, 0.5), ""),
        (5, (0.0, 0.0), "off-chart"),
    ]
    part, uv = np.array([row[0] for row in cases], np.int16), np.array([row[1] for row in cases], np.float32)
    found = surface_places(charts, part, uv, parametrisation=OURS)
    assert [REASONS[reason] for reason in found.reason] == [row[2] for row in cases]
    lost = found.reason > 0
    assert (found.face[lost] == -1).all() and (found.vertex[lost] == -1).all() and not found.bary[lost].any()
    assert (found.face[~lost] >= 0).all() and (found.vertex[~lost] >= 0).all()
    assert np.isfinite(found.bary).all() and np.isfinite(found.off_chart).all()
    nearest = nearest_vertices(charts, part, uv, parametrisation=OURS)
    np.testing.assert_array_equal(nearest[:-1], found.vertex[:-1])


def test_a_person_whose_points_are_mostly_off_the_surface_is_a_finding(charts: Charts):
    part = np.array([0, 5, 5, 5, 30], np.int16)
    uv = np.array([[0.5, 0.5], [0.5, 0.5], [0.4, 0.5], [3.0, 0.5], [0.5, 0.5]])
    places = surface_places(charts, part, uv, parametrisation=OURS)
    assert unplaced(places, frame=7, least_placed=0.5) is None
    finding = unplaced(places, frame=7, least_placed=0.51)
    assert finding is not None and (finding.reason, finding.value) == ("points-off-surface", 0.5)
    assert (
        "frame 7: 51% of" in finding.message
        and "2 of 4 do (1 no-part, 1 unknown-part, 1 uv-outside)" in finding.message
    )
    nobody = surface_places(charts, part[:1], uv[:1], parametrisation=OURS)
    assert unplaced(nobody, frame=None, least_placed=0.0) is not None


def test_a_part_without_a_chart_says_so(charts: Charts):
    inverse = charts.inverse
    fewer = replace(inverse.atlas, part=np.where(inverse.atlas.part == 7, 8, inverse.atlas.part))
    without = replace(charts, inverse=replace(inverse, atlas=fewer))
    reasons = point_reasons(without, np.array([7, 8]), np.full((2, 2), 0.5))
    assert [REASONS[reason] for reason in reasons] == ["empty-chart", ""]


def test_images_keep_their_shape_and_empty_ones_are_no_error(charts: Charts):
    for shape in ((3, 4), (0,), (2, 0)):
        nothing = np.zeros(shape, np.uint8), np.zeros((*shape, 2))
        found = surface_places(charts, *nothing, parametrisation=OURS)
        assert found.face.shape == shape and found.bary.shape == (*shape, 2) and (found.face == -1).all()
        assert (nearest_vertices(charts, *nothing, parametrisation=OURS) == -1).all()


def test_coordinates_of_another_atlas_are_never_read_in_this_one(charts: Charts):
    part, uv = chart_points(3)
    for look_up in (surface_places, nearest_vertices):
        with pytest.raises(ValueError, match="must be those of the charts, 'bodytruth', are 'densepose'"):
            look_up(charts, part, uv, parametrisation=DENSEPOSE)


def test_arrays_that_do_not_fit_are_refused(charts: Charts):
    for part, uv in ((np.zeros(3), np.zeros((3, 2))), (np.zeros(3, np.uint8), np.zeros((2, 2)))):
        with pytest.raises(ValueError, match="must be whole numbers"):
            surface_places(charts, part, uv, parametrisation=OURS)


def test_annotated_parts_are_held_against_a_part_image():
    image = np.zeros((4, 5), np.uint8)
    image[:, 2:] = 9
    px = np.array([[2, 0], [3.4, 1], [4.4, 3.4], [0, 0], [7, 1], [2, -3]], np.float32)
    part = np.array([9, 9, 8, 9, 9, 9], np.uint8)
    points = SurfacePoints(px=px, part=part, uv=np.zeros((6, 2), np.float32))
    share, on = part_agreement(points, image)
    assert on == 3 and share == pytest.approx(2 / 3)
    assert part_agreement(points, np.zeros((4, 5), np.uint8)) == (0.0, 0)


def test_our_charts_are_made_once(body, charts: Charts):
    assert own_charts(body) is charts
