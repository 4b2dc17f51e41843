"""Colours of a dressed person as functions of a place on it at rest, so that they move with skin and cloth.

A renderer may ask for vertices or for every pixel's own place: edges of patterns are as sharp as the asking.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.identity import Identity
from pipeline.simulation.noise import draw_waves, wave_noise
from pipeline.simulation.outfit import Cloth
from pipeline.simulation.wardrobe import REGIONS, Wardrobe

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

EYE_M, IRIS_M, PUPIL_M = (0.0135, 0.0052), 0.0056, 0.0024  # half axes of the opening; radii
BROW_M, BROW_ABOVE_M = (0.022, 0.0042), 0.021
LIPS_M, MOUTH_BELOW_M = (0.024, 0.0085), 0.034
PRINT_M = (0.105, 0.125)  # half axes of a print on the chest
LINE = 0.35  # share of the period that the second colour of a stripe takes
HAIR_STREAKS = 0.35


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Appearance:
    """What a place reflects.

    Attributes:
        albedo: (N 3) linear RGB in [0, 1].
        infrared: (N) reflectance near 850 nm, the light of a depth camera, in [0, 1].
    """

    albedo: Float32
    infrared: Float32


def appearance_at(points_m: NDArray[Any], region: NDArray[np.uint8], wardrobe: Wardrobe) -> Appearance:
    """Return the colours of places on a dressed person.

    Args:
        points_m: (N 3) places in the bind pose, interpolated from `rest_m`.
        region: (N) index into `wardrobe.REGIONS`.
    """
    points = np.asarray(points_m, np.float64)
    albedo, infrared = np.zeros((len(points), 3)), np.zeros(len(points))
    outfit, identity = wardrobe.outfit, wardrobe.identity
    for number, name in enumerate(REGIONS):
        rows = np.flatnonzero(region == number)
        if not len(rows):
            continue
        here = points[rows]
        if name == "skin":
            albedo[rows], infrared[rows] = _skin(here, wardrobe), identity.skin_infrared
        elif name == "hair":
            albedo[rows], infrared[rows] = _hair(here, identity), identity.hair_infrared
        elif name in ("top", "bottom"):
            cloth = outfit.top.cloth if name == "top" else outfit.bottom.cloth
            share = _pattern(here, cloth, wardrobe)[:, None]
            albedo[rows] = ((1 - share) * cloth.colors[0] + share * cloth.colors[1]) * _weave(here, cloth)[
                :, None
            ]
            infrared[rows] = (1 - share[:, 0]) * cloth.infrared[0] + share[:, 0] * cloth.infrared[1]
        else:
            shoe = name == "shoes"
            albedo[rows] = outfit.shoe_rgb if shoe else outfit.sole_rgb
            infrared[rows] = outfit.shoe_infrared if shoe else outfit.sole_infrared
    return Appearance(
        albedo=np.clip(albedo, 0.0, 1.0).astype(np.float32),
        infrared=np.clip(infrared, 0.0, 1.0).astype(np.float32),
    )


def _pattern(points_m: Float64, cloth: Cloth, wardrobe: Wardrobe) -> Float64:
    """Return the share (N) of the cloth's second colour."""
    if cloth.pattern == "plain":
        return np.zeros(len(points_m))
    rng = np.random.default_rng(cloth.seed)
    across = np.array([np.sin(cloth.tilt_rad), np.cos(cloth.tilt_rad), 0.0])
    along = np.array([np.cos(cloth.tilt_rad), -np.sin(cloth.tilt_rad), 0.0])
    if cloth.pattern == "stripes":
        return np.asarray(_bars(points_m @ across, cloth.period_m))
    if cloth.pattern == "checks":
        return 0.5 * (_bars(points_m @ across, cloth.period_m) + _bars(points_m @ along, cloth.period_m))
    if cloth.pattern == "patches":
        return np.asarray(wave_noise(points_m, draw_waves(rng, 2.0 * cloth.period_m)) > 0.3, dtype=np.float64)
    chest = wardrobe.fine.joint_m("spine3")
    offset = points_m - chest - np.array([0.0, 0.01, 0.0])
    inside = np.hypot(offset[:, 0] / PRINT_M[0], offset[:, 1] / PRINT_M[1]) < 1.0
    blots = wave_noise(points_m * [1.0, 1.0, 0.0], draw_waves(rng, cloth.period_m)) > -0.2
    return np.asarray(inside & blots & (offset[:, 2] > 0.02), dtype=np.float64)


