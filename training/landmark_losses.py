"""What Landmark-Net learns from: input and targets of a batch, and its three losses."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from training.losses import masked_mean
from training.made_targets import UNKNOWN_PART
from training.networks.landmark_net import STRIDE, LandmarkOutput

SIGMA_CELLS = 1.0  # of a joint's Gaussian; the baseline's 2 in its cells of 4 px, for maps of 64 cells
UV_BETA = 0.05  # of a chart's side: where the smooth L1 turns from square to straight
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def whitened_pictures(batch: Mapping[str, Any]) -> Tensor:
    """(B 3 H W) float32 from `image`: whitened as for the public residual networks, whose weights may be loaded."""
    rgb = batch["image"].movedim(-1, 1).float() / 255
    mean, std = (rgb.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    whitened: Tensor = (rgb - mean) / std
    return whitened


def prepare_landmark_net(batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
    """Input of Landmark-Net and its targets.

    Returns:
        The input, and `places` (B 27 h*w+1), each joint's distribution over cells and nowhere, all 0 where it is
        not known; `part` (B h w) int64, `UNKNOWN_PART` where it is not known; `uv` (B 2 h w).
    """
    image, dense = batch["image"], batch["dense_map"]
    cells = image.shape[1] // STRIDE, image.shape[2] // STRIDE
    return whitened_pictures(batch), {
        "places": place_targets(batch["landmark_points"], cells),
        "part": dense[..., 0].long(),
        "uv": dense[..., 1:].movedim(-1, 1),
    }


def place_targets(points: Tensor, cells: tuple[int, int]) -> Tensor:
    """Distributions (B J h*w+1) over the cells and "nowhere", the last.

    Args:
        points: (B J 3) column, row in px, and whether the joint is known: 0 throughout where it is not.
        cells: height and width of the maps.
    """
    height, width = cells
    places = (points[..., :2] - (STRIDE - 1) / 2) / STRIDE
    columns, rows = (
        torch.exp(
            -0.5 * ((torch.arange(count, device=points.device) - places[..., [axis]]) / SIGMA_CELLS) ** 2
        )
        for axis, count in ((0, width), (1, height))
    )
    inside = ((places > -0.5) & (places < places.new_tensor([width, height]) - 0.5)).all(dim=-1)[..., None]
    maps = (rows[..., :, None] * columns[..., None, :]).flatten(2)
    maps = torch.where(inside, maps / maps.sum(dim=-1, keepdim=True).clamp(min=1e-12), 0)
    known = points[..., 2:] > 0
    return torch.where(known, torch.cat([maps, (~inside).float()], dim=-1), 0)


def place_distribution(outputs: LandmarkOutput) -> Tensor:
    """Logarithms (B 27 h*w+1) of the probability of each cell, and of nowhere, the last."""
    logits = torch.cat([outputs.place_logits.flatten(2), outputs.nowhere_logits[..., None]], dim=-1)
    return F.log_softmax(logits, dim=-1)


def landmark_losses(outputs: LandmarkOutput, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`joints`, `parts` and `uv`, each a mean over a sample, then over samples.

    `joints` is the Kullback-Leibler divergence from the target to the predicted distribution, in nats, 0 where they
    agree; the baseline squares differences of heat maps, whose zeros outnumber the peak, and learns more slowly.
    `parts` is the cross-entropy over parts, the person's cells weighing as much as all others. `uv` is the smooth
    L1 of U and V in the true part, in shares of a chart's side.
    """
    places, part = targets["places"], targets["part"]
    return {
        "joints": _divergence(place_distribution(outputs), places),
        "parts": _part_loss(outputs.part_logits, part),
        "uv": _uv_loss(outputs.uv, part, targets["uv"]),
    }


def _divergence(found: Tensor, wanted: Tensor) -> Tensor:
    apart = torch.xlogy(wanted, wanted) - wanted * found
    return masked_mean(apart.sum(dim=-1), wanted.sum(dim=-1) > 0)


def _part_loss(logits: Tensor, part: Tensor) -> Tensor:
    known = part != UNKNOWN_PART
    each = F.cross_entropy(logits, torch.where(known, part, 0), reduction="none")
    body = (part > 0) & known
    return (masked_mean(each, body) + masked_mean(each, known & ~body)) / 2


def _uv_loss(uv: Tensor, part: Tensor, wanted: Tensor) -> Tensor:
    body = (part > 0) & (part != UNKNOWN_PART)
    rows = torch.where(body, part - 1, 0)[:, None, None].expand(-1, -1, 2, -1, -1)
    found = uv.gather(1, rows)[:, 0]
    each = F.smooth_l1_loss(found, wanted, reduction="none", beta=UV_BETA).sum(dim=1)
    return masked_mean(each, body)
