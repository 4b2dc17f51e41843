"""Folds of cloth over a rest surface: some always there, some that grow as joints bend.

All patterns are functions of the rest place alone, so they stick to the cloth over a sequence; only their
heights depend on the pose, through smooth functions of each joint's rotation. Nothing pops.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.skeleton import SMPL24_NAMES, SMPL24_PARENTS
from pipeline.simulation.noise import Waves, draw_waves, wave_noise
from pipeline.simulation.outfit import Garment

Float64 = NDArray[np.float64]

SHARPNESS = 1.6  # of a ridge: 0 is a sine; larger makes crests narrower than valleys
REACHES = 2.4  # a family of folds is cut off at this many reaches, where 0.3 % of it is left
BROAD = ((0.150, 0.0040), (0.065, 0.0015))  # unevenness everywhere: wavelength, standard deviation
STEEPNESS = 0.125  # crest over wavelength of standing folds
HANGING_M, HANGING_WAVELENGTH_M = 0.0100, 0.080  # folds that hang towards a free edge
BENDS = 3  # joints that may fold one place
STRAIGHT_RAD = 0.12  # bends below about this fold nothing yet
# Joint: reach of its folds, height at a right angle, distance between folds, all in metres.
FOLDING = {
    "elbow": (0.085, 0.0220, 0.040),
    "shoulder": (0.090, 0.0180, 0.045),
    "knee": (0.105, 0.0180, 0.048),
    "hip": (0.110, 0.0160, 0.050),
    "spine1": (0.120, 0.0200, 0.060),
    "spine2": (0.120, 0.0200, 0.060),
    "spine3": (0.110, 0.0160, 0.055),
}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Wrinkles:
    """What a garment's folds are in any pose.

    Attributes:
        standing_m: (N) height of the folds that are always there.
        joint: (N K) joints that fold a place, by weight of their folds.
        toward: (N K 3) unit axis; a rotation about it presses the cloth of the place together.
        rise_m: (N K) height of the joint's folds there, per radian.
    """

    standing_m: Float64
    joint: NDArray[np.uint8]
    toward: Float64
    rise_m: Float64


@dataclass(frozen=True, slots=True, eq=False)
class _Family:
    """Near-parallel ridges across one direction, warped and broken up, around a place or everywhere."""

    across: Float64
    wavelength_m: float
    phase_rad: float
    warp: Waves
    gaps: Waves


def draw_wrinkles(
    garment: Garment, rest_m: Float64, *, loose: Float64, hanging: Float64, joints_m: Float64, axes: Float64
) -> Wrinkles:
    """Draw the folds of one garment from its seed.

    Args:
        rest_m: (N 3) the garment in the bind pose.
        loose: (N) in [0, 1], 1 at the free edge.
        hanging: (N) in [0, 1], strength of the folds that hang down to it.
        joints_m: (24 3) in the bind pose.
        axes: (24 3 3) rotation from the bind pose's frame to the frame that each joint's rotation is told in.
    """
    rng = np.random.default_rng(garment.seed)
    standing_m = _standing(rng, garment, rest_m, loose=loose, hanging=hanging, joints_m=joints_m)
    names = [name for name in SMPL24_NAMES if _kind(name) in FOLDING]
    rises, towards = [], []
    for name in names:
        rise_m, toward = _at_joint(rng, garment, rest_m, joints_m=joints_m, axes=axes, name=name)
        rises.append(rise_m)
        towards.append(toward)
    all_m = np.stack(rises, axis=1)
    # Which joints may fold a place is decided by reach, not by the ridge that happens to lie there.
    order = np.argsort(
        -np.abs(np.stack([_gate(rest_m, joints_m, name) for name in names], axis=1)), axis=1, kind="stable"
    )
    top = order[:, :BENDS]
    rows = np.arange(len(rest_m))[:, None]
    numbers = np.array([SMPL24_NAMES.index(name) for name in names], dtype=np.uint8)
    return Wrinkles(
        standing_m=standing_m,
        joint=numbers[top],
        toward=np.ascontiguousarray(np.stack(towards, axis=1)[rows, top]),
        rise_m=np.ascontiguousarray(all_m[rows, top]),
    )


def bend_vectors(rotations: Float64, rest_rotations: Float64) -> Float64:
    """Return how far (24 3) each joint is bent from its rest, smooth in the rotations everywhere.

    Twice the sine of half the angle times the axis, which is close to the angle in radians up to 120 degrees;
    it falls back to 0 at half a turn, where no axis is left.

    Args:
        rotations, rest_rotations: (24 3 3) local rotations.
    """
    turn = rotations @ np.swapaxes(rest_rotations, 1, 2)
    sine_axis = 0.5 * np.stack(
        [turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]], axis=1
    )
    half_cosine2 = np.maximum(0.25 * (1.0 + np.trace(turn, axis1=1, axis2=2)), 0.0)
    return np.asarray(sine_axis / np.sqrt(half_cosine2 + 0.1**2)[:, None])


def _kind(name: str) -> str:
    return name.removeprefix("left_").removeprefix("right_")


def _gate(rest_m: Float64, joints_m: Float64, name: str) -> Float64:
    reach_m = FOLDING[_kind(name)][0]
    offset = rest_m - joints_m[SMPL24_NAMES.index(name)]
    return np.asarray(np.exp(-np.einsum("ij,ij->i", offset, offset) / (2 * reach_m**2)))


def _at_joint(
    rng: np.random.Generator,
    garment: Garment,
    rest_m: Float64,
    *,
    joints_m: Float64,
    axes: Float64,
    name: str,
) -> tuple[Float64, Float64]:
    """Return the height per radian (N) of a joint's folds and the axis (N 3) about which it presses them."""
    joint = SMPL24_NAMES.index(name)
    reach_m, height_m, wavelength_m = FOLDING[_kind(name)]
    child = SMPL24_PARENTS.index(joint)
    limb = joints_m[child] - joints_m[joint]
    limb = limb / np.linalg.norm(limb)
    offset = rest_m - joints_m[joint]
    side = offset - (offset @ limb)[:, None] * limb
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-6)
    # A turn r moves the limb's end by r x limb; it presses what lies on that side: (r x limb).side > 0.
    toward = np.cross(limb, side) @ axes[joint].T
    family = _draw_family(rng, limb + rng.normal(scale=0.12, size=3), wavelength_m * garment.coarseness)
    near = np.flatnonzero(np.einsum("ij,ij->i", offset, offset) < (REACHES * reach_m) ** 2)
    rise_m = np.zeros(len(rest_m))
    gate = _gate(rest_m[near], joints_m, name)
    scale = height_m * garment.creasing * garment.coarseness**0.7 / (np.pi / 2)
    rise_m[near] = scale * gate * _ridges(rest_m[near], family)
    return rise_m, np.asarray(toward)


