"""Cameras around a figure of spheres: right transforms pass, wrong ones are told by what they look through."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.captures.opening import open_capture
from pipeline.captures.rgbd_files import RgbdFiles
from pipeline.errors import GateError
from pipeline.fusion import DepthView
from pipeline.fusion.rig_check import MOST_SEEN_THROUGH, SeenPerson, check_rig, measure_rig, seen_through

BACK_M = 1.5  # whatever is behind the figure, where another camera sees nothing of the kind


@pytest.fixture
def people(sphere_views, figure, orbit):
    """people(count): what each of some cameras around the figure sees, with the room behind it."""

    def made(count: int) -> list[SeenPerson]:
        views = sphere_views(figure, orbit(count))
        return [
            SeenPerson(
                view=replace(view, depth_m=np.where(view.depth_m > 0, view.depth_m, np.float32(BACK_M))),
                mask=view.depth_m > 0,
            )
            for view in views
        ]

    return made


def moved(person: SeenPerson, *, metres=(0.0, 0.0, 0.0), degrees: float = 0.0) -> SeenPerson:
    change = np.eye(4)
    change[:3, :3] = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    change[:3, 3] = metres
    view = replace(person.view, world_from_cam=person.view.world_from_cam @ change)
    return SeenPerson(view=view, mask=person.mask)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_right_transforms_look_through_nothing(people, count):
    seen = people(count)
    found = check_rig(seen.__getitem__, range(count), cameras=count)
    # A pixel at a rim may see past it: depth changes there by more than a pixel's footprint.
    assert found.share is not None and found.share < 0.01


@pytest.mark.parametrize(
    "count", [3, 4]
)  # two that face each other see of one another's side no more than rims
@pytest.mark.parametrize("change", [{"metres": (0.06, 0, 0)}, {"metres": (0, 0.06, 0)}, {"degrees": 5.0}])
def test_a_wrong_transform_is_refused_with_its_cameras(people, count, change):
    seen = people(count)
    seen[1] = moved(seen[1], **change)
    with pytest.raises(GateError, match="transforms between them") as caught:
        check_rig(seen.__getitem__, range(count), cameras=count)
    assert caught.value.reason == "cameras-disagree" and caught.value.value > MOST_SEEN_THROUGH
    assert 1 in measure_rig(seen.__getitem__, range(count), cameras=count).cameras


def test_share_is_of_the_points_that_the_other_camera_can_judge(people):
    """A camera beside itself: what floats in front is looked through, what lies behind is hidden, 0 is no depth."""
    (person,) = people(1)
    through = moved(person, metres=(0, 0, -0.08))
    assert seen_through(person, person) == 0.0
    assert seen_through(through, person) > 0.9
    assert seen_through(moved(person, metres=(0, 0, 0.08)), person) < 0.15  # of its rim alone
    half = person.view.depth_m.copy()
    half[:, :80] = 0
    blind = SeenPerson(view=replace(person.view, depth_m=half), mask=person.mask)
    assert seen_through(through, blind) > 0.9
    none = SeenPerson(view=replace(person.view, depth_m=np.zeros_like(half)), mask=person.mask)
    assert seen_through(person, none) is None and seen_through(none, person) is None


def test_pixels_of_the_mask_without_depth_are_no_points(people):
    """They would lie in the camera's own centre, which here is looked through by the camera behind it."""
    (person,) = people(1)
    before = moved(person, metres=(0, 0, 0.3))
    depth_m = before.view.depth_m.copy()
    depth_m[:60] = 0
    hole = SeenPerson(view=replace(before.view, depth_m=depth_m), mask=before.mask)
    assert seen_through(before, person) < 0.15 and seen_through(hole, person) < 0.15


def test_only_moments_of_all_cameras_count_and_none_says_nothing(people):
    seen = people(2)
    asked: list[int] = []

    def read(number: int) -> SeenPerson:
        asked.append(number)
        return seen[number % 2]

    found = check_rig(read, [0, 2, 3, 5, 6, 7], cameras=2)
    assert sorted(asked) == [2, 3, 6, 7] and found.share is not None
    assert check_rig(read, [0, 3, 4], cameras=2).share is None


def test_one_bad_moment_of_four_does_not_decide(people):
    seen = people(2)

    def read(number: int) -> SeenPerson:
        return moved(seen[1], metres=(0.1, 0, 0)) if number == 1 else seen[number % 2]

    assert check_rig(read, range(8), cameras=2).share < 0.01


def test_noise_of_a_sensor_is_no_disagreement(people):
    rng = np.random.default_rng(4)

    def noisy(person: SeenPerson) -> SeenPerson:
        depth_m = person.view.depth_m
        spread_m = 0.0015 * depth_m**2  # of a Kinect v2, doubled at outlines where it matters most
        return SeenPerson(
            view=replace(person.view, depth_m=(depth_m + rng.normal(0, spread_m)).astype(np.float32)),
            mask=person.mask,
        )

    seen = [noisy(person) for person in people(3)]
    assert measure_rig(seen.__getitem__, range(3), cameras=3).share < MOST_SEEN_THROUGH / 2


@pytest.mark.real_data
def test_real_depth_around_a_shelf_agrees_and_a_wrong_camera_is_found(data_root):
    files = RgbdFiles(
        depth="frame-{frame}.depth.png", pose="frame-{frame}.pose.txt", calibration="intrinsics.K.txt"
    )
    capture = open_capture(data_root / "apc_shelf_posed50", "rgbd-folder", files)

    def seen(number: int) -> SeenPerson:
        frame = capture.read(number)
        view = DepthView(depth_m=frame.depth_m, K=frame.K, world_from_cam=frame.world_from_cam)
        return SeenPerson(view=view, mask=(frame.depth_m > 0.3) & (frame.depth_m < 3))

    cameras = [seen(number) for number in (15, 45, 75, 105)]
    # Of poses that a tracker gave, on a sensor with a regular grid of holes.
    assert check_rig(cameras.__getitem__, range(4), cameras=4).share < MOST_SEEN_THROUGH
    for change in ({"metres": (0.05, 0, 0)}, {"degrees": 2.0}):
        wrong = [cameras[0], moved(cameras[1], **change), *cameras[2:]]
        assert measure_rig(wrong.__getitem__, range(4), cameras=4).share > 2 * MOST_SEEN_THROUGH
