"""One frame's fields as coloured tiles, for contact sheets and worst cases."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.pictures import (
    chart_picture,
    depth_picture,
    length_picture,
    mask_picture,
    normal_picture,
    part_picture,
    signed_picture,
    volume_picture,
)
from pipeline.voxels.grids import CUBE
from pipeline.voxels.packing import unpack
from tasks.inputs import JoinedFrames
from tasks.report.annotated_tiles import annotated_pictures
from tasks.report.data import ColourScale, Sheet, SheetRow, Tile

TILE_PX = 160
ERROR_LIMIT_M = 0.010
MOTION_LIMIT_M = 1.0
LAYER_LIMITS_M = {"base_m": 0.3, "detail_m": 0.05}

Row = dict[str, Any]
Painter = Callable[[Row], Tile]


def sheet_of(frames: JoinedFrames, count: int) -> Sheet:
    """A contact sheet of some frames, evenly spaced, every field a row."""
    positions = sorted({round(i) for i in np.linspace(0, len(frames) - 1, min(count, len(frames)))})
    rows = [frames[position] for position in positions]
    painters = _painters(rows[0])
    return Sheet(
        frames=tuple(int(row["frame"]) for row in rows),
        rows=tuple(
            SheetRow(label=label, tiles=tuple(paint(row) for row in rows), scale=scale)
            for label, (paint, scale) in painters.items()
        ),
    )


def worst_tiles(frames: JoinedFrames, frame: int, metric: str) -> tuple[Tile, ...]:
    """The image and the pictures that show why a frame is among the worst of a metric."""
    row = frames[frames.frames.index(frame)]
    shown = {
        "fused_residual_m": ("image", "raw depth", "fused depth", "fused − raw"),
        "normal_angle_rad": ("image", _depth_label(row), "normals, fitted", "normals, rendered"),
        "truth_depth_error_m": ("image", _depth_label(row), "fused − true"),
    }[metric]
    painters = _painters(row)
    return tuple(_captioned(label, painters[label][0](row)) for label in shown)


def _painters(row: Row) -> dict[str, tuple[Painter, ColourScale | None]]:
    painters: dict[str, tuple[Painter, ColourScale | None]] = {}
    if "image" in row:
        painters["image"] = (lambda row: Tile(image=_small(row["image"])), None)
    for label in annotated_pictures(row):
        painters[label] = (_annotated(label), None)
    if "depth_raw_m" in row:
        painters["raw depth"] = (lambda row: _depth(row["depth_raw_m"], row["depth_raw_m"] > 0), _near_far())
    if "depth_m" in row:
        painters |= {
            _depth_label(row): (lambda row: _depth(row["depth_m"], row["mask"]), _near_far()),
            "base": (_layer("base_m"), _scale(LAYER_LIMITS_M["base_m"])),
            "detail": (_layer("detail_m"), _scale(LAYER_LIMITS_M["detail_m"])),
            "normals, fitted": (
                lambda row: Tile(image=_small(normal_picture(row["normal"], row["mask"]))),
                None,
            ),
            "mask": (lambda row: Tile(image=_small(mask_picture(row["mask"]))), None),
        }
    painters |= _labels(row) | _of_the_body(row)
    if "fused_residual_m" in row and "depth_raw_m" in row:
        painters["fused − raw"] = (
            lambda row: _error(row["depth_m"], row["depth_raw_m"]),
            _scale(ERROR_LIMIT_M),
        )
    if "normal_rendered" in row:
        painters["normals, rendered"] = (
            lambda row: Tile(image=_small(normal_picture(row["normal_rendered"], row["mask"]))),
            None,
        )
    if "depth_truth_m" in row:
        painters["fused − true"] = (
            lambda row: _error(row["depth_m"], row["depth_truth_m"]),
            _scale(ERROR_LIMIT_M),
        )
    return painters


def _labels(row: Row) -> dict[str, tuple[Painter, ColourScale | None]]:
    """Parts and charts, known or annotated."""
    painters: dict[str, tuple[Painter, ColourScale | None]] = {}
    for label, name in (("parts, 14", "part14"), ("parts, coarse", "coarse_part")):
        if name in row:
            painters[label] = (_parts(name), None)
    if "surface_part" in row:
        painters["surface chart and U V"] = (
            lambda row: Tile(image=_small(chart_picture(row["surface_part"], row["surface_uv"]))),
            None,
        )
    return painters


def _of_the_body(row: Row) -> dict[str, tuple[Painter, ColourScale | None]]:
    """Its volume, and its motion to the first reference frame."""
    painters: dict[str, tuple[Painter, ColourScale | None]] = {}
    if "occupancy_128" in row:
        painters["volume, from the front"] = (
            lambda row: Tile(image=_small(volume_picture(unpack(row["occupancy_128"], CUBE[2])))),
            _near_far(),
        )
    if "motion_t_m" in row:
        painters["motion, |t| where valid"] = (_motion, _scale(MOTION_LIMIT_M))
    return painters


def _motion(row: Row) -> Tile:
    picture = length_picture(row["motion_t_m"][0], row["motion_valid"][0], MOTION_LIMIT_M)
    reference = int(row["motion_reference_frame"][0])
    return Tile(image=_small(picture), caption=f"to frame {reference}" if reference >= 0 else "no partner")


def _parts(name: str) -> Painter:
    return lambda row: Tile(image=_small(part_picture(row[name])))


def _annotated(label: str) -> Painter:
    return lambda row: Tile(image=_small(annotated_pictures(row)[label]))


def _depth_label(row: Row) -> str:
    return "fused depth" if "depth_raw_m" in row and "normal_rendered" in row else "depth"


def _depth(depth_m: NDArray[np.float32], mask: NDArray[np.bool_]) -> Tile:
    picture, (near_m, far_m) = depth_picture(depth_m, mask)
    return Tile(image=_small(picture), caption=f"{near_m:.2f} to {far_m:.2f} m")


def _layer(name: str) -> Painter:
    return lambda row: Tile(image=_small(signed_picture(row[name], row["mask"], LAYER_LIMITS_M[name])))


def _error(depth_m: NDArray[np.float32], reference_m: NDArray[np.float32]) -> Tile:
    both = (depth_m > 0) & (reference_m > 0)
    picture = signed_picture(np.where(both, depth_m - reference_m, np.float32(0)), both, ERROR_LIMIT_M)
    median_mm = 1e3 * float(np.median(np.abs(depth_m - reference_m)[both])) if both.any() else None
    caption = "no common pixel" if median_mm is None else f"median {median_mm:.1f} mm"
    return Tile(image=_small(picture), caption=caption)


def _scale(limit_m: float) -> ColourScale:
    values = np.linspace(-limit_m, limit_m, 64, dtype=np.float32)[None]
    colours = signed_picture(values, np.ones_like(values, dtype=bool), limit_m)[0]
    return ColourScale(low=-1e3 * limit_m, high=1e3 * limit_m, unit="mm", colours=colours)


def _near_far() -> ColourScale:
    """Each tile of depth has its own range, which stands under it; the bar says which end is which."""
    values = np.linspace(0, 1, 64, dtype=np.float32)[None]
    colours, _ = depth_picture(values, np.ones_like(values, dtype=bool))
    return ColourScale(low="near", high="far", unit="1", colours=colours[0])


def _captioned(label: str, tile: Tile) -> Tile:
    caption = f"{label}, {tile.caption}" if tile.caption else label
    return Tile(image=tile.image, caption=caption)


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    if picture.shape[0] <= TILE_PX:
        return picture
    return np.asarray(cv2.resize(picture, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA), dtype=np.uint8)
