"""Smooth random functions of a point: sums of plane waves with random directions and phases."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

WAVES = 8  # enough that no single direction shows


@dataclass(frozen=True, slots=True, eq=False)
class Waves:
    """A random function of mean 0 and variance 1.

    Attributes:
        vectors: (W 3) wave vectors in rad/m.
        phases_rad: (W).
    """

    vectors: Float64
    phases_rad: Float64


def draw_waves(rng: np.random.Generator, wavelength_m: float) -> Waves:
    """Waves of lengths between 0.7 and 1.4 times the given one."""
    directions = rng.normal(size=(WAVES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = wavelength_m * rng.uniform(0.7, 1.4, size=(WAVES, 1))
    return Waves(2 * np.pi * directions / lengths, rng.uniform(0, 2 * np.pi, WAVES))


def wave_noise(points: Float64, waves: Waves) -> Float64:
    """Value (N) of the function at points (N 3) in metres."""
    angles = points @ waves.vectors.T + waves.phases_rad
    return np.asarray(np.cos(angles).sum(axis=1) * np.sqrt(2.0 / len(waves.phases_rad)), dtype=np.float64)
