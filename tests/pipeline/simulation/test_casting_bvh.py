"""A person who moves as a BVH file says: poses at the frames' times, feet on the floor, in the middle."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from pipeline.bodies.bvh import read_bvh
from pipeline.bodies.bvh_retarget import retarget
from pipeline.bodies.model import default_body
from pipeline.bodies.proportions import proportions_of
from pipeline.errors import InputError
from pipeline.simulation.casting import Script, draw_take
from pipeline.simulation.dressing import dressed

FRAME_S, COUNT = 0.05, 4
ROWS = 10
DOWN_CM, ASIDE_CM = 20.0, 60.0  # how far the pelvis goes over the file
# Joint: parent and offset in cm; arms out, as the capture database has them.
SKELETON = {
    "Hips": ("", (0, 0, 0)), "LowerBack": ("Hips", (0, 10, 0)), "Head": ("LowerBack", (0, 45, 0)),
    **{
        side + name: (parent if parent == "Hips" or parent == "LowerBack" else side + parent, (sign * x, y, z))
        for side, sign in (("Left", 1), ("Right", -1))
        for name, parent, (x, y, z) in (
            ("UpLeg", "Hips", (9, -5, 0)), ("Leg", "UpLeg", (0, -42, 0)), ("Foot", "Leg", (0, -40, 0)),
            ("Arm", "LowerBack", (18, 35, 0)), ("ForeArm", "Arm", (28, 0, 0)), ("Hand", "ForeArm", (25, 0, 0)),
        )
    },
}  # fmt: skip
ELBOW = 18  # left
EULER_DEG = np.linspace(0, 60, ROWS)  # of the left elbow about z


def write_bvh(path, rows=ROWS):
    """The pelvis sinks and goes aside, the left elbow bends."""
    lines, order = ["HIERARCHY"], []

    def joint(name):
        order.append(name)
        lines.append(("JOINT " if SKELETON[name][0] else "ROOT ") + name)
        lines.extend(["{", "OFFSET " + " ".join(map(str, SKELETON[name][1]))])
        places = "" if SKELETON[name][0] else "Xposition Yposition Zposition "
        lines.append(f"CHANNELS {6 if places else 3} {places}Zrotation Yrotation Xrotation")
        children = [child for child, (parent, _) in SKELETON.items() if parent == name]
        for child in children:
            joint(child)
        lines.extend([] if children else ["End Site", "{", "OFFSET 0 0 5", "}"])
        lines.append("}")

    joint("Hips")
    lines.extend(["MOTION", f"Frames: {rows}", f"Frame Time: {FRAME_S}"])
    for row in range(rows):
        share = row / (ROWS - 1)
        values = [300 + ASIDE_CM * share, 90 - DOWN_CM * share, -500]
        for name in order:
            values += [EULER_DEG[row] if name == "LeftForeArm" else 0.0, 0.0, 0.0]
        lines.append(" ".join(map(str, values)))
    path.write_text("\n".join(lines) + "\n")
    return path


def take_of(path, count=COUNT):
    return draw_take(
        5,
        Script(
            capture="c", subject="ann", outfit="first", pose=None, motion=path, camera="still", cameras=1,
            count=count, distance_m=2.2,
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_bvh(tmp_path_factory.mktemp("bvh") / "a.bvh")


@pytest.fixture(scope="module")
def take(path):
    return take_of(path)


def test_a_recording_is_played_at_its_own_speed(take):
    first, last = take.times.depth_s[[0, -1]]
    begin, end = (Rotation.from_rotvec(take.action(time_s)[0][ELBOW]) for time_s in (first, last))
    degrees_per_s = np.degrees((begin.inv() * end).magnitude()) / (last - first)
    assert degrees_per_s == pytest.approx(np.diff(EULER_DEG)[0] / FRAME_S, rel=1e-6)


def test_between_two_rows_of_a_recording_the_pose_is_halfway(path, take):
    body = default_body()
    rows = retarget(read_bvh(path), proportions_of(body, take.wardrobe.identity.betas))
    begin_s = min(take.times.depth_s[0], take.times.color_s[0]) - 0.1
    pose_rad, _ = take.action(begin_s + 2.5 * FRAME_S)
    halfway = Slerp([0, 1], Rotation.from_rotvec(rows.pose_rad[2:4, ELBOW]))(0.5)
    np.testing.assert_allclose(pose_rad[ELBOW], halfway.as_rotvec(), atol=1e-9)


def test_nothing_sinks_below_the_floor_and_the_lowest_moment_touches_it(take):
    times_s = np.linspace(take.times.depth_s[0] - 0.1, take.times.depth_s[-1] + 0.2, 12)
    lowest_m = np.array(
        [dressed(take.wardrobe, *take.action(time_s)).vertices_m[:, 1].min() for time_s in times_s]
    )
    assert lowest_m.min() > -1e-6
    assert lowest_m.argmin() == len(times_s) - 1 and lowest_m[-1] < 0.01  # the file goes down all the time
    assert lowest_m[0] > 0.05


def test_a_recording_stands_in_the_middle_wherever_it_was_recorded(take):
    bodies = [dressed(take.wardrobe, *take.action(time_s)).joints_m[0] for time_s in take.times.depth_s]
    assert np.abs(np.mean(bodies, axis=0)[[0, 2]]).max() < 0.1  # it was recorded 3 and 5 m away
    assert bodies[-1][0] - bodies[0][0] > 0.1


def test_a_recording_that_ends_before_the_film_is_refused(path):
    with pytest.raises(
        InputError, match=r"a\.bvh: the motion must last .* s to be filmed, lasts 0\.45 s"
    ) as caught:
        take_of(path, count=20)
    assert caught.value.reason == "motion-short"
