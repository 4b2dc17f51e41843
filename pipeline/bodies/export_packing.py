"""From a population in one bind pose to the arrays of a body file: shape components, caps, zero pose, packing.

Numbers are rounded to steps far below what a depth camera sees, which halves the file.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.skeleton import SMPL24_FLIP, SMPL24_NAMES, SMPL24_PARENTS

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

POSITION_STEP_M = 2.0**-16  # 0.015 mm
SHAPE_STEP_M = 2.0**-15  # 0.03 mm per unit of beta
WEIGHT_STEP = 2.0**-12
UV_STEP = 2.0**-16
WEIGHTS_KEPT = 8
# Where limbs point in the zero pose (left side; x is mirrored on the right): arms along x, legs down and
# slightly apart, feet forward and slightly out. Segments that are not named keep the bind pose's direction.
ZERO_POSE_AIMS = (
    ("shoulder", "elbow", (1.0, 0.0, 0.0)),
    ("elbow", "wrist", (1.0, 0.0, 0.0)),
    ("wrist", "hand", (1.0, 0.0, 0.0)),
    ("hip", "knee", (0.05, -1.0, 0.0)),
    ("knee", "ankle", (0.02, -1.0, 0.0)),
)
FOOT_AIM = (0.12, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Population:
    """Subjects in the bind pose, body frame, pelvis at the origin.

    Attributes:
        vertices_m: (N V 3).
        joints_m: (N 24 3).
        eyes_m: (N 2 3) foremost points of the left and right eyeball.
    """

    vertices_m: Float64
    joints_m: Float64
    eyes_m: Float64


@dataclass(frozen=True, kw_only=True, slots=True)
class Skin:
    """A surface: per-vertex columns, faces, texture.

    Attributes:
        columns: (V C) whatever is linear on the surface: positions, shape directions, weights.
        faces: (F 3), outward.
        uv: (T 2) texture coordinates.
        uv_faces: (F 3), rows of `uv` of each face's corners.
    """

    columns: Float64
    faces: Int32
    uv: Float64
    uv_faces: Int32


def shape_components(samples_m: Float64, extra_m: Float64, components: int) -> tuple[Float64, Float64]:
    """Return mean and principal directions of a population's surface, and of what goes with it.

    Args:
        samples_m: (N V 3), whose principal components are taken.
        extra_m: (N E 3), regressed linearly on the same coefficients.

    Returns:
        Mean (V+E 3) and directions (V+E 3 B) per standard deviation; each lifts the body's highest vertex.
    """
    count = len(samples_m)
    flat = samples_m.reshape(count, -1)
    centred = flat - flat.mean(axis=0)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    coefficients = vectors[:, ::-1][:, :components] * np.sqrt(count)
    both = np.concatenate([samples_m, extra_m], axis=1)
    mean = both.mean(axis=0)
    directions = np.einsum("nb,nvc->vcb", coefficients, both - mean, optimize=True) / count
    highest = mean[: samples_m.shape[1], 1].argmax()
    return mean, directions * np.where(directions[highest, 1] < 0, -1.0, 1.0)


def boundary_loops(faces: Int32) -> list[list[int]]:
    """Return the open borders, each as rows of its half-edges (3 f + corner) in the face's own direction."""
    starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    twins = set(zip(ends.tolist(), starts.tolist(), strict=True))
    edges = list(zip(starts.tolist(), ends.tolist(), strict=True))
    following = {a: row for row, (a, b) in enumerate(edges) if (a, b) not in twins}
    loops = []
    while following:
        start = min(following)
        loop = [following.pop(start)]
        while edges[loop[-1]][1] != start:
            loop.append(following.pop(edges[loop[-1]][1]))
        loops.append(loop)
    return loops


