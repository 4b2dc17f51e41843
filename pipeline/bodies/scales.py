"""A shape space without statistics: each of the 24 segments has one size, about its own joint.

Yoshiyasu and Gamez, "Learning Body Shape and Pose from Dense Correspondences" (arXiv 1907.11955): a skeleton
with a scale per segment deforms the template. `Body.posed(..., scales=...)` applies them: a segment's vertices
and the joints of its children move away from its joint by its scale. With the zero pose, vertices and joints
are linear in the scales; all scales 1 give the template.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.body_file import JOINTS
from pipeline.bodies.model import Body

Float64 = NDArray[np.float64]

SCALE_BOUNDS = (0.6, 1.6)  # unbounded fits to adults reach negative sizes


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleBasis:
    """The zero pose as a linear function: rest + sum_j (scale_j - 1) dirs_j.

    Attributes:
        vertices_m: (V 3) at scales of 1.
        joints_m: (24 3) at scales of 1.
        vertex_dirs_m: (24 V 3).
        joint_dirs_m: (24 24 3).
    """

    vertices_m: Float64
    joints_m: Float64
    vertex_dirs_m: Float64
    joint_dirs_m: Float64


def bounded_scales(free: Any) -> Any:
    """Map any real numbers to scales within the bounds, 0 to 1: what an optimiser without bounds needs.

    Args:
        free: numpy array or torch tensor of any shape; the map is smooth and increasing.
    """
    low, high = SCALE_BOUNDS
    offset = np.arctanh(2.0 * (1.0 - low) / (high - low) - 1.0)
    shifted = 0.5 * free + offset
    tanh = np.tanh(shifted) if isinstance(shifted, np.ndarray) else shifted.tanh()
    return low + 0.5 * (high - low) * (1.0 + tanh)


def scale_basis(body: Body) -> ScaleBasis:
    """Return the linear map from scales to the zero pose at zero betas."""
    scales = np.ones((JOINTS + 1, JOINTS))
    scales[1:] += np.eye(JOINTS)
    pose_rad = np.zeros((JOINTS + 1, JOINTS, 3))
    posed = body.posed(pose_rad, np.zeros(1), np.zeros(3), scales=scales)
    return ScaleBasis(
        vertices_m=posed.vertices_m[0],
        joints_m=posed.joints_m[0],
        vertex_dirs_m=posed.vertices_m[1:] - posed.vertices_m[0],
        joint_dirs_m=posed.joints_m[1:] - posed.joints_m[0],
    )


def fit_scales(basis: ScaleBasis, vertices_m: Float64, joints_m: Float64, *, joint_weight: float) -> Float64:
    """Return the bounded scales (24,) that bring the zero pose closest to a body in the zero pose.

    Args:
        vertices_m: (V 3) of the same mesh, its pelvis where the template's is.
        joints_m: (24 3).
        joint_weight: of one joint's squared error against one vertex's.
    """
    from scipy.optimize import lsq_linear

    weight = np.sqrt(joint_weight)
    matrix = np.concatenate(
        [basis.vertex_dirs_m.reshape(JOINTS, -1), weight * basis.joint_dirs_m.reshape(JOINTS, -1)], axis=1
    )
    target = np.concatenate(
        [(vertices_m - basis.vertices_m).ravel(), weight * (joints_m - basis.joints_m).ravel()]
    )
    # The normal equations' square root: 24 rows instead of 37 thousand, the same minimum.
    root = np.linalg.cholesky(matrix @ matrix.T).T
    right = np.linalg.solve(root.T, matrix @ target)
    low, high = SCALE_BOUNDS
    return np.asarray(1.0 + lsq_linear(root, right, bounds=(low - 1.0, high - 1.0)).x)
