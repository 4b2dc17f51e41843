"""The losses of Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019.

Each is a mean over a sample, then over samples, as `training.losses` has it. Where a network answers after each of
its hourglasses, it is the mean over them.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from training.losses import huber, masked_mean, truncated_l1
from training.networks.blocks import at_least_float32
from training.networks.depth_net import DepthOutput
from training.networks.segmentation_net import SegmentationOutput
from training.networks.skeleton_net import SkeletonOutput, integral_places
from training.networks.tang_net import TangOutput

Targets = Mapping[str, Tensor]

# Tang et al., section 5; the ablations' are alpha 4 and 5 of section 7.2.
BASE_ALPHA_M = 0.2
DETAIL_ALPHA_M = 0.05
COMPOSED_ALPHA_M = 0.05
ABLATION_ALPHA_M = 0.2


def skeleton_net_losses(outputs: SkeletonOutput, targets: Targets) -> dict[str, Tensor]:
    """`joints`: how far the integral of each seen joint's volume lies from its place, as shares of the volume's
    sides, summed over column, row and bin (Sun et al., "Integral Human Pose Regression", ECCV 2018, the L1 loss)."""
    return {"joints": _over_stacks(outputs.volumes, lambda volumes: _joint_loss(volumes, targets))}


def segmentation_net_losses(outputs: SegmentationOutput, targets: Targets) -> dict[str, Tensor]:
    """`parts`: cross-entropy of every cell, background and all, in nats (section 4)."""
    part = targets["part"]
    return {
        "parts": _over_stacks(outputs.logits, lambda logits: F.cross_entropy(at_least_float32(logits), part))
    }


def normal_net_losses(normal: Tensor, targets: Targets) -> dict[str, Tensor]:
    """`normal`: mean angle to the true normals, in radians (section 6.1)."""
    return {"normal": angular(normal, targets["normal"], targets["normal_mask"])}


def depth_losses(outputs: DepthOutput, targets: Targets) -> dict[str, Tensor]:
    """`base` and `detail` of eq. (2), in square metres, `composed` of eq. (5), in metres, and those of two ablations:
    `composed_huber` of eq. (10), and `single` of eq. (9), which takes the base alone for the whole depth.

    The paper trains on base and detail first, then on 1, 1 and 15 times the three, eq. (4). It does not say in
    which unit the errors were squared, and the weights depend on it: 1, 1, 15 in centimetres, the unit that the
    authors' detail branch works in, are 1, 1, 0.15 here. In metres 15 all but silences the first two.
    """
    mask, whole_m = targets["mask"], targets["composed_m"]
    return {
        "base": huber(outputs.base_m, targets["base_m"], mask, alpha=BASE_ALPHA_M),
        "detail": huber(outputs.detail_m, targets["detail_m"], mask, alpha=DETAIL_ALPHA_M),
        "composed": truncated_l1(outputs.composed_m, whole_m, mask, alpha=COMPOSED_ALPHA_M),
        "composed_huber": huber(outputs.composed_m, whole_m, mask, alpha=ABLATION_ALPHA_M),
        "single": huber(outputs.base_m, whole_m, mask, alpha=ABLATION_ALPHA_M),
    }


def tang_net_losses(outputs: TangOutput, targets: Targets) -> dict[str, Tensor]:
    """Those of depth and of normals; joints and parts are trained before, each alone."""
    return {**depth_losses(outputs.depth, targets), **normal_net_losses(outputs.normal, targets)}


def angular(normal: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean angle between normals and true ones, in radians.

    By the arc tangent of sine and cosine: its slope is 1 at any angle, while that of an arc cosine, which the
    authors' code takes, is infinite where both agree. Lengths do not matter, but a length of 0 has no angle.

    Args:
        normal, truth: (B 3 H W).
        mask: (B H W) bool, True means use; neither is read elsewhere.
    """
    within = mask[:, None]
    mine, true = torch.where(within, normal, 1.0), torch.where(within, truth, 1.0)
    sine = torch.linalg.vector_norm(torch.linalg.cross(mine, true, dim=1), dim=1)
    return masked_mean(torch.atan2(sine, (mine * true).sum(dim=1)), mask)


def _joint_loss(volumes: Tensor, targets: Targets) -> Tensor:
    bins, height, width = volumes.shape[2:]
    places = integral_places(volumes)
    apart = (places - targets["places"]).abs() / places.new_tensor([width, height, bins])
    return masked_mean(apart.sum(dim=-1), targets["seen"])


def _over_stacks(answers: Sequence[Tensor], loss: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.stack([loss(answer) for answer in answers]).mean()
