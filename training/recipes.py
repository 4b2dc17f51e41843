"""One recipe a model: the fields that it reads, its network, its losses, and what its paper states.

Whatever trains, scores or predicts looks a model up in `RECIPES` and knows nothing else about it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.data import View
from training.landmark_losses import landmark_losses, prepare_landmark_net, whitened_pictures
from training.landmark_view import landmark_view
from training.losses import huber, truncated_l1
from training.networks.depth_net import DepthNetOptions, DepthOutput, build_depth_net
from training.networks.landmark_net import LandmarkNetOptions, build_landmark_net

Batch = Mapping[str, Any]  # fields as shards hold them, stacked over samples

# Means and deviations of red, green and blue in the synthetic SURREAL images, in [0, 1]. The public code of
# Tang et al. whitens real images by these too; a network only needs them to be the same ever after.
SURREAL_MEAN = (0.50997676, 0.46663152, 0.41141176)
SURREAL_STD = (0.23047111, 0.2346968, 0.23176232)

# Tang et al., section 5.
BASE_ALPHA_M = 0.2
DETAIL_ALPHA_M = 0.05
COMPOSED_ALPHA_M = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """All that the trainer, the evaluation and the prediction need to know of a model.

    Attributes:
        fields: what training reads: shard fields, and targets of `training.made_targets`.
        input_fields: those of them that the network itself sees; all that prediction needs.
        defaults: every option of the network and its default; a run records these with its own on top.
        build: network from options, drawn from torch's global generator.
        inputs: the network's input from a batch that holds at least `input_fields`.
        prepare: (input, targets) from a batch that holds `fields`; random in nothing.
        losses: outputs and targets to scalars by name, unweighted.
        predict_depth: outputs to (B H W) depth relative to the person's median in metres; None where a model
            gives no depth.
        parts: names of sub-modules that a phase may train or leave alone; together they hold every parameter.
        view: from the network's options to what it sees of a sample, see `training.data.View`; a view holds no
            function of a function, so that processes that read can be given it. None for the sample as it is.
        score, predict: what takes the place of `training.evaluate.evaluate_run` and `training.predict.predict_images`
            where a model gives no depth, with their arguments.
        paper: what the paper states about training, to be printed beside our own figures.
    """

    name: str
    fields: tuple[str, ...]
    input_fields: tuple[str, ...]
    defaults: Mapping[str, Any]
    build: Callable[[Mapping[str, Any]], nn.Module]
    inputs: Callable[[Batch], Tensor]
    prepare: Callable[[Batch], tuple[Tensor, dict[str, Tensor]]]
    losses: Callable[[Any, Mapping[str, Tensor]], dict[str, Tensor]]
    predict_depth: Callable[[Any], Tensor] | None
    parts: tuple[str, ...]
    paper: Mapping[str, Any]
    view: Callable[[Mapping[str, Any]], View] | None = None
    score: Callable[..., dict[str, Any]] | None = None
    predict: Callable[..., list[dict[str, Any]]] | None = None


def image_inputs(batch: Batch) -> Tensor:
    """(B 4 H W) float32: whitened red, green and blue, and the mask, from `image` and `mask`.

    The background is 0 in all channels, that is, of the mean colour: what stands behind the person says nothing
    about the person's depth.
    """
    rgb = batch["image"].movedim(-1, 1).float() / 255
    mean, std = (rgb.new_tensor(values)[:, None, None] for values in (SURREAL_MEAN, SURREAL_STD))
    mask = batch["mask"][:, None]
    return torch.cat([torch.where(mask, (rgb - mean) / std, 0), mask.float()], dim=1)


def prepare_depth_net(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Input of Depth-Net, and its targets `base_m`, `detail_m`, `composed_m` and `mask`, each (B H W).

    The targets' mask is eroded once by a 3x3 cross, as the authors' loaders do: a person's outermost pixels mix
    with the background. The input's is not, since that is what prediction will be given.

    A base beyond the outermost bins stays as it is, neither clipped nor left out: the losses bound its pull, and
    the best answer to it is the outermost bin either way.
    """
    targets = {
        "base_m": batch["base_m"],
        "detail_m": batch["detail_m"],
        "composed_m": batch["base_m"] + batch["detail_m"],
        "mask": erode_cross(batch["mask"]),
    }
    return image_inputs(batch), targets


