"""Fits bodies to frames: many starts by landmarks, the best few by depth and silhouette, the best one polished.

Bogo et al., "Keep it SMPL: Automatic Estimation of 3D Human Pose and Shape from a Single Image", ECCV 2016, with
the capture's own camera instead of an assumed one, starts from all sides, and depth where there is some.
Frames are solved in batches of a fixed size, so that a frame's answer does not depend on the frames beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import JointSet
from pipeline.bodies.model import Body, default_body
from pipeline.bodies.proportions import proportions_of
from pipeline.bodies.self_collision import Capsules, fit_capsules
from pipeline.fitting.camera_start import Views, start_fits, views_of
from pipeline.fitting.constraints import Constraints
from pipeline.fitting.depth_objective import DepthTerm
from pipeline.fitting.kinematics import Points, Skeleton, skeleton_of
from pipeline.fitting.landmarks import landmark_points, landmark_weights
from pipeline.fitting.objective import LandmarkTerm, PriorTerm, Terms, objective_of
from pipeline.fitting.observed import Evidence, Observed, check_observed, depth_evidence
from pipeline.fitting.priors import PosePrior, default_prior, group_tables
from pipeline.fitting.solver import descend
from pipeline.fitting.surface import Surface, surface_of

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 16
WIDE = 3.0  # first stages forgive so many times more
COARSE_SHARE = 0.5  # of points and vertices, before the last stage


@dataclass(frozen=True, kw_only=True, slots=True)
class FitSettings:
    """How a fit weighs and searches; sigmas are standard deviations.

    Attributes:
        starts: yaw sectors of which each gives one start; divides 24.
        kept: starts that go on from the landmarks' stage; `starts` for all of them.
        steps: of Levenberg-Marquardt, for all starts, the kept ones, and the best one.
        landmark_sigma_px: noise of a landmark with confidence 1.
        landmark_robust: Geman-McClure's scale in sigmas.
        hip_weight: of hips' squared residuals; None for what the joint set says.
        shape_sigma: of the betas among the people to expect.
        tilt_sigma_rad: how well the vertical is known.
        bend_weight: of the bending prior.
        limit_sigma_rad: beyond a joint's range.
        touch_sigma_m: of capsules in each other.
        depth_points: measured points of a frame that count.
        depth_sigma_m: noise of a point, and what cloth and a coarse body add.
        depth_robust_m: Geman-McClure's scale.
        silhouette_sigma_m: of skin outside the mask.
        vertices: of the body's surface that meet measured points.
    """

    starts: int = 8
    kept: int = 3
    steps: tuple[int, int, int] = (6, 5, 6)
    landmark_sigma_px: float = 3.0
    landmark_robust: float = 10.0
    hip_weight: float | None = None
    shape_sigma: float = 0.85
    tilt_sigma_rad: float = 0.15
    bend_weight: float = 0.3
    limit_sigma_rad: float = 0.05
    touch_sigma_m: float = 0.01
    depth_points: int = 360
    depth_sigma_m: float = 0.007
    depth_robust_m: float = 0.05
    silhouette_sigma_m: float = 0.02
    vertices: int = 1500


# What depth would tell apart has to be told apart by more starts.
LANDMARKS_ALONE = FitSettings(starts=24, kept=6, steps=(4, 7, 6))


@dataclass(frozen=True, kw_only=True, slots=True)
class Fits:
    """Bodies in the camera frame.

    Attributes:
        pose_rad: (B 24 3); betas (B K); transl_m (B 3), added to the posed body.
        energy: (B), -2 log posterior up to a constant.
    """

    pose_rad: NDArray[np.float64]
    betas: NDArray[np.float64]
    transl_m: NDArray[np.float64]
    energy: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """A body, a prior and a joint set, laid out for fits."""

    skeleton: Skeleton
    points: Points
    weights: NDArray[np.float64]
    prior: PosePrior
    views: Views
    capsules: Capsules
    coarse: Surface
    fine: Surface


@lru_cache(maxsize=4)
def default_tables(joint_set_name: str, settings: FitSettings) -> Tables:
    """Lay out the default body and prior; kept for the next call, for it takes a second."""
    from pipeline.fitting.landmarks import joint_set_named

    return make_tables(default_body(), default_prior(), joint_set_named(joint_set_name), settings)


def make_tables(body: Body, prior: PosePrior, joint_set: JointSet, settings: FitSettings) -> Tables:
    """Lay out what all frames share.

    Raises:
        ValueError: if the body lacks a landmark of the set.
    """
    import torch

    skeleton = skeleton_of(body, torch.float32)
    points = landmark_points(body, joint_set, torch.float32)
    fine = surface_of(body, skeleton, settings.vertices, torch.float32)
    return Tables(
        skeleton=skeleton,
        points=points,
        weights=landmark_weights(joint_set, settings.hip_weight),
        prior=prior,
        views=views_of(prior, points, skeleton),
        capsules=fit_capsules(proportions_of(body, np.zeros(body.betas))),
        coarse=fine.first(int(settings.vertices * COARSE_SHARE)),
        fine=fine,
    )


def fit_frames(observed: Observed, tables: Tables, settings: FitSettings) -> Fits:
    """Fit one body to each frame; every frame must have landmarks, see `pipeline.fitting.acceptance`.

    Raises:
        ValueError: if a shape or a camera does not fit.
    """
    check_observed(observed)
    count = len(observed.K)
    # A batch's size steers how its sums are rounded, so the last one is filled up with its last frame.
    rows = np.minimum(np.arange(-(-count // BATCH) * BATCH), count - 1)
    parts = [
        _fit_batch(observed.rows(rows[first : first + BATCH]), tables, settings)
        for first in range(0, len(rows), BATCH)
    ]
    poses, betas, transl_m, energy = (np.concatenate(part)[:count] for part in zip(*parts, strict=True))
    return Fits(pose_rad=shortest(poses), betas=betas, transl_m=transl_m, energy=energy)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One batch as tensors; fields as in `Observed` and `Evidence`."""

    rays: Tensor
    weights: Tensor
    sigma: Tensor
    up_cam: Tensor
    K: Tensor
    evidence: dict[str, Tensor] | None


