"""Where garments and hair end on a body in its bind pose: levels in metres, 0 at the edge, positive inside.

Body frame: +Y up, facing +Z, metres. A level grows by about a metre a metre, so it also says how deep inside
the garment a place lies.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.simulation.fine_body import FineBody
from pipeline.simulation.outfit import Garment

Float64 = NDArray[np.float64]

ARM = ("shoulder", "elbow", "wrist", "hand")
SIDES = ("left", "right")
# A collar is where an upright elliptic tube around the neck meets the body: half widths to the side and to the
# front and back, and how far its axis lies before the neck joint, for shoulders 34.4 cm apart.
COLLAR_M, COLLAR_AHEAD_M, SHOULDERS_M = (0.076, 0.060), 0.024, 0.344
CHEST_M = 0.14  # the tube ends this far below the neck joint
CHIN_M, CHIN_TILT_RAD = (
    0.03,
    np.deg2rad(38.0),
)  # no cloth above a plane this far over the joint, sinking forwards
WAIST_M = 0.05  # a trouser's waist above the pelvis joint
# Hairline: height over the ear by distance before it, for a head whose top is 11.5 cm above the ear.
HAIRLINE_M = np.array(
    [[-0.080, -0.085], [-0.045, -0.070], [-0.020, -0.040], [0.020, -0.012], [0.036, 0.000], [0.052, 0.040],
     [0.085, 0.058], [0.125, 0.064]]
)  # fmt: skip
LONG_HAIRLINE_M = np.array(
    [[-0.080, -0.125], [-0.020, -0.110], [0.010, -0.090], [0.030, -0.040], [0.052, 0.040], [0.085, 0.058],
     [0.125, 0.064]]
)  # fmt: skip
HEAD_M = 0.115
EAR_RADIUS_M = 0.031


def along_limb_m(points_m: Float64, joints_m: Float64) -> Float64:
    """Return how far (N) along a limb of three joints (3 3) points lie, from the first joint on.

    The last segment has no end; before the first joint all is 0.
    """
    total, start_m = np.zeros(len(points_m)), 0.0
    for index in range(2):
        span = joints_m[index + 1] - joints_m[index]
        length_m = float(np.linalg.norm(span))
        reach = (points_m - joints_m[index]) @ (span / length_m)
        reach = np.maximum(reach, 0.0) if index else np.clip(reach, 0.0, length_m)
        total = np.where(reach > 0, start_m + reach, total)
        start_m += length_m
    return total


def limb_end_m(joints_m: Float64, fraction: float) -> float:
    """Return the length along a limb of three joints (3 3) at a fraction: 1 the middle joint, 2 the last."""
    first, second = np.linalg.norm(np.diff(joints_m, axis=0), axis=1)
    return float(min(fraction, 1.0) * first + max(fraction - 1.0, 0.0) * second)


def arm_share(body: FineBody) -> Float64:
    """Return the weight (N) of the arms from the shoulder on."""
    return body.share(*(f"{side}_{part}" for side in SIDES for part in ARM))


def crotch_y_m(body: FineBody) -> float:
    """Return the height of the lowest point between the legs."""
    near = (np.abs(body.bind_m[:, 0]) < 0.012) & (np.abs(body.bind_m[:, 1] - body.joints_m[0, 1]) < 0.3)
    return float(body.bind_m[near, 1].min())


def top_level_m(points_m: Float64, arms: Float64, body: FineBody, garment: Garment) -> Float64:
    """Return the level (N) of a top at points whose arm weight is `arms`."""
    low = top_hem_y_m(body, garment)
    trunk = np.minimum(points_m[:, 1] - low, _collar_level_m(points_m, body, garment))
    return np.where(arms > 0.5, _limbs_level_m(points_m, body, garment, ARM[:3]), trunk)


def bottom_level_m(points_m: Float64, arms: Float64, body: FineBody, garment: Garment) -> Float64:
    """Return the level (N) of trousers or shorts at points whose arm weight is `arms`."""
    waist = body.joints_m[0, 1] + WAIST_M - points_m[:, 1]
    legs = _limbs_level_m(points_m, body, garment, ("hip", "knee", "ankle"))
    return np.where(arms > 0.5, -1.0, np.minimum(waist, legs))


def top_hem_y_m(body: FineBody, garment: Garment) -> float:
    """Return the height of a top's lower edge."""
    low, navel = crotch_y_m(body) + 0.008, float(body.joint_m("spine1")[1])
    return low + garment.hem * (navel - low)


