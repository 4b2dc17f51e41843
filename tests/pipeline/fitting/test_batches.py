"""Fits of whole captures: the same however they are cut up, clips of what belongs together, and drawn landmarks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.bodies.joints import COCO17, joints_of
from pipeline.bodies.model import default_body
from pipeline.bodies.motions import motion
from pipeline.bodies.proportions import proportions_of
from pipeline.cameras import project
from pipeline.fitting.acceptance import AcceptSettings, fit_and_judge
from pipeline.fitting.batches import How, judge_in_batches, smooth_clips
from pipeline.fitting.clip import SmoothSettings, clips_of
from pipeline.fitting.drawn import HIDDEN_CONFIDENCE, drawn_landmarks
from pipeline.fitting.fit import FitSettings, default_tables, fit_frames
from pipeline.fitting.observed import Observed

K = np.array([[200.0, 0, 63.5], [0, 200.0, 63.5], [0, 0, 1]])
COUNT = 18  # more than a batch


@pytest.fixture(scope="module")
def how() -> How:
    torch.set_num_threads(1)
    settings = FitSettings(starts=2, kept=1, steps=(3, 0, 2), hip_weight=1.0)
    return How(
        body=default_body(),
        tables=default_tables("coco17", settings),
        settings=settings,
        limits=AcceptSettings(),
    )


@pytest.fixture(scope="module")
def seen() -> Observed:
    """A walk, landmarks alone, with noise of a pixel; frame 5 has none."""
    body, betas = default_body(), np.zeros(default_body().betas)
    rng = np.random.default_rng(3)
    walk = motion("walk", rng, proportions_of(body, betas), seconds=COUNT / 30, fps=30)
    joints_m = joints_of(body, body.posed(walk.pose_rad, betas, walk.transl_m), COCO17)
    joints_m = (joints_m - joints_m.mean(axis=(0, 1))) * [1, -1, -1] + [0, 0, 3.0]
    joints_px = project(joints_m, K) + rng.normal(size=(COUNT, 17, 2))
    confidence = np.ones((COUNT, 17))
    confidence[5] = 0
    return Observed(joint_set=COCO17, joints_px=joints_px, confidence=confidence, K=np.tile(K, (COUNT, 1, 1)))


def rows_of(seen: Observed):
    return lambda rows: seen.rows(np.array(rows))


def test_a_frames_fit_is_the_same_whatever_frames_are_beside_it(seen, how):
    """To the last bit: a float that moved could choose another start."""
    all_of_them = fit_frames(seen, how.tables, how.settings)
    order = np.random.default_rng(0).permutation(COUNT)
    for rows in (order, np.array([11]), np.array([17, 2, 3])):
        some = fit_frames(seen.rows(rows), how.tables, how.settings)
        for name in ("pose_rad", "betas", "transl_m", "energy"):
            np.testing.assert_array_equal(getattr(some, name), getattr(all_of_them, name)[rows])


def test_batches_give_what_all_at_once_give_and_give_it_again(seen, how):
    done: list[int] = []
    judged = judge_in_batches(rows_of(seen), COUNT, how, progress=done.append)
    at_once = fit_and_judge(seen, how.body, how.tables, settings=how.settings, limits=how.limits)
    again = judge_in_batches(rows_of(seen), COUNT, how, progress=done.append)
    assert done == [16, 18, 16, 18]
    for other in (at_once, again):
        for name in ("pose_rad", "betas", "transl_m", "energy"):
            np.testing.assert_array_equal(getattr(judged.fits, name), getattr(other.fits, name))
        np.testing.assert_array_equal(judged.landmark_px, other.landmark_px)
        assert [(found.frame, found.reason) for found in judged.findings] == [
            (found.frame, found.reason) for found in other.findings
        ]
    assert (5, "low-confidence") in [(found.frame, found.reason) for found in judged.findings]


def test_smoothing_keeps_to_its_clip_and_judges_again(seen, how):
    lenient = replace(how, limits=AcceptSettings(max_landmark_share=1.0, max_energy=1e9, mirrored_energy=1e9))
    judged = judge_in_batches(rows_of(seen), COUNT, lenient, progress=lambda done: None)
    clip, smooth = [6, 7, 8, 9], SmoothSettings(steps=2)
    after = smooth_clips(rows_of(seen), judged, [clip], lenient, smooth)
    outside = [row for row in range(COUNT) if row not in clip]
    np.testing.assert_array_equal(after.fits.pose_rad[outside], judged.fits.pose_rad[outside])
    np.testing.assert_array_equal(after.fits.betas[clip], after.fits.betas[[6, 6, 6, 6]])
    assert (after.fits.betas[6] != judged.fits.betas[6]).any() and after.accepted[clip].all()
    strict = replace(how, limits=AcceptSettings(max_landmark_share=1e-4))
    refused = smooth_clips(rows_of(seen), judged, [clip], strict, smooth)
    assert not refused.accepted[clip].any() and refused.accepted[outside].sum() == len(outside) - 1
    assert {found.frame for found in refused.findings} == {5, *clip}


@pytest.mark.parametrize(
    ("frames", "accepted", "cameras", "clips"),
    [
        ([0, 1, 2, 3], "yyyy", 1, [[0, 1, 2, 3]]),
        ([0, 2, 4, 6], "yyyy", 1, [[0, 1, 2, 3]]),  # every second frame is evenly apart
        ([0, 1, 2, 3, 4, 5, 6], "yyynyyy", 1, [[0, 1, 2], [4, 5, 6]]),
        ([0, 1, 2, 3, 7, 8, 9], "yyyyyyy", 1, [[0, 1, 2, 3], [4, 5, 6]]),
        ([0, 1, 2, 3, 4, 5], "yyyyyy", 2, [[0, 2, 4], [1, 3, 5]]),
        ([0, 1, 2, 3], "ynyy", 1, []),
        ([3], "y", 1, []),
        ([], "", 1, []),
    ],
)
def test_clips_are_of_one_camera_and_without_gaps(frames, accepted, cameras, clips):
    assert clips_of(frames, [letter == "y" for letter in accepted], cameras=cameras) == clips


def test_long_runs_are_cut_so_that_memory_stays_bounded():
    clips = clips_of(list(range(250)), [True] * 250)
    assert [len(clip) for clip in clips] == [120, 120, 10]
    assert sum(clips, []) == list(range(250))


def test_drawn_landmarks_are_sure_where_seen_less_where_hidden_and_none_outside():
    joints_m = np.array([[0, 0, 2.0], [0, 0, 2.5], [9.0, 0, 2.0], [0.1, 0, -1.0], [0.3, 0.2, 2.0]])
    depth_m = np.full((128, 128), 2.0, dtype=np.float32)
    depth_m[:, 90:] = 0  # nothing measured there hides anything
    rng = np.random.default_rng(0)
    px, confidence, visible = drawn_landmarks(joints_m, K, depth_m, noise_px=0.0, rng=rng)
    np.testing.assert_allclose(confidence, [1, HIDDEN_CONFIDENCE, 0, 0, 1])
    np.testing.assert_array_equal(visible, [True, False, False, False, True])
    np.testing.assert_allclose(px[[0, 4]], project(joints_m[[0, 4]], K), rtol=1e-6)
    assert not px[2:4].any()


def test_drawn_noise_has_its_size_and_its_seed():
    joints_m = np.tile([0.0, 0.0, 2.0], (4000, 1))
    near = np.full((128, 128), 2.0, dtype=np.float32)
    first, _, _ = drawn_landmarks(joints_m, K, near, noise_px=3.0, rng=np.random.default_rng(1))
    again, _, _ = drawn_landmarks(joints_m, K, near, noise_px=3.0, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(first, again)
    apart_px = first - project(joints_m, K)
    np.testing.assert_allclose(apart_px.std(axis=0), 3.0, rtol=0.05)  # 4000 draws: 1.1 % is one sigma
    np.testing.assert_allclose(apart_px.mean(axis=0), 0.0, atol=0.2)