def _bars(place_m: Float64, period_m: float) -> Float64:
    return np.asarray(np.mod(place_m / period_m, 1.0) < LINE, dtype=np.float64)


def _weave(points_m: Float64, cloth: Cloth) -> Float64:
    """Return factors (N) near 1: wear over decimetres, threads over millimetres."""
    rng = np.random.default_rng(cloth.seed + 1)
    wear = wave_noise(points_m, draw_waves(rng, 0.15))
    return np.asarray(1.0 + 0.05 * wear + 0.05 * wave_noise(points_m, draw_waves(rng, 0.006)))


def _hair(points_m: Float64, identity: Identity) -> Float64:
    rng = np.random.default_rng(identity.seed + 1)
    # Strands hang: light changes fast across them and slowly along.
    streaks = wave_noise(points_m * [1.0, 0.15, 1.0], draw_waves(rng, 0.006))
    return np.asarray(identity.hair_rgb * np.exp(HAIR_STREAKS * streaks)[:, None])


def _skin(points_m: Float64, wardrobe: Wardrobe) -> Float64:
    identity, marks = wardrobe.identity, wardrobe.fine.landmarks_m
    rng = np.random.default_rng(identity.seed + 2)
    broad, fine = draw_waves(rng, 0.06), draw_waves(rng, 0.008)
    albedo = (
        identity.skin_rgb
        * (1 + 0.05 * wave_noise(points_m, broad) + 0.02 * wave_noise(points_m, fine))[:, None]
    )
    nose = marks["nose"]
    face = np.flatnonzero(np.linalg.norm(points_m - nose, axis=1) < 0.12)
    here = points_m[face]
    flush = np.exp(-np.einsum("ij,ij->i", here - nose, here - nose) / (2 * 0.03**2))[:, None]
    albedo[face] *= 1 + flush * np.array([0.06, -0.05, -0.04])
    front = here[:, 2] > marks["left_eye"][2] - 0.03
    # A mouth's corners lie higher than its middle's lower edge: the ellipse is bent a little.
    mouth = here - nose + np.array([0.0, MOUTH_BELOW_M, 0.0])
    albedo[face[front & _ellipse(mouth, LIPS_M, bend=6.0)]] = identity.lips_rgb
    for name, sign in (("left_eye", 1.0), ("right_eye", -1.0)):
        offset = here - marks[name]
        brow = offset - np.array([0.004 * sign, BROW_ABOVE_M, 0.0])
        albedo[face[front & _ellipse(brow, BROW_M, bend=-9.0)]] = (
            0.75 * identity.hair_rgb + 0.25 * identity.skin_rgb
        )
        _paint_eye(albedo, face, offset, front, identity.iris_rgb)
    return np.asarray(albedo)


def _paint_eye(
    albedo: Float64, face: NDArray[np.intp], offset: Float64, front: NDArray[np.bool_], iris_rgb: Float64
) -> None:
    opening = front & _ellipse(offset, EYE_M, bend=0.0)
    radius_m = np.hypot(offset[:, 0], offset[:, 1])
    albedo[face[opening]] = (0.55, 0.52, 0.50)
    albedo[face[opening & (radius_m < IRIS_M)]] = iris_rgb
    albedo[face[opening & (radius_m < PUPIL_M)]] = 0.004
    # The lashes' shadow closes the opening above.
    lid = front & _ellipse(
        offset - np.array([0.0, 0.0012, 0.0]), (EYE_M[0] + 0.001, EYE_M[1] + 0.001), bend=0.0
    )
    albedo[face[lid & ~opening]] *= 0.35


def _ellipse(offset_m: Float64, half_m: tuple[float, float], *, bend: float) -> NDArray[np.bool_]:
    """Return which offsets (N 3) lie in an upright ellipse whose axis is bent upwards at its ends, per metre."""
    up = offset_m[:, 1] - bend * offset_m[:, 0] ** 2
    return np.asarray(np.hypot(offset_m[:, 0] / half_m[0], up / half_m[1]) < 1.0)
