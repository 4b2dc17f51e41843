"""A body's volume from three sides, and laid over the picture that it has to line up with."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.cameras import invert_rigid, transform
from pipeline.motion.pairs import silhouette_iou
from pipeline.pictures import volume_picture
from pipeline.voxels.grids import CUBE
from pipeline.voxels.packing import unpack
from pipeline.voxels.surface import surface_from_voxels
from pipeline.zbuffer import visible_faces
from tasks.report.data import Tile
from tasks.report.painting import Painter, Painters, Row, near_far_scale, outlined, small, small_mask, tinted

Bool = NDArray[np.bool_]

VOLUME = (0, 200, 120)
COLUMNS = (255, 90, 220)


def volume_painters(row: Row) -> Painters:
    """The rows of a sheet that show the volume, as far as the frame has its fields."""
    painters: Painters = {}
    if "occupancy_128" not in row:
        return painters
    painters["volume, from the front"] = _side(lambda inside: inside, "as the camera looks")
    painters["volume, from the left"] = _side(from_left, "the camera is on the right")
    painters["volume, from above"] = _side(from_above, "the camera is at the bottom")
    if {"image", "K", "world_from_cam", "occupancy_128_world_from_vox", "occupancy_scale"} <= row.keys():
        painters["volume over the picture"] = Painter(
            paint=_overlay,
            note="green: the volume as the camera sees it; pink: outline of its columns, pixel for pixel",
        )
    return painters


def from_left(inside: Bool) -> Bool:
    """The volume (X Y Z) turned so that its front is what one sees from the picture's left."""
    return inside.transpose(2, 1, 0)[::-1]


def from_above(inside: Bool) -> Bool:
    """The volume (X Y Z) turned so that its front is what one sees from above."""
    return inside.transpose(0, 2, 1)[:, ::-1]


def projected_silhouette(
    inside: Bool,
    world_from_vox: NDArray[np.float64],
    K: NDArray[np.float64],
    world_from_cam: NDArray[np.float64],
    *,
    size_px: int,
) -> Bool:
    """Pixels (size_px size_px) of a camera that see a volume (X Y Z)."""
    vertices_m, faces = surface_from_voxels(inside, world_from_vox)
    if not len(faces):
        return np.zeros((size_px, size_px), np.bool_)
    points_cam = transform(invert_rigid(world_from_cam), vertices_m)
    return np.asarray(visible_faces(points_cam, faces, K, height=size_px, width=size_px)[0] >= 0)


def column_silhouette(inside: Bool, size_px: int, *, scale: float) -> Bool:
    """Pixels of the crop whose own column of the volume (X Y Z) holds a voxel.

    Args:
        scale: by which the volume was enlarged about the crop's middle.
    """
    pixel = np.arange(size_px)
    step = size_px / (inside.shape[1] * scale)  # of pixels a voxel, as in `pipeline.voxels.grids`
    i, j = (
        np.floor((pixel + 0.5 - size_px / 2) / step + count / 2).astype(np.int64)
        for count in inside.shape[:2]
    )
    across, down = (
        np.clip(index, 0, count - 1) for index, count in zip((i, j), inside.shape[:2], strict=True)
    )
    held = (across == i) & (down == j)[:, None]  # the others lie beside the grid
    return np.asarray(inside.any(axis=2).T[down][:, across] & held)


def _side(turn: Callable[[Bool], Bool], note: str) -> Painter:
    def paint(row: Row) -> Tile:
        return Tile(image=small(volume_picture(turn(_volume(row)))))

    return Painter(paint=paint, scale=near_far_scale(), note=note)


def _overlay(row: Row) -> Tile:
    inside, size_px = _volume(row), len(row["image"])
    world_from_vox, K = row["occupancy_128_world_from_vox"], row["K"]
    seen = projected_silhouette(inside, world_from_vox, K, row["world_from_cam"], size_px=size_px)
    columns = column_silhouette(inside, size_px, scale=float(row["occupancy_scale"]))
    drawn = outlined(tinted(small(row["image"]), small_mask(seen), VOLUME), small_mask(columns), COLUMNS)
    if "body_depth_m" not in row:
        return Tile(image=drawn)
    body = row["body_depth_m"] > 0
    through, along = (silhouette_iou(mask, body) for mask in (seen, columns))
    return Tile(image=drawn, caption=f"overlap {through:.2f}, columns {along:.2f}")


def _volume(row: Row) -> Bool:
    return unpack(row["occupancy_128"], CUBE[2])
