"""Fits of a whole capture: batch by batch in the order of its frames, then clip by clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.bodies.model import Body
from pipeline.fitting.acceptance import (
    AcceptSettings,
    Judged,
    depth_residual_m,
    fit_and_judge,
    landmark_residual_px,
    residual_findings,
)
from pipeline.fitting.clip import SmoothSettings, fit_clip
from pipeline.fitting.fit import BATCH, Fits, FitSettings, Tables, shortest
from pipeline.fitting.observed import Observed

Observe = Callable[[Sequence[int]], Observed]


@dataclass(frozen=True, kw_only=True, slots=True)
class How:
    """What all fits of a capture share; `body` and `settings` are those of `tables`."""

    body: Body
    tables: Tables
    settings: FitSettings
    limits: AcceptSettings


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: more do not pay at this size, and sums would depend on their number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def judge_in_batches(observe: Observe, count: int, how: How, *, progress: Callable[[int], None]) -> Judged:
    """Fit and judge frames 0 to `count` as `fit_and_judge` does, without holding all their depth at once.

    Args:
        observe: from rows to what was seen in them.
        progress: called with the number of frames that are done.
    """
    parts = []
    for first in range(0, count, BATCH):
        rows = range(first, min(first + BATCH, count))
        parts.append(
            fit_and_judge(observe(rows), how.body, how.tables, settings=how.settings, limits=how.limits)
        )
        progress(rows.stop)
    names = ("pose_rad", "betas", "transl_m", "energy")
    return Judged(
        fits=Fits(**{name: np.concatenate([getattr(part.fits, name) for part in parts]) for name in names}),
        accepted=np.concatenate([part.accepted for part in parts]),
        landmark_px=np.concatenate([part.landmark_px for part in parts]),
        depth_m=np.concatenate([part.depth_m for part in parts]),
        findings=tuple(finding for part in parts for finding in part.findings),
    )


def smooth_clips(
    observe: Observe, judged: Judged, clips: Sequence[Sequence[int]], how: How, smooth: SmoothSettings
) -> Judged:
    """Fit clips of accepted rows jointly, and judge their residuals again."""
    fits = {name: getattr(judged.fits, name).copy() for name in ("pose_rad", "betas", "transl_m", "energy")}
    accepted, landmark_px = judged.accepted.copy(), judged.landmark_px.copy()
    depth_m, findings = judged.depth_m.copy(), list(judged.findings)
    for clip in clips:
        rows, observed = np.array(clip), observe(clip)
        before = Fits(**{name: array[rows] for name, array in fits.items()})
        after = fit_clip(observed, before, how.tables, settings=how.settings, smooth=smooth)
        after = replace(after, pose_rad=shortest(after.pose_rad))
        for name, array in fits.items():
            array[rows] = getattr(after, name)
        landmark_px[rows] = landmark_residual_px(observed, after, how.body, how.tables)
        depth_m[rows] = _depth_m(observed, after, how)
        for place, row in enumerate(clip):
            found = residual_findings(observed, place, landmark_px[row], depth_m[row], how.limits)
            accepted[row] = not found
            findings += found
    return Judged(
        fits=Fits(**fits),
        accepted=accepted,
        landmark_px=landmark_px,
        depth_m=depth_m,
        findings=tuple(findings),
    )


def _depth_m(observed: Observed, fits: Fits, how: How) -> NDArray[np.float64]:
    parts = []
    for first in range(0, len(fits.energy), BATCH):
        rows = slice(first, first + BATCH)
        some = Fits(
            pose_rad=fits.pose_rad[rows],
            betas=fits.betas[rows],
            transl_m=fits.transl_m[rows],
            energy=fits.energy[rows],
        )
        parts.append(depth_residual_m(observed.rows(rows), some, how.tables, how.settings))
    return np.concatenate(parts)
