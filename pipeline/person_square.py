"""The square around a person, with the margins of Tang et al., ICCV 2019, section 7.

The margins are those of the authors' released data generation: they leave a standing person 83 % of the side.
"""

MARGIN_U = 0.25  # of the person's width, on the left and again on the right
MARGIN_V = 0.10  # of the person's height, above and again below

Square = tuple[float, float, float]


def square_around(left: float, top: float, right: float, bottom: float) -> Square:
    """The square (u0, v0, side) around a box, with the margins, made square by its larger side.

    All are in the pixel edge coordinates of `cameras.crop_intrinsics`; the square may reach outside the image.
    """
    side = max((right - left) * (1 + 2 * MARGIN_U), (bottom - top) * (1 + 2 * MARGIN_V))
    return (left + right - side) / 2, (top + bottom - side) / 2, side
