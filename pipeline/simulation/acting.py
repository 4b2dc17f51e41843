"""Motions as actions: made by rule or read from motion capture, at any moment between their rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.bvh import read_bvh
from pipeline.bodies.bvh_retarget import retarget
from pipeline.bodies.motions import Motion
from pipeline.bodies.proportions import Proportions
from pipeline.errors import InputError
from pipeline.simulation.dressing import Wardrobe, dressed

Float64 = NDArray[np.float64]
Action = Callable[[float], tuple[Float64, Float64]]  # seconds to pose (24 3) and place (3) of the body

TRIED_ROWS = 60  # of a recording, that are dressed to find the lowest place
NEAR_FLOOR_M = 0.04  # bare feet this far above their lowest may be the lowest in shoes


def on_soles(wardrobe: Wardrobe, pose_rad: Float64, transl_m: Float64) -> tuple[Float64, float]:
    """Return the place of a body whose clothes touch the floor y = 0, and how far that lifts it."""
    lift_m = -float(dressed(wardrobe, pose_rad, transl_m).vertices_m[:, 1].min())
    return transl_m + [0.0, lift_m, 0.0], lift_m


def acted(moves: Motion, *, fps: float, begin_s: float, lift_m: float) -> Action:
    """Return the action whose first row is at `begin_s`."""

    def action(time_s: float) -> tuple[Float64, Float64]:
        pose_rad, place_m = between(moves, (time_s - begin_s) * fps)
        return pose_rad, place_m + [0.0, lift_m, 0.0]

    return action


def between(moves: Motion, row: float) -> tuple[Float64, Float64]:
    """Return pose and place between two rows; the rotation goes the shortest way at constant speed."""
    from scipy.spatial.transform import Rotation

    before = int(np.clip(np.floor(row), 0, len(moves.pose_rad) - 2))
    share = float(np.clip(row - before, 0.0, 1.0))
    first, second = (Rotation.from_rotvec(moves.pose_rad[index]) for index in (before, before + 1))
    turned = first * Rotation.from_rotvec(share * (first.inv() * second).as_rotvec())
    place_m = (1 - share) * moves.transl_m[before] + share * moves.transl_m[before + 1]
    return turned.as_rotvec(), place_m


def recorded(
    path: Path, wardrobe: Wardrobe, proportions: Proportions, seconds: float
) -> tuple[Motion, float]:
    """Return the first `seconds` of a BVH file on one person, and its rows per second.

    The person stands about x = z = 0, and the lowest place of all rows lies on the floor y = 0: one lift for
    all, so that no foot sinks and none slides up and down. Headings are the file's.

    Raises:
        InputError: motion-missing, motion-malformed or motion-joints; motion-short, if the file ends before.
    """
    found = retarget(read_bvh(path), proportions)
    lasts_s = (len(found.pose_rad) - 1) * found.frame_s
    if lasts_s < seconds:
        raise InputError(
            "motion-short",
            f"{path}: the motion must last {seconds:.2f} s to be filmed, lasts {lasts_s:.2f} s. Lower count.",
        )
    rows = slice(0, min(int(np.ceil(seconds / found.frame_s)) + 2, len(found.pose_rad)))
    transl_m = found.transl_m[rows].copy()
    transl_m -= (transl_m.min(axis=0) + transl_m.max(axis=0)) / 2 * [1, 0, 1]
    # The pelvis stays where the bind pose has it, which need not be over the origin.
    transl_m[:, [0, 2]] -= proportions.joints_m[0, [0, 2]]
    moves = Motion(pose_rad=found.pose_rad[rows], transl_m=transl_m)
    transl_m[:, 1] -= _lowest_m(moves, wardrobe, proportions)
    return moves, 1.0 / found.frame_s


def _lowest_m(moves: Motion, wardrobe: Wardrobe, proportions: Proportions) -> float:
    """Return the lowest height of the dressed person over all rows."""
    bare_m = np.concatenate(
        [
            proportions.body.posed(moves.pose_rad[here], proportions.betas, moves.transl_m[here])
            .vertices_m[..., 1]
            .min(axis=1)
            for here in (slice(row, row + 32) for row in range(0, len(moves.pose_rad), 32))
        ]
    )
    low = np.flatnonzero(bare_m < bare_m.min() + NEAR_FLOOR_M)
    tried = {int(bare_m.argmin()), *low[:: max(len(low) // TRIED_ROWS, 1)].tolist()}
    return -max(on_soles(wardrobe, moves.pose_rad[row], moves.transl_m[row])[1] for row in sorted(tried))
