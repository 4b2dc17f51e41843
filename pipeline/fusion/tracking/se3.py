"""Small motions of rigid transforms: twists (rotation in rad, translation in m) and what they do.

Solà, Deray and Atchuthan, "A micro Lie theory for state estimation in robotics", 2018, equations (136) to (181),
with the rotation before the translation.
"""

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

SMALL_RAD = 1e-6  # below it, series of two terms are exact to float64


def cross_matrix(vectors: Float64) -> Float64:
    """Matrices (... 3 3) with `cross_matrix(a) @ b = a x b`."""
    matrices = np.zeros((*vectors.shape, 3))
    matrices[..., 0, 1], matrices[..., 0, 2] = -vectors[..., 2], vectors[..., 1]
    matrices[..., 1, 0], matrices[..., 1, 2] = vectors[..., 2], -vectors[..., 0]
    matrices[..., 2, 0], matrices[..., 2, 1] = -vectors[..., 1], vectors[..., 0]
    return matrices


def transform_of(twists: Float64) -> Float64:
    """Rigid transforms (... 4 4) of twists (... 6): the exponential map."""
    turn = twists[..., :3]
    angle = np.linalg.norm(turn, axis=-1)[..., None, None]
    safe = np.maximum(angle, SMALL_RAD)
    small = angle < SMALL_RAD
    K = cross_matrix(turn)
    a = np.where(small, 1 - angle**2 / 6, np.sin(safe) / safe)
    b = np.where(small, 0.5 - angle**2 / 24, (1 - np.cos(safe)) / safe**2)
    c = np.where(small, 1 / 6 - angle**2 / 120, (safe - np.sin(safe)) / safe**3)
    found = np.zeros((*twists.shape[:-1], 4, 4))
    found[..., :3, :3] = np.eye(3) + a * K + b * (K @ K)
    along = np.eye(3) + b * K + c * (K @ K)
    found[..., :3, 3] = np.einsum("...ij,...j->...i", along, twists[..., 3:])
    found[..., 3, 3] = 1
    return found


def twist_of(transforms: Float64) -> Float64:
    """Twists (... 6) of rigid transforms (... 4 4): the logarithm, rotations up to pi."""
    from scipy.spatial.transform import Rotation

    lead = transforms.shape[:-2]
    flat = transforms.reshape(-1, 4, 4)
    turn = Rotation.from_matrix(flat[:, :3, :3]).as_rotvec()
    angle = np.linalg.norm(turn, axis=-1)[:, None, None]
    safe = np.maximum(angle, SMALL_RAD)
    K = cross_matrix(turn)
    c = np.where(
        angle < SMALL_RAD,
        1 / 12,
        1 / safe**2 - (1 + np.cos(safe)) / (2 * safe * np.maximum(np.sin(safe), 1e-12)),
    )
    back = np.eye(3) - 0.5 * K + c * (K @ K)
    shift = np.einsum("nij,nj->ni", back, flat[:, :3, 3])
    return np.asarray(np.concatenate([turn, shift], axis=1).reshape(*lead, 6), dtype=np.float64)


def adjoint(transforms: Float64) -> Float64:
    """Matrices (... 6 6) that carry twists through: T exp(x) T^-1 = exp(adjoint(T) @ x)."""
    found = np.zeros((*transforms.shape[:-2], 6, 6))
    rotation = transforms[..., :3, :3]
    found[..., :3, :3] = found[..., 3:, 3:] = rotation
    found[..., 3:, :3] = cross_matrix(transforms[..., :3, 3]) @ rotation
    return found
