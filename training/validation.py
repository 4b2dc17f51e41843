"""Validation while training: the losses and the depth's error over the validation split."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import StageError
from training.checkpoint import amend_checkpoint, link, newest
from training.logs import writing
from training.losses import masked_mean
from training.recipes import Batch
from training.run import Phase
from training.session import Session, weighted
from training.tang_inputs import erode_cross

DEPTH_METRIC, LOSS_METRIC = "mae_m", "loss"  # what `best` goes by: the first where a model gives depth


def validate_if_due(session: Session) -> None:
    """Validate every so many steps and at the end of a phase, and record it in the newest checkpoint."""
    at = session.position
    due = at.step % session.run.validate_every == 0 or at.phase_step == 0
    if at.step == session.validated or not due:
        return
    phase = session.last_phase
    metrics = _metrics(session, phase)
    if not all(math.isfinite(value) for value in metrics.values()):
        raise StageError(
            f"{session.run.folder}: step {at.step}: validation must be finite, is "
            f"{', '.join(f'{key} {value:.4g}' for key, value in metrics.items())}. Lower the learning rate or "
            "clip the gradient, and begin anew."
        )
    session.validated, session.metrics = at.step, metrics
    name = LOSS_METRIC if session.recipe.predict_depth is None else DEPTH_METRIC
    is_best = _is_best(metrics[name], session.best, name, phase)
    if is_best:
        session.best = {"metric": name, "value": metrics[name], "step": at.step, "phase": phase.name}
    session.journal.add({"step": at.step, "phase": phase.name, "validation": metrics})
    figures = ", ".join(f"{key} {value:.4g}" for key, value in metrics.items())
    session.journal.say(f"step {at.step}, validation: {figures}{'; the best so far' if is_best else ''}")
    session.meter.count_other(phase.name)
    checkpoint = newest(session.run.folder) if session.ranks.leads else None
    if checkpoint is not None:
        amend_checkpoint(checkpoint, session.state())
        if is_best:
            with writing(session.run.folder / "best"):
                link(session.run.folder, "best", checkpoint)


def _metrics(session: Session, phase: Phase) -> dict[str, float]:
    """Means over the split's samples, each weighing the same: all losses, their weighted sum, the depth's error."""
    sums: dict[str, Tensor] = {}
    session.model.eval()
    with torch.no_grad():
        for number, batch in enumerate(session.samples.val()):
            batch = session.ranks.place(batch)
            inputs, targets = session.recipe.prepare(batch)
            outputs = session.model(inputs)
            figures = dict(session.recipe.losses(outputs, targets))
            figures[LOSS_METRIC] = weighted(figures, phase)
            if session.recipe.predict_depth is not None:
                depth_m = session.recipe.predict_depth(outputs)
                figures[DEPTH_METRIC] = _depth_error_m(depth_m, batch)
                if number == 0:
                    session.journal.pictures(session.position.step, batch, depth_m)
            for name, value in figures.items():
                sums[name] = sums.get(name, 0) + value * len(batch["index"])
    session.teach(phase)
    totals = session.ranks.total(torch.stack([value.double() for value in sums.values()])).tolist()
    return {name: total / session.samples.val_size for name, total in zip(sums, totals, strict=True)}


def _is_best(value: float, best: Mapping[str, Any] | None, name: str, phase: Phase) -> bool:
    # A loss is comparable within its phase alone: the next one weighs otherwise.
    if best is None or (name == LOSS_METRIC and best["phase"] != phase.name):
        return True
    return value < float(best["value"])


def _depth_error_m(depth_m: Tensor, batch: Batch) -> Tensor:
    """Mean absolute error of a depth (B H W) relative to the median, without the outermost pixels."""
    truth_m = batch["depth_m"] - batch["depth_median_m"][:, None, None]
    return masked_mean((depth_m - truth_m).abs(), erode_cross(batch["mask"]))
