"""Which frames can be fitted, and which fits may be used: measured, with a reason where not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.joints import joints_of
from pipeline.bodies.model import Body
from pipeline.cameras import project
from pipeline.fitting.fit import Fits, FitSettings, Tables, batch_of, fit_frames, stage_terms
from pipeline.fitting.kinematics import Unknowns, chain_of
from pipeline.fitting.observed import Observed, check_observed
from pipeline.gates.finding import Finding

Float64 = NDArray[np.float64]

CONFIDENT = 0.3  # least confidence of a landmark that a gate looks at
OFF_MASK_SHARE = 0.08  # of the person's extent: a landmark so far from the mask is not on it


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptSettings:
    """Limits; shares are of the larger side of the box about the landmarks.

    Attributes:
        min_confidence: least sum of the confidences.
        min_person_px: least side of the box about the landmarks.
        max_landmark_share: of the weighted root mean square reprojection error.
        max_depth_m: of the median distance of measured points from the body.
        max_off_mask: of the share of landmarks that lie off the mask.
        max_energy: of the fit's energy per residual, of which a landmark has two and a measured point one.
        mirrored_energy: energy per residual from which on the fit is tried with left and right exchanged.
        mirrored_gain: share of its energy below which that other fit shows that sides were exchanged.
    """

    min_confidence: float = 6.0
    min_person_px: float = 24.0
    max_landmark_share: float = 0.05
    max_depth_m: float = 0.03
    max_off_mask: float = 0.3
    max_energy: float = 6.0
    mirrored_energy: float = 2.0
    mirrored_gain: float = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """Fits with their residuals; rows that are not accepted hold 0 where nothing could be fitted.

    Attributes:
        fits: of all frames, camera frame.
        accepted: (B).
        landmark_px: (B) weighted root mean square reprojection error; -1 unfitted.
        depth_m: (B) median distance of measured points from the body; -1 without depth.
        findings: one row per limit that a frame broke.
    """

    fits: Fits
    accepted: NDArray[np.bool_]
    landmark_px: Float64
    depth_m: Float64
    findings: tuple[Finding, ...]


def fit_and_judge(
    observed: Observed,
    body: Body,
    tables: Tables,
    *,
    settings: FitSettings,
    limits: AcceptSettings,
) -> Judged:
    """Fit every frame that can be fitted and judge the fits; nothing in the answer is ever NaN.

    Raises:
        ValueError: if a shape or a camera does not fit.
    """
    check_observed(observed)
    findings = unfit_findings(observed, limits)
    stopped = {finding.frame for finding in findings}
    numbers = observed.numbers()
    rows = np.flatnonzero([number not in stopped for number in numbers])
    fits = _empty_fits(len(numbers), body.betas)
    landmark_px, depth_m = np.full((2, len(numbers)), -1.0)
    if len(rows):
        part = observed.rows(rows)
        found = fit_frames(part, tables, settings)
        landmark_px[rows] = landmark_residual_px(part, found, body, tables)
        depth_m[rows] = depth_residual_m(part, found, tables, settings)
        for name in ("pose_rad", "betas", "transl_m", "energy"):
            getattr(fits, name)[rows] = getattr(found, name)
        findings += _energy_findings(part, found, tables, settings, limits)
        for row in rows:
            findings += residual_findings(observed, row, landmark_px[row], depth_m[row], limits)
    broken = {finding.frame for finding in findings}
    return Judged(
        fits=fits,
        accepted=np.array([number not in broken for number in numbers], dtype=np.bool_),
        landmark_px=landmark_px,
        depth_m=depth_m,
        findings=tuple(findings),
    )


def unfit_findings(observed: Observed, limits: AcceptSettings) -> list[Finding]:
    """Why frames cannot be fitted at all, one row each."""
    found = []
    for row, frame in enumerate(observed.numbers()):
        confidence, joints_px = observed.confidence[row], observed.joints_px[row]
        there = confidence > 0
        malformed = int((~np.isfinite(joints_px[there])).any(1).sum() + (~np.isfinite(confidence)).sum())
        if malformed or confidence.min() < 0 or confidence.max() > 1:
            found.append(_finding(frame, "landmarks-malformed", float(malformed), 0.0, "1", "landmarks that are "
                "not finite, or have a confidence outside 0 to 1", "Check the landmarks' source"))  # fmt: skip
            continue
        total = float(confidence.sum())
        if total < limits.min_confidence:
            found.append(_finding(frame, "low-confidence", total, limits.min_confidence, "1",
                "sum of the landmarks' confidences", "Lower stages.fit.min_confidence to fit it"))  # fmt: skip
            continue
        side_px = person_side_px(observed, row)
        if side_px < limits.min_person_px:
            found.append(_finding(frame, "person-too-small", side_px, limits.min_person_px, "px",
                "larger side of the box about the landmarks", "Lower stages.fit.min_person_px to fit it"))  # fmt: skip
    return found


def person_side_px(observed: Observed, row: int) -> float:
    """Larger side of the box about the landmarks that are there."""
    there = observed.joints_px[row][observed.confidence[row] > 0]
    return float(np.ptp(there, axis=0).max()) if len(there) else 0.0


def landmark_residual_px(observed: Observed, fits: Fits, body: Body, tables: Tables) -> Float64:
    """Root mean square distance (B) of landmarks from their reprojection, weighted as in the fit."""
    posed = body.posed(fits.pose_rad, fits.betas, fits.transl_m)
    joints_m = joints_of(body, posed, observed.joint_set)
    there = observed.confidence > 0
    residual_px = np.zeros(len(joints_m))
    for row, K in enumerate(observed.K):
        apart_px = (project(joints_m[row], K) - observed.joints_px[row])[there[row]]
        weights = (observed.confidence[row] * tables.weights)[there[row]]
        residual_px[row] = np.sqrt((weights * (apart_px**2).sum(1)).sum() / weights.sum())
    return residual_px


def depth_residual_m(observed: Observed, fits: Fits, tables: Tables, settings: FitSettings) -> Float64:
    """Median distance (B) of measured points from the fitted surface; -1 in frames without depth."""
    import torch

    from pipeline.fitting.depth_objective import point_distances

    if observed.depth_m is None:
        return np.full(len(fits.energy), -1.0)
    batch = batch_of(observed, tables, settings)
    terms = stage_terms(batch, torch.arange(len(fits.energy)), tables, settings, stage=2)
    assert terms.depth is not None
    surface, term = terms.depth
    like = term.points_m
    at = Unknowns(
        pose_rad=like.new_tensor(fits.pose_rad),
        betas=like.new_tensor(fits.betas),
        transl_m=like.new_tensor(fits.transl_m),
    )
    distance_m = point_distances(term, surface, chain_of(tables.skeleton, at), at).abs().double().numpy()
    weights = term.weights.numpy() > 0
    return np.array(
        [float(np.median(d[w])) if w.any() else -1.0 for d, w in zip(distance_m, weights, strict=True)]
    )


def residual_findings(
    observed: Observed, row: int, landmark_px: float, depth_m: float, limits: AcceptSettings
) -> list[Finding]:
    """The limits that a fit's residuals break, one row each."""
    frame = observed.numbers()[row]
    found = []
    limit_px = limits.max_landmark_share * person_side_px(observed, row)
    if landmark_px > limit_px:
        found.append(_finding(frame, "landmark-residual", landmark_px, limit_px, "px",
            "root mean square distance of landmarks from the body", "Look at the landmarks"))  # fmt: skip
    if depth_m > limits.max_depth_m:
        found.append(_finding(frame, "depth-residual", depth_m, limits.max_depth_m, "m",
            "median distance of the depth from the body", "Look whether both show one person"))  # fmt: skip
    share = off_mask_share(observed, row)
    if share > limits.max_off_mask:
        found.append(_finding(frame, "landmarks-off-mask", share, limits.max_off_mask, "1",
            "share of the landmarks that lie beside the mask", "Look whether both show one person"))  # fmt: skip
    return found


