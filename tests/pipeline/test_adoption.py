import numpy as np
import pytest

from pipeline.adoption import trusted_mask


def disc(radius_px, size=60):
    v, u = np.mgrid[:size, :size]
    return (u - size // 2) ** 2 + (v - size // 2) ** 2 <= radius_px**2


def test_mixed_pixels_of_the_rim_go_and_the_inside_stays():
    person = disc(20)
    inside = person[1:-1, 1:-1] & person[:-2, 1:-1] & person[2:, 1:-1] & person[1:-1, :-2] & person[1:-1, 2:]
    rim = person & ~np.pad(inside, 1)
    depth_m = np.where(person, np.float32(2.2), np.float32(0))
    depth_m[rim] = 1.1  # between the person and the background of 0
    mask = trusted_mask(depth_m, erode_px=1, max_from_median_m=5.0)
    assert not (mask & rim).any() and mask[30, 30]
    near = trusted_mask(depth_m, erode_px=0, max_from_median_m=1.0)
    np.testing.assert_array_equal(near, person & ~rim)


def test_largest_piece_alone_is_kept():
    depth_m = np.where(disc(15), np.float32(2.0), np.float32(0))
    depth_m[:3, :3] = 2.0
    np.testing.assert_array_equal(trusted_mask(depth_m, erode_px=0, max_from_median_m=1.0), disc(15))


def test_limb_parted_by_a_shadow_is_kept_where_pieces_may_be_several_and_debris_is_not():
    limb, speck = np.zeros((60, 60), bool), np.zeros((60, 60), bool)
    limb[2:10, 2:10], speck[50:52, 2:4] = True, True  # of 709 px: 9 % and 0.6 %
    depth_m = np.where(disc(15) | limb | speck, np.float32(2.0), np.float32(0))
    mask = trusted_mask(depth_m, erode_px=0, max_from_median_m=1.0, least_piece_share=0.02)
    np.testing.assert_array_equal(mask, disc(15) | limb)


@pytest.mark.parametrize("erode_px", [0, 1, 3])
def test_each_ring_takes_one_cross_of_pixels(erode_px):
    depth_m = np.zeros((40, 40), np.float32)
    depth_m[5:35, 5:35] = 2.0
    mask = trusted_mask(depth_m, erode_px=erode_px, max_from_median_m=1.0)
    assert mask.sum() == (30 - 2 * erode_px) ** 2


def test_nothing_stays_nothing():
    assert not trusted_mask(np.zeros((9, 9), np.float32), erode_px=1, max_from_median_m=1.0).any()
