"""The training loop: batch, losses, backward, finite check, clip, step, log, save, validate.

`train` does a whole run, or goes on where an earlier process ended, bit for bit on a CPU: the order of samples
follows from seed and epoch, and every other draw from seed, step and rank.
"""

import math
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from pipeline.errors import ManifestError, StageError
from training.checkpoint import newest
from training.distributed import device_name, joined
from training.logs import phase_row, phase_sentence, write_phases
from training.recipes import Recipe
from training.run import Phase, Run
from training.schedule import learning_rate
from training.session import Session, opened, weighted
from training.stopping import Stopped, stopping
from training.validation import validate_if_due


def train(run: Run, recipe: Recipe) -> Path:
    """Train all phases of a run, or those that are left of it; returns the run's folder.

    Raises:
        ManifestError: when RUN.json, dataset, device and checkpoint do not fit together.
        StageError: for a loss or gradient that is not finite, or a checkpoint that cannot be written.
        LockHeldError: when another process trains this run.
        Stopped: on SIGTERM or Ctrl-C, after the step and its checkpoint.
    """
    with joined(run) as ranks, stopping() as stop, opened(run, recipe, ranks, stop) as session:
        torch.set_deterministic_debug_mode("error" if ranks.device.type == "cpu" else "default")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # slow
        validate_if_due(session)  # an earlier process may have ended between a checkpoint and this
        while session.position.phase < len(run.phases):
            phase = run.phases[session.position.phase]
            _train_phase(session, phase)
            _report(session, phase)
        best = session.best
        assert best is not None  # the end of every phase is validated
        session.journal.say(
            f"{run.folder}: trained; best {best['metric']} {best['value']:.4g} at step {best['step']}"
        )
    return run.folder


def _train_phase(session: Session, phase: Phase) -> None:
    run, recipe, ranks, meter = session.run, session.recipe, session.ranks, session.meter
    optimizer = session.start_phase(phase)
    learner = ranks.share(_Learner(session, phase))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    for batch in session.samples.train(session.position):
        rate = learning_rate(phase, session.position, batches=session.samples.batches)
        for group in optimizer.param_groups:
            group["lr"] = rate
        _seed(run.seed, session.position.step, ranks.rank)

        loss, losses = learner(*recipe.prepare(ranks.place(batch)))
        optimizer.zero_grad()
        loss.backward()
        norm = get_total_norm([each.grad for each in parameters if each.grad is not None])

        figures, stopped = _agree(session, {"loss": loss, "gradient_norm": norm, **losses})
        if not all(math.isfinite(figure) for figure in figures.values()):
            raise _not_finite(session, batch, figures, losses)
        if phase.clip_norm is not None:
            clip_grads_with_norm_(parameters, phase.clip_norm, norm)
        optimizer.step()

        session.position = session.next_position(phase)
        step, over = session.position.step, session.position.phase_step == 0
        meter.count_step(phase.name, run.batch_size * ranks.count, figures)
        if over or step % run.log_every == 0:
            session.journal.add_means(step, phase.name, session.position.epoch, rate, meter.take_means())
        if over or stopped or step % run.validate_every == 0:
            session.save(optimizer)
        if stopped:
            raise Stopped(session.stop.signal or signal.SIGTERM)
        validate_if_due(session)
        meter.count_other(phase.name)


class _Learner(nn.Module):
    """Input and targets to the phase's loss, and all losses without gradient: what processes share."""

    def __init__(self, session: Session, phase: Phase) -> None:
        super().__init__()
        self.model, self._session, self._phase = session.model, session, phase
        self._amp = session.run.amp and session.ranks.device.type == "cuda"

    def forward(self, inputs: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        # bfloat16 has float32's range, so no loss scaling is needed and the finite check stays meaningful.
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=self._amp):
            outputs = self.model(inputs)
        losses = self._session.recipe.losses(outputs, targets)
        _check_names(self._session, losses)
        return weighted(losses, self._phase), {name: loss.detach() for name, loss in losses.items()}


def _seed(seed: int, step: int, rank: int) -> None:
    """Let whatever the network draws follow from run, step and rank; nothing needs to be kept for resuming."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0]))


def _agree(session: Session, figures: Mapping[str, Tensor]) -> tuple[dict[str, float], bool]:
    """Means over all ranks, and whether any of them was told to stop; one exchange a step."""
    told = float(session.stop.signal is not None)
    values = [*(value.detach().double() for value in figures.values())]
    values.append(torch.tensor(told, dtype=torch.float64, device=session.ranks.device))
    *means, stopped = session.ranks.total(torch.stack(values)).tolist()
    count = session.ranks.count
    return {name: mean / count for name, mean in zip(figures, means, strict=True)}, stopped > 0


def _check_names(session: Session, losses: Mapping[str, Tensor]) -> None:
    """Refuse a run that names a loss the recipe has not, at its first step rather than in its last phase."""
    if session.position.step > 0:
        return
    for phase in session.run.phases:
        for name in phase.losses:
            if name not in losses:
                raise ManifestError(
                    f"{session.run.path}: phase {phase.name}: losses: must be among those of "
                    f"{session.recipe.name} ({', '.join(losses)}), names {name!r}. Mend it."
                )


def _not_finite(
    session: Session, batch: Mapping[str, Any], figures: Mapping[str, float], losses: Mapping[str, Tensor]
) -> StageError:
    """What to say of it; `figures` are means over the ranks, batch and losses are this rank's own."""
    found = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
    own = all(bool(loss.isfinite()) for loss in losses.values())
    elsewhere = own and not all(math.isfinite(figures[name]) for name in losses)
    samples = (
        "another rank's, which names them" if elsewhere else session.samples.names(batch["index"].tolist())
    )
    return StageError(
        f"{session.run.folder}: step {session.position.step + 1}: losses and gradient must be finite, are "
        f"{found}; samples: {samples}. The last good checkpoint is {newest(session.run.folder)}. "
        "Lower the learning rate, clip the gradient, or look at these samples."
    )


def _report(session: Session, phase: Phase) -> None:
    """Write phases.json and say what the phase took, beside what the paper states."""
    device, paper = device_name(session.ranks.device), session.recipe.paper
    rows = [phase_row(name, clock, paper) for name, clock in session.meter.clocks.items()]
    session.journal.say(
        phase_sentence(phase_row(phase.name, session.meter.clocks[phase.name], paper), device, paper)
    )
    if session.ranks.leads:
        facts = {"device": device, "ranks": session.ranks.count, "torch": str(torch.__version__)}
        write_phases(session.run.folder, {**facts, "phases": rows, "paper": dict(paper)})