def batch_of(observed: Observed, tables: Tables, settings: FitSettings) -> Batch:
    """Turn frames into tensors of the tables' dtype; landmarks without confidence become 0."""
    like = tables.points.weights
    there = (observed.confidence > 0)[..., None]
    centred_px = observed.joints_px - observed.K[:, None, :2, 2]
    focal_px = observed.K[:, [0, 1], [0, 1]]
    rays = np.where(there, centred_px, 0.0) / focal_px[:, None]
    up_cam = np.tile([0.0, -1.0, 0.0], (len(rays), 1)) if observed.up_cam is None else observed.up_cam
    evidence = depth_evidence(observed, settings.depth_points)
    return Batch(
        rays=like.new_tensor(rays),
        weights=like.new_tensor(observed.confidence * tables.weights),
        sigma=like.new_tensor(settings.landmark_sigma_px / focal_px.mean(1)),
        up_cam=like.new_tensor(up_cam),
        K=like.new_tensor(observed.K),
        evidence=None if evidence is None else _tensors(evidence, like),
    )


def _tensors(evidence: Evidence, like: Tensor) -> dict[str, Tensor]:
    names = ("points_m", "normals", "weights", "outside_px", "z_m", "z_weights")
    return {name: like.new_tensor(getattr(evidence, name)) for name in names}


def _fit_batch(observed: Observed, tables: Tables, settings: FitSettings) -> tuple[NDArray[Any], ...]:
    import torch

    batch = batch_of(observed, tables, settings)
    count = len(batch.rays)
    frame = torch.arange(count)
    at = start_fits(
        tables.views, tables.skeleton, batch.rays, batch.weights, up_cam=batch.up_cam, starts=settings.starts
    )
    energy = batch.rays.new_zeros(len(at.betas))
    for stage, kept in enumerate((settings.starts, settings.kept, 1)):
        if stage > 0:
            order = energy.reshape(-1, count).argsort(0)[:kept]
            at = at.rows((order * count + frame).reshape(-1))
        terms = stage_terms(batch, frame.repeat(kept), tables, settings, stage=stage)
        at, energy = descend(objective_of(terms), at, steps=settings.steps[stage])
    return tuple(part.double().numpy() for part in (at.pose_rad, at.betas, at.transl_m, energy))


def stage_terms(batch: Batch, frame: Tensor, tables: Tables, settings: FitSettings, *, stage: int) -> Terms:
    """What stage 0 (landmarks, and depth at them), 1 (all, coarse) or 2 (all) weighs for these frames (S)."""
    wide = WIDE if stage == 0 else 1.0
    evidence = batch.evidence
    depth = None
    if stage > 0 and evidence is not None:
        depth = _depth_term(batch, evidence, frame, tables, settings, coarse=stage == 1)
    groups = tuple(group_tables(group, settings.tilt_sigma_rad, batch.rays) for group in tables.prior.groups)
    constraints = Constraints(
        capsules=tables.capsules,
        bend_weight=settings.bend_weight,
        limit_sigma_rad=settings.limit_sigma_rad,
        touch_sigma_m=settings.touch_sigma_m,
    )
    return Terms(
        skeleton=tables.skeleton,
        prior=PriorTerm(groups=groups, up_cam=batch.up_cam[frame], shape_sigma=settings.shape_sigma),
        landmarks=LandmarkTerm(
            points=tables.points,
            rays=batch.rays[frame],
            weights=batch.weights[frame],
            sigma=batch.sigma[frame],
            robust=wide * settings.landmark_robust,
            z_m=None if evidence is None or stage > 0 else evidence["z_m"][frame],
            z_weights=None if evidence is None or stage > 0 else evidence["z_weights"][frame],
        ),
        constraints=constraints if stage == 2 else None,
        depth=depth,
    )


def _depth_term(
    batch: Batch,
    evidence: dict[str, Tensor],
    frame: Tensor,
    tables: Tables,
    settings: FitSettings,
    *,
    coarse: bool,
) -> tuple[Surface, DepthTerm]:
    share = COARSE_SHARE if coarse else 1.0
    points = slice(int(settings.depth_points * share))
    term = DepthTerm(
        points_m=evidence["points_m"][frame, points],
        normals=evidence["normals"][frame, points],
        weights=evidence["weights"][frame, points] / share,
        sigma_m=settings.depth_sigma_m,
        robust_m=settings.depth_robust_m * (WIDE if coarse else 1.0),
        outside_px=evidence["outside_px"][frame],
        K=batch.K[frame],
        silhouette_sigma_m=settings.silhouette_sigma_m,
    )
    return (tables.coarse if coarse else tables.fine), term


def shortest(pose_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same rotations by vectors no longer than pi."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_rotvec(pose_rad.reshape(-1, 3)).as_rotvec().reshape(pose_rad.shape))