def _standing(
    rng: np.random.Generator,
    garment: Garment,
    rest_m: Float64,
    *,
    loose: Float64,
    hanging: Float64,
    joints_m: Float64,
) -> Float64:
    height_m = np.zeros(len(rest_m))
    for wavelength_m, spread_m in BROAD:
        height_m += (
            spread_m
            * (0.55 + 0.45 * loose)
            * wave_noise(rest_m, draw_waves(rng, wavelength_m * garment.coarseness))
        )
    curtain = _draw_family(rng, np.array([1.0, 0.12, 0.8]), HANGING_WAVELENGTH_M * garment.coarseness)
    height_m += HANGING_M * hanging * _ridges(rest_m, curtain)
    for centre, across, reach_m, wavelength_m in _places(rng, garment, joints_m):
        family = _draw_family(rng, across, wavelength_m * garment.coarseness)
        offset = rest_m - centre
        squared = np.einsum("ij,ij->i", offset, offset)
        near = np.flatnonzero(squared < (REACHES * reach_m) ** 2)
        gate = np.exp(-squared[near] / (2 * reach_m**2))
        height_m[near] += STEEPNESS * wavelength_m * gate * _ridges(rest_m[near], family)
    return np.asarray(garment.creasing * height_m)


def _places(
    rng: np.random.Generator, garment: Garment, joints_m: Float64
) -> list[tuple[Float64, Float64, float, float]]:
    """Return centre, direction across, reach and wavelength of families where garments of a kind have them."""
    place = dict(zip(SMPL24_NAMES, joints_m, strict=True))
    families = []
    lower = garment.kind in ("trousers", "shorts")
    chain = ("hip", "knee", "ankle") if lower else ("shoulder", "elbow", "wrist")
    for side in ("left", "right"):
        first, middle, last = (place[f"{side}_{part}"] for part in chain)
        for at in (0.30, 0.65, 0.95, 1.25, 1.6, 1.9):
            if at > garment.limb + 0.1:
                continue
            start, stop = (first, middle) if at <= 1 else (middle, last)
            centre = start + (at - (at > 1)) * (stop - start) + rng.normal(scale=0.025, size=3)
            across = (stop - start) / np.linalg.norm(stop - start) + rng.normal(scale=0.38, size=3)
            # Cloth piles up above a wrist or an ankle: narrower folds.
            families.append(
                (
                    centre,
                    across,
                    0.075,
                    float(rng.uniform(0.032, 0.045) if at > 1.7 else rng.uniform(0.045, 0.075)),
                )
            )
    if not lower:
        pelvis, neck = place["pelvis"], place["neck"]
        for front in (1.0, -1.0):
            for sign in (1.0, -1.0):
                for at in (0.10, 0.38, 0.72):
                    centre = pelvis + at * (neck - pelvis) + np.array([sign * 0.09, 0.0, front * 0.11])
                    across = np.array([sign * rng.uniform(-1.1, 0.2), rng.uniform(0.5, 1.4), 0.0])
                    families.append((centre, across, 0.095, float(rng.uniform(0.05, 0.085))))
    return families


def _draw_family(rng: np.random.Generator, across: Float64, wavelength_m: float) -> _Family:
    return _Family(
        across=across / np.linalg.norm(across),
        wavelength_m=wavelength_m,
        phase_rad=float(rng.uniform(0, 2 * np.pi)),
        warp=draw_waves(rng, 3.5 * wavelength_m),
        gaps=draw_waves(rng, 2.2 * wavelength_m),
    )


def _ridges(points_m: Float64, family: _Family) -> Float64:
    """Return warped ridges (N) of mean about 0 and crests of 1, fading in and out along their length."""
    phase = 2 * np.pi * (points_m @ family.across) / family.wavelength_m + family.phase_rad
    phase = phase + 1.5 * wave_noise(points_m, family.warp)
    mean = np.i0(SHARPNESS)
    ridge = (np.exp(SHARPNESS * np.cos(phase)) - mean) / (np.exp(SHARPNESS) - mean)
    return np.asarray(ridge / (1.0 + np.exp(-3.0 * wave_noise(points_m, family.gaps) - 0.8)))
