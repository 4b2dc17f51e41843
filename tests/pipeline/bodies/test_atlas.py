"""The surface atlas: charts without a flip, even areas, exact round trips; flat discs map to themselves."""

import numpy as np
import pytest

from pipeline.bodies.atlas import area_distortion, signed_areas, surface_atlas
from pipeline.bodies.atlas_inverse import atlas_inverse
from pipeline.bodies.disc_charts import disc_charts, stretch_squared
from pipeline.bodies.mesh_parts import boundary_edges
from pipeline.bodies.model import Body, default_body
from pipeline.bodies.parts import DENSEPOSE24_NAMES, flipped_labels

NAMES = np.array(["", *DENSEPOSE24_NAMES])


@pytest.fixture(scope="module")
def body() -> Body:
    return default_body()


@pytest.fixture(scope="module")
def vertices_m(body: Body) -> np.ndarray:
    return body.posed(np.zeros((1, 24, 3)), np.zeros(0), np.zeros(3)).vertices_m[0]


def points_on(body: Body, vertices_m, face, bary) -> np.ndarray:
    weights = np.concatenate([1 - bary.sum(axis=-1, keepdims=True), bary], axis=-1)
    return np.einsum("...k,...ki->...i", weights, vertices_m[body.faces[face]])


def random_points(body: Body, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    face = rng.integers(0, len(body.faces), count).astype(np.int32)
    return face, rng.dirichlet([1, 1, 1], count)[:, 1:]


def flat_disc(rings: int) -> tuple[np.ndarray, np.ndarray]:
    """A round of triangles in the plane z = 0, radius 1; every ring has 6 more points than the last."""
    from scipy.spatial import Delaunay

    radius = np.concatenate([[0.0], *([k / rings] * (6 * k) for k in range(1, rings + 1))])
    angle = np.concatenate([[0.0], *(2 * np.pi * np.arange(6 * k) / (6 * k) for k in range(1, rings + 1))])
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    triangles = Delaunay(points).simplices.astype(np.int32)
    flipped = signed_areas(points[triangles]) < 0
    triangles[flipped] = triangles[flipped][:, ::-1]
    return np.concatenate([points, np.zeros((len(points), 1))], axis=1), triangles


def test_a_flat_round_disc_is_charted_by_itself() -> None:
    points_m, triangles = flat_disc(6)
    # On the bounding circle the chart starts at the first border point, which lies at angle 0 here.
    uv = disc_charts(points_m, triangles, np.zeros(len(points_m), dtype=np.int32))
    np.testing.assert_allclose(uv, points_m[:, :2], atol=1e-9)
    stretch2, _ = stretch_squared(points_m, uv, triangles)
    np.testing.assert_allclose(stretch2, 1.0, atol=1e-6)


def test_a_deep_bag_gets_an_even_chart_where_plain_convex_combination_crushes_it() -> None:
    import pipeline.bodies.disc_charts as module

    points_m, triangles = flat_disc(20)
    radius = np.linalg.norm(points_m[:, :2], axis=1, keepdims=True)
    # The outer fifth becomes a tube of radius 1 above a bottom, four times as deep as it is wide.
    bag_m = points_m / np.maximum(radius, 0.2) * [1, 1, 0] + [0, 0, 1] * np.maximum(radius - 0.2, 0) * 10
    chart = np.zeros(len(bag_m), dtype=np.int32)
    spreads = []
    for rounds in (1, module.ROUNDS):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "ROUNDS", rounds)
            uv = disc_charts(bag_m, triangles, chart)
        _, areas_m2 = stretch_squared(bag_m, uv, triangles)
        ratio = signed_areas(uv[triangles]) / areas_m2
        assert (ratio > 0).all()
        spreads.append(np.percentile(ratio, 95) / np.percentile(ratio, 5))
    assert spreads[1] < 0.1 * spreads[0]


def test_no_face_is_flipped_and_all_lie_in_the_unit_square(body: Body) -> None:
    atlas = surface_atlas(body)
    assert atlas.corner_uv.min() >= 0 and atlas.corner_uv.max() <= 1
    assert signed_areas(atlas.corner_uv).min() > 0


