"""What poses and shapes are likely: mixtures of Gaussians over groups of joints, gravity, and shape.

Bogo et al., "Keep it SMPL", ECCV 2016, eq. (4): -log of a mixture by its likeliest component. Here a prior is a
product of such mixtures over disjoint groups (legs with the pelvis' tilt, spine, arms), as our pose sampler draws
them; one group of all 23 joints is SMPLify's own prior. Energies are -2 log likelihoods, so a residual of one
standard deviation costs 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.npz_file import read_npz
from pipeline.errors import InputError
from pipeline.fitting.kinematics import POSE, Unknowns, right_jacobian, skew

if TYPE_CHECKING:
    from torch import Tensor

Float64 = NDArray[np.float64]

DEFAULT_PRIOR = Path(__file__).with_name("pose_prior.npz")
GROUPS = ("legs", "spine", "arms")


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseGroup:
    """A mixture of Gaussians over the axis-angle vectors of some joints.

    Attributes:
        joints: (G); features are their 3 G angles, after the tilt where there is one.
        tilted: whether the first two features are x and z of the unit vertical in the pelvis' frame.
        weights: (C) of the components.
        means: (C D).
        covariances: (C D D).
    """

    joints: NDArray[np.int64]
    tilted: bool
    weights: Float64
    means: Float64
    covariances: Float64


@dataclass(frozen=True, kw_only=True, slots=True)
class PosePrior:
    """A product of groups, and poses drawn from what it was fitted to.

    Attributes:
        examples_rad: (M 24 3), in the body frame with the vertical along +y; may be empty.
    """

    groups: tuple[PoseGroup, ...]
    examples_rad: Float64


@cache
def default_prior() -> PosePrior:
    """The prior of our own pose sampler; read once per process."""
    return read_prior(DEFAULT_PRIOR)


def read_prior(path: Path) -> PosePrior:
    """Read a prior that `make_prior` wrote, or a mixture over all joints (weights, means (C 69), covars).

    Raises:
        InputError: `prior-missing` or `prior-malformed`.
    """
    try:
        arrays = read_npz(path)
        if "means" in arrays:
            group = _group(arrays, {"weights": "weights", "means": "means", "covariances": "covars"})
            # The examples of another's mixture are its means.
            examples = np.concatenate([np.zeros((len(group.means), 1, 3)), group.means.reshape(-1, 23, 3)], 1)
            return PosePrior(groups=(group,), examples_rad=examples)
        groups = [
            _group(arrays, {part: f"{name}_{part}" for part in ("joints", "weights", "means", "covariances")})
            for name in GROUPS
        ]
        return PosePrior(groups=tuple(groups), examples_rad=arrays["examples_rad"].astype(np.float64))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            "prior-missing", f"{path}: must be a readable pose prior, is not ({reason})."
        ) from error
    except (KeyError, ValueError) as error:
        message = f"{path}: must hold weights, means (C 69) and covars (C 69 69) of a pose mixture, does not ({error})."
        raise InputError("prior-malformed", message) from error


def _group(arrays: dict[str, NDArray[Any]], names: dict[str, str]) -> PoseGroup:
    joints = arrays[names["joints"]].astype(np.int64) if "joints" in names else np.arange(1, 24)
    weights, means, covariances = (
        arrays[names[part]].astype(np.float64) for part in ("weights", "means", "covariances")
    )
    size = means.shape[-1]
    if size - 3 * len(joints) not in (0, 2) or means.shape != (len(weights), size):
        raise ValueError(f"means are {means.shape} for {len(joints)} joints and {len(weights)} components")
    if covariances.shape != (len(weights), size, size):
        raise ValueError(f"covariances are {covariances.shape}")
    if not all(np.isfinite(part).all() for part in (weights, means, covariances)) or weights.min() <= 0:
        raise ValueError("a weight is not positive, or a number not finite")
    np.linalg.cholesky(covariances)  # raises LinAlgError, a ValueError, unless positive definite
    return PoseGroup(
        joints=joints,
        tilted=size > 3 * len(joints),
        weights=weights / weights.sum(),
        means=means,
        covariances=covariances,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupTables:
    """A group as tensors; `columns` are its angles' places among the unknowns."""

    columns: Tensor
    tilted: bool
    means: Tensor
    roots: Tensor
    precisions: Tensor
    constants: Tensor


def group_tables(group: PoseGroup, tilt_sigma_rad: float, like: Tensor) -> GroupTables:
    """Prepare a group for a vertical that is known to `tilt_sigma_rad`."""
    covariances = group.covariances.copy()
    if group.tilted:
        covariances[:, [0, 1], [0, 1]] += tilt_sigma_rad**2
    precisions = np.linalg.inv(covariances)
    constants = np.linalg.slogdet(covariances)[1] - 2.0 * np.log(group.weights)
    columns = (3 * group.joints[:, None] + np.arange(3)).ravel()
    return GroupTables(
        columns=like.new_tensor(columns).long(),
        tilted=group.tilted,
        means=like.new_tensor(group.means),
        roots=like.new_tensor(np.linalg.cholesky(precisions)),
        precisions=like.new_tensor(precisions),
        # The likeliest place of all costs 0.
        constants=like.new_tensor(constants - constants.min()),
    )


def add_group(
    group: GroupTables, at: Unknowns, up_cam: Tensor, root_turn: Tensor, normal: tuple[Tensor, Tensor]
) -> Tensor:
    """Add a group's normal equations in place and return its energy (B), that of the likeliest component.

    Args:
        up_cam: (B 3) unit vertical in the camera frame.
        root_turn: (B 3 3) the pelvis' rotation.
        normal: H (B U U) and g (B U): the energy is E + 2 g d + d H d to second order.
    """
    import torch

    count = len(at.pose_rad)
    features = at.pose_rad.reshape(count, POSE)[:, group.columns]
    if group.tilted:
        tilt = (root_turn.transpose(1, 2) @ up_cam[..., None])[..., 0]
        features = torch.cat([tilt[:, [0, 2]], features], 1)
    apart = features[None] - group.means[:, None]
    costs = ((apart @ group.roots) ** 2).sum(-1) + group.constants[:, None]
    energy, chosen = costs.min(0)
    precision = group.precisions[chosen]
    pull = (precision @ apart[chosen, torch.arange(count)][..., None])[..., 0]
    hessian, gradient = normal
    if group.tilted:
        turning = (skew(tilt) @ right_jacobian(at.pose_rad[:, 0]))[:, [0, 2]]
        jacobian = torch.zeros(count, len(group.columns) + 2, len(group.columns) + 3, dtype=features.dtype)
        jacobian[:, :2, :3] = turning
        jacobian[:, 2:, 3:] = torch.eye(len(group.columns), dtype=features.dtype)
        precision = jacobian.transpose(1, 2) @ precision @ jacobian
        pull = (jacobian.transpose(1, 2) @ pull[..., None])[..., 0]
        columns = torch.cat([torch.arange(3), group.columns])
    else:
        columns = group.columns
    hessian[:, columns[:, None], columns] += precision
    gradient[:, columns] += pull
    return energy
