"""From a BVH file with the joint names of the CMU motion capture database to poses of the 24-joint tree.

Frames, not angles, are carried over: where the file's rest pose has a limb along another direction than the zero
pose, the shortest turn between the two directions makes up for it, so that limbs point where they point in the file.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.bvh import BvhMotion, joint_motion
from pipeline.bodies.joint_limits import pose_from_rotations
from pipeline.bodies.leg_reach import leg_length_m, shortest_turn
from pipeline.bodies.proportions import LEG_CHAINS, Proportions
from pipeline.bodies.skeleton import SMPL24_NAMES, SMPL24_PARENTS
from pipeline.errors import InputError

Float64 = NDArray[np.float64]

_SIDE = (
    ("hip", "UpLeg"), ("knee", "Leg"), ("ankle", "Foot"), ("foot", "ToeBase"), ("collar", "Shoulder"),
    ("shoulder", "Arm"), ("elbow", "ForeArm"), ("wrist", "Hand"),
)  # fmt: skip
CMU_NAMES = {
    "pelvis": "Hips", "spine1": "LowerBack", "spine2": "Spine", "spine3": "Spine1", "neck": "Neck", "head": "Head",
} | {f"{side}_{ours}": side.capitalize() + theirs for side in ("left", "right") for ours, theirs in _SIDE}  # fmt: skip
# Toes, collars and the spine's middle may be missing, and then do not turn.
_NEEDED = ["pelvis", "head"] + [
    f"{side}_{name}"
    for side in ("left", "right")
    for name in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
]
# Limbs whose rest directions are compared: the joint, and the one that its bone leads to.
_LIMBS = tuple(
    (f"{side}_{joint}", f"{side}_{end}")
    for side in ("left", "right")
    for joint, end in (
        ("hip", "knee"),
        ("knee", "ankle"),
        ("ankle", "foot"),
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
    )
) + (("neck", "head"),)
_UNITS_M = {"m": 1.0, "cm": 0.01, "inch": 0.0254, "mm": 0.001, "CMU unit (inch / 0.45)": 0.0254 / 0.45}
_SAME_UNIT = 1.35  # adults' legs differ by less, units of length by more


@dataclass(frozen=True, kw_only=True, slots=True)
class Retargeted:
    """Motion capture on one identity.

    Attributes:
        pose_rad: (T 24 3).
        transl_m: (T 3): the file's path, scaled by the legs' lengths.
        frame_s: time from one frame to the next.
        metres_per_unit: that scale, metres of this identity per unit of the file.
        unit: the unit that the file then seems to be in; "unknown" where none is near.
    """

    pose_rad: Float64
    transl_m: Float64
    frame_s: float
    metres_per_unit: float
    unit: str


def retarget(bvh: BvhMotion, proportions: Proportions) -> Retargeted:
    """Carry motion capture over to one identity.

    The file's up and left are those of its rest pose, from hips to head and from the right hip to the left.

    Raises:
        InputError: motion-joints, if joints are missing or the rest pose has no size.
    """
    ours = _found(bvh)
    turns, places = joint_motion(bvh)
    rest = _rest_places(bvh)
    file_from_body = _file_axes(bvh, rest, ours)
    aligned = _aligned(bvh, rest, ours, file_from_body, proportions)
    world = np.zeros((len(turns), len(SMPL24_NAMES), 3, 3))
    local = np.zeros_like(world)
    for joint, (name, parent) in enumerate(zip(SMPL24_NAMES, SMPL24_PARENTS, strict=True)):
        if name in ours:
            world[:, joint] = file_from_body.T @ turns[:, ours[name]] @ aligned[joint]
        else:
            world[:, joint] = world[:, parent]
        local[:, joint] = (
            world[:, joint] if parent < 0 else np.swapaxes(world[:, parent], 1, 2) @ world[:, joint]
        )
    scale = _metres_per_unit(bvh, rest, ours, proportions)
    path_m = scale * places[:, ours["pelvis"]] @ file_from_body
    return Retargeted(
        pose_rad=pose_from_rotations(local),
        transl_m=path_m - proportions.joints_m[0],
        frame_s=bvh.frame_s,
        metres_per_unit=scale,
        unit=_unit(scale),
    )


def _found(bvh: BvhMotion) -> dict[str, int]:
    """Return, by our names, the file's joints."""
    theirs = {name.lower(): index for index, name in enumerate(bvh.names)}
    ours = {name: theirs[cmu.lower()] for name, cmu in CMU_NAMES.items() if cmu.lower() in theirs}
    missing = [CMU_NAMES[name] for name in _NEEDED if name not in ours]
    if missing:
        raise InputError(
            "motion-joints",
            f"{bvh.path}: the hierarchy must have the joints of the CMU skeleton, lacks {', '.join(missing)}. "
            "Export the motion with the CMU joint names.",
        )
    return ours


