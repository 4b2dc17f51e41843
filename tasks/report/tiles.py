"""One frame's fields as coloured tiles, for contact sheets and worst cases."""

import numpy as np
from numpy.typing import NDArray

from pipeline.pictures import depth_picture, mask_picture, normal_picture, signed_picture
from tasks.inputs import JoinedFrames
from tasks.report.annotated_tiles import annotated_pictures
from tasks.report.body_tiles import body_painters
from tasks.report.data import Sheet, SheetRow, Tile
from tasks.report.motion_tiles import REFERENCE, motion_painters
from tasks.report.painting import Painter, Painters, Row, near_far_scale, signed_scale, small
from tasks.report.volume_tiles import volume_painters

ERROR_LIMIT_M = 0.010
LAYER_LIMITS_M = {"base_m": 0.3, "detail_m": 0.05}


def sheet_of(frames: JoinedFrames, count: int) -> Sheet:
    """A contact sheet of some frames, evenly spaced, every field a row."""
    positions = sorted({round(i) for i in np.linspace(0, len(frames) - 1, min(count, len(frames)))})
    rows = [_with_reference(frames, frames[position]) for position in positions]
    # A frame without a partner has no reference; the others do.
    painters = _painters({name: value for row in rows for name, value in row.items()})
    return Sheet(
        frames=tuple(int(row["frame"]) for row in rows),
        rows=tuple(
            SheetRow(
                label=label,
                tiles=tuple(painter.paint(row) for row in rows),
                scale=painter.scale,
                note=painter.note,
            )
            for label, painter in painters.items()
        ),
    )


def worst_tiles(frames: JoinedFrames, frame: int, metric: str) -> tuple[Tile, ...]:
    """The image and the pictures that show why a frame is among the worst of a metric."""
    row = frames[frames.frames.index(frame)]
    shown = {
        "fused_residual_m": ("image", "raw depth", "fused depth", "fused − raw"),
        "normal_angle_rad": ("image", _depth_label(row), "normals, fitted", "normals, rendered"),
        "truth_depth_error_m": ("image", _depth_label(row), _truth_label(row)),
    }[metric]
    painters = _painters(row)
    # A capture without colour has no image to show beside.
    drawn = ((label, painters[label].paint(row)) for label in shown if label in painters)
    return tuple(_captioned(label, tile) for label, tile in drawn if tile is not None)


def _with_reference(frames: JoinedFrames, row: Row) -> Row:
    """The frame with the one beside it that its first motion leads to."""
    partner = int(row["motion_reference_frame"][0]) if "motion_reference_frame" in row else -1
    if partner not in frames.frames:
        return row
    return {**row, REFERENCE: frames[frames.frames.index(partner)]}


def _painters(row: Row) -> Painters:
    painters: Painters = {}
    if "image" in row:
        painters["image"] = Painter(paint=lambda row: Tile(image=small(row["image"])))
    for label in annotated_pictures(row):
        painters[label] = _annotated(label)
    if "depth_raw_m" in row:
        painters["raw depth"] = _depth_of("depth_raw_m", None)
    if "depth_m" in row:
        painters |= {
            _depth_label(row): _depth_of("depth_m", "mask"),
            "base": _layer("base_m"),
            "detail": _layer("detail_m"),
            "normals, fitted": _normals("normal"),
            "mask": Painter(paint=lambda row: Tile(image=small(mask_picture(row["mask"])))),
        }
    if "fused_residual_m" in row and "depth_raw_m" in row:
        painters["fused − raw"] = _error("depth_raw_m")
    if "normal_rendered" in row:
        painters["normals, rendered"] = _normals("normal_rendered")
    if "depth_truth_m" in row:
        painters[_truth_label(row)] = _error("depth_truth_m")
    return painters | body_painters(row) | volume_painters(row) | motion_painters(row)


def _annotated(label: str) -> Painter:
    return Painter(paint=lambda row: Tile(image=small(annotated_pictures(row)[label])))


def _depth_label(row: Row) -> str:
    return "fused depth" if "depth_raw_m" in row and "normal_rendered" in row else "depth"


def _truth_label(row: Row) -> str:
    return _depth_label(row).removesuffix(" depth") + " − true"


def _depth_of(name: str, mask: str | None) -> Painter:
    def paint(row: Row) -> Tile:
        inside = row[name] > 0 if mask is None else row[mask]
        picture, (near_m, far_m) = depth_picture(row[name], inside)
        return Tile(image=small(picture), caption=f"{near_m:.2f} to {far_m:.2f} m")

    return Painter(paint=paint, scale=near_far_scale())


def _layer(name: str) -> Painter:
    limit_m = LAYER_LIMITS_M[name]
    return Painter(
        paint=lambda row: Tile(image=small(signed_picture(row[name], row["mask"], limit_m))),
        scale=signed_scale(1e3 * limit_m, "mm"),
    )


def _normals(name: str) -> Painter:
    return Painter(paint=lambda row: Tile(image=small(normal_picture(row[name], row["mask"]))))


def _error(reference: str) -> Painter:
    def paint(row: Row) -> Tile:
        return _difference(row["depth_m"], row[reference])

    return Painter(paint=paint, scale=signed_scale(1e3 * ERROR_LIMIT_M, "mm"))


def _difference(depth_m: NDArray[np.float32], reference_m: NDArray[np.float32]) -> Tile:
    both = (depth_m > 0) & (reference_m > 0)
    picture = signed_picture(np.where(both, depth_m - reference_m, np.float32(0)), both, ERROR_LIMIT_M)
    median_mm = 1e3 * float(np.median(np.abs(depth_m - reference_m)[both])) if both.any() else None
    caption = "no common pixel" if median_mm is None else f"median {median_mm:.1f} mm"
    return Tile(image=small(picture), caption=caption)


def _captioned(label: str, tile: Tile) -> Tile:
    caption = f"{label}, {tile.caption}" if tile.caption else label
    return Tile(image=tile.image, caption=caption)
