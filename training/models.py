"""A trained network as a plain function: a sample's arrays in, named depth maps out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from training.recipes import Recipe

Sample = Mapping[str, Any]
Predictor = Callable[[Sample], dict[str, NDArray[Any]]]

CHECKPOINTS = Path(__file__).with_name("checkpoints")  # what is shipped, by name

# Further depths that a model's outputs hold, by the name that they get in tables and figures.
VARIANTS: dict[str, dict[str, str]] = {"depth-net": {"depth-net, base shape": "base_m"}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A network with its trained weights, in evaluation mode.

    Attributes:
        folder: the checkpoint's own, links resolved.
        state: what the checkpoint tells of itself.
    """

    folder: Path
    recipe: "Recipe"
    module: "nn.Module"
    state: Mapping[str, Any]
    device: str


def load_trained(checkpoint: Path, *, device: str) -> Trained:
    """Load a checkpoint, or a run's best one.

    Args:
        checkpoint: a checkpoint's folder, or a run's, whose `best` is taken, or the name of a shipped one.
        device: cpu, cuda, or auto, which takes CUDA where there is one.

    Raises:
        InputError: when there is no checkpoint, or no CUDA where it is asked for.
    """
    import torch

    from training.checkpoint import load_model
    from training.recipes import RECIPES

    folder = checkpoint_folder(checkpoint)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise InputError("no-cuda", "device: must be there, PyTorch sees no CUDA device. Use cpu.")
    module, state = load_model(folder)
    name = state["model"]["name"]
    return Trained(
        folder=folder, recipe=RECIPES[name], module=module.to(device).eval(), state=state, device=device
    )


def depth_predictor(trained: Trained) -> Predictor:
    """Samples with the recipe's `input_fields` to zero-median depth (H W) in metres, by predictor's name.

    The first is the model's own depth; variants of the same outputs follow. Outside the mask they mean
    nothing.

    Raises:
        InputError: when the model gives no depth.
    """
    import torch

    recipe = trained.recipe
    to_depth = recipe.predict_depth
    if to_depth is None:
        raise InputError(
            "no-depth",
            f"{trained.folder}: model must give depth, {recipe.name} gives none. Name another checkpoint.",
        )

    @torch.inference_mode()
    def predict(sample: Sample) -> dict[str, NDArray[Any]]:
        batch = {
            name: torch.as_tensor(np.asarray(sample[name]))[None].to(trained.device)
            for name in recipe.input_fields
        }
        outputs = trained.module(recipe.inputs(batch))
        depths = {recipe.name: to_depth(outputs)}
        depths |= {label: getattr(outputs, key) for label, key in VARIANTS.get(recipe.name, {}).items()}
        return {name: depth[0].float().cpu().numpy() for name, depth in depths.items()}

    return predict


def checkpoint_folder(path: Path) -> Path:
    """The folder that holds the weights: a checkpoint's own, a run's best, or its last, or a shipped one by its name.

    Raises:
        InputError: when there is no checkpoint.
    """
    shipped = [CHECKPOINTS / path] if len(path.parts) == 1 else []
    for folder in (path, path / "best", path / "last", *shipped):
        if (folder / "state.json").is_file():
            return folder.resolve()
    raise InputError(
        "checkpoint-missing",
        f"{path}: must be a checkpoint's folder or a run's, holds no state.json. Train a model first.",
    )