def _rest_places(bvh: BvhMotion) -> Float64:
    rest = bvh.offsets.copy()
    for joint, parent in enumerate(bvh.parents):
        if parent >= 0:
            rest[joint] += rest[parent]
    return rest


def _file_axes(bvh: BvhMotion, rest: Float64, ours: dict[str, int]) -> Float64:
    """Return the rotation (3 3) from the body frame to the file's axes, snapped to whole axes where it is near."""
    up = rest[ours["head"]] - rest[ours["pelvis"]]
    left = rest[ours["left_hip"]] - rest[ours["right_hip"]]
    forward = np.cross(left, up)
    if not np.linalg.norm(forward) > 0:
        raise InputError(
            "motion-joints",
            f"{bvh.path}: the rest pose must have a trunk and two hips apart, has head {up} over the hips and "
            f"{left} between them. Export the motion with its skeleton's offsets.",
        )
    left = np.cross(up, forward)
    axes = np.stack([axis / np.linalg.norm(axis) for axis in (left, up, forward)], axis=1)
    # A head a little in front of the hips is anatomy, not a leaning world.
    whole = np.round(axes)
    return np.asarray(whole if np.allclose(whole @ whole.T, np.eye(3)) else axes)


def _aligned(
    bvh: BvhMotion, rest: Float64, ours: dict[str, int], file_from_body: Float64, proportions: Proportions
) -> Float64:
    """Return the turns (24 3 3) that take our segments, in the zero pose, to the file's rest pose, in its axes."""
    aligned = np.tile(file_from_body, (len(SMPL24_NAMES), 1, 1))
    for name, end in _LIMBS:
        joint, to = SMPL24_NAMES.index(name), SMPL24_NAMES.index(end)
        theirs = _bone(bvh, rest, ours, (name, end))
        bone_m = file_from_body @ (proportions.joints_m[to] - proportions.joints_m[joint])
        if theirs.any():
            aligned[joint] = shortest_turn(bone_m[None], theirs[None])[0] @ file_from_body
    for end, limb in (("wrist", "elbow"), ("foot", "ankle")):
        for side in ("left", "right"):
            aligned[SMPL24_NAMES.index(f"{side}_{end}")] = aligned[SMPL24_NAMES.index(f"{side}_{limb}")]
    return aligned


def _bone(bvh: BvhMotion, rest: Float64, ours: dict[str, int], limb: tuple[str, str]) -> Float64:
    """Return a limb in the file's rest pose (3); 0 where the file says nothing of it."""
    name, end = limb
    if name not in ours:
        return np.zeros(3)
    return np.asarray(rest[ours[end]] - rest[ours[name]] if end in ours else bvh.ends[ours[name]])


def _metres_per_unit(bvh: BvhMotion, rest: Float64, ours: dict[str, int], proportions: Proportions) -> float:
    length = np.mean(
        [
            np.linalg.norm(rest[ours[SMPL24_NAMES[b]]] - rest[ours[SMPL24_NAMES[a]]])
            for chain in LEG_CHAINS
            for a, b in (chain[:2], chain[1:3])
        ]
    )
    if not length > 0:
        raise InputError(
            "motion-joints",
            f"{bvh.path}: thighs and shins must have a length, have {length}. Export the skeleton's offsets.",
        )
    return float((leg_length_m(proportions, 0) + leg_length_m(proportions, 1)) / 4.0 / length)


def _unit(metres_per_unit: float) -> str:
    name = min(_UNITS_M, key=lambda unit: abs(np.log(_UNITS_M[unit] / metres_per_unit)))
    return name if abs(np.log(_UNITS_M[name] / metres_per_unit)) < np.log(_SAME_UNIT) else "unknown"
