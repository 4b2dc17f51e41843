"""RUN.json: everything that a training run depends on, read and checked with the standard library alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ManifestError
from pipeline.fingerprints import fingerprint
from training import run_rules as rules

# What never changes an answer stays out of the run's fingerprint.
FREE = ("out", "device", "workers", "log_every", "keep_last", "accept_fingerprints")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One dataset of the mix.

    Attributes:
        path: the built dataset's folder or its dataset.json.
        fingerprint: what the dataset must have.
        weight: its share among the samples, relative to the others' weights.
    """

    path: Path
    fingerprint: str
    weight: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Init:
    """Weights to start a phase from: a checkpoint folder, and the sha256 of its model.safetensors."""

    checkpoint: Path
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """One stretch of training with its own losses and optimiser.

    Attributes:
        train: names of the parts that learn; None for all. The others keep weights and batch statistics.
        losses: weight of each of the recipe's losses; those not named do not count.
        epochs, steps: how long; exactly one is given, and `schedule` counts in the same unit.
        clip_norm: largest norm of the whole gradient; None for no limit.
    """

    name: str
    train: tuple[str, ...] | None
    losses: Mapping[str, float]
    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]
    epochs: int | None
    steps: int | None
    clip_norm: float | None
    init: Init | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A checked RUN.json.

    Attributes:
        path: of RUN.json itself, for messages.
        subset: what is left of the training split, as `pipeline.subsets.Subset`.
        augmentation: as `training.augment.Augmentation`; None for none.
        batch_size: samples a rank takes in one step.
        accept_fingerprints: datasets with one of these are trained on although RUN.json names another.
        folder: OUT/runs/rules.MODEL/FINGERPRINT, where everything that the run makes lies.
        content: what was read, with absolute paths.
    """

    path: Path
    model: str
    options: Mapping[str, Any]
    datasets: tuple[Source, ...]
    train_split: str
    val_split: str
    subset: Mapping[str, Any]
    augmentation: Mapping[str, Any] | None
    seed: int
    batch_size: int
    workers: int
    device: str
    amp: bool
    phases: tuple[Phase, ...]
    log_every: int
    validate_every: int
    keep_last: int
    accept_fingerprints: tuple[str, ...]
    folder: Path
    content: Mapping[str, Any]


def load_run(path: Path) -> Run:
    """Read and check RUN.json; relative paths in it start at its own folder.

    Raises:
        ManifestError: file, key, what it must be, what it is, and the nearest known key.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ManifestError(f"{path}: must be a RUN.json, is not there. Check the path.") from None
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path}: must be readable JSON, is not: {error}. Mend the file.") from error
    return parse_run(content, path)


def parse_run(content: Any, path: Path) -> Run:
    """Check what a RUN.json at `path` holds.

    Raises:
        ManifestError: as load_run.
    """
    top = rules.checked(content, rules.RUN, path, "")
    model = rules.checked(top["model"], rules.MODEL, path, "model.")
    data = _data(top["data"], path)
    phases = [_phase(table, path, f"phases.{number}.") for number, table in enumerate(top["phases"])]
    names = [phase["name"] for phase in phases]
    if len(set(names)) < len(names):
        raise rules.mistake(path, "phases", "named each by a name of its own", ", ".join(names))
    full = {
        **top,
        "model": model,
        "data": data,
        "phases": phases,
        "out": str(_absolute(top["out"], path)),
    }
    return Run(
        path=path,
        model=model["name"],
        options=model["options"],
        datasets=tuple(Source(**{**table, "path": Path(table["path"])}) for table in data["datasets"]),
        train_split=data["train_split"],
        val_split=data["val_split"],
        subset=data["subset"],
        augmentation=data["augmentation"],
        phases=tuple(_as_phase(table) for table in phases),
        accept_fingerprints=tuple(top["accept_fingerprints"]),
        folder=Path(full["out"]) / "runs" / model["name"] / run_fingerprint(full),
        content=full,
        **{key: top[key] for key in rules.PLAIN},
    )


def run_fingerprint(content: Mapping[str, Any]) -> str:
    """Sixteen hex digits of all that can change an answer: no places, no device, no number of workers."""
    counted: dict[str, Any] = {key: value for key, value in content.items() if key not in FREE}
    sources = content["data"]["datasets"]
    counted["data"] = {
        **content["data"],
        "datasets": [{"fingerprint": each["fingerprint"], "weight": each["weight"]} for each in sources],
    }
    counted["phases"] = [
        {**phase, "init": phase["init"] and phase["init"]["sha256"]} for phase in content["phases"]
    ]
    return fingerprint(counted)


def _data(content: Any, path: Path) -> dict[str, Any]:
    """The `data` as it stands in the run's content."""
    data = rules.checked(content, rules.DATA, path, "data.")
    data["subset"] = rules.checked(data["subset"], rules.SUBSET, path, "data.subset.")
    if data["augmentation"] is not None:
        place = "data.augmentation."
        data["augmentation"] = rules.checked(data["augmentation"], rules.AUGMENTATION, path, place)
    data["datasets"] = [
        rules.checked(table, rules.SOURCE, path, f"data.datasets.{number}.")
        for number, table in enumerate(data["datasets"])
    ]
    for table in data["datasets"]:
        table["path"] = str(_absolute(table["path"], path))
    return data


def _phase(content: Any, path: Path, place: str) -> dict[str, Any]:
    """A phase as it stands in the run's content."""
    table = rules.checked(content, rules.PHASE, path, place)
    if (table["epochs"] is None) == (table["steps"] is None):
        raise rules.mistake(path, f"{place}epochs", "given, or steps, and not both", "neither or both")
    for key, kinds in (("optimizer", rules.OPTIMIZERS), ("schedule", rules.SCHEDULES)):
        name = table[key].get("name")
        if name not in kinds:
            raise rules.mistake(path, f"{place}{key}.name", f"one of {', '.join(kinds)}", repr(name))
        table[key] = rules.checked(table[key], kinds[name], path, f"{place}{key}.")
    if table["init"] is not None:
        table["init"] = rules.checked(table["init"], rules.INIT, path, f"{place}init.")
        table["init"]["checkpoint"] = str(_absolute(table["init"]["checkpoint"], path))
    return table


def _as_phase(table: Mapping[str, Any]) -> Phase:
    init = table["init"]
    return Phase(
        **{
            **table,
            "train": None if table["train"] == "all" else tuple(table["train"]),
            "init": init and Init(checkpoint=Path(init["checkpoint"]), sha256=init["sha256"]),
        }
    )


def _absolute(place: str, path: Path) -> Path:
    return (path.resolve().parent / place).resolve()
