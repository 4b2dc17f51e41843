"""Run lengths and polygons of COCO, against closed forms and against COCO's own library."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captures.rle import mask_from_polygon, mask_from_rle, mask_from_segmentation
from pipeline.errors import InputError


@pytest.fixture(scope="module")
def coco_mask():
    """COCO's own library, the peer of these tests."""
    return pytest.importorskip("pycocotools.mask", reason="needs pycocotools")


def polygon_area(corners: np.ndarray) -> float:
    x, y = corners.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.5, 0.98]))
def test_compressed_runs_give_the_mask_that_the_library_packed(coco_mask, height, width, seed, share) -> None:
    mask = np.random.default_rng(seed).uniform(size=(height, width)) < share
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    runs = {"size": packed["size"], "counts": packed["counts"].decode("ascii")}
    np.testing.assert_array_equal(mask_from_rle(runs, (height, width), where="a"), mask)


def test_long_runs_need_many_characters(coco_mask) -> None:
    mask = np.zeros((900, 1200), dtype=np.bool_)
    mask[400, 500:503] = mask[0, -1] = mask[-1, 0] = True
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    runs = {"size": [900, 1200], "counts": packed["counts"].decode("ascii")}
    np.testing.assert_array_equal(mask_from_rle(runs, (900, 1200), where="a"), mask)


def test_plain_runs_go_down_the_columns_and_start_with_nothing() -> None:
    mask = mask_from_rle({"size": [2, 3], "counts": [1, 2, 3]}, (2, 3), where="a")
    np.testing.assert_array_equal(mask, [[False, True, False], [True, False, False]])


def test_a_rectangle_on_pixel_edges_holds_just_its_pixels() -> None:
    corners = np.array([[2, 1], [7, 1], [7, 4], [2, 4]], dtype=float)
    wanted = np.zeros((6, 9), dtype=np.bool_)
    wanted[1:4, 2:7] = True
    for turned in (corners, corners[::-1], np.roll(corners, 1, axis=0)):
        np.testing.assert_array_equal(mask_from_polygon(turned, (6, 9)), wanted)


def test_a_pixel_is_inside_by_its_centre() -> None:
    mask = mask_from_polygon(np.array([[1.4, 2.6], [4.6, 2.6], [4.6, 5.4], [1.4, 5.4]]), (8, 8))
    rows, columns = np.nonzero(mask)
    # Centres 1.5 to 4.5 lie between the edges 1.4 and 4.6, centres 3.5 and 4.5 between 2.6 and 5.4.
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (1, 4, 3, 4) and mask.sum() == 8


def test_neighbouring_polygons_share_no_pixel_and_leave_none() -> None:
    # Both share the edge x = y, which runs through pixel centres.
    lower = mask_from_polygon(np.array([[0, 0], [8, 8], [0, 8]], dtype=float), (8, 8))
    upper = mask_from_polygon(np.array([[0, 0], [8, 0], [8, 8]], dtype=float), (8, 8))
    assert (lower ^ upper).all() and not (lower & upper).any()


def test_what_lies_outside_the_picture_is_cut_off() -> None:
    corners = np.array([[-1e6, -1e6], [1e6, -1e6], [1e6, 3], [-1e6, 3]])
    mask = mask_from_polygon(corners, (5, 4))
    assert mask[:3].all() and not mask[3:].any()
    assert not mask_from_polygon(corners - [0, 1e7], (5, 4)).any()


@pytest.mark.parametrize("seed", range(5))
def test_polygons_agree_with_the_library_but_for_pixels_on_the_outline(coco_mask, seed) -> None:
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 40))
    corners = 100 + (rng.uniform(40, 80, 40) * [np.cos(angle), np.sin(angle)]).T
    ours = mask_from_polygon(corners, (200, 210))
    theirs = coco_mask.decode(coco_mask.frPyObjects([corners.ravel().tolist()], 200, 210))[..., 0] > 0
    perimeter_px = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).sum()
    # The library walks the outline in steps of a fifth of a pixel and rounds: at most a pixel beside it.
    assert (ours ^ theirs).sum() < perimeter_px
    # A centre is in or out with a half chance at the outline: the sum's spread is below 2 sqrt(perimeter).
    assert abs(ours.sum() - polygon_area(corners)) < 2 * np.sqrt(perimeter_px)


def test_several_polygons_are_one_outline_and_an_empty_list_is_none() -> None:
    two = [[0, 0, 2, 0, 2, 2, 0, 2], [4, 1, 6, 1, 6, 3, 4, 3]]
    assert mask_from_segmentation(two, (5, 7), where="a").sum() == 8
    assert mask_from_segmentation([], (5, 7), where="a") is None
    assert mask_from_segmentation(None, (5, 7), where="a") is None


HOSTILE = [
    {"size": [4, 4], "counts": "PPYo1"},  # minus lengths
    {"size": [4, 4], "counts": "o" * 50},  # a number that never ends
    {"size": [4, 4], "counts": "P" * 8},
    {"size": [4, 4], "counts": "\x7f\u20ac"},
    {"size": [4, 4], "counts": "l"},  # cut off inside a number
    {"size": [4, 4], "counts": [2**62, 2**62]},
    {"size": [4, 4], "counts": [-1, 17]},
    {"size": [4, 4], "counts": [10**4299] * 11},
    {"size": [4, 4], "counts": [10**30, -(10**30), 16]},
    {"size": [4, 4], "counts": [True, 15]},
    {"size": [4, 4], "counts": [16.0]},
    {"size": [4, 4], "counts": None},
    {"size": [4, 4], "counts": ""},
    {"size": [4, 4], "counts": "0" * 10**7},  # runs of nothing
    {"size": [4, 4], "counts": [0] * 10**5 + [16]},
    {"size": [65536, 65536], "counts": [2**32]},
    {"size": [4], "counts": [16]},
    {"counts": [16]},
    7,
    "text",
    [[0, 0, 1, 1]],
    [[0, 0, 1, 1, 2]],
    [[0, 0, 1, 1, 2, float("inf")]],
    [["0", "0", "1", "1", "2", "2"]],
    [None],
    [{"size": [4, 4]}],
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_outlines_that_cannot_be_are_refused(value) -> None:
    with pytest.raises(InputError) as caught:
        mask_from_segmentation(value, (4, 4), where="set.json, annotation 7")
    assert caught.value.reason == "annotation-malformed"
    assert str(caught.value).startswith("set.json, annotation 7: ")


def test_mutated_runs_are_refused_or_add_up() -> None:
    rng = np.random.default_rng(3)
    text = "jU1X1d0" + "0" * 76 + "VU1"  # the columns 20 to 59 of rows 10 to 49, as COCO's library packs them
    refused = 0
    for _ in range(500):
        letters = list(text)
        letters[rng.integers(len(letters))] = chr(rng.integers(1, 128))
        try:
            found = mask_from_rle({"size": [60, 80], "counts": "".join(letters)}, (60, 80), where="a")
        except InputError:
            refused += 1
        else:
            assert found.shape == (60, 80)
    assert refused > 400
