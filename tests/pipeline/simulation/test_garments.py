"""Garments in the bind pose: hems, ease, and what they lie on."""

import numpy as np
import pytest

from pipeline.simulation.cutting import border
from pipeline.simulation.dressing_kernels import normals_of
from pipeline.simulation.hems import along_limb_m, crotch_y_m, limb_end_m, top_hem_y_m
from pipeline.simulation.identity import draw_identity
from pipeline.simulation.outfit import draw_outfit
from pipeline.simulation.wardrobe import Cover, Wardrobe, dress


@pytest.fixture(scope="module")
def wardrobe() -> Wardrobe:
    """Long hair, a shirt with long sleeves and trousers."""
    return dress(draw_identity(np.random.default_rng(2)), draw_outfit(np.random.default_rng(52)))


def _soft(wardrobe: Wardrobe) -> dict[str, Cover]:
    return {cover.layer.region: cover for cover in wardrobe.covers if cover.layer.soft}


def _loops(edges: np.ndarray) -> list[list[int]]:
    following, loops = dict(edges.tolist()), []
    while following:
        start, loop = next(iter(following)), []
        while start in following:
            loop.append(start)
            start = following.pop(start)
        loops.append(loop)
    return loops


def test_trousers_have_three_openings_and_a_top_has_four(wardrobe: Wardrobe) -> None:
    for region, openings in (("bottom", 3), ("top", 4)):
        edges = border(_soft(wardrobe)[region].layer.sheet.faces)[0]
        assert len(_loops(edges)) == openings


def test_hems_are_smooth_lines_and_no_zigzag(wardrobe: Wardrobe) -> None:
    for cover in _soft(wardrobe).values():
        points_m = cover.layer.bind_m
        for loop in _loops(border(cover.layer.sheet.faces)[0]):
            ring = points_m[loop]
            bend_m = np.linalg.norm(ring - 0.5 * (np.roll(ring, 1, 0) + np.roll(ring, -1, 0)), axis=1)
            # A zigzag of whole faces of 1 cm bends by 4 mm and more; a ring of 2.5 cm radius with points 1 cm
            # apart by 2 mm.
            assert np.median(bend_m) < 0.0015 and bend_m.max() < 0.004


def test_a_tops_hem_is_level_and_lies_between_crotch_and_navel(wardrobe: Wardrobe) -> None:
    layer, fine = _soft(wardrobe)["top"].layer, wardrobe.fine
    rim = np.unique(border(layer.sheet.faces)[0])
    low = layer.bind_m[rim, 1].min()
    hem = top_hem_y_m(fine, wardrobe.outfit.top)
    on_hem = rim[(np.abs(layer.bind_m[rim, 1] - low) < 0.02) & (np.abs(layer.bind_m[rim, 0]) < 0.25)]
    assert np.ptp(layer.bind_m[on_hem, 1]) < 0.003  # cut level; then spaced evenly, which moves it by less
    assert abs(layer.bind_m[on_hem, 1].mean() - hem) < 0.003
    assert crotch_y_m(fine) < hem < fine.joint_m("spine1")[1]


def test_cloth_lies_off_what_it_is_tied_to_by_at_least_most_of_its_ease(wardrobe: Wardrobe) -> None:
    stack_m = wardrobe.bind_m
    normals = np.zeros_like(stack_m)
    normals[: len(wardrobe.fine.bind_m)] = wardrobe.fine.normals
    for cover in wardrobe.covers:
        normals[cover.start : cover.stop] = normals_of(cover.layer.bind_m, cover.layer.sheet.faces)
    for region, cover in _soft(wardrobe).items():
        garment = wardrobe.outfit.top if region == "top" else wardrobe.outfit.bottom
        anchor = cover.layer.anchor
        above_m = np.einsum("ij,ij->i", cover.layer.bind_m - stack_m[anchor], normals[anchor])
        # The last smoothing after the last push takes some of it back.
        assert np.percentile(above_m, 1) > 0.45 * garment.ease_m[0]
        assert np.median(above_m) > 0.7 * garment.ease_m[0]


def test_edges_of_cloth_are_about_a_centimetre(wardrobe: Wardrobe) -> None:
    for cover in _soft(wardrobe).values():
        corners = cover.layer.bind_m[cover.layer.sheet.faces]
        lengths_m = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
        assert 0.007 < np.median(lengths_m) < 0.012
        assert np.percentile(lengths_m, 99) < 0.025


def test_length_along_a_limb_counts_from_joint_to_joint() -> None:
    joints_m = np.array([[0.0, 0, 0], [0, -0.4, 0], [0.3, -0.4, 0]])
    points_m = np.array([[0, 0.1, 0], [0.0, -0.1, 0], [0.1, -0.4, 0.05], [0.5, -0.4, 0]])
    np.testing.assert_allclose(along_limb_m(points_m, joints_m), [0.0, 0.1, 0.5, 0.9], atol=1e-12)


@pytest.mark.parametrize(
    ("fraction", "length_m"), [(0.0, 0.0), (0.5, 0.2), (1.0, 0.4), (1.5, 0.55), (2.0, 0.7)]
)
def test_a_limb_of_two_bones_ends_at_its_fraction(fraction: float, length_m: float) -> None:
    joints_m = np.array([[0.0, 0, 0], [0, -0.4, 0], [0.3, -0.4, 0]])
    assert np.isclose(limb_end_m(joints_m, fraction), length_m)
