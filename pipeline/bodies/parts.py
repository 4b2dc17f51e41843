"""Part maps: which body part each face belongs to. Labels count from 1; 0 is the background of label images.

Left and right are the subject's own. Every map holds on any body of the 24-joint schema: a face follows the
blend weights of its corners, borders are smoothed by majority, and no part has islands.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.mesh_parts import face_neighbours, smoothed, without_islands
from pipeline.bodies.model import Body
from pipeline.bodies.skeleton import SMPL24_NAMES, flip_permutation

Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]

SMOOTHING_ROUNDS = 20

SURREAL24_NAMES = SMPL24_NAMES
TANG14_NAMES = (
    "head",
    "torso",
    *(f"right_{part}" for part in ("upper_arm", "forearm", "hand")),
    *(f"left_{part}" for part in ("upper_arm", "forearm", "hand")),
    *(f"right_{part}" for part in ("thigh", "shin", "foot")),
    *(f"left_{part}" for part in ("thigh", "shin", "foot")),
)
# Which of the 14 each of the 24 joints' segments belongs to (Tang et al. 2019, section 4; neck and collars
# are torso).
_TANG14_OF_JOINT = {
    "head": "head",
    "shoulder": "upper_arm",
    "elbow": "forearm",
    "wrist": "hand",
    "hand": "hand",
    "hip": "thigh",
    "knee": "shin",
    "ankle": "foot",
    "foot": "foot",
}
# DensePose's numbering (Guler et al. 2018): of a limb's two parts, the lower number is the back or the inside.
DENSEPOSE24_NAMES = (
    "torso_back",
    "torso_front",
    "right_hand",
    "left_hand",
    "left_foot",
    "right_foot",
    *(f"{side}_thigh_{face}" for face in ("back", "front") for side in ("right", "left")),
    *(f"{side}_shin_{face}" for face in ("back", "front") for side in ("right", "left")),
    *(f"{side}_upper_arm_{face}" for face in ("inside", "outside") for side in ("left", "right")),
    *(f"{side}_forearm_{face}" for face in ("inside", "outside") for side in ("left", "right")),
    "right_head",
    "left_head",
)


def flipped_labels(names: tuple[str, ...]) -> UInt8:
    """Return, for each label from 0, the label of its mirror image."""
    return np.array([0, *(1 + row for row in flip_permutation(names))], dtype=np.uint8)


@cache
def surreal24(body: Body) -> UInt8:
    """Return the label (F,) 1..24 of each face: SMPL's joint order, as SURREAL's part images."""
    return _cleaned(body, _face_weights(body).argmax(axis=1) + 1)


@cache
def tang14(body: Body) -> UInt8:
    """Return the label (F,) 1..14 of each face in the order of `TANG14_NAMES`."""
    groups = np.zeros((len(SMPL24_NAMES), len(TANG14_NAMES)))
    for row, joint in enumerate(SMPL24_NAMES):
        side, _, part = joint.rpartition("_")
        group = _TANG14_OF_JOINT.get(part, "torso")
        groups[row, TANG14_NAMES.index(f"{side}_{group}" if side and group != "torso" else group)] = 1.0
    return _cleaned(body, (_face_weights(body) @ groups).argmax(axis=1) + 1)


@cache
def densepose24(body: Body) -> UInt8:
    """Return the label (F,) 1..24 of each face in the order of `DENSEPOSE24_NAMES`.

    The 14 parts, cut in the zero pose: torso and legs into back and front, arms by the plane of the T into
    inside (the palm's side, below) and outside, the head into right and left.
    """
    posed = body.posed(np.zeros((1, 24, 3)), np.zeros(0), np.zeros(3))
    centres_m, joints_m = posed.vertices_m[0][body.faces].mean(axis=1), posed.joints_m[0]
    coarse = tang14(body)
    labels = np.zeros(len(coarse), dtype=np.int64)
    for row, name in enumerate(TANG14_NAMES):
        here = coarse == row + 1
        beyond, parts = _cut(name, centres_m, joints_m)
        ids = [DENSEPOSE24_NAMES.index(part) + 1 for part in parts]
        labels[here] = np.where(beyond, ids[1], ids[0])[here]
    return _cleaned(body, labels)


def _cut(name: str, centres_m: Float64, joints_m: Float64) -> tuple[Bool, tuple[str, str]]:
    """Say which points lie in the second of the two parts that one of the 14 is cut into, and both names."""
    side, _, part = name.partition("_")
    if name == "head":
        return centres_m[:, 0] > joints_m[SMPL24_NAMES.index("head"), 0], ("right_head", "left_head")
    if name == "torso":
        spine = joints_m[
            [SMPL24_NAMES.index(joint) for joint in ("pelvis", "spine1", "spine2", "spine3", "neck")]
        ]
        return centres_m[:, 2] > np.interp(centres_m[:, 1], spine[:, 1], spine[:, 2]), (
            "torso_back",
            "torso_front",
        )
    ends = {
        "thigh": ("hip", "knee"),
        "shin": ("knee", "ankle"),
        "upper_arm": ("shoulder", "elbow"),
        "forearm": ("elbow", "wrist"),
    }
    if part not in ends:
        return np.zeros(len(centres_m), dtype=np.bool_), (name, name)
    start, end = (joints_m[SMPL24_NAMES.index(f"{side}_{joint}")] for joint in ends[part])
    leg = part in ("thigh", "shin")
    bone = (end - start) / np.linalg.norm(end - start)
    towards = np.array([0.0, 0.0, 1.0]) if leg else np.array([0.0, 1.0, 0.0])
    across = towards - bone * (towards @ bone)
    faces = ("back", "front") if leg else ("inside", "outside")
    return (centres_m - start) @ across > 0, (f"{name}_{faces[0]}", f"{name}_{faces[1]}")


def _face_weights(body: Body) -> Float64:
    """Blend weights (F 24) of faces: the sum over their corners."""
    arrays = body.arrays
    dense = np.zeros((len(arrays.weights), len(SMPL24_NAMES)))
    np.add.at(dense, (np.arange(len(dense))[:, None], arrays.weight_joints), arrays.weights)
    return np.asarray(dense[body.faces].sum(axis=1))


def _cleaned(body: Body, labels: NDArray[np.int64]) -> UInt8:
    neighbours = face_neighbours(body.faces)
    clean = smoothed(labels.astype(np.uint8), neighbours, rounds=SMOOTHING_ROUNDS)
    clean = without_islands(clean, neighbours)
    clean.setflags(write=False)  # it is shared by everyone who asks
    return clean
