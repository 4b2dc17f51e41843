import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.cameras import invert_rigid, rigid_error
from pipeline.captures.opening import open_capture
from pipeline.fusion.tracking import TrackFrame, TrackSettings
from pipeline.fusion.tracking.loops import loop_edges
from pipeline.fusion.tracking.maps import live_maps, with_normals
from pipeline.fusion.tracking.refine import refine
from pipeline.fusion.tracking.relocalise import relocalise
from pipeline.fusion.tracking.se3 import transform_of, twist_of
from pipeline.fusion.tracking.track import track

PERSON = TrackSettings(tracked="person", voxel_m=0.01, trunc_m=0.03)


@pytest.fixture(scope="module")
def tracked(short_film):
    return track(short_film.frames, PERSON)


def test_a_sixth_of_a_turn_is_tracked(short_film, tracked, path_error):
    shift_m, turn_deg = path_error(tracked.world_from_cam, short_film.world_from_cam)
    assert tracked.found.all() and tracked.findings == ()
    # Mixed pixels and the registration of noise, 2 mm a pixel, leave some millimetres at 2.2 m.
    assert shift_m < 0.006 and turn_deg < 0.3
    steps_m = np.linalg.norm(np.diff(short_film.world_from_cam[:, :3, 3], axis=0), axis=1)
    assert tracked.path_m == pytest.approx(steps_m.sum(), rel=0.02)


def test_poses_stay_rigid(tracked):
    # Products of poses and their inverses double an error with every frame: of 1e-16 after ten, 1e-13 remains none.
    assert max(rigid_error(pose) for pose in tracked.world_from_cam) < 1e-14


def test_the_records_say_how_each_frame_was_placed(short_film, tracked):
    records = tracked.records
    assert [record.frame for record in records] == [frame.frame for frame in short_film.frames]
    assert records[0].keyframe and np.isnan(records[0].residual_m)
    assert all(0 < record.residual_m < 0.004 and record.fitness > 0.7 for record in records[1:])
    assert all(0 < record.sigma_m < 0.01 and 0 < record.sigma_rad < 0.01 for record in records[1:])
    assert not any(record.relocalised or record.loop_edges for record in records)


def test_a_given_start_moves_the_whole_path_and_a_second_run_nothing(short_film):
    start = transform_of(np.array([0.3, -1.0, 0.2, 1.0, 2.0, 3.0]))
    moved = track(short_film.frames[:5], PERSON, start=start).world_from_cam
    plain, again = (track(short_film.frames[:5], PERSON).world_from_cam for _ in range(2))
    np.testing.assert_array_equal(plain, again)
    np.testing.assert_allclose(moved[0], start, atol=1e-12)
    # Voxels lie elsewhere on the surface: their size over the model's pixels.
    assert np.linalg.norm(twist_of(invert_rigid(start @ plain) @ moved)[:, 3:], axis=1).max() < 0.004


def test_a_person_on_a_turntable_is_tracked_by_the_mask(film, path_error):
    turning = film(6, turn=0.1, person="turntable")
    found = track(turning.frames, PERSON)
    shift_m, turn_deg = path_error(found.world_from_cam, turning.world_from_cam)
    assert found.found.all() and not found.findings
    assert shift_m < 0.006 and turn_deg < 0.3


@pytest.mark.parametrize("part", ["person", pytest.param("both", marks=pytest.mark.slow)])
def test_a_person_who_moves_is_said_to_move(film, part):
    squatting = film(8, turn=1 / 7, person="squat")
    last = track(squatting.frames, replace(PERSON, tracked=part)).findings[-1]
    assert last.reason == "person-moved" and last.frame is None and last.drops
    assert last.value > last.limit


def test_a_frame_of_elsewhere_is_lost_and_the_next_are_found_again(short_film, path_error):
    frames = list(short_film.frames)
    turned = frames[5].depth_m[::-1, ::-1].copy()  # upside down: the floor above
    frames[5] = replace(frames[5], depth_m=turned, mask=frames[5].mask[::-1, ::-1].copy())
    frames[7] = replace(frames[7], depth_m=np.zeros_like(frames[7].depth_m))
    found = track(frames, replace(PERSON, min_fitness=0.6))
    assert found.found.tolist() == [index not in (5, 7) for index in range(10)]
    assert [finding.frame for finding in found.findings] == [5, 7]
    assert {finding.reason for finding in found.findings} == {"tracking-lost"}
    assert found.records[6].relocalised and found.records[8].relocalised
    kept = found.found
    shift_m, turn_deg = path_error(found.world_from_cam[kept], short_film.world_from_cam[kept])
    assert shift_m < 0.006 and turn_deg < 0.3
    np.testing.assert_array_equal(found.world_from_cam[5], np.eye(4))


