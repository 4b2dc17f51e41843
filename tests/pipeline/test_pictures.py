import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.pictures import (
    BACKGROUND,
    LABEL_PX,
    chart_picture,
    contact_sheet,
    depth_picture,
    mask_picture,
    normal_picture,
    part_picture,
    png_bytes,
    shaded_picture,
    signed_picture,
)

seeds = st.integers(0, 2**32 - 1)
laws = settings(max_examples=20, deadline=None)


def fields(seed, shape=(9, 12)):
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(*shape, 3))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return rng.normal(2, 0.1, shape).astype(np.float32), normal.astype(np.float32), rng.random(shape) < 0.6


def all_pictures(depth_m, normal, mask):
    return {
        "depth": depth_picture(depth_m, mask)[0],
        "signed": signed_picture(depth_m - np.float32(2), mask, 0.15),
        "normal": normal_picture(normal, mask),
        "shaded": shaded_picture(normal, mask),
        "mask": mask_picture(mask),
    }


# Known answers


def test_near_is_brighter_and_the_range_leaves_strays_out():
    depth_m = np.linspace(1.5, 2.5, 1000, dtype=np.float32).reshape(20, 50)
    depth_m[0, 0], depth_m[-1, -1] = 0.001, 9
    picture, (near_m, far_m) = depth_picture(depth_m, np.ones((20, 50), bool))
    brightness = picture.astype(float).sum(axis=-1).ravel()
    assert near_m == pytest.approx(1.51, abs=0.002) and far_m == pytest.approx(2.49, abs=0.002)
    assert (np.diff(brightness[20:-20:50]) < 0).all()
    np.testing.assert_array_equal(picture[0, 0], picture[0, 1])
    assert tuple(picture[0, 0]) == (253, 231, 37) and tuple(picture[-1, -1]) == (68, 1, 84)  # ends of viridis


def test_one_depth_everywhere_and_an_empty_mask_have_pictures_too():
    flat_m, mask = np.full((4, 5), 2, np.float32), np.ones((4, 5), bool)
    picture, limits_m = depth_picture(flat_m, mask)
    assert limits_m == (2, 2) and np.unique(picture.reshape(-1, 3), axis=0).shape == (1, 3)
    picture, limits_m = depth_picture(flat_m, ~mask)
    assert limits_m == (0, 0) and (picture == BACKGROUND).all()


def test_signed_values_are_blue_below_white_at_and_red_above_zero():
    values_m = np.array([[-9, -0.05, -0.025, 0, 0.025, 0.05, 9]], np.float32)
    (far_below, limit_below, below, zero, above, limit_above, far_above) = signed_picture(
        values_m, np.ones((1, 7), bool), 0.05
    )[0].astype(int)
    np.testing.assert_array_equal(zero, [247, 247, 247])
    np.testing.assert_array_equal(far_below, limit_below)
    np.testing.assert_array_equal(far_above, limit_above)
    for blue in (below, limit_below):
        assert blue[2] > blue[1] > blue[0]
    for red in (above, limit_above):
        assert red[0] > max(red[1], red[2])
    assert limit_below.sum() < below.sum() < zero.sum() > above.sum() > limit_above.sum()


@pytest.mark.parametrize(
    ("normal", "colour"),
    [
        ((0, 0, -1), (128, 128, 255)),
        ((1, 0, 0), (255, 128, 128)),
        ((0, 1, 0), (128, 255, 128)),
        ((-1, 0, 0), (0, 128, 128)),
    ],
)
def test_normals_follow_the_convention(normal, colour):
    picture = normal_picture(np.array([[normal]], np.float32), np.ones((1, 1), bool))
    assert tuple(picture[0, 0]) == colour


def test_the_lamp_stands_up_left_of_the_camera():
    turned_to = {"up left": (-0.5, -0.5, -0.7), "camera": (0, 0, -1), "down right": (0.5, 0.5, -0.7)}
    normal = np.array([list(turned_to.values())], np.float32)
    lit, straight, away = shaded_picture(normal, np.ones((1, 3), bool))[0].sum(axis=-1)
    assert lit > straight > away > 0


# Laws


@laws
@given(seeds)
def test_background_is_exactly_what_lies_outside_the_mask(seed):
    depth_m, normal, mask = fields(seed)
    for name, picture in all_pictures(depth_m, normal, mask).items():
        assert picture.dtype == np.uint8 and picture.shape == (*mask.shape, 3), name
        np.testing.assert_array_equal((picture != BACKGROUND).any(axis=-1), mask, err_msg=name)


