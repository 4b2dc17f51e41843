"""Chosen points of a picture: evenly spread, placed where the renderer saw them, and a reason for each that is not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.captures.annotation import SurfacePoints
from pipeline.captures.annotation_files import AnnotationFiles
from pipeline.captures.densepose import open_densepose
from pipeline.correspondences.charts import DENSEPOSE, OURS
from pipeline.correspondences.reasons import REASONS
from pipeline.correspondences.scores import geodesic_errors_m
from pipeline.correspondences.targets import (
    BY_CHARTS,
    BY_JOINTS,
    ChartImage,
    evenly_chosen,
    placed_points,
    surface_target,
    target_fields,
    target_findings,
)
from pipeline.fields import check_fields
from pipeline.target_settings import SurfaceSettings

SIZE_PX = 256
SETTINGS = SurfaceSettings()
OUTSIDE = REASONS.index("outside-picture")


def grid(side: int) -> SurfacePoints:
    v, u = np.mgrid[:side, :side]
    px = np.column_stack([u.ravel(), v.ravel()]).astype(np.float32)
    return SurfacePoints(px=px, part=np.ones(len(px), np.uint8), uv=np.full((len(px), 2), 0.5, np.float32))


def target_of(person, charts, settings=SETTINGS, seed=0):
    image = ChartImage(part=person.part, uv=person.uv)
    rng = np.random.default_rng(seed)
    return surface_target(charts, image, person.joints, settings, rng, size_px=SIZE_PX, parametrisation=OURS)


@given(count=st.integers(1, 300), seed=st.integers(0, 2**32))
def test_chosen_points_are_different_ones_and_as_many_as_asked(count, seed):
    points = grid(12)
    chosen = evenly_chosen(points, count, np.random.default_rng(seed))
    assert len(np.unique(chosen.px, axis=0)) == len(chosen.part) == min(count, 144)
    assert chosen.px.shape == chosen.uv.shape == (len(chosen.part), 2)


def test_every_block_of_a_square_gets_one_point_where_there_are_as_many_blocks():
    chosen = evenly_chosen(grid(64), 64, np.random.default_rng(0)).px
    assert len(np.unique(chosen // 8, axis=0)) == 64
    by_chance = np.random.default_rng(0).choice(grid(64).px, 64, replace=False)
    assert len(np.unique(by_chance // 8, axis=0)) < 50


def test_every_point_is_as_likely_as_any_other():
    rng = np.random.default_rng(0)
    counts = np.zeros((9, 9))
    for _ in range(1500):
        u, v = evenly_chosen(grid(9), 10, rng).px.astype(int).T
        counts[v, u] += 1
    # Stretches are of 8 or 9 points: 1500 / 9 to 1500 / 8, with a standard deviation of 13.
    assert counts.min() > 1500 / 9 - 5 * 13 and counts.max() < 1500 / 8 + 5 * 13


def test_points_lie_where_the_renderer_saw_them(people, charts, surface):
    for person in people:
        target = target_of(person, charts)
        u, v = target.points.px.astype(int).T
        assert person.mask[v, u].all() and len(u) == SETTINGS.points
        np.testing.assert_array_equal(target.points.part, person.part[v, u])
        found = target.places.face, target.places.bary
        error_m = geodesic_errors_m(surface, (person.face[v, u], person.bary[v, u]), found)
        # U and V are float32, which steps by 6e-8; a chart is up to 0.6 m wide, and a finger's stretched tenfold.
        assert np.median(error_m) < 1e-6 and error_m.max() < 1e-4
        assert not target.places.reason.any()
        assert target_findings(0, target, SETTINGS) == []
        assert target.sides[BY_CHARTS].right > 0.98 and target.sides[BY_JOINTS].right > 0.97


def test_places_that_were_moved_by_a_hand_are_seen_in_the_error(people, charts, surface):
    person = people[0]
    moved = replace_uv(person, np.clip(person.uv + 0.05, 0, 1) * person.mask[..., None])
    target = target_of(moved, charts)
    u, v = target.points.px.astype(int).T
    on = target.places.reason == 0
    found = target.places.face[on], target.places.bary[on]
    error_m = geodesic_errors_m(surface, (person.face[v, u][on], person.bary[v, u][on]), found)
    assert np.median(error_m) > 0.01


def replace_uv(person, uv):
    return replace(person, uv=uv.astype(np.float32))


def test_the_seed_decides_which_points_are_chosen(people, charts):
    one, again, other = (target_of(people[0], charts, seed=seed).points.px for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


BAD = [
    ("no-part", (10, 10), 0, (0.5, 0.5)),
    ("unknown-part", (10, 10), 25, (0.5, 0.5)),
    ("uv-not-finite", (10, 10), 1, (np.nan, 0.5)),
    ("uv-not-finite", (10, 10), 1, (0.5, np.inf)),
    ("uv-outside", (10, 10), 1, (0.5, 1.01)),
    ("uv-outside", (10, 10), 1, (-0.01, 0.5)),
    ("off-chart", (10, 10), 1, (0.0, 0.0)),  # charts are discs in the unit square
    ("outside-picture", (-0.51, 10), 1, (0.5, 0.5)),
    ("outside-picture", (10, 255.51), 1, (0.5, 0.5)),
    ("outside-picture", (np.nan, 10), 1, (0.5, 0.5)),
    ("outside-picture", (1e30, np.inf), 1, (0.5, 0.5)),
    ("", (-0.5, 255.5), 1, (0.5, 0.5)),
]


def points_of(rows) -> SurfacePoints:
    return SurfacePoints(
        px=np.array([row[1] for row in rows], np.float32),
        part=np.array([row[2] for row in rows], np.uint8),
        uv=np.array([row[3] for row in rows], np.float32),
    )


def test_every_bad_point_has_its_reason_and_no_file_holds_a_nan(body, charts):
    target = surface_target(
        charts,
        points_of(BAD),
        None,
        SETTINGS,
        np.random.default_rng(0),
        size_px=SIZE_PX,
        parametrisation=OURS,
    )
    assert [REASONS[row] for row in target.places.reason] == [row[0] for row in BAD]
    fields = target_fields(target, charts, body.arrays.name, count=20)
    check_fields(
        {
            name: np.array([value], object) if isinstance(value, str) else value[None]
            for name, value in fields.items()
        },
        where="here",
    )
    bad = fields["surface_points_reason"] > 0
    assert bad.sum() == 19
    for name, missing in (("part", 0), ("uv", 0), ("face", -1), ("bary", 0), ("vertex", -1)):
        values = fields[f"surface_points_{name}"]
        assert (values[bad] == missing).all() and (values[~bad] != missing).any()
    assert fields["surface_points_charts"] == OURS and fields["surface_points_body"] == body.arrays.name
    np.testing.assert_array_equal(fields["surface_points_px"][len(BAD) :], 0)


def test_more_points_than_there_are_rows_are_refused(body, charts, people):
    target = target_of(people[0], charts)
    with pytest.raises(ValueError, match="points must be at most 195, are 196"):
        target_fields(target, charts, body.arrays.name, count=195)


def test_a_person_with_too_few_places_is_found(charts, people):
    uv = people[0].uv.copy()
    uv[:, 120:] = 7
    target = target_of(replace_uv(people[0], uv), charts)
    (found,) = target_findings(3, target, SETTINGS)
    assert (found.reason, found.frame) == ("points-off-surface", 3) and 0.2 < found.value < 0.8
    assert "uv-outside" in found.message
    nobody = ChartImage(part=np.zeros((9, 9), np.uint8), uv=np.zeros((9, 9, 2), np.float32))
    empty = surface_target(
        charts, nobody, None, SETTINGS, np.random.default_rng(0), size_px=9, parametrisation=OURS
    )
    (found,) = target_findings(0, empty, SETTINGS)
    assert found.reason == "points-off-surface" and "there are no points" in found.message


def mirrored(person, width=SIZE_PX):
    """The picture as a mirror shows it, joints at their places in it, labels as they were."""
    joints = replace(person.joints, px=[width - 1, 0] + [-1, 1] * person.joints.px)
    image = {name: getattr(person, name)[:, ::-1] for name in ("face", "bary", "part", "uv")}
    return replace(person, joints=joints, **image)


def test_a_mirrored_picture_and_exchanged_limbs_are_found_each_by_its_own_means(charts, people):
    (found,) = target_findings(0, target_of(mirrored(people[0]), charts), SETTINGS)
    assert found.reason == "sides-swapped" and BY_CHARTS in found.message
    flip = people[0].joints.px[[0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]]
    exchanged = replace(people[0], joints=replace(people[0].joints, px=flip))
    (found,) = target_findings(0, target_of(exchanged, charts), SETTINGS)
    assert found.reason == "sides-swapped" and BY_JOINTS in found.message


def test_with_few_votes_nothing_is_said_of_the_sides(charts, people):
    settings = SETTINGS.model_copy(update={"min_sides_votes": 10**6})
    assert target_findings(0, target_of(mirrored(people[0]), charts), settings) == []


def test_a_point_outside_is_placed_again_in_a_larger_picture(charts):
    points = points_of([("", (300, 10), 1, (0.5, 0.5))])
    for size_px, reason in ((256, OUTSIDE), (301, 0)):
        found = placed_points(charts, points, parametrisation=OURS, size_px=size_px, most_off_chart=0.05)
        assert found.reason.tolist() == [reason] and (found.face[0] < 0) == (reason > 0)


@pytest.mark.real_data
def test_real_points_are_refused_in_an_atlas_that_is_not_theirs(data_root, charts):
    """Our charts turn all one way, DensePose's do not: half of the limbs look mirrored."""
    options = AnnotationFiles(kind="points", file="annotation.json")
    frame = open_densepose(data_root / "densepose", options).read(0)
    points = frame.annotation.points
    size_px = max(frame.image.shape)
    target = surface_target(
        charts, points, None, SETTINGS, np.random.default_rng(0), size_px=size_px, parametrisation=OURS
    )
    assert len(target.points.part) == 125 and (target.places.reason == 0).mean() > 0.9
    assert target.sides[BY_CHARTS].right < 0.7 < 116 / 121  # what DensePose's own turning gives here


def test_coordinates_of_another_atlas_are_refused(charts, people):
    image = ChartImage(part=people[0].part, uv=people[0].uv)
    with pytest.raises(ValueError, match="coordinates must be those of the charts"):
        surface_target(
            charts,
            image,
            None,
            SETTINGS,
            np.random.default_rng(0),
            parametrisation=DENSEPOSE,
            size_px=SIZE_PX,
        )
