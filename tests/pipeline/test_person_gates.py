"""People of boxes at known places: every figure of the gates in closed form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captures.capture import Frame
from pipeline.gates.person import (
    UP_CAM,
    cut_by_border,
    extent_m,
    lean,
    person_findings,
    person_points,
    too_little_foreground,
    view_box,
)
from pipeline.settings import ForegroundSettings

HEIGHT, WIDTH = 240, 320
FOCAL_PX = 200.0
K = np.array([[FOCAL_PX, 0, (WIDTH - 1) / 2], [0, FOCAL_PX, (HEIGHT - 1) / 2], [0, 0, 1]])


def slab(height_px: int, width_px: int, top: int | None = None, left: int | None = None) -> np.ndarray:
    """A mask (H W) of an upright rectangle, centred unless it is told where."""
    top = (HEIGHT - height_px) // 2 if top is None else top
    left = (WIDTH - width_px) // 2 if left is None else left
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top : top + height_px, left : left + width_px] = True
    return mask


def before_a_wall(mask: np.ndarray, person_m: float = 2.0, wall_m: float = 3.5) -> np.ndarray:
    return np.where(mask, person_m, wall_m).astype(np.float32)


def frame_of(depth_m: np.ndarray | None) -> Frame:
    return Frame(frame=12, timestamp_s=-1.0, image=None, depth_m=depth_m, K=K, world_from_cam=None, mask=None)


def reasons(mask: np.ndarray, depth_m: np.ndarray | None, up_cam: np.ndarray = UP_CAM, **limits) -> list[str]:
    found = person_findings(frame_of(depth_m), mask, ForegroundSettings(**limits), up_cam=up_cam)
    assert all(f.frame == 12 and f.drops and f.message.startswith("frame 12: ") for f in found)
    return [finding.reason for finding in found]


def test_a_whole_upright_person_gives_no_finding() -> None:
    mask = slab(170, 50)  # 1.7 m by 0.5 m at 2 m
    assert reasons(mask, before_a_wall(mask)) == []
    assert reasons(mask, None) == []


def test_foreground_is_counted_in_pixels() -> None:
    mask = slab(100, 10)
    depth_m = before_a_wall(mask)
    assert reasons(mask, depth_m, min_foreground_px=1000) == []
    (found,) = person_findings(frame_of(depth_m), mask, ForegroundSettings(min_foreground_px=1001))
    assert [found] == too_little_foreground(
        frame_of(depth_m), mask, ForegroundSettings(min_foreground_px=1001)
    )
    assert (found.reason, found.value, found.unit, found.limit) == (
        "too-little-foreground",
        1000.0,
        "px",
        1001.0,
    )


@pytest.mark.parametrize("side", ["top", "right", "bottom", "left"])
def test_the_side_that_cuts_the_person_is_named(side: str) -> None:
    places = {
        "top": slab(150, 60, top=0),
        "right": slab(150, 60, left=WIDTH - 60),
        "bottom": slab(150, 60, top=HEIGHT - 150),
        "left": slab(150, 60, left=0),
    }
    share, sides = cut_by_border(places[side])
    assert sides == (side,)
    assert share == (60 if side in ("top", "bottom") else 150) / (2 * 150 + 2 * 60 - 4)
    assert reasons(places[side], before_a_wall(places[side])) == ["person-cut"]


def test_only_more_than_the_limit_is_cut() -> None:
    mask = slab(150, 60, top=HEIGHT - 150)
    share = 60 / 416
    assert reasons(mask, before_a_wall(mask), max_cut_share=share) == []
    assert reasons(mask, before_a_wall(mask), max_cut_share=share - 1e-6) == ["person-cut"]


def test_a_corner_counts_once_and_one_pixel_off_the_border_nothing_is_cut() -> None:
    assert cut_by_border(slab(10, 20, top=0, left=0)) == (29 / 56, ("top", "left"))
    assert cut_by_border(slab(HEIGHT - 2, WIDTH - 2)) == (0.0, ())
    assert cut_by_border(np.zeros((HEIGHT, WIDTH), bool)) == (0.0, ())
    assert cut_by_border(np.ones((HEIGHT, WIDTH), bool))[0] == 1.0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_the_cut_share_is_that_of_a_loop_over_pixels(seed: int) -> None:
    mask = np.random.default_rng(seed).uniform(size=(9, 11)) < 0.7
    padded = np.pad(mask, 1)
    outline = border = 0
    for v, u in zip(*np.nonzero(mask), strict=True):
        on_border = v in (0, 8) or u in (0, 10)
        neighbours = [padded[v, u + 1], padded[v + 2, u + 1], padded[v + 1, u], padded[v + 1, u + 2]]
        border += on_border
        outline += on_border or not all(neighbours)
    assert cut_by_border(mask)[0] == border / max(outline, 1)


def test_the_border_of_the_depth_cameras_own_view_cuts_too() -> None:
    mask = slab(110, 60, top=100)  # ends with row 209
    depth_m = before_a_wall(mask)
    depth_m[210:] = 0  # the depth camera sees no farther down
    depth_m[208:210, ::3] = 0  # and its last rows are ragged
    assert view_box(depth_m > 0, mask) == (slice(0, 210), slice(0, WIDTH))
    assert reasons(mask, depth_m) == ["person-cut"]
    assert reasons(mask, before_a_wall(mask)) == []


def test_where_the_scene_ends_and_not_the_view_nothing_is_cut() -> None:
    straight = slab(150, 60, top=60)  # over more than half of the picture's height
    assert reasons(straight, np.where(straight, 2.0, 0).astype(np.float32)) == []
    mask = slab(110, 60, top=100)
    alone = np.where(mask, 2.0, 0).astype(np.float32)  # all but the person was taken away
    assert reasons(mask, alone) == []
    standing_out = before_a_wall(mask)
    standing_out[:120][~mask[:120]] = 0  # the wall ends below the head
    assert view_box(standing_out > 0, mask)[0] == slice(0, HEIGHT)


@pytest.mark.parametrize(
    ("height_m", "found"), [(0.78, True), (0.82, False), (2.27, False), (2.33, True)], ids=str
)
def test_height_is_metric_whatever_the_distance(height_m: float, found: bool) -> None:
    for person_m in (2.1, 3.0):
        # Half a per cent at both ends is left out: the height of all rows is a hundredth more.
        mask = slab(round(height_m / 0.99 * FOCAL_PX / person_m), 30)
        assert reasons(mask, before_a_wall(mask, person_m, 4.0)) == (["person-height"] if found else [])


def test_arms_held_above_the_head_add_nothing_to_the_height() -> None:
    mask = slab(200, 40, top=35)  # 2.0 m by 0.4 m at 2 m
    raised = mask | slab(30, 8, top=5, left=145) | slab(30, 8, top=5, left=165)  # 8 cm broad, up to 2.3 m
    limits = {"max_person_m": 2.05}
    assert reasons(mask, before_a_wall(mask), **limits) == []
    assert reasons(raised, before_a_wall(raised), **limits) == []
    taller = mask | slab(30, 14, top=5)  # a head, 14 cm broad
    assert reasons(taller, before_a_wall(taller), **limits) == ["person-height"]


def test_a_cut_person_may_be_short_but_never_too_tall() -> None:
    mask = slab(70, 60, top=HEIGHT - 70)  # 0.7 m at 2 m
    assert reasons(mask, before_a_wall(mask), max_cut_share=1.0) == []
    tall = slab(HEIGHT, 60)
    assert reasons(tall, before_a_wall(tall, 2.1, 4.0), max_cut_share=1.0) == ["person-height"]


def test_depth_of_a_fifth_or_five_times_makes_no_person() -> None:
    mask = slab(170, 50)
    for factor in (0.2, 5.0):  # steps of 0.2 mm read as 1 mm, and the other way round
        assert reasons(mask, before_a_wall(mask) * np.float32(factor)) == ["person-height"]


def test_pixels_mixed_with_the_background_do_not_stretch_the_person() -> None:
    mask = slab(170, 50)
    depth_m = before_a_wall(mask, 2.0, 6.0)
    depth_m[np.flatnonzero(mask.any(axis=1))[0], mask.any(axis=0)] = 5.0  # the crown at the wall behind
    assert reasons(mask, depth_m) == []
    points_cam = person_points(mask, depth_m, K)
    assert extent_m(points_cam, points_cam, UP_CAM) == pytest.approx(1.68, abs=0.02)


def test_nothing_outside_the_mask_is_measured() -> None:
    mask = slab(170, 50)
    depth_m = before_a_wall(mask)
    reference = person_points(mask, depth_m, K)
    depth_m[~mask] = np.nan
    np.testing.assert_array_equal(person_points(mask, depth_m, K), reference)


def test_a_person_across_the_picture_lies_sideways() -> None:
    upright, across = slab(170, 50), slab(50, 170)
    assert lean(person_points(upright, before_a_wall(upright), K), UP_CAM) == (
        pytest.approx(0, abs=1e-6),
        pytest.approx(170 / 50, rel=1e-3),  # of boxes, deviations go with the sides
    )
    assert reasons(across, before_a_wall(across)) == ["person-sideways"], "its height of 0.5 m says nothing"
    (found,) = person_findings(frame_of(before_a_wall(across)), across, ForegroundSettings())
    assert found.value == pytest.approx(90) and found.unit == "deg"


def leaning(angle_deg: float) -> np.ndarray:
    v, u = np.mgrid[:HEIGHT, :WIDTH] - np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])[:, None, None]
    angle = np.radians(angle_deg)
    along, across = -v * np.cos(angle) + u * np.sin(angle), v * np.sin(angle) + u * np.cos(angle)
    return (np.abs(along) < 85) & (np.abs(across) < 25)


@pytest.mark.parametrize("angle_deg", [-80.0, -30.0, 20.0, 58.5, 61.5])
def test_lean_is_the_angle_to_upright(angle_deg: float) -> None:
    mask = leaning(angle_deg)
    depth_m = before_a_wall(mask)
    # a rectangle of pixels is known to a pixel over its 170: 0.3 degrees
    assert lean(person_points(mask, depth_m, K), UP_CAM)[0] == pytest.approx(abs(angle_deg), abs=0.4)
    assert reasons(mask, depth_m, min_person_m=0.1) == (["person-sideways"] if abs(angle_deg) > 60 else [])


@pytest.mark.parametrize("angle_deg", [0.0, 40.0, 90.0])
def test_a_known_floor_decides_what_is_upright(angle_deg: float) -> None:
    mask = leaning(angle_deg)
    points_cam = person_points(mask, before_a_wall(mask), K)
    up_cam = np.array([np.sin(np.radians(angle_deg)), -np.cos(np.radians(angle_deg)), 0.0])
    assert lean(points_cam, up_cam)[0] == pytest.approx(0, abs=0.4)
    assert extent_m(points_cam, points_cam, up_cam) == pytest.approx(1.7 * 0.99, abs=0.03)
    assert reasons(mask, before_a_wall(mask), up_cam) == []


def test_a_round_person_and_one_seen_from_above_have_no_long_axis() -> None:
    crouching = slab(100, 140)
    assert reasons(crouching, before_a_wall(crouching), min_elongation=1.5) == []
    assert reasons(crouching, before_a_wall(crouching), min_elongation=1.3) == ["person-sideways"]
    across = slab(50, 170)
    from_above = np.array([0.0, -0.1, -0.995])
    assert lean(person_points(across, before_a_wall(across), K), from_above) == (0.0, 1.0)


def test_a_camera_that_looks_down_a_little_sees_upright_people_upright() -> None:
    upright = slab(170, 50)
    down = np.array([0.0, -np.cos(0.7), -np.sin(0.7)])  # 40 degrees
    assert lean(person_points(upright, before_a_wall(upright), K), down)[0] == pytest.approx(0, abs=1e-5)


def test_near_pixels_cover_less_and_count_less() -> None:
    # Half of the slab is tilted away: its axis must be that of the surface in metres, not of the pixels.
    mask = slab(100, 100)
    depth_m = before_a_wall(mask)
    rows = np.flatnonzero(mask.any(axis=1))
    depth_m[rows[50] :, :] *= np.float32(1.2)  # the lower half is 1.2 times as far, and as large
    points = person_points(mask, depth_m, K)
    weights = points[:, 2] ** 2
    mean = (points[:, :2] * weights[:, None]).sum(0) / weights.sum()
    spread = np.sqrt((((points[:, :2] - mean) ** 2) * weights[:, None]).sum(0) / weights.sum())
    assert lean(points, UP_CAM)[1] == pytest.approx(max(spread) / min(spread), rel=1e-6)