def test_charts_have_no_seams_and_do_not_overlap(body: Body) -> None:
    atlas = surface_atlas(body)
    codes = atlas.part.astype(np.int64)[:, None] * len(body.arrays.template_m) + body.faces
    _, first, rows = np.unique(codes, return_index=True, return_inverse=True)
    flat_uv = atlas.corner_uv.reshape(-1, 2)
    np.testing.assert_array_equal(flat_uv, flat_uv[first][rows.ravel()])
    # A disc without a flip whose border winds once about a convex curve covers its inside once: then the
    # faces' areas add up to the border's.
    for row in range(1, 25):
        here = atlas.part == row
        nodes = np.unique(codes[here], return_inverse=True)[1].reshape(-1, 3).astype(np.int32)
        places = np.zeros((nodes.max() + 1, 2))
        places[nodes.ravel()] = atlas.corner_uv[here].reshape(-1, 2)
        border = places[boundary_edges(nodes)]
        (start_u, start_v), (end_u, end_v) = border.transpose(1, 2, 0)
        enclosed = 0.5 * np.sum(start_u * end_v - end_u * start_v)
        assert signed_areas(atlas.corner_uv[here]).sum() == pytest.approx(enclosed, rel=1e-9)
        np.testing.assert_allclose(np.linalg.norm(border[:, 0] - 0.5, axis=1), 0.5, atol=1e-9)


def test_areas_are_even_but_for_fingers_and_toes(body: Body) -> None:
    atlas = surface_atlas(body)
    ratio = area_distortion(atlas, body)
    for row in range(1, 25):
        low, high = np.percentile(ratio[atlas.part == row], [5, 95])
        # Measured: 0.52 to 1.53, hands 0.16 to 2.4, feet 0.25 to 1.7 (a glove flattened from its wrist).
        limit = (0.12, 3.0) if "hand" in NAMES[row] or "foot" in NAMES[row] else (0.45, 1.7)
        assert limit[0] < low and high < limit[1], NAMES[row]


def test_a_surface_point_comes_back_from_its_chart(body: Body, vertices_m) -> None:
    face, bary = random_points(body, 20000)
    part, uv = surface_atlas(body).at(face, bary)
    found, weights = atlas_inverse(body).locate(part, uv)
    apart_m = np.linalg.norm(
        points_on(body, vertices_m, face, bary) - points_on(body, vertices_m, found, weights), axis=1
    )
    # A chart coordinate in float32 steps by 6e-8, a face of a finger is 1e-3 of a chart and 3 mm wide.
    assert apart_m.max() < 1e-5
    assert (found == face).mean() > 0.999


def test_corners_and_edges_are_found_although_rounding_puts_them_outside_of_every_face(
    body: Body, vertices_m
) -> None:
    atlas = surface_atlas(body)
    for bary in ([0.0, 0.0], [0.5, 0.5], [0.3, 0.0]):
        weights = np.array([1 - sum(bary), *bary])
        uv = np.einsum("k,fki->fi", weights, atlas.corner_uv)
        found, back = atlas_inverse(body).locate(atlas.part, uv)
        expected_m = np.einsum("k,fki->fi", weights, vertices_m[body.faces])
        np.testing.assert_allclose(points_on(body, vertices_m, found, back), expected_m, atol=1e-7)


def test_a_chart_point_comes_back_from_the_surface(body: Body) -> None:
    rng = np.random.default_rng(1)
    part = rng.integers(1, 25, 5000).astype(np.uint8)
    angle, radius = rng.uniform(0, 2 * np.pi, 5000), 0.49 * np.sqrt(rng.random(5000))
    uv = 0.5 + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    found, weights = atlas_inverse(body).locate(part, uv)
    back, back_uv = surface_atlas(body).at(found, weights)
    np.testing.assert_array_equal(back, part)
    # Between a chord of the border and the circle there is no face: 5 mm of a chart at 0.49 to 0.5 at most.
    off = np.linalg.norm(back_uv - uv, axis=1)
    assert np.median(off) < 1e-6 and off.max() < 0.02