@laws
@given(seeds)
def test_never_reads_outside_the_mask(seed):
    depth_m, normal, mask = fields(seed)
    clean = all_pictures(depth_m, normal, mask)
    with np.errstate(invalid="raise"):
        poisoned = all_pictures(
            np.where(mask, depth_m, np.nan), np.where(mask[..., None], normal, np.nan), mask
        )
    for name, picture in clean.items():
        np.testing.assert_array_equal(picture, poisoned[name], err_msg=name)


def test_a_pixel_without_a_normal_is_background():
    _, normal, _ = fields(0)
    normal[2, 3] = 0
    for picture in (normal_picture, shaded_picture):
        grey = (picture(normal, np.ones((9, 12), bool)) == BACKGROUND).all(axis=-1)
        assert np.argwhere(grey).tolist() == [[2, 3]]


def test_no_depth_is_drawn_in_the_background_grey():
    ramp_m = np.linspace(1, 2, 5000, dtype=np.float32)[None]
    everywhere = np.ones(ramp_m.shape, bool)
    for picture in (depth_picture(ramp_m, everywhere)[0], signed_picture(ramp_m - 1.5, everywhere, 0.4)):
        assert (picture != BACKGROUND).any(axis=-1).all()


# Sheets and files


def test_each_part_has_a_colour_of_its_own_and_none_is_the_background():
    colours = part_picture(np.arange(25, dtype=np.uint8)[None])[0].astype(int)
    assert tuple(colours[0]) == BACKGROUND
    apart = np.abs(colours[:, None] - colours).max(axis=-1) + 255 * np.eye(25, dtype=int)
    assert apart.min() > 8  # levels of 256: the nearest two of 24 hues


def test_charts_show_u_in_red_v_in_green_and_are_never_the_background():
    part = np.array([[0, 1, 24], [13, 13, 12]], dtype=np.uint8)
    uv = np.full((2, 3, 2), 0.502, dtype=np.float32)
    uv[0, 1], uv[0, 2] = (1, 0), (0, 1)
    picture = chart_picture(part, uv)
    assert tuple(picture[0, 0]) == BACKGROUND
    assert tuple(picture[0, 1]) == (255, 0, 10) and tuple(picture[0, 2]) == (0, 255, 240)
    assert not (picture[1] == BACKGROUND).all(axis=-1).any()


def test_a_sheet_puts_each_tile_and_its_label_in_its_place():
    tiles = [np.full((8, 8, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = contact_sheet(tiles, 2, 40, ["a", "b", "c"])
    cell_px = 40 + LABEL_PX
    assert sheet.shape == (2 * cell_px, 2 * 40, 3)
    assert (sheet[:40, :40] == 10).all() and (sheet[:40, 40:] == 20).all()
    assert (sheet[cell_px : cell_px + 40, :40] == 30).all()
    assert (sheet[cell_px:, 40:] == 255).all()
    for top, left in ((40, 0), (40, 40), (cell_px + 40, 0)):
        assert (sheet[top : top + LABEL_PX, left : left + 40] < 100).any()


def test_a_tile_keeps_its_shape_and_a_long_label_its_tile():
    wide = np.zeros((10, 40, 3), np.uint8)
    sheet = contact_sheet([wide, wide], 5, 80, ["a label much too long for eighty pixels", ""])
    assert sheet.shape == (80 + LABEL_PX, 160, 3)
    assert (sheet[:20] == 0).all() and (sheet[20:80] == 255).all()
    assert (sheet[80:, :80] < 100).any() and (sheet[80:, 80:] == 255).all()


def test_shrinking_a_tile_averages_it():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert (contact_sheet([stripes], 1, 16, [""])[:16] == 100).all()


def test_a_png_gives_the_picture_back_with_the_same_bytes_each_time():
    picture = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    data = png_bytes(picture)
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data == png_bytes(picture.copy())
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read[..., ::-1], picture)
    grey = cv2.imdecode(np.frombuffer(png_bytes(picture[..., 0]), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(grey, picture[..., 0])


# Refusals


def test_bad_calls_say_what_is_wrong():
    _, _, mask = fields(0)
    with pytest.raises(ValueError, match=r"limit_m must be positive, is 0 m"):
        signed_picture(np.zeros(mask.shape, np.float32), mask, 0)
    with pytest.raises(ValueError, match=r"has 0 tiles and 0 labels"):
        contact_sheet([], 2, 10, [])
    with pytest.raises(ValueError, match=r"has 1 tiles and 2 labels"):
        contact_sheet([mask_picture(mask)], 2, 10, ["a", "b"])
    with pytest.raises(ValueError, match=r"image must be uint8 \(H W\) or \(H W 3\), is float32 \(9, 12\)"):
        png_bytes(np.zeros((9, 12), np.float32))
