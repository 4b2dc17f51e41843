"""A run under way: what it works with, how it begins or goes on, and what it records of itself."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer, RMSprop

from pipeline.checksums import describe_file
from pipeline.errors import LockHeldError, ManifestError
from training import checkpoint as checkpoints
from training.distributed import Ranks
from training.loading import Samples
from training.logs import Journal, writing
from training.meter import Meter
from training.recipes import Recipe
from training.run import Init, Phase, Run
from training.schedule import Position, advance
from training.stopping import Stop

ADAM_BETAS = (0.9, 0.999)
DEPTH_FIELDS = ("image", "mask", "depth_m", "depth_median_m")  # what validation of a depth reads as well


@dataclass
class Session:
    """All that the loop works with.

    Attributes:
        origin: the checkpoint that this process went on from; its optimiser state is still to be loaded.
        validated: step of the last validation; `metrics` are what it found.
        best: metric, value and step of the best validation so far.
    """

    run: Run
    recipe: Recipe
    ranks: Ranks
    stop: Stop
    samples: Samples
    model: nn.Module
    journal: Journal
    origin: Path | None = None
    position: Position = Position()
    meter: Meter = field(default_factory=Meter)
    validated: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    best: dict[str, Any] | None = None

    @property
    def last_phase(self) -> Phase:
        """The phase of the step that was done last."""
        at = self.position
        return self.run.phases[at.phase - (at.phase_step == 0 and at.step > 0)]

    def start_phase(self, phase: Phase) -> Optimizer:
        """Load the phase's first weights, set which parts learn, and make its optimiser."""
        begins = self.position.phase_step == 0
        if begins and phase.init is not None:
            _check_init(self.run, phase, phase.init)
            checkpoints.load_weights(phase.init.checkpoint, self.model)
        self.teach(phase)
        optimizer = _optimizer(self.model, phase)
        if self.origin is not None and not begins:
            checkpoints.load_optimizer(self.origin, optimizer, self.model)
        self.origin = None
        return optimizer

    def teach(self, phase: Phase) -> None:
        """Let the phase's parts learn; the others keep weights and batch statistics."""
        self.model.train(phase.train is None).requires_grad_(phase.train is None)
        for part in phase.train or ():
            self.model.get_submodule(part).train().requires_grad_()

    def next_position(self, phase: Phase) -> Position:
        """Where the run stands after one more step."""
        return advance(self.position, phase, batches=self.samples.batches, ranks=self.ranks.count)

    def save(self, optimizer: Optimizer) -> None:
        """Write a checkpoint of this moment."""
        if self.ranks.leads:
            checkpoints.save_checkpoint(
                self.run.folder,
                model=self.model,
                optimizer=optimizer,
                state=self.state(),
                keep=self.run.keep_last,
            )

    def state(self) -> dict[str, Any]:
        """What state.json holds."""
        return {
            "model": _model_facts(self.run, self.recipe),
            "run": self.run.folder.name,
            "datasets": self.samples.fingerprints,
            "seed": self.run.seed,
            "step": self.position.step,
            "phase": self.last_phase.name,
            "epoch": self.position.epoch,
            "position": asdict(self.position),
            "window": self.meter.window,
            "clocks": self.meter.clocks,
            "validated": self.validated,
            "metrics": self.metrics,
            "best": self.best,
            "code": checkpoints.code_version(),
        }


@contextmanager
def opened(run: Run, recipe: Recipe, ranks: Ranks, stop: Stop) -> Iterator[Session]:
    """Begin a run, or go on from its newest checkpoint.

    Raises:
        ManifestError: when RUN.json, dataset and checkpoint do not fit together.
        LockHeldError: when another process trains this run.
    """
    depth = DEPTH_FIELDS if recipe.predict_depth is not None else ()
    val_fields = tuple(dict.fromkeys((*recipe.fields, *depth)))
    model = _model(run, recipe)  # before the samples: it refuses options that a view could not take
    view = None if recipe.view is None else recipe.view({**recipe.defaults, **run.options})
    samples = Samples(run, ranks, fields=recipe.fields, val_fields=val_fields, view=view)
    with _alone(run, ranks):
        origin = checkpoints.newest(run.folder)
        state = None if origin is None else _state(origin, run, recipe, samples)
        if origin is not None:
            checkpoints.load_weights(origin, model)
        journal = Journal(run.folder, step=state["step"] if state else 0, leads=ranks.leads)
        journal.say(f"{run.folder}: {f'goes on from {origin.name}' if origin else 'begins'}")
        try:
            yield Session(
                run=run,
                recipe=recipe,
                ranks=ranks,
                stop=stop,
                samples=samples,
                model=model.to(ranks.device),
                journal=journal,
                origin=origin,
                **(_restored(state, ranks) if state else {}),
            )
        finally:
            journal.close()


