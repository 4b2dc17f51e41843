"""Left and right of charts: held against key points, and against what a mirror does to a picture."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.bodies.parts import DENSEPOSE24_NAMES, flipped_labels
from pipeline.captures.annotation import Joints
from pipeline.captures.densepose import surface_points
from pipeline.captures.densepose_charts import COLOUR, decode_png
from pipeline.correspondences.sides import (
    DENSEPOSE_TURNING,
    OUR_TURNING,
    Sides,
    chart_turning,
    sides_by_joints,
    sides_by_mirror,
    sides_of_points,
    swapped_sides,
)

FLIPPED = flipped_labels(DENSEPOSE24_NAMES)


def pixels(person) -> tuple[np.ndarray, np.ndarray]:
    v, u = np.nonzero(person.mask)
    return np.column_stack([u, v]), person.part[person.mask]


@pytest.mark.parametrize("number", [0, 1])
def test_key_points_agree_with_a_persons_charts_and_contradict_exchanged_ones(people, number):
    px, part = pixels(people[number])
    as_seen = sides_by_joints(px, part, people[number].joints, least_confidence=0.3)
    swapped = sides_by_joints(px, FLIPPED[part], people[number].joints, least_confidence=0.3)
    assert as_seen.votes > 1000 and as_seen.right > 0.97
    # The same pixels vote, by the other bone.
    assert swapped.votes == as_seen.votes and swapped.right == pytest.approx(1 - as_seen.right)


def test_a_limb_whose_joints_are_not_known_has_no_vote(people):
    px, part = pixels(people[0])
    joints = people[0].joints
    whole = sides_by_joints(px, part, joints, least_confidence=0.3)
    unknown = np.zeros_like(joints.confidence)
    assert sides_by_joints(px, part, replace(joints, confidence=unknown), least_confidence=0.0) == Sides(
        right=0.0, votes=0
    )
    faint = joints.confidence.copy()
    faint[9] = 0.2  # the left wrist: hands and forearms fall out, on both sides
    fewer = sides_by_joints(px, part, replace(joints, confidence=faint), least_confidence=0.3)
    assert 0 < fewer.votes < whole.votes
    # A set that names no hips or shoulders (SMPL's names do) but hands.
    assert sides_by_joints(px[:0], part[:0], joints, least_confidence=0.3).votes == 0


def test_points_between_crossed_limbs_say_nothing():
    px = np.array([[10.0, 50.0], [12.0, 50.0], [50.0, 50.0]])
    part = np.full(3, 1 + DENSEPOSE24_NAMES.index("left_hand"), np.uint8)
    joint_px = np.zeros((17, 2), np.float32)
    joint_px[9], joint_px[10] = (0, 50), (20, 50)
    confidence = np.ones(17, np.float32)
    joints = Joints(joint_set="coco17", px=joint_px, confidence=confidence, visible=confidence > 0)
    # 10 from the left and 10 from the right; 12 and 8; 50 and 30: none is twice as near as the other.
    assert sides_by_joints(px, part, joints, least_confidence=0.3).votes == 0
    assert sides_by_joints(px - [8, 0], part, joints, least_confidence=0.3) == Sides(right=1.0, votes=2)


@pytest.mark.parametrize("number", [0, 1])
def test_charts_turn_the_other_way_in_a_mirrored_picture(people, number):
    person = people[number]
    for uv in (person.uv, person.from_8_bit()):
        as_seen = sides_by_mirror(person.part, uv, turning=OUR_TURNING)
        mirrored = sides_by_mirror(person.part[:, ::-1], uv[:, ::-1], turning=OUR_TURNING)
        assert as_seen.votes > 4000 and as_seen.right > 0.98 and mirrored.right < 0.02
    turned = sides_by_mirror(np.rot90(person.part), np.rot90(person.uv), turning=OUR_TURNING)
    assert turned.right > 0.98
    other = sides_by_mirror(person.part, person.uv, turning=tuple(-sign for sign in OUR_TURNING))
    assert other.right < 0.02


def test_a_few_points_tell_a_mirror_too(people):
    person = people[0]
    v, u = np.nonzero(person.mask)
    rows = np.random.default_rng(0).permutation(len(u))[:196]
    px, part = np.column_stack([u, v])[rows], person.part[v, u][rows]
    uv = person.uv[v, u][rows]
    as_seen = sides_of_points(px, part, uv, turning=OUR_TURNING)
    assert as_seen.votes > 150 and as_seen.right > 0.9
    mirrored = sides_of_points([255, 0] + px * [-1, 1], part, uv, turning=OUR_TURNING)
    assert mirrored.votes == as_seen.votes and mirrored.right == pytest.approx(1 - as_seen.right)
    on_a_line = np.column_stack([u[rows], u[rows]])
    assert sides_of_points(on_a_line, part, uv, turning=OUR_TURNING).votes == 0
    assert sides_of_points(px[:3], np.full(3, 2, np.uint8), uv[:3], turning=OUR_TURNING).votes == 0


def test_nobody_in_the_picture_is_no_vote():
    empty = np.zeros((5, 6), np.uint8), np.zeros((5, 6, 2), np.float32)
    assert sides_by_mirror(*empty, turning=OUR_TURNING) == Sides(right=0.0, votes=0)


def test_our_charts_all_run_counter_clockwise(charts):
    assert chart_turning(charts) == OUR_TURNING
    assert len(DENSEPOSE_TURNING) == 25 and set(DENSEPOSE_TURNING[1:]) == {1, -1}


def test_a_whole_person_exchanged_is_found_and_little_evidence_is_not():
    limits = {"frame": 4, "by": "key points", "least_right": 0.5, "least_votes": 20}
    finding = swapped_sides(Sides(right=0.03, votes=500), **limits)
    assert finding is not None and (finding.reason, finding.value, finding.limit) == (
        "sides-swapped",
        0.03,
        0.5,
    )
    assert (
        "frame 4: charts must agree with the key points" in finding.message and "3% of 500" in finding.message
    )
    assert swapped_sides(Sides(right=0.5, votes=500), **limits) is None
    assert swapped_sides(Sides(right=0.0, votes=19), **limits) is None
    assert swapped_sides(Sides(right=0.0, votes=0), **limits | {"least_votes": 0}) is not None


@pytest.mark.real_data
def test_charts_that_a_network_drew_and_points_that_people_set_turn_as_measured(data_root):
    folder = data_root / "densepose"
    iuv = decode_png((folder / "demo_im_IUV.png").read_bytes(), COLOUR, where="iuv")[..., ::-1]
    drawn = sides_by_mirror(iuv[..., 0], iuv[..., 1:] / 255.0, turning=DENSEPOSE_TURNING)
    assert drawn.votes > 30_000 and drawn.right > 0.93
    for part in range(1, 25):
        alone = np.where(iuv[..., 0] == part, np.uint8(part), np.uint8(0))
        assert sides_by_mirror(alone, iuv[..., 1:] / 255.0, turning=DENSEPOSE_TURNING).right > 0.75
    entry = json.loads((folder / "annotation.json").read_text())
    points = surface_points(entry, tuple(entry["bbox"]), where="annotation")
    # Another picture, other people's work: 116 of 121 points.
    people = sides_of_points(points.px, points.part, points.uv, turning=DENSEPOSE_TURNING)
    assert people.votes == 121 and people.right > 0.95
    ours = sides_of_points(points.px, points.part, points.uv, turning=OUR_TURNING)
    assert ours.right < 0.7
