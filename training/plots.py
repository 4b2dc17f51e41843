"""Line plots, colour bars and text as pictures, with numpy and OpenCV alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Float64 = NDArray[np.float64]
Colour = tuple[int, int, int]

INK: Colour = (38, 38, 38)
SOFT: Colour = (120, 120, 120)
GRID: Colour = (228, 228, 228)
# Okabe and Ito's colours, told apart by colour-blind readers too.
LINES: tuple[Colour, ...] = (
    (213, 94, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (90, 90, 90),
)
# Light in the middle, so that shading never looks like a value, and told apart in print and by all eyes.
SCALE: tuple[Colour, ...] = (
    (49, 84, 165),
    (98, 158, 204),
    (178, 218, 232),
    (255, 250, 196),
    (253, 187, 108),
    (236, 100, 66),
    (165, 0, 38),
)
PLOT_WIDTH, PLOT_HEIGHT = 760, 480
LEFT, TOP, RIGHT, BOTTOM = 84, 24, 736, 414  # of the plot's own square
SAMPLES = 3  # per pixel along each axis: OpenCV's strokes look clean only when shrunk


def text_width_px(text: str, height_px: int) -> int:
    """Width of a line of text whose capitals and descenders fill about height_px."""
    import cv2

    scale = height_px * SAMPLES / 32
    return int(cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_SIMPLEX, scale, SAMPLES)[0][0] / SAMPLES) + 2


def draw_text(picture: Picture, text: str, place: tuple[int, int], *, height_px: int, colour: Colour) -> None:
    """Write one line into a picture, its left top corner at place (u, v); what does not fit is cut off."""
    import cv2

    width = text_width_px(text, height_px)
    large = np.full((height_px * SAMPLES, width * SAMPLES), 0, np.uint8)
    scale, thick = height_px * SAMPLES / 32, max(1, round(height_px * SAMPLES / 20))
    foot = (SAMPLES, round(height_px * SAMPLES * 0.76))
    cv2.putText(large, _ascii(text), foot, cv2.FONT_HERSHEY_SIMPLEX, scale, (255,), thick, cv2.LINE_AA)
    cover = cv2.resize(large, (width, height_px), interpolation=cv2.INTER_AREA)[..., None] / 255
    u, v = place
    left, top = max(u, 0), max(v, 0)
    part = picture[top : v + height_px, left : u + width]
    cover = cover[top - v : top - v + part.shape[0], left - u : left - u + part.shape[1]]
    part[:] = np.rint(part * (1 - cover) + np.array(colour) * cover).astype(np.uint8)


def text_strip(text: str, size_wh: tuple[int, int], *, height_px: int, centred: bool) -> Picture:
    """A white strip with one line of text, made smaller where it would not fit."""
    width, height = size_wh
    strip = np.full((height, width, 3), 255, np.uint8)
    while text_width_px(text, height_px) > width - 4 and height_px > 8:
        height_px -= 1
    left = max((width - text_width_px(text, height_px)) // 2, 2) if centred else 6
    draw_text(strip, text, (left, (height - height_px) // 2), height_px=height_px, colour=INK)
    return strip


def colour_scale(values: NDArray[np.float64], limit: float) -> Picture:
    """Colours (... 3) of values from 0, blue, over pale yellow to the limit and beyond, dark red."""
    share = np.clip(np.asarray(values, np.float64) / limit, 0, 1)
    stops = np.linspace(0, 1, len(SCALE))
    channels = [np.interp(share, stops, np.array(SCALE, np.float64)[:, channel]) for channel in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=-1)), np.uint8)


def colour_bar(limit: float, label: str, size_wh: tuple[int, int]) -> Picture:
    """A horizontal bar of `colour_scale` with ticks from 0 to the limit and beyond, and its label with unit."""
    width, height = size_wh
    bar = np.full((height, width, 3), 255, np.uint8)
    left, right = 30, width - 30
    shades = colour_scale(np.linspace(0, limit, right - left), limit)
    bar[4:18, left:right] = shades[None]
    for tick in range(6):
        u = left + round((right - left - 1) * tick / 5)
        bar[18:22, u] = INK
        text = f"{limit * tick / 5:g}" + ("+" if tick == 5 else "")
        draw_text(bar, text, (u - text_width_px(text, 12) // 2, 23), height_px=12, colour=INK)
    place = ((width - text_width_px(label, 13)) // 2, 38)
    draw_text(bar, label, place, height_px=13, colour=INK)
    return bar


def line_plot(
    curves: Mapping[str, tuple[Float64, Float64]],
    *,
    labels: tuple[str, str],
    limits: tuple[float, float],
    marks: Sequence[float] = (),
) -> Picture:
    """Curves over a grid with ticks, axis labels and a legend.

    Args:
        curves: name to x and y (N) each, both growing from 0; NaN leaves a gap.
        labels: of the two axes, with their units.
        limits: largest x and largest y; both axes start at 0.
        marks: x of vertical dashes, such as thresholds that a table states.

    Returns:
        (H W 3) RGB.
    """
    plot = np.full((PLOT_HEIGHT, PLOT_WIDTH, 3), 255, np.uint8)
    _draw_grid(plot, limits)
    for mark in marks:
        _draw_mark(plot, round(_place(mark, 0, limits)[0]), f"{mark:g}")
    for index, (x, y) in enumerate(curves.values()):
        inside = x <= limits[0]
        points = np.column_stack(_place(x[inside], y[inside], limits))
        _draw_curve(plot, points, LINES[index % len(LINES)])
    _draw_labels(plot, labels)
    _draw_legend(plot, list(curves), (RIGHT - 14, BOTTOM - 14))
    return plot


def _place(x: Any, y: Any, limits: tuple[float, float]) -> tuple[Any, Any]:
    return LEFT + (RIGHT - LEFT) * x / limits[0], BOTTOM - (BOTTOM - TOP) * y / limits[1]


def _draw_grid(plot: Picture, limits: tuple[float, float]) -> None:
    for tick in range(11):
        x, y = limits[0] * tick / 10, limits[1] * tick / 10
        u, v = (round(at) for at in _place(x, y, limits))
        plot[TOP : BOTTOM + 1, u] = plot[v, LEFT : RIGHT + 1] = GRID
        across, up = f"{x:g}", f"{y:g}"
        draw_text(plot, across, (u - text_width_px(across, 15) // 2, BOTTOM + 8), height_px=15, colour=INK)
        draw_text(plot, up, (LEFT - 10 - text_width_px(up, 15), v - 8), height_px=15, colour=INK)
    plot[TOP : BOTTOM + 1, LEFT] = plot[BOTTOM, LEFT : RIGHT + 1] = INK


def _draw_mark(plot: Picture, u: int, text: str) -> None:
    for v in range(TOP, BOTTOM, 8):
        plot[v : v + 4, u] = SOFT
    draw_text(plot, text, (u - text_width_px(text, 12) // 2, TOP - 15), height_px=12, colour=SOFT)


def _draw_curve(plot: Picture, points: Float64, colour: Colour) -> None:
    import cv2

    line = points[np.isfinite(points).all(axis=1)]
    fixed = np.rint(16 * line).astype(np.int32)  # OpenCV's sub-pixel places: 4 bits behind the point
    cv2.polylines(plot, [fixed[:, None]], False, colour, 2, cv2.LINE_AA, shift=4)


def _draw_labels(plot: Picture, labels: tuple[str, str]) -> None:
    middle_u, middle_v = (LEFT + RIGHT) // 2, (TOP + BOTTOM) // 2
    below = (middle_u - text_width_px(labels[0], 17) // 2, plot.shape[0] - 30)
    draw_text(plot, labels[0], below, height_px=17, colour=INK)
    turned = np.ascontiguousarray(np.rot90(plot, -1))
    beside = (turned.shape[1] - middle_v - text_width_px(labels[1], 17) // 2, 8)
    draw_text(turned, labels[1], beside, height_px=17, colour=INK)
    plot[:] = np.rot90(turned, 1)


def _draw_legend(plot: Picture, names: Sequence[str], corner: tuple[int, int]) -> None:
    """Names beside their colours, in a box whose right lower corner this is."""
    width = 52 + max((text_width_px(name, 15) for name in names), default=0)
    left, top = corner[0] - width, corner[1] - 22 * len(names) - 10
    plot[top : corner[1], left : corner[0]] = 255
    plot[[top, corner[1] - 1], left : corner[0]] = plot[top : corner[1], [left, corner[0] - 1]] = GRID
    for index, name in enumerate(names):
        v = top + 6 + 22 * index
        plot[v + 9 : v + 12, left + 10 : left + 36] = LINES[index % len(LINES)]
        draw_text(plot, name, (left + 44, v + 2), height_px=15, colour=INK)


def _ascii(text: str) -> str:
    """OpenCV's strokes know nothing beyond ASCII; what they lack becomes a question mark."""
    return text.encode("ascii", "replace").decode()
