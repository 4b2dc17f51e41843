"""Sheets for the eye: image | truth | ours | variant as shaded meshes, errors on the mesh, and the worst ones.

The layouts are those of figures 5 and 7 of Tang et al., "A Neural Network for Detailed Human Depth Estimation
from a Single Image", ICCV 2019.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.pictures import png_bytes
from training.meshes import depth_mesh
from training.metrics import depth_errors
from training.models import Sample
from training.plots import colour_bar, colour_scale, line_plot, text_strip
from training.shading import View, coloured_mesh, shaded_mesh, view_of

Picture = NDArray[np.uint8]

YAW_DEG, PITCH_DEG = 22.0, 6.0  # from the side just so far that relief shows and few pixels tear apart
MAX_STEP_M = 0.05  # between neighbouring pixels of one surface, as in the paper's own meshes
ERROR_LIMIT_CM = 10.0
ERROR_RELIEF = 0.25  # so little shading that a colour is still read off the bar
HEAD_PX, CAPTION_PX, BAR_PX, GAP_PX = 30, 24, 60, 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One sample's line of a sheet: a caption above its tiles, all of one size."""

    caption: str
    tiles: Sequence[Picture]


def depth_row(
    sample: Sample, predicted_m: Mapping[str, NDArray[Any]], mask: NDArray[np.bool_], *, tile_px: int
) -> list[Picture]:
    """Tiles of one sample: image, truth, each prediction as a mesh, then each one's error on its mesh.

    Predictions are moved onto the truth's median and stand at its distance, since they have none of their
    own; all meshes are seen from one point.

    Args:
        sample: holds `image`, `depth_m`, `K`.
        predicted_m: name to depth (H W), free in its offset; not finite where there is none.
        mask: (H W) pixels to show and to score.
    """
    truth_m, K = sample["depth_m"], np.asarray(sample["K"])
    vertices, faces, _ = depth_mesh(truth_m, mask, K, max_step_m=MAX_STEP_M)
    view = view_of(vertices, yaw_deg=YAW_DEG, pitch_deg=PITCH_DEG, size_wh=(tile_px, tile_px))
    tiles = [fit_square(sample["image"], tile_px), shaded_mesh(vertices, faces, view)]
    errors = []
    for depth_m in predicted_m.values():
        error_m = np.zeros(mask.shape)
        error_m[mask] = depth_errors(depth_m, truth_m, mask, alignment="median")
        shape, heat = _prediction_tiles(truth_m + error_m, error_m, mask & np.isfinite(depth_m), K, view)
        tiles.append(shape)
        errors.append(heat)
    return [*tiles, *errors]


def _prediction_tiles(
    depth_m: NDArray[Any], error_m: NDArray[Any], mask: NDArray[np.bool_], K: NDArray[Any], view: View
) -> tuple[Picture, Picture]:
    vertices, faces, pixel = depth_mesh(depth_m, mask, K, max_step_m=MAX_STEP_M)
    colours = colour_scale(100 * np.abs(error_m).ravel()[pixel], ERROR_LIMIT_CM)
    heat = coloured_mesh(vertices, faces, view, colours=colours, relief=ERROR_RELIEF)
    return shaded_mesh(vertices, faces, view), heat


def fit_square(image: Picture, tile_px: int) -> Picture:
    """An RGB image (H W 3) fitted into a white square, its proportions kept."""
    import cv2

    height, width = image.shape[:2]
    scale = tile_px / max(height, width)
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(image), size_wh, interpolation=way)
    tile = np.full((tile_px, tile_px, 3), 255, np.uint8)
    top, left = (tile_px - size_wh[1]) // 2, (tile_px - size_wh[0]) // 2
    tile[top : top + size_wh[1], left : left + size_wh[0]] = small
    return tile


def error_sheet(rows: Sequence[Row], titles: Sequence[str], *, blocks: int) -> Picture:
    """Rows under a line of titles, over the colour bar of the errors.

    Args:
        titles: one per tile of a row.
        blocks: how many rows stand side by side.

    Raises:
        ValueError: without a row, or where a row and the titles differ in number.
    """
    if not rows or any(len(row.tiles) != len(titles) for row in rows):
        counts = [len(row.tiles) for row in rows]
        raise ValueError(f"error_sheet: each row must have {len(titles)} tiles, the rows have {counts}.")
    tile_px = rows[0].tiles[0].shape[0]
    blocks = min(blocks, len(rows))
    head = np.hstack([text_strip(title, (tile_px, HEAD_PX), height_px=17, centred=True) for title in titles])
    width = head.shape[1]
    lines = [np.vstack([_caption(row.caption, width), np.hstack(row.tiles)]) for row in rows]
    lines += [np.full_like(lines[0], 255)] * (-len(lines) % blocks)
    columns = [np.vstack([head, *lines[block::blocks]]) for block in range(blocks)]
    gap = np.full((columns[0].shape[0], GAP_PX, 3), 255, np.uint8)
    body = columns[0]
    for column in columns[1:]:
        body = np.hstack([body, gap, column])
    bar = np.full((BAR_PX, body.shape[1], 3), 255, np.uint8)
    bar_width = min(body.shape[1], 640)
    left = (body.shape[1] - bar_width) // 2
    label = "absolute depth error (cm), medians aligned"
    bar[4:, left : left + bar_width] = colour_bar(ERROR_LIMIT_CM, label, (bar_width, BAR_PX - 4))
    return np.vstack([body, bar])


def _caption(text: str, width: int) -> Picture:
    strip = text_strip(text, (width, CAPTION_PX), height_px=15, centred=False)
    strip[0] = 205  # a thin line parts the rows
    return strip


def cdf_plot(curves: Mapping[str, NDArray[Any]], errors_m: NDArray[Any], alignment: str) -> Picture:
    """Share of pixels (%) against the error (cm) that they stay below, one curve a predictor.

    Predictors with one and the same curve share it, so that none hides another.

    Args:
        curves: name to shares (N) in [0, 1].
        errors_m: (N) the grid that they were counted on.
    """
    drawn: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    for name, shares in curves.items():
        twin = next((one for one in drawn if np.allclose(drawn[one][1], 100 * shares, atol=1e-6)), None)
        if twin is not None:
            drawn = {f"{one}; {name}" if one == twin else one: curve for one, curve in drawn.items()}
        else:
            drawn[name] = (100 * errors_m, 100 * shares)
    labels = (f"depth error (cm), alignment: {alignment}", "pixels with a smaller error (%)")
    return line_plot(drawn, labels=labels, limits=(20.0, 100.0), marks=(1.25, 2.5, 5))


def save_png(path: Path, picture: Picture) -> None:
    """Write an RGB (H W 3) or grey picture; the folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(np.ascontiguousarray(picture)))
