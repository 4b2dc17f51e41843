"""Rasteriser, shading, plots and sheets: pixels that can be computed by hand."""

import numpy as np
import pytest

from training.figures import ERROR_LIMIT_CM, Row, cdf_plot, depth_row, error_sheet, fit_square, save_png
from training.meshes import depth_mesh
from training.metrics import CDF_M
from training.plots import SCALE, colour_bar, colour_scale, draw_text, line_plot, text_strip, text_width_px
from training.shading import coloured_mesh, rasterize, shaded_mesh, view_of

K = np.array([[60.0, 0, 23.5], [0, 60.0, 31.5], [0, 0, 1]])


def bump(height_m: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Depth (64 48) of a dome 2 m away, and its mask."""
    v, u = np.mgrid[:64, :48]
    r2 = ((u - 23.5) / 18) ** 2 + ((v - 31.5) / 26) ** 2
    return np.where(r2 < 1, 2 - height_m * (1 - r2), 0), r2 < 1


def a_sample() -> dict[str, np.ndarray]:
    depth_m, mask = bump()
    image = np.full((64, 48, 3), 90, np.uint8)
    return {"image": image, "depth_m": depth_m.astype(np.float32), "mask": mask, "K": K}


# rasteriser


@pytest.mark.parametrize("chunk", [40_000, 1])
def test_nearer_triangle_hides_the_farther_whatever_their_order(chunk, monkeypatch):
    monkeypatch.setattr("training.shading.CHUNK", chunk)
    places = np.array([[0, 0, 5], [20, 0, 5], [0, 20, 5], [2, 2, 1], [9, 2, 1], [2, 9, 1.0]])
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    seen, weights = rasterize(places, faces, (24, 22))
    assert (seen[0, 0], seen[3, 3], seen[0, 19], seen[21, 23]) == (0, 1, 0, -1)
    other, _ = rasterize(places, faces[::-1], (24, 22))
    np.testing.assert_array_equal(seen >= 0, other >= 0)
    np.testing.assert_array_equal(seen[seen >= 0], 1 - other[seen >= 0])
    np.testing.assert_allclose(weights[seen >= 0].sum(-1), 1)


def test_weights_give_back_the_pixels_own_place():
    rng = np.random.default_rng(0)
    places = np.column_stack([rng.uniform(-5, 45, (30, 2)), rng.uniform(1, 2, 30)])
    faces = rng.permutation(30).reshape(10, 3)
    seen, weights = rasterize(places, faces, (40, 36))
    v, u = np.nonzero(seen >= 0)
    found = np.einsum("nk,nkc->nc", weights[v, u], places[faces[seen[v, u]]])
    assert len(u) > 300
    np.testing.assert_allclose(found[:, :2], np.column_stack([u, v]), atol=1e-9)


def test_triangles_that_share_edges_leave_no_hole_and_cover_what_a_loop_covers():
    depth_m, mask = np.full((12, 10), 2.0), np.ones((12, 10), bool)
    vertices, faces, _ = depth_mesh(depth_m, mask, K, max_step_m=0.1)
    places = vertices.astype(float) * [137.0, 137.0, 1] + [115, 150, 0]
    seen, _ = rasterize(places, faces, (60, 80))
    v, u = np.mgrid[:80, :60]
    low, high = places[:, :2].min(0), places[:, :2].max(0)
    inside = (u >= low[0]) & (u <= high[0]) & (v >= low[1]) & (v <= high[1])
    assert inside.sum() > 500
    np.testing.assert_array_equal(seen >= 0, inside)


def test_triangle_without_area_and_mesh_without_faces_draw_nothing():
    places = np.array([[0, 0, 1], [5, 5, 1], [10, 10, 1.0]])
    assert (rasterize(places, np.array([[0, 1, 2]]), (12, 12))[0] == -1).all()
    assert (rasterize(places, np.zeros((0, 3), int), (12, 12))[0] == -1).all()
    view = view_of(np.zeros((0, 3)), yaw_deg=20, pitch_deg=0, size_wh=(16, 16))
    assert (shaded_mesh(np.zeros((0, 3)), np.zeros((0, 3), int), view) == 255).all()


# view and shading


def test_view_centres_and_fills_and_turns_to_the_stated_side():
    depth_m, mask = bump()
    vertices, faces, _ = depth_mesh(depth_m, mask, K, max_step_m=0.05)
    view = view_of(vertices, yaw_deg=0, pitch_deg=0, size_wh=(100, 120))
    drawn = (shaded_mesh(vertices, faces, view) < 255).any(-1)
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    assert abs((rows[0] + rows[-1]) / 2 - 59.5) <= 1 and abs((columns[0] + columns[-1]) / 2 - 49.5) <= 1
    assert 0.85 < len(rows) / 120 < 0.96
    # From the camera's right, what is farther away moves to the right of the picture.
    right = view_of(vertices, yaw_deg=30, pitch_deg=0, size_wh=(100, 100))
    above = view_of(vertices, yaw_deg=0, pitch_deg=30, size_wh=(100, 100))
    assert (right.turn @ [0, 0, 1])[0] > 0
    assert (above.turn @ [0, 0, 1])[1] < 0  # seen from above it moves up


def test_surface_that_faces_the_lamp_is_brighter():
    depth_m, mask = bump(0.3)
    vertices, faces, _ = depth_mesh(depth_m, mask, K, max_step_m=0.1)
    view = view_of(vertices, yaw_deg=0, pitch_deg=0, size_wh=(96, 128))
    picture = shaded_mesh(vertices, faces, view).astype(int).sum(-1)
    assert picture[40, 30] > picture[88, 66] + 60  # upper left against lower right


def test_colours_without_relief_come_out_as_given():
    depth_m, mask = bump()
    vertices, faces, _ = depth_mesh(depth_m, mask, K, max_step_m=0.05)
    view = view_of(vertices, yaw_deg=10, pitch_deg=0, size_wh=(60, 80))
    colours = np.broadcast_to([200.0, 30, 90], (len(vertices), 3))
    picture = coloured_mesh(vertices, faces, view, colours=colours, relief=0.0)
    assert tuple(picture[40, 30]) == (200, 30, 90) and tuple(picture[0, 0]) == (255, 255, 255)


# plots


def test_colour_scale_runs_from_blue_to_red_and_stays_there():
    colours = colour_scale(np.array([[0.0, 10.0], [25.0, 5.0]]), 10)
    assert tuple(colours[0, 0]) == SCALE[0] and tuple(colours[0, 1]) == tuple(colours[1, 0]) == SCALE[-1]
    assert tuple(colours[1, 1]) == SCALE[3]


def test_curve_is_drawn_where_its_values_lie():
    x = np.linspace(0, 40, 101)  # beyond the limit nothing is drawn
    straight = {"half": (x, 2.5 * x)}
    plot = line_plot(straight, labels=("error (cm)", "share (%)"), limits=(20.0, 100.0)).astype(int)
    orange = (abs(plot - [213, 94, 0]).sum(-1) < 60)[:340]  # above the legend
    v, u = np.nonzero(orange)
    assert 733 < u.max() < 739
    np.testing.assert_allclose((414 - v) / 390 * 100, 50 * (u - 84) / 652, atol=1.5)  # the stroke's width


def test_text_changes_pixels_in_its_place_alone_and_is_cut_at_the_border():
    picture = np.full((40, 80, 3), 255, np.uint8)
    draw_text(picture, "MAE", (10, 8), height_px=20, colour=(0, 0, 0))
    v, u = np.nonzero((picture < 255).any(-1))
    assert u.min() >= 10 and u.max() < 10 + text_width_px("MAE", 20) and v.min() >= 8 and v.max() < 28
    before = picture.copy()
    draw_text(picture, "far out", (100, 60), height_px=20, colour=(0, 0, 0))
    np.testing.assert_array_equal(picture, before)
    draw_text(picture, "left", (-30, -5), height_px=20, colour=(0, 0, 0))
    assert text_strip("zoë " * 40, (100, 20), height_px=16, centred=True).shape == (20, 100, 3)


def test_colour_bar_shows_its_own_scale():
    bar = colour_bar(ERROR_LIMIT_CM, "error (cm)", (260, 56))
    assert tuple(bar[10, 30]) == SCALE[0] and tuple(bar[10, 229]) == SCALE[-1]


def test_cdf_plot_of_a_perfect_and_a_poor_predictor_differ():
    perfect, poor = np.ones(len(CDF_M)), np.linspace(0, 0.5, len(CDF_M))
    plots = [cdf_plot({"ours": shares}, CDF_M, "median") for shares in (perfect, poor)]
    assert plots[0].shape == plots[1].shape == (480, 760, 3)
    assert (plots[0] != plots[1]).any()


def test_predictors_with_one_curve_share_it_and_its_name(monkeypatch):
    drawn = {}
    monkeypatch.setattr("training.figures.line_plot", lambda curves, **_: drawn.update(curves))
    shares = np.linspace(0, 1, len(CDF_M))
    cdf_plot({"plane": shares, "ours": shares**0.5, "offset": shares + 1e-12}, CDF_M, "median")
    assert list(drawn) == ["plane; offset", "ours"]
    np.testing.assert_array_equal(drawn["ours"][1], 100 * shares**0.5)
    np.testing.assert_array_equal(drawn["ours"][0], 100 * CDF_M)


# sheets


def test_true_prediction_looks_like_the_truth_and_its_error_is_blue():
    sample = a_sample()
    tiles = depth_row(sample, {"ours": sample["depth_m"] - 2.7}, sample["mask"], tile_px=96)
    image, truth, ours, error = tiles
    assert [tile.shape for tile in tiles] == [(96, 96, 3)] * 4
    # the same surface; float32 rounding may move an outline pixel
    assert (np.abs(truth.astype(int) - ours).max(-1) > 8).mean() < 0.01
    body = (error < 255).any(-1)
    assert body.mean() > 0.2 and (error[body][:, 2] >= error[body][:, 0]).all()
    assert (image == 90).any()


def test_flat_prediction_looks_flat_beside_a_dome():
    sample = a_sample()
    depth_m = np.where(sample["mask"], 2 - 8 * (2 - sample["depth_m"]), 0)  # a dome of 0.8 m
    steep = sample | {"depth_m": depth_m}
    _, truth, same, flat, _, _ = depth_row(
        steep, {"same": depth_m, "flat": np.zeros((64, 48))}, sample["mask"], tile_px=96
    )
    shades = [tile[(tile < 255).any(-1)].std() for tile in (truth, same, flat)]
    assert shades[1] == pytest.approx(shades[0], rel=0.02) and shades[2] < 0.7 * shades[0]


def test_error_map_is_red_where_the_error_is():
    sample = a_sample()
    wrong = sample["depth_m"].astype(float).copy()
    wrong[:20] += 0.3
    error = depth_row(sample, {"ours": wrong}, sample["mask"], tile_px=96)[-1].astype(int)
    redder = (error[..., 0] - error[..., 2] > 60).any(1)
    assert redder[:30].any() and not redder[45:].any()


def test_pixels_without_a_prediction_are_holes_in_the_mesh():
    sample = a_sample()
    partial = sample["depth_m"].astype(float).copy()
    partial[:32] = np.nan
    _, _, ours, _ = depth_row(sample, {"ours": partial}, sample["mask"], tile_px=96)
    drawn = (ours < 255).any(-1)
    assert not drawn[:40].any() and drawn[50:90].any()


def test_sheet_has_a_title_a_caption_and_a_bar_and_fills_its_blocks():
    tiles = [np.full((40, 40, 3), shade, np.uint8) for shade in (10, 60, 110)]
    rows = [Row(caption=f"row {index}", tiles=tiles) for index in range(3)]
    sheet = error_sheet(rows, ["a", "b", "c"], blocks=2)
    assert sheet.shape == (30 + 2 * (24 + 40) + 60, 2 * 120 + 8, 3)
    assert (sheet[30 + 24 + 5, 45] == 60).all() and (sheet[30 + 24 + 5, 128 + 85] == 110).all()
    assert (sheet[30 + 64 + 24 + 5, 128 + 85] == 255).all()  # no fourth row
    with pytest.raises(ValueError, match=r"each row must have 2 tiles, the rows have \[3, 3, 3\]"):
        error_sheet(rows, ["a", "b"], blocks=1)


def test_image_keeps_its_proportions_in_the_square(tmp_path):
    tile = fit_square(np.zeros((20, 10, 3), np.uint8), 40)
    assert (tile[:, 10:30] == 0).all() and (tile[:, :10] == 255).all() and (tile[:, 30:] == 255).all()
    save_png(tmp_path / "new" / "a.png", tile)
    save_png(tmp_path / "b.png", tile)
    assert (tmp_path / "new" / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