def test_a_capture_that_is_mostly_lost_is_no_capture(short_film):
    frames = [replace(frame, depth_m=frame.depth_m * (frame.frame < 2)) for frame in short_film.frames[:6]]
    findings = track(frames, PERSON).findings
    assert findings[-1].frame is None and findings[-1].drops and findings[-1].value == pytest.approx(4 / 6)


def test_without_frames_there_is_nothing_to_track():
    with pytest.raises(ValueError, match="must be frames"):
        track([], PERSON)


def test_a_frame_is_found_again_among_keyframes(short_film):
    maps = [with_normals(live_maps(frame, PERSON)) for frame in short_film.frames]
    found = relocalise(maps[7], maps[:6], [0, 2, 5], PERSON)
    assert found is not None
    row, fitted = found
    true = invert_rigid(short_film.world_from_cam[row]) @ short_film.world_from_cam[7]
    assert row == 5 and np.linalg.norm(twist_of(fitted.model_from_live @ invert_rigid(true))[3:]) < 0.03


def test_refinement_brings_frames_together(short_film, path_error):
    maps = [with_normals(live_maps(frame, PERSON)) for frame in short_film.frames]
    true = short_film.world_from_cam
    shaken = transform_of(np.random.default_rng(2).normal(0, 0.005, (len(true), 6))) @ true
    refined = refine(maps, range(len(maps)), shaken, np.ones(len(maps), np.bool_), PERSON)
    assert path_error(refined, true)[0] < 0.3 * path_error(shaken, true)[0]
    np.testing.assert_array_equal(refined[0], shaken[0])


def test_a_turn_is_closed_by_a_tie_that_holds_both_ways(corner_frame):
    # Away to the side and back again, with the way back drifted off.
    aside = np.concatenate([np.linspace(0, 0.8, 5), np.linspace(0.6, 0, 4)])
    true = transform_of(np.stack([0 * aside, 0 * aside, 0 * aside, -aside, 0 * aside, 0 * aside], axis=1))
    maps = [with_normals(live_maps(corner_frame(pose), TrackSettings())) for pose in true]
    drifted = transform_of(np.linspace(0, 1, 9)[:, None] * [0, 0.02, 0, 0.03, 0, 0.04]) @ true
    edges = loop_edges(maps, range(9), drifted, TrackSettings())
    assert (8, 0) in {(edge.j, edge.i) for edge in edges}
    for edge in edges:
        off = twist_of(edge.i_from_j @ invert_rigid(invert_rigid(true[edge.i]) @ true[edge.j]))
        assert np.abs(off).max() < 2e-3 and edge.loop


@pytest.mark.slow
@pytest.mark.parametrize("part", ["person", "both"])
def test_a_full_turn_closes_to_five_millimetres(film, path_error, part):
    turn = film(60)
    found = track(turn.frames, TrackSettings(tracked=part))
    shift_m, turn_deg = path_error(found.world_from_cam, turn.world_from_cam)
    assert found.found.all() and not found.findings and found.loops > 0
    assert shift_m <= 0.005 and turn_deg <= 0.3
    assert found.loop_after_m < 0.5 * found.loop_before_m


@pytest.mark.slow
@pytest.mark.real_data
def test_a_room_without_poses_is_never_lost(path_error):
    root = os.environ.get("BODYTRUTH_DATA_ROOT")
    if root is None:
        pytest.skip("BODYTRUTH_DATA_ROOT is not set")
    capture = open_capture(Path(root) / "7scenes-room", "7scenes", None)
    read = [capture.read(number) for number in capture.frames]
    frames = [
        TrackFrame(frame=each.frame, depth_m=each.depth_m, mask=None, rgb=None, K=each.K) for each in read
    ]
    found = track(frames, TrackSettings(depth_max_m=3.0, trunc_m=0.04, noise_square_per_m=0.0015))
    assert found.found.all() and not found.findings
    # What Open3D's tracker reached against these poses, which are themselves good to 2 % of the path.
    assert path_error(found.world_from_cam, np.stack([each.world_from_cam for each in read]))[0] <= 0.021