def erode_cross(mask: Tensor) -> Tensor:
    """`mask` (B H W) without the pixels that have a False neighbour above, below, left or right.

    The image's border is no neighbour: a person who is cut off there has no outline there.
    """
    padded = F.pad(mask, (1, 1, 1, 1), value=True)
    up, down = padded[:, :-2, 1:-1], padded[:, 2:, 1:-1]
    left, right = padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]
    return mask & up & down & left & right


def depth_net_losses(outputs: DepthOutput, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`base` and `detail` of eq. (2), in square metres, and `composed` of eq. (5), in metres.

    The paper trains on base and detail first, then on 1, 1 and 15 times the three, eq. (4). It does not say in
    which unit the errors were squared, and the weights depend on it: 1, 1, 15 in centimetres, the unit that the
    authors' detail branch works in, are 1, 1, 0.15 here. In metres 15 all but silences the first two.
    """
    mask = targets["mask"]
    return {
        "base": huber(outputs.base_m, targets["base_m"], mask, alpha=BASE_ALPHA_M),
        "detail": huber(outputs.detail_m, targets["detail_m"], mask, alpha=DETAIL_ALPHA_M),
        "composed": truncated_l1(outputs.composed_m, targets["composed_m"], mask, alpha=COMPOSED_ALPHA_M),
    }


def composed_depth(outputs: DepthOutput) -> Tensor:
    return outputs.composed_m


def landmark_views(options: Mapping[str, Any]) -> View:
    return partial(landmark_view, size_px=options["size_px"])


def score_landmarks(run: Path, **how: Any) -> dict[str, Any]:
    from training.landmark_evaluate import evaluate_landmarks  # it scores by more than training needs

    return evaluate_landmarks(run, **how)


def predict_landmark_images(
    checkpoint: Path, paths: Sequence[Path], out: Path, **how: Any
) -> list[dict[str, Any]]:
    from training.landmark_pictures import predict_landmark_pictures

    return predict_landmark_pictures(checkpoint, paths, out, **how)


RECIPES: dict[str, Recipe] = {
    "depth-net": Recipe(
        name="depth-net",
        fields=("image", "mask", "base_m", "detail_m"),
        input_fields=("image", "mask"),
        defaults=asdict(DepthNetOptions()),
        build=build_depth_net,
        inputs=image_inputs,
        prepare=prepare_depth_net,
        losses=depth_net_losses,
        predict_depth=composed_depth,
        parts=("trunk", "base_head", "detail_head"),
        paper={
            "source": "Tang et al., ICCV 2019, section 7",
            "optimizer": "RMSProp, fixed lr 1e-5",
            "phases": {
                # the base branch alone, on SURREAL
                "synthetic": {"epochs": 10, "hours": 12.0, "batch_size": 6, "hardware": "GTX 2080"},
                # more than 20,000 raw depth maps, together with the normal network
                "stage-1": {"epochs": 12, "hours": 10.0, "batch_size": 1, "hardware": "GTX 2080"},
                "stage-2": {"epochs": 8, "hours": 6.0, "batch_size": 1, "hardware": "GTX 2080"},
            },
            "inference_ms": {"with refinement": 75.5, "without": 61.1, "hardware": "RTX 2080"},
        },
    ),
    "landmark-net": Recipe(
        name="landmark-net",
        fields=("image", "landmark_points", "dense_map"),
        input_fields=("image",),
        defaults=asdict(LandmarkNetOptions()),
        build=build_landmark_net,
        inputs=whitened_pictures,
        prepare=prepare_landmark_net,
        losses=landmark_losses,
        predict_depth=None,
        parts=("trunk", "upward", "joint_head", "nowhere_head", "dense_head"),
        paper={
            "source": "Xiao et al., ECCV 2018, section 3.1, whose network Yoshiyasu and Gamez, 2019, take",
            "optimizer": "Adam, lr 1e-3, times 0.1 at epochs 90 and 120 of 140",
            "phases": {"baseline": {"epochs": 140, "batch_size": 128, "hardware": "4 GPUs"}},
        },
        view=landmark_views,
        score=score_landmarks,
        predict=predict_landmark_images,
    ),
}
