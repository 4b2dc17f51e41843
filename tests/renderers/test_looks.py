"""Draws of looks, views and backgrounds."""

import numpy as np
import pytest

from pipeline.cameras import invert_rigid, project, rigid_error, transform
from renderers.backgrounds import Background, paint_background
from renderers.looks import draw_look, draw_view

COLORS = np.array([[0.1, 0.2, 0.3], [0.8, 0.7, 0.6], [0.5, 0.1, 0.1]], dtype=np.float32)


def upright_cloud(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (300, 3)) * [0.25, 0.6, 0.15] + [50, 1, -20]


@pytest.mark.parametrize("seed", range(30))
def test_the_subject_fills_its_share_of_the_frame_and_lies_inside(seed):
    vertices = upright_cloud(seed)
    rng = np.random.default_rng(seed)
    fill = sorted(rng.uniform(0.2, 1.0, 2))
    view = draw_view(rng, vertices, frame=seed, height=200, width=300, fill=tuple(fill))
    assert rigid_error(view.world_from_cam) < 1e-12
    points_cam = transform(invert_rigid(view.world_from_cam), vertices)
    assert points_cam[:, 2].min() > 0
    pixels = project(points_cam, view.K)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    share = ((high - low) / [300, 200]).max()
    assert fill[0] - 1e-3 < share < fill[1] + 1e-3
    assert (low > -0.5 - 0.3).all() and (high < np.array([299.5, 199.5]) + 0.3).all()
    # +Y is up in the picture: the camera is rolled and raised by less than a right angle
    assert view.world_from_cam[1, 1] < -0.5


def test_views_come_from_all_sides():
    views = [
        draw_view(np.random.default_rng([1, k]), upright_cloud(0), frame=k, height=64, width=64)
        for k in range(64)
    ]
    forward = np.stack([view.world_from_cam[:3, 2] for view in views])
    quadrants = np.bincount(2 * (forward[:, 0] > 0) + (forward[:, 2] > 0), minlength=4)
    assert quadrants.min() >= 6  # 16 expected; fewer than 6 has a chance of 1 in 1000
    field_deg = np.degrees([2 * np.arctan(32 / view.K[0, 0]) for view in views])
    assert field_deg.min() < 28 and field_deg.max() > 52


def test_equal_generators_draw_equal_looks_and_others_do_not():
    def drawn(seed):
        return repr(draw_look(np.random.default_rng(seed)))

    assert drawn(4) == drawn(4) != drawn(5)


def test_looks_hold_every_kind_of_lamp_ground_and_background():
    picture = np.full((40, 60, 3), 128, dtype=np.uint8)
    looks = [draw_look(np.random.default_rng([2, k]), [picture]) for k in range(120)]
    assert {lamp.kind for look in looks for lamp in look.lamps} == {"sun", "disc"}
    assert {len(look.lamps) for look in looks} == {1, 2, 3}
    assert {look.background.kind for look in looks} == {"plain", "gradient", "clutter", "picture"}
    patterns = {look.ground.pattern if look.ground else None for look in looks}
    assert patterns == {None, "plain", "noise", "checker", "planks"}
    for look in looks:
        assert all(lamp.irradiance.min() > 0 and lamp.direction[1] > 0 for lamp in look.lamps)
        assert look.sky.min() > 0 and 0 < look.roughness <= 1 and 0 <= look.grain_seed < 2**31


def test_a_fill_beyond_the_frame_is_refused():
    with pytest.raises(ValueError, match="fill must be an ascending range inside"):
        draw_view(np.random.default_rng(0), upright_cloud(0), frame=0, height=9, width=9, fill=(0.5, 1.2))


def test_a_plain_background_is_its_color_and_a_gradient_runs_from_top_to_bottom():
    plain = paint_background(Background(kind="plain", colors=COLORS), 4, 6)
    np.testing.assert_array_equal(plain, np.broadcast_to(COLORS[0], (4, 6, 3)))
    gradient = paint_background(Background(kind="gradient", colors=COLORS), 5, 3)
    np.testing.assert_allclose(
        gradient[[0, 2, 4], 1], [COLORS[0], COLORS[:2].mean(axis=0), COLORS[1]], atol=1e-6
    )


def test_clutter_repeats_with_its_seed_and_has_edges():
    first, again, other = (
        paint_background(Background(kind="clutter", colors=COLORS, seed=seed), 48, 64) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.02
    assert first.min() >= 0 and first.max() <= 1
    assert np.abs(np.diff(first, axis=1)).max() > 0.1


def test_blur_softens_clutter_and_keeps_its_mean():
    sharp, soft = (
        paint_background(Background(kind="clutter", colors=COLORS, seed=7, blur=blur), 64, 64)
        for blur in (0.0, 0.03)
    )
    assert np.abs(np.diff(soft, axis=1)).max() < 0.5 * np.abs(np.diff(sharp, axis=1)).max()
    np.testing.assert_allclose(soft.mean(axis=(0, 1)), sharp.mean(axis=(0, 1)), rtol=0.05)


def test_a_picture_is_cut_to_the_frame_and_keeps_its_places():
    picture = np.zeros((100, 400, 3), dtype=np.uint8)
    picture[:50, 150:250] = 255  # the middle square's upper half
    shown = paint_background(Background(kind="picture", colors=COLORS, picture=picture), 20, 20)
    assert shown.shape == (20, 20, 3)
    assert shown[:8].min() > 0.95 and shown[12:].max() < 0.05


def test_a_picture_that_is_missing_is_refused():
    with pytest.raises(ValueError, match="must hold one"):
        paint_background(Background(kind="picture", colors=COLORS), 4, 4)