def _energy_findings(
    observed: Observed, fits: Fits, tables: Tables, settings: FitSettings, limits: AcceptSettings
) -> list[Finding]:
    """Fits that nobody's body explains, and those that the other side's names explain far better."""
    residuals = 2.0 * (observed.confidence * tables.weights).sum(1)
    if observed.depth_m is not None and observed.mask is not None:
        residuals += settings.depth_points * (observed.mask & (observed.depth_m > 0)).any((1, 2))
    share = fits.energy / residuals
    numbers, found = observed.numbers(), []
    suspects = np.flatnonzero(share > limits.mirrored_energy)
    if len(suspects):
        flip = list(observed.joint_set.flip)
        part = observed.rows(suspects)
        other = replace(part, joints_px=part.joints_px[:, flip], confidence=part.confidence[:, flip])
        gains = fit_frames(other, tables, settings).energy / fits.energy[suspects]
        found += [_finding(numbers[row], "landmarks-mirrored", float(gain), limits.mirrored_gain, "1",
            "energy with left and right exchanged, as a share of the energy as given,",
            "Exchange the landmarks' sides")
            for row, gain in zip(suspects, gains, strict=True) if gain < limits.mirrored_gain]  # fmt: skip
    mirrored = {finding.frame for finding in found}
    found += [_finding(numbers[row], "fit-unlikely", float(share[row]), limits.max_energy, "1",
        "energy of the fit per residual", "Look at landmarks and depth")
        for row in np.flatnonzero(share > limits.max_energy) if numbers[row] not in mirrored]  # fmt: skip
    return found


def off_mask_share(observed: Observed, row: int) -> float:
    """Share of confident landmarks that lie in the image and off the person's mask; 0 without a mask."""
    if observed.mask is None or not observed.mask[row].any():
        return 0.0
    import cv2

    mask = observed.mask[row]
    far_px = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    joints_px = observed.joints_px[row][observed.confidence[row] >= CONFIDENT]
    if not len(joints_px):
        return 0.0
    u, v = np.round(np.clip(joints_px, -1e6, 1e6)).astype(int).T
    seen = (u >= 0) & (u < mask.shape[1]) & (v >= 0) & (v < mask.shape[0])
    limit_px = OFF_MASK_SHARE * person_side_px(observed, row)
    return float((far_px[v[seen], u[seen]] > limit_px).sum() / len(joints_px))


def _finding(frame: int, reason: str, value: float, limit: float, unit: str, what: str, then: str) -> Finding:
    message = f"frame {frame}: {what} must keep to {limit:.3g} {unit}, is {value:.3g} {unit}. Left out; {then.lower()}."
    return Finding(frame=frame, reason=reason, value=value, unit=unit, limit=limit, message=message)


def _empty_fits(count: int, betas: int) -> Fits:
    return Fits(
        pose_rad=np.zeros((count, 24, 3)),
        betas=np.zeros((count, betas)),
        transl_m=np.zeros((count, 3)),
        energy=np.zeros(count),
    )
