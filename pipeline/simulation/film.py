"""From the light that a camera receives to its picture.

Blur of the lens, darker corners, exposure and white balance, noise that grows with the square root of light.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.color_space import srgb_from_linear

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

CODES = 8192  # intensities between which code values differ by less than one
METERED = 0.24  # what a camera's meter makes of the middle intensity of a picture
GREY = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Film:
    """How one camera turns light into code values; the same for all frames of a capture.

    Attributes:
        gains: (3,) exposure times white balance.
        corner_loss: share of light lost in the image's corners.
        blur_px: standard deviation of the lens's blur, at 1920 px width.
        noise_black, noise_white: standard deviations of noise in the dark, and of light of intensity 1.
    """

    gains: Float64
    corner_loss: float
    blur_px: float
    noise_black: float
    noise_white: float


def draw_film(rng: np.random.Generator, metered: Float32) -> Film:
    """Draw a camera whose automatic exposure and white balance have looked at one picture.

    Args:
        metered: (H W 3) linear picture of the scene, of any size.
    """
    middle = float(np.median(metered @ GREY))
    cast = metered.reshape(-1, 3).mean(axis=0)
    balance = (cast.mean() / np.maximum(cast, 1e-6)) ** rng.uniform(0.3, 0.8) * rng.uniform(0.96, 1.04, 3)
    return Film(
        gains=METERED / max(middle, 1e-3) * rng.uniform(0.85, 1.2) * balance,
        corner_loss=float(rng.uniform(0.05, 0.25)),
        blur_px=float(rng.uniform(0.6, 0.9)),
        noise_black=float(rng.uniform(0.001, 0.003)),
        noise_white=float(rng.uniform(0.008, 0.018)),
    )


def develop(linear: Float32, film: Film, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture (H W 3), sRGB, of received light.

    Args:
        rng: the frame's own stream; the sensor's noise is drawn from it.
    """
    import cv2

    from pipeline.simulation.film_kernels import develop_pixels

    sigma_px = film.blur_px * linear.shape[1] / 1920.0
    blurred = cv2.GaussianBlur(linear, (0, 0), max(sigma_px, 0.35))
    grain = rng.standard_normal(linear.shape, dtype=np.float32)
    table = srgb_from_linear(np.linspace(0.0, 1.0, CODES))
    coded = np.zeros(linear.shape, dtype=np.uint8)
    measures = film.corner_loss, film.noise_black, film.noise_white
    develop_pixels(blurred, grain, film.gains.astype(np.float32), measures, table, coded)
    return coded