def capped(skin: Skin) -> tuple[Skin, Int32]:
    """Close every open border with a fan about a new vertex, the mean of the border.

    Returns:
        The closed skin and the new vertices.
    """
    columns, faces = [skin.columns], [skin.faces]
    uv, uv_faces = [skin.uv], [skin.uv_faces]
    loops = boundary_loops(skin.faces)
    for number, loop in enumerate(loops):
        half_edges = np.array(loop)
        face, corner = half_edges // 3, half_edges % 3
        for table, values, lists in ((skin.faces, columns, faces), (skin.uv_faces, uv, uv_faces)):
            start, end = table[face, corner], table[face, (corner + 1) % 3]
            centre = np.full(len(loop), len(values[0]) + number)
            lists.append(np.stack([end, start, centre], axis=1).astype(np.int32))
            values.append(values[0][start].mean(axis=0, keepdims=True))
    new = np.arange(len(skin.columns), len(skin.columns) + len(loops), dtype=np.int32)
    closed = Skin(
        columns=np.concatenate(columns),
        faces=np.concatenate(faces),
        uv=np.concatenate(uv),
        uv_faces=np.concatenate(uv_faces),
    )
    return closed, new


def without_unused(skin: Skin) -> tuple[Skin, Int32]:
    """Drop vertices and texture coordinates that no face names; also return the kept vertices' old rows."""
    used, faces = np.unique(skin.faces, return_inverse=True)
    uv_used, uv_faces = np.unique(skin.uv_faces, return_inverse=True)
    kept = Skin(
        columns=skin.columns[used],
        faces=faces.reshape(-1, 3).astype(np.int32),
        uv=skin.uv[uv_used],
        uv_faces=uv_faces.reshape(-1, 3).astype(np.int32),
    )
    return kept, used.astype(np.int32)


def symmetric(joints: Float64) -> Float64:
    """Average joint rows (24 3 ...) with their mirror images: a mirrored pose then mirrors the joints exactly."""
    mirrored = joints[list(SMPL24_FLIP)].copy()
    mirrored[:, 0] *= -1.0
    return np.asarray((joints + mirrored) / 2.0)


def bind_rotations(joints_m: Float64) -> Float64:
    """Return B (24 3 3): each joint's rotation from the zero pose to the bind pose of `joints_m` (24 3)."""
    zero_from_bind = np.tile(np.eye(3), (24, 1, 1))
    index = {name: row for row, name in enumerate(SMPL24_NAMES)}
    for side, sign in (("left_", 1.0), ("right_", -1.0)):
        for joint, child, aim in ZERO_POSE_AIMS:
            bone_m = joints_m[index[side + child]] - joints_m[index[side + joint]]
            zero_from_bind[index[side + joint]] = rotation_between(bone_m, np.array(aim) * [sign, 1.0, 1.0])
        zero_from_bind[index[side + "hand"]] = zero_from_bind[index[side + "wrist"]]
        toes_m = (joints_m[index[side + "foot"]] - joints_m[index[side + "ankle"]]) * [1.0, 0.0, 1.0]
        turn = rotation_between(toes_m, np.array(FOOT_AIM) * [sign, 1.0, 1.0])
        zero_from_bind[index[side + "ankle"]] = zero_from_bind[index[side + "foot"]] = turn
    return np.ascontiguousarray(zero_from_bind.transpose(0, 2, 1))


def rotation_between(source: Float64, target: Float64) -> Float64:
    """Return the smallest rotation (3 3) that turns one direction into another, less than half a turn away."""
    a, b = source / np.linalg.norm(source), target / np.linalg.norm(target)
    x, y, z = np.cross(a, b)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1.0 + a @ b))


