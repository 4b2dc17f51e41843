"""A body's motion to another frame: its length, where it holds, and that frame's picture carried over by it.

The last is the proof: where motion, depth and cameras are right, the carried picture looks like the target's own.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import backproject, project
from pipeline.pictures import BACKGROUND, Picture, length_picture
from tasks.report.body_tiles import measured_depth_m
from tasks.report.data import Tile
from tasks.report.painting import Painter, Painters, Row, length_scale, small

MOTION_LIMIT_M = 2.0
VALID, NOT_VALID = (255, 255, 255), (200, 60, 40)
PAPER = (255, 255, 255)  # round a photo, whose own greys are many
NEAR_BODY_M = 0.10  # what was measured farther from the body is not what moves with it

REFERENCE = "motion_reference"  # of a row: fields of the frame that its first motion leads to


def motion_painters(row: Row) -> Painters:
    """The rows of a sheet that show the motion to the first reference, as far as the frame has its fields."""
    painters: Painters = {}
    if "motion_t_m" not in row:
        return painters
    painters["motion, |t|"] = Painter(
        paint=_length, scale=length_scale(MOTION_LIMIT_M, "m"), note="over the whole body, valid or not"
    )
    painters["motion, where valid"] = Painter(
        paint=_validity, note="white: both frames see it and it moves; red: one does not, or it rests"
    )
    if {"image", "K", "body_depth_m", "motion_rotvec_rad"} <= row.keys():
        painters["target, where valid"] = Painter(paint=_target)
        painters["reference, carried over"] = Painter(
            paint=_carried,
            note="each pixel's point, moved and looked up in the other picture: should look as the row above",
        )
    return painters


def carried_picture(row: Row) -> tuple[Picture, NDArray[np.bool_]]:
    """The reference's picture (H W 3) where the motion takes each pixel's point, and where (H W) there is one.

    The point is the measured one where that lies near the body, so that cloth is looked up where cloth is.

    Args:
        row: fields of the target, and of the reference under REFERENCE.
    """
    import cv2
    from scipy.spatial.transform import Rotation

    there = row["motion_valid"][0] & (row["body_depth_m"] > 0)
    points = backproject(_point_depth_m(row), row["K"])[there]
    turns = Rotation.from_rotvec(row["motion_rotvec_rad"][0][there].astype(np.float64))
    moved = turns.apply(points) + row["motion_t_m"][0][there]
    ahead = moved[:, 2] > 0
    there[there] = ahead
    places = np.full((*there.shape, 2), -1.0, np.float32)
    places[there] = project(moved[ahead], row[REFERENCE]["K"])
    image = row[REFERENCE]["image"]
    height, width = image.shape[:2]
    there &= (places >= 0).all(axis=-1) & (places <= [width - 1, height - 1]).all(axis=-1)
    carried = cv2.remap(image, places[..., 0], places[..., 1], cv2.INTER_LINEAR)
    return _shown(np.asarray(carried, np.uint8), there), there


def _point_depth_m(row: Row) -> NDArray[np.float32]:
    body_m, seen_m = np.asarray(row["body_depth_m"]), measured_depth_m(row)
    if seen_m is None:
        return body_m
    near = (seen_m > 0) & (np.abs(seen_m - body_m) < NEAR_BODY_M)
    return np.where(near, seen_m, body_m)


def _length(row: Row) -> Tile:
    moves = row["motion_t_m"][0].any(axis=-1)
    picture = length_picture(row["motion_t_m"][0], moves, MOTION_LIMIT_M)
    if not moves.any():
        return Tile(image=small(picture), caption="no partner")
    mean_m = float(np.linalg.norm(row["motion_t_m"][0][moves], axis=-1).mean())
    return Tile(
        image=small(picture), caption=f"to frame {int(row['motion_reference_frame'][0])}, mean {mean_m:.2f} m"
    )


def _validity(row: Row) -> Tile | None:
    if row["motion_reference_frame"][0] < 0:
        return None
    valid, moves = row["motion_valid"][0], row["motion_t_m"][0].any(axis=-1)
    picture = np.full((*valid.shape, 3), BACKGROUND, np.uint8)
    picture[moves], picture[valid] = NOT_VALID, VALID
    share = np.count_nonzero(valid) / max(np.count_nonzero(moves), 1)
    return Tile(image=small(picture), caption=f"{100 * share:.0f} % valid")


def _target(row: Row) -> Tile | None:
    if REFERENCE not in row:
        return None
    return Tile(image=small(_shown(row["image"], carried_picture(row)[1])))


def _carried(row: Row) -> Tile | None:
    if REFERENCE not in row:
        return None
    carried, there = carried_picture(row)
    if not there.any():
        return Tile(image=small(carried), caption="no common pixel")

    def off(picture: Picture) -> float:
        return float(np.abs(picture[there].astype(int) - row["image"][there]).mean())

    still = off(row[REFERENCE]["image"])
    return Tile(image=small(carried), caption=f"off by {off(carried):.0f}, unmoved {still:.0f} of 255")


def _shown(picture: Picture, where: NDArray[np.bool_]) -> Picture:
    return np.where(where[..., None], picture, np.array(PAPER, np.uint8))
