"""Joint sets: which points of a posed body a dataset or network calls its joints, and in which order.

Every joint is a rotation centre of the 24-joint tree, a landmark vertex of the surface, or the mean of some.
Annotators of COCO, MPII and Human3.6M click or measure hips and shoulders a few centimetres off the rotation
centres; no offset is added here. Left and right are the subject's own.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import Body, Posed
from pipeline.bodies.skeleton import SMPL24_NAMES, SMPL24_PARENTS, flip_permutation

Array = TypeVar("Array")


@dataclass(frozen=True, kw_only=True, slots=True)
class JointSet:
    """An ordered set of joints.

    Attributes:
        names: one per joint.
        sources: for each joint, the tree's joints or the body's landmarks whose mean it is.
        edges: pairs of joints to draw as bones.
    """

    name: str
    names: tuple[str, ...]
    sources: tuple[tuple[str, ...], ...]
    edges: tuple[tuple[int, int], ...]

    @property
    def flip(self) -> tuple[int, ...]:
        """For each joint, the index of its partner on the other side."""
        return flip_permutation(self.names)


def joints_of(body: Body, posed: Posed[Array], joint_set: JointSet) -> Array:
    """Return a joint set (B N 3) in the frame of the posed bodies, differentiable where they are.

    Args:
        body: the model that `posed` comes from, whole.

    Raises:
        ValueError: if the body has no landmark that the set needs.
    """
    from_joints, from_landmarks, rows = _mixing(body, joint_set)
    joints_m: Any = posed.joints_m
    landmarks_m: Any = posed.vertices_m[:, rows]  # type: ignore[index]
    if not isinstance(joints_m, np.ndarray):
        from_joints, from_landmarks = (joints_m.new_tensor(m) for m in (from_joints, from_landmarks))
    else:
        from_joints, from_landmarks = (m.astype(joints_m.dtype) for m in (from_joints, from_landmarks))
    result: Array = from_joints @ joints_m + from_landmarks @ landmarks_m
    return result


def landmark_names(joint_set: JointSet) -> tuple[str, ...]:
    """Return the landmarks that a set needs, sorted."""
    named = {source for sources in joint_set.sources for source in sources}
    return tuple(sorted(named - set(SMPL24_NAMES)))


def _mixing(body: Body, joint_set: JointSet) -> tuple[Any, Any, list[int]]:
    """Weights of the tree's joints (N 24), of landmarks (N L), and the landmarks' vertices."""
    landmarks = landmark_names(joint_set)
    missing = [name for name in landmarks if name not in body.arrays.landmarks]
    if missing:
        raise ValueError(
            f"pipeline.bodies.joints: {joint_set.name} needs landmark {missing[0]}, {body.arrays.name} has "
            f"{', '.join(sorted(body.arrays.landmarks)) or 'none'}. Add landmark_{missing[0]} to the body file."
        )
    from_joints = np.zeros((len(joint_set.names), len(SMPL24_NAMES)))
    from_landmarks = np.zeros((len(joint_set.names), len(landmarks)))
    for row, sources in enumerate(joint_set.sources):
        for source in sources:
            if source in landmarks:
                from_landmarks[row, landmarks.index(source)] = 1.0 / len(sources)
            else:
                from_joints[row, SMPL24_NAMES.index(source)] = 1.0 / len(sources)
    return from_joints, from_landmarks, [body.arrays.landmarks[name] for name in landmarks]


def _joint_set(name: str, names: str, bones: str, **sources: tuple[str, ...]) -> JointSet:
    """Build a set from names and `a-b` bones in one text each; a joint is its own source unless told."""
    listed = tuple(names.split())
    edges = tuple((listed.index(a), listed.index(b)) for a, b in (bone.split("-") for bone in bones.split()))
    return JointSet(
        name=name,
        names=listed,
        sources=tuple(sources.get(joint, (joint,)) for joint in listed),
        edges=edges,
    )


_LIMBS = (
    "left_hip-left_knee left_knee-left_ankle right_hip-right_knee right_knee-right_ankle "
    "left_shoulder-left_elbow right_shoulder-right_elbow "
)
_LOWER_ARMS = "left_elbow-left_wrist right_elbow-right_wrist "
_FACE = "nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear "

SMPL24 = _joint_set(
    "smpl24",
    " ".join(SMPL24_NAMES),
    " ".join(
        f"{SMPL24_NAMES[parent]}-{name}"
        for name, parent in zip(SMPL24_NAMES, SMPL24_PARENTS, strict=True)
        if parent >= 0
    ),
)
# Hands, not wrists: the indices 0 1 2 4 5 6 7 8 12 15 16 17 18 19 22 23 of the released code of Tang et al.
TANG16 = _joint_set(
    "tang16",
    "pelvis left_hip right_hip left_knee right_knee spine2 left_ankle right_ankle neck head "
    "left_shoulder right_shoulder left_elbow right_elbow left_hand right_hand",
    _LIMBS + "pelvis-left_hip pelvis-right_hip pelvis-spine2 spine2-neck neck-head neck-left_shoulder "
    "neck-right_shoulder left_elbow-left_hand right_elbow-right_hand",
)
MPII16 = _joint_set(
    "mpii16",
    "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top "
    "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist",
    _LIMBS + _LOWER_ARMS + "pelvis-left_hip pelvis-right_hip pelvis-thorax thorax-upper_neck "
    "upper_neck-head_top thorax-left_shoulder thorax-right_shoulder",
    thorax=("neck",),
    upper_neck=("head",),
)
COCO17 = _joint_set(
    "coco17",
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
    _LIMBS + _LOWER_ARMS + _FACE + "left_eye-right_eye left_ear-left_shoulder right_ear-right_shoulder "
    "left_shoulder-right_shoulder left_hip-right_hip left_shoulder-left_hip right_shoulder-right_hip",
)
H36M17 = _joint_set(
    "h36m17",
    "pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine thorax neck_nose head_top "
    "left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist",
    _LIMBS + _LOWER_ARMS + "pelvis-left_hip pelvis-right_hip pelvis-spine spine-thorax thorax-neck_nose "
    "neck_nose-head_top thorax-left_shoulder thorax-right_shoulder",
    spine=("spine2",),
    thorax=("neck",),
    neck_nose=("head", "nose"),
)
BODY25 = _joint_set(
    "body25",
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist mid_hip right_hip "
    "right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear "
    "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel",
    _LIMBS + _LOWER_ARMS + _FACE + "nose-neck neck-left_shoulder neck-right_shoulder neck-mid_hip "
    "mid_hip-left_hip mid_hip-right_hip left_ankle-left_heel left_ankle-left_big_toe "
    "left_big_toe-left_small_toe right_ankle-right_heel right_ankle-right_big_toe "
    "right_big_toe-right_small_toe",
    neck=("left_shoulder", "right_shoulder"),
    mid_hip=("left_hip", "right_hip"),
)
JOINT_SETS = (SMPL24, TANG16, MPII16, COCO17, H36M17, BODY25)


def mirrored_pose(pose_rad: NDArray[Any]) -> NDArray[Any]:
    """Return poses (..., 24, 3) reflected in the body's plane x = 0: left and right change places."""
    flipped: NDArray[Any] = pose_rad[..., list(SMPL24.flip), :] * np.array([1, -1, -1], dtype=pose_rad.dtype)
    return flipped