def looseness(points_m: Float64, arms: Float64, body: FineBody, garment: Garment) -> Float64:
    """Return how far (N) in [0, 1] the way from where the cloth rests to its free edge has gone."""
    if garment.kind in ("trousers", "shorts"):
        level = _limbs_level_m(points_m, body, garment, ("hip", "knee", "ankle"))
        length = limb_end_m(_limb(body, "left", ("hip", "knee", "ankle")), garment.limb)
        return np.asarray(1.0 - np.clip(level / length, 0.0, 1.0))
    chest, low = float(body.joint_m("spine3")[1]), top_hem_y_m(body, garment)
    trunk = np.clip((chest - points_m[:, 1]) / (chest - low), 0.0, 1.0)
    length = limb_end_m(_limb(body, "left", ARM[:3]), garment.limb)
    sleeve = 1.0 - np.clip(_limbs_level_m(points_m, body, garment, ARM[:3]) / length, 0.0, 1.0)
    return np.asarray(np.where(arms > 0.5, sleeve, trunk))


def hair_level_m(points_m: Float64, head: Float64, body: FineBody, style: str) -> Float64:
    """Return the level (N) of the hair at points whose head and neck weight is `head`."""
    ear = 0.5 * (body.landmarks_m["left_ear"] + body.landmarks_m["right_ear"])
    size = (body.landmarks_m["head_top"][1] - ear[1]) / HEAD_M
    line = LONG_HAIRLINE_M if style == "long" else HAIRLINE_M
    ahead_m, above_m = (points_m - ear)[:, 2] / size, (points_m - ear)[:, 1] / size
    level = above_m - np.interp(ahead_m, line[:, 0], line[:, 1])
    if style in ("cropped", "short"):
        round_ear = np.hypot(ahead_m + 0.008, above_m - 0.004) - EAR_RADIUS_M
        level = np.minimum(level, round_ear)
    return np.minimum(size * level, 0.1 * (head - 0.4))


def _collar_level_m(points_m: Float64, body: FineBody, garment: Garment) -> Float64:
    neck = body.joint_m("neck")
    size = np.linalg.norm(body.joint_m("left_shoulder") - body.joint_m("right_shoulder")) / SHOULDERS_M
    side, ahead = (half * size + garment.neck_m for half in COLLAR_M)
    offset = points_m - neck - np.array([0.0, 0.0, COLLAR_AHEAD_M * size + garment.neck_m])
    tube = (np.hypot(offset[:, 0] / side, offset[:, 2] / ahead) - 1.0) * 0.5 * (side + ahead)
    tube = np.maximum(tube, -offset[:, 1] - CHEST_M * size)
    up = np.array([0.0, np.cos(CHIN_TILT_RAD), np.sin(CHIN_TILT_RAD)])
    return np.asarray(np.minimum(tube, (neck - points_m) @ up + CHIN_M * size))


def _limb(body: FineBody, side: str, parts: tuple[str, ...]) -> Float64:
    return np.stack([body.joint_m(f"{side}_{part}") for part in parts])


def _limbs_level_m(points_m: Float64, body: FineBody, garment: Garment, parts: tuple[str, ...]) -> Float64:
    left = points_m[:, 0] > 0
    level = np.zeros(len(points_m))
    for side, rows in (("left", left), ("right", ~left)):
        joints_m = _limb(body, side, parts)
        level[rows] = limb_end_m(joints_m, garment.limb) - along_limb_m(points_m[rows], joints_m)
    return level