def test_a_point_outside_of_its_chart_goes_to_the_nearest_point_of_the_rim(body: Body) -> None:
    part = np.arange(1, 25, dtype=np.uint8)
    corners = np.tile([1.0, 1.0], (24, 1))
    found, weights = atlas_inverse(body).locate(part, corners)
    back, uv = surface_atlas(body).at(found, weights)
    np.testing.assert_array_equal(back, part)
    rim = 0.5 + 0.5 / np.sqrt(2)
    assert np.linalg.norm(uv - rim, axis=1).max() < 0.05  # the longest chord of a border is 0.1 wide
    assert (np.abs(np.linalg.norm(uv - 0.5, axis=1) - 0.5) < 0.01).all()
    assert weights.min() >= 0 and weights.sum(axis=1).max() <= 1 + 1e-12


def test_a_point_just_outside_of_the_rim_stays_on_the_surface(body: Body) -> None:
    angle = np.linspace(0, 2 * np.pi, 500)
    uv = np.tile(0.5 + 0.505 * np.stack([np.cos(angle), np.sin(angle)], axis=1), (24, 1))
    part = np.repeat(np.arange(1, 25, dtype=np.uint8), 500)
    found, weights = atlas_inverse(body).locate(part, uv)
    np.testing.assert_array_equal(surface_atlas(body).part[found], part)
    assert weights.min() >= 0 and weights.sum(axis=1).max() <= 1 + 1e-12


def test_images_pass_through_with_their_background(body: Body) -> None:
    face = np.array([[-1, 5], [7, -1]], dtype=np.int32)
    bary = np.full((2, 2, 2), 0.25, dtype=np.float32)
    part, uv = surface_atlas(body).at(face, bary)
    assert part.dtype == np.uint8 and uv.dtype == np.float32 and uv.shape == (2, 2, 2)
    np.testing.assert_array_equal(part == 0, face < 0)
    assert (uv[face < 0] == 0).all()
    found, weights = atlas_inverse(body).locate(part, uv)
    np.testing.assert_array_equal(found, face)
    np.testing.assert_allclose(weights[face >= 0], 0.25, atol=1e-3)  # as above: float32 against a small face


def test_v_grows_upwards_outwards_and_forwards(body: Body, vertices_m) -> None:
    atlas = surface_atlas(body)
    centres_m, uv = vertices_m[body.faces].mean(axis=1), atlas.corner_uv.mean(axis=1)
    axes = {"arm": 0, "forearm": 0, "foot": 2}
    for row in range(1, 25):
        words = NAMES[row].split("_")
        axis = next((axes[word] for word in words if word in axes), 1)
        sign = -1 if axis == 0 and "right" in words else 1
        here = atlas.part == row
        assert np.corrcoef(sign * centres_m[here, axis], uv[here, 1])[0, 1] > 0.5, NAMES[row]


def test_the_mirror_image_of_a_point_lies_at_one_minus_u(body: Body, vertices_m) -> None:
    from scipy.spatial import cKDTree

    atlas = surface_atlas(body)
    centres_m, uv = vertices_m[body.faces].mean(axis=1), atlas.corner_uv.mean(axis=1)
    apart_m, mirror = cKDTree(centres_m).query(centres_m * [-1, 1, 1])
    paired = (apart_m < 0.001) & (atlas.part[mirror] == flipped_labels(DENSEPOSE24_NAMES)[atlas.part])
    assert paired.mean() > 0.9
    off = np.abs(uv[mirror] - (uv * [-1, 1] + [1, 0]))[paired]
    assert np.percentile(off, 95) < 0.01


def test_what_is_no_chart_point_is_refused(body: Body) -> None:
    for part, uv in ((25, 0.5), (3, np.nan)):
        with pytest.raises(ValueError, match=r"part must be 0\.\.24 and uv finite"):
            atlas_inverse(body).locate(np.array([part], dtype=np.uint8), np.full((1, 2), uv))


def test_a_body_whose_parts_are_no_discs_is_refused(body: Body) -> None:
    from dataclasses import replace

    holed = Body(replace(body.arrays, faces=np.delete(body.faces, 12000, axis=0), uv=None, uv_faces=None))
    with pytest.raises(ValueError, match="must be a disc"):
        surface_atlas(holed)
