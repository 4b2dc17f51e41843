"""2D landmarks of any joint set as points of the body, and how far each may be trusted.

Annotators and key-point networks put hips a few centimetres off the rotation centres (Bogo et al., "Keep it SMPL",
ECCV 2016, give them weight 0); here they count `HIP_WEIGHT` in sets that people annotate, and fully in the sets that
are joints of the tree by definition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import JOINT_SETS, JointSet
from pipeline.bodies.model import Body
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.fitting.kinematics import JOINTS, Points

if TYPE_CHECKING:
    import torch

HIP_WEIGHT = 0.1  # of a hip's or pelvis' squared residual
_EXACT_SETS = ("smpl24", "tang16")
_HIPS = ("left_hip", "right_hip", "pelvis", "mid_hip")


def joint_set_named(name: str) -> JointSet:
    """Return a joint set by its name.

    Raises:
        ValueError: if there is none of that name.
    """
    for joint_set in JOINT_SETS:
        if joint_set.name == name:
            return joint_set
    known = ", ".join(joint_set.name for joint_set in JOINT_SETS)
    raise ValueError(
        f"pipeline.fitting.landmarks: a joint set must be one of {known}, is {name!r}. Name one."
    )


def landmark_weights(joint_set: JointSet, hip_weight: float | None = None) -> NDArray[np.float64]:
    """Weight (J) of each landmark's squared residual beside its confidence.

    Args:
        hip_weight: of hips and pelvis; None for 1 in sets of rotation centres and `HIP_WEIGHT` in the others.
    """
    if hip_weight is None:
        hip_weight = 1.0 if joint_set.name in _EXACT_SETS else HIP_WEIGHT
    return np.array([hip_weight if name in _HIPS else 1.0 for name in joint_set.names])


def landmark_points(body: Body, joint_set: JointSet, dtype: torch.dtype) -> Points:
    """Lay out a joint set for `place_points`: each landmark is the mean of joints and surface vertices.

    Raises:
        ValueError: if the body has no landmark that the set needs, or blends shapes by pose.
    """
    rows = [_blend(body, sources) for sources in joint_set.sources]
    return points_from_blends(body, *(np.stack(part) for part in zip(*rows, strict=True)), dtype=dtype)


def points_from_blends(
    body: Body,
    weights: NDArray[Any],
    bind_m: NDArray[Any],
    bind_dirs_m: NDArray[Any],
    *,
    dtype: torch.dtype,
) -> Points:
    """Turn blends of bind-pose places into places about each joint.

    Args:
        weights: (N 24); rows sum to 1.
        bind_m: (N 24 3), weight times the bind-pose place that each joint carries; `bind_dirs_m` (N 24 3 K) likewise.
    """
    import torch

    arrays = body.arrays
    about_m = bind_m - weights[..., None] * arrays.joints_m
    about_dirs_m = bind_dirs_m - weights[..., None, None] * arrays.joint_dirs_m
    zero_from_bind = arrays.bind_rotation.transpose(0, 2, 1)
    return Points(
        weights=torch.tensor(weights, dtype=dtype),
        local_m=torch.tensor(np.einsum("jab,njb->nja", zero_from_bind, about_m), dtype=dtype),
        local_dirs_m=torch.tensor(np.einsum("jab,njbk->njak", zero_from_bind, about_dirs_m), dtype=dtype),
    )


def _blend(body: Body, sources: tuple[str, ...]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    arrays = body.arrays
    weights = np.zeros(JOINTS)
    bind_m, bind_dirs_m = np.zeros((JOINTS, 3)), np.zeros((JOINTS, 3, body.betas))
    for source in sources:
        if source in SMPL24_NAMES:
            joint = SMPL24_NAMES.index(source)
            shares, place_m, dirs_m = {joint: 1.0}, arrays.joints_m[joint], arrays.joint_dirs_m[joint]
        else:
            vertex = _vertex(body, source)
            carriers = zip(
                arrays.weight_joints[vertex].tolist(), arrays.weights[vertex].tolist(), strict=True
            )
            shares = {joint: share for joint, share in carriers if share > 0}
            place_m, dirs_m = arrays.template_m[vertex], arrays.shape_dirs_m[vertex]
        for joint, share in shares.items():
            part = share / len(sources)
            weights[joint] += part
            bind_m[joint] += part * place_m
            bind_dirs_m[joint] += part * dirs_m.astype(np.float64)
    return weights, bind_m, bind_dirs_m


def _vertex(body: Body, landmark: str) -> int:
    if landmark not in body.arrays.landmarks:
        raise ValueError(
            f"pipeline.fitting.landmarks: {body.arrays.name} must have landmark {landmark}, has "
            f"{', '.join(sorted(body.arrays.landmarks)) or 'none'}. Add landmark_{landmark} to the body file."
        )
    return int(body.arrays.landmarks[landmark])
