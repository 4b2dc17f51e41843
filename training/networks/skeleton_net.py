"""Skeleton-Net: from an image to where each of 16 joints lies, as heat in 64 x 64 x 19 voxels.

Tang et al., "A Neural Network for Detailed Human Depth Estimation from a Single Image", ICCV 2019, section 4; read
by the integral of Sun et al., "Integral Human Pose Regression", ECCV 2018, eq. (2). The sizes of the two
hourglasses are those of the authors' public code: 6,783,904 parameters at full width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from training.networks.blocks import at_least_float32
from training.networks.stacked import HourglassOptions, hourglass_options, stacked_hourglass

JOINTS = 16
BINS = 19


@dataclass(frozen=True, slots=True)
class SkeletonOutput:
    """What Skeleton-Net answers.

    Attributes:
        volumes: of each stack (B 16 19 h w), scores of joint, bin, row and column in cells of 4 px, in the order of
            `joint_places`; the last stack's count.
    """

    volumes: tuple[Tensor, ...]


class SkeletonNet(nn.Module):
    """Whitened red, green and blue to volumes; `hourglass` holds every parameter.

    Channels are joint by joint, and bin by bin within each, as in the authors' public code.
    """

    def __init__(self, options: HourglassOptions) -> None:
        super().__init__()
        self.hourglass = stacked_hourglass(JOINTS * BINS, options)

    def forward(self, images: Tensor) -> SkeletonOutput:
        """Volumes of pictures (B 3 H W).

        Raises:
            ValueError: if height or width is not a multiple of 4 * 2 ** depth px.
        """
        answers = self.hourglass(images)
        return SkeletonOutput(tuple(answer.unflatten(1, (JOINTS, BINS)) for answer in answers))


def build_skeleton_net(options: Mapping[str, Any]) -> SkeletonNet:
    """A Skeleton-Net from the options of a run, drawn from torch's global generator.

    Raises:
        ValueError: for an unknown option or a value out of range.
    """
    return SkeletonNet(hourglass_options("skeleton-net", options))


def integral_places(volumes: Tensor) -> Tensor:
    """Each joint's mean place, weighted by the softmax over its whole volume.

    Sun et al., eq. (2). Always computed in float32 or better, as `training.networks.bins.soft_argmax_m`.

    Args:
        volumes: (B J bins h w) scores.

    Returns:
        (B J 3) column, row and bin, counted from voxel centre to voxel centre.
    """
    share = torch.softmax(at_least_float32(volumes).flatten(2), dim=-1).reshape(volumes.shape)
    axes = share.sum(dim=(2, 3)), share.sum(dim=(2, 4)), share.sum(dim=(3, 4))  # column, row, bin
    # Not a matrix product: mixed precision would run that in half.
    means = [(axis * torch.arange(axis.shape[-1], device=axis.device)).sum(dim=-1) for axis in axes]
    return torch.stack(means, dim=-1)
