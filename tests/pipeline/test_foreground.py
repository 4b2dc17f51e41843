"""The crop keeps what it is meant to: the person with Tang's margins, and every point on its own pixel."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cameras import crop_resize, project
from pipeline.captures.capture import Frame
from pipeline.errors import InputError
from pipeline.foreground import crop_box, foreground_mask

HEIGHT, WIDTH = 48, 64
K = np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]])


def make_frame(depth_m: np.ndarray, mask: np.ndarray | None) -> Frame:
    return Frame(
        frame=7,
        timestamp_s=-1.0,
        image=np.zeros((*depth_m.shape, 3), np.uint8),
        depth_m=depth_m.astype(np.float32),
        K=K,
        world_from_cam=np.eye(4),
        mask=mask,
    )


def test_all_is_where_depth_is_valid_whatever_the_mask_says() -> None:
    depth = np.zeros((HEIGHT, WIDTH))
    depth[10:20, 5:60] = 2.0
    for mask in (None, np.zeros((HEIGHT, WIDTH), bool)):
        np.testing.assert_array_equal(foreground_mask(make_frame(depth, mask), "all"), depth > 0)


def test_given_is_the_mask_where_depth_is_valid_and_the_frame_stays_as_it_was() -> None:
    rng = np.random.default_rng(3)
    depth = np.where(rng.uniform(size=(HEIGHT, WIDTH)) > 0.3, 2.0, 0.0)
    mask = rng.uniform(size=(HEIGHT, WIDTH)) > 0.5  # speckles: every component stays
    frame = make_frame(depth, mask.copy())
    np.testing.assert_array_equal(foreground_mask(frame, "given"), mask & (depth > 0))
    np.testing.assert_array_equal(frame.mask, mask)


def test_no_mask_and_nothing_measured_have_their_reasons() -> None:
    depth = np.ones((HEIGHT, WIDTH))
    away = np.zeros((HEIGHT, WIDTH), bool)
    for frame, kind, reason in (
        (make_frame(depth, None), "given", "mask-missing"),
        (make_frame(depth, away), "given", "empty-foreground"),
        (make_frame(0 * depth, None), "all", "empty-foreground"),
        (replace(make_frame(depth, away), depth_m=None), "given", "depth-missing"),
    ):
        with pytest.raises(InputError, match="frame 7: .* must|needs") as caught:
            foreground_mask(frame, kind)
        assert caught.value.reason == reason
    for kind in ("given", "person"):
        with pytest.raises(ValueError, match="empty"):
            crop_box(away, kind)
    with pytest.raises(ValueError, match="PersonFinder"):
        foreground_mask(make_frame(depth, None), "person")


def test_all_takes_the_centred_square() -> None:
    assert crop_box(np.ones((480, 640), bool), "all") == (80.0, 0.0, 480.0)
    assert crop_box(np.ones((640, 480), bool), "all") == (0.0, 80.0, 480.0)
    # the mask does not move it
    assert crop_box(np.eye(480, 640, dtype=bool), "all") == (80.0, 0.0, 480.0)


def test_a_tall_person_fills_five_sixths_of_the_crop_in_height() -> None:
    mask = np.zeros((400, 400), bool)
    mask[100:300, 180:220] = True  # 200 px tall, 40 px wide, centre (200, 200) in edge coordinates
    # 10 % of the height above and below: 240 px
    for kind in ("given", "person"):
        assert crop_box(mask, kind) == pytest.approx((80.0, 80.0, 240.0))


def test_a_wide_person_fills_two_thirds_of_the_crop_in_width() -> None:
    mask = np.zeros((400, 400), bool)
    mask[100:200, 20:220] = True
    # 25 % of the width on each side: 300 px; the square reaches 30 px out of the image on the left
    assert crop_box(mask, "given") == pytest.approx((-30.0, 0.0, 300.0))


boxes = st.tuples(
    st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1), st.integers(1, 40), st.integers(1, 40)
)


@given(box=boxes, shift=st.tuples(st.integers(0, 30), st.integers(0, 30)))
def test_the_crop_follows_the_person_and_transposes_with_it(box, shift) -> None:
    top, left, tall, wide = box
    mask = np.zeros((160, 160), bool)
    mask[top : top + tall, left : left + wide] = True
    u0, v0, side = crop_box(mask, "given")
    moved = np.roll(mask, shift, axis=(0, 1))
    assert crop_box(moved, "given") == pytest.approx((u0 + shift[1], v0 + shift[0], side))
    assert u0 + side / 2 == pytest.approx(left + wide / 2) and v0 + side / 2 == pytest.approx(top + tall / 2)
    assert side == pytest.approx(max(1.5 * wide, 1.2 * tall))


@given(box=boxes, size_px=st.sampled_from([16, 33, 64, 128]))
def test_a_point_lands_on_its_own_pixel_after_the_crop(box, size_px) -> None:
    top, left, tall, wide = box
    # large enough that no crop reaches out of it, where there is nothing to see
    depth = np.zeros((3 * HEIGHT, 3 * WIDTH), np.float32)
    depth[HEIGHT + top :, WIDTH + left :][:tall, :wide] = 2.0
    mask = foreground_mask(make_frame(depth, depth > 0), "given")
    # each pixel carries its own coordinates
    v, u = np.indices(depth.shape).astype(np.float32)
    crop = crop_box(mask, "given")
    arrays, K_crop = crop_resize({"u": u, "v": v, "mask": mask}, K, crop, size_px)
    for row, column in np.argwhere(mask)[:: max(1, mask.sum() // 20)]:
        point = np.linalg.inv(K) @ [column, row, 1.0] * 2.0
        at = project(point, K_crop)
        assert at.min() >= -0.5 and at.max() <= size_px - 0.5  # the margins keep all of the person
        seen_u, seen_v = (
            arrays[name][tuple(np.rint(at[::-1]).astype(int).clip(0, size_px - 1))] for name in "uv"
        )
        # nearest pixel: half a source pixel, and half a crop pixel seen in the source
        allowed = 0.5 + 0.5 * crop[2] / size_px + 1e-6
        assert abs(seen_u - column) <= allowed and abs(seen_v - row) <= allowed
