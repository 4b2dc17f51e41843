"""A trained model as a folder to ship: its weights in half precision, its calibration, and what it is."""

import shutil
from pathlib import Path

import safetensors.torch

from pipeline.checksums import describe_file
from pipeline.errors import ManifestError
from training.calibration import FILE
from training.checkpoint import MODEL, STATE, load_model, write_json
from training.models import checkpoint_folder

KEPT = ("schema", "model", "run", "datasets", "seed", "step", "phase", "metrics", "code")


def export_checkpoint(checkpoint: Path, folder: Path) -> None:
    """Write a checkpoint without what only training needs, as `training.models.load_trained` reads it.

    Weights are rounded to float16, about three digits, and computed with in float32 as before; counters stay as they
    are. A calibration beside the weights comes along.

    Args:
        checkpoint: a checkpoint's folder, or a run's, whose `best` is taken.
        folder: not there yet.

    Raises:
        ManifestError: when the folder is there.
        InputError, ManifestError, DamagedError: as the loading.
    """
    if folder.exists():
        raise ManifestError(f"{folder}: must not be there yet, is. Remove it, or name another folder.")
    source = checkpoint_folder(checkpoint)
    model, state = load_model(source)
    part = folder.with_name(f".part-{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    (part / MODEL).write_bytes(safetensors.torch.save(weights))
    described = describe_file(part / MODEL)
    files = {MODEL: {key: described[key] for key in ("bytes", "sha256")}}
    write_json(part / STATE, {**{key: state[key] for key in KEPT}, "files": files})
    if (source / FILE).is_file():
        shutil.copyfile(source / FILE, part / FILE)
    part.rename(folder)
