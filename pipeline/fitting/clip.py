"""A whole clip at once: one shape for all frames, and motion without sudden changes.

The clip's energy is the sum of its frames' energies and of squared second differences, over time, of the joints'
angles and places (constant velocity costs nothing). Its Gauss-Newton system is banded, three frames wide, with a
border of the shared betas: solved by a banded Cholesky and a Schur complement, so time is linear in the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.fitting.fit import Fits, FitSettings, Tables, batch_of, stage_terms
from pipeline.fitting.kinematics import POSE, Unknowns, chain_of, joint_rows
from pipeline.fitting.objective import Terms, objective_of
from pipeline.fitting.observed import Observed

Float64 = NDArray[np.float64]

MOVING = POSE + 3
STENCIL = (1.0, -2.0, 1.0)
LONGEST = 120  # frames of a clip: the memory of meeting points and vertices


@dataclass(frozen=True, kw_only=True, slots=True)
class SmoothSettings:
    """Standard deviations of second differences between frames; larger smooths less.

    Attributes:
        turn_sigma_rad: of a joint's angles.
        place_sigma_m: of a joint's place in the camera frame.
        steps: of Gauss-Newton over the clip.
    """

    turn_sigma_rad: float = 0.03
    place_sigma_m: float = 0.006
    steps: int = 6


def clips_of(frames: Sequence[int], accepted: Sequence[bool], *, cameras: int = 1) -> list[list[int]]:
    """Rows of frames that can be smoothed together: one camera's, accepted, evenly apart in time, three or more.

    Args:
        frames: numbers, ascending; `cameras` film in turns, so a camera's numbers are equal modulo `cameras`.
    """
    clips: list[list[int]] = []
    for camera in range(cameras):
        mine = [row for row, frame in enumerate(frames) if frame % cameras == camera]
        apart = np.diff([frames[row] for row in mine])
        step = int(np.median(apart)) if len(apart) else 0
        clip: list[int] = []
        for row in mine:
            follows = bool(clip) and frames[row] - frames[clip[-1]] == step and len(clip) < LONGEST
            if not (accepted[row] and follows):
                clip = []
                clips.append(clip)
            if accepted[row]:
                clip.append(row)
    return [clip for clip in clips if len(clip) >= 3]


def fit_clip(
    observed: Observed, fits: Fits, tables: Tables, *, settings: FitSettings, smooth: SmoothSettings
) -> Fits:
    """Fit consecutive frames of one person jointly, from the fits of its single frames.

    Args:
        observed: all frames of the clip in order; the camera stands still or `observed` is of a moving one whose
            motion counts as the person's.

    Raises:
        ValueError: if there are fewer than three frames.
    """
    import torch

    if len(fits.betas) < 3:
        raise ValueError(f"pipeline.fitting.clip: a clip must have 3 frames or more, has {len(fits.betas)}.")
    batch = batch_of(observed, tables, settings)
    terms = stage_terms(batch, torch.arange(len(fits.betas)), tables, settings, stage=2)
    like = tables.points.weights
    at = Unknowns(
        pose_rad=like.new_tensor(_continuous(fits.pose_rad)),
        betas=like.new_tensor(np.tile(np.median(fits.betas, axis=0), (len(fits.betas), 1))),
        transl_m=like.new_tensor(fits.transl_m),
    )
    at, energy = _descend_clip(at, terms, smooth)
    pose_rad, betas, transl_m = (part.double().numpy() for part in (at.pose_rad, at.betas, at.transl_m))
    return replace(fits, pose_rad=pose_rad, betas=betas, transl_m=transl_m, energy=energy)


def _descend_clip(at: Unknowns, terms: Terms, smooth: SmoothSettings) -> tuple[Unknowns, Float64]:
    """Damped Gauss-Newton on the whole clip; a step that does not lower the energy is taken back."""
    objective = objective_of(terms)
    damping = 1e-2
    system = _clip_system(at, objective, terms, smooth)
    for _ in range(smooth.steps):
        tried = at.moved(at.betas.new_tensor(_solve(*system[2:], damping=damping)))
        new = _clip_system(tried, objective, terms, smooth)
        if np.isfinite(new[0]) and new[0] < system[0]:
            at, system, damping = tried, new, damping * 0.2
        else:
            damping *= 6.0
    return at, system[1]


def _clip_system(
    at: Unknowns, objective: object, terms: Terms, smooth: SmoothSettings
) -> tuple[float, Float64, Float64, Float64, Float64, Float64, Float64]:
    """Energy, energies (T), blocks (3 T M M) of H, its border (T M K), corner (K K), and gradients (T M) and (K)."""
    energy, hessian, gradient = (part.double().numpy() for part in objective(at))  # type: ignore[operator]
    moving = np.r_[0:POSE, hessian.shape[1] - 3 : hessian.shape[1]]
    shape = np.arange(POSE, hessian.shape[1] - 3)
    count = len(energy)
    blocks = np.zeros((3, count, MOVING, MOVING))
    blocks[0] = hessian[:, moving[:, None], moving]
    border, corner = hessian[:, moving[:, None], shape], hessian[:, shape[:, None], shape].sum(0)
    g_moving, g_shape = gradient[:, moving], gradient[:, shape].sum(0)
    features, rows = _features(at, terms, smooth)
    second = features[:-2] - 2.0 * features[1:-1] + features[2:]
    for first, a in enumerate(STENCIL):
        span = slice(first, first + count - 2)
        g_moving[span] += a * np.einsum("tfm,tf->tm", rows[span], second)
        for later in range(first, 3):
            other = rows[later : later + count - 2]
            blocks[later - first, span] += a * STENCIL[later] * (rows[span].transpose(0, 2, 1) @ other)
    total = float(energy.sum() + (second**2).sum())
    return total, energy, blocks, border, corner, g_moving, g_shape


def _features(at: Unknowns, terms: Terms, smooth: SmoothSettings) -> tuple[Float64, Float64]:
    """Angles and joint places (T F) in sigmas, and their derivatives (T F M); the shape's are left out."""
    chain = chain_of(terms.skeleton, at)
    count = len(at.betas)
    angles = at.pose_rad.double().numpy().reshape(count, POSE) / smooth.turn_sigma_rad
    places = chain.joints_m.double().numpy().reshape(count, POSE) / smooth.place_sigma_m
    turning = joint_rows(terms.skeleton, chain).double().numpy().reshape(count, POSE, POSE)
    rows = np.zeros((count, 2 * POSE, MOVING))
    rows[:, :POSE, :POSE] = np.eye(POSE) / smooth.turn_sigma_rad
    rows[:, POSE:, :POSE] = turning / smooth.place_sigma_m
    rows[:, POSE:, POSE:] = np.tile(np.eye(3), (24, 1)) / smooth.place_sigma_m
    return np.concatenate([angles, places], 1), rows


