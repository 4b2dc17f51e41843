"""Annotations drawn over pictures, for people to look at: RGB (H W 3) uint8 in, a copy with the drawing out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import JOINT_SETS
from pipeline.captures.annotation import Joints, SurfacePoints
from pipeline.pictures import Picture, part_picture

# Rights warm and lefts cool, which the colour-blind tell apart too; white for what has no side.
LEFT, RIGHT, MIDDLE = (64, 160, 255), (255, 140, 26), (255, 255, 255)
OUTLINE = (20, 20, 20)
SHIFT = 4  # cv2 takes sixteenths of a pixel


def joints_picture(image: Picture, joints: Joints) -> Picture:
    """Bones and joints of one person, the subject's left blue and right orange; joints marked as hidden hollow.

    A bone is drawn where both its joints are there. A bone of a limb takes the limb's colour.
    """
    import cv2

    joint_set = next(known for known in JOINT_SETS if known.name == joints.joint_set)
    there = joints.confidence > 0
    sides = [_side(name) for name in joint_set.names]
    thick = _thickness(joints.px[there])
    drawn = np.ascontiguousarray(image).copy()
    for first, second in joint_set.edges:
        if there[first] and there[second]:
            ends = _fixed(joints.px[first]), _fixed(joints.px[second])
            colour = sides[first] if sides[first] == sides[second] else MIDDLE
            cv2.line(drawn, *ends, OUTLINE, thick + 2, cv2.LINE_AA, SHIFT)
            cv2.line(drawn, *ends, colour, thick, cv2.LINE_AA, SHIFT)
    for joint in np.flatnonzero(there):
        _dot(drawn, joints.px[joint], sides[joint], 1.5 * thick + 1, hollow=not joints.visible[joint])
    return drawn


def points_picture(image: Picture, points: SurfacePoints) -> Picture:
    """Surface points as dots, each in its part's colour in `part_picture`."""
    colours = part_picture(points.part[None])[0]
    drawn = np.ascontiguousarray(image).copy()
    thick = _thickness(points.px)
    for place, colour in zip(points.px, colours.tolist(), strict=True):
        _dot(drawn, place, tuple(colour), thick + 1.0, hollow=False)
    return drawn


def _side(name: str) -> tuple[int, int, int]:
    if name.startswith("left_"):
        return LEFT
    return RIGHT if name.startswith("right_") else MIDDLE


def _thickness(px: NDArray[Any]) -> int:
    """Line width that suits the person's size, so that the small are not hidden by their joints."""
    return max(1, round(float(np.ptp(px, axis=0).max()) / 120)) if len(px) else 1


def _fixed(place: NDArray[Any]) -> tuple[int, int]:
    u, v = (round(float(number) * 2**SHIFT) for number in place)
    return u, v


def _dot(
    drawn: Picture, place: NDArray[Any], colour: tuple[int, int, int], radius_px: float, *, hollow: bool
) -> None:
    import cv2

    centre, radius = _fixed(place), round(radius_px * 2**SHIFT)
    cv2.circle(drawn, centre, radius + 2**SHIFT, OUTLINE, -1 if not hollow else 3, cv2.LINE_AA, SHIFT)
    cv2.circle(drawn, centre, radius, colour, -1 if not hollow else 1, cv2.LINE_AA, SHIFT)
