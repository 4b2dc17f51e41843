"""Who a simulated person is: shape, skin and hair, drawn apart from clothes and pose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

HAIR_STYLES = ("bald", "cropped", "short", "full", "long")
HAIR_SHARES = (0.08, 0.22, 0.34, 0.20, 0.16)
SHAPE_SPREAD = 0.85  # of the population's standard deviation: adults as one meets them, fewer extremes
SHAPE_LIMIT = 2.0
DARK_SKIN = np.array([0.070, 0.034, 0.020])
LIGHT_SKIN = np.array([0.640, 0.400, 0.300])
# Linear RGB: black, dark brown, brown, auburn, fair, grey.
HAIR_COLORS = np.array(
    [
        [0.010, 0.008, 0.007],
        [0.030, 0.017, 0.010],
        [0.085, 0.045, 0.022],
        [0.160, 0.050, 0.020],
        [0.420, 0.280, 0.130],
        [0.350, 0.340, 0.330],
    ]
)
HAIR_COLOR_SHARES = (0.28, 0.28, 0.18, 0.06, 0.12, 0.08)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Identity:
    """One adult.

    Attributes:
        betas: (K,) shape of the body, in standard deviations.
        skin_rgb, lips_rgb, iris_rgb, hair_rgb: (3,) linear, in [0, 1].
        hair_style: one of `HAIR_STYLES`.
        hair_infrared: reflectance of the hair near 850 nm.
        skin_infrared: reflectance of the skin near 850 nm, where tones differ little.
        seed: of all that is random about skin and hair beyond these numbers.
    """

    betas: Float64
    skin_rgb: Float64
    lips_rgb: Float64
    iris_rgb: Float64
    hair_rgb: Float64
    hair_style: str
    hair_infrared: float
    skin_infrared: float
    seed: int


def draw_identity(rng: np.random.Generator, *, betas: int = 10) -> Identity:
    """Draw one adult with this many shape components."""
    shape = np.clip(rng.normal(scale=SHAPE_SPREAD, size=betas), -SHAPE_LIMIT, SHAPE_LIMIT)
    tone = rng.beta(1.3, 1.0)  # 0 dark, 1 light
    skin = DARK_SKIN ** (1 - tone) * LIGHT_SKIN**tone * rng.uniform(0.97, 1.03, 3)
    row = int(rng.choice(len(HAIR_COLORS), p=HAIR_COLOR_SHARES))
    hair = HAIR_COLORS[row] * rng.uniform(0.7, 1.4) * rng.uniform(0.93, 1.07, 3)
    eyes = np.array([[0.030, 0.014, 0.006], [0.10, 0.16, 0.26], [0.09, 0.12, 0.05]])
    return Identity(
        betas=shape,
        skin_rgb=np.clip(skin, 0.0, 1.0),
        lips_rgb=np.clip(skin * rng.uniform([0.80, 0.48, 0.50], [0.98, 0.66, 0.72]), 0.0, 1.0),
        iris_rgb=eyes[0 if tone < 0.5 else int(rng.integers(3))],
        hair_rgb=np.clip(hair, 0.0, 1.0),
        hair_style=str(rng.choice(HAIR_STYLES, p=HAIR_SHARES)),
        # Melanin absorbs little at 850 nm, so even black hair is not black there; its fibres trap light.
        hair_infrared=float(0.12 + 0.35 * np.sqrt(hair.mean()) + rng.uniform(0.0, 0.08)),
        skin_infrared=float(0.42 + 0.16 * tone + rng.uniform(-0.02, 0.02)),
        seed=int(rng.integers(1 << 31)),
    )
