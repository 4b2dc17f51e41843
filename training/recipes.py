"""One recipe a model: the fields that it reads, its network, its losses, and what its paper states.

Whatever trains, scores or predicts looks a model up in `RECIPES` and knows nothing else about it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from training.data import View
from training.landmark_losses import landmark_losses, prepare_landmark_net, whitened_pictures
from training.landmark_view import landmark_view
from training.networks.depth_net import DepthNetOptions, DepthOutput, build_depth_net
from training.networks.landmark_net import LandmarkNetOptions, build_landmark_net
from training.networks.normal_net import NormalNetOptions, build_normal_net
from training.networks.segmentation_net import build_segmentation_net
from training.networks.skeleton_net import build_skeleton_net
from training.networks.stacked import HourglassOptions
from training.networks.tang_net import TangNetOptions, TangOutput, build_tang_net, refined_depth
from training.tang_inputs import (
    Batch,
    depth_targets,
    image_inputs,
    prepare_normal_net,
    prepare_segmentation_net,
    prepare_skeleton_net,
    prepare_tang_net,
    whitened,
    with_mask,
)
from training.tang_losses import (
    depth_losses,
    normal_net_losses,
    segmentation_net_losses,
    skeleton_net_losses,
    tang_net_losses,
)


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


def prepare_depth_net(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    return image_inputs(batch), depth_targets(batch)


def composed_depth(outputs: DepthOutput) -> Tensor:
    return outputs.composed_m


def tang_depth(outputs: TangOutput) -> Tensor:
    return refined_depth(outputs)


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


TANG = "Tang et al., ICCV 2019, section 7"

RECIPES: dict[str, Recipe] = {
    "depth-net": Recipe(
        name="depth-net",
        fields=("image", "mask", "base_m", "detail_m"),
        input_fields=("image", "mask"),
        defaults=asdict(DepthNetOptions()),
        build=build_depth_net,
        inputs=image_inputs,
        prepare=prepare_depth_net,
        losses=depth_losses,
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
    "skeleton-net": Recipe(
        name="skeleton-net",
        fields=("image", "joint_places", "joint_seen"),
        input_fields=("image",),
        defaults=asdict(HourglassOptions()),
        build=build_skeleton_net,
        inputs=whitened,
        prepare=prepare_skeleton_net,
        losses=skeleton_net_losses,
        predict_depth=None,
        parts=("hourglass",),
        paper={"source": TANG, "optimizer": "RMSProp, fixed lr 1e-5", "phases": {}},
    ),
    "segmentation-net": Recipe(
        name="segmentation-net",
        fields=("image", "part_target"),
        input_fields=("image",),
        defaults=asdict(HourglassOptions()),
        build=build_segmentation_net,
        inputs=whitened,
        prepare=prepare_segmentation_net,
        losses=segmentation_net_losses,
        predict_depth=None,
        parts=("hourglass",),
        paper={"source": TANG, "optimizer": "RMSProp, fixed lr 1e-5", "phases": {}},
    ),
    "normal-net": Recipe(
        name="normal-net",
        fields=("image", "mask", "normal"),
        input_fields=("image", "mask"),
        defaults=asdict(NormalNetOptions()),
        build=build_normal_net,
        inputs=with_mask,
        prepare=prepare_normal_net,
        losses=normal_net_losses,
        predict_depth=None,
        parts=("trunk", "head"),
        paper={"source": TANG, "optimizer": "RMSProp, fixed lr 1e-5", "phases": {}},
    ),
    "tang-net": Recipe(
        name="tang-net",
        fields=("image", "mask", "base_m", "detail_m", "normal"),
        input_fields=("image", "mask"),
        defaults=asdict(TangNetOptions()),
        build=build_tang_net,
        inputs=with_mask,
        prepare=prepare_tang_net,
        losses=tang_net_losses,
        predict_depth=tang_depth,
        parts=("skeleton", "segmentation", "depth", "normal"),
        paper={"source": TANG, "optimizer": "RMSProp, fixed lr 1e-5", "phases": {}},
    ),
}
