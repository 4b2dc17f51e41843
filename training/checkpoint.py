"""Checkpoints: a folder with weights and optimiser as safetensors and the rest as JSON, written whole.

A folder `step-0000010` is there only when all of it is on disk: it is written under another name, flushed and
renamed. `last` and `best` beside `checkpoints/` are relative links, each switched whole.
"""

import hashlib
import json
import os
import platform
import shutil
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.checksums import describe_file, fsync_folder
from pipeline.errors import DamagedError, ManifestError, StageError
from training.recipes import RECIPES

SCHEMA = 1
MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
_PART = ".part-"


def save_checkpoint(
    folder: Path, *, model: nn.Module, optimizer: Optimizer, state: Mapping[str, Any], keep: int
) -> Path:
    """Write FOLDER/checkpoints/step-N, point `last` to it, and remove all but the last `keep` and the best.

    Args:
        folder: of the run.
        state: a JSON value with the whole number `step`.

    Raises:
        StageError: when it cannot be written; the checkpoints before it are as they were.
    """
    place = folder / "checkpoints" / f"step-{state['step']:07d}"
    part = place.with_name(_PART + place.name)
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        files = {}
        for name, tensors in ((MODEL, model.state_dict()), (OPTIMIZER, _by_name(optimizer, model))):
            plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
            (part / name).write_bytes(safetensors.torch.save(plain))
            described = describe_file(part / name)
            files[name] = {"bytes": described["bytes"], "sha256": described["sha256"]}
        write_json(part / STATE, {"schema": SCHEMA, **state, "files": files})
        fsync_folder(part)
        if place.exists():  # of a run that was ended after this rename, before `last` was switched
            shutil.rmtree(place)
        part.rename(place)
        fsync_folder(place.parent)
        link(folder, "last", place)
        _remove_old(folder, keep)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise StageError(
            f"{place}: must be written, cannot be: {error.strerror or error}. "
            f"Free space and run again: it goes on from {newest(folder) or 'the start'}."
        ) from error
    return place


def amend_checkpoint(checkpoint: Path, changes: Mapping[str, Any]) -> None:
    """Put what became known later into a checkpoint's state.json, switched whole.

    Raises:
        StageError: when it cannot be written; the file is as it was.
    """
    part = checkpoint.with_name(f"{_PART}{checkpoint.name}.json")
    try:
        write_json(part, {**read_state(checkpoint), **changes})
        os.replace(part, checkpoint / STATE)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StageError(
            f"{checkpoint / STATE}: must be written, cannot be: {error.strerror or error}. "
            "Free space and run again: it goes on from there."
        ) from error


def link(folder: Path, name: str, checkpoint: Path) -> None:
    """Point FOLDER/NAME to one of its checkpoints."""
    fresh = folder / f"{_PART}{name}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(checkpoint.relative_to(folder), target_is_directory=True)
    os.replace(fresh, folder / name)


def newest(folder: Path) -> Path | None:
    """The checkpoint of a run to go on from; None where there is none."""
    return max((folder / "checkpoints").glob("step-*"), default=None)


def read_state(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint's state.json holds.

    Raises:
        ManifestError: when it is no checkpoint, or of another schema.
        DamagedError: when it cannot be read.
    """
    path = checkpoint / STATE
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ManifestError(f"{checkpoint}: must be a checkpoint with {STATE}, is none. Check it.") from None
    except (OSError, ValueError) as error:
        raise _damaged(path, f"cannot be read: {error}") from error
    if state.get("schema") != SCHEMA:
        raise ManifestError(
            f"{path}: schema must be {SCHEMA}, is {state.get('schema')}. Use the version that wrote it."
        )
    return state


def load_weights(checkpoint: Path, model: nn.Module) -> None:
    """Fill a model with a checkpoint's weights.

    Raises:
        ManifestError: when they are another model's.
        DamagedError: when they are not what was written.
    """
    found, wanted = _tensors(checkpoint, MODEL), model.state_dict()
    lacking, foreign = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    other = {key for key in wanted.keys() & found.keys() if wanted[key].shape != found[key].shape}
    if lacking or foreign or other:
        first = sorted(lacking | foreign | other)[0]
        raise ManifestError(
            f"{checkpoint}: must be a checkpoint of this model, is another's: {len(lacking)} tensors are "
            f"missing, {len(foreign)} unknown, {len(other)} of another shape, the first is {first}. "
            "Name a checkpoint of the same model and options."
        )
    model.load_state_dict(found)


def load_model(checkpoint: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The model that a checkpoint holds, on the CPU, and its state.json.

    Raises:
        ManifestError: when it is no checkpoint of a model that is known here.
        DamagedError: when it is not what was written.
    """
    state = read_state(checkpoint)
    name, options = state["model"]["name"], state["model"]["options"]
    if name not in RECIPES:
        raise ManifestError(
            f"{checkpoint}: model must be one of {', '.join(RECIPES)}, is {name}. Use the version that wrote it."
        )
    model = RECIPES[name].build(options)
    load_weights(checkpoint, model)
    return model, state


def load_optimizer(checkpoint: Path, optimizer: Optimizer, model: nn.Module) -> None:
    """Fill an optimiser with a checkpoint's state; parameters without any had no gradient yet.

    Raises:
        DamagedError: when it is not what was written.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in _tensors(checkpoint, OPTIMIZER).items():
        parameter, _, kind = key.rpartition("/")
        found.setdefault(parameter, {})[kind] = value
    names = {parameter: name for name, parameter in model.named_parameters()}
    order = [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]
    state = {number: found[name] for number, name in enumerate(order) if name in found}
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def code_version() -> dict[str, str]:
    """What ran: version, hash of the sources, and the libraries that compute."""
    root = Path(__file__).resolve().parents[1]
    try:
        version = metadata.version("bodytruth")
    except metadata.PackageNotFoundError:  # run from the source tree
        version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    digest = hashlib.sha256()
    for package in ("pipeline", "training"):
        for file in sorted((root / package).rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return {
        "bodytruth": version,
        "sources_sha256": digest.hexdigest(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def sweep_parts(folder: Path) -> None:
    """Remove what a killed run left half written."""
    for part in (folder / "checkpoints").glob(f"{_PART}*"):
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink()


def _by_name(optimizer: Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """Optimiser state as `parameter/kind`; the rest of it is the phase's own settings."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}/{kind}": value
        for parameter, values in optimizer.state.items()
        for kind, value in values.items()
    }


def _tensors(checkpoint: Path, name: str) -> dict[str, Tensor]:
    path, record = checkpoint / name, read_state(checkpoint)["files"][name]
    try:
        described = describe_file(path, sync=False)
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error}") from error
    if described["sha256"] != record["sha256"]:
        raise _damaged(path, f"has {described['bytes']} of {record['bytes']} bytes and another checksum")
    return safetensors.torch.load_file(path)


def _damaged(path: Path, finding: str) -> DamagedError:
    return DamagedError(
        f"{path}: must be as it was written, {finding}. Remove the folder {path.parent} and run again: "
        "it goes on from the checkpoint before it."
    )


def _remove_old(folder: Path, keep: int) -> None:
    best = (folder / "best").resolve()
    for checkpoint in sorted((folder / "checkpoints").glob("step-*"))[:-keep]:
        if checkpoint.resolve() != best:
            shutil.rmtree(checkpoint)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file and flush it to disk."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
