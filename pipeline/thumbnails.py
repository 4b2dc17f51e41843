"""A small picture of a frame that was left out: colour on the left, depth on the right."""

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.capture import Frame
from pipeline.pictures import BACKGROUND, Picture, depth_picture

HEIGHT_PX, WIDTH_PX = 96, 256  # of both halves together


def frame_thumbnail(frame: Frame) -> Picture:
    """Colour and depth of a frame, each fitted into its half; what the frame lacks is left grey.

    Returns:
        (96 256 3) uint8 RGB.
    """
    halves = [np.full((HEIGHT_PX, WIDTH_PX // 2, 3), BACKGROUND, np.uint8) for _ in range(2)]
    if frame.image is not None:
        _fit_into(halves[0], frame.image)
    if frame.depth_m is not None:
        _fit_into(halves[1], depth_picture(frame.depth_m, frame.depth_m > 0)[0])
    return np.concatenate(halves, axis=1)


def _fit_into(half: NDArray[np.uint8], picture: Picture) -> None:
    """Draw a picture into the middle of a half, its shape kept."""
    import cv2

    height, width = picture.shape[:2]
    scale = min(half.shape[0] / height, half.shape[1] / width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(np.ascontiguousarray(picture), size_wh, interpolation=cv2.INTER_AREA)
    top, left = (half.shape[0] - size_wh[1]) // 2, (half.shape[1] - size_wh[0]) // 2
    half[top : top + size_wh[1], left : left + size_wh[0]] = small
