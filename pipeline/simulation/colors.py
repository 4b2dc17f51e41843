"""The colours of a simulated person as a solid texture: a function of the place, sharp at any resolution."""

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.distance import ellipsoid
from pipeline.simulation.figure import Outfit, Person
from pipeline.simulation.noise import wave_noise
from pipeline.simulation.regions import REGIONS, STATURE_M, region_distances, straighten

Float64 = NDArray[np.float64]

# Marks on the face: name, centre from the head's and radii in metres at STATURE_M, mirrored where x is not 0.
FACE = (
    ("white", (0.032, 0.006, 0.080), (0.013, 0.006, 0.02)),
    ("iris", (0.032, 0.006, 0.085), (0.006, 0.006, 0.02)),
    ("hair", (0.032, 0.027, 0.085), (0.018, 0.004, 0.02)),
    ("lips", (0.0, -0.060, 0.085), (0.023, 0.008, 0.02)),
)


def person_colors(person: Person, points: Float64) -> NDArray[np.uint8]:
    """Colour (N 3) of points (N 3) on the person's surface, sRGB.

    Args:
        points: body frame, metres; vertices of `person_mesh` or where rays hit it.
    """
    straight = straighten(person, points)
    regions = np.argmin(region_distances(person, straight), axis=1)
    palette = person.outfit.colors
    linear = np.stack([palette[name] for name in REGIONS])[regions]
    shirt = (regions == REGIONS.index("shirt")) & _accent(person.outfit, straight)
    linear[shirt] = palette["shirt_accent"]
    sole = (regions == REGIONS.index("shoes")) & (points[:, 1] < 0.022 * person.height_m / STATURE_M)
    linear[sole] = palette["sole"]
    _paint_face(person, straight, regions == REGIONS.index("skin"), linear)
    # Cloth and skin are never of one tone.
    linear *= 1.0 + 0.05 * wave_noise(straight, person.outfit.patches)[:, None]
    return srgb_from_linear(linear)


def srgb_from_linear(linear: Float64) -> NDArray[np.uint8]:
    """IEC 61966-2-1 code values of linear intensities; what lies outside [0, 1] is clipped."""
    clipped = np.clip(linear, 0.0, 1.0)
    coded = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255.0 * coded), dtype=np.uint8)


def linear_from_srgb(coded: NDArray[np.uint8]) -> Float64:
    """Linear intensities in [0, 1] of IEC 61966-2-1 code values."""
    value = coded.astype(np.float64) / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _accent(outfit: Outfit, straight: Float64) -> NDArray[np.bool_]:
    waves = np.sin(2 * np.pi * straight / outfit.period_m)
    if outfit.pattern == "stripes":
        return np.asarray(waves[:, 1] > 0.4)
    if outfit.pattern == "checks":
        return np.asarray((waves[:, 1] > 0.0) ^ (waves[:, 0] > 0.0))
    if outfit.pattern == "patches":
        return np.asarray(wave_noise(straight, outfit.patches) > 0.5)
    return np.zeros(len(straight), dtype=np.bool_)


def _paint_face(person: Person, straight: Float64, skin: NDArray[np.bool_], linear: Float64) -> None:
    s = person.height_m / STATURE_M
    palette = person.outfit.colors
    tones = {
        "white": np.full(3, 0.70),
        "iris": np.array([0.05, 0.03, 0.02]),
        "hair": palette["hair"],
        "lips": palette["skin"] * np.array([0.85, 0.45, 0.5]),
    }
    local = straight - person.joints["head"]
    local[:, 0] = np.abs(local[:, 0])
    for name, centre, radii in FACE:
        inside = ellipsoid(local, s * np.array(centre), s * np.array(radii)) < 0
        linear[skin & inside] = tones[name]
