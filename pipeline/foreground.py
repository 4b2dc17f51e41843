"""Which pixels are the subject, and the square around them that becomes the sample.

Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019, section 7,
crops a square around the person; its margins are those of the authors' released data generation.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.capture import Frame
from pipeline.errors import InputError

Bool = NDArray[np.bool_]
ForegroundKind = Literal["all", "given"]

MARGIN_U = 0.25  # of the person's width, on the left and again on the right
MARGIN_V = 0.10  # of the person's height, above and again below


def foreground_mask(frame: Frame, kind: ForegroundKind) -> Bool:
    """Pixels (H W) to use: measured, and inside the capture's own mask where `kind` is given.

    Every component of a given mask is kept: an arm cut off by noise still belongs to the person.

    Raises:
        InputError: mask-missing where the capture brings no mask; empty-foreground where nothing remains.
    """
    mask = frame.depth_m > 0
    if kind == "given":
        if frame.mask is None:
            raise InputError(
                "mask-missing",
                f"frame {frame.frame}: foreground 'given' needs a mask image, the capture has none. "
                "Name the masks in the manifest, or set foreground = 'all'.",
            )
        mask &= frame.mask
    if not mask.any():
        raise InputError(
            "empty-foreground",
            f"frame {frame.frame}: the foreground must hold a measured pixel, holds none. Leave it out.",
        )
    return np.asarray(mask, dtype=np.bool_)


def crop_box(mask: Bool, kind: ForegroundKind) -> tuple[float, float, float]:
    """The square (u0, v0, side) to cut out, in the pixel edge coordinates of `cameras.crop_intrinsics`.

    Args:
        mask: (H W) of `foreground_mask`.
        kind: all takes the largest centred square of the image; given the person's bounding box with its
            margins, made square around its centre by the larger side. That may reach outside the image.

    Raises:
        ValueError: if a given mask is empty.
    """
    height, width = mask.shape
    if kind == "all":
        side = float(min(height, width))
        return (width - side) / 2, (height - side) / 2, side
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if len(columns) == 0:
        raise ValueError("crop_box: mask must hold a pixel, is empty. Refuse the frame before cropping it.")
    # A pixel covers [index, index + 1) in edge coordinates.
    left, right = float(columns[0]), float(columns[-1] + 1)
    top, bottom = float(rows[0]), float(rows[-1] + 1)
    side = max((right - left) * (1 + 2 * MARGIN_U), (bottom - top) * (1 + 2 * MARGIN_V))
    return (left + right - side) / 2, (top + bottom - side) / 2, side
