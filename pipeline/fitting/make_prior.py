"""Makes `pose_prior.npz`: `python -m pipeline.fitting.make_prior`. Mixtures fitted to our own pose sampler by EM."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import default_body
from pipeline.bodies.npz_file import write_npz
from pipeline.bodies.pose_sampler import draw_poses
from pipeline.bodies.proportions import proportions_of
from pipeline.bodies.skeleton import SMPL24_NAMES
from pipeline.bodies.skinning import rotation_matrices
from pipeline.fitting.priors import DEFAULT_PRIOR, GROUPS
from pipeline.seeds import stream
from pipeline.simulation.identity import draw_identity

Float64 = NDArray[np.float64]

SEED = 20_000  # of no data set: those count from 0
IDENTITIES, POSES_EACH = 96, 128
COMPONENTS = {"legs": 32, "spine": 8, "arms": 24}
EXAMPLES = 3072
ROUNDS = 40
LEAST_SIGMA_RAD = 0.03  # no joint is as stiff as the sampler's fixed ones
_ARMS = ("collar", "shoulder", "elbow", "wrist", "hand")
_LEGS = ("hip", "knee", "ankle", "foot")


def group_joints(name: str) -> NDArray[np.int64]:
    """Joints of a group of `GROUPS`."""
    kinds = {"legs": _LEGS, "arms": _ARMS, "spine": ("spine1", "spine2", "spine3", "neck", "head")}[name]
    return np.array([joint for joint, full in enumerate(SMPL24_NAMES) if full.endswith(kinds)])


def sampled_poses(identities: int, poses_each: int) -> Float64:
    """Draw poses (N 24 3) of many identities."""
    drawn = []
    for index in range(identities):
        rng = stream(SEED, "pose prior", str(index))
        proportions = proportions_of(default_body(), draw_identity(rng).betas)
        drawn.append(draw_poses(rng, poses_each, proportions).pose_rad)
    return np.concatenate(drawn)


def group_features(pose_rad: Float64, name: str) -> Float64:
    """Features (N D) of a group; legs come with the pelvis' tilt."""
    angles = pose_rad[:, group_joints(name)].reshape(len(pose_rad), -1)
    if name != "legs":
        return np.asarray(angles)
    vertical = rotation_matrices(pose_rad[:, 0], np)[:, 1]
    return np.concatenate([vertical[:, [0, 2]], angles], 1)


def fit_mixture(features: Float64, components: int) -> tuple[Float64, Float64, Float64]:
    """Fit weights (C), means (C D) and covariances (C D D) by expectation maximisation from k-means.

    Covariances shrink to their diagonal by the share of D among a component's members, and get a least variance.
    """
    from scipy.cluster.vq import kmeans2

    _, label = kmeans2(features, components, minit="++", seed=np.random.default_rng(SEED), iter=30)
    shares = np.eye(components)[label]
    for _ in range(ROUNDS):
        weights, means, covariances = _maximised(features, shares)
        apart = features[None] - means[:, None]
        roots = np.linalg.cholesky(np.linalg.inv(covariances))
        likelihood = -0.5 * ((apart @ roots) ** 2).sum(-1) - 0.5 * np.linalg.slogdet(covariances)[1][:, None]
        likelihood = (likelihood + np.log(weights)[:, None]).T
        shares = np.exp(likelihood - likelihood.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
    return _maximised(features, shares)


def _maximised(features: Float64, shares: Float64) -> tuple[Float64, Float64, Float64]:
    count, size = features.shape
    members = shares.sum(0) + 1e-9
    means = shares.T @ features / members[:, None]
    covariances = np.zeros((len(members), size, size))
    for index, member in enumerate(members):
        apart = features - means[index]
        full = (shares[:, index, None] * apart).T @ apart / member
        shrink = size / (size + member)
        covariances[index] = (1.0 - shrink) * full + shrink * np.diag(np.diag(full))
        covariances[index] += LEAST_SIGMA_RAD**2 * np.eye(size)
    return members / count, means, covariances


def make_prior(path: Path) -> None:
    """Draw poses, fit the groups and write the file."""
    pose_rad = sampled_poses(IDENTITIES, POSES_EACH)
    arrays: dict[str, NDArray[Any]] = {}
    for name in GROUPS:
        weights, means, covariances = fit_mixture(group_features(pose_rad, name), COMPONENTS[name])
        arrays |= {
            f"{name}_joints": group_joints(name),
            f"{name}_weights": weights,
            f"{name}_means": means.astype(np.float32),
            f"{name}_covariances": covariances.astype(np.float32),
        }
    arrays["examples_rad"] = pose_rad[:: len(pose_rad) // EXAMPLES][:EXAMPLES].astype(np.float16)
    write_npz(path, arrays)


if __name__ == "__main__":
    make_prior(DEFAULT_PRIOR)
