"""What was annotated on a picture, drawn over it."""

from typing import Any

import numpy as np

from pipeline.annotation_pictures import joints_picture, points_picture
from pipeline.body_fields import ANNOTATED_SETS
from pipeline.captures.annotation import Joints, SurfacePoints
from pipeline.pictures import Picture, chart_picture

Row = dict[str, Any]


def annotated_pictures(row: Row) -> dict[str, Picture]:
    """The sample's picture under each kind of annotation that it brings, by a label; none without colour."""
    drawn: dict[str, Picture] = {}
    if "image" not in row:
        return drawn
    for name in ANNOTATED_SETS:
        if f"joints_{name}_confidence" in row:
            drawn[f"joints, {name}"] = joints_picture(row["image"], _joints(row, name))
    if "densepose_points_part" in row:
        there = row["densepose_points_part"] > 0
        points = SurfacePoints(
            px=row["densepose_points_px"][there],
            part=row["densepose_points_part"][there],
            uv=row["densepose_points_uv"][there],
        )
        drawn["surface points"] = points_picture(row["image"], points)
    if "densepose_part" in row:
        drawn["charts and U V, drawn by a network"] = chart_picture(
            row["densepose_part"], row["densepose_uv"]
        )
    if "person_mask" in row:
        inside = row["person_mask"][..., None]
        drawn["outline"] = np.where(inside, row["image"], row["image"] // 4)
    return drawn


def _joints(row: Row, name: str) -> Joints:
    stem = f"joints_{name}"
    return Joints(
        joint_set=name,
        px=row[f"{stem}_px"],
        confidence=row[f"{stem}_confidence"],
        visible=row[f"{stem}_visible"],
    )