def _solve(
    blocks: Float64, border: Float64, corner: Float64, g_moving: Float64, g_shape: Float64, *, damping: float
) -> Float64:
    """The step (T U) of all unknowns that a damped system asks for; betas step alike in all frames."""
    from scipy.linalg import solveh_banded

    _, count, size, _ = blocks.shape
    band = np.zeros((3 * size, count * size))
    for apart in range(3):
        for row in range(size):
            for column in range(size):
                below = apart * size + column - row
                if below >= 0:
                    # H of frame t with frame t + apart, transposed, lies below the diagonal.
                    places = np.arange(count - apart) * size + row
                    band[below, places] = blocks[apart, : count - apart, row, column]
    band[0] *= 1.0 + damping
    size_shape = len(g_shape)
    sides = np.concatenate([g_moving.reshape(-1, 1), border.reshape(-1, size_shape)], 1)
    solved = solveh_banded(band, sides, lower=True)
    flat = border.reshape(-1, size_shape)
    schur = corner * (1.0 + damping * np.eye(size_shape)) - flat.T @ solved[:, 1:]
    shape_step = -np.linalg.solve(schur, g_shape - flat.T @ solved[:, 0])
    moving_step = (-solved[:, 0] - solved[:, 1:] @ shape_step).reshape(count, size)
    return np.concatenate([moving_step[:, :POSE], np.tile(shape_step, (count, 1)), moving_step[:, POSE:]], 1)


def _continuous(pose_rad: Float64) -> Float64:
    """The same rotations by vectors that follow each other: each is the one of its kind nearest to the last."""
    out = pose_rad.copy()
    for row in range(1, len(out)):
        angle = np.linalg.norm(out[row], axis=1, keepdims=True)
        axis = out[row] / np.maximum(angle, 1e-9)
        turns = np.round((np.sum(out[row - 1] * axis, axis=1, keepdims=True) - angle) / (2.0 * np.pi))
        out[row] += 2.0 * np.pi * turns * axis * (angle > 1e-3)
    return out
