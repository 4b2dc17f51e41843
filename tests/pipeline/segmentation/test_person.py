"""The mask is the person: the shoes are in, floor, walls, furniture and other people are out."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from pipeline.errors import InputError
from pipeline.gates.person import person_findings
from pipeline.segmentation.person import Found, PersonFinder
from pipeline.segmentation.room import evenly, learn_room
from pipeline.segmentation.touching import parted
from pipeline.settings import ForegroundSettings


def iou(mask, truth) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


def alone(frame):
    """A finder that knows the room from this one frame."""
    return PersonFinder(learn_room([frame], still_camera=True))


@pytest.fixture(scope="module")
def shot(scene):
    return scene.shoot(scene.FRONT, [scene.standing(0.0, 0.0)])


def test_one_frame_gives_the_person_with_their_shoes_and_nothing_else(shot, scene) -> None:
    found = alone(shot.frame).find(shot.frame)
    truth = shot.label == scene.PERSON
    assert iou(found.mask, truth) > 0.97
    # 20 cm of legs and shoes: at 80 px/m and a downward view, a missing centimetre is one row of them
    rows = np.flatnonzero(truth.any(axis=1))
    feet = truth & (np.arange(len(truth)) > rows[-1] - 16)[:, None]
    assert (found.mask & feet).sum() > 0.9 * feet.sum()
    assert (found.mask & (shot.label == scene.FLOOR)).sum() <= 0.002 * truth.sum()
    assert not (found.mask & (shot.frame.depth_m == 0)).any()
    assert found.people == 1


def judged(frame, found: Found) -> list[str]:
    """Reasons that the gates give against the person found."""
    return [
        one.reason for one in person_findings(frame, found.mask, ForegroundSettings(), up_cam=found.up_cam)
    ]


def test_the_person_is_upright_and_passes_the_gates(shot) -> None:
    found = alone(shot.frame).find(shot.frame)
    assert judged(shot.frame, found) == []
    assert found.up_cam @ [0, -1, 0] == pytest.approx(np.cos(np.arctan2(0.35, 2.6)), abs=1e-3)


def test_an_outline_that_ends_with_the_picture_is_cut(shot) -> None:
    depth_m = shot.frame.depth_m[:180]  # the knees and below are gone
    cut = replace(shot.frame, depth_m=depth_m)
    assert judged(cut, alone(cut).find(cut)) == ["person-cut"]


def test_same_frames_give_the_same_mask(shot) -> None:
    first, second = (alone(shot.frame).find(shot.frame) for _ in range(2))
    np.testing.assert_array_equal(first.mask, second.mask)


def test_furniture_is_nobody(scene) -> None:
    crate = (np.array([-1.2, 0.0, -0.2]), np.array([-0.6, 0.85, 0.3]))
    empty = scene.shoot(scene.FRONT, [], boxes=[scene.CABINET, crate])
    with pytest.raises(InputError, match="frame 0: a person must stand free") as caught:
        alone(empty.frame).find(empty.frame)
    assert caught.value.reason == "no-person"
    beside = scene.shoot(scene.FRONT, [scene.standing(-0.2, 0.5)], boxes=[scene.CABINET])
    assert iou(alone(beside.frame).find(beside.frame).mask, beside.label == scene.PERSON) > 0.97


def test_a_thread_beside_the_person_is_cut_off(shot, scene) -> None:
    truth = shot.label == scene.PERSON
    row = 120
    end = int(np.flatnonzero(truth[row])[-1])
    depth_m = shot.frame.depth_m.copy()
    depth_m[row, end + 1 : end + 9] = depth_m[row, end]  # one pixel high: above and below, the wall is seen
    frame = replace(shot.frame, depth_m=depth_m)
    mask = alone(frame).find(frame).mask
    assert not mask[row, end + 2 :].any() and iou(mask, truth) > 0.97


def test_a_hand_held_forward_is_the_persons_though_the_arm_is_hidden(scene) -> None:
    hand = np.array([[0.0, 1.21, z, 0.06] for z in (0.40, 0.43, 0.46)])
    shot = scene.shoot(scene.FRONT, [scene.standing(0.0, 0.0), hand])
    found = alone(shot.frame).find(shot.frame)
    on_hand = shot.label == scene.PERSON + 1
    assert (found.mask & on_hand).sum() > 0.9 * on_hand.sum() > 50
    assert found.people == 1 and iou(found.mask, shot.label >= scene.PERSON) > 0.95


def test_a_doorways_far_side_is_nobody(scene) -> None:
    # the crumpled end of a passage, of a person's size, is bent enough but lies behind all that it meets
    rng = np.random.default_rng(2)
    shot = scene.shoot(scene.FRONT, [])
    depth_m = shot.frame.depth_m.copy()
    door = (slice(60, 200), slice(140, 180))
    bumps = rng.uniform(0, 0.12, (18, 5)).repeat(8, axis=0).repeat(8, axis=1)[:140, :40]
    depth_m[:] = 2.0  # a wall that the camera stands close to
    depth_m[door] = 3.0 + ndimage.gaussian_filter(bumps, 2)
    frame = replace(shot.frame, depth_m=depth_m)
    with pytest.raises(InputError) as caught:
        alone(frame).find(frame)
    assert caught.value.reason == "no-person"


def test_depth_between_person_and_wall_is_cut_from_the_outline(shot, scene) -> None:
    truth = shot.label == scene.PERSON
    depth_m = shot.frame.depth_m.copy()
    outline = truth & ~np.roll(truth, 1, axis=1) & (np.roll(shot.label, 1, axis=1) == scene.WALL)
    at = np.argwhere(outline)
    beside = depth_m[at[:, 0], at[:, 1] - 1]
    depth_m[tuple(at.T)] = 0.5 * (depth_m[tuple(at.T)] + beside)  # as half of a pixel on each would read
    frame = replace(shot.frame, depth_m=depth_m)
    found = alone(frame).find(frame)
    assert len(at) > 100
    assert (found.mask & outline).sum() <= 0.02 * len(at)
    assert iou(found.mask, truth & ~outline) > 0.97


# Moving cameras


@pytest.fixture(scope="module")
def around(scene):
    poses = [
        scene.look((2.6 * np.sin(a), 1.2, 2.6 * np.cos(a)), (0.0, 0.9, 0.0))
        for a in np.linspace(-0.8, 0.8, 6)
    ]
    return [scene.shoot(pose, [scene.standing(0.0, 0.0)], number=i) for i, pose in enumerate(poses)]


def test_planes_are_carried_in_the_world_when_poses_are_known(around, scene) -> None:
    room = learn_room([shot.frame for shot in around], still_camera=False)
    floor, wall = room.planes[0], [plane for plane in room.planes if plane.kind == "wall"][0]
    # thousands of points, of 4 mm noise each
    np.testing.assert_allclose(floor.normal, [0, 1, 0], atol=2e-3)
    np.testing.assert_allclose([floor.offset_m, wall.offset_m], [0.0, 2.0], atol=3e-3)
    np.testing.assert_allclose(wall.normal, [0, 0, 1], atol=2e-3)
    finder = PersonFinder(room)
    for shot in around:
        found = finder.find(shot.frame)
        assert iou(found.mask, shot.label == scene.PERSON) > 0.97
        # a still person is seen from many sides about where they stand
        np.testing.assert_allclose(found.center[[0, 2]], [0, 0], atol=0.12)


def test_a_known_room_serves_a_frame_that_shows_too_little_of_it(around, scene) -> None:
    room = learn_room([shot.frame for shot in around], still_camera=False)
    near = scene.look((0.0, 0.9, 1.6), (0.0, 0.75, 0.0))
    shot = scene.shoot(near, [scene.standing(0.0, 0.0)], number=9)
    keep = np.zeros(shot.label.shape, bool)
    keep[:, 125:195] = True  # a slit: hardly any floor
    frame = replace(shot.frame, depth_m=np.where(keep, shot.frame.depth_m, 0))
    assert iou(PersonFinder(room).find(frame).mask, keep & (shot.label == scene.PERSON)) > 0.95


def test_without_poses_each_frame_shows_its_own_planes(around, scene) -> None:
    frames = [replace(shot.frame, world_from_cam=None) for shot in around]
    room = learn_room(frames, still_camera=False)
    assert room.planes is None
    finder = PersonFinder(room)
    for frame, shot in zip(frames, around, strict=True):
        assert iou(finder.find(frame).mask, shot.label == scene.PERSON) > 0.97


# Still cameras


def walk(scene, places, *, boxes=()):
    return [
        scene.shoot(scene.FRONT, [scene.standing(x, z)], boxes=boxes, number=i, with_pose=False)
        for i, (x, z) in enumerate(places)
    ]


def test_a_learned_background_parts_a_person_from_what_they_touch(scene) -> None:
    # the arm lies against the cabinet's front edge in the fourth frame
    places = [(-0.9, 0.0), (-0.5, 0.0), (-0.1, 0.05), (0.33, 0.16), (-0.3, 0.3), (-0.8, 0.3)]
    shots = walk(scene, places, boxes=[scene.CABINET])
    touching = shots[3]
    truth = touching.label == scene.PERSON
    finder = PersonFinder(learn_room([shot.frame for shot in shots], still_camera=True))
    masks = [finder.find(shot.frame).mask for shot in shots]
    for mask, shot in zip(masks, shots, strict=True):
        assert iou(mask, shot.label == scene.PERSON) > 0.95
    assert (masks[3] & (touching.label == scene.BOX)).sum() < 0.02 * truth.sum()


def test_someone_who_stands_still_does_not_become_the_background(scene) -> None:
    shots = [
        scene.shoot(scene.FRONT, [scene.standing(0.0, 0.0)], number=i, with_pose=False) for i in range(6)
    ]
    finder = PersonFinder(learn_room([shot.frame for shot in shots], still_camera=True))
    for shot in shots:
        assert iou(finder.find(shot.frame).mask, shot.label == scene.PERSON) > 0.97


def test_empty_frames_give_the_background_outright(scene) -> None:
    clutter = [scene.CABINET, (np.array([-0.9, 0.0, -0.2]), np.array([-0.24, 1.0, 0.2]))]
    empty = [scene.shoot(scene.FRONT, [], boxes=clutter, number=20 + i, with_pose=False) for i in range(3)]
    shot = scene.shoot(scene.FRONT, [scene.standing(0.05, 0.1)], boxes=clutter, with_pose=False)
    room = learn_room([shot.frame], empty=[one.frame for one in empty], still_camera=True)
    truth = shot.label == scene.PERSON
    found = PersonFinder(room).find(shot.frame)
    assert iou(found.mask, truth) > 0.95
    assert (found.mask & (shot.label == scene.BOX)).sum() < 0.01 * truth.sum()


def test_of_two_figures_the_one_that_moves_is_the_person(scene) -> None:
    figure = scene.standing(0.7, 0.3, tall=1.9)  # larger in metres
    shots = [
        scene.shoot(scene.FRONT, [figure, scene.standing(x, -0.3, tall=1.5)], number=i, with_pose=False)
        for i, x in enumerate((-1.1, -0.8, -0.5, -0.2))
    ]
    finder = PersonFinder(learn_room([shot.frame for shot in shots], still_camera=True))
    for shot in shots:
        assert iou(finder.find(shot.frame).mask, shot.label == scene.PERSON + 1) > 0.95


def test_a_room_is_learned_from_a_stream_a_few_frames_at_a_time(shot) -> None:
    alive: list[int] = []

    def stream():
        for number in range(200):
            alive.append(number)
            yield replace(shot.frame, frame=number, depth_m=shot.frame.depth_m[::4, ::4].copy())

    room = learn_room(stream(), still_camera=True)
    assert alive == list(range(200)) and room.background_m is not None
    kept = [frame.frame for frame in evenly(stream())]
    assert len(kept) <= 16 and kept[0] == 0 and kept[-1] > 180
    assert len(set(np.diff(kept))) == 1


# Several people


def test_people_are_counted_from_the_left_and_followed(scene) -> None:
    finder = None
    for number, x in enumerate((0.9, 0.5, 0.1, -0.3, -0.7)):
        people = [scene.standing(-0.1, 0.6), scene.standing(x, -0.5)]
        shot = scene.shoot(scene.FRONT, people, number=number)
        if finder is None:
            finder = PersonFinder(learn_room([shot.frame], still_camera=True), person=2)
        hidden = number in (2, 3)  # much of the second person is behind the first
        try:
            found = finder.find(shot.frame)
        except InputError:
            assert hidden
            continue
        if not hidden:
            assert found.people == 2
            assert iou(found.mask, shot.label == scene.PERSON + 1) > 0.95
    with pytest.raises(InputError, match="has 2 people, and person 3 was asked for"):
        PersonFinder(learn_room([shot.frame], still_camera=True), person=3).find(shot.frame)


def test_people_who_touch_are_two(scene) -> None:
    people = [scene.standing(-0.3, 0.0), scene.standing(0.3, 0.05)]
    shot = scene.shoot(scene.FRONT, people)
    room = learn_room([shot.frame], still_camera=True)
    for index in range(2):
        found = PersonFinder(room, person=index + 1).find(shot.frame)
        assert found.people == 2
        assert iou(found.mask, shot.label == scene.PERSON + index) > 0.93


def test_a_raised_hand_is_no_head(scene) -> None:
    body = scene.standing(0.0, 0.0)
    body = body[(np.abs(body[:, 0]) < 0.16) | (body[:, 1] < 0.7)]  # without the arms at the sides
    for side in (-1, 1):
        arm = np.linspace([side * 0.2, 1.36, 0], [side * 0.8, 1.7, 0], 30)
        body = np.concatenate([body, np.column_stack([arm, np.full(30, 0.045)])])
    shot = scene.shoot(scene.FRONT, [body])
    found = alone(shot.frame).find(shot.frame)
    assert found.people == 1 and iou(found.mask, shot.label == scene.PERSON) > 0.97
    up = np.append(found.up_cam, 1.2)
    assert len(parted(shot.frame.depth_m, scene.K, shot.label == scene.PERSON, up)) == 1


def test_another_who_appears_far_away_is_not_taken_for_a_hidden_one(scene) -> None:
    # between two frames nobody goes farther than a metre
    both = scene.shoot(scene.FRONT, [scene.standing(-1.2, 0.0), scene.standing(0.6, 0.0)])
    finder = PersonFinder(learn_room([both.frame], still_camera=True), person=1)
    finder.find(both.frame)
    other = scene.shoot(scene.FRONT, [scene.standing(-0.5, 0.9), scene.standing(0.6, 0.0)])
    with pytest.raises(InputError, match="not whom the frames before it showed") as caught:
        finder.find(other.frame)
    assert caught.value.reason == "no-person"
    assert iou(finder.find(both.frame).mask, both.label == scene.PERSON) > 0.95


# Refusals


def test_what_cannot_be_searched_has_its_reason(shot, around) -> None:
    frame = shot.frame
    moving = learn_room([one.frame for one in around], still_camera=False)
    still = learn_room([replace(frame, frame=i) for i in range(4)], still_camera=True)
    small = replace(frame, depth_m=frame.depth_m[:100])
    for room, broken, reason in (
        (still, replace(frame, depth_m=None), "depth-missing"),
        (still, replace(frame, K=None), "intrinsics-missing"),
        (moving, replace(frame, world_from_cam=None), "pose-missing"),
        (still, small, "depth-size"),
        (still, replace(frame, depth_m=np.zeros_like(frame.depth_m)), "no-person"),
    ):
        with pytest.raises(InputError, match="frame 0: .* must|needs") as caught:
            PersonFinder(room).find(broken)
        assert caught.value.reason == reason
    for frames, reason in (([], "no-frames"), ([frame, small], "depth-size")):
        with pytest.raises(InputError) as caught:
            learn_room(frames, still_camera=True)
        assert caught.value.reason == reason
    with pytest.raises(ValueError, match="still camera"):
        learn_room([frame], empty=[frame], still_camera=False)
    with pytest.raises(ValueError, match="counted from 1"):
        PersonFinder(still, person=0)


# Other people's cameras


@pytest.mark.real_data
def test_five_people_of_a_real_kinect_are_five() -> None:
    root = os.environ.get("BODYTRUTH_DATA_ROOT")
    if root is None:
        pytest.skip("BODYTRUTH_DATA_ROOT is not set")
    import open3d

    cloud = open3d.t.io.read_point_cloud(
        str(Path(root) / "pcl_people" / "five_people.pcd"), remove_nan_points=False
    )
    depth_m = np.nan_to_num(cloud.point.positions.numpy()[:, 2].reshape(480, 640)).astype(np.float32)
    K = np.array([[525.0, 0, 319.5], [0, 525, 239.5], [0, 0, 1]])
    from pipeline.captures.capture import Frame

    frame = Frame(frame=0, timestamp_s=-1.0, image=None, depth_m=depth_m, K=K, world_from_cam=None, mask=None)
    room = learn_room([frame], still_camera=True)
    found = [PersonFinder(room, person=index + 1).find(frame) for index in range(5)]
    assert [one.people for one in found] == [5] * 5
    assert np.sum([one.mask for one in found], axis=0).max() == 1  # nobody shares a pixel
    assert [judged(frame, one) for one in found] == [["person-cut"], [], [], [], ["person-cut"]]
    # from the nearest to the farthest, as the picture shows them
    medians_m = [float(np.median(depth_m[one.mask])) for one in found]
    assert np.argsort(medians_m).tolist() == [4, 0, 1, 3, 2]


@pytest.mark.slow
def test_simulated_kinect_frames_keep_nearly_all_of_the_person(tmp_path) -> None:
    from functools import partial

    from pipeline.captures.kinect2 import open_kinect2
    from pipeline.simulation.casting import Script, draw_take
    from pipeline.simulation.filming import film_take, vertex_rgb
    from pipeline.simulation.kinect_writer import write_kinect2_capture

    script = Script(
        capture="c", subject="ann", outfit="first", pose="hands-on-hips", motion=None,
        camera="orbit", cameras=1, count=8, distance_m=2.2,
    )  # fmt: skip
    take = draw_take(5, script)
    write_kinect2_capture(
        tmp_path / "raw",
        film_take(take, partial(_drawn, 5), threads=1),
        take.calibration,
        faces=take.wardrobe.faces,
        vertex_rgb=vertex_rgb(take.wardrobe),
    )
    capture = open_kinect2(tmp_path / "raw")
    frames = [capture.read(number) for number in capture.frames]
    finder = PersonFinder(learn_room(frames, still_camera=False))
    scores = []
    for frame in frames:
        truth = frame.mask & (frame.depth_m > 0)
        mask = finder.find(frame).mask
        scores.append(iou(mask, truth))
        assert (mask & ~truth).sum() < 0.005 * truth.sum()
    assert np.median(scores) > 0.98 and min(scores) > 0.95


def _drawn(seed, purpose, frame):
    from pipeline.seeds import stream

    return stream(seed, purpose, "c", frame)
