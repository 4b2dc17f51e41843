"""Frames that may form pairs, pairs that are kept, and which are chosen."""

import numpy as np
import pytest

from pipeline.bodies.model import default_body
from pipeline.motion.motion_map import MotionMap
from pipeline.motion.pairs import (
    choose_pairs,
    frame_findings,
    keypoint_residual_px,
    pair_findings,
    silhouette_iou,
)
from pipeline.motion.rings import two_rings

BODY = default_body()
LIMITS = {"min_silhouette_iou": 0.75, "max_keypoint_residual_px": 8.0}
PAIR_LIMITS = {"min_pair_baseline_m": 0.5, "min_pixel_baseline_m": 0.05, "min_valid_px": 20}


def square(left: int, size: int = 10) -> np.ndarray:
    mask = np.zeros((40, 40), bool)
    mask[5 : 5 + size, left : left + size] = True
    return mask


def test_intersection_over_union_of_squares():
    assert silhouette_iou(square(5), square(5)) == 1
    assert silhouette_iou(square(5), square(10)) == pytest.approx(50 / 150)
    assert silhouette_iou(square(5), square(20)) == 0
    empty = np.zeros((40, 40), bool)
    assert silhouette_iou(empty, empty) == silhouette_iou(empty, square(5)) == 0


def test_residuals_are_weighed_by_confidence_and_need_some():
    joints_px = np.zeros((4, 2))
    landmarks_px = np.array([[3.0, 4.0], [0.0, 10.0], [900.0, 900.0], [np.nan, np.nan]])
    assert keypoint_residual_px(joints_px, landmarks_px, np.array([0.5, 0.25, 0, 0])) == pytest.approx(20 / 3)
    assert keypoint_residual_px(joints_px, landmarks_px, np.zeros(4)) is None


def test_a_frame_is_left_out_with_what_was_measured():
    assert frame_findings(3, 0.9, 2.0, **LIMITS) == []
    assert frame_findings(3, 0.75, None, **LIMITS) == []
    found = frame_findings(3, 0.4, 31.0, **LIMITS)
    assert [(f.frame, f.reason, f.value, f.unit, f.limit) for f in found] == [
        (3, "silhouette-apart", 0.4, "1", 0.75),
        (3, "keypoints-apart", 31.0, "px", 8.0),
    ]
    assert all(f.drops and f.message.startswith("frame 3: ") for f in found)
    assert [f.reason for f in frame_findings(0, float("nan"), float("nan"), **LIMITS)] == [
        "silhouette-apart",
        "keypoints-apart",
    ]


def flat_map(baselines_m: np.ndarray, visible: np.ndarray) -> MotionMap:
    """A map whose every pixel with a baseline is seen."""
    t_m = np.zeros((*baselines_m.shape, 3), np.float32)
    t_m[..., 1] = baselines_m
    return MotionMap(
        rotvec_rad=np.zeros_like(t_m), t_m=t_m, depth_m=t_m[..., 1], seen=baselines_m > 0, visible=visible
    )


def test_the_mean_baseline_is_taken_over_all_pixels_that_move_visible_or_not():
    baselines_m = np.zeros((10, 10))
    baselines_m[:5], baselines_m[5:8] = 0.3, 0.9
    seen_twice = np.zeros((10, 10), bool)
    seen_twice[:5] = True
    assert (
        pair_findings(1, 4, flat_map(baselines_m, seen_twice), **PAIR_LIMITS) == []
    )  # (5 * 0.3 + 3 * 0.9) / 8
    (found,) = pair_findings(1, 4, flat_map(np.minimum(baselines_m, 0.6), seen_twice), **PAIR_LIMITS)
    assert (found.frame, found.reason, found.unit, found.limit) == (1, "short-baseline", "m", 0.5)
    assert found.value == pytest.approx(3.3 / 8) and "frames 1 and 4" in found.message


def test_a_pair_without_overlap_says_so():
    baselines_m = np.ones((10, 10))
    (found,) = pair_findings(1, 4, flat_map(baselines_m, np.zeros((10, 10), bool)), **PAIR_LIMITS)
    assert (found.reason, found.value, found.unit, found.limit) == ("no-overlap", 0, "px", 20)
    nothing = flat_map(np.zeros((10, 10)), np.zeros((10, 10), bool))
    reasons = [found.reason for found in pair_findings(1, 4, nothing, **PAIR_LIMITS)]
    assert reasons == ["no-overlap", "short-baseline"]


def turning(frames: int, step_deg: float) -> np.ndarray:
    """The body at 2.2 m, turned in place a step a frame, stiff."""
    bind = BODY.posed(np.zeros((1, 24, 3)), np.zeros(10), np.zeros(3)).vertices_m[0]
    angles = np.radians(step_deg) * np.arange(frames)
    turns = np.zeros((frames, 3, 3))
    turns[:, 0, 0], turns[:, 2, 2], turns[:, 1, 1] = np.cos(angles), np.cos(angles), 1
    turns[:, 0, 2], turns[:, 2, 0] = np.sin(angles), -np.sin(angles)
    return np.einsum("tij,vj->tvi", turns, bind) + [0, 0, 2.2]


def chosen(frames: int, step_deg: float, usable=None, **options) -> list[tuple[int, int]]:
    options = {"references": 100, "max_gap_frames": 100, "min_pair_baseline_m": 0.5} | options
    usable = np.ones(frames, bool) if usable is None else usable
    return [tuple(row) for row in choose_pairs(turning(frames, step_deg), usable, two_rings(BODY), **options)]


def test_thirteen_degrees_at_two_metres_are_half_a_metre():
    # |t| = 2 * 2.2 m * sin(angle / 2): 0.4981 m for 13 degrees, 0.5019 m for 13.1.
    assert chosen(2, 13.0) == []
    assert chosen(2, 13.1) == [(0, 1), (1, 0)]
    assert chosen(3, 7.0) == [(0, 2), (2, 0)]


def test_pairs_keep_to_usable_frames_and_to_the_gap():
    usable = np.array([True, True, False, True, True])
    found = chosen(5, 20.0, usable, max_gap_frames=3)
    assert found == [(0, 1), (0, 3), (1, 0), (1, 3), (1, 4), (3, 0), (3, 1), (3, 4), (4, 1), (4, 3)]
    assert chosen(5, 20.0, np.zeros(5, bool)) == []


def test_few_references_are_spread_over_time():
    assert [reference for target, reference in chosen(10, 20.0, references=3) if target == 0] == [2, 5, 8]
    assert chosen(4, 20.0, references=1) == [(0, 2), (1, 2), (2, 1), (3, 1)]


@pytest.mark.parametrize("wrong", [{"references": 0}, {"max_gap_frames": 0}])
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="references and max_gap_frames must be at least 1"):
        chosen(2, 20.0, **wrong)