def weighted(losses: Mapping[str, Tensor], phase: Phase) -> Tensor:
    """The sum that the phase minimises."""
    return torch.stack([weight * losses[name] for name, weight in phase.losses.items()]).sum()


def _state(origin: Path, run: Run, recipe: Recipe, samples: Samples) -> dict[str, Any]:
    """A checkpoint's state, if it is one of this run."""
    state = checkpoints.read_state(origin)
    if state["model"] != _model_facts(run, recipe):
        raise ManifestError(
            f"{origin}: must be a checkpoint of {_model_facts(run, recipe)}, is one of {state['model']}. "
            f"Move {run.folder} away to begin anew."
        )
    foreign = set(state["datasets"]) - set(samples.fingerprints) - set(run.accept_fingerprints)
    if foreign:
        raise ManifestError(
            f"{origin}: must have been trained on dataset {', '.join(samples.fingerprints)}, was on "
            f"{', '.join(sorted(foreign))}. Begin anew, or add that to accept_fingerprints in {run.path}."
        )
    return state


def _restored(state: Mapping[str, Any], ranks: Ranks) -> dict[str, Any]:
    position = Position(**state["position"])
    # With another number of ranks some batches come again rather than never.
    position = replace(position, batch=position.batch - position.batch % ranks.count)
    return {
        "position": position,
        "meter": Meter(window=state["window"], clocks=state["clocks"]),
        **{key: state[key] for key in ("validated", "metrics", "best")},
    }


def _model(run: Run, recipe: Recipe) -> nn.Module:
    """The model with its first weights, which follow from the run's seed."""
    torch.manual_seed(run.seed)
    try:
        model = recipe.build(run.options)
    except (TypeError, ValueError) as error:
        raise ManifestError(f"{run.path}: model.options: {error}") from error
    for phase in run.phases:
        for part in phase.train or ():
            if part not in recipe.parts:
                known = ", ".join(recipe.parts)
                raise ManifestError(
                    f"{run.path}: phase {phase.name}: train: must name parts of {recipe.name} ({known}), "
                    f"names {part!r}. Mend it."
                )
    return model


def _model_facts(run: Run, recipe: Recipe) -> dict[str, Any]:
    return {"name": run.model, "options": {**recipe.defaults, **run.options}}


def _check_init(run: Run, phase: Phase, init: Init) -> None:
    path = init.checkpoint / checkpoints.MODEL
    found = describe_file(path, sync=False)["sha256"] if path.is_file() else "nothing"
    if found != init.sha256:
        raise ManifestError(
            f"{run.path}: phase {phase.name}: init: {path} must have sha256 {init.sha256}, has {found}. "
            "Restore it, or make RUN.json again from its manifest."
        )


def _optimizer(model: nn.Module, phase: Phase) -> Optimizer:
    settings = {key: value for key, value in phase.optimizer.items() if key != "name"}
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if phase.optimizer["name"] == "rmsprop":
        return RMSprop(parameters, **settings)
    betas = settings.pop("beta1", ADAM_BETAS[0]), settings.pop("beta2", ADAM_BETAS[1])
    return Adam(parameters, betas=betas, **settings)


@contextmanager
def _alone(run: Run, ranks: Ranks) -> Iterator[None]:
    """Hold the run's folder for the leading rank; the system frees it when this process ends, however it ends."""
    if not ranks.leads:
        yield
        return
    with writing(run.folder):
        run.folder.mkdir(parents=True, exist_ok=True)
        file = (run.folder / "run.lock").open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeldError(
                f"{run.folder}: must not be in use, another process trains this run. Wait for it, or end it."
            ) from None
        checkpoints.sweep_parts(run.folder)
        path = run.folder / "run.json"
        if not path.exists():
            with writing(path):
                checkpoints.write_json(path.with_name(".part-run.json"), run.content)
                os.replace(path.with_name(".part-run.json"), path)
        yield
