"""Tiles of the volume against the body's own silhouette and hand-made volumes."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from pipeline.motion.pairs import silhouette_iou
from pipeline.pictures import volume_picture
from pipeline.voxels.packing import unpack
from tasks.report.volume_tiles import (
    VOLUME,
    column_silhouette,
    from_above,
    from_left,
    projected_silhouette,
    volume_painters,
)

_spec = importlib.util.spec_from_file_location("report_bodies", Path(__file__).with_name("bodies.py"))
bodies = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bodies)


def silhouette(fields, inside=None):
    inside = unpack(fields["occupancy_128"], 128) if inside is None else inside
    world_from_vox = fields["occupancy_128_world_from_vox"]
    return projected_silhouette(
        inside, world_from_vox, bodies.K, bodies.WORLD_FROM_CAM, size_px=bodies.SIZE_PX
    )


@pytest.mark.parametrize(("kind", "scale"), [("orthographic", 1.0), ("frustum", 1.0), ("orthographic", 1.2)])
def test_volume_projected_into_the_picture_covers_the_body(kind, scale):
    fields = bodies.volume_fields(kind, scale)
    body = bodies.body_row()["body_depth_m"] > 0
    # Two pixels a voxel: half a voxel along 900 px of outline of a body of 8,000 px.
    assert silhouette_iou(silhouette(fields), body) > 0.93
    moved = np.roll(unpack(fields["occupancy_128"], 128), 4, axis=0)
    assert silhouette_iou(silhouette(fields, moved), body) < 0.85


def test_columns_of_a_frustum_are_the_pixels_own_and_parallel_ones_are_not():
    body = bodies.body_row()["body_depth_m"] > 0
    overlap = {}
    for kind in ("frustum", "orthographic"):
        inside = unpack(bodies.volume_fields(kind)["occupancy_128"], 128)
        overlap[kind] = silhouette_iou(column_silhouette(inside, bodies.SIZE_PX, scale=1.0), body)
    assert overlap["frustum"] > 0.93 > overlap["orthographic"]


def test_columns_follow_the_scale_by_which_a_volume_was_enlarged():
    plain, large = (
        unpack(bodies.volume_fields("frustum", scale)["occupancy_128"], 128) for scale in (1.0, 1.2)
    )
    own = column_silhouette(plain, bodies.SIZE_PX, scale=1.0)
    # Voxels of 2 and of 1.7 px: outlines part by up to a pixel, 10 % of a body of so little breadth.
    assert silhouette_iou(column_silhouette(large, bodies.SIZE_PX, scale=1.2), own) > 0.88
    assert silhouette_iou(column_silhouette(large, bodies.SIZE_PX, scale=1.0), own) < 0.75


def test_narrow_grid_leaves_the_sides_of_the_crop_empty():
    mask = column_silhouette(np.ones((4, 8, 2), bool), 16, scale=1.0)
    assert mask[:, 4:12].all() and not mask[:, :4].any() and not mask[:, 12:].any()


def test_sides_show_what_one_sees_from_there():
    inside = np.zeros((8, 8, 8), bool)
    inside[1, 2, 6] = inside[6, 2, 6] = inside[1, 5, 6] = True  # farther right, and lower
    left, above = from_left(inside), from_above(inside)
    # Seen from the left, what is far from the camera is at the left; x runs away from the eye.
    assert left[1, 2, 1] and left[1, 2, 6] and left.sum() == 3
    # Seen from above, what is far from the camera is at the top; y runs away from the eye.
    assert above[1, 1, 2] and above[6, 1, 2] and above[1, 1, 5]
    brightness = volume_picture(above).astype(int).sum(axis=-1)
    assert brightness.shape == (8, 8)


def test_volume_over_the_picture_is_green_where_the_volume_is():
    row = bodies.body_row() | bodies.volume_fields("orthographic")
    tile = volume_painters(row)["volume over the picture"].paint(row)
    green = (tile.image == (np.array(VOLUME) + 90) // 2).all(axis=-1)
    body = row["body_depth_m"] > 0
    assert green[small(body)].mean() > 0.6 and not green[:10].any()
    assert tile.caption.startswith("overlap 0.9")


def small(mask):
    from tasks.report.painting import small_mask

    return small_mask(mask)


def test_frame_without_a_volume_has_no_rows():
    assert volume_painters(bodies.body_row()) == {}
