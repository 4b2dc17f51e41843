"""From drawn angles to poses on the floor, and whether a person could hold them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.balance import BALANCE_TOLERANCE_M, outside_support_m, settling_turn
from pipeline.bodies.joint_limits import (
    HIGHEST_DEG,
    LOWEST_DEG,
    degrees_from_rotations,
    limit_excess_deg,
    pose_from_rotations,
    rotations_from_degrees,
)
from pipeline.bodies.planting import drawn_feet, plant_feet, upright_legs
from pipeline.bodies.proportions import Proportions, centre_of_mass, placed_joints
from pipeline.bodies.self_collision import PENETRATION_LIMIT_M, Capsules, penetration_m
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.bodies.skinning import rotation_matrices

Float64 = NDArray[np.float64]

CLIPPED_DEG = 1.0  # a planted leg may be bent back into its limits by so much: 2 mm at the toes
MAX_SETTLING_DEG = 25.0  # a body that has to turn further to rest was not drawn near a resting pose
_SEAT_BAND_M = 0.02  # buttocks and thighs give way on a stool by about this much
_SEAT_JOINTS = [SMPL24_NAMES.index(name) for name in ("pelvis", "left_hip", "right_hip")]


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnAngles:
    """Angles before anything stands.

    Attributes:
        degrees: (N 24 3), within the limits.
        support: (N) what bears the body, see `pipeline.bodies.anchors`.
        mirrored: (N) whether the legs are a reflection, so that "foot" means the right one.
    """

    degrees: Float64
    support: NDArray[np.str_]
    mirrored: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class StandingPoses:
    """Poses that touch the floor y = 0, facing +Z more or less.

    Attributes:
        pose_rad: (N 24 3).
        transl_m: (N 3), up or down only: the lowest vertex lies at y = 0, the pelvis at x = z = 0.
        seat_height_m: (N) height of the stool that the body sits on; 0 without one.
    """

    pose_rad: Float64
    transl_m: Float64
    seat_height_m: Float64

    def rows(self, chosen: NDArray[np.bool_] | slice) -> "StandingPoses":
        """Return some of the poses."""
        return StandingPoses(
            pose_rad=self.pose_rad[chosen],
            transl_m=self.transl_m[chosen],
            seat_height_m=self.seat_height_m[chosen],
        )


def stand(drawn: DrawnAngles, proportions: Proportions, capsules: Capsules) -> StandingPoses:
    """Plant, settle and lower drawn bodies to the floor, and return those that a person could hold, in order."""
    rotations = rotations_from_degrees(_planted_degrees(drawn, proportions))
    room = (penetration_m(rotations, proportions, capsules) <= PENETRATION_LIMIT_M).all(axis=1)
    keeps = np.isfinite(rotations).all(axis=(1, 2, 3)) & room
    rotations, support = rotations[keeps], drawn.support[keeps]
    settled = np.ones(len(rotations), dtype=np.bool_)
    for row in np.flatnonzero(support == "floor"):
        settled[row] = _settle(rotations[row : row + 1], proportions)
    rotations, support = rotations[settled], support[settled]
    vertices_m = _vertices(rotations, proportions)
    return _lowered(rotations, vertices_m, support, proportions)


def support_outside_m(poses: StandingPoses, vertices_m: Float64, proportions: Proportions) -> Float64:
    """Return how far (N) each pose's centre of mass lies outside what bears it; negative inside.

    Args:
        vertices_m: (N V 3) of these poses, on the floor.
    """
    turns, placed_m = placed_joints(rotation_matrices(poses.pose_rad, np), proportions.joints_m)
    centre_m = centre_of_mass(turns, placed_m, proportions) + poses.transl_m
    on_seat = np.isin(proportions.segment, _SEAT_JOINTS) & (poses.seat_height_m > 0)[:, None]
    bears = on_seat & (vertices_m[..., 1] < poses.seat_height_m[:, None] + _SEAT_BAND_M)
    return outside_support_m(vertices_m, centre_m, also=bears)


def _planted_degrees(drawn: DrawnAngles, proportions: Proportions) -> Float64:
    """Return the angles with legs that stand; nan for bodies whose legs would have to break a limit."""
    degrees = drawn.degrees.copy()
    rotations = rotations_from_degrees(degrees)
    upright = rotations.copy()
    upright[:, 0] = np.eye(3)
    upright_legs(rotations)
    stands = np.flatnonzero(drawn.support != "floor")
    support, other = drawn.support[stands], np.where(drawn.mirrored[stands], 0, 1)
    planted = np.ones((len(stands), 2), dtype=np.bool_)
    planted[np.arange(len(stands)), other] = support != "foot"
    legs = rotations[stands]
    feet = drawn_feet(upright[stands], proportions, planted)
    plant_feet(legs, proportions, feet, planted=planted, balanced=support != "seat", heels_rise=True)
    rotations[stands] = legs
    degrees = degrees_from_rotations(rotations)
    degrees[limit_excess_deg(degrees) > CLIPPED_DEG] = np.nan
    return np.clip(degrees, LOWEST_DEG, HIGHEST_DEG)


def _settle(rotations: Float64, proportions: Proportions) -> bool:
    """Turn one body (1 24 3 3) in place until it rests on the floor; False if it does not lie near rest."""
    turns, placed_m = placed_joints(rotations, proportions.joints_m)
    centre_m = centre_of_mass(turns, placed_m, proportions)[0]
    turn, angle_deg = settling_turn(_vertices(rotations, proportions)[0], centre_m)
    rotations[0, 0] = turn @ rotations[0, 0]
    return angle_deg <= MAX_SETTLING_DEG


def _lowered(
    rotations: Float64, vertices_m: Float64, support: NDArray[np.str_], proportions: Proportions
) -> StandingPoses:
    transl_m = np.zeros((len(rotations), 3))
    transl_m[:, [0, 2]] = -proportions.joints_m[0, [0, 2]]
    transl_m[:, 1] = -vertices_m[..., 1].min(axis=1, initial=np.inf)
    vertices_m = vertices_m + transl_m[:, None]
    seat_m = vertices_m[:, np.isin(proportions.segment, _SEAT_JOINTS), 1].min(axis=1, initial=np.inf)
    poses = StandingPoses(
        pose_rad=pose_from_rotations(rotations),
        transl_m=transl_m,
        seat_height_m=np.where(support == "seat", seat_m, 0.0),
    )
    return poses.rows(support_outside_m(poses, vertices_m, proportions) <= BALANCE_TOLERANCE_M)


def _vertices(rotations: Float64, proportions: Proportions) -> Float64:
    """Return the vertices (N V 3) with the pelvis where the zero pose has it; float32 is exact to 1e-6 m."""
    pose_rad = pose_from_rotations(rotations).astype(np.float32)
    betas, transl_m = proportions.betas.astype(np.float32), np.zeros(3, dtype=np.float32)
    return np.asarray(proportions.body.posed(pose_rad, betas, transl_m).vertices_m)