def sparse_weights(weights: Float64) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Keep the largest weights of each row (V 24), rounded, descending, summing to exactly 1."""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :WEIGHTS_KEPT]
    kept = np.take_along_axis(weights, order, axis=1)
    kept = rounded(kept / kept.sum(axis=1, keepdims=True), WEIGHT_STEP)
    kept[:, 0] += 1.0 - kept.sum(axis=1)
    again = np.argsort(-kept, axis=1, kind="stable")  # the remainder may cost the first its place
    order, kept = np.take_along_axis(order, again, axis=1), np.take_along_axis(kept, again, axis=1)
    joints = np.where(kept > 0, order, 0)
    return joints.astype(np.uint8), kept.astype(np.float32)


def rounded(values: Float64, step: float) -> Float64:
    """Round to a multiple of a power of two: such numbers repeat, and repeat pack small."""
    return np.asarray(np.round(values / step) * step)


def landmarks(vertices_m: Float64, joints_m: Float64, cornea: tuple[int, int]) -> dict[str, int]:
    """Return the vertices, by name, that joint sets need and no joint gives.

    Args:
        vertices_m: (V 3) mean body in the bind pose, whose feet point forwards.
        cornea: vertices of the left and right eye.
    """
    index = {name: row for row, name in enumerate(SMPL24_NAMES)}
    x, y, z = vertices_m.T
    head = y > joints_m[index["head"], 1]
    midline = head & (np.abs(x) < 0.004)
    found = {
        "head_top": _extreme(y, midline),
        "nose": _extreme(z, midline),
        "left_eye": cornea[0],
        "right_eye": cornea[1],
    }
    ankle_m, toes_m = joints_m[index["left_ankle"]], joints_m[index["left_foot"]]
    foot = (y < ankle_m[1]) & (x > 0)
    outward = x - ankle_m[0] - (z - ankle_m[2]) * (toes_m - ankle_m)[0] / (toes_m - ankle_m)[2]
    left = {
        "ear": _extreme(x, head),
        "heel": _extreme(-z, foot),
        "big_toe": _extreme(z, foot & (outward < 0)),
        "small_toe": _extreme(z + 2.0 * outward, foot),
    }
    for name, row in left.items():
        apart_m = np.linalg.norm(vertices_m - vertices_m[row] * [-1.0, 1.0, 1.0], axis=1)
        found |= {f"left_{name}": row, f"right_{name}": int(apart_m.argmin())}
    return found


def _extreme(along: Float64, candidates: NDArray[np.bool_]) -> int:
    return int(np.where(candidates, along, -np.inf).argmax())


def packed_body(people: Population, skin: Skin, *, components: int) -> dict[str, Any]:
    """Return the arrays of `BodyArrays`.

    Args:
        skin: faces and texture with holes; `columns` (V 24) are the blend weights.
    """
    count = people.vertices_m.shape[1]
    mean, dirs = shape_components(
        people.vertices_m, np.concatenate([people.joints_m, people.eyes_m], axis=1), components
    )
    joints_m = rounded(symmetric(mean[count:-2]), POSITION_STEP_M)
    shape = np.concatenate([mean[..., None], dirs], axis=2).reshape(len(mean), -1)
    closed, centres = capped(
        Skin(
            columns=np.concatenate([shape[:count], skin.columns], axis=1),
            faces=skin.faces,
            uv=skin.uv,
            uv_faces=skin.uv_faces,
        )
    )
    # The fans over the eye sockets bulge to where the eyeball was.
    across = closed.columns[centres, 0]
    left, right = centres[across.argmax()], centres[across.argmin()]
    width = shape.shape[1]
    closed.columns[[left, right], :width] = shape[-2:]
    final, rows = without_unused(closed)
    final_shape = final.columns[:, :width].reshape(-1, 3, components + 1)
    weight_joints, weights = sparse_weights(final.columns[:, width:])
    cornea = (int(np.searchsorted(rows, left)), int(np.searchsorted(rows, right)))
    return {
        "faces": final.faces,
        "template_m": rounded(final_shape[..., 0], POSITION_STEP_M).astype(np.float32),
        "shape_dirs_m": rounded(final_shape[..., 1:], SHAPE_STEP_M).astype(np.float16),
        "joints_m": joints_m,
        "joint_dirs_m": rounded(symmetric(dirs[count:-2]), SHAPE_STEP_M),
        "bind_rotation": bind_rotations(joints_m),
        "parents": np.array(SMPL24_PARENTS, dtype=np.int64),
        "weight_joints": weight_joints,
        "weights": weights,
        "uv": rounded(final.uv, UV_STEP).astype(np.float32),
        "uv_faces": final.uv_faces,
        "landmarks": landmarks(final_shape[..., 0], joints_m, cornea),
    }
