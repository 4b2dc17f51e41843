"""The other frame's picture, carried over by the motion, against the target's own."""

from functools import cache

import numpy as np
import pytest

from pipeline.bodies.model import default_body
from pipeline.motion.motion_map import motion_map
from pipeline.motion.rings import two_rings
from pipeline.zbuffer import visible_faces
from tasks.report.motion_tiles import (
    NOT_VALID,
    REFERENCE,
    VALID,
    carried_picture,
    motion_painters,
)

SIZE_PX = 128
K = np.array([[150.0, 0, 63.5], [0, 150.0, 63.5], [0, 0, 1]])


def picture(vertices_cam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A body painted with a pattern that sticks to its skin, and its depth."""
    body = default_body()
    rest = body.posed(np.zeros((1, 24, 3)), np.zeros(10), np.zeros(3)).vertices_m[0]
    colours = 128 + 100 * np.sin(25 * rest + [0, 1, 2])
    face, bary, depth_m = visible_faces(vertices_cam, body.faces, K, height=SIZE_PX, width=SIZE_PX)
    second, third = np.moveaxis(bary.astype(float), -1, 0)
    weights = np.stack([1 - second - third, second, third], axis=-1)
    image = np.einsum("hwc,hwci->hwi", weights, colours[body.faces[np.maximum(face, 0)]])
    return np.where((face >= 0)[..., None], image, 0).astype(np.uint8), depth_m


@cache
def pair() -> dict:
    """A body that turns by 40 degrees and bends a knee."""
    poses = np.zeros((2, 24, 3))
    poses[1, 0], poses[1, 4] = [0, 0.7, 0], [0.8, 0, 0]
    body = default_body()
    # OpenCV's axes: y down and the camera in front.
    target, reference = body.posed(poses, np.zeros(10), np.zeros(3)).vertices_m * [1, -1, -1] + [0, 0, 2.2]
    made = motion_map(
        target,
        reference,
        body.faces,
        two_rings(body),
        K_target=K,
        K_reference=K,
        size_px=SIZE_PX,
        occlusion_m=0.01,
    )
    image, depth_m = picture(target)
    return {
        "image": image,
        "K": K,
        "body_depth_m": depth_m,
        "motion_reference_frame": np.array([7], np.int32),
        "motion_rotvec_rad": made.rotvec_rad[None],
        "motion_t_m": made.t_m[None],
        "motion_valid": made.valid(0.05)[None],
        REFERENCE: {"image": picture(reference)[0], "K": K},
    }


def mean_difference(row: dict) -> float:
    """In levels of 255; where nothing of the valid pixels is found, all are off."""
    carried, there = carried_picture(row)
    assert there.sum() <= row["motion_valid"].sum() > 1000
    return float(np.abs(carried[there].astype(int) - row["image"][there]).mean()) if there.any() else 255.0


def test_reference_carried_over_by_the_motion_looks_like_the_target():
    row = pair()
    # A wave is 0.25 m long, 17 px: resampling twice smooths it by a few levels; unmoved it is another picture.
    assert mean_difference(row) < 8
    there = row["motion_valid"][0]
    unmoved = np.abs(row[REFERENCE]["image"][there].astype(int) - row["image"][there]).mean()
    assert unmoved > 40


@pytest.mark.parametrize("fault", ["no rotation", "backwards", "t off by 5 cm", "another camera"])
def test_wrong_motion_shows(fault):
    row = dict(pair())
    if fault == "no rotation":
        row["motion_rotvec_rad"] = 0 * row["motion_rotvec_rad"]
    if fault == "backwards":
        row["motion_rotvec_rad"] = -row["motion_rotvec_rad"]
    if fault == "t off by 5 cm":
        row["motion_t_m"] = row["motion_t_m"] + np.float32([0.05, 0, 0])
    if fault == "another camera":
        row[REFERENCE] = row[REFERENCE] | {"K": K + [[0, 0, 6], [0, 0, 0], [0, 0, 0]]}
    assert mean_difference(row) > 15


def test_what_was_measured_on_the_cloth_is_looked_up_where_cloth_is():
    row = dict(pair())
    body = row["body_depth_m"] > 0
    near = np.where(body, row["body_depth_m"] - np.float32(0.03), 0).astype(np.float32)
    far = np.where(body, row["body_depth_m"] - np.float32(0.5), 0).astype(np.float32)
    on_body, _ = carried_picture(row)
    assert not np.array_equal(carried_picture(row | {"depth_m": near})[0], on_body)
    np.testing.assert_array_equal(carried_picture(row | {"depth_m": far})[0], on_body)


def test_validity_is_white_and_the_rest_of_the_body_red():
    row = pair()
    tile = motion_painters(row)["motion, where valid"].paint(row)
    valid, seen = row["motion_valid"][0], row["motion_t_m"][0].any(axis=-1)
    np.testing.assert_array_equal((tile.image == VALID).all(axis=-1), valid)
    np.testing.assert_array_equal((tile.image == NOT_VALID).all(axis=-1), seen & ~valid)
    assert tile.caption == f"{100 * valid.sum() / seen.sum():.0f} % valid"


def test_length_of_the_motion_has_its_mean_and_its_scale_in_metres():
    row = pair()
    painter = motion_painters(row)["motion, |t|"]
    lengths_m = np.linalg.norm(row["motion_t_m"][0], axis=-1)
    mean_m = lengths_m[lengths_m > 0].mean()
    assert painter.paint(row).caption == f"to frame 7, mean {mean_m:.2f} m"
    assert (painter.scale.low, painter.scale.unit) == (0.0, "m")


def test_frame_without_a_partner_shows_nothing_as_moved():
    row = {name: value for name, value in pair().items() if name != REFERENCE}
    row["motion_reference_frame"] = np.array([-1], np.int32)
    for name in ("motion_rotvec_rad", "motion_t_m", "motion_valid"):
        row[name] = np.zeros_like(row[name])
    painters = motion_painters(row)
    assert painters["motion, |t|"].paint(row).caption == "no partner"
    for label in ("motion, where valid", "target, where valid", "reference, carried over"):
        assert painters[label].paint(row) is None
