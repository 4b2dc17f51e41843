"""Tiles of the body against its own fields."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pipeline.bodies.model import default_body
from pipeline.cameras import project
from tasks.report.body_tiles import BODY_LIMIT_M, SILHOUETTE, body_landmarks_px, body_painters
from tasks.report.painting import TILE_PX, small_mask, small_px

_spec = importlib.util.spec_from_file_location("report_bodies", Path(__file__).with_name("bodies.py"))
bodies = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bodies)


def painted(label: str, **fields):
    row = bodies.body_row() | fields
    return body_painters(row)[label].paint(row)


def test_outline_runs_along_the_bodys_rim_and_joints_lie_within():
    body = small_mask(bodies.body_row()["body_depth_m"] > 0)
    tile = painted("body over the picture")
    yellow = (tile.image == SILHOUETTE).all(axis=-1)
    inner = body[1:-1, 1:-1] & body[:-2, 1:-1] & body[2:, 1:-1] & body[1:-1, :-2] & body[1:-1, 2:]
    rim = body.copy()
    rim[1:-1, 1:-1] &= ~inner
    assert yellow.sum() > 0.4 * rim.sum() > 200 and not (yellow & ~rim).any()
    changed = (tile.image != 90).any(axis=-1)
    assert (changed & body).sum() > 2 * rim.sum()  # the bones, which hide some of it


@pytest.mark.parametrize("behind_m", [0.02, -0.02])
def test_body_behind_what_was_measured_is_red_and_before_it_blue(behind_m):
    depth_m = bodies.body_row()["body_depth_m"]
    seen_m = np.where(depth_m > 0, depth_m - np.float32(behind_m), 0).astype(np.float32)
    tile = painted("body − measured", depth_raw_m=seen_m)
    red, _, blue = tile.image[small_mask(depth_m > 0)].astype(int).T
    assert np.median(red - blue) * np.sign(behind_m) > 10
    assert tile.caption == ("median +2.0 cm" if behind_m > 0 else "median −2.0 cm")


def test_scale_beside_body_and_measured_is_in_centimetres():
    row = bodies.body_row() | {"depth_m": bodies.body_row()["body_depth_m"]}
    scale = body_painters(row)["body − measured"].scale
    assert (scale.low, scale.high, scale.unit) == (-100 * BODY_LIMIT_M, 100 * BODY_LIMIT_M, "cm")


def test_overlap_with_the_person_is_that_of_the_masks():
    depth_m = bodies.body_row()["body_depth_m"].copy()
    v, u = np.nonzero(depth_m)
    depth_m[v[::2], u[::2]] = 0
    assert painted("body over the picture", depth_m=depth_m).caption == "overlap with the person 0.50"


def test_bodys_landmarks_are_its_joints_projected():
    row = bodies.body_row()
    expected = project(row["joints_smpl24_cam_m"], row["K"])
    np.testing.assert_allclose(body_landmarks_px(row, "smpl24"), expected, atol=1e-3)  # float32 joints


def test_fitted_body_shows_where_it_misses_its_landmarks():
    row = bodies.body_row()
    found_px = body_landmarks_px(row, "coco17")
    confidence = np.ones(17, np.float32)
    confidence[0] = 0
    given_px = (found_px + [30, 0]).astype(np.float32)
    given_px[0] = 0  # as of a joint that nobody marked
    fields = {
        "joints_coco17_px": given_px,
        "joints_coco17_confidence": confidence,
        "joints_coco17_visible": confidence > 0,
        "body_fit_landmark_residual_px": np.float32(30),
    }
    tile = painted("landmarks, coco17", **fields)
    assert tile.caption == "residual 30.0 px"
    yellow = (np.abs(tile.image.astype(int) - SILHOUETTE) < 60).all(axis=-1)
    columns = np.nonzero(yellow)[1]
    joints_px = small_px(found_px[1:], bodies.SIZE_PX)
    # Rings of 3 px about the body's, lines to the given ones 30 px of 256 to the right.
    assert columns.min() >= joints_px[:, 0].min() - 5
    assert columns.max() > joints_px[:, 0].max() + 5
    assert "landmarks, coco17" not in body_painters(row)


def test_points_without_a_place_are_counted_and_another_body_is_not_drawn():
    fields = {
        "surface_points_px": np.array([[100, 100], [150, 150], [0, 0]], np.float32),
        "surface_points_part": np.array([3, 5, 0], np.uint8),
        "surface_points_uv": np.zeros((3, 2), np.float32),
        "surface_points_face": np.array([7, -1, -1], np.int32),
        "surface_points_bary": np.zeros((3, 2), np.float32),
        "surface_points_reason": np.array([0, 4, 1], np.uint8),
        "surface_points_body": default_body().arrays.name,
    }
    on_picture, on_body = (painted(f"correspondences, {where}", **fields) for where in ("picture", "body"))
    assert on_picture.caption == "1 of 2 points placed"
    assert on_picture.image.shape == on_body.image.shape == (TILE_PX, TILE_PX, 3)
    assert (on_picture.image == 90).all(axis=-1).mean() > 0.9 > (on_body.image == 90).all(axis=-1).mean()
    fields["surface_points_body"] = "another"
    assert painted("correspondences, body", **fields) is None


def test_picture_without_depth_is_held_against_its_outline():
    body = bodies.body_row()["body_depth_m"] > 0
    half = body & (np.cumsum(body).reshape(body.shape) % 2 == 0)
    assert painted("body over the picture", person_mask=half).caption == "overlap with the person 0.50"
    assert painted("body over the picture").caption == ""


def test_every_label_of_the_body_has_a_row_and_a_missing_one_none():
    row = bodies.body_row()
    labels = {"body over the picture", "parts, 14", "parts, 24", "surface chart and U V"}
    assert set(body_painters(row)) == labels
    assert body_painters({"image": row["image"]}) == {}
    assert all(body_painters(row)[label].paint(row).image.shape == (TILE_PX, TILE_PX, 3) for label in labels)


def test_mask_of_a_tile_keeps_its_share_of_the_picture():
    body = bodies.body_row()["body_depth_m"] > 0
    assert small_mask(body).mean() == pytest.approx(body.mean(), rel=0.03)
