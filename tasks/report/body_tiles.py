"""The body of a frame, known, fitted or annotated: silhouette, joints, landmarks, parts, charts, depth."""

import numpy as np
from numpy.typing import NDArray

from pipeline.annotation_pictures import joints_picture
from pipeline.bodies.joints import JOINT_SETS, joints_of
from pipeline.bodies.model import default_body
from pipeline.body_fields import ANNOTATED_SETS
from pipeline.cameras import invert_rigid, project, transform
from pipeline.captures.annotation import Joints
from pipeline.motion.pairs import silhouette_iou
from pipeline.pictures import Picture, chart_picture, part_picture, signed_picture
from tasks.report.data import Tile
from tasks.report.painting import Painter, Painters, Row, outlined, signed_scale, small, small_mask, small_px
from tasks.report.surface_tiles import correspondence_tile

BODY_LIMIT_M = 0.10
SILHOUETTE = (255, 220, 0)  # yellow, which neither side's joints have
FIT_RESIDUAL = "body_fit_landmark_residual_px"


def body_painters(row: Row) -> Painters:
    """The rows of a sheet that show the body, as far as the frame has their fields."""
    painters: Painters = {}
    if {"image", "body_depth_m", "joints_tang16_px"} <= row.keys():
        painters["body over the picture"] = Painter(
            paint=_overlay, note="yellow: outline of the body; its left joints blue, its right ones orange"
        )
    if {"image", "K", "world_from_cam", "body_pose_rad", FIT_RESIDUAL} <= row.keys():
        for name in ANNOTATED_SETS:
            if f"joints_{name}_px" in row:
                painters[f"landmarks, {name}"] = _landmarks(name)
    for label, field in (("parts, 14", "part14"), ("parts, 24", "part24"), ("parts, coarse", "coarse_part")):
        if field in row:
            painters[label] = _parts(field)
    if "surface_part" in row:
        painters["surface chart and U V"] = Painter(
            paint=lambda row: Tile(image=small(chart_picture(row["surface_part"], row["surface_uv"]))),
            note="U red, V green, chart 1 to 24 blue",
        )
    if {"image", "surface_points_px"} <= row.keys():
        painters["correspondences, picture"] = Painter(paint=_points_on_picture)
        painters["correspondences, body"] = Painter(
            paint=_points_on_body, note="front and back; a point has one colour here and on the picture"
        )
    if "body_depth_m" in row and measured_depth_m(row) is not None:
        painters["body − measured"] = Painter(
            paint=_body_against_measured,
            scale=signed_scale(1e2 * BODY_LIMIT_M, "cm"),
            note="red: the body lies behind what was measured, as skin does behind clothes",
        )
    return painters


def measured_depth_m(row: Row) -> NDArray[np.float32] | None:
    """What the sensor saw; the surface's own depth where there was no sensor, None for a picture without depth."""
    return next((row[name] for name in ("depth_raw_m", "depth_m") if name in row), None)


def _overlay(row: Row) -> Tile:
    body = row["body_depth_m"] > 0
    count = len(row["joints_tang16_px"])
    joints = Joints(
        joint_set="tang16",
        px=small_px(row["joints_tang16_px"], len(body)),
        confidence=np.ones(count, np.float32),
        visible=np.ones(count, np.bool_),
    )
    picture = joints_picture(outlined(small(row["image"]), small_mask(body), SILHOUETTE), joints)
    seen_m = measured_depth_m(row)
    person = row.get("person_mask") if seen_m is None else seen_m > 0
    caption = "" if person is None else f"overlap with the person {silhouette_iou(body, person):.2f}"
    return Tile(image=picture, caption=caption)


def _landmarks(name: str) -> Painter:
    def paint(row: Row) -> Tile:
        stem, side_px = f"joints_{name}", len(row["image"])
        given = Joints(
            joint_set=name,
            px=small_px(row[f"{stem}_px"], side_px),
            confidence=row[f"{stem}_confidence"],
            visible=row[f"{stem}_visible"],
        )
        there = given.confidence > 0
        found_px = small_px(body_landmarks_px(row, name), side_px)
        drawn = _misses(joints_picture(small(row["image"]), given), given.px[there], found_px[there])
        return Tile(image=drawn, caption=f"residual {float(row[FIT_RESIDUAL]):.1f} px")

    note = "bones and dots: what the body was fitted to; yellow rings: where the fitted body has them"
    return Painter(paint=paint, note=note)


def body_landmarks_px(row: Row, name: str) -> NDArray[np.float64]:
    """Where a frame's body has the landmarks (J 2) of a joint set."""
    body, joint_set = default_body(), next(known for known in JOINT_SETS if known.name == name)
    posed = body.posed(row["body_pose_rad"][None], row["body_betas"], row["body_transl_m"])
    joints_m = np.asarray(joints_of(body, posed, joint_set))[0]
    return project(transform(invert_rigid(row["world_from_cam"]), joints_m), row["K"])


def _misses(picture: Picture, given_px: NDArray[np.float32], found_px: NDArray[np.float32]) -> Picture:
    """A ring at each found place and a line to the given one."""
    import cv2

    for given, found in zip(given_px, found_px, strict=True):
        start, end = ((round(16 * float(place[0])), round(16 * float(place[1]))) for place in (given, found))
        cv2.line(picture, start, end, SILHOUETTE, 1, cv2.LINE_AA, 4)  # sixteenths of a pixel
        cv2.circle(picture, end, 16 * 3, SILHOUETTE, 1, cv2.LINE_AA, 4)
    return picture


def _parts(field: str) -> Painter:
    return Painter(paint=lambda row: Tile(image=small(part_picture(row[field]))))


def _points_on_picture(row: Row) -> Tile:
    told = row["surface_points_part"] > 0
    placed = told & (row["surface_points_reason"] == 0)
    caption = f"{np.count_nonzero(placed)} of {np.count_nonzero(told)} points placed"
    return Tile(image=small(correspondence_tile(row)[:, : len(row["image"])]), caption=caption)


def _points_on_body(row: Row) -> Tile | None:
    beside = correspondence_tile(row)[:, len(row["image"]) :]
    return Tile(image=small(beside)) if beside.size else None


def _body_against_measured(row: Row) -> Tile | None:
    measured_m = measured_depth_m(row)
    if measured_m is None:
        return None
    both = (row["body_depth_m"] > 0) & (measured_m > 0)
    apart_m = np.where(both, row["body_depth_m"] - measured_m, np.float32(0))
    picture = signed_picture(apart_m, both, BODY_LIMIT_M)
    caption = f"median {1e2 * float(np.median(apart_m[both])):+.1f} cm" if both.any() else "no common pixel"
    return Tile(image=small(picture), caption=caption.replace("-", "−"))
