"""Poses that a person could hold: random ones, and those that a manifest may name.

Arms, legs and spine are independent Dirichlet mixtures of anchors, mirrored at random, with Gaussian noise, within
the joint limits. Feet that bear the body are planted on one floor and the pelvis moves over them; who kneels or sits
on the floor settles like a rigid body. Poses that break a limit, run through themselves or would fall are drawn anew.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.anchors import ARMS, LEGS, SPINES, Legs
from pipeline.bodies.joint_limits import HIGHEST_DEG, LOWEST_DEG, mirrored_degrees
from pipeline.bodies.named_poses import POSES
from pipeline.bodies.proportions import Proportions
from pipeline.bodies.self_collision import fit_capsules
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.bodies.standing import DrawnAngles, StandingPoses, stand

Float64 = NDArray[np.float64]

MIXED = 3  # anchors per mixture
CONCENTRATION = 0.7  # of the Dirichlet weights: below 1, one anchor mostly leads
NOISE = 0.06  # standard deviation as a share of a joint's range; the ranges are those of the limits
NAMED_NOISE = 0.012  # of a named pose: about a degree at an elbow
ROOT_NOISE_DEG = np.array([2.0, 3.0, 1.5])
# How often each kind of legs is drawn; people stand mostly.
FAMILY_SHARES = {
    "stand": 0.36, "step": 0.24, "squat": 0.08, "one-leg": 0.12,
    "sit": 0.08, "half-kneel": 0.04, "kneel": 0.04, "floor-sit": 0.04,
}  # fmt: skip
MAX_ROUNDS = 40


def draw_poses(rng: np.random.Generator, count: int, proportions: Proportions) -> StandingPoses:
    """Draw poses of one identity; the same generator state gives the same bytes.

    Raises:
        RuntimeError: if hardly any draw is accepted, which a body of human shape does not do.
    """
    return _accepted(lambda missing, _: _draw_mixtures(rng, missing), count, proportions)


def named_pose(name: str, rng: np.random.Generator, proportions: Proportions) -> StandingPoses:
    """Return one pose (N = 1) of the list POSES, varied a little as one person varies from day to day.

    Raises:
        ValueError: if the list has no such name.
        RuntimeError: if this identity cannot take the pose.
    """
    if name not in POSES:
        raise ValueError(
            f"pipeline.bodies.pose_sampler: a pose must be one of {', '.join(POSES)}, is {name!r}. Name one of these."
        )
    row = POSES[name]
    legs = LEGS[row.legs]
    degrees = ARMS[row.arms] + legs.degrees + SPINES[row.spine]

    def draw(missing: int, tried: int) -> DrawnAngles:
        # A body that cannot hold the pose as it is listed, a very thick one, say, holds one a little off it.
        noise = NAMED_NOISE * (1.0 + 0.5 * tried)
        return DrawnAngles(
            degrees=_varied(rng, np.broadcast_to(degrees, (missing, *degrees.shape)), noise),
            mirrored=np.zeros(missing, dtype=np.bool_),
            support=np.full(missing, legs.support),
        )

    return _accepted(draw, 1, proportions)


def _accepted(draw: Callable[[int, int], DrawnAngles], count: int, proportions: Proportions) -> StandingPoses:
    """Draw in rounds until enough poses stand; what is drawn depends on `count` alone."""
    capsules = fit_capsules(proportions)
    kept: list[StandingPoses] = []
    for tried in range(MAX_ROUNDS):
        missing = count - sum(len(poses.pose_rad) for poses in kept)
        if missing <= 0:
            break
        kept.append(stand(draw(missing + missing // 3 + 4, tried), proportions, capsules))
    poses = StandingPoses(
        pose_rad=np.concatenate([part.pose_rad for part in kept]),
        transl_m=np.concatenate([part.transl_m for part in kept]),
        seat_height_m=np.concatenate([part.seat_height_m for part in kept]),
    )
    if len(poses.pose_rad) < count:
        raise RuntimeError(
            f"pipeline.bodies.pose_sampler: {count} poses must stand within {MAX_ROUNDS} rounds, "
            f"{len(poses.pose_rad)} did. Check that the body has human proportions, +Y up, in metres."
        )
    return poses.rows(slice(count))


def _draw_mixtures(rng: np.random.Generator, count: int) -> DrawnAngles:
    families = sorted(FAMILY_SHARES)
    shares = np.array([FAMILY_SHARES[family] for family in families])
    drawn = rng.choice(len(families), size=count, p=shares / shares.sum())
    degrees = np.zeros((count, len(SMPL24_NAMES), 3))
    support = np.full(count, "feet", dtype="<U5")
    for index, family in enumerate(families):
        rows = np.flatnonzero(drawn == index)
        members: Sequence[Legs] = [legs for legs in LEGS.values() if legs.family == family]
        degrees[rows] += _mixture(rng, [legs.degrees for legs in members], len(rows))
        support[rows] = members[0].support
    mirrored = rng.random(count) < 0.5
    degrees[mirrored] = mirrored_degrees(degrees[mirrored])
    for anchors in (ARMS, SPINES):
        mixed = _mixture(rng, list(anchors.values()), count)
        swapped = rng.random(count) < 0.5
        mixed[swapped] = mirrored_degrees(mixed[swapped])
        degrees += mixed
    return DrawnAngles(degrees=_varied(rng, degrees, NOISE), mirrored=mirrored, support=support)


def _mixture(rng: np.random.Generator, anchors: Sequence[Float64], count: int) -> Float64:
    table = np.stack(anchors)
    chosen = rng.integers(0, len(table), (count, MIXED))
    weights = rng.dirichlet(np.full(MIXED, CONCENTRATION), count)
    mixed: Float64 = np.einsum("nk,nkja->nja", weights, table[chosen])
    return mixed


def _varied(rng: np.random.Generator, degrees: Float64, noise: float) -> Float64:
    """Add noise and keep the limits; the root's noise is its own, and scales along."""
    sigma_deg = noise * (HIGHEST_DEG - LOWEST_DEG)
    sigma_deg[0] = ROOT_NOISE_DEG * noise / NOISE
    return np.clip(degrees + sigma_deg * rng.standard_normal(degrees.shape), LOWEST_DEG, HIGHEST_DEG)
