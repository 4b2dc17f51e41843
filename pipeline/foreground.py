"""Which pixels are the subject, and the square around them that becomes the sample.

Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019, section 7,
crops a square around the person; its margins are those of the authors' released data generation.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.captures.capture import Frame
from pipeline.errors import InputError
from pipeline.masks import mask_box
from pipeline.person_square import square_around

Bool = NDArray[np.bool_]
ForegroundKind = Literal["all", "given", "person"]


def foreground_mask(frame: Frame, kind: ForegroundKind) -> Bool:
    """Pixels (H W) to use: measured, and inside the capture's own mask where `kind` is given.

    Every component of a given mask is kept: an arm cut off by noise still belongs to the person. A person who is
    to be found takes more than one frame: see `segmentation.person.PersonFinder`.

    Raises:
        InputError: depth-missing of a picture alone; mask-missing where the capture brings no mask;
            empty-foreground where nothing remains.
        ValueError: if kind is person.
    """
    if kind == "person":
        raise ValueError("foreground_mask: a person must be found by PersonFinder, which knows the room.")
    if frame.depth_m is None:
        raise InputError(
            "depth-missing",
            f"frame {frame.frame}: foreground {kind!r} needs depth, the frame has none. Leave it out.",
        )
    mask = frame.depth_m > 0
    if kind == "given":
        if frame.mask is None:
            raise InputError(
                "mask-missing",
                f"frame {frame.frame}: foreground 'given' needs a mask image, the capture has none. "
                "Name the masks in the manifest, or set foreground = 'person' or 'all'.",
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
        mask: (H W) of `foreground_mask` or of a found person.
        kind: all takes the largest centred square of the image; given and person take the mask's bounding box
            with its margins, made square around its centre by the larger side, which may reach outside.

    Raises:
        ValueError: if a mask whose box is wanted is empty.
    """
    height, width = mask.shape
    if kind == "all":
        side = float(min(height, width))
        return (width - side) / 2, (height - side) / 2, side
    rows, columns = mask_box(mask)
    if rows.start == rows.stop:
        raise ValueError("crop_box: mask must hold a pixel, is empty. Refuse the frame before cropping it.")
    # A pixel covers [index, index + 1) in edge coordinates.
    return square_around(columns.start, rows.start, columns.stop, rows.stop)
