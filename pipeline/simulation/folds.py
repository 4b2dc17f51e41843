"""Folds of cloth: warped, broken-up ridges that gather where garments bend and hang."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.noise import Waves, draw_waves, wave_noise

Float64 = NDArray[np.float64]

SHARPNESS = 1.2  # of a ridge: 0 is a sine, larger makes crests narrower than valleys
STEEPNESS = 0.07  # amplitude over wavelength of real folds in soft cloth
REACHES = 2.2  # a fold is cut off at this many reaches from its centre, where 1 % is left of it


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """A family of near-parallel ridges around one place.

    Attributes:
        centre: (3,) metres.
        reach_m: how far the family spreads; the Gaussian's sigma times the square root of 2.
        across: (3,) unit vector across the ridges.
        wavelength_m: between ridges.
        amplitude_m: half the height from valley to crest, where the family is strongest.
        warp, gaps: what bends the ridges, and what breaks them up.
    """

    centre: Float64
    reach_m: float
    across: Float64
    wavelength_m: float
    amplitude_m: float
    phase_rad: float
    warp: Waves
    gaps: Waves


def fold_height(points: Float64, folds: tuple[Fold, ...]) -> Float64:
    """Height (N, metres) of all folds at points (N 3), positive outwards."""
    height = np.zeros(len(points))
    for fold in folds:
        offset = points - fold.centre
        near = np.flatnonzero(np.einsum("ij,ij->i", offset, offset) < (REACHES * fold.reach_m) ** 2)
        height[near] += _family(points[near], offset[near], fold)
    return height


def _family(points: Float64, offset: Float64, fold: Fold) -> Float64:
    phase = 2 * np.pi * (offset @ fold.across) / fold.wavelength_m + fold.phase_rad
    phase = phase + 1.6 * wave_noise(points, fold.warp)
    mean = np.i0(SHARPNESS)
    ridge = (np.exp(SHARPNESS * np.cos(phase)) - mean) / (np.exp(SHARPNESS) - mean)
    strength = 1.0 / (1.0 + np.exp(-4.0 * wave_noise(points, fold.gaps)))
    squared = np.einsum("ij,ij->i", offset, offset) / fold.reach_m**2
    return np.asarray(fold.amplitude_m * strength * ridge * np.exp(-squared), dtype=np.float64)


def draw_folds(rng: np.random.Generator, joints: dict[str, Float64]) -> tuple[Fold, ...]:
    """Folds where a shirt and trousers have them: rings at elbow and knee, drapes on the trunk and legs."""
    folds = []
    for side in ("left", "right"):
        shoulder, elbow, wrist = (joints[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
        hip, knee, ankle = (joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        for at, reach_m in ((0.25, 0.12), (0.7, 0.13)):
            folds.append(_draw_fold(rng, shoulder + at * (elbow - shoulder), elbow - shoulder, reach_m))
        folds.append(_draw_fold(rng, elbow, wrist - shoulder, 0.11))
        folds.append(_draw_fold(rng, elbow + 0.6 * (wrist - elbow), wrist - elbow, 0.13))
        for at, reach_m in ((0.1, 0.15), (0.55, 0.17)):
            folds.append(_draw_fold(rng, hip + at * (knee - hip), knee - hip, reach_m))
        folds.append(_draw_fold(rng, knee, ankle - hip, 0.15))
        for at, reach_m in ((0.5, 0.15), (0.9, 0.12)):
            folds.append(_draw_fold(rng, knee + at * (ankle - knee), ankle - knee, reach_m))
    return (*folds, *_draw_trunk(rng, joints))


def _draw_trunk(rng: np.random.Generator, joints: dict[str, Float64]) -> list[Fold]:
    pelvis, neck = joints["pelvis"], joints["neck"]
    folds = []
    for front in (1.0, -1.0):
        for sign in (1.0, -1.0):
            for at in (0.12, 0.42, 0.75):
                centre = pelvis + at * (neck - pelvis) + np.array([sign * 0.09, 0.0, front * 0.10])
                # Ridges run from the shoulder down to the other hip, flatter towards the waist.
                across = np.array([sign * rng.uniform(-1.0, 0.2), rng.uniform(0.6, 1.4), 0.0])
                folds.append(_draw_fold(rng, centre, across, 0.16))
    return folds


def _draw_fold(rng: np.random.Generator, centre: Float64, across: Float64, reach_m: float) -> Fold:
    wavelength_m = float(rng.uniform(0.04, 0.085))
    tilted = across / np.linalg.norm(across) + rng.normal(scale=0.4, size=3)
    return Fold(
        centre=centre,
        reach_m=reach_m,
        across=tilted / np.linalg.norm(tilted),
        wavelength_m=wavelength_m,
        amplitude_m=float(STEEPNESS * wavelength_m * rng.uniform(0.7, 1.2)),
        phase_rad=float(rng.uniform(0, 2 * np.pi)),
        warp=draw_waves(rng, 0.16),
        gaps=draw_waves(rng, 0.10),
    )
