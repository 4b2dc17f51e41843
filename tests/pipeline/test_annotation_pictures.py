"""Annotations are drawn where they are, in colours that tell sides and parts apart."""

import numpy as np

from pipeline.annotation_pictures import LEFT, RIGHT, joints_picture, points_picture
from pipeline.bodies.joints import COCO17
from pipeline.captures.annotation import Joints, SurfacePoints
from pipeline.pictures import part_picture


def person(**hidden) -> Joints:
    """Left knee at (20, 30), left ankle at (20, 70), right knee at (60, 30)."""
    px = np.zeros((17, 2), np.float32)
    confidence = np.zeros(17, np.float32)
    for name, place in {"left_knee": (20, 30), "left_ankle": (20, 70), "right_knee": (60, 30)}.items():
        px[COCO17.names.index(name)], confidence[COCO17.names.index(name)] = place, 1
    visible = confidence > 0
    for name in hidden:
        visible[COCO17.names.index(name)] = False
    return Joints(joint_set=COCO17.name, px=px, confidence=confidence, visible=visible)


def test_left_and_right_have_their_colours_and_a_bone_joins_two_joints() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    drawn = joints_picture(image, person())
    np.testing.assert_array_equal(drawn[30, 20], LEFT)
    np.testing.assert_array_equal(drawn[30, 60], RIGHT)
    # Halfway down the shin; a smoothed line of one pixel covers its pixel to about nine tenths.
    np.testing.assert_allclose(drawn[50, 20], LEFT, rtol=0.15)
    assert not drawn[30, 40].any()  # knees are not joined
    assert not drawn[:10, :10].any()  # a joint that is not there is not drawn at (0, 0)
    assert not image.any()


def test_a_hidden_joint_is_hollow() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    drawn = joints_picture(image, person(right_knee=True))
    assert not drawn[30, 60].any() and drawn[26:35, 56:65].any()


def test_points_take_the_colour_of_their_part() -> None:
    points = SurfacePoints(
        px=np.array([[10, 20], [50, 20], [50, 60]], np.float32),
        part=np.array([2, 9, 2], np.uint8),
        uv=np.zeros((3, 2), np.float32),
    )
    drawn = points_picture(np.zeros((80, 80, 3), np.uint8), points)
    colours = part_picture(points.part[None])[0]
    for (u, v), colour in zip(points.px.astype(int), colours, strict=True):
        np.testing.assert_array_equal(drawn[v, u], colour)
    none = SurfacePoints(px=points.px[:0], part=points.part[:0], uv=points.uv[:0])
    assert not points_picture(np.zeros((8, 8, 3), np.uint8), none).any()


def test_pixel_centres_are_integers() -> None:
    """The middle of a dot at (20, 30) is that pixel, and that of one at (20.5, 30.5) half a pixel further."""
    for place in ((20.0, 30.0), (20.5, 30.5)):
        points = SurfacePoints(
            px=np.array([place], np.float32), part=np.array([1], np.uint8), uv=np.zeros((1, 2), np.float32)
        )
        drawn = points_picture(np.zeros((61, 41, 3), np.uint8), points).sum(axis=-1, dtype=float)
        v, u = np.indices(drawn.shape)
        # The smoothing of OpenCV is uneven by some 2 in 255.
        np.testing.assert_allclose(np.average([u, v], axis=(1, 2), weights=[drawn] * 2), place, atol=0.1)
